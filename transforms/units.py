"""Units of work and the marks that tie a batch to its unit.

A *unit* is what a worker does in one go and a resumed run need not repeat: a split of an input file, or one file of a
predecessor. Its key is a hash of content and configuration, never of a position, so the same unit has the same
output file name in any run. The list of units is a file, not a part of the job graph.

A batch on its way from the reader of a unit to the writer of the unit carries a ``Mark`` in its schema metadata. The
writer checks that it sees the marks in sequence up to the one that says ``last``.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import msgspec
import pyarrow as pa
import xxhash

from algok.transforms.storage import atomic_bytes, open_read

__all__ = ["Mark", "ReadUnits", "Unit", "mark_batch", "mark_of", "unit_key", "unit_of", "write_units"]

_META = b"algok.mark"


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """``key`` names the output files; ``size`` (bytes) is for scheduling and progress; ``body`` is the stage's own.

    ``inputs`` are checksums of what the unit reads, beyond what the key says. ``stamp`` is a hash of them and of the
    step's configuration: a finished file with another stamp is of another run and is written again.
    """

    key: str
    size: int
    body: dict[str, Any]
    inputs: list[str] = []
    stamp: str = ""


def unit_of(path: str) -> str:
    """The key of the unit in the name of one of its files.

    >>> unit_of("work/extract/documents/0f1e2d3c4b5a6978.parquet")
    '0f1e2d3c4b5a6978'
    """
    return path.rsplit("/", 1)[-1].removesuffix(".parquet")


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a batch belongs: the ``sequence``-th of its unit; ``done`` (0..1) is the part of the unit read so far.

    ``tally`` is what the reader counted; it is complete in the ``last`` batch of a unit, which may have no rows.
    """

    unit: str
    sequence: int
    stamp: str = ""
    last: bool = False
    done: float = 0.0
    size: int = 0
    tally: dict[str, Any] = msgspec.field(default_factory=dict)


def unit_key(*parts: Any) -> str:
    """16 hex digits over a canonical encoding of the parts.

    >>> unit_key("a", 1) == unit_key("a", 1) != unit_key("a", 2)
    True
    """
    return xxhash.xxh3_64(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def write_units(path: str, units: list[Unit], step: str) -> None:
    """Stamp the units with the step's key and write the list, largest unit first: with round-robin over workers that
    is the balanced order."""
    stamped = [msgspec.structs.replace(unit, stamp=unit_key(step, unit.inputs)) for unit in units]
    ordered = sorted(stamped, key=lambda unit: (-unit.size, unit.key))
    atomic_bytes(path, b"".join(msgspec.json.encode(unit) + b"\n" for unit in ordered))


def _lines(path: str) -> Iterator[str]:
    with open_read(path) as file:
        for line in file:
            yield line.decode().rstrip("\n")


class ReadUnits(beam.PTransform):  # type: ignore[misc]
    """The units of a list file as JSON strings, spread over the workers."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def expand(self, pbegin: Any) -> Any:
        return (
            pbegin
            | "UnitList" >> beam.Create([self._path], reshuffle=False)
            | "Lines" >> beam.FlatMap(_lines).with_output_types(str)
            | "Spread" >> beam.Reshuffle()
        )


def mark_batch(batch: pa.RecordBatch, mark: Mark) -> pa.RecordBatch:
    """The same rows with the mark in the schema metadata."""
    metadata = dict(batch.schema.metadata or {})
    metadata[_META] = msgspec.json.encode(mark)
    return batch.replace_schema_metadata(metadata)


def mark_of(batch: pa.RecordBatch) -> Mark:
    """The batch's mark. Raises ``ValueError`` when it has none."""
    data = (batch.schema.metadata or {}).get(_META)
    if data is None:
        raise ValueError("the batch carries no unit mark; batches between a reader and a writer must keep theirs")
    return msgspec.json.decode(data, type=Mark)
