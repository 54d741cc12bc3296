"""Step 1: documents of the same content; one of each is passed on to near deduplication."""

from collections.abc import Callable, Iterator

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from algok.dedup.exact import exact_groups
from algok.dedup.options import DedupOptions
from algok.dedup.survivor import PREFERENCE
from algok.transforms.dedup_stored import STORED_PREFERENCE, is_store, stored_preference, stored_rows
from algok.transforms.dedup_tables import (
    ForUnits,
    OnPartitions,
    Plan,
    nodes_of,
    read_table,
    table_path,
    to_batches,
    unit_slices,
    write_table,
)
from algok.transforms.shuffle import partitions_for
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["EXACT", "UnitFiles", "build_exact", "document_columns", "exact_rows", "preference_batch"]

#: ``weight``: documents that a row stands for.
CONTENT = pa.schema([pa.field("content_hash", pa.binary(16)), pa.field("weight", pa.int64()), *PREFERENCE])
#: One row for every kept document: its exact survivor (``keeper``) and how many documents have the content.
EXACT = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("node", pa.int64()),
        pa.field("keeper", pa.int64()),
        pa.field("keeper_doc", pa.binary(16)),
        pa.field("copies", pa.int64()),
    ]
)


def document_columns(options: DedupOptions, *extra: str) -> tuple[str, ...]:
    """Columns of DOCUMENTS that the preference needs, and ``extra`` ones."""
    return tuple(dict.fromkeys(["chars", "captured", *([options.quality] if options.quality else []), *extra]))


def preference_batch(batch: pa.RecordBatch, index: int, options: DedupOptions) -> dict[str, pa.Array]:
    """The ``PREFERENCE`` columns of a batch of ``DocumentRows``."""
    quality = batch.column(options.quality).cast(pa.float32()) if options.quality else None
    rows = batch.column("row").to_numpy(zero_copy_only=False)
    return {
        "owner": pa.array(np.full(batch.num_rows, -1, dtype=np.int64)),
        "quality": quality if quality is not None else pa.nulls(batch.num_rows, pa.float32()),
        "length": batch.column("chars"),
        "captured": batch.column("captured").cast(pa.int64()),
        "doc_id": batch.column("doc_id"),
        "node": pa.array(nodes_of(index, rows), pa.int64()),
    }


class _Contents(msgspec.Struct, frozen=True):
    """Content and preference of a unit's documents, without those that another capture of their URL stands for."""

    plan: Plan
    options: DedupOptions

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        index = unit.body["index"]
        if is_store(unit):
            captures = read_table(table_path(self.plan.table("urls"), index), EXACT, required=False)
            added = dict(zip(captures["node"].to_pylist(), captures["copies"].to_pylist(), strict=True))
            for batch in stored_rows(unit, ["content_hash", "copies", *STORED_PREFERENCE]):
                columns = stored_preference(batch)
                more = np.array([added.get(node, 0) for node in columns["node"].to_pylist()], dtype=np.int64)
                weight = pa.array(batch.column("copies").to_numpy() + more)
                columns |= {"content_hash": batch.column("content_hash"), "weight": weight}
                columns["owner"] = columns["node"]  # no row of a store is a copy of another row
                yield pa.RecordBatch.from_arrays([columns[name] for name in CONTENT.names], schema=CONTENT)
            return
        urls = read_table(table_path(self.plan.table("urls"), index), EXACT, required=False).combine_chunks()
        known, keeper, copies = (urls[name].to_numpy() for name in ("node", "keeper", "copies"))
        source = DocumentRows(columns=document_columns(self.options, "content_hash"))
        for batch, _ in source.read(unit, {}):
            batch = batch.filter(pc.is_valid(batch.column("content_hash")))
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            at = np.searchsorted(known, nodes)
            hit = at < len(known)
            hit[hit] = known[at[hit]] == nodes[hit]
            stays = np.ones(len(nodes), dtype=bool)
            stays[hit] = keeper[at[hit]] == nodes[hit]
            weight = np.ones(len(nodes), dtype=np.int64)
            weight[hit] = copies[at[hit]]
            batch = batch.filter(pa.array(stays))
            if batch.num_rows:
                columns = {"content_hash": batch.column("content_hash"), "weight": pa.array(weight[stays])}
                columns |= preference_batch(batch, index, self.options)
                yield pa.RecordBatch.from_arrays([columns[name] for name in CONTENT.names], schema=CONTENT)


def exact_rows(table: pa.Table, best: npt.NDArray[np.int64]) -> pa.Table:
    """Rows of EXACT: ``best`` is the row of each row's keeper, ``weight`` the documents that a row stands for.

    A row of a store (``owner`` >= 0) keeps itself, also where another store has it too.
    """
    node = table["node"].to_numpy()
    stored = table["owner"].to_numpy() >= 0
    own = np.arange(len(node))
    sums = np.zeros(len(node), dtype=np.int64)
    weight = table["weight"].to_numpy()
    np.add.at(sums, np.where(stored, own, best), weight)
    best = np.where(stored, own, best)
    rows = pa.array(best)
    columns = [
        pa.array((node >> 32).astype(np.int32)),
        table["node"],
        table["node"].take(rows),
        table["doc_id"].take(rows),
        pa.array(sums[best]),
    ]
    return pa.table(columns, schema=EXACT)


def _survivors(partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(batches(), CONTENT).combine_chunks()
    best, _ = exact_groups(table["content_hash"], table)
    yield from to_batches(exact_rows(table, best))


class UnitFiles(msgspec.Struct, frozen=True):
    """Handler that writes the rows of each unit (column ``unit``) of a partition to ``<folder>/<unit>.arrow``, sorted.

    ``sort`` are integer columns; with ``distinct`` rows that agree in all of them are written once.
    """

    folder: str
    schema: pa.Schema
    sort: tuple[str, ...]
    distinct: bool = False

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[str]:
        table = pa.Table.from_batches(batches(), self.schema).combine_chunks()
        keys = [table[name].to_numpy() for name in ("unit", *self.sort)]
        order = np.lexsort(keys[::-1])
        if self.distinct and len(order):
            differs = np.zeros(len(order), dtype=bool)
            differs[0] = True
            for key in keys:
                differs[1:] |= key[order][1:] != key[order][:-1]
            order = order[differs]
        table = table.take(pa.array(order))
        for unit, rows in unit_slices(table["unit"].to_numpy()):
            part = table.slice(rows.start, rows.stop - rows.start)
            write_table(table_path(self.folder, unit), to_batches(part), self.schema)
            yield f"{unit}"


def build_exact(pipeline: beam.Pipeline, plan: Plan, options: DedupOptions) -> None:
    """Write ``exact/<unit>.arrow`` (EXACT, sorted by node) for every unit with kept documents that have text."""
    partitions = partitions_for(plan.rows * 64)
    contents = pipeline | "Contents" >> ForUnits(plan, _Contents(plan, options))
    groups = contents | "ByContent" >> OnPartitions(plan, "content_hash", partitions, _survivors)
    files = UnitFiles(plan.table("exact"), EXACT, ("node",))
    _ = groups | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)
