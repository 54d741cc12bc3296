"""Exact long spans that several documents share, found by content-defined chunks (Muthitacharoen et al. 2001, LBFS).

A text is cut where a hash of its last 64 bytes says so (a gear hash, Xia et al. 2014), so two texts that share a
span are cut alike within it from about 64 bytes after its start. A chunk is compared by a 64-bit hash of its bytes: no
normalisation. Runs of chunks that another document owns make a span; at each end of what is really shared up to a chunk
may stay. The memory is that of the text being cut; matching is a shuffle of hashes, so nothing grows with the corpus.
"""

from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from algok.dedup.normalise import text_buffers
from algok.errors import RecipeError

__all__ = ["Chunks", "SpanOptions", "chunk_rows", "span_ranges"]

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]

#: Bytes of a chunk: at least and at most. In the mean 130 of ASCII and 260 of Hangul, so 16 a document of 4 kB.
LEAST_BYTES, MOST_BYTES = 64, 1024
#: Top bits of the hash that are zero at a cut: one of 64 characters is, after LEAST_BYTES.
_CUT = np.uint64(0x3F) << np.uint64(58)


class SpanOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Long spans that several documents have word for word: all but one of them lose it."""

    #: Whether spans are sought.
    on: bool = False
    #: Characters that a span has at least.
    chars: int = 300
    #: Whether documents of all hosts are compared, or only those of one host and language.
    scope: Literal["all", "host"] = "all"

    def __post_init__(self) -> None:
        if self.chars < 50:
            raise RecipeError(f"dedup.spans.chars must be at least 50, not {self.chars}: shorter spans are language")


class Chunks(NamedTuple):
    """Chunks of texts in order: text number, hash, first and last + 1 byte (from the start of the text), characters."""

    text: I64
    hash: U64
    start: I64
    end: I64
    chars: I64


def _gear() -> U64:
    return np.random.Generator(np.random.PCG64(0x5EED)).integers(0, 2**64, 256, dtype=np.uint64)


GEAR = _gear()


@njit(cache=True, nogil=True)
def _chunk(data, offsets, valid, gear, cut, least, most, text, hashes, starts, ends, chars):  # type: ignore[no-untyped-def]
    used = 0
    for i in range(len(offsets) - 1):
        if not valid[i]:
            continue
        base, end = offsets[i], offsets[i + 1]
        first = base
        roll = np.uint64(0)
        value = np.uint64(0xCBF29CE484222325)
        count = 0
        for p in range(base, end):
            byte = data[p]
            roll = np.uint64(np.uint64(roll << np.uint64(1)) + gear[byte])
            value = np.uint64((value ^ np.uint64(byte)) * np.uint64(0x100000001B3))
            count += (byte & 0xC0) != 0x80
            size = p + 1 - first
            whole = p + 1 == end or (data[p + 1] & 0xC0) != 0x80
            if p + 1 == end or (whole and ((size >= least and (roll & cut) == 0) or size >= most)):
                value ^= value >> np.uint64(32)
                value *= np.uint64(0xD6E8FEB86659FD93)
                value ^= value >> np.uint64(32)
                text[used], hashes[used], chars[used] = i, value, count
                starts[used], ends[used] = first - base, p + 1 - base
                used += 1
                first = p + 1
                value = np.uint64(0xCBF29CE484222325)
                count = 0
    return used


def chunk_rows(texts: pa.Array) -> Chunks:
    """The chunks of all texts in order; together they are the texts."""
    data, offsets = text_buffers(texts)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    most = int(offsets[-1] - offsets[0]) // LEAST_BYTES + len(texts) + 1
    text, starts, ends, chars = (np.empty(most, dtype=np.int64) for _ in range(4))
    hashes = np.empty(most, dtype=np.uint64)
    used = _chunk(data, offsets, valid, GEAR, _CUT, LEAST_BYTES, MOST_BYTES, text, hashes, starts, ends, chars)
    return Chunks(text[:used], hashes[:used], starts[:used], ends[:used], chars[:used])


def span_ranges(chunks: Chunks, foreign: Bools, options: SpanOptions) -> tuple[I64, I64, I64, I64]:
    """(row, start, end, first chunk) of the runs of ``foreign`` chunks that have ``options.chars`` characters or more.

    >>> made = chunk_rows(pa.array(["가나다 " * 200]))
    >>> span_ranges(made, np.ones(len(made.text), dtype=bool), SpanOptions())[2].tolist()
    [2000]
    """
    if not foreign.any():
        empty: Any = np.zeros(0, dtype=np.int64)
        return empty, empty, empty, empty
    at = np.flatnonzero(foreign)
    begins = np.ones(len(at), dtype=bool)
    begins[1:] = (at[1:] != at[:-1] + 1) | (chunks.text[at[1:]] != chunks.text[at[:-1]])
    starts = np.flatnonzero(begins)
    size = np.add.reduceat(chunks.chars[at], starts)
    first, last = at[starts], at[np.append(starts[1:], len(at)) - 1]
    keep = size >= options.chars
    first, last = first[keep], last[keep]
    return chunks.text[first], chunks.start[first], chunks.end[last], first
