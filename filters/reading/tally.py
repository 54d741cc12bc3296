"""The account of a read: what was seen, what became a row, what was skipped."""

from collections import Counter

__all__ = ["ReadTally"]

#: Ranges kept one by one; a file with more damage than this is described by its first ranges and the counts.
_MOST_RANGES = 10_000
#: Names of record types are the file's own words; beyond this many they are counted as "other".
_MOST_KINDS = 64


class ReadTally:
    """Filled by :func:`read_split`, valid when its iterator is exhausted.

    ``kinds``: records by kind, rows or not (``response``, ``request``, ``warcinfo``, ..., ``gap``);
    ``rows``: rows emitted; ``failed``: those with a ``failed_step``, by step;
    ``skipped``: (start, end, reason) in bytes of the file as stored, with ``skipped_bytes`` their sum;
    ``bytes_read``: bytes of the file as stored that belong to the split.
    """

    __slots__ = ("bytes_read", "failed", "kinds", "rows", "skipped", "skipped_bytes")

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.rows = 0
        self.skipped: list[tuple[int, int, str]] = []
        self.skipped_bytes = 0
        self.bytes_read = 0

    def count(self, kind: str) -> None:
        """One more record of a kind."""
        if kind not in self.kinds and len(self.kinds) >= _MOST_KINDS:
            kind = "other"
        self.kinds[kind] += 1

    def skip(self, start: int, end: int, reason: str) -> None:
        """Bytes [start, end) of the file were not readable as a record."""
        self.skipped_bytes += end - start
        if len(self.skipped) < _MOST_RANGES:
            self.skipped.append((start, end, reason))

    def add(self, other: "ReadTally") -> None:
        """Add the account of another split."""
        self.kinds.update(other.kinds)
        self.failed.update(other.failed)
        self.rows += other.rows
        self.skipped.extend(other.skipped[: _MOST_RANGES - len(self.skipped)])
        self.skipped_bytes += other.skipped_bytes
        self.bytes_read += other.bytes_read

    def __repr__(self) -> str:
        return (
            f"ReadTally(rows={self.rows}, kinds={dict(self.kinds)}, failed={dict(self.failed)}, "
            f"skipped={self.skipped}, bytes_read={self.bytes_read})"
        )
