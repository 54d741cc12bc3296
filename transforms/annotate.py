"""The two generic DoFns between a unit and its output: read it into batches, and map batches."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import apache_beam as beam
import msgspec
import pyarrow as pa
from apache_beam.metrics import Metrics

from algok.transforms.units import Mark, Unit, mark_batch, mark_of

__all__ = ["Annotate", "Kernel", "ReadBatches", "Source"]

BatchMap = Callable[[pa.RecordBatch], pa.RecordBatch]


class Source(Protocol):
    """Reads units. Pickled to the workers; ``read`` is called there."""

    @property
    def schema(self) -> pa.Schema:
        """Schema of the batches."""

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        """Batches with the part of the unit (0..1) read so far; fills ``tally`` by the time it ends."""


class Kernel(Protocol):
    """A batch-to-batch function whose set-up is costly. Pickled to the workers; ``load`` is called once in each."""

    def load(self) -> BatchMap:
        """The function itself; its ``close()``, if it has one, is called at the end."""


class _ReadBatches(beam.DoFn):  # type: ignore[misc]
    def __init__(self, source: Source) -> None:
        self._source = source

    def process(self, element: str) -> Iterator[pa.RecordBatch]:
        unit = msgspec.json.decode(element, type=Unit)
        tally: dict[str, Any] = {}
        sequence = 0
        for batch, done in self._source.read(unit, tally):
            yield mark_batch(batch, Mark(unit=unit.key, sequence=sequence, stamp=unit.stamp, done=done, size=unit.size))
            sequence += 1
        end = self._source.schema.empty_table().to_batches() or [_empty(self._source.schema)]
        last = Mark(
            unit=unit.key, sequence=sequence, stamp=unit.stamp, last=True, done=1.0, size=unit.size, tally=tally
        )
        yield mark_batch(end[0], last)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


class ReadBatches(beam.PTransform):  # type: ignore[misc]
    """Units to marked batches; the last batch of each unit is empty and carries the reader's tally."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source

    def expand(self, pcoll: Any) -> Any:
        return pcoll | "Read" >> beam.ParDo(_ReadBatches(self._source)).with_output_types(pa.RecordBatch)


class _Annotate(beam.DoFn):  # type: ignore[misc]
    def __init__(self, kernel: Kernel, name: str) -> None:
        self._kernel = kernel
        self._rows = Metrics.counter("algok", f"{name}/rows")
        self._call: BatchMap | None = None

    def setup(self) -> None:
        self._call = self._kernel.load()

    def process(self, element: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        assert self._call is not None
        self._rows.inc(element.num_rows)
        yield mark_batch(self._call(element), mark_of(element))

    def teardown(self) -> None:
        close = getattr(self._call, "close", None)
        if close is not None:
            close()


class Annotate(beam.PTransform):  # type: ignore[misc]
    """Apply a kernel to every batch; the batch's mark goes along."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._kernel = kernel

    def expand(self, pcoll: Any) -> Any:
        name = type(self._kernel).__name__
        return pcoll | name >> beam.ParDo(_Annotate(self._kernel, name)).with_output_types(pa.RecordBatch)
