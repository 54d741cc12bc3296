"""Step 5: accepted pairs to clusters. In memory while the pairs fit, else in Beam jobs over partitions; same result.

Both do what ``algok.dedup.clusters`` says: components, a survivor for each, every member compared with its survivor,
those too far from it clustered again among themselves.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.clusters import cluster
from algok.dedup.options import DedupOptions
from algok.dedup.survivor import PREFERENCE, first_of_groups, preferred_order
from algok.transforms.dedup_exact import UnitFiles
from algok.transforms.dedup_pairs import ATTRIBUTES, EDGES, NEAR, PAIRS, pair_batches
from algok.transforms.dedup_stars import RunJob, star_rounds
from algok.transforms.dedup_tables import (
    OnPartitions,
    Plan,
    ReadTables,
    batches_of,
    lookup,
    read_table,
    table_bytes,
    table_path,
    to_batches,
    unit_slices,
    write_table,
)
from algok.transforms.dedup_verify import build_verify
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import join, list_files, remove_tree

__all__ = ["NEAR", "RunJob", "cluster_distributed", "cluster_locally", "count_edges"]

I64 = npt.NDArray[np.int64]

LABELS = pa.schema([pa.field("unit", pa.int32()), pa.field("node", pa.int64()), pa.field("label", pa.int64())])
LABELLED = pa.schema([pa.field("label", pa.int64()), *PREFERENCE])
#: An edge on its way past the nodes that are still to be clustered: ``right`` is -1 for such a node.
STAYING = pa.schema([pa.field("key", pa.int64()), *EDGES])

FOREIGN = "foreign"

Batches = Callable[[], Iterator[pa.RecordBatch]]


def _table(batches: Batches, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(batches(), schema).combine_chunks()


def _edges(folders: tuple[str, ...]) -> tuple[I64, I64, npt.NDArray[np.float32]]:
    """Distinct edges (a < b), sorted, with their similarity."""
    batches = [b for folder in folders for f in list_files(join(folder, "*.arrow")) for b in batches_of(f.path)]
    table = pa.Table.from_batches(batches, EDGES).combine_chunks()
    left, right, similarity = (table[name].to_numpy() for name in EDGES.names)
    a, b = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((b, a))
    a, b, similarity = a[order], b[order], similarity[order]
    keep = np.ones(len(a), dtype=bool)
    keep[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[keep], b[keep], similarity[keep]


def count_edges(folders: tuple[str, ...]) -> int:
    """Rows of edge tables."""
    files = [found.path for folder in folders for found in list_files(join(folder, "*.arrow"))]
    return sum(batch.num_rows for path in files for batch in batches_of(path))


def _write_pairs(folder: str, left: I64, right: I64) -> None:
    """Pairs by the unit of the left, as ``build_verify`` reads them."""
    left, right = (x[np.lexsort((right, left))] for x in (left, right))
    for unit, rows in unit_slices(left >> 32):
        write_table(table_path(folder, unit), pair_batches(left[rows], right[rows]), PAIRS)


def cluster_locally(run: RunJob, plan: Plan, options: DedupOptions, edges: tuple[str, ...]) -> None:
    """Write the table ``near`` (NEAR) from the edges, holding them and their nodes' attributes in memory."""
    a, b, similarity = _edges(edges)
    nodes = np.unique(np.concatenate([a, b]))
    parts = []
    for unit, rows in unit_slices(nodes >> 32):
        table = read_table(table_path(plan.table("attributes"), unit), ATTRIBUTES).combine_chunks()
        at = lookup(table["node"].to_numpy(), nodes[rows], f"attributes of unit {unit}")
        parts.append(table.take(pa.array(at)))
    rank = np.empty(len(nodes), dtype=np.int64)
    owner = np.full(len(nodes), -1, dtype=np.int64)
    if parts:
        known = pa.concat_tables(parts)
        rank[preferred_order([], known)] = np.arange(len(nodes))
        owner = known["owner"].to_numpy()
    asked = 0

    def measure(members: I64, survivors: I64) -> npt.NDArray[np.float32]:
        nonlocal asked
        asked += 1
        pairs = plan.table("stars")
        out = (plan.table("star-estimates"), plan.table("star-shingles"))
        for folder in (pairs, *out):
            remove_tree(folder)
        _write_pairs(pairs, members, survivors)
        compare = partial(build_verify, plan=plan, options=options, pairs=pairs, out=out)
        run(f"compare-survivors-{asked}", partial(compare, threshold=options.verify.floor))
        x, y, score = _edges(out)
        low, high = np.minimum(members, survivors), np.maximum(members, survivors)
        order = np.lexsort((high, low))
        result = np.zeros(len(members), dtype=np.float32)
        # Both lists are sorted and the answers are a subset of the questions: walk them by merging.
        asked_pairs = np.stack([low[order], high[order]], axis=1)
        both = np.concatenate([asked_pairs, np.stack([x, y], axis=1)])
        _, first, inverse = np.unique(both, axis=0, return_index=True, return_inverse=True)
        positions = first[inverse.reshape(-1)[len(members) :]]
        result[order[positions]] = score
        return result

    survivor, closeness = cluster(
        a,
        b,
        similarity,
        nodes,
        rank,
        measure,
        floor=options.verify.floor,
        rounds=options.verify.rounds,
        owner=owner,
    )
    # Members of earlier crawls are in the table `near/store`.
    member = (survivor != nodes) & (owner < 0)
    shared = np.isin(nodes, survivor[member]) | member
    table = pa.table([pa.array(x[shared]) for x in (nodes, survivor, closeness)], schema=NEAR)
    write_table(table_path(plan.table("near", "0"), 0), to_batches(table), NEAR)


