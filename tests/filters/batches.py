"""Batches of documents for the tests of the filters."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from algok.schema import DOCUMENTS


def documents(texts: Sequence[str | None], **columns: Sequence[Any]) -> pa.RecordBatch:
    """A DOCUMENTS batch with these texts and columns; outcome ``kept``, doc_id and source filled, the rest null."""
    rows = len(texts)
    given: dict[str, Any] = {
        "doc_id": [row.to_bytes(16, "big") for row in range(rows)],
        "source": ["test"] * rows,
        "outcome": ["kept"] * rows,
        "text": texts,
        **columns,
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(given.get(field.name, [None] * rows), field.type) for field in DOCUMENTS], schema=DOCUMENTS
    )
