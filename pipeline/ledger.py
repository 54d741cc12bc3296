"""Ledgers: what went into a stage must come out of it, by source and language."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec
import pyarrow as pa

from algok.errors import LedgerError
from algok.schema import FAILED, KEPT, LEDGER, REJECTED
from algok.transforms.sinks import Count

__all__ = ["Line", "check_balance", "check_handover", "from_counts", "from_tally", "ledger_table", "total"]

READ = "read"


class Line(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One line of a ledger; see ``schema.LEDGER`` for the meaning of the fields."""

    stage: str
    source: str
    language: str
    direction: Literal["in", "out"]
    outcome: str
    reason: str
    documents: int
    bytes: int


def from_counts(stage: str, counts: Iterable[Count]) -> list[Line]:
    """Output lines from what the writers counted."""
    return [
        Line(
            stage=stage,
            source=c.source,
            language=c.language,
            direction="out",
            outcome=c.outcome,
            reason=c.reason,
            documents=c.documents,
            bytes=c.bytes,
        )
        for c in counts
    ]


def from_tally(stage: str, read: dict[str, dict[str, list[int]]]) -> list[Line]:
    """Input lines from what the readers counted: {source: {language: [documents, bytes]}}."""
    return [
        Line(
            stage=stage,
            source=source,
            language=language,
            direction="in",
            outcome=READ,
            reason="",
            documents=documents,
            bytes=size,
        )
        for source, languages in sorted(read.items())
        for language, (documents, size) in sorted(languages.items())
    ]


def total(
    lines: Iterable[Line],
    direction: str,
    outcomes: tuple[str, ...] = (READ, KEPT, REJECTED, FAILED),
    *,
    by_language: bool = True,
) -> dict[tuple[str, str], int]:
    """Documents by (source, language), or by (source, '') when not ``by_language``."""
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        if line.direction == direction and line.outcome in outcomes:
            key = (line.source, line.language if by_language else "")
            sums[key] = sums.get(key, 0) + line.documents
    return sums


def check_balance(stage: str, lines: list[Line], *, by_language: bool = True) -> None:
    """Raise ``LedgerError`` unless in = kept + rejected + failed for every source (and language).

    ``extract`` balances by source only: the language of a record is not known before it is read.
    """
    _compare(
        f"stage {stage} does not balance",
        "in",
        total(lines, "in", by_language=by_language),
        "out",
        total(lines, "out", by_language=by_language),
    )


def check_handover(stage: str, lines: list[Line], before: str, previous: list[Line]) -> None:
    """Raise ``LedgerError`` unless the stage read exactly what its predecessor kept."""
    _compare(
        f"stage {stage} did not read what stage {before} kept",
        "read",
        total(lines, "in"),
        "kept before",
        total(previous, "out", (KEPT,)),
    )


def _compare(title: str, left: str, a: dict[tuple[str, str], int], right: str, b: dict[tuple[str, str], int]) -> None:
    wrong = [key for key in sorted(a.keys() | b.keys()) if a.get(key, 0) != b.get(key, 0)]
    if wrong:
        details = "; ".join(
            f"source {source}{f', language {language}' if language else ''}: "
            f"{left} {a.get((source, language), 0):,}, {right} {b.get((source, language), 0):,}"
            for source, language in wrong[:5]
        )
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise LedgerError(
            f"{title}: {details}{more}. The stage is not published. Please report this with the work folder's "
            "manifest files: a document was lost or counted twice"
        )


def ledger_table(lines: Iterable[Line]) -> pa.Table:
    """The lines as a table of schema LEDGER."""
    rows: list[dict[str, Any]] = [msgspec.structs.asdict(line) for line in lines]
    return pa.Table.from_pylist(rows, schema=LEDGER)
