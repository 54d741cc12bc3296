"""Step 0: of the captures of one URL one is passed on: the newest, or the one that the order of preference chooses."""

from collections.abc import Callable, Iterator

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from algok.dedup.options import DedupOptions
from algok.dedup.survivor import PREFERENCE, doc_words, first_of_groups
from algok.filters.url import normalise_array
from algok.transforms.dedup_exact import EXACT, UnitFiles, document_columns, exact_rows, preference_batch
from algok.transforms.dedup_stored import STORED_PREFERENCE, is_store, stored_preference, stored_rows
from algok.transforms.dedup_tables import ForUnits, OnPartitions, Plan, to_batches
from algok.transforms.shuffle import partitions_for
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["build_urls", "url_hashes"]

URLS = pa.schema([pa.field("url_hash", pa.binary(16)), pa.field("weight", pa.int64()), *PREFERENCE])


def url_hashes(urls: pa.Array) -> pa.Array:
    """XXH3-128 of each normalised URL as ``binary(16)``; null for an empty one."""
    digests = [xxhash.xxh3_128_digest(u.encode("utf-8", "surrogatepass")) if u else None for u in _normal(urls)]
    return pa.array(digests, pa.binary(16))


def _normal(urls: pa.Array) -> list[str | None]:
    return normalise_array(urls.cast(pa.string())).to_pylist()  # type: ignore[no-any-return]


class _Urls(msgspec.Struct, frozen=True):
    options: DedupOptions

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        for columns in self._stored(unit) if is_store(unit) else self._documents(unit):
            batch = pa.RecordBatch.from_arrays([columns[name] for name in URLS.names], schema=URLS)
            batch = batch.filter(pc.is_valid(batch.column("url_hash")))
            if batch.num_rows:
                yield batch

    def _documents(self, unit: Unit) -> Iterator[dict[str, pa.Array]]:
        source = DocumentRows(columns=document_columns(self.options, "url", "content_hash"))
        for batch, _ in source.read(unit, {}):
            batch = batch.filter(pc.is_valid(batch.column("content_hash")))
            ones = pa.array(np.ones(batch.num_rows, dtype=np.int64))
            made = {"url_hash": url_hashes(batch.column("url")), "weight": ones}
            yield made | preference_batch(batch, unit.body["index"], self.options)

    def _stored(self, unit: Unit) -> Iterator[dict[str, pa.Array]]:
        for batch in stored_rows(unit, ["url_hash", *STORED_PREFERENCE]):
            # What a row of a store stands for is counted in the step after this one.
            zeros = pa.array(np.zeros(batch.num_rows, dtype=np.int64))
            columns = stored_preference(batch)
            columns["owner"] = columns["node"]
            yield {"url_hash": batch.column("url_hash"), "weight": zeros} | columns


class _Captures(msgspec.Struct, frozen=True):
    newest: bool

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(batches(), URLS).combine_chunks()
        groups = list(doc_words(table["url_hash"]))
        ordered = table
        if self.newest:
            # The newest is the one of highest "quality": seconds fit a float64, not a float32.
            captured = table["captured"].cast(pa.float64(), safe=False).fill_null(-np.inf)
            ordered = table.set_column(table.schema.get_field_index("quality"), "quality", captured)
        best, size = first_of_groups(groups, ordered)
        several = pa.array(size > 1)
        rows = exact_rows(table, best)
        yield from to_batches(rows.filter(several))


def build_urls(pipeline: beam.Pipeline, plan: Plan, options: DedupOptions) -> None:
    """Write ``urls/<unit>.arrow`` (EXACT, sorted by node) for the documents whose URL has several captures."""
    partitions = partitions_for(plan.rows * 72)
    urls = pipeline | "Urls" >> ForUnits(plan, _Urls(options))
    handler = _Captures(options.url == "newest")
    groups = urls | "ByUrl" >> OnPartitions(plan, "url_hash", partitions, handler)
    files = UnitFiles(plan.table("urls"), EXACT, ("node",))
    _ = groups | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)
