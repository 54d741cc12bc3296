"""Lines that many pages of a host repeat: menus, notices, copyright footers.

A line is compared by a 64-bit hash of its normalised form (``normalise``: case, width, punctuation and the amount of
white space do not count). A line without any word is never counted.

Kernels only: ``line_rows`` lists the lines of a batch, ``repeated`` decides which lines of a host are boilerplate,
``without_lines`` takes them out. Counting across files is a shuffle by host.
"""

from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.kernels import scan_lines
from algok.dedup.normalise import composed, fold_table, text_buffers
from algok.errors import RecipeError

__all__ = ["LineOptions", "Lines", "line_rows", "repeated", "without_lines"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


class LineOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a repeated line is boilerplate, and how much of a text may go."""

    #: Pages of the host on which a line must occur at least.
    pages: int = 10
    #: Share of the host's pages (of a language) on which it must occur at least.
    share: float = 0.1
    #: A text that would lose more than this share of its bytes is left whole: it is a listing or a template page,
    #: which is for the filters to judge.
    most_of_text: float = 0.5

    def __post_init__(self) -> None:
        if self.pages < 2:
            raise RecipeError(f"dedup.lines.pages must be at least 2, not {self.pages}")
        for name in ("share", "most_of_text"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise RecipeError(f"dedup.lines.{name} must be 0 to 1, not {value}")


class Lines(NamedTuple):
    """Lines with words: text number, hash, first and last + 1 byte (counted from the start of the text, line break
    excluded)."""

    text: I64
    hash: U64
    start: I64
    end: I64


def line_rows(texts: pa.Array) -> Lines:
    """The lines of all texts in order."""
    data, offsets = text_buffers(texts)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    breaks = int(np.count_nonzero(data[offsets[0] : offsets[-1]] == 0x0A)) + len(texts)
    slow = np.zeros(len(texts), dtype=np.bool_)
    parts = [_lines(data, offsets, valid, False, breaks, slow)]
    rows = np.flatnonzero(slow)
    for row in rows.tolist():
        # Composition moves bytes: hash line by line, so that the places are those of the text as it is.
        parts.append(_composed_lines(row, texts[row].as_py()))  # noqa: PERF401
    if len(parts) == 1:
        return parts[0]
    text, start = np.concatenate([p.text for p in parts]), np.concatenate([p.start for p in parts])
    hashes, end = np.concatenate([p.hash for p in parts]), np.concatenate([p.end for p in parts])
    order = np.lexsort((start, text))
    return Lines(text[order], hashes[order], start[order], end[order])


def _lines(data: Any, offsets: I64, valid: Bools, trusted: bool, most: int, slow: Bools) -> Lines:
    text, starts, ends = (np.empty(most, dtype=np.int64) for _ in range(3))
    hashes = np.empty(most, dtype=np.uint64)
    used = scan_lines(data, offsets, valid, fold_table(), trusted, text, hashes, starts, ends, slow)
    return Lines(text[:used], hashes[:used], starts[:used], ends[:used])


def _composed_lines(row: int, text: str) -> Lines:
    lines = text.split("\n")
    sizes = [len(line.encode()) for line in lines]
    starts = np.concatenate([[0], np.cumsum(np.array(sizes) + 1)])[:-1]
    data, offsets = text_buffers(pa.array([composed(line) for line in lines], pa.large_string()))
    ok = np.ones(len(lines), dtype=np.bool_)
    found = _lines(data, offsets, ok, True, len(lines), ~ok)
    at = found.text
    return Lines(np.full(len(at), row, dtype=np.int64), found.hash, starts[at], starts[at] + np.array(sizes)[at])


def repeated(
    group: npt.NDArray[Any], hashes: U64, page: I64, pages_of_group: dict[int, int], options: LineOptions
) -> tuple[npt.NDArray[Any], U64, I64]:
    """(group, hash, pages) of the lines that are boilerplate; ``group`` stands for a host and language, ``page`` for
    a document.

    A line that a page has several times counts once for the page.
    """
    order = np.lexsort((page, hashes, group))
    group, hashes, page = group[order], hashes[order], page[order]
    line = np.ones(len(group), dtype=bool)
    line[1:] = (group[1:] != group[:-1]) | (hashes[1:] != hashes[:-1])
    new = line.copy()
    new[1:] |= page[1:] != page[:-1]
    starts = np.flatnonzero(line)
    counts = np.add.reduceat(new.astype(np.int64), starts) if len(starts) else np.zeros(0, dtype=np.int64)
    group, hashes = group[starts], hashes[starts]
    totals = np.array([pages_of_group[g] for g in group.tolist()], dtype=np.int64)
    chosen = (counts >= options.pages) & (counts >= options.share * totals)
    return group[chosen], hashes[chosen], counts[chosen]


def without_lines(texts: pa.Array, lines: Lines, chosen: Bools, options: LineOptions) -> tuple[pa.Array, I64, I64]:
    """The texts without the chosen lines, how many lines each lost, and how many bytes.

    A text that would lose more than ``most_of_text`` of its bytes is returned whole, with 0 lost.
    """
    data, offsets = text_buffers(texts)
    lost_lines, lost_bytes = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=np.int64)
    np.add.at(lost_lines, lines.text[chosen], 1)
    np.add.at(lost_bytes, lines.text[chosen], lines.end[chosen] - lines.start[chosen])
    sizes = np.diff(offsets)
    spared = lost_bytes > options.most_of_text * sizes
    lost_lines[spared], lost_bytes[spared] = 0, 0
    out: list[str | None] = texts.to_pylist()
    for row in np.flatnonzero(lost_lines).tolist():
        first, last = np.searchsorted(lines.text, [row, row + 1])
        raw = data[offsets[row] : offsets[row + 1]].tobytes()
        kept: list[bytes] = []
        at = 0
        for i in range(first, last):
            if chosen[i]:
                kept.append(raw[at : lines.start[i]])
                at = min(int(lines.end[i]) + 1, len(raw))  # with its line break
        text = b"".join([*kept, raw[at:]]).decode("utf-8", "replace")
        out[row] = text.rstrip("\n") if lines.end[first:last][chosen[first:last]].max() >= len(raw) else text
    return pa.array(out, pa.large_string()), lost_lines, lost_bytes
