"""The mix stage as PTransforms: the supply by bucket and hash, and the choice of copies."""

from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.schema import KEPT, MIXTURE, REJECTED
from algok.transforms.sampling import uniform
from algok.transforms.sinks import Output, count_rows

__all__ = ["ChooseCopies", "CopyRule", "SumSupply", "mix_outputs"]

#: Accumulator: (language, source, class) -> int64 array (2, bins): bytes and documents by bin of the sampling hash.
Sums = dict[tuple[str, str, int], Any]
PURPOSE = "mix"


def _classes(batch: pa.RecordBatch, starts: tuple[int, ...]) -> Any:
    sizes = batch.column("cluster_size").to_numpy(zero_copy_only=False)
    return np.searchsorted(np.array(starts), sizes, side="right") - 1


def _groups(batch: pa.RecordBatch, starts: tuple[int, ...]) -> Iterable[tuple[tuple[str, str, int], Any]]:
    """(language, source, class) and the mask of its rows."""
    classes = _classes(batch, starts)
    languages = batch.column("language").dictionary_encode()
    sources = batch.column("source").dictionary_encode()
    language, source = (c.indices.to_numpy(zero_copy_only=False) for c in (languages, sources))
    keys = np.stack([language, source, classes], axis=1)
    for li, si, ci in np.unique(keys, axis=0).tolist():
        key = (languages.dictionary[li].as_py(), sources.dictionary[si].as_py(), ci)
        yield key, (keys == np.array([li, si, ci])).all(axis=1)


class SumSupply(beam.CombineFn):  # type: ignore[misc]
    """Sums batches with columns doc_id, language, source, cluster_size and bytes.

    Memory: 2 x ``bins`` int64 for each class of the languages that have a share; nothing for other languages.
    """

    def __init__(self, *, seed: int, bins: int, starts: tuple[int, ...], languages: frozenset[str]) -> None:
        super().__init__()
        self._seed = seed
        self._bins = bins
        self._starts = starts
        self._languages = languages

    def create_accumulator(self) -> Sums:
        return {}

    def add_input(self, accumulator: Sums, batch: pa.RecordBatch) -> Sums:
        if batch.num_rows == 0:
            return accumulator
        sizes = batch.column("bytes").to_numpy(zero_copy_only=False).astype(np.int64)
        bins = (uniform(batch.column("doc_id"), self._seed, PURPOSE) * self._bins).astype(np.int64)
        for key, mask in _groups(batch, self._starts):
            if key[0] not in self._languages:
                continue
            sums = accumulator.setdefault(key, np.zeros((2, self._bins), dtype=np.int64))
            np.add.at(sums[0], bins[mask], sizes[mask])
            np.add.at(sums[1], bins[mask], 1)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Sums]) -> Sums:
        merged: Sums = {}
        for accumulator in accumulators:
            for key, sums in accumulator.items():
                merged[key] = merged[key] + sums if key in merged else sums
        return merged

    def extract_output(self, accumulator: Sums) -> Sums:
        return accumulator


class CopyRule(msgspec.Struct, frozen=True, kw_only=True):
    """Copies for one class: ``whole``, and one more below ``threshold``."""

    whole: int
    threshold: float


class ChooseCopies(msgspec.Struct, frozen=True, kw_only=True):
    """Survivors to rows of MIXTURE. Documents of a class without rule get no copy."""

    rules: dict[tuple[str, str, int], CopyRule]
    starts: tuple[int, ...]
    languages: frozenset[str]
    seed: int

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        return self._choose

    def _choose(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        copies = np.zeros(batch.num_rows, dtype=np.int32)
        if batch.num_rows:
            hashes = uniform(batch.column("doc_id"), self.seed, PURPOSE)
            for key, mask in _groups(batch, self.starts):
                rule = self.rules.get(key)
                if rule is not None:
                    copies[mask] = rule.whole + (hashes[mask] < rule.threshold)
        kept = pa.array(copies > 0)
        shared = pc.is_in(batch.column("language"), value_set=pa.array(sorted(self.languages), pa.string()))
        lost = pc.if_else(shared, "budget", "no_share")
        made = {
            "outcome": pc.if_else(kept, KEPT, REJECTED),
            "reason": pc.if_else(kept, pa.scalar(None, pa.string()), lost),
            "copies": pa.array(copies),
        }
        columns = [made[name] if name in made else batch.column(name) for name in MIXTURE.names]
        return pa.RecordBatch.from_arrays(columns, schema=MIXTURE)


def mix_outputs() -> tuple[Output, ...]:
    """One row for every survivor of the unit."""
    return (Output(table="mixture", schema=MIXTURE, count=count_rows, required=True),)