def _label_batches(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Every node with its label; the smallest node of a component labels itself."""
    node, label = batch.column("node").to_numpy(), batch.column("neighbour").to_numpy()
    tops = np.unique(label)
    nodes, labels = np.concatenate([node, tops]), np.concatenate([label, tops])
    arrays = [pa.array((nodes >> 32).astype(np.int32)), pa.array(nodes), pa.array(labels)]
    yield pa.RecordBatch.from_arrays(arrays, schema=LABELS)


class _AttachPreference(msgspec.Struct, frozen=True):
    folder: str

    def __call__(self, partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
        table = _table(batches, LABELS)
        node, label = distinct_pairs_any(table["node"].to_numpy(), table["label"].to_numpy())
        for unit, rows in unit_slices(node >> 32):
            known = read_table(table_path(self.folder, unit), ATTRIBUTES).combine_chunks()
            at = lookup(known["node"].to_numpy(), node[rows], f"attributes of unit {unit}")
            columns = known.select(PREFERENCE.names).take(pa.array(at)).columns
            yield from to_batches(pa.table([pa.array(label[rows]), *columns], schema=LABELLED))


def distinct_pairs_any(a: I64, b: I64) -> tuple[I64, I64]:
    """Distinct pairs, sorted, equal ends allowed."""
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    keep = np.ones(len(a), dtype=bool)
    keep[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[keep], b[keep]


def _stars(partition: int, batches: Batches) -> Iterator[Any]:
    """(member, survivor) of every component, to be compared. Rows of earlier crawls stay with their own survivor: with
    another one they are split off unseen."""
    table = _table(batches, LABELLED)
    node, owner = table["node"].to_numpy(), table["owner"].to_numpy()
    best, _ = first_of_groups([table["label"].to_numpy()], table)
    survivor = node[best]
    members = (survivor != node) & (owner < 0)
    yield from pair_batches(node[members], survivor[members])
    foreign = (survivor != node) & (owner >= 0) & (owner != survivor)
    for batch in pair_batches(node[foreign], survivor[foreign]):
        yield beam.pvalue.TaggedOutput(FOREIGN, batch)


def _flagged(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Answers (EDGES) and questions (PAIRS, similarity NaN) as STAYING rows by the left node."""
    left, right = batch.column("left"), batch.column("right")
    if "similarity" in batch.schema.names:
        similarity = batch.column("similarity")
    else:
        similarity = pa.array(np.full(batch.num_rows, np.nan, dtype=np.float32))
    yield pa.RecordBatch.from_arrays([left, left, right, similarity], schema=STAYING)


class _Settle(msgspec.Struct, frozen=True):
    """A member whose survivor is near enough goes to ``near``; the others to ``split``, to be clustered again."""

    near: str
    split: str

    def __call__(self, partition: int, batches: Batches) -> Iterator[str]:
        table = _table(batches, STAYING)
        left, right = table["left"].to_numpy(), table["right"].to_numpy()
        similarity = table["similarity"].to_numpy()
        answered = ~np.isnan(similarity)
        split = np.setdiff1d(left[~answered], left[answered])
        survivors = np.unique(right[answered])
        # A survivor is written by every partition that has a member of it; readers keep one.
        nodes = np.concatenate([left[answered], survivors])
        owners = np.concatenate([right[answered], survivors])
        scores = np.concatenate([similarity[answered], np.ones(len(survivors), dtype=np.float32)])
        near = pa.table([pa.array(nodes), pa.array(owners), pa.array(scores)], schema=NEAR)
        write_table(table_path(self.near, partition), to_batches(near), NEAR)
        write_table(table_path(self.split, partition), to_batches(_marks(split)), STAYING)
        yield msgspec.json.encode([partition, len(split)]).decode()


def _marks(nodes: I64) -> pa.Table:
    n = len(nodes)
    arrays = [nodes, nodes, np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.float32)]
    return pa.table([pa.array(x) for x in arrays], schema=STAYING)


