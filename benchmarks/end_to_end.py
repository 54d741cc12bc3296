"""From WARC files to filtered documents, beside datatrove's FineWeb pipeline: pages per second of one core.

    python -m benchmarks.end_to_end [--crawl FOLDER] [--pages N] [--rounds N] [--quick]

Same pages, same machine, one process each (plus the child that each extracts in), one after the other in turn. CPU time
is that of the whole tree of processes. Each round runs both on a handful of pages as well; what that costs is start-up
(imports, URL lists, models, a Beam job), and the rate is that of the pages beyond:
(pages - few pages) / (CPU time - CPU time of the few).
"""

import argparse
import datetime
import shlex
import sys
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.machine import describe
from benchmarks.measure import Usage, measure
from benchmarks.pages import copy_pages
from benchmarks.peer import PEER, run_peer
from benchmarks.tables import RESULTS, Bar, Result, Table, publish, spread

__all__ = ["Run", "main", "summarize"]

_ROOT = Path(__file__).resolve().parent.parent
ALGOK, PUBLISHED, EVERY = "algok", "datatrove", "datatrove, all languages"
#: Pages of the run whose cost is start-up. Enough that every step of both has had a page (checked), so that what is
#: loaded late (word tokenizer, numba) is loaded.
FEW = 24
#: CPU time a page over that of the peer: at least four times its pages.
RATIO_LIMIT = 0.25


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One variant in one round: the cost of all pages and of the few."""

    variant: str
    round: int
    pages: int
    few: int
    all: Usage
    start: Usage

    @property
    def rate(self) -> float:
        """Pages per CPU second beyond start-up."""
        return (self.pages - self.few) / (self.all.cpu_s - self.start.cpu_s)

    @property
    def start_s(self) -> float:
        """CPU seconds of start-up: the few pages' own time is taken off."""
        return max(0.0, self.start.cpu_s - self.few / self.rate)


def _algok(crawl: Path, work: Path) -> Usage:
    return measure([sys.executable, "-m", "benchmarks.algok_curate", str(crawl), str(work / "run")])


def _run(variant: str, crawl: Path, work: Path) -> Usage:
    folder = work / variant.replace(", ", "-").replace(" ", "-")
    if variant == ALGOK:
        return _algok(crawl, folder)
    return run_peer(crawl, folder, "en" if variant == PUBLISHED else "all")


def _languages(usage: Usage) -> str:
    kept: dict[str, int] = usage.output["languages"]
    other = sum(n for language, n in kept.items() if language not in ("ko", "en"))
    return f"{kept.get('ko', 0):,} / {kept.get('en', 0):,} / {other:,}"


def _lost(usage: Usage) -> int:
    """Pages that ended in an error or at a time limit."""
    if "failed" in usage.output:
        return int(usage.output["failed"])
    names = ("timeout", "broken_process", "clean_error")
    return int(sum(step.get(name, 0) for step in usage.output["steps"] for name in names))


def summarize(runs: list[Run]) -> tuple[Table, Table, list[Bar]]:
    """Table of rates, table of ratios by round, and bars. The ratio of a round compares runs of that round only."""
    variants = list(dict.fromkeys(run.variant for run in runs))
    rows: list[list[str | int | float]] = []
    for variant in variants:
        own = [run for run in runs if run.variant == variant]
        last = own[-1]
        rows.append(
            [
                variant,
                spread([run.rate for run in own]),
                spread([run.all.cpu_s for run in own]),
                spread([run.all.wall_s for run in own]),
                spread([run.start_s for run in own]),
                f"{last.all.output['kept']:,} of {last.pages:,}",
                _languages(last.all),
                _lost(last.all),
                spread([run.all.peak.tree_mb for run in own]),
                spread([run.all.peak.process_mb for run in own]),
            ]
        )
    columns = ["", "pages/s/core", "CPU s", "wall s", "of it start-up, CPU s", "kept", "ko / en / other", "lost"]
    columns += ["peak MB, all processes", "peak MB, largest process"]
    rates = Table(title="Pages per second of one core, beyond start-up", columns=columns, rows=rows)
    ratios = {variant: _ratios(runs, variant) for variant in variants if variant != ALGOK}
    shown: list[list[str | int | float]] = [
        [variant, *(f"{ratio:.2f}" for ratio in found), f"{median(found):.2f}"] for variant, found in ratios.items()
    ]
    rounds = [f"round {number + 1}" for number in range(max((len(r) for r in ratios.values()), default=0))]
    shown = [[row[0], *(row[1:-1] + ["-"] * (len(rounds) - len(row) + 2)), row[-1]] for row in shown]
    table = Table(title="algok's rate over the peer's", columns=["beside", *rounds, "median"], rows=shown)
    bars = [
        Bar(name=f"CPU time a page over that of {variant}", value=1 / median(found), limit=RATIO_LIMIT)
        for variant, found in ratios.items()
    ]
    return rates, table, bars


