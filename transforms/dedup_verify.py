"""Step 4: the similarity of pairs, where both documents are: no table of all signatures or texts is held anywhere.

Signatures of left documents travel to the unit of the right one, shingles of the few pairs that the estimate leaves
open travel back.
"""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from algok.dedup.options import DedupOptions
from algok.dedup.shingles import shingle_hashes
from algok.dedup.verify import estimates, jaccards, short_signatures, undecided
from algok.errors import CorruptionError
from algok.transforms.dedup_pairs import EDGES, PAIRS, signature_schema
from algok.transforms.dedup_stored import is_store, stored_rows
from algok.transforms.dedup_tables import (
    Cache,
    ForUnits,
    OnPartitions,
    Plan,
    lookup,
    read_table,
    table_bytes,
    table_path,
    unit_slices,
    write_table,
)
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import open_read
from algok.transforms.units import Unit

__all__ = ["EDGES", "build_verify"]

I64 = npt.NDArray[np.int64]

#: Pairs that the estimate leaves open, with the shingle hashes of the right document; ``unit`` is that of the left one.
OPEN = pa.schema([*PAIRS, pa.field("shingles", pa.large_list(pa.uint32()))])
#: Pairs to a partition with this many bytes of shingles in the mean (1,700 characters), for sizing only.
_SHINGLE_BYTES = 7_000
#: Signatures sent in one element.
_CHUNK = 8192

SIDE = "open"


def _sent_schema(permutations: int) -> pa.Schema:
    return pa.schema([*PAIRS, pa.field("signature", pa.binary(2 * permutations))])


class _Signatures(msgspec.Struct, frozen=True):
    """Nodes and low halves of the signatures of a unit."""

    folder: str
    permutations: int

    def __call__(self, index: int) -> tuple[I64, npt.NDArray[np.uint16]]:
        table = read_table(table_path(self.folder, index), signature_schema(self.permutations)).combine_chunks()
        nodes = table["node"].to_numpy()
        if not len(nodes):
            return nodes, np.zeros((0, self.permutations), dtype=np.uint16)
        values = table["signature"].chunk(0).flatten().to_numpy().reshape(-1, self.permutations)
        return nodes, short_signatures(values)


class _Send(msgspec.Struct, frozen=True):
    plan: Plan
    pairs: str
    permutations: int

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        index = unit.body["index"]
        pairs = read_table(table_path(self.pairs, index), PAIRS, required=False)
        if pairs.num_rows == 0:
            return
        nodes, matrix = _Signatures(self.plan.table("signatures"), self.permutations)(index)
        schema = _sent_schema(self.permutations)
        for start in range(0, pairs.num_rows, _CHUNK):
            part = pairs.slice(start, _CHUNK)
            left, right = part["left"].to_numpy(), part["right"].to_numpy()
            values = np.ascontiguousarray(matrix[lookup(nodes, left, f"signatures of unit {unit.key}")])
            packed = pa.FixedSizeBinaryArray.from_buffers(
                schema.field("signature").type, len(left), [None, pa.py_buffer(values)]
            )
            arrays = [pa.array((right >> 32).astype(np.int32)), pa.array(left), pa.array(right), packed]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)


