"""The filter stage as PTransforms: signals to decisions."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from algok.filters.policy import Policies, decide
from algok.schema import DECISIONS, DOCUMENTS
from algok.transforms.sinks import Output, count_rows
from algok.transforms.sources import BATCH_ROWS, read_parquet, tally_rows
from algok.transforms.units import Unit

__all__ = ["DecisionSource", "filter_outputs"]

#: Decisions need every column but the text and what only people read.
_COLUMNS = [name for name in DOCUMENTS.names if name not in ("text", "title", "content_hash", "record_id", "detail")]


class DecisionSource(msgspec.Struct, frozen=True, kw_only=True):
    """Reads the signals of a documents file and decides, row by row in the order of the file."""

    policies: Policies

    @property
    def schema(self) -> pa.Schema:
        return DECISIONS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        row = 0
        total = max(1, unit.body["rows"])
        for batch in read_parquet(unit.body["documents"], _COLUMNS, BATCH_ROWS):
            tally_rows(tally, batch)
            yield decide(batch, self.policies, unit.key, row), min(1.0, (row + batch.num_rows) / total)
            row += batch.num_rows


def filter_outputs() -> tuple[Output, ...]:
    """One decision for every document."""
    return (Output(table="decisions", schema=DECISIONS, count=count_rows, required=True),)
