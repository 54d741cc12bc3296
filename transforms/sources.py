"""Sources of batches: input records, and the rows of a documents file joined with what later stages decided."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from algok.dedup.edits import without_ranges
from algok.errors import CorruptionError
from algok.schema import ADDRESS, DOCUMENTS
from algok.transforms.storage import open_read
from algok.transforms.units import Unit

__all__ = ["DocumentRows", "read_parquet", "read_whole", "tally_rows"]

#: Rows of a batch; the text of 1,000 web documents is a few MB.
BATCH_ROWS = 1_000


def read_parquet(path: str, columns: list[str] | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    """Batches of a Parquet file that algok wrote. Raises ``CorruptionError`` when a page fails its checksum."""
    with open_read(path) as file:
        try:
            parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
            yield from parquet.iter_batches(batch_size=batch_rows, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise CorruptionError(
                f"{path} is damaged ({error}); delete it and the manifest.json of its stage, then run again"
            ) from error


def tally_rows(tally: dict[str, Any], batch: pa.RecordBatch) -> None:
    """Add a batch's rows to ``tally['read']`` by source and language: {source: {language: [documents, bytes]}}."""
    if batch.num_rows == 0:
        return
    table = pa.table({name: batch.column(name) for name in ("source", "language", "bytes")})
    read = tally.setdefault("read", {})
    for row in table.group_by(["source", "language"]).aggregate([([], "count_all"), ("bytes", "sum")]).to_pylist():
        entry = read.setdefault(row["source"], {}).setdefault(row["language"] or "und", [0, 0])
        entry[0] += row["count_all"]
        entry[1] += row["bytes_sum"] or 0


class DocumentRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a documents file, as ADDRESS columns plus ``columns`` of DOCUMENTS.

    The unit's body names the files: ``documents``; optionally ``decisions`` (row-aligned: only kept rows are given)
    and ``selection`` (clusters or mixture: only the rows listed there, with ``selected`` columns of it appended; with
    ``chosen`` only those of its rows where that column is true or above 0). Every row given is tallied by source and
    language. With ``edits`` (a file of EDITS) texts come without what dedup takes out of them, and ``bytes`` is their
    length then. Raises ``CorruptionError`` when the files disagree on a row's doc_id.
    """

    columns: tuple[str, ...]
    selected: tuple[str, ...] = ()
    selection_schema: pa.Schema | None = None
    chosen: str = ""
    batch_rows: int = BATCH_ROWS

    @property
    def schema(self) -> pa.Schema:
        fields = [*ADDRESS, *(DOCUMENTS.field(name) for name in self.columns)]
        if self.selected:
            assert self.selection_schema is not None
            fields += [self.selection_schema.field(name) for name in self.selected]
        return pa.schema(fields)

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        path = unit.body["documents"]
        needed = ["doc_id", *dict.fromkeys([*self.columns, "source", "language", "bytes"])]
        decisions = unit.body.get("decisions")
        kept = read_whole(decisions, ["doc_id", "outcome"]) if decisions else None
        chosen = _Selection(unit.body["selection"], self) if unit.body.get("selection") else None
        edits = _Edits(unit.body["edits"]) if unit.body.get("edits") else None
        total = max(1, unit.body.get("rows", 1))
        start = 0
        for batch in read_parquet(path, needed, self.batch_rows):
            rows = np.arange(start, start + batch.num_rows, dtype=np.int32)
            mask = np.ones(batch.num_rows, dtype=bool)
            if kept is not None:
                decision = kept.slice(start, batch.num_rows)
                if decision.num_rows != batch.num_rows or not _same(decision["doc_id"], batch.column("doc_id")):
                    raise CorruptionError(f"{decisions} does not match {path}: run the filter stage again")
                mask &= pc.equal(decision["outcome"], "kept").to_numpy()
            extra: list[pa.Array] = []
            if chosen is not None:
                picked, extra = chosen.take(start, batch, path)
                mask &= picked
            start += batch.num_rows
            if not mask.all():
                batch = batch.filter(pa.array(mask))
            if edits is not None:
                batch = edits.apply(batch, rows[mask], path)
            tally_rows(tally, batch)
            head = [pa.array([unit.key] * batch.num_rows, pa.string()), pa.array(rows[mask]), batch.column("doc_id")]
            body = [batch.column(name) for name in self.columns]
            yield pa.RecordBatch.from_arrays([*head, *body, *extra], schema=self.schema), min(1.0, start / total)


def read_whole(path: str, columns: list[str]) -> pa.Table:
    """A small table (addresses, outcomes) of one unit; row groups of two files of a unit need not match."""
    batches = list(read_parquet(path, columns))
    if batches:
        return pa.Table.from_batches(batches)
    with open_read(path) as file:
        return pq.read_schema(file).empty_table().select(columns)


def _same(left: pa.ChunkedArray, right: pa.Array) -> bool:
    return pa.chunked_array([right]).equals(left)  # type: ignore[no-any-return]


class _Edits:
    """What is taken out of a unit's texts; small: the ranges of one documents file."""

    def __init__(self, path: str) -> None:
        table = read_whole(path, ["row", "doc_id", "start", "end"])
        self._path = path
        self._ids = table["doc_id"]
        self._row, self._start, self._end = (table[n].to_numpy().astype(np.int64) for n in ("row", "start", "end"))

    def apply(self, batch: pa.RecordBatch, rows: np.ndarray[Any, Any], path: str) -> pa.RecordBatch:
        """The batch (whose rows are ``rows`` of the file) with its texts edited and ``bytes`` to match."""
        if batch.num_rows == 0:
            return batch
        first, last = np.searchsorted(self._row, [rows[0], rows[-1] + 1])
        at = np.searchsorted(rows, self._row[first:last])
        # Rows of the file that this reader does not want have their edits too.
        mine = rows[np.minimum(at, len(rows) - 1)] == self._row[first:last]
        where = np.arange(first, last)[mine]
        at = at[mine]
        if len(at) == 0:
            return batch
        if not _same(self._ids.take(pa.array(where)), batch.column("doc_id").take(pa.array(at))):
            raise CorruptionError(f"{self._path} does not match {path}: run the dedup stage again")
        start, end = self._start[where], self._end[where]
        lost = np.zeros(batch.num_rows, dtype=np.int32)
        np.add.at(lost, at, (end - start).astype(np.int32))
        changed = {"bytes": pc.subtract(batch.column("bytes"), pa.array(lost))}
        if "text" in batch.schema.names:
            changed["text"] = without_ranges(batch.column("text"), at, start, end)[0]
        columns = [changed[f.name].cast(f.type) if f.name in changed else batch.column(f.name) for f in batch.schema]
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


class _Selection:
    """A unit's rows of a selection table, taken in step with the documents. Small: addresses and a few numbers."""

    def __init__(self, path: str, options: DocumentRows) -> None:
        columns = ["row", "doc_id", *options.selected, *([options.chosen] if options.chosen else [])]
        table = read_whole(path, list(dict.fromkeys(columns)))
        self._path = path
        self._options = options
        self._table = table.filter(pc.greater(table[options.chosen].cast(pa.int64()), 0)) if options.chosen else table
        self._rows = self._table["row"].to_numpy()

    def take(self, start: int, batch: pa.RecordBatch, path: str) -> tuple[np.ndarray[Any, Any], list[pa.Array]]:
        first, last = np.searchsorted(self._rows, [start, start + batch.num_rows])
        picked = np.zeros(batch.num_rows, dtype=bool)
        local = self._rows[first:last] - start
        picked[local] = True
        part = self._table.slice(first, last - first)
        if not _same(part["doc_id"], batch.column("doc_id").take(pa.array(local))):
            raise CorruptionError(f"{self._path} does not match {path}: run the stage that wrote it again")
        fields = self._options.schema
        extra = [part[name].combine_chunks().cast(fields.field(name).type) for name in self._options.selected]
        return picked, extra
