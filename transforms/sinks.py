"""Writers: the batches of a unit become files that appear whole, and a receipt that says what is in them."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from algok.errors import StageError
from algok.transforms.heartbeat import Heartbeat
from algok.transforms.storage import AtomicFile, checksum, exists, join, open_read
from algok.transforms.units import Mark, Unit, mark_of

__all__ = ["Count", "FileReceipt", "Output", "Receipt", "SkipDone", "WriteUnits", "count_rows", "receipt_of"]

_RECEIPT = b"algok.receipt"
#: Rows of a Parquet row group: a few MB of text, so that readers of one group stay small.
ROW_GROUP_ROWS = 8_192


class Count(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One line of a ledger, counted from written rows; ``bytes`` is text in UTF-8."""

    source: str
    language: str
    outcome: str
    reason: str
    documents: int
    bytes: int


class FileReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A file as written; ``checksum`` is XXH3-128 in hex, empty inside the file's own footer."""

    table: str
    path: str
    rows: int
    bytes: int
    checksum: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a unit gave. ``stamp`` is that of the unit (configuration and input checksums)."""

    unit: str
    stamp: str
    files: list[FileReceipt]
    counts: list[Count]
    tally: dict[str, Any]
    sums: dict[str, int] = {}


def every_row(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as it is."""
    return batch


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One table that a unit is written to, as ``<folder>/<table>/<unit>.parquet``.

    ``select`` takes the rows and columns for this table from a batch (by default all); ``count`` gives its ledger
    lines, ``sums`` other numbers to add up. An output without a table name is counted and not written; one that is not
    ``required`` has no file where it has no rows. The last output must be required: its file, renamed last, says that
    the unit is done.
    """

    table: str
    schema: pa.Schema
    select: Callable[[pa.RecordBatch], pa.RecordBatch] = every_row
    count: Callable[[pa.RecordBatch], list[Count]] | None = None
    sums: Callable[[pa.RecordBatch], dict[str, int]] | None = None
    required: bool = False


def count_rows(batch: pa.RecordBatch) -> list[Count]:
    """Ledger lines of a batch with columns source, language, outcome, reason and bytes (missing ones are empty)."""
    if batch.num_rows == 0:
        return []
    names = ("source", "language", "outcome", "reason")
    columns = {
        name: batch.column(name) if name in batch.schema.names else pa.array([""] * batch.num_rows) for name in names
    }
    sizes = batch.column("bytes") if "bytes" in batch.schema.names else pa.array(np.zeros(batch.num_rows, np.int32))
    table = pa.table({**columns, "size": sizes}).group_by(list(names)).aggregate([([], "count_all"), ("size", "sum")])
    return [
        Count(
            source=row["source"] or "",
            language=row["language"] or "und",
            outcome=row["outcome"] or "",
            reason=row["reason"] or "",
            documents=row["count_all"],
            bytes=row["size_sum"] or 0,
        )
        for row in table.to_pylist()
    ]


def merge_counts(counts: list[Count]) -> list[Count]:
    """Sum lines of the same key; sorted, so that the result depends on no order."""
    sums: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for c in counts:
        key = (c.source, c.language, c.outcome, c.reason)
        documents, size = sums.get(key, (0, 0))
        sums[key] = (documents + c.documents, size + c.bytes)
    return [
        Count(source=k[0], language=k[1], outcome=k[2], reason=k[3], documents=n, bytes=b)
        for k, (n, b) in sorted(sums.items())
    ]


class _OpenFile:
    """A Parquet file that is being written."""

    def __init__(self, output: Output, path: str) -> None:
        self.output = output
        self.rows = 0
        self._file = AtomicFile(path)
        self._writer = pq.ParquetWriter(
            self._file,
            output.schema,
            compression="zstd",
            compression_level=3,
            use_dictionary=[f.name for f in output.schema if pa.types.is_string(f.type)],
            write_page_checksum=True,
            write_statistics=True,
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._pending.append(batch)
        self._pending_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._pending_rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writer.write_table(pa.Table.from_batches(self._pending, self.output.schema))
            self._pending, self._pending_rows = [], 0

    def commit(self, metadata: dict[str, str]) -> FileReceipt:
        self._flush()
        self._writer.add_key_value_metadata(metadata)
        self._writer.close()
        self._file.commit()
        return FileReceipt(
            table=self.output.table,
            path=self._file.path,
            rows=self.rows,
            bytes=self._file.bytes,
            checksum=self._file.checksum,
        )

    def abort(self) -> None:
        self._file.abort()


class _WriteUnits(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str, outputs: tuple[Output, ...]) -> None:
        if not outputs[-1].required:
            raise ValueError("the last output marks the unit as done and must be required")
        self._folder = folder
        self._outputs = outputs
        self._unit: str | None = None
        self._next = 0
        self._open: dict[str, _OpenFile] = {}
        self._counts: list[Count] = []
        self._sums: dict[str, int] = {}
        self._heartbeat: Heartbeat | None = None

    def setup(self) -> None:
        self._heartbeat = Heartbeat(self._folder)

    def start_bundle(self) -> None:
        self._abort()

    def process(self, element: pa.RecordBatch) -> Iterator[str]:
        mark = mark_of(element)
        if mark.sequence == 0:
            self._abort()
            self._unit = mark.unit
        if mark.unit != self._unit or mark.sequence != self._next:
            raise StageError(
                f"unit {mark.unit}: batch {mark.sequence} arrived where batch {self._next} of {self._unit} was due; "
                "the runner does not keep reader and writer of a unit together (fused), which algok needs"
            )
        self._next += 1
        for output in self._outputs:
            rows = output.select(element)
            if rows.num_rows or (output.required and mark.last):
                if output.table:
                    self._file(output).write(rows)
                if output.count is not None:
                    self._counts = merge_counts([*self._counts, *output.count(rows)])
                for name, value in (output.sums(rows) if output.sums else {}).items():
                    self._sums[name] = self._sums.get(name, 0) + value
        assert self._heartbeat is not None
        self._heartbeat.beat(mark.unit, rows=element.num_rows, done=mark.done, size=mark.size, last=mark.last)
        if mark.last:
            yield self._finish(mark)

    def _file(self, output: Output) -> _OpenFile:
        file = self._open.get(output.table)
        if file is None:
            path = join(self._folder, output.table, f"{self._unit}.parquet")
            file = self._open[output.table] = _OpenFile(output, path)
        return file

    def _finish(self, mark: Mark) -> str:
        assert self._unit is not None
        receipt = Receipt(
            unit=self._unit, stamp=mark.stamp, files=[], counts=self._counts, tally=mark.tally, sums=self._sums
        )
        for output in self._outputs:
            file = self._open.pop(output.table, None)
            if file is not None:
                metadata = {_RECEIPT.decode(): msgspec.json.encode(receipt).decode()}
                receipt = msgspec.structs.replace(receipt, files=[*receipt.files, file.commit(metadata)])
        self._unit, self._next, self._counts, self._sums = None, 0, [], {}
        return msgspec.json.encode(receipt).decode()

    def _abort(self) -> None:
        for file in self._open.values():
            file.abort()
        self._open, self._counts, self._sums, self._unit, self._next = {}, [], {}, None, 0

    def teardown(self) -> None:
        self._abort()
        if self._heartbeat is not None:
            self._heartbeat.close()


class WriteUnits(beam.PTransform):  # type: ignore[misc]
    """Marked batches to one file per unit and output table; emits receipts as JSON strings."""

    def __init__(self, folder: str, outputs: tuple[Output, ...]) -> None:
        super().__init__()
        self._fn = _WriteUnits(folder, outputs)

    def expand(self, pcoll: Any) -> Any:
        return pcoll | "Write" >> beam.ParDo(self._fn).with_output_types(str)


def receipt_of(path: str, table: str, stamp: str) -> Receipt | None:
    """The receipt in a finished unit file, completed with the file's own checksum; None if it has another
    stamp, is damaged, or names files that are missing or changed."""
    try:
        with open_read(path) as file:
            parquet = pq.ParquetFile(file)
            data = (parquet.metadata.metadata or {}).get(_RECEIPT)
            rows = parquet.metadata.num_rows
            file.seek(0, 2)
            size = file.tell()
        receipt = msgspec.json.decode(data or b"", type=Receipt)
    except (pa.ArrowException, OSError, ValueError, msgspec.MsgspecError):
        return None
    if receipt.stamp != stamp:
        return None
    if any(not exists(f.path) or checksum(f.path) != f.checksum for f in receipt.files):
        return None
    own = FileReceipt(table=table, path=path, rows=rows, bytes=size, checksum=checksum(path))
    return msgspec.structs.replace(receipt, files=[*receipt.files, own])


class _SkipDone(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str, table: str) -> None:
        self._folder = folder
        self._table = table

    def process(self, element: str) -> Iterator[Any]:
        unit = msgspec.json.decode(element, type=Unit)
        path = join(self._folder, self._table, f"{unit.key}.parquet")
        receipt = receipt_of(path, self._table, unit.stamp) if exists(path) else None
        if receipt is None:
            yield element
        else:
            yield beam.pvalue.TaggedOutput("done", msgspec.json.encode(receipt).decode())


class SkipDone(beam.PTransform):  # type: ignore[misc]
    """Split units into those to do (main output) and receipts of those that an earlier run finished (``done``)."""

    def __init__(self, folder: str, table: str) -> None:
        super().__init__()
        self._fn = _SkipDone(folder, table)

    def expand(self, pcoll: Any) -> Any:
        return pcoll | "SkipDone" >> beam.ParDo(self._fn).with_outputs("done", main="todo").with_output_types(str)