class _Texts(msgspec.Struct, frozen=True):
    """Shingle sets of some documents of a unit, in bounded batches: (nodes, sets)."""

    plan: Plan
    options: DedupOptions

    def __call__(self, unit: Unit, wanted: I64) -> Iterator[tuple[I64, pa.Array]]:
        if is_store(unit):
            yield from self._stored(unit, wanted)
            return
        index, path = unit.body["index"], unit.body["documents"]
        known = read_table(
            table_path(self.plan.table("signatures"), index),
            pa.schema([pa.field("node", pa.int64()), pa.field("doc_id", pa.binary(16))]),
        ).combine_chunks()
        ids = known["doc_id"].take(pa.array(lookup(known["node"].to_numpy(), wanted, f"signatures of {unit.key}")))
        rows = wanted & 0xFFFF_FFFF
        with open_read(path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
            start = 0
            for group in range(parquet.metadata.num_row_groups):
                end = start + parquet.metadata.row_group(group).num_rows
                first, last = np.searchsorted(rows, [start, end])
                if first < last:
                    at = start
                    for batch in parquet.iter_batches(1000, [group], ["doc_id", "text", "language"]):
                        lo, hi = np.searchsorted(rows, [at, at + batch.num_rows])
                        picked = batch.take(pa.array(rows[lo:hi] - at))
                        at += batch.num_rows
                        if lo == hi:
                            continue
                        if not pa.chunked_array([picked.column("doc_id")]).equals(ids.slice(lo, hi - lo)):
                            raise CorruptionError(f"{path} changed since its signatures were made: run dedup again")
                        yield wanted[lo:hi], self._sets(picked)
                start = end

    def _stored(self, unit: Unit, wanted: I64) -> Iterator[tuple[I64, pa.Array]]:
        """The shingles that a store has of its texts."""
        for batch in stored_rows(unit, ["node", "shingles"]):
            nodes = batch.column("node").to_numpy()
            lo, hi = np.searchsorted(wanted, [nodes[0], nodes[-1] + 1])
            if lo < hi:
                at = lookup(nodes, wanted[lo:hi], f"store {unit.key}")
                yield wanted[lo:hi], batch.column("shingles").take(pa.array(at))

    def _sets(self, batch: pa.RecordBatch) -> pa.Array:
        return shingle_hashes(
            batch.column("text"),
            batch.column("language"),
            self.options.minhash.shingles,
            limit=self.options.verify.shingles,
        )


class _UnitsByIndex:
    """The units of the list file, by index."""

    def __init__(self, path: str) -> None:
        with open_read(path) as file:
            units = [msgspec.json.decode(line, type=Unit) for line in file]
        self._units = {unit.body["index"]: unit for unit in units}

    def __getitem__(self, index: int) -> Unit:
        return self._units[index]


class _Estimate(msgspec.Struct, frozen=True):
    """Settles what the estimate can settle; the rest goes on with the shingles of the right document."""

    plan: Plan
    options: DedupOptions
    out: str
    threshold: float

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[Any]:
        permutations = self.options.minhash.permutations
        load = _Signatures(self.plan.table("signatures"), permutations)
        cache = Cache(load, lambda value: int(value[1].nbytes))
        edges: list[pa.RecordBatch] = []
        open_pairs: list[tuple[I64, I64]] = []
        for batch in batches():
            order = np.argsort(batch.column("unit").to_numpy(), kind="stable")
            batch = batch.take(pa.array(order))
            column = batch.column("signature")
            raw = np.frombuffer(column.buffers()[1], dtype=np.uint16)
            sent = raw[column.offset * permutations :][: len(column) * permutations].reshape(-1, permutations)
            left, right = (batch.column(name).to_numpy() for name in ("left", "right"))
            for index, rows in unit_slices(batch.column("unit").to_numpy()):
                nodes, matrix = cache(index)
                at = lookup(nodes, right[rows], f"signatures of unit {index}")
                score = estimates(sent[rows], matrix, np.arange(len(at)), at)
                still_open = undecided(score, self.options.verify)
                sure = ~still_open & (score >= np.float32(self.threshold))
                arrays = [pa.array(x[sure]) for x in (left[rows], right[rows], score)]
                edges.append(pa.RecordBatch.from_arrays(arrays, schema=EDGES))
                open_pairs.append((left[rows][still_open], right[rows][still_open]))
        write_table(table_path(self.out, partition), edges, EDGES)
        if open_pairs:
            yield from self._shingles(*(np.concatenate(x) for x in zip(*open_pairs, strict=True)))

    def _shingles(self, left: I64, right: I64) -> Iterator[Any]:
        order = np.lexsort((left, right))
        left, right = left[order], right[order]
        units = _UnitsByIndex(self.plan.units) if len(left) else None
        for index, rows in unit_slices(right >> 32):
            assert units is not None
            a, b = left[rows], right[rows]
            for nodes, sets in _Texts(self.plan, self.options)(units[index], np.unique(b)):
                lo, hi = np.searchsorted(b, [nodes[0], nodes[-1] + 1])
                for start in range(lo, hi, 1000):
                    part = slice(start, min(hi, start + 1000))
                    values = sets.take(pa.array(np.searchsorted(nodes, b[part])))
                    arrays = [pa.array((a[part] >> 32).astype(np.int32)), pa.array(a[part]), pa.array(b[part]), values]
                    yield pa.RecordBatch.from_arrays(arrays, schema=OPEN)


class _Compare(msgspec.Struct, frozen=True):
    """Settles the open pairs by the shingles of both."""

    plan: Plan
    options: DedupOptions
    out: str
    threshold: float

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[str]:
        lefts = [batch.column("left").to_numpy() for batch in batches()]
        wanted = np.unique(np.concatenate(lefts))
        units = _UnitsByIndex(self.plan.units)
        read = _Texts(self.plan, self.options)
        nodes: list[I64] = []
        sets: list[pa.Array] = []
        for index, rows in unit_slices(wanted >> 32):
            for found, values in read(units[index], wanted[rows]):
                nodes.append(found)
                sets.append(values)
        known, left_sets = np.concatenate(nodes), pa.concat_arrays(sets)
        edges = []
        for batch in batches():
            left, right = (batch.column(name).to_numpy() for name in ("left", "right"))
            at = lookup(known, left, "documents")
            score = np.empty(len(at), dtype=np.float32)
            stored = np.maximum(left, right) >= self.plan.first_stored
            whole = self.options.verify.shingles
            # A store may have fewer shingles of a text than are compared otherwise.
            for rows, limit in ((~stored, whole), (stored, min(whole, self.plan.store_shingles or whole))):
                here = np.flatnonzero(rows)
                score[here] = jaccards(left_sets, batch.column("shingles"), at[here], here, limit=limit)
            near = score >= np.float32(self.threshold)
            edges.append(pa.RecordBatch.from_arrays([pa.array(x[near]) for x in (left, right, score)], schema=EDGES))
        write_table(table_path(self.out, partition), edges, EDGES)
        yield f"{partition}"


def build_verify(
    pipeline: beam.Pipeline, plan: Plan, options: DedupOptions, *, pairs: str, out: tuple[str, str], threshold: float
) -> None:
    """Compare the pairs of the table ``pairs`` (by the unit of the left) and write those at least ``threshold`` alike.

    They go to the two tables ``out`` (EDGES): settled by estimate and by shingles. The similarity of a pair does not
    depend on the threshold.
    """
    count = table_bytes(pairs) // 8  # about: a pair takes 20 bytes before compression
    sent = pipeline | "Send" >> ForUnits(plan, _Send(plan, pairs, options.minhash.permutations))
    estimate = _Estimate(plan, options, out[0], threshold)
    partitions = partitions_for(count * (20 + 2 * options.minhash.permutations))
    rest = sent | "Estimate" >> OnPartitions(plan, "unit", partitions, estimate)
    compare = _Compare(plan, options, out[1], threshold)
    _ = rest | "Compare" >> OnPartitions(plan, "unit", partitions_for(count * _SHINGLE_BYTES), compare, kind=str)
