"""Rows of :data:`algok.schema.RECORDS`, gathered into batches bounded in rows and in bytes."""

from typing import Any

import numpy as np
import pyarrow as pa

from algok.filters.reading.options import ReadOptions, Split
from algok.filters.reading.tally import ReadTally
from algok.schema import RECORDS

__all__ = ["ROW_KINDS", "Rows"]

#: Kinds of archive records that become a row.
ROW_KINDS = frozenset({"response", "resource", "conversion"})

#: Characters of an error message that are kept.
_ERROR_CHARS = 500
#: Longest URL or identifier that is kept whole; browsers take about 2 MB, archives of real crawls stay below 8 KB.
_FIELD_CHARS = 64 * 1024


class Rows:
    """Collects rows; :attr:`ready` turns true when a batch should be taken."""

    __slots__ = ("_bytes", "_columns", "_count", "_most_bytes", "_most_rows", "_split", "tally")

    def __init__(self, split: Split, options: ReadOptions, tally: ReadTally) -> None:
        self._split = split
        self._most_rows = options.batch_rows
        self._most_bytes = options.batch_bytes
        self.tally = tally
        self._clear()

    def _clear(self) -> None:
        self._columns: tuple[list[Any], ...] = tuple([] for _ in range(14))
        self._count = 0
        self._bytes = 0

    def add(
        self,
        offset: int,
        length: int,
        kind: str,
        record_id: str | None = None,
        url: str | None = None,
        captured: int | None = None,
        status: int | None = None,
        media_type: str | None = None,
        charset: str | None = None,
        payload: bytes | None = None,
        text: str | None = None,
        language: str | None = None,
        failed_step: str | None = None,
        error: str | None = None,
    ) -> None:
        """One row. ``captured`` is in seconds since 1970."""
        if failed_step is not None:
            payload = text = None
            self.tally.failed[failed_step] += 1
            if error is not None and len(error) > _ERROR_CHARS:
                error = error[:_ERROR_CHARS] + "..."
        if url is not None and len(url) > _FIELD_CHARS:
            url = url[:_FIELD_CHARS]
        if record_id is not None and len(record_id) > _FIELD_CHARS:
            record_id = record_id[:_FIELD_CHARS]
        values = (
            *(offset, length, kind, record_id, url, captured, status, media_type, charset, payload, text, language),
            *(failed_step, error),
        )
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)
        self._count += 1
        self._bytes += (len(payload) if payload is not None else 0) + (len(text) * 3 if text is not None else 0)
        self.tally.rows += 1
        self.tally.count(kind)

    def gap(self, start: int, end: int, step: str, error: str) -> None:
        """A range of the file in which no record could be recognised."""
        self.add(start, end - start, "gap", failed_step=step, error=error)

    @property
    def ready(self) -> bool:
        """True when the rows so far fill a batch."""
        return self._count >= self._most_rows or self._bytes >= self._most_bytes

    def __len__(self) -> int:
        return self._count

    def take(self) -> pa.RecordBatch:
        """The rows so far as one batch; the collector is empty afterwards."""
        count = self._count
        arrays = [
            pa.array([self._split.source] * count, pa.string()),
            pa.array([self._split.file] * count, pa.string()),
        ]
        for field, column in zip(list(RECORDS)[2:], self._columns, strict=True):
            arrays.append(_payloads(column) if field.name == "payload" else _array(column, field.type))
        self._clear()
        return pa.RecordBatch.from_arrays(arrays, schema=RECORDS)


def _payloads(values: list[bytes | None]) -> pa.Array:
    """Large binary values joined in one copy, where Arrow's builder grows its buffer again and again."""
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum([0 if value is None else len(value) for value in values], out=offsets[1:])
    missing = [value is None for value in values]
    data = b"".join(value for value in values if value is not None)
    valid = None
    if any(missing):
        valid = pa.array([not m for m in missing], pa.bool_()).buffers()[1]
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(values), [valid, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (UnicodeEncodeError, pa.ArrowInvalid):
        # A lone surrogate (JSON "\ud800") is no Unicode text: it becomes U+FFFD rather than losing the batch.
        clean = [
            v.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(v, str) else v for v in values
        ]
        return pa.array(clean, kind)