def _edge_rows(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_arrays([batch.column("left"), *batch.columns], schema=STAYING)


def _staying(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Edges whose key is among the marked nodes, keyed by their other end."""
    table = _table(batches, STAYING)
    marked = table["right"].to_numpy() == -1
    key = table["key"].to_numpy()
    kept = ~marked & np.isin(key, key[marked])
    table = table.filter(pa.array(kept))
    yield from to_batches(pa.table([table["right"], *table.columns[1:]], schema=STAYING))


class _WriteEdges(msgspec.Struct, frozen=True):
    """Like ``_staying``, and writes what is left."""

    out: str

    def __call__(self, partition: int, batches: Batches) -> Iterator[str]:
        kept = [pa.RecordBatch.from_arrays(b.columns[1:], schema=EDGES) for b in _staying(partition, batches)]
        write_table(table_path(self.out, partition), kept, EDGES)
        yield f"{partition}"


class _Round(msgspec.Struct, frozen=True, kw_only=True):
    """Tables of one round of ``cluster_distributed`` and its pipelines."""

    plan: Plan
    partitions: int
    labels: str
    near: str
    kept: str

    @property
    def pairs(self) -> str:
        return self.plan.table("stars")

    @property
    def foreign(self) -> str:
        return self.plan.table("stars-foreign")

    @property
    def split(self) -> str:
        return self.plan.table("split")

    @property
    def lines(self) -> str:
        return self.plan.table("split-lines")

    @property
    def out(self) -> tuple[str, str]:
        return self.plan.table("star-estimates"), self.plan.table("star-shingles")

    def clear(self) -> None:
        for folder in (self.pairs, self.foreign, self.split, self.lines, *self.out, self.near, self.kept):
            remove_tree(folder)

    def survivors(self, p: beam.Pipeline) -> None:
        """Choose the survivor of each component; write the pairs (member, survivor)."""
        rows = p | "Labels" >> ReadTables((self.labels,), _label_batches)
        attach = _AttachPreference(self.plan.table("attributes"))
        attached = rows | "Attach" >> OnPartitions(self.plan, "unit", self.partitions, attach)
        found = attached | "ByLabel" >> OnPartitions(self.plan, "label", self.partitions, _stars, side=FOREIGN)
        files = UnitFiles(self.pairs, PAIRS, ("left", "right"))
        _ = found.main | "ByUnit" >> OnPartitions(self.plan, "unit", self.partitions, files, kind=str)
        apart = UnitFiles(self.foreign, PAIRS, ("left", "right"))
        _ = found[FOREIGN] | "Foreign" >> OnPartitions(self.plan, "unit", self.partitions, apart, kind=str)

    def settle(self, p: beam.Pipeline) -> None:
        """Part the members near their survivor from those that are split off."""
        rows = p | "Stars" >> ReadTables((self.pairs, self.foreign, *self.out), _flagged)
        handler = _Settle(self.near, self.split)
        settled = rows | "Settle" >> OnPartitions(self.plan, "key", self.partitions, handler, kind=str)
        _ = settled | "Lines" >> CollectLines(self.lines)

    def split_off(self) -> int:
        """Members that were split off."""
        return sum(msgspec.json.decode(line)[1] for line in read_lines(self.lines))

    def remaining(self, p: beam.Pipeline, edges: tuple[str, ...]) -> None:
        """Keep the edges between members that were split off."""
        rows = p | "Edges" >> ReadTables(edges, _edge_rows)
        first = (rows, p | "Split" >> ReadTables((self.split,)))
        half = first | "ByLeft" >> OnPartitions(self.plan, "key", self.partitions, _staying)
        second = (half, p | "SplitAgain" >> ReadTables((self.split,)))
        _ = second | "ByRight" >> OnPartitions(self.plan, "key", self.partitions, _WriteEdges(self.kept), kind=str)


def cluster_distributed(run: RunJob, plan: Plan, options: DedupOptions, edges: tuple[str, ...]) -> None:
    """Write the table ``near`` (NEAR; survivors may be listed more than once) by Beam jobs over partitions."""
    partitions = partitions_for(sum(table_bytes(folder) for folder in edges) * 4)
    for number in range(1, options.verify.rounds + 1):
        name = f"components-{number}"
        step = _Round(
            plan=plan,
            partitions=partitions,
            labels=star_rounds(run, plan, name, edges, partitions),
            near=plan.table("near", f"{number}"),
            kept=plan.table(f"remaining-{number}"),
        )
        step.clear()
        run(f"{name}-survivors", step.survivors)
        compare = partial(build_verify, plan=plan, options=options, pairs=step.pairs, out=step.out)
        run(f"{name}-compare", partial(compare, threshold=options.verify.floor))
        run(f"{name}-settle", step.settle)
        if not step.split_off():
            break
        run(f"{name}-remaining", partial(step.remaining, edges=edges))
        edges = (step.kept,)
        if not count_edges(edges):
            break
