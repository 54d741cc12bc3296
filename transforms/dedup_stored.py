"""Files of the signature store of an earlier crawl, as units that the steps of deduplication read in place of texts.

A store has one row for every exact survivor of its crawls (``STORE``): what decides candidates, similarity and
preference, and what was decided. Nodes in it are numbered as in the run that wrote it; here all nodes of a store are
moved by the same number of units, behind the documents of the new crawl.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from algok.transforms.sources import read_parquet
from algok.transforms.units import Unit

__all__ = [
    "STORED_PREFERENCE",
    "is_store",
    "store_schema",
    "stored_edges",
    "stored_preference",
    "stored_rows",
]

#: Columns that ``stored_preference`` needs.
STORED_PREFERENCE = ("node", "doc_id", "owner", "quality", "length", "captured")


def store_schema(permutations: int) -> pa.Schema:
    """Schema of ``store/<number>.parquet``, sorted by node.

    ``owner`` is the survivor of the row's cluster (the row itself if it survived) and ``similarity`` to it; ``copies``
    are the documents with this content, ``months`` (years x 12 + month, from 0) and ``sources`` (XXH3-64 of their
    names) when and where; ``signature`` holds the 32-bit values, null for a text without a word; ``shingles`` are the
    smallest hashes of the shingle set.
    """
    return pa.schema(
        [
            pa.field("node", pa.int64()),
            pa.field("doc_id", pa.binary(16)),
            pa.field("content_hash", pa.binary(16)),
            pa.field("url_hash", pa.binary(16)),
            pa.field("owner", pa.int64()),
            pa.field("similarity", pa.float32()),
            pa.field("quality", pa.float32()),
            pa.field("length", pa.int32()),
            pa.field("captured", pa.int64()),
            pa.field("copies", pa.int64()),
            pa.field("months", pa.list_(pa.int32())),
            pa.field("sources", pa.list_(pa.int64())),
            pa.field("signature", pa.binary(4 * permutations)),
            pa.field("shingles", pa.large_list(pa.uint32())),
        ]
    )


def is_store(unit: Unit) -> bool:
    """Whether the unit is a file of a store."""
    return "store" in unit.body


def moved(nodes: Any, unit: Unit) -> Any:
    """Nodes as the run that wrote the store numbered them, in this run's numbers."""
    return nodes + (np.int64(unit.body["base"]) << np.int64(32))


def stored_rows(unit: Unit, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Columns of a store's file; ``node`` and ``owner`` in this run's numbers."""
    for batch in read_parquet(unit.body["store"], columns, 4096):
        if batch.num_rows:
            arrays = [
                pa.array(moved(column.to_numpy(zero_copy_only=False), unit)) if name in ("node", "owner") else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def stored_preference(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The ``PREFERENCE`` columns of a batch of ``stored_rows``."""
    return {name: batch.column(name) for name in STORED_PREFERENCE}


def stored_edges(unit: Unit) -> Iterator[pa.RecordBatch]:
    """Accepted pairs of earlier crawls that go with this file, in this run's numbers."""
    for path in unit.body.get("edges", []):
        for batch in read_parquet(path, None, 1 << 16):
            left, right = (pa.array(moved(batch.column(name).to_numpy(), unit)) for name in ("left", "right"))
            yield pa.RecordBatch.from_arrays([left, right, batch.column("similarity")], names=batch.schema.names)
