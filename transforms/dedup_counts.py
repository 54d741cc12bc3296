"""Step 6b: in how many crawls a cluster was seen: different capture months, different sources. Duplicates only."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from algok.transforms.dedup_assign import ASSIGNED
from algok.transforms.dedup_exact import UnitFiles
from algok.transforms.dedup_stored import is_store, stored_rows
from algok.transforms.dedup_tables import ForUnits, OnPartitions, Plan, nodes_of, read_table, table_path, to_batches
from algok.transforms.shuffle import partitions_for
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["COUNTS", "build_counts", "months_of", "source_hashes"]

I64 = npt.NDArray[np.int64]
Batches = Callable[[], Iterator[pa.RecordBatch]]

#: What is counted of a document: itself, a month, a source.
ITSELF, MONTH, SOURCE = 0, 1, 2
SEEN = pa.schema(
    [
        pa.field("owner", pa.int64()),
        pa.field("keeper", pa.int64()),
        pa.field("node", pa.int64()),
        pa.field("kind", pa.int8()),
        pa.field("value", pa.int64()),
    ]
)
#: ``months`` and ``sources`` are those of a content (rows that keep one; others have none), the counts those of the
#: cluster.
COUNTS = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("node", pa.int64()),
        pa.field("snapshots", pa.int32()),
        pa.field("source_count", pa.int32()),
        pa.field("months", pa.list_(pa.int32())),
        pa.field("sources", pa.list_(pa.int64())),
    ]
)


def months_of(captured: pa.Array) -> I64:
    """Year x 12 + month (from 0) in UTC of each capture time, -1 where there is none.

    >>> months_of(pa.array([0, None], pa.timestamp("s", "UTC"))).tolist() == [1970 * 12, -1]
    True
    """
    seconds = captured.cast(pa.int64()).to_numpy(zero_copy_only=False)
    known = captured.is_valid().to_numpy(zero_copy_only=False)
    seconds = np.where(known, seconds, 0).astype(np.int64)
    months = seconds.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) + 1970 * 12
    return np.where(known, months, -1)


def source_hashes(sources: pa.Array) -> I64:
    """XXH3-64 of each source's name."""
    encoded = sources.fill_null("").dictionary_encode()
    known = [xxhash.xxh3_64_intdigest(name.encode()) for name in encoded.dictionary.to_pylist()]
    hashes: I64 = np.array(known, dtype=np.uint64).view(np.int64)[encoded.indices.to_numpy()]
    return hashes


class _Seen(msgspec.Struct, frozen=True):
    folder: str

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        path = table_path(f"{self.folder}/assigned", unit.body["index"])
        known = read_table(path, ASSIGNED, required=False).select(["owner", "keeper", "node"]).combine_chunks()
        if known.num_rows == 0:
            return
        for nodes, months, sources in self._stored(unit) if is_store(unit) else self._documents(unit):
            yield from self._rows(known, nodes, ITSELF, nodes[:, 0])
            yield from self._rows(known, months, MONTH, months[:, 1])
            yield from self._rows(known, sources, SOURCE, sources[:, 1])

    def _rows(self, known: pa.Table, given: I64, kind: int, value: I64) -> Iterator[pa.RecordBatch]:
        """Rows of SEEN for (node, value) pairs of assigned documents."""
        at = np.searchsorted(known["node"].to_numpy(), given[:, 0])
        inside = at < known.num_rows
        inside[inside] = known["node"].to_numpy()[at[inside]] == given[inside, 0]
        rows = known.take(pa.array(at[inside]))
        arrays = [*rows.columns, pa.array(np.full(rows.num_rows, kind, dtype=np.int8)), pa.array(value[inside])]
        yield from to_batches(pa.table(arrays, schema=SEEN))

    def _documents(self, unit: Unit) -> Iterator[tuple[I64, I64, I64]]:
        for batch, _ in DocumentRows(columns=("source", "captured")).read(unit, {}):
            nodes = nodes_of(unit.body["index"], batch.column("row").to_numpy(zero_copy_only=False))
            months = np.stack([nodes, months_of(batch.column("captured"))], axis=1)
            sources = np.stack([nodes, source_hashes(batch.column("source"))], axis=1)
            yield nodes[:, None], months[months[:, 1] >= 0], sources

    def _stored(self, unit: Unit) -> Iterator[tuple[I64, I64, I64]]:
        for batch in stored_rows(unit, ["node", "months", "sources"]):
            nodes = batch.column("node").to_numpy()
            lists = [batch.column(name) for name in ("months", "sources")]
            pairs = [np.stack([nodes[_parents(x)], x.flatten().to_numpy().astype(np.int64)], axis=1) for x in lists]
            yield nodes[:, None], pairs[0], pairs[1]


def _parents(lists: pa.Array) -> I64:
    """Row of every value of a list array."""
    return pc.list_parent_indices(lists).to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _distinct(*keys: I64) -> tuple[I64, ...]:
    """The distinct rows of some columns, sorted."""
    order = np.lexsort(keys[::-1])
    columns = tuple(key[order] for key in keys)
    new = np.ones(len(order), dtype=bool)
    if len(order):
        new[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in columns])
    return tuple(c[new] for c in columns)


def _count(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """COUNTS of the documents of whole clusters."""
    table = pa.Table.from_batches(batches(), SEEN).combine_chunks()
    owner, keeper, node, kind, value = (table[name].to_numpy() for name in SEEN.names)
    own = kind == ITSELF
    order = np.argsort(node[own], kind="stable")
    node_, owner_, keeper_ = node[own][order], owner[own][order], keeper[own][order]
    counts: list[Any] = []
    lists: list[Any] = []
    for wanted, width in ((MONTH, pa.int32()), (SOURCE, pa.int64())):
        mine = kind == wanted
        owners, _ = _distinct(owner[mine], value[mine])
        low, high = np.searchsorted(owners, owner_, "left"), np.searchsorted(owners, owner_, "right")
        counts.append(pa.array((high - low).astype(np.int32)))
        keepers, values = _distinct(keeper[mine], value[mine])
        low, high = np.searchsorted(keepers, node_, "left"), np.searchsorted(keepers, node_, "right")
        high = np.where(node_ == keeper_, high, low)
        sizes = high - low
        starts = np.concatenate([[0], np.cumsum(sizes)])
        picked = np.repeat(low - starts[:-1], sizes) + np.arange(starts[-1])
        lists.append(pa.ListArray.from_arrays(pa.array(starts.astype(np.int32)), pa.array(values[picked]).cast(width)))
    arrays = [pa.array((node_ >> 32).astype(np.int32)), pa.array(node_), *counts, *lists]
    yield from to_batches(pa.table(arrays, schema=COUNTS))


def build_counts(pipeline: beam.Pipeline, plan: Plan) -> None:
    """Write ``counts/<unit>.arrow`` (COUNTS, sorted by node): one row for every row of ``assigned``."""
    partitions = partitions_for(plan.rows * 32)
    seen = pipeline | "Seen" >> ForUnits(plan, _Seen(plan.folder))
    counted = seen | "ByCluster" >> OnPartitions(plan, "owner", partitions, _count)
    files = UnitFiles(plan.table("counts"), COUNTS, ("node",))
    _ = counted | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)
