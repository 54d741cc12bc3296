"""Tables between the steps of deduplication, and the two shapes of a step: by unit and by partition.

A document is a *node*: ``index of its unit << 32 | row``. Units are numbered by their sorted keys, so a node means
the same in any run over the same units. Tables are Arrow IPC files in the step's own folder: ``<table>/<unit
index>.arrow`` where the rows of a unit are wanted together, ``<table>/<partition>.arrow`` elsewhere. A file appears
whole, and a retry writes the same again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.errors import CorruptionError
from algok.transforms.heartbeat import Heartbeat
from algok.transforms.shuffle import ShuffleRows
from algok.transforms.storage import AtomicFile, exists, join, list_files, open_read
from algok.transforms.units import ReadUnits, Unit

__all__ = [
    "Cache",
    "ForUnits",
    "Handler",
    "OnPartitions",
    "Plan",
    "ReadTables",
    "batches_of",
    "count_pieces",
    "lookup",
    "nodes_of",
    "read_table",
    "table_bytes",
    "table_path",
    "to_batches",
    "unit_slices",
    "write_table",
]

I64 = npt.NDArray[np.int64]

#: Rows of an element between steps: a few MB.
ELEMENT_ROWS = 1 << 16
_IPC = pa.ipc.IpcWriteOptions(compression="lz4")
#: Bytes of decoded unit tables that a worker keeps at hand while it works on a partition.
CACHE_BYTES = 256 << 20


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run of deduplication works. ``units`` is the list file; ``folder`` holds tables, ``spill`` the shuffles;
    ``partitions`` is the least number of partitions of a shuffle and ``rows`` the number of documents.

    ``key`` stands for the options and the contents of the units: steps that an earlier run of the same key finished
    are not repeated. Without a key nothing is reused.
    """

    units: str
    folder: str
    spill: str
    partitions: int
    rows: int
    key: str = ""
    #: For the progress display.
    units_count: int = 0
    #: Index of the first unit that is a file of an earlier crawl's store, and the shingles that it has of a text.
    first_store: int = (1 << 31) - 1
    store_shingles: int = 0

    def table(self, *parts: str) -> str:
        return join(self.folder, *parts)

    @property
    def first_stored(self) -> int:
        """Nodes from here on are of earlier crawls."""
        return self.first_store << 32


def nodes_of(index: int, rows: npt.NDArray[Any]) -> I64:
    """Nodes of rows of a unit.

    >>> nodes_of(2, np.array([5])).tolist() == [2 * 2**32 + 5]
    True
    """
    return (np.int64(index) << np.int64(32)) | rows.astype(np.int64)


def table_path(folder: str, number: int) -> str:
    """File of a unit or a partition."""
    return join(folder, f"{number:08d}.arrow")


def write_table(path: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write batches as one IPC file that appears whole."""
    file = AtomicFile(path)
    try:
        with pa.ipc.new_file(file, schema, options=_IPC) as writer:
            for batch in batches:
                writer.write_batch(batch)
        file.commit()
    except BaseException:
        file.abort()
        raise


def batches_of(path: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of an IPC file. Raises ``CorruptionError`` when it is damaged."""
    try:
        with open_read(path) as file:
            fields = None
            if columns is not None:
                schema = pa.ipc.open_file(file).schema
                fields = [schema.get_field_index(name) for name in columns]
                file.seek(0)
            with pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields)) as reader:
                for i in range(reader.num_record_batches):
                    yield reader.get_batch(i)
    except pa.ArrowException as error:
        raise CorruptionError(f"{path} is damaged ({error}); run the dedup stage again with --force") from error


def read_table(path: str, schema: pa.Schema, *, required: bool = True) -> pa.Table:
    """A whole IPC file, the columns of ``schema``; empty when it need not exist and does not."""
    if not required and not exists(path):
        return schema.empty_table()
    batches = list(batches_of(path, schema.names))
    return pa.Table.from_batches(batches, schema if not batches else batches[0].schema).select(schema.names)


def table_bytes(folder: str) -> int:
    """Size of a table's files."""
    return sum(found.size for found in list_files(join(folder, "*.arrow")))


def to_batches(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """Elements of bounded size with the table's rows in order."""
    for batch in table.combine_chunks().to_batches(max_chunksize=ELEMENT_ROWS):
        if batch.num_rows:
            yield batch


def unit_slices(units: npt.NDArray[Any]) -> Iterator[tuple[int, slice]]:
    """Runs of a sorted unit column: (unit index, rows)."""
    if len(units) == 0:
        return
    starts = np.flatnonzero(np.concatenate([[True], units[1:] != units[:-1]]))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(units)], strict=True):
        yield int(units[start]), slice(start, end)


def lookup(sorted_nodes: I64, wanted: I64, what: str) -> I64:
    """Positions of ``wanted`` in ``sorted_nodes``. Raises ``CorruptionError`` when one is not there."""
    at = np.searchsorted(sorted_nodes, wanted)
    inside = at < len(sorted_nodes)
    if not inside.all() or not np.array_equal(sorted_nodes[at], wanted):
        raise CorruptionError(f"{what} lacks rows that another step refers to; run the dedup stage again with --force")
    return at.astype(np.int64)


class Cache:
    """Least recently used unit tables, up to ``CACHE_BYTES``."""

    def __init__(self, load: Callable[[int], Any], size: Callable[[Any], int], limit: int = CACHE_BYTES) -> None:
        self._load = load
        self._size = size
        self._limit = limit
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._bytes = 0

    def __call__(self, number: int) -> Any:
        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        value = self._load(number)
        self._held[number] = value
        self._bytes += self._size(value)
        while self._bytes > self._limit and len(self._held) > 1:
            _, old = self._held.popitem(last=False)
            self._bytes -= self._size(old)
        return value


