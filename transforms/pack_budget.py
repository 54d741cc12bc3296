"""Meeting the budget in counted tokens: an order of all copies, sums along it, and the choice of what comes first.

Every copy of a document has a place in one order of its bucket (language, source): copy k of a document with sampling
hash u and rehydration weight w comes at (k + u) / w. That is the order in which ``mix`` would take copies if its budget
grew, so a prefix of it is a smaller mixture of the same composition. The place is a whole number of ``KEY_BITS`` bits;
the end of a prefix is found digit by digit from histograms, in memory that does not depend on the documents.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.schema import KEPT, LENGTHS, PACKED, REJECTED
from algok.transforms.mix import PURPOSE
from algok.transforms.sampling import uniform
from algok.transforms.sinks import Output, count_rows
from algok.transforms.sources import read_parquet, tally_rows
from algok.transforms.units import Unit

__all__ = [
    "DIGITS",
    "DIGIT_BITS",
    "Bucket",
    "BucketRule",
    "CopyOrder",
    "FirstCopies",
    "ReadLengths",
    "SumDigits",
    "TakeWithinBudget",
    "packed_outputs",
]

#: Places are whole numbers below 2**48: four digits of 12 bits, each a histogram of 32 kB.
DIGIT_BITS, DIGITS = 12, 4
KEY_BITS = DIGIT_BITS * DIGITS
BINS = 1 << DIGIT_BITS

#: (language, source).
Bucket = tuple[str, str]
#: One copy: its place, the doc_id in hex, which copy, and its tokens.
Copy = tuple[int, str, int, int]


class CopyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order of copies. ``rehydrate``: (smallest cluster size, weight) pairs of the recipe."""

    seed: int
    rehydrate: tuple[tuple[int, float], ...]
    max_copies: float

    def places(self, batch: pa.RecordBatch) -> tuple[Any, Any, Any]:
        """(row, copy, place) of every copy of a batch of LENGTHS: int64, int64, uint64 arrays, rows in order."""
        copies = batch.column("copies").to_numpy(zero_copy_only=False).astype(np.int64)
        rows = np.repeat(np.arange(batch.num_rows), copies)
        copy = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        sizes = batch.column("cluster_size").to_numpy(zero_copy_only=False)
        starts = np.array([size for size, _ in self.rehydrate])
        weights = np.array([weight for _, weight in self.rehydrate])
        weight = weights[np.searchsorted(starts, sizes, side="right") - 1]
        hashes = uniform(batch.column("doc_id"), self.seed, PURPOSE)
        last = math.ceil(self.max_copies) / float(weights.min())
        place = (copy + hashes[rows]) / weight[rows] / last * 2.0**KEY_BITS
        return rows, copy, np.minimum(place, 2.0**KEY_BITS - 1).astype(np.uint64)


def _buckets(batch: pa.RecordBatch) -> Iterator[tuple[Bucket, Any]]:
    """Each bucket of a batch, and the mask of its rows."""
    languages, sources = (batch.column(name).dictionary_encode() for name in ("language", "source"))
    li, si = (c.indices.to_numpy(zero_copy_only=False).astype(np.int64) for c in (languages, sources))
    numbers = li * len(sources.dictionary) + si
    for number in np.unique(numbers).tolist():
        a, b = divmod(number, len(sources.dictionary))
        yield (languages.dictionary[a].as_py(), sources.dictionary[b].as_py()), numbers == number


class ReadLengths(msgspec.Struct, frozen=True, kw_only=True):
    """Source of units whose body names a file of ``lengths``; its rows as they are, tallied."""

    @property
    def schema(self) -> pa.Schema:
        return LENGTHS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        done, total = 0, max(1, unit.body.get("rows", 1))
        for batch in read_parquet(unit.body["lengths"], LENGTHS.names, 16_384):
            tally_rows(tally, batch)
            done += batch.num_rows
            yield batch, min(1.0, done / total)


class SumDigits(beam.CombineFn):  # type: ignore[misc]
    """Batches of LENGTHS to {bucket: int64[2, 4096]}: tokens and copies by the next digit of their place.

    ``heads``: for each bucket how many digits are known, and their value: only copies that begin with it are counted.
    None counts all buckets by the first digit. Memory: 64 kB a bucket.
    """

    def __init__(self, order: CopyOrder, heads: dict[Bucket, tuple[int, int]] | None = None) -> None:
        super().__init__()
        self._order = order
        self._heads = heads

    def create_accumulator(self) -> dict[Bucket, Any]:
        return {}

    def add_input(self, accumulator: dict[Bucket, Any], batch: pa.RecordBatch) -> dict[Bucket, Any]:
        if batch.num_rows == 0:
            return accumulator
        rows, _, places = self._order.places(batch)
        tokens = batch.column("tokens").to_numpy(zero_copy_only=False).astype(np.int64)
        for bucket, mask in _buckets(batch):
            if self._heads is not None and bucket not in self._heads:
                continue
            known, head = self._heads[bucket] if self._heads is not None else (0, 0)
            chosen = mask[rows]
            if known:
                chosen &= (places >> np.uint64(KEY_BITS - DIGIT_BITS * known)) == head
            digit = ((places[chosen] >> np.uint64(KEY_BITS - DIGIT_BITS * (known + 1))) & np.uint64(BINS - 1)).astype(
                int
            )
            sums = accumulator.setdefault(bucket, np.zeros((2, BINS), dtype=np.int64))
            np.add.at(sums[0], digit, tokens[rows[chosen]])
            np.add.at(sums[1], digit, 1)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[dict[Bucket, Any]]) -> dict[Bucket, Any]:
        merged: dict[Bucket, Any] = {}
        for accumulator in accumulators:
            for bucket, sums in accumulator.items():
                merged[bucket] = merged[bucket] + sums if bucket in merged else sums
        return merged

    def extract_output(self, accumulator: dict[Bucket, Any]) -> dict[Bucket, Any]:
        return accumulator


