"""Lines that many pages of a host repeat: menus, notices, copyright footers.

A line is compared by a 64-bit hash of its normalised form (``normalise``: case, width, punctuation and the amount of
white space do not count). A line without any word is never counted.

Kernels only: ``line_rows`` lists the lines of a batch, ``count_pages`` counts them, ``LineOptions.needed`` says how
many pages make a line boilerplate, ``line_ranges`` what to take out. Counting across files is a shuffle of hashes.
"""

import math
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.kernels import scan_lines
from algok.dedup.normalise import composed, fold_table, text_buffers
from algok.errors import RecipeError

__all__ = ["LineLimits", "LineOptions", "Lines", "count_pages", "line_ranges", "line_rows", "prose_lines"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]


class LineLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a repeated line is boilerplate, for one host or language."""

    #: Pages of the host (in the language) on which a line must occur at least.
    pages: int = 10
    #: Share of the host's pages in the language on which it must occur at least.
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.pages < 2:
            raise RecipeError(f"dedup.lines.pages must be at least 2, not {self.pages}")
        if not 0 <= self.share <= 1:
            raise RecipeError(f"dedup.lines.share must be 0 to 1, not {self.share}")


class LineOptions(LineLimits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines that the pages of a host repeat are taken out of the text; pages without a host are left alone."""

    #: Whether lines are taken out at all.
    on: bool = True
    #: A text that would lose more than this share of its bytes is left whole: it is a listing or a template page,
    #: which is for the filters to judge.
    most_of_text: float = 0.5
    #: Other limits for a language (ISO 639) or a host; those of a host win.
    languages: dict[str, LineLimits] = {}
    hosts: dict[str, LineLimits] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.most_of_text <= 1:
            raise RecipeError(f"dedup.lines.most_of_text must be 0 to 1, not {self.most_of_text}")

    def limits(self, host: str, language: str) -> LineLimits:
        """The limits for a host's pages in a language."""
        return self.hosts.get(host) or self.languages.get(language) or self

    def needed(self, host: str, language: str, pages: int) -> int:
        """Pages on which a line must occur, of a host that has ``pages`` in the language.

        >>> LineOptions().needed("a.example", "ko", 50), LineOptions().needed("a.example", "ko", 500)
        (10, 50)
        """
        limits = self.limits(host, language)
        return max(limits.pages, math.ceil(limits.share * pages))


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


def prose_lines(texts: pa.Array, lines: Lines) -> Bools:
    """Which lines are prose by the marks of Markdown: no headings, no table rows, no code (indented or fenced).

    Headings ("## References"), table rows and lines of code are repeated for good reasons; a page without them is
    broken. On mini_crawl they were most of the repeated lines of documentation sites.
    """
    data, offsets = text_buffers(texts)
    if len(lines.text) == 0:
        return np.zeros(0, dtype=np.bool_)
    at = offsets[lines.text] + lines.start
    first = data[at]
    structure = np.isin(first, np.frombuffer(b"#|`\t", dtype=np.uint8))
    padded = np.append(data, np.zeros(4, dtype=np.uint8))
    structure |= (padded[at[:, None] + np.arange(4)] == 0x20).all(axis=1)
    # A fence opens and closes: a line with an odd number of them before it in its text is code.
    ticks = data == 0x60
    fences = np.flatnonzero(ticks[:-2] & ticks[1:-1] & ticks[2:])
    begins = np.isin(fences, offsets[:-1])
    begins |= data[np.maximum(fences - 1, 0)] == 0x0A
    fences = fences[begins]
    before = np.searchsorted(fences, at) - np.searchsorted(fences, offsets[lines.text])
    return np.asarray(~structure & (before % 2 == 0), dtype=np.bool_)


def count_pages(group: I64, hashes: U64, page: I64) -> tuple[I64, U64, I64]:
    """(group, hash, pages) of every line, sorted; a line that a page has several times counts once for the page.

    ``group`` stands for a host and language, ``page`` for a document.
    """
    order = np.lexsort((page, hashes, group))
    group, hashes, page = group[order], hashes[order], page[order]
    line = np.ones(len(group), dtype=bool)
    line[1:] = (group[1:] != group[:-1]) | (hashes[1:] != hashes[:-1])
    new = line.copy()
    new[1:] |= page[1:] != page[:-1]
    starts = np.flatnonzero(line)
    counts = np.add.reduceat(new.astype(np.int64), starts) if len(starts) else np.zeros(0, dtype=np.int64)
    return group[starts], hashes[starts], counts


def line_ranges(texts: pa.Array, lines: Lines, chosen: Bools) -> tuple[I64, I64, I64]:
    """(row, start, end) to take out for the chosen lines: each with its line break; at the end of a text with the
    line breaks before it."""
    data, offsets = text_buffers(texts)
    row, start, end = lines.text[chosen], lines.start[chosen].copy(), lines.end[chosen]
    sizes = np.diff(offsets)[row]
    last = end >= sizes
    end = np.where(last, sizes, end + 1)
    for i in np.flatnonzero(last).tolist():
        base = offsets[row[i]]
        while start[i] > 0 and data[base + start[i] - 1] == 0x0A:
            start[i] -= 1
    return row, start, end