class Handler(Protocol):
    """Works on one partition: called with its number and its batches (the call can be repeated for another pass)."""

    def __call__(self, partition: int, batches: Callable[[], Iterator[pa.RecordBatch]]) -> Iterator[Any]: ...


class _Beating(beam.DoFn):  # type: ignore[misc]
    """Counts its pieces of work (units, partitions) as progress: each is of size 1."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._heartbeat: Heartbeat | None = None

    def setup(self) -> None:
        self._heartbeat = Heartbeat(self._folder)

    def _beat(self, piece: str, elements: Iterator[Any], rows: int) -> Iterator[Any]:
        """Pass on what a piece gives; at its end it is done, with the documents that it read (``rows``)."""
        assert self._heartbeat is not None
        yield from elements
        self._heartbeat.beat(piece, rows=rows, done=1.0, size=1, last=True)


class _OnPartition(_Beating):
    def __init__(self, folder: str, handler: Handler) -> None:
        super().__init__(folder)
        self._handler = handler

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[Any]:
        partition, references = element
        by_file: dict[str, list[int]] = {}
        for reference in references:
            index, path = reference.split(":", 1)
            by_file.setdefault(path, []).append(int(index))

        def batches() -> Iterator[pa.RecordBatch]:
            for path in sorted(by_file):
                with open_read(path) as file, pa.ipc.open_file(file) as reader:
                    for index in sorted(by_file[path]):
                        yield reader.get_batch(index)

        yield from self._beat(f"{partition}", self._handler(partition, batches), rows=0)


class OnPartitions(beam.PTransform):  # type: ignore[misc]
    """Shuffle rows by ``key`` into ``partitions`` and give each to the handler, which yields batches or strings
    (``kind``). Takes a PCollection of batches, or a tuple of several of one schema."""

    def __init__(
        self, plan: Plan, key: str, partitions: int, handler: Handler, *, kind: type = pa.RecordBatch, side: str = ""
    ) -> None:
        super().__init__()
        self._plan = plan
        self._key = key
        self._partitions = max(plan.partitions, partitions)
        self._handler = handler
        self._kind = kind
        self._side = side

    def expand(self, pcoll: Any) -> Any:
        grouped = pcoll | "Shuffle" >> ShuffleRows(self._plan.spill, key=self._key, partitions=self._partitions)
        work = beam.ParDo(_OnPartition(self._plan.folder, self._handler))
        if self._side:
            return grouped | "Work" >> work.with_outputs(self._side, main="main").with_output_types(self._kind)
        return grouped | "Work" >> work.with_output_types(self._kind)

    @property
    def pieces(self) -> int:
        """Calls of the handler: some partitions may turn out empty."""
        return self._partitions


class _ForUnit(_Beating):
    def __init__(self, folder: str, work: Callable[[Unit], Iterator[Any]]) -> None:
        super().__init__(folder)
        self._work = work

    def process(self, element: str) -> Iterator[Any]:
        unit = msgspec.json.decode(element, type=Unit)
        yield from self._beat(unit.key, self._work(unit), rows=unit.body.get("rows", 0))


class ForUnits(beam.PTransform):  # type: ignore[misc]
    """Call ``work`` for every unit of the plan; it yields batches, and tagged ones for ``side``."""

    def __init__(self, plan: Plan, work: Callable[[Unit], Iterator[Any]], *, side: str = "") -> None:
        super().__init__()
        self._plan = plan
        self._work = work
        self._side = side

    def expand(self, pbegin: Any) -> Any:
        units = pbegin | "ReadUnits" >> ReadUnits(self._plan.units)
        work = beam.ParDo(_ForUnit(self._plan.folder, self._work))
        if self._side:
            return units | "Work" >> work.with_outputs(self._side, main="main").with_output_types(pa.RecordBatch)
        return units | "Work" >> work.with_output_types(pa.RecordBatch)

    @property
    def pieces(self) -> int:
        """Calls of the work."""
        return self._plan.units_count


class _CountPieces(beam.pipeline.PipelineVisitor):  # type: ignore[misc]
    def __init__(self) -> None:
        self.pieces = 0

    def enter_composite_transform(self, transform_node: Any) -> None:
        self.pieces += getattr(transform_node.transform, "pieces", 0)


def count_pieces(pipeline: beam.Pipeline) -> int:
    """Units and partitions that the transforms of a built pipeline work on: the whole of its progress, which the
    workers report below the plan's folder (``transforms.heartbeat``)."""
    visitor = _CountPieces()
    pipeline.visit(visitor)
    return visitor.pieces


def _paths(folders: tuple[str, ...]) -> Iterator[str]:
    for folder in folders:
        for found in list_files(join(folder, "*.arrow")):
            yield found.path


class ReadTables(beam.PTransform):  # type: ignore[misc]
    """The batches of all files of some tables; with ``change`` each batch is replaced by the batches it gives."""

    def __init__(
        self, folders: tuple[str, ...], change: Callable[[pa.RecordBatch], Iterator[pa.RecordBatch]] | None = None
    ) -> None:
        super().__init__()
        self._folders = folders
        self._change = change

    def expand(self, pbegin: Any) -> Any:
        batches = (
            pbegin
            | "Folders" >> beam.Create([self._folders], reshuffle=False)
            | "Files" >> beam.FlatMap(_paths).with_output_types(str)
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.FlatMap(batches_of).with_output_types(pa.RecordBatch)
        )
        if self._change is None:
            return batches
        return batches | "Change" >> beam.FlatMap(self._change).with_output_types(pa.RecordBatch)
