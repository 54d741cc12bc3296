"""Writing the signature store: what a later crawl needs to be deduplicated against this one without its texts.

The store is that of all crawls so far: rows of the earlier store are written again with what this crawl added to their
counts, so the newest store is all that the next run needs.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.dedup.options import DedupOptions
from algok.dedup.shingles import shingle_hashes
from algok.errors import CorruptionError
from algok.transforms.dedup_assign import ASSIGNED
from algok.transforms.dedup_counts import COUNTS, months_of, source_hashes
from algok.transforms.dedup_exact import EXACT
from algok.transforms.dedup_pairs import ATTRIBUTES, EDGES, signature_schema
from algok.transforms.dedup_stored import is_store, store_schema, stored_rows
from algok.transforms.dedup_tables import batches_of, lookup, nodes_of, read_table, table_path
from algok.transforms.dedup_urls import url_hashes
from algok.transforms.sinks import Output
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["EdgeRows", "StoreRows", "edge_outputs", "store_outputs"]


class _Known:
    """The tables of a unit, looked up by node."""

    def __init__(self, folder: str, index: int) -> None:
        def read(name: str, schema: pa.Schema) -> pa.Table:
            return read_table(table_path(f"{folder}/{name}", index), schema, required=False).combine_chunks()

        self.assigned, self.counts = read("assigned", ASSIGNED), read("counts", COUNTS)
        self.nodes = self.assigned["node"].to_numpy()
        if not np.array_equal(self.nodes, self.counts["node"].to_numpy()):
            raise CorruptionError(f"{folder}: tables of unit {index} differ; run dedup with --force")

    def spread(self, nodes: Any, table: pa.Table, name: str, own: pa.Array) -> pa.Array:
        """The column of ``table`` at the nodes that are assigned, ``own`` elsewhere."""
        at = np.searchsorted(self.nodes, nodes)
        hit = at < len(self.nodes)
        hit[hit] = self.nodes[at[hit]] == nodes[hit]
        order = np.where(hit, len(nodes) + at, np.arange(len(nodes)))
        return pa.concat_arrays([own, table[name].combine_chunks().cast(own.type)]).take(pa.array(order))


class StoreRows(msgspec.Struct, frozen=True, kw_only=True):
    """Source of the store: the exact survivors of a unit, or the rows of a unit of the earlier store."""

    folder: str
    options: DedupOptions

    @property
    def schema(self) -> pa.Schema:
        return store_schema(self.options.minhash.permutations)

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        known = _Known(self.folder, unit.body["index"])
        if is_store(unit):
            yield from self._again(unit, known)
            return
        index = unit.body["index"]
        attributes = read_table(table_path(f"{self.folder}/attributes", index), ATTRIBUTES).combine_chunks()
        signed = read_table(
            table_path(f"{self.folder}/signatures", index), signature_schema(self.options.minhash.permutations)
        ).combine_chunks()
        source = DocumentRows(columns=("source", "captured", "url", "content_hash", "language", "text"))
        for batch, done in source.read(unit, {}):
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            chosen = np.isin(nodes, attributes["node"].to_numpy(), assume_unique=True)
            if chosen.any():
                yield self._rows(batch.filter(pa.array(chosen)), nodes[chosen], attributes, signed, known), done

    def _rows(
        self, batch: pa.RecordBatch, nodes: Any, attributes: pa.Table, signed: pa.Table, known: _Known
    ) -> pa.RecordBatch:
        rows = attributes.take(pa.array(lookup(attributes["node"].to_numpy(), nodes, "attributes")))
        months, sources = months_of(batch.column("captured")), source_hashes(batch.column("source"))
        own_months = pa.array([[m] if m >= 0 else [] for m in months.tolist()], pa.list_(pa.int32()))
        own_sources = pa.array([[s] for s in sources.tolist()], pa.list_(pa.int64()))
        ones = pa.array(np.ones(len(nodes), dtype=np.float32))
        sets = shingle_hashes(
            batch.column("text"),
            batch.column("language"),
            self.options.minhash.shingles,
            limit=self.options.store.shingles,
        )
        made = {
            "content_hash": batch.column("content_hash"),
            "url_hash": url_hashes(batch.column("url")),
            "owner": known.spread(nodes, known.assigned, "owner", pa.array(nodes)),
            "similarity": known.spread(nodes, known.assigned, "similarity", ones),
            "months": known.spread(nodes, known.counts, "months", own_months),
            "sources": known.spread(nodes, known.counts, "sources", own_sources),
            "signature": self._signatures(nodes, signed),
            "shingles": sets,
        }
        columns = [made[n] if n in made else rows[n].combine_chunks() for n in self.schema.names]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _signatures(self, nodes: Any, signed: pa.Table) -> pa.Array:
        own = signed["node"].to_numpy()
        at = np.searchsorted(own, nodes)
        hit = at < len(own)
        hit[hit] = own[at[hit]] == nodes[hit]
        width = self.options.minhash.permutations
        values = signed["signature"].combine_chunks().flatten().to_numpy().reshape(-1, width)
        picked = np.zeros((len(nodes), width), dtype=np.uint32)
        picked[hit] = values[at[hit]]
        bits = pa.py_buffer(np.packbits(hit, bitorder="little").tobytes())
        return pa.Array.from_buffers(pa.binary(4 * width), len(nodes), [bits, pa.py_buffer(picked.tobytes())])

    def _again(self, unit: Unit, known: _Known) -> Iterator[tuple[pa.RecordBatch, float]]:
        """Rows of the earlier store, with the copies, months and sources that this crawl adds."""
        exact = read_table(table_path(f"{self.folder}/exact", unit.body["index"]), EXACT, required=False)
        exact_nodes = exact["node"].to_numpy()
        for batch in stored_rows(unit, self.schema.names):
            nodes = batch.column("node").to_numpy()
            at = pa.array(lookup(exact_nodes, nodes, f"contents of store {unit.key}"))
            made = {
                "copies": exact["copies"].take(at).combine_chunks(),
                "months": known.spread(nodes, known.counts, "months", batch.column("months")),
                "sources": known.spread(nodes, known.counts, "sources", batch.column("sources")),
            }
            columns = [made[n] if n in made else batch.column(n) for n in self.schema.names]
            yield pa.RecordBatch.from_arrays(columns, schema=self.schema), 0.5


class EdgeRows(msgspec.Struct, frozen=True, kw_only=True):
    """Source of the store's accepted pairs: the batches of a file of edges (``body["edges"]``)."""

    @property
    def schema(self) -> pa.Schema:
        return EDGES

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        for batch in batches_of(unit.body["edges"]):
            left, right = batch.column("left"), batch.column("right")
            low, high = pc.min_element_wise(left, right), pc.max_element_wise(left, right)
            yield pa.RecordBatch.from_arrays([low, high, batch.column("similarity")], schema=EDGES), 0.5


def store_outputs(permutations: int) -> tuple[Output, ...]:
    """Rows of the store of one unit."""
    return (Output(table="store", schema=store_schema(permutations), required=True),)


def edge_outputs() -> tuple[Output, ...]:
    """Accepted pairs of one file."""
    return (Output(table="store_edges", schema=EDGES, required=True),)
