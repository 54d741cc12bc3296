"""Step 6: what each document that has duplicates is: exact groups joined with the near clusters of their keepers."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa

from algok.transforms.dedup_exact import UnitFiles
from algok.transforms.dedup_pairs import ATTRIBUTES, NEAR
from algok.transforms.dedup_tables import (
    OnPartitions,
    Plan,
    ReadTables,
    lookup,
    read_table,
    table_path,
    to_batches,
    unit_slices,
)
from algok.transforms.shuffle import partitions_for

__all__ = ["ASSIGNED", "build_assign"]

Batches = Callable[[], Iterator[pa.RecordBatch]]

#: Members of near clusters with what the clusters' sums need.
MEMBERS = pa.schema([*NEAR, pa.field("copies", pa.int64()), pa.field("doc_id", pa.binary(16))])
#: Joined by ``keeper``: rows of exact groups (``node`` >= 0) and near clusters' members (``node`` = -1).
JOIN = pa.schema(
    [
        pa.field("keeper", pa.int64()),
        pa.field("node", pa.int64()),
        pa.field("cluster_id", pa.binary(16)),
        pa.field("size", pa.int64()),
        pa.field("similarity", pa.float32()),
        pa.field("survivor", pa.bool_()),
        pa.field("copies", pa.int64()),
        pa.field("owner", pa.int64()),
    ]
)
#: What is known of a document that has duplicates. ``copy``: another row of its content stands for it (``keeper``);
#: ``url``: another capture of its URL does; ``owner`` is the survivor of the cluster.
ASSIGNED = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("node", pa.int64()),
        pa.field("cluster_id", pa.binary(16)),
        pa.field("cluster_size", pa.int64()),
        pa.field("survivor", pa.bool_()),
        pa.field("near", pa.bool_()),
        pa.field("copy", pa.bool_()),
        pa.field("url", pa.bool_()),
        pa.field("similarity", pa.float32()),
        pa.field("exact_copies", pa.int64()),
        pa.field("keeper", pa.int64()),
        pa.field("owner", pa.int64()),
    ]
)

#: Rows of ASSIGNED by the document that is asked for: itself, or the capture that stands for it (``found`` is False).
WAITING = pa.schema([pa.field("key", pa.int64()), pa.field("found", pa.bool_()), *ASSIGNED])


def _table(batches: Batches, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches(), schema).combine_chunks()


def _with_unit(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    units = pa.array((batch.column("node").to_numpy() >> 32).astype(np.int32))
    schema = pa.schema([pa.field("unit", pa.int32()), *batch.schema])
    yield pa.RecordBatch.from_arrays([units, *batch.columns], schema=schema)


class _Attach(msgspec.Struct, frozen=True):
    """Members of near clusters with their copies and doc_ids; a survivor that is listed twice is one."""

    folder: str

    def __call__(self, partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
        table = _table(batches, pa.schema([pa.field("unit", pa.int32()), *NEAR]))
        node = table["node"].to_numpy()
        _, first = np.unique(node, return_index=True)
        table, node = table.take(pa.array(first)).drop_columns("unit"), node[first]
        for unit, rows in unit_slices(node >> 32):
            known = read_table(table_path(self.folder, unit), ATTRIBUTES).combine_chunks()
            at = pa.array(lookup(known["node"].to_numpy(), node[rows], f"attributes of unit {unit}"))
            part = table.slice(rows.start, rows.stop - rows.start)
            columns = [*part.columns, known["copies"].take(at), known["doc_id"].take(at)]
            yield from to_batches(pa.table(columns, schema=MEMBERS))


def _sizes(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Members of whole clusters (by survivor) with the cluster's id and size."""
    table = _table(batches, MEMBERS)
    node, survivor = table["node"].to_numpy(), table["survivor"].to_numpy()
    order = np.lexsort((node, survivor))
    starts = np.flatnonzero(np.concatenate([[True], survivor[order][1:] != survivor[order][:-1]]))
    counts = np.diff(np.append(starts, len(order)))
    size = np.empty(len(order), dtype=np.int64)
    size[order] = np.repeat(np.add.reduceat(table["copies"].to_numpy()[order], starts), counts)
    heads = np.flatnonzero(node == survivor)
    heads = heads[np.argsort(node[heads])]
    head = heads[lookup(node[heads], survivor, "clusters")]
    arrays = [
        table["node"],
        pa.array(np.full(len(node), -1, dtype=np.int64)),
        table["doc_id"].take(pa.array(head)),
        pa.array(size),
        table["similarity"],
        pa.array(node == survivor),
        table["copies"],
        table["survivor"],
    ]
    yield from to_batches(pa.table(arrays, schema=JOIN))


