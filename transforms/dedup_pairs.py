"""Steps 2 and 3: signatures of the exact survivors by unit, and candidate pairs by band."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.bands import band_keys, candidate_pairs, representatives
from algok.dedup.minhash import signature_matrix
from algok.dedup.options import DedupOptions
from algok.dedup.survivor import PREFERENCE, doc_words
from algok.transforms.dedup_exact import EXACT, UnitFiles, document_columns, preference_batch
from algok.transforms.dedup_stored import STORED_PREFERENCE, is_store, stored_edges, stored_preference, stored_rows
from algok.transforms.dedup_tables import (
    ELEMENT_ROWS,
    ForUnits,
    OnPartitions,
    Plan,
    lookup,
    nodes_of,
    read_table,
    table_path,
    write_table,
)
from algok.transforms.shuffle import partitions_for
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["ATTRIBUTES", "EDGES", "NEAR", "PAIRS", "build_pairs", "pair_batches", "signature_schema"]

#: What later steps need to know of an exact survivor, besides its signature.
ATTRIBUTES = pa.schema([*PREFERENCE, pa.field("copies", pa.int64())])
#: One row for a document and band that takes part in the shuffle.
BANDS = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("sketch", pa.int64()),
        pa.field("rank", pa.int64()),
        pa.field("node", pa.int64()),
    ]
)
#: Accepted pairs, as they were asked for.
EDGES = pa.schema([pa.field("left", pa.int64()), pa.field("right", pa.int64()), pa.field("similarity", pa.float32())])
#: Members of clusters of two and more; the survivor is a member too, of similarity 1.
NEAR = pa.schema([pa.field("node", pa.int64()), pa.field("survivor", pa.int64()), pa.field("similarity", pa.float32())])
#: A pair to be compared; ``unit`` is that of the left one.
PAIRS = pa.schema([pa.field("unit", pa.int32()), pa.field("left", pa.int64()), pa.field("right", pa.int64())])

LOCAL = "pairs"
I64 = npt.NDArray[np.int64]


def signature_schema(permutations: int) -> pa.Schema:
    """Schema of ``signatures/<unit>.arrow``; documents without signature have no row."""
    return pa.schema(
        [
            pa.field("node", pa.int64()),
            pa.field("doc_id", pa.binary(16)),
            pa.field("signature", pa.list_(pa.uint32(), permutations)),
        ]
    )


def links(near: pa.RecordBatch) -> pa.RecordBatch:
    """EDGES between members and survivors."""
    node, survivor = near.column("node").to_numpy(), near.column("survivor").to_numpy()
    member = node != survivor
    low, high = np.minimum(node, survivor)[member], np.maximum(node, survivor)[member]
    arrays = [pa.array(low), pa.array(high), near.column("similarity").filter(pa.array(member))]
    return pa.RecordBatch.from_arrays(arrays, schema=EDGES)


def pair_batches(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """PAIRS in elements of bounded size."""
    for start in range(0, len(left), ELEMENT_ROWS):
        a, b = left[start : start + ELEMENT_ROWS], right[start : start + ELEMENT_ROWS]
        arrays = [pa.array((a >> 32).astype(np.int32)), pa.array(a), pa.array(b)]
        yield pa.RecordBatch.from_arrays(arrays, schema=PAIRS)


class _Sign(msgspec.Struct, frozen=True):
    """Reads a unit's texts once: writes signatures and attributes, yields band rows and the unit's own hot pairs."""

    plan: Plan
    options: DedupOptions

    def __call__(self, unit: Unit) -> Iterator[Any]:
        index = unit.body["index"]
        if is_store(unit):
            yield from self._stored(unit)
            return
        kept = read_table(table_path(self.plan.table("exact"), index), EXACT, required=False)
        own = kept["node"].to_numpy() == kept["keeper"].to_numpy()
        survivors, copies = kept["node"].to_numpy()[own], kept["copies"].to_numpy()[own]
        schema = signature_schema(self.options.minhash.permutations)
        attributes: list[pa.RecordBatch] = []
        signatures: list[pa.RecordBatch] = []
        matrices = [np.zeros((0, self.options.minhash.permutations), dtype=np.uint32)]
        source = DocumentRows(columns=document_columns(self.options, "text", "language"))
        for batch, _ in source.read(unit, {}) if len(survivors) else ():
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            chosen = np.isin(nodes, survivors, assume_unique=True)
            if not chosen.any():
                continue
            batch = batch.filter(pa.array(chosen))
            columns = preference_batch(batch, index, self.options)
            columns["copies"] = pa.array(copies[np.searchsorted(survivors, nodes[chosen])])
            attributes.append(pa.RecordBatch.from_arrays([columns[n] for n in ATTRIBUTES.names], schema=ATTRIBUTES))
            matrix, made = signature_matrix(batch.column("text"), batch.column("language"), self.options.minhash)
            matrix = matrix[made]
            values = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])
            mask = pa.array(made)
            arrays = [columns["node"].filter(mask), columns["doc_id"].filter(mask), values]
            signatures.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            matrices.append(matrix)
        write_table(table_path(self.plan.table("attributes"), index), attributes, ATTRIBUTES)
        write_table(table_path(self.plan.table("signatures"), index), signatures, schema)
        if signatures:
            yield from self._bands(np.concatenate(matrices), pa.Table.from_batches(signatures))

    def _stored(self, unit: Unit) -> Iterator[Any]:
        """The same of a file of an earlier crawl's store, without any text; and what that crawl decided."""
        index = unit.body["index"]
        exact = read_table(table_path(self.plan.table("exact"), index), EXACT, required=False).combine_chunks()
        schema = signature_schema(self.options.minhash.permutations)
        attributes: list[pa.RecordBatch] = []
        signatures: list[pa.RecordBatch] = []
        near: list[pa.RecordBatch] = []
        for batch in stored_rows(unit, ["similarity", "signature", *STORED_PREFERENCE]):
            columns = stored_preference(batch)
            node, owner = columns["node"].to_numpy(), columns["owner"].to_numpy()
            at = lookup(exact["node"].to_numpy(), node, f"contents of store {unit.key}")
            columns["copies"] = exact["copies"].take(pa.array(at)).combine_chunks()
            attributes.append(pa.RecordBatch.from_arrays([columns[n] for n in ATTRIBUTES.names], schema=ATTRIBUTES))
            made = pa.array(batch.column("signature").is_valid())
            raw = np.frombuffer(b"".join(batch.column("signature").drop_null().to_pylist()), dtype=np.uint32)
            values = pa.FixedSizeListArray.from_arrays(pa.array(raw), self.options.minhash.permutations)
            arrays = [columns["node"].filter(made), columns["doc_id"].filter(made), values]
            signatures.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
            member = owner != node
            tops = np.unique(owner[member])
            closeness = batch.column("similarity").to_numpy(zero_copy_only=False)[member]
            columns_near = [
                np.concatenate([node[member], tops]),
                np.concatenate([owner[member], tops]),
                np.concatenate([closeness, np.ones(len(tops))]).astype(np.float32),
            ]
            near.append(pa.RecordBatch.from_arrays([pa.array(x) for x in columns_near], schema=NEAR))
        write_table(table_path(self.plan.table("attributes"), index), attributes, ATTRIBUTES)
        write_table(table_path(self.plan.table("signatures"), index), signatures, schema)
        write_table(table_path(self.plan.table("near", "store"), index), near, NEAR)
        # A member and its survivor hang together, even where no accepted pair ties them.
        edges = [links(batch) for batch in near] + list(stored_edges(unit))
        write_table(table_path(self.plan.table("edges-store"), index), edges, EDGES)
        if signatures:
            table = pa.Table.from_batches(signatures).combine_chunks()
            matrix = table["signature"].combine_chunks().flatten().to_numpy()
            yield from self._bands(matrix.reshape(-1, self.options.minhash.permutations), table)

    def _bands(self, matrix: npt.NDArray[np.uint32], table: pa.Table) -> Iterator[Any]:
        bands = self.options.bands.bands
        keys, sketches = (x.reshape(-1) for x in band_keys(matrix, self.options.bands))
        ranks = doc_words(table["doc_id"])[0].repeat(bands)
        nodes = table["node"].to_numpy().repeat(bands)
        passed = representatives(keys, ranks, nodes, self.options.unit_group_limit)
        if not passed.all():
            hot = np.isin(keys, keys[~passed])
            pairs = candidate_pairs(keys[hot], sketches[hot], ranks[hot], nodes[hot], self.options.bands)
            for batch in pair_batches(*undecided_pairs(*pairs, self.plan.first_stored)):
                yield beam.pvalue.TaggedOutput(LOCAL, batch)
            keys, sketches, ranks, nodes = keys[passed], sketches[passed], ranks[passed], nodes[passed]
        for start in range(0, len(keys), ELEMENT_ROWS):
            rows = slice(start, start + ELEMENT_ROWS)
            arrays = [pa.array(x[rows].view(np.int64)) for x in (keys, sketches, ranks)]
            yield pa.RecordBatch.from_arrays([*arrays, pa.array(nodes[rows])], schema=BANDS)


