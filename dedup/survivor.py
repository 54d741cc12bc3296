"""Which document of a cluster is kept: a stated order of preference, the same for exact and near duplicates.

0. rows that an earlier crawl decided on (``owner`` >= 0): its survivors before all, its removed rows after all;
1. higher quality (null counts as lowest), 2. longer text, 3. older capture (null counts as newest), 4. smaller
   ``doc_id``,
5. smaller address. The last two make the order total, so the choice depends on no order of arrival.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["PREFERENCE", "doc_words", "first_of_groups", "preference_columns", "preferred_order"]

I64 = npt.NDArray[np.int64]

#: The columns that the order is taken from. ``owner``: the survivor that an earlier crawl chose for a row of its store
#: (itself, or the node of another), -1 for rows of this crawl; ``quality``: any number, higher is better;
#: ``length``: characters; ``captured``: seconds since 1970; ``node``: the row's address as one number.
PREFERENCE = pa.schema(
    [
        pa.field("owner", pa.int64()),
        pa.field("quality", pa.float32()),
        pa.field("length", pa.int32()),
        pa.field("captured", pa.int64()),
        pa.field("doc_id", pa.binary(16)),
        pa.field("node", pa.int64()),
    ]
)


def doc_words(ids: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """``binary(16)`` as two big-endian words, whose order is that of the bytes. Raises ``ValueError`` on nulls."""
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    if ids.null_count:
        raise ValueError("ids must not be null")
    raw = np.frombuffer(ids.buffers()[1] or b"", dtype=np.uint8)[ids.offset * 16 : (ids.offset + len(ids)) * 16]
    words = raw.view(">u8").reshape(-1, 2).astype(np.uint64)
    return words[:, 0], words[:, 1]


def _numbers(column: Any, missing: float, kind: Any) -> npt.NDArray[Any]:
    return column.fill_null(missing).to_numpy(zero_copy_only=False).astype(kind) if len(column) else np.zeros(0, kind)


def preference_columns(table: Any) -> list[npt.NDArray[Any]]:
    """Sort keys of a table or batch with the ``PREFERENCE`` columns, most important first, ascending: best first."""
    table = pa.table(table) if isinstance(table, dict) else table
    columns = {
        name: (c.combine_chunks() if isinstance(c := table.column(name), pa.ChunkedArray) else c)
        for name in PREFERENCE.names
    }
    quality = _numbers(columns["quality"], -np.inf, np.float64)
    quality[np.isnan(quality)] = -np.inf
    high, low = doc_words(columns["doc_id"])
    owner, node = _numbers(columns["owner"], -1, np.int64), _numbers(columns["node"], 0, np.int64)
    return [
        np.where(owner < 0, 1, np.where(owner == node, 0, 2)),
        -quality,
        -_numbers(columns["length"], 0, np.int64),
        _numbers(columns["captured"], np.iinfo(np.int64).max, np.int64),
        high,
        low,
        node,
    ]


def preferred_order(groups: list[npt.NDArray[Any]], table: Any) -> I64:
    """Row numbers sorted by group, then best first. ``groups`` are the group's keys, most important first."""
    return np.lexsort((*reversed(preference_columns(table)), *reversed(groups))).astype(np.int64)


def first_of_groups(groups: list[npt.NDArray[Any]], table: Any) -> tuple[I64, I64]:
    """For every row the row number of the best of its group, and the size of the group."""
    rows = len(groups[0])
    order = preferred_order(groups, table)
    new = np.ones(rows, dtype=bool)
    if rows:
        same = np.ones(rows - 1, dtype=bool)
        for key in groups:
            ordered = key[order]
            same &= ordered[1:] == ordered[:-1]
        new[1:] = ~same
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, rows))
    best, size = np.empty(rows, dtype=np.int64), np.empty(rows, dtype=np.int64)
    best[order] = np.repeat(order[starts], sizes)
    size[order] = np.repeat(sizes, sizes)
    return best, size