def _ratios(runs: list[Run], variant: str) -> list[float]:
    ours = {run.round: run.rate for run in runs if run.variant == ALGOK}
    return [ours[run.round] / run.rate for run in runs if run.variant == variant and run.round in ours]


def _notes(few: int) -> list[str]:
    return [
        f"Peer: {PEER}, the steps of its `examples/fineweb.py` up to the quality filters (URL, trafilatura, language, "
        "Gopher repetition, Gopher quality, C4, FineWeb quality), English only as published; `all languages` lets "
        "every language through to the quality filters, whose word splitting stays English. What was changed to run "
        "it offline: see `benchmarks/datatrove_fineweb.py`.",
        "algok: `extract` and `filter` with their defaults: every page of every language is extracted, and all signals "
        "are measured. It splits words and judges by the page's language, so what the two keep is not the same.",
        f"Start-up: the cost of {few} pages less their share. Lost: pages that ended in an error or at a time limit "
        "(10 s: of wall-clock time for datatrove, of CPU time for algok).",
        "Where there is more than one round: median (smallest-largest).",
        "Memory: resident sizes sampled ten times a second; a page shared by two processes counts twice.",
    ]


def _settings(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="algok beside datatrove's FineWeb pipeline")
    parser.add_argument("--crawl", type=Path, default=_ROOT.parent / "shared" / "data" / "mini_crawl")
    parser.add_argument("--work", type=Path, default=_ROOT / "work" / "benchmarks" / "end_to_end")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--pages", type=int, default=1500, help="pages, evenly spread over the crawl; 0: all; default: %(default)s"
    )
    parser.add_argument("--few", type=int, default=FEW, help="pages of the run that measures start-up")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="200 pages at most, one round, no row for all languages")
    given = parser.parse_args(arguments)
    if given.quick:
        given.pages, given.rounds = min(given.pages or 200, 200), 1
    return given


def main(arguments: list[str] | None = None) -> Result:
    """Measure, print and write the result."""
    given = _settings(arguments)
    given.work = given.work.resolve()
    files = sorted(given.crawl.glob("*.warc.gz"))
    if not files:
        raise SystemExit(f"end_to_end: no *.warc.gz in {given.crawl}; name a folder of WARC files with --crawl")
    machine = describe()
    pages = copy_pages(files, given.work / "pages" / "pages.warc.gz", given.pages or None)
    variants = [ALGOK, PUBLISHED] + ([] if given.quick else [EVERY])
    few = _enough(files, given.work, min(given.few, pages // 2))
    runs = []
    for number in range(given.rounds):
        for variant in variants:
            start = _run(variant, given.work / "few", given.work / "start")
            whole = _run(variant, given.work / "pages", given.work / "all")
            run = Run(variant=variant, round=number, pages=pages, few=few, all=whole, start=start)
            print(f"round {number + 1}: {variant}: {run.rate:.1f} pages/s/core", file=sys.stderr, flush=True)
            runs.append(run)
    rates, ratios, bars = summarize(runs)
    result = Result(
        benchmark="end_to_end",
        title="End to end: from WARC files to filtered documents",
        command=shlex.join(["python", "-m", "benchmarks.end_to_end", *_shown(given)]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[rates, ratios],
        bars=bars,
        notes=_notes(few),
        measured=[msgspec.to_builtins(run) for run in runs],
    )
    print(publish(result, given.results))
    return result


def _shown(given: argparse.Namespace) -> list[str]:
    """The options that decide the numbers, without paths."""
    shown = ["--quick"] if given.quick else ["--rounds", str(given.rounds)]
    return [*shown, "--pages", str(given.pages)]


def _enough(files: list[Path], work: Path, few: int) -> int:
    """Write the few pages, more of them until each program keeps one (so no step is without work), and run them once
    so that caches on disk (URL lists, compiled kernels) are there for all rounds alike."""
    while True:
        few = copy_pages(files, work / "few" / "pages.warc.gz", few)
        outputs: list[Any] = [_run(variant, work / "few", work / "start").output for variant in (ALGOK, PUBLISHED)]
        if all(output["kept"] for output in outputs) or few > 500:
            return few
        few *= 2


if __name__ == "__main__":
    main()
