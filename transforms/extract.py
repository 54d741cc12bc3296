"""The extract stage as PTransforms: records, pages to text, language, signals, and the three tables they end in."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.filters.gate import GateOptions
from algok.filters.gate.decide import LanguageGate
from algok.filters.language import LanguageIdentifier
from algok.filters.packs import builtin_packs
from algok.filters.reading import ReadOptions, ReadTally, Split, read_split
from algok.filters.signals import measure
from algok.schema import DEAD_LETTER, DOCUMENTS, FAILED, KEPT, RECORDS, REJECTED, REJECTED_ROWS
from algok.transforms.sampling import uniform
from algok.transforms.sinks import Count, Output, count_rows
from algok.transforms.storage import open_read
from algok.transforms.units import Unit

__all__ = ["ExtractPages", "IdentifyLanguage", "MeasureSignals", "RecordSource", "extract_outputs"]


class RecordSource(msgspec.Struct, frozen=True, kw_only=True):
    """Reads splits of input files; the unit's body is the split.

    The tally has, besides ``read``, the records by kind (``kinds``), those not turned into rows included, and the
    byte ranges that could not be read (``skipped``).
    """

    options: ReadOptions

    @property
    def schema(self) -> pa.Schema:
        return RECORDS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        split = msgspec.convert(unit.body, Split)
        counted = ReadTally()
        rows = 0
        for batch in read_split(split, open_read, self.options, counted):
            rows += batch.num_rows
            yield batch, _position(batch, split)
        tally["read"] = {split.source: {"und": [counted.rows, 0]}} if counted.rows else {}
        tally["kinds"] = dict(sorted(counted.kinds.items()))
        tally["skipped"] = [[split.file, *gap] for gap in counted.skipped]


def _position(batch: pa.RecordBatch, split: Split) -> float:
    """The part of the split that lies before the end of the batch."""
    offsets = batch.column("offset")
    if not batch.num_rows or split.end <= split.start or offsets[-1].as_py() is None:
        return 0.0
    reached = offsets[-1].as_py() + (batch.column("length")[-1].as_py() or 0)
    return float(min(1.0, max(0.0, (reached - split.start) / (split.end - split.start))))


class ExtractPages(msgspec.Struct, frozen=True, kw_only=True):
    """Records to documents: the language gate, then decoding and main text, in a child process with limits.

    ``model`` is the gate's language model, ``seed`` decides what is sampled.
    """

    options: ExtractOptions
    gate: GateOptions = GateOptions()
    model: str | None = None
    seed: int = 0

    def load(self) -> "_Extractor":
        return _Extractor(self)


class _Extractor:
    def __init__(self, kernel: ExtractPages) -> None:
        gate = None
        if kernel.gate.active:
            draw = partial(uniform, seed=kernel.seed, purpose="gate")
            gate = LanguageGate(kernel.gate, LanguageIdentifier(kernel.model), draw)
        self._extractor = PageExtractor(kernel.options, gate=gate)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return self._extractor.extract(batch)

    def close(self) -> None:
        self._extractor.close()


class IdentifyLanguage(msgspec.Struct, frozen=True, kw_only=True):
    """Fills language, language_score and hangul_share."""

    model: str

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        return LanguageIdentifier(self.model).annotate


class MeasureSignals(msgspec.Struct, frozen=True, kw_only=True):
    """Fills the text signals and content_hash."""

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        packs = builtin_packs()
        return lambda batch: measure(batch, packs)


def _with_outcome(outcome: str, schema: pa.Schema) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    return _Select(outcome, schema)


class _Select:
    """Rows of one outcome, as the columns of one table."""

    def __init__(self, outcome: str, schema: pa.Schema) -> None:
        self._outcome = outcome
        self._schema = schema

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = batch.filter(pc.equal(batch.column("outcome"), self._outcome)) if batch.num_rows else batch
        renamed = {"step": "reason", "error": "detail"} if self._outcome == FAILED else {}
        columns = [
            pa.array(itertools.repeat("extract", rows.num_rows), pa.string())
            if field.name == "stage"
            else rows.column(renamed.get(field.name, field.name))
            for field in self._schema
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)


class _CountOutcome:
    """Ledger lines of rows that are all of one outcome; the tables without that column included."""

    def __init__(self, outcome: str) -> None:
        self._outcome = outcome

    def __call__(self, batch: pa.RecordBatch) -> list[Count]:
        names = {"step": "reason"}
        renamed = batch.rename_columns([names.get(name, name) for name in batch.schema.names])
        return [msgspec.structs.replace(count, outcome=self._outcome) for count in count_rows(renamed)]


def extract_outputs() -> tuple[Output, ...]:
    """Dead letters, rejected records, and documents: every row of a batch goes to exactly one of them."""
    tables = (
        ("failed", FAILED, DEAD_LETTER, False),
        ("rejected", REJECTED, REJECTED_ROWS, False),
        ("documents", KEPT, DOCUMENTS, True),
    )
    return tuple(
        Output(
            table=table,
            schema=schema,
            select=_with_outcome(outcome, schema),
            count=_CountOutcome(outcome),
            required=required,
        )
        for table, outcome, schema, required in tables
    )
