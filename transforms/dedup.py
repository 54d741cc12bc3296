"""Deduplication as Beam jobs from files to files.

::

    exact     documents of the same content           shuffle of hashes
    pairs     signatures, bands, candidate pairs      shuffle of band keys (32 bytes a document and band)
    verify    similarity of the candidates            shuffle of short signatures, shingles of doubtful pairs
    clusters  components, survivors, chains cut       in memory, or rounds of shuffles of 16 bytes an edge
    assign    what each document of a unit is         shuffle of duplicates only

``run_dedup`` runs the steps and leaves ``assigned/<unit>.arrow`` for every unit with duplicates; ``ClusterRows`` is
the source that joins them with the documents of a unit to rows of CLUSTERS, one for each kept document. Removal is
that join.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa

from algok.dedup.options import DedupOptions
from algok.errors import CorruptionError
from algok.schema import CLUSTERS, KEPT, REJECTED
from algok.transforms.dedup_exact import UnitFiles, build_exact
from algok.transforms.dedup_graph import NEAR, RunJob, cluster_distributed, cluster_locally, count_edges
from algok.transforms.dedup_pairs import ATTRIBUTES, build_pairs
from algok.transforms.dedup_tables import (
    OnPartitions,
    Plan,
    ReadTables,
    lookup,
    nodes_of,
    read_table,
    table_path,
    to_batches,
    unit_slices,
)
from algok.transforms.dedup_verify import build_verify
from algok.transforms.shuffle import partitions_for
from algok.transforms.sinks import Output, count_rows
from algok.transforms.sources import DocumentRows
from algok.transforms.storage import exists, read_json, remove_tree, write_json
from algok.transforms.units import Unit, write_units

__all__ = ["ClusterRows", "DedupOptions", "cluster_outputs", "indexed_units", "run_dedup"]

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
    ]
)
#: What is known of a document that has duplicates.
ASSIGNED = pa.schema(
    [
        pa.field("unit", pa.int32()),
        pa.field("node", pa.int64()),
        pa.field("cluster_id", pa.binary(16)),
        pa.field("cluster_size", pa.int64()),
        pa.field("survivor", pa.bool_()),
        pa.field("near", pa.bool_()),
        pa.field("copy", pa.bool_()),
        pa.field("similarity", pa.float32()),
        pa.field("exact_copies", pa.int64()),
    ]
)

Batches = Callable[[], Iterator[pa.RecordBatch]]


def _table(batches: Batches, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches(), schema).combine_chunks()


def indexed_units(units: Sequence[Unit]) -> list[Unit]:
    """The units numbered by their sorted keys (``body["index"]``), as all steps and ``ClusterRows`` need them."""
    ordered = sorted(units, key=lambda unit: unit.key)
    return [msgspec.structs.replace(u, body={**u.body, "index": i}) for i, u in enumerate(ordered)]


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
        arrays = [keeper, node, batch.column("keeper_doc"), batch.column("copies"), ones, own, batch.column("copies")]
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
        source["similarity"],
        rows["copies"],
    ]
    yield from to_batches(pa.table(arrays, schema=ASSIGNED))


def _build_assign(pipeline: beam.Pipeline, plan: Plan, near: tuple[str, ...]) -> None:
    partitions = partitions_for(plan.rows * 64)
    copies = pipeline | "Exact" >> ReadTables((plan.table("exact"),), _copies)
    members = pipeline | "Near" >> ReadTables(near, _with_unit)
    attached = members | "Attach" >> OnPartitions(plan, "unit", partitions, _Attach(plan.table("attributes")))
    sized = attached | "Sizes" >> OnPartitions(plan, "survivor", partitions, _sizes)
    joined = (copies, sized) | "Both" >> beam.Flatten()
    assigned = joined | "Assign" >> OnPartitions(plan, "keeper", partitions, _assign)
    files = UnitFiles(plan.table("assigned"), ASSIGNED, ("node",))
    _ = assigned | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)


class _Steps:
    """Runs the steps of a plan in order and remembers in the folder which are done."""

    def __init__(self, run: RunJob, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._note = plan.table("done.json")
        found = read_json(self._note) if plan.key and exists(self._note) else {}
        self._done: list[str] = found.get("steps", []) if found.get("key") == plan.key else []
        if not self._done:
            remove_tree(plan.folder)

    def job(self, name: str, build: Callable[[beam.Pipeline], Any]) -> None:
        """One pipeline; the shuffle files go when it has ended."""
        remove_tree(self._plan.spill)
        self._run(name, build)
        remove_tree(self._plan.spill)

    def step(self, name: str, tables: tuple[str, ...], work: Callable[[], None]) -> None:
        """Call ``work`` unless the step was done before; a half-done step loses its ``tables`` first."""
        if name in self._done:
            return
        for table in tables:
            remove_tree(self._plan.table(table))
        work()
        self._done.append(name)
        write_json(self._note, {"key": self._plan.key, "steps": self._done})


def run_dedup(run: RunJob, plan: Plan, units: Sequence[Unit], options: DedupOptions) -> None:
    """Run all steps for ``units`` (numbered; bodies as ``DocumentRows`` reads them), and write ``assigned`` by unit.

    ``run(name, build)`` runs one pipeline to its end. A run that was stopped goes on after its last finished step when
    ``plan.key`` is the same; of another key nothing is left.
    """
    steps = _Steps(run, plan)
    write_units(plan.units, list(units), plan.key or "dedup")
    steps.step("exact", ("exact",), lambda: steps.job("exact", lambda p: build_exact(p, plan, options)))
    if options.near:
        _find_near(steps, plan, options)
    near = tuple(plan.table("near", f"{number}") for number in range(options.verify.rounds + 1))
    steps.step("assign", ("assigned",), lambda: steps.job("assign", lambda p: _build_assign(p, plan, near)))


def _find_near(steps: _Steps, plan: Plan, options: DedupOptions) -> None:
    edges = (plan.table("edges-estimate"), plan.table("edges-shingles"))

    def verify(p: beam.Pipeline) -> None:
        build_verify(p, plan, options, pairs=plan.table("pairs"), out=edges, threshold=options.verify.threshold)

    def clusters() -> None:
        found = count_edges(edges)
        if found > options.local_pairs:
            cluster_distributed(steps.job, plan, options, edges)
        elif found:
            cluster_locally(steps.job, plan, options, edges)

    tables = ("signatures", "attributes", "pairs")
    steps.step("pairs", tables, lambda: steps.job("pairs", lambda p: build_pairs(p, plan, options)))
    steps.step("verify", ("edges-estimate", "edges-shingles"), lambda: steps.job("verify", verify))
    steps.step("clusters", ("near",), clusters)


class ClusterRows(msgspec.Struct, frozen=True, kw_only=True):
    """Source of CLUSTERS: the kept documents of a unit with what ``run_dedup`` left of them in ``folder``.

    A document that is not in ``assigned`` is unique. Raises ``CorruptionError`` when a row there is no kept document.
    """

    folder: str

    @property
    def schema(self) -> pa.Schema:
        return CLUSTERS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        index = unit.body["index"]
        path = table_path(f"{self.folder}/assigned", index)
        known = read_table(path, ASSIGNED, required=False).combine_chunks()
        known_nodes = known["node"].to_numpy()
        used = 0
        source = DocumentRows(columns=("source", "language", "bytes"))
        for batch, done in source.read(unit, tally):
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            at = np.searchsorted(nodes, known_nodes[used:])
            inside = at < len(nodes)
            inside[inside] = nodes[at[inside]] == known_nodes[used:][inside]
            count = int(np.argmin(inside)) if not inside.all() else len(inside)
            part = known.slice(used, count)
            used += count
            yield _cluster_batch(batch, part, at[:count]), done
        if used != len(known_nodes):
            raise CorruptionError(f"{path} does not match the documents of unit {unit.key}: run dedup with --force")


def _cluster_batch(batch: pa.RecordBatch, known: pa.Table, at: Any) -> pa.RecordBatch:
    n = batch.num_rows

    def spread(name: str, default: Any, kind: Any) -> Any:
        out = np.full(n, default, dtype=kind)
        out[at] = known[name].to_numpy()
        return out

    survivor, near, copy = (spread(name, default, bool) for name, default in _FLAGS)
    where = np.arange(n, dtype=np.int64)
    where[at] = n + np.arange(len(at))
    ids = pa.concat_arrays([batch.column("doc_id"), *known["cluster_id"].chunks]).take(pa.array(where))
    size = spread("cluster_size", 1, np.int64)
    method = np.where(size == 1, "unique", np.where(copy, "exact", np.where(near, "near", "exact")))
    reason = np.where(copy, "exact_duplicate", "near_duplicate").tolist()
    made = {
        "cluster_id": ids,
        "cluster_size": pa.array(size),
        "survivor": pa.array(survivor),
        "method": pa.array(method.tolist(), pa.string()),
        "similarity": pa.array(spread("similarity", 1.0, np.float32)),
        "exact_copies": pa.array(spread("exact_copies", 1, np.int64)),
        "outcome": pa.array(np.where(survivor, KEPT, REJECTED).tolist(), pa.string()),
        "reason": pa.array([None if kept else why for kept, why in zip(survivor, reason, strict=True)], pa.string()),
    }
    return pa.RecordBatch.from_arrays(
        [made[name] if name in made else batch.column(name) for name in CLUSTERS.names], schema=CLUSTERS
    )


_FLAGS = (("survivor", True), ("near", False), ("copy", False))


def _all(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def cluster_outputs() -> tuple[Output, ...]:
    """One row of CLUSTERS for each kept document, counted for the ledger."""
    return (Output(table="clusters", schema=CLUSTERS, select=_all, count=count_rows, required=True),)