def undecided_pairs(a: I64, b: I64, first_stored: int) -> tuple[I64, I64]:
    """Without the pairs of two documents of earlier crawls, which were settled there."""
    keep = np.minimum(a, b) < first_stored
    return a[keep], b[keep]


class _Candidates(msgspec.Struct, frozen=True):
    options: DedupOptions
    first_stored: int

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(batches(), BANDS).combine_chunks()
        keys, sketches, ranks, nodes = (table[name].to_numpy() for name in BANDS.names)
        a, b = candidate_pairs(
            keys.view(np.uint64), sketches.view(np.uint64), ranks.view(np.uint64), nodes, self.options.bands
        )
        yield from pair_batches(*undecided_pairs(a, b, self.first_stored))


def build_pairs(pipeline: beam.Pipeline, plan: Plan, options: DedupOptions) -> None:
    """Write ``signatures``, ``attributes`` and ``pairs`` by unit; pairs are distinct and sorted, by their left node."""
    signed = pipeline | "Sign" >> ForUnits(plan, _Sign(plan, options), side=LOCAL)
    partitions = partitions_for(plan.rows * options.bands.bands * 32)
    found = signed.main | "ByBand" >> OnPartitions(plan, "key", partitions, _Candidates(options, plan.first_stored))
    files = UnitFiles(plan.table("pairs"), PAIRS, ("left", "right"), distinct=True)
    _ = (found, signed[LOCAL]) | "ByUnit" >> OnPartitions(plan, "unit", partitions_for(plan.rows * 64), files, kind=str)
