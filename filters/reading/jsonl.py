"""Lines of JSONL files: one row each, a bad one a failed row with its line number."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from algok.filters.reading.codecs import Codec, DamagedError
from algok.filters.reading.heads import parse_date
from algok.filters.reading.members import Member
from algok.filters.reading.options import ReadOptions, Split
from algok.filters.reading.rows import Rows
from algok.filters.reading.window import Window

__all__ = ["add_row", "field", "line_starts", "read_jsonl"]

_STEP = 1 << 20
_BOM = b"\xef\xbb\xbf"


def read_jsonl(
    window: Window, split: Split, codec: Codec | None, rows: Rows, options: ReadOptions
) -> Iterator[pa.RecordBatch]:
    """Batches of the lines of a piece. Offsets are line numbers from 0; empty lines are numbered and give no row."""
    decode = msgspec.json.Decoder().decode
    number = split.first_row
    most = options.max_record_bytes
    for line, size in _lines(window, split, codec, most, rows):
        if line is None:
            rows.add(
                number,
                1,
                "row",
                failed_step="size",
                error=f"line {number + 1} has {size} bytes, more than max_record_bytes = {most}",
            )
        elif line and not line.isspace():
            if number == 0:
                line = line.removeprefix(_BOM)
            try:
                value = decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                rows.add(number, 1, "row", failed_step="json", error=f"line {number + 1}: {error}")
            else:
                _add(value, number, split, rows)
        number += 1
        if rows.ready:
            yield rows.take()
    rows.tally.bytes_read += split.end - split.start
    if rows:
        yield rows.take()


def _add(value: Any, number: int, split: Split, rows: Rows) -> None:
    if not isinstance(value, dict):
        rows.add(number, 1, "row", failed_step="json", error=f"line {number + 1} is no object")
        return
    add_row(
        rows,
        number,
        f"line {number + 1}",
        split.text_column,
        field(value, split.text_column),
        split.id_column and field(value, split.id_column),
        split.url_column and field(value, split.url_column),
        split.language_column and field(value, split.language_column),
        split.date_column and field(value, split.date_column),
        split.language,
    )


def field(value: dict[str, Any], path: str) -> Any:
    """Member of an object by name, or by a dotted path into nested ones; None if absent."""
    if path in value:
        return value[path]
    current: Any = value
    for name in path.split("."):
        if not isinstance(current, dict):
            return None
        current = current.get(name)
    return current


def add_row(
    rows: Rows,
    number: int,
    place: str,
    column: str,
    text: Any,
    identity: Any,
    url: Any,
    language: Any,
    date: Any,
    declared: str | None,
) -> None:
    """One row of a table; ``text`` is a string or a list of strings and nulls."""
    if isinstance(text, list):
        texts = [part for part in text if isinstance(part, str)]
        text = "\n".join(texts) if texts or not text else None
    captured: int | None = None
    if isinstance(date, str):
        captured = parse_date(date)
    elif isinstance(date, (int, float)) and not isinstance(date, bool) and abs(date) < 1e11:
        captured = int(date)
    failed = error = None
    if text is None:
        failed, error = "text", f"{place}: no text in column {column!r}"
    elif not isinstance(text, str):
        failed, error = "text", f"{place}: column {column!r} holds {type(text).__name__}, no text"
    rows.add(
        number,
        1,
        "row",
        record_id=None if identity is None else str(identity),
        url=url if isinstance(url, str) else None,
        captured=captured,
        text=text if failed is None else None,
        language=language if isinstance(language, str) and language else declared,
        failed_step=failed,
        error=error,
    )


def _lines(
    window: Window, split: Split, codec: Codec | None, most: int, rows: Rows
) -> Iterator[tuple[bytes | None, int]]:
    """(line, its size); the line is None when it is longer than ``most``."""
    parts: list[bytes] = []
    size = 0
    for block in _blocks(window, split, codec, rows):
        begin = 0
        while True:
            cut = block.find(b"\n", begin)
            if cut < 0:
                rest = block[begin:]
                size += len(rest)
                if size <= most:
                    parts.append(rest)
                else:
                    parts.clear()
                break
            if size:
                size += cut - begin
                parts.append(block[begin:cut])
                yield (b"".join(parts), size) if size <= most else (None, size)
                parts.clear()
                size = 0
            elif cut - begin <= most:
                yield block[begin:cut], cut - begin
            else:
                yield None, cut - begin
            begin = cut + 1
    if size:
        yield (b"".join(parts), size) if size <= most else (None, size)


def _blocks(window: Window, split: Split, codec: Codec | None, rows: Rows) -> Iterator[bytes]:
    """Content of the piece. Damage ends it: a line number behind a hole would be wrong, so the rest is one gap."""
    position = split.start
    if codec is None:
        while position < split.end:
            block = bytes(window.at(position, min(_STEP, split.end - position)))
            if not block:
                return
            yield block
            position += len(block)
        return
    while position < window.size:
        stored = bytes(window.at(position, len(codec.magic)))
        if stored != codec.magic:
            empty = codec.skippable(bytes(window.at(position, 8)))
            if 0 < empty <= window.size - position:
                position += empty
                continue
            rest = bytes(window.at(position, 4096))
            if rest.strip(b"\0"):
                rows.tally.skip(position, window.size, "no compressed member")
                rows.gap(position, window.size, codec.name, "bytes that begin no compressed member")
            return
        member = Member(window, position, codec, lambda _: True)
        try:
            while block := member.read():
                yield block
        except DamagedError as error:
            rows.tally.skip(position, window.size, str(error))
            rows.gap(position, window.size, codec.name, f"{error}; the lines behind the damage are lost")
            return
        position = member.end


def line_starts(window: Window, split_bytes: int) -> list[tuple[int, int]]:
    """(position, line number) of the pieces of a plain file: the first line start at or behind each multiple.

    Reads the file once, to count lines: a row's number must not depend on how the file is split.
    """
    pieces = [(0, 0)]
    wanted = split_bytes
    number = 0
    position = 0
    while position < window.size:
        block = bytes(window.at(position, _STEP))
        if not block:
            break
        counted = 0
        while wanted <= position + len(block):
            # The line feed that ends the line before may be the last byte in front of the multiple.
            cut = block.find(b"\n", max(counted, wanted - 1 - position, 0))
            if cut < 0:
                break
            number += block.count(b"\n", counted, cut + 1)
            counted = cut + 1
            start = position + cut + 1
            if start < window.size:
                pieces.append((start, number))
            wanted = max(wanted + split_bytes, (start // split_bytes + 1) * split_bytes)
        number += block.count(b"\n", counted)
        position += len(block)
    return pieces