def _copies(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Rows of exact groups of two and more, as if nothing else were like them."""
    many = pa.array(batch.column("copies").to_numpy() > 1)
    batch = batch.filter(many)
    if batch.num_rows:
        keeper, node = batch.column("keeper"), batch.column("node")
        own = pa.array(keeper.to_numpy() == node.to_numpy())
        ones = pa.array(np.ones(batch.num_rows, dtype=np.float32))
        arrays = [
            keeper,
            node,
            batch.column("keeper_doc"),
            batch.column("copies"),
            ones,
            own,
            batch.column("copies"),
            keeper,
        ]
        yield pa.RecordBatch.from_arrays(arrays, schema=JOIN)


def _assign(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Join exact groups with the near cluster of their keeper."""
    table = _table(batches, JOIN)
    node = table["node"].to_numpy()
    near = table.filter(pa.array(node == -1)).sort_by("keeper")
    rows = table.filter(pa.array(node != -1))
    own = rows["node"].to_numpy()
    row_keeper, near_keeper = rows["keeper"].to_numpy(), near["keeper"].to_numpy()
    # Members that no exact group mentions stand for themselves.
    alone = near.filter(pa.array(~np.isin(near_keeper, row_keeper)))
    if alone.num_rows:
        yield from _assigned(alone, alone["keeper"].to_numpy(), alone)
    at = np.searchsorted(near_keeper, row_keeper)
    found = at < len(near_keeper)
    found[found] = near_keeper[at[found]] == row_keeper[found]
    if found.any():
        part = rows.filter(pa.array(found))
        yield from _assigned(part, own[found], near.take(pa.array(at[found])))
    if not found.all():
        part = rows.filter(pa.array(~found))
        yield from _assigned(part, own[~found], None)


def _assigned(rows: pa.Table, node: Any, near: pa.Table | None) -> Iterator[pa.RecordBatch]:
    """Rows of ASSIGNED; ``near`` has the keepers' rows in the same order, or is None for purely exact groups."""
    source = rows if near is None else near
    copy = rows["keeper"].to_numpy() != node
    survivor = source["survivor"].to_numpy(zero_copy_only=False) & ~copy
    arrays = [
        pa.array((node >> 32).astype(np.int32)),
        pa.array(node),
        source["cluster_id"],
        source["size"],
        pa.array(survivor),
        pa.array(np.full(len(node), near is not None)),
        pa.array(copy),
        pa.array(np.zeros(len(node), dtype=bool)),
        source["similarity"],
        rows["copies"],
        rows["keeper"],
        source["owner"],
    ]
    yield from to_batches(pa.table(arrays, schema=ASSIGNED))


def _known(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    found = pa.array(np.ones(batch.num_rows, dtype=bool))
    yield pa.RecordBatch.from_arrays([batch.column("node"), found, *batch.columns], schema=WAITING)


def _captures(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Documents that another capture of their URL stands for, waiting for what that one is."""
    batch = batch.filter(pa.array(batch.column("keeper").to_numpy() != batch.column("node").to_numpy()))
    if batch.num_rows == 0:
        return
    n = batch.num_rows
    made = {
        "key": batch.column("keeper"),
        "found": pa.array(np.zeros(n, dtype=bool)),
        "unit": batch.column("unit"),
        "node": batch.column("node"),
    }
    arrays = [made[f.name] if f.name in made else pa.nulls(n, f.type) for f in WAITING]
    yield pa.RecordBatch.from_arrays(arrays, schema=WAITING)


def _follow(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Rows of ASSIGNED, those of other captures made from the row of the capture that stands for them."""
    table = _table(batches, WAITING)
    found = table["found"].to_numpy(zero_copy_only=False)
    known = table.filter(pa.array(found)).sort_by("key")
    yield from to_batches(known.select(ASSIGNED.names))
    waiting = table.filter(pa.array(~found))
    if waiting.num_rows:
        at = pa.array(lookup(known["key"].to_numpy(), waiting["key"].to_numpy(), "exact groups"))
        made = {
            "unit": waiting["unit"],
            "node": waiting["node"],
            "survivor": pa.array(np.zeros(len(at), dtype=bool)),
            "copy": pa.array(np.zeros(len(at), dtype=bool)),
            "url": pa.array(np.ones(len(at), dtype=bool)),
        }
        arrays = [made[name] if name in made else known[name].take(at) for name in ASSIGNED.names]
        yield from to_batches(pa.table(arrays, schema=ASSIGNED))


def build_assign(pipeline: beam.Pipeline, plan: Plan, near: tuple[str, ...]) -> None:
    """Write ``assigned/<unit>.arrow`` (ASSIGNED, sorted by node); ``near`` are the tables of near clusters."""
    partitions = partitions_for(plan.rows * 64)
    copies = pipeline | "Exact" >> ReadTables((plan.table("exact"),), _copies)
    members = pipeline | "Near" >> ReadTables(near, _with_unit)
    attached = members | "Attach" >> OnPartitions(plan, "unit", partitions, _Attach(plan.table("attributes")))
    sized = attached | "Sizes" >> OnPartitions(plan, "survivor", partitions, _sizes)
    assigned = (copies, sized) | "Assign" >> OnPartitions(plan, "keeper", partitions, _assign)
    known = assigned | "Known" >> beam.FlatMap(_known).with_output_types(pa.RecordBatch)
    others = pipeline | "Captures" >> ReadTables((plan.table("urls"),), _captures)
    followed = (known, others) | "Follow" >> OnPartitions(plan, "key", partitions, _follow)
    files = UnitFiles(plan.table("assigned"), ASSIGNED, ("node",))
    _ = followed | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)