class FirstCopies(beam.CombineFn):  # type: ignore[misc]
    """Batches of LENGTHS to {bucket: its first ``most`` copies at or after ``begins[bucket]``}, in order."""

    def __init__(self, order: CopyOrder, begins: dict[Bucket, int], most: int) -> None:
        super().__init__()
        self._order = order
        self._begins = begins
        self._most = most

    def create_accumulator(self) -> dict[Bucket, list[Copy]]:
        return {}

    def add_input(self, accumulator: dict[Bucket, list[Copy]], batch: pa.RecordBatch) -> dict[Bucket, list[Copy]]:
        if batch.num_rows == 0:
            return accumulator
        rows, copies, places = self._order.places(batch)
        tokens = batch.column("tokens").to_numpy(zero_copy_only=False)
        for bucket, mask in _buckets(batch):
            if bucket not in self._begins:
                continue
            at = np.flatnonzero(mask[rows] & (places >= self._begins[bucket]))
            if len(at) > self._most:
                # All that share the last place stay in: the full order, by doc_id, is that of the sort below.
                limit = np.partition(places[at], self._most - 1)[self._most - 1]
                at = at[places[at] <= limit]
            held = accumulator.setdefault(bucket, [])
            if len(held) == self._most and len(at):
                at = at[places[at] <= held[-1][0]]
            ids = batch.column("doc_id")
            held += [
                (int(places[i]), ids[int(rows[i])].as_py().hex(), int(copies[i]), int(tokens[rows[i]])) for i in at
            ]
            held.sort()
            del held[self._most :]
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[dict[Bucket, list[Copy]]]) -> dict[Bucket, list[Copy]]:
        merged: dict[Bucket, list[Copy]] = {}
        for accumulator in accumulators:
            for bucket, held in accumulator.items():
                merged[bucket] = sorted([*merged.get(bucket, []), *held])[: self._most]
        return merged

    def extract_output(self, accumulator: dict[Bucket, list[Copy]]) -> dict[Bucket, list[Copy]]:
        return accumulator


class BucketRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of a bucket: every copy before ``below``, and the copies ``extra`` (doc_id in hex, copy)."""

    below: int
    extra: list[tuple[str, int]] = []


class TakeWithinBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of LENGTHS to rows of PACKED. Of a bucket without rule nothing is taken."""

    order: CopyOrder
    rules: dict[Bucket, BucketRule]

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        extra = {bucket: set(rule.extra) for bucket, rule in self.rules.items()}
        named = pa.array(sorted({bytes.fromhex(d) for pairs in extra.values() for d, _ in pairs}), pa.binary(16))

        def take(batch: pa.RecordBatch) -> pa.RecordBatch:
            taken = np.zeros(batch.num_rows, dtype=np.int32)
            if batch.num_rows:
                rows, copies, places = self.order.places(batch)
                chosen = np.zeros(len(rows), dtype=bool)
                ids = batch.column("doc_id")
                hit = pc.is_in(ids, value_set=named).to_numpy(zero_copy_only=False)
                for bucket, mask in _buckets(batch):
                    rule = self.rules.get(bucket)
                    if rule is None:
                        continue
                    mine = np.flatnonzero(mask[rows])
                    chosen[mine] = places[mine] < rule.below
                    for i in mine[hit[rows[mine]]].tolist():
                        if (ids[int(rows[i])].as_py().hex(), int(copies[i])) in extra[bucket]:
                            chosen[i] = True
                np.add.at(taken, rows[chosen], 1)
            kept = pa.array(taken > 0)
            made = {
                "outcome": pc.if_else(kept, KEPT, REJECTED),
                "reason": pc.if_else(kept, pa.scalar(None, pa.string()), pa.scalar("budget")),
                "copies": pa.array(taken),
            }
            columns = [made[name] if name in made else batch.column(name) for name in PACKED.names]
            return pa.RecordBatch.from_arrays(columns, schema=PACKED)

        return take


def _sums(batch: pa.RecordBatch) -> dict[str, int]:
    """Tokens that go into the shards by bucket (``language/source``), copies included; and copies in all."""
    copies = batch.column("copies").cast(pa.int64())
    found = {"copies": pc.sum(copies).as_py() or 0}
    tokens = pc.multiply(batch.column("tokens"), copies)
    table = pa.table({"l": batch.column("language"), "s": batch.column("source"), "n": tokens})
    for row in table.group_by(["l", "s"]).aggregate([("n", "sum")]).to_pylist():
        found[f"tokens {row['l']}/{row['s']}"] = row["n_sum"]
    return found


def packed_outputs() -> tuple[Output, ...]:
    """One row for every document of the mixture."""
    return (Output(table="packed", schema=PACKED, count=count_rows, sums=_sums, required=True),)
