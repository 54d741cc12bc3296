"""Edits: byte ranges of a text that deduplication takes out. A text without any is not copied."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.normalise import text_buffers

__all__ = ["joined_ranges", "without_ranges"]

I64 = npt.NDArray[np.int64]


def joined_ranges(row: I64, start: I64, end: I64) -> tuple[I64, I64, I64, I64]:
    """Ranges in the order of (row, start) with overlaps cut off: (row, start, end, position in the input).

    What an earlier range of the row covers is taken from the later one; ranges that nothing is left of are dropped.

    >>> [x.tolist() for x in joined_ranges(*(np.array(x) for x in ([0, 0, 1], [0, 5, 3], [8, 9, 4])))]
    [[0, 0, 1], [0, 8, 3], [8, 9, 4], [0, 1, 2]]
    """
    order = np.lexsort((-end, start, row))
    row, start, end = row[order], start[order].copy(), end[order]
    if len(row):
        # The furthest end so far within a row: rows are set apart by an offset larger than any text.
        apart = row * (np.int64(1) << np.int64(40))
        reach = np.maximum.accumulate(end + apart)
        start[1:] = np.maximum(start[1:], np.minimum(reach[:-1] - apart[1:], end[1:]))
    keep = start < end
    return row[keep], start[keep], end[keep], order[keep]


def without_ranges(texts: pa.Array, row: I64, start: I64, end: I64) -> tuple[pa.Array, I64]:
    """The texts without the given byte ranges, and the bytes that each text lost.

    Ranges are sorted by (row, start), do not overlap, and begin and end at characters: else ``ValueError``.

    >>> without_ranges(pa.array(["가나다", "x"]), *(np.array(x) for x in ([0], [3], [6])))[0].to_pylist()
    ['가다', 'x']
    """
    lost = np.zeros(len(texts), dtype=np.int64)
    if len(row) == 0:
        return texts, lost
    if np.any((row[1:] == row[:-1]) & (start[1:] < end[:-1])) or np.any(row[1:] < row[:-1]) or np.any(start > end):
        raise ValueError("edits must be sorted and must not overlap")
    np.add.at(lost, row, end - start)
    data, offsets = text_buffers(texts)
    rows, first = np.unique(row, return_index=True)
    bounds = np.append(first, len(row))
    changed: list[str] = []
    for i, r in enumerate(rows.tolist()):
        raw = data[offsets[r] : offsets[r + 1]].tobytes()
        kept, at = [], 0
        for k in range(bounds[i], bounds[i + 1]):
            kept.append(raw[at : start[k]])
            at = int(end[k])
        if at > len(raw):
            raise ValueError(f"an edit ends at byte {at} of a text of {len(raw)}")
        changed.append(b"".join([*kept, raw[at:]]).decode("utf-8"))
    order = np.arange(len(texts))
    order[rows] = len(texts) + np.arange(len(rows))
    both: Any = pa.concat_arrays([texts.cast(pa.large_string()), pa.array(changed, pa.large_string())])
    return both.take(pa.array(order)), lost
