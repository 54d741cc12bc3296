"""Rows of Parquet files, by ranges of row groups."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from algok.errors import InputError
from algok.filters.reading.jsonl import add_row
from algok.filters.reading.options import ReadOptions, Split
from algok.filters.reading.rows import Rows

__all__ = ["read_parquet", "row_group_pieces"]

#: Rows decoded at a time; a text column of long documents stays within some tens of MiB.
_ROWS = 256
#: Read-ahead for each column, so that a row group is streamed and not loaded.
_BUFFER = 1 << 20


def open_parquet(file: BinaryIO, path: str) -> pq.ParquetFile:
    """The file's footer. Raises InputError when it is no readable Parquet file."""
    try:
        return pq.ParquetFile(pa.PythonFile(file, mode="r"), buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: unreadable Parquet file: {error}") from None


def row_group_pieces(file: BinaryIO, path: str, options: ReadOptions) -> list[tuple[int, int]]:
    """Ranges of row groups of about ``split_bytes`` stored bytes. Checks the columns that the options name."""
    parquet = open_parquet(file, path)
    _check(parquet, path, _columns(options))
    meta = parquet.metadata
    pieces: list[tuple[int, int]] = []
    start = size = 0
    for index in range(meta.num_row_groups):
        group = meta.row_group(index)
        stored = sum(group.column(c).total_compressed_size for c in range(group.num_columns))
        if size and size + stored > options.split_bytes:
            pieces.append((start, index))
            start, size = index, 0
        size += stored
    pieces.append((start, meta.num_row_groups))
    return pieces


def _columns(named: ReadOptions | Split) -> dict[str, str]:
    wanted = {
        "text_column": named.text_column,
        "id_column": named.id_column,
        "url_column": named.url_column,
        "language_column": named.language_column,
        "date_column": named.date_column,
    }
    return {key: name for key, name in wanted.items() if name is not None}


def _check(parquet: pq.ParquetFile, path: str, columns: dict[str, str]) -> None:
    schema = parquet.schema_arrow
    for key, name in columns.items():
        kind = _type_at(schema, name)
        if kind is None:
            raise InputError(
                f"{path}: no column {name!r} (set by {key}); the file has {', '.join(_names(schema)) or 'none'}"
            )
        if key == "text_column" and not _is_text(kind):
            raise InputError(f"{path}: column {name!r} (set by {key}) holds {kind}, which is no text")


def _names(schema: pa.Schema) -> list[str]:
    names: list[str] = []
    for item in schema:
        names.append(item.name)
        if pa.types.is_struct(item.type):
            names += [f"{item.name}.{item.type.field(i).name}" for i in range(item.type.num_fields)]
    return names


def _type_at(schema: pa.Schema, path: str) -> pa.DataType | None:
    if path in schema.names:
        return schema.field(path).type
    first, *rest = path.split(".")
    if first not in schema.names:
        return None
    kind = schema.field(first).type
    for name in rest:
        if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
            return None
        kind = kind.field(name).type
    return kind


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_null(kind)
    )


def read_parquet(file: BinaryIO, split: Split, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Batches of the rows of a range of row groups. Offsets are row numbers in the file."""
    parquet = open_parquet(file, split.file)
    columns = _columns(split)
    _check(parquet, split.file, columns)
    meta = parquet.metadata
    number = sum(meta.row_group(i).num_rows for i in range(min(split.start, meta.num_row_groups)))
    # A name with a dot selects the nested leaf; a column whose own name has a dot is selected as a whole.
    names = sorted(set(columns.values()))
    for index in range(split.start, min(split.end, meta.num_row_groups)):
        first, count = number, meta.row_group(index).num_rows
        number += count
        group = meta.row_group(index)
        rows.tally.bytes_read += sum(group.column(c).total_compressed_size for c in range(group.num_columns))
        done = 0
        try:
            for batch in parquet.iter_batches(batch_size=_ROWS, row_groups=[index], columns=names, use_threads=False):
                values = {name: _values(batch, name) for name in names}
                for i in range(batch.num_rows):
                    add_row(
                        rows,
                        first + done + i,
                        f"row {first + done + i}",
                        split.text_column,
                        values[split.text_column][i],
                        None if split.id_column is None else values[split.id_column][i],
                        None if split.url_column is None else values[split.url_column][i],
                        None if split.language_column is None else values[split.language_column][i],
                        _date(None if split.date_column is None else values[split.date_column][i]),
                        split.language,
                    )
                    if rows.ready:
                        yield rows.take()
                done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            rows.add(
                first + done,
                count - done,
                "gap",
                failed_step="parquet",
                error=f"row group {index}, rows from {first + done}: {error}",
            )
    if rows:
        yield rows.take()


def _values(batch: pa.RecordBatch, path: str) -> list[Any]:
    if path in batch.schema.names:
        array = batch.column(path)
    else:
        first, *rest = path.split(".")
        array = batch.column(first)
        for name in rest:
            array = pc.struct_field(array, name)
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return [None if v is None else v.decode("utf-8", "replace") for v in array.to_pylist()]
    values: list[Any] = array.to_pylist()
    return values


def _date(value: Any) -> Any:
    """Date column as seconds since 1970 or as text."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return None
