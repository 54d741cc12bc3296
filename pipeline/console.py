"""Progress and summaries on the terminal."""

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from algok.errors import AlgokError
from algok.pipeline.ledger import total
from algok.pipeline.manifest import Manifest
from algok.pipeline.stages.base import Done
from algok.schema import FAILED, KEPT, REJECTED
from algok.transforms.heartbeat import Progress as Totals

__all__ = ["TerminalReporter", "print_summary", "reasons", "reported", "terminal"]

#: Seconds between two lines of progress when the output is not a terminal (a log file, CI).
LOG_PERIOD_S = 30.0


def terminal() -> Console:
    """The console for people; on stderr, so that stdout holds results only."""
    return Console(stderr=True, highlight=False)


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Errors that a user can act on end the command with status 1 and their message, not a traceback."""
    try:
        yield
    except AlgokError as error:
        raise click.ClickException(str(error)) from error


class _Rate(ProgressColumn):
    """Documents and documents per second."""

    def render(self, task: Task) -> Text:
        rows = task.fields.get("rows", 0)
        elapsed = task.elapsed or 0.0
        rate = f"{rows / elapsed:,.0f}/s" if rows and elapsed else ""
        return Text(f"{rows:>8,} docs {rate:>7}", no_wrap=True)


class TerminalReporter:
    """Shows a bar for a running step: units, documents, rate, time left. Outside a terminal: lines."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet

    @contextlib.contextmanager
    def step(self, stage: str, step: str, units: int, size: int) -> Iterator["_Display"]:
        label = stage if step in (stage, "documents", "decisions", "mixture", "clusters") else f"{stage}: {step}"
        progress = Progress(
            # Fits 80 columns: nothing wraps.
            TextColumn("{task.description:<22}"),
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f}%"),
            _Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=self._console,
            transient=True,
            disable=self._quiet or not self._console.is_terminal,
        )
        with progress:
            task = progress.add_task(label, total=max(size, 1), rows=0)
            yield _Display(self, progress, task, label, max(size, 1))

    def remark(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, markup=False)

    def line(self, text: str) -> None:
        """A line of progress for logs."""
        if not self._quiet and not self._console.is_terminal:
            self._console.print(text, markup=False)


class _Display:
    def __init__(self, reporter: TerminalReporter, progress: Progress, task: Any, label: str, size: int) -> None:
        self._reporter = reporter
        self._progress = progress
        self._task = task
        self._label = label
        self._size = size
        self._next_line = LOG_PERIOD_S

    def update(self, totals: Totals) -> None:
        self._progress.update(
            self._task,
            completed=min(totals.bytes, self._size),
            rows=totals.rows,
        )
        task = self._progress.tasks[0]
        elapsed = task.elapsed or 0.0
        if elapsed >= self._next_line:
            self._next_line = elapsed + LOG_PERIOD_S
            share = totals.bytes / self._size
            left = f", about {elapsed / share - elapsed:,.0f} s left" if share > 0.01 else ""
            self._reporter.line(
                f"{self._label}: {share:.0%}, {totals.rows:,} documents, {totals.rows / elapsed:,.1f}/s{left}"
            )


def reasons(manifest: Manifest, outcome: str, limit: int = 4) -> str:
    """The most frequent reasons of an outcome, as text: ``name 12, name 3``."""
    sums: dict[str, int] = {}
    for line in manifest.ledger:
        if line.direction == "out" and line.outcome == outcome:
            sums[line.reason] = sums.get(line.reason, 0) + line.documents
    ranked = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{name} {count:,}" for name, count in ranked[:limit])
    return text + (f", {len(ranked) - limit} more" if len(ranked) > limit else "")


def print_summary(console: Console, stages: list[tuple[str, Done]]) -> None:
    """A table with a row a stage: in = kept + rejected + failed."""
    table = Table(title=None, show_edge=False, pad_edge=False)
    for name in ("stage", "in", "kept", "rejected", "failed"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    table.add_column("seconds", justify="right")
    table.add_column("reasons")
    for name, done in stages:
        ledger = done.manifest.ledger
        counts = [sum(total(ledger, "in").values())]
        counts += [sum(total(ledger, "out", (outcome,)).values()) for outcome in (KEPT, REJECTED, FAILED)]
        why = "; ".join(filter(None, [reasons(done.manifest, REJECTED), reasons(done.manifest, FAILED)]))
        cells = [f"{count:,}" for count in counts] if ledger else ["", "", "", ""]
        seconds = f"{done.manifest.wall_s:,.1f}" if done.fresh else "up to date"
        table.add_row(name, *cells, seconds, why)
    if not sys.stderr.isatty():
        console = Console(stderr=True, highlight=False, width=160)
    console.print(table)
    for name, done in stages:
        # The report's manifest has a number of that name.
        for alarm in done.manifest.details.get("alarms", []) if name == "dedup" else []:
            share = alarm["removed"] / alarm["documents"]
            console.print(
                f"ALARM dedup: {alarm['kind']} {alarm['name']} loses {alarm['removed']:,} of {alarm['documents']:,} "
                f"documents ({share:.0%}); examples:",
                markup=False,
            )
            for example in alarm["examples"]:
                console.print(f"  {example}", markup=False, overflow="fold")
