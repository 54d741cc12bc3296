"""Results: Markdown tables for readers, JSON for machines, and bars that are held or missed."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from benchmarks.machine import markdown_line

__all__ = ["RESULTS", "Bar", "Result", "Table", "markdown", "publish", "spread"]

RESULTS = Path(__file__).resolve().parent / "results"


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A number that has to stay at or below ``limit``."""

    name: str
    value: float
    limit: float

    @property
    def held(self) -> bool:
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "holds" if self.held else "**MISSES its bar**"
        return f"{self.name}: {self.value:.3g} (bar: at most {self.limit:g}): {verdict}"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """``rows`` have as many cells as there are ``columns``; numbers are aligned to the right."""

    title: str
    columns: list[str]
    rows: list[list[str | int | float]]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"table {self.title!r}: a row has {len(wrong[0])} cells for {len(self.columns)} columns")


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """All of one benchmark. ``measured`` are the single measurements from which the tables were computed."""

    benchmark: str
    title: str
    command: str
    date: str
    machine: dict[str, Any]
    tables: list[Table]
    bars: list[Bar]
    notes: list[str]
    measured: Any


def _cell(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _table(table: Table) -> list[str]:
    numeric = [all(not isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]
    lines = [
        "| " + " | ".join(table.columns) + " |",
        "|" + "|".join("---:" if right else "---" for right in numeric) + "|",
    ]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in table.rows]
    return [f"**{table.title}**", "", *lines, ""]


def markdown(result: Result) -> str:
    """The result as a Markdown page."""
    lines = [f"# {result.title}", ""]
    for table in result.tables:
        lines += _table(table)
    if result.bars:
        lines += [*(f"- {bar}" for bar in result.bars), ""]
    lines += [f"- {note}" for note in result.notes]
    lines += ["", f"`{result.command}`, {result.date}.", "", markdown_line(result.machine), ""]
    return "\n".join(lines)


def publish(result: Result, folder: Path = RESULTS) -> str:
    """Write ``<benchmark>.md`` and ``<benchmark>.json``; returns the page."""
    page = markdown(result)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{result.benchmark}.md").write_text(page, encoding="utf-8")
    encoded = msgspec.json.format(msgspec.json.encode(result, order="sorted"), indent=1)
    (folder / f"{result.benchmark}.json").write_bytes(encoded + b"\n")
    return page


def spread(values: Sequence[float]) -> str:
    """Median, and the smallest and largest value where there are several.

    >>> spread([3.0, 1.0, 2.0]), spread([1.0])
    ('2 (1-3)', '1')
    """
    middle = f"{median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g}-{max(values):.3g})"
