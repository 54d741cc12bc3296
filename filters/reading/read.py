"""From a file to its pieces, from a piece to batches of records."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

import msgspec
import pyarrow as pa

from algok.errors import InputError
from algok.filters.reading.archive import read_archive
from algok.filters.reading.codecs import Codec, DamagedError
from algok.filters.reading.formats import codec_of
from algok.filters.reading.heads import ARC, WARC, Dialect
from algok.filters.reading.jsonl import line_starts, read_jsonl
from algok.filters.reading.members import PROBE, Member, probe
from algok.filters.reading.options import ReadOptions, Split
from algok.filters.reading.parquet import read_parquet, row_group_pieces
from algok.filters.reading.plain import record_starts
from algok.filters.reading.rows import Rows
from algok.filters.reading.tally import ReadTally
from algok.filters.reading.window import Window

__all__ = ["plan_splits", "read_split"]

Opener = Callable[[str], BinaryIO]

#: Content read from the first member to see whether it ends, that is, whether the file is compressed per record.
_SAMPLE = 64 << 20


def plan_splits(source: str, file: str, size: int, format: str, opener: Opener, options: ReadOptions) -> list[Split]:
    """Pieces of a file of about ``split_bytes`` that several workers can read.

    ``size`` is that of the file in bytes, ``format`` what :func:`detect_format` said. Archives that are compressed per
    record, plain archives, plain JSONL and Parquet are split; a file compressed as a whole is one piece. Plain files
    are read once to find the borders, the others at a few places. The records of the pieces together, in order, are
    those of the whole file. Raises InputError for a Parquet file without the columns that the options name.
    """
    base, _, compression = format.partition(".")
    whole = Split(
        source=source,
        file=file,
        format=format,
        start=0,
        end=size,
        size=size,
        text_column=options.text_column,
        id_column=options.id_column,
        url_column=options.url_column,
        language_column=options.language_column,
        date_column=options.date_column,
        language=options.language,
    )
    if base == "parquet":
        with opener(file) as stream:
            return [
                msgspec.structs.replace(whole, start=start, end=end)
                for start, end in row_group_pieces(stream, file, options)
            ]
    if size <= options.split_bytes or base == "empty":
        return [whole]
    if base == "jsonl" and not compression:
        with opener(file) as stream:
            lines = line_starts(Window(stream, size), options.split_bytes)
        ends = [start for start, _ in lines[1:]] + [size]
        return [
            msgspec.structs.replace(whole, start=start, end=end, first_row=row)
            for (start, row), end in zip(lines, ends, strict=True)
        ]
    if base not in ("warc", "wet", "arc"):
        return [whole]
    dialect = ARC if base == "arc" else WARC
    with opener(file) as stream:
        window = Window(stream, size)
        codec = codec_of(format, window)
        if codec is None:
            starts = record_starts(window, dialect, options.split_bytes)
        elif _per_record(window, codec, dialect):
            count = -(-size // options.split_bytes)
            starts = [size * i // count for i in range(count)]
        else:
            starts = [0]
    return [
        msgspec.structs.replace(whole, start=start, end=end)
        for start, end in zip(starts, [*starts[1:], size], strict=True)
    ]


def _per_record(window: Window, codec: Codec, dialect: Dialect) -> bool:
    """True when the second member begins a record of its own, or the first is damaged (then resync must do)."""
    start = 0
    while size := codec.skippable(bytes(window.at(start, 8))):
        start += size
    member = Member(window, start, codec, dialect.is_start)
    made = 0
    try:
        while data := member.read():
            made += len(data)
            if made > _SAMPLE:
                return False
    except DamagedError:
        return True
    head = probe(window, member.end, codec)
    return head is not None and dialect.is_start(head[:PROBE])


def read_split(split: Split, opener: Opener, options: ReadOptions, tally: ReadTally) -> Iterator[pa.RecordBatch]:
    """Batches of :data:`algok.schema.RECORDS`: one row for each record of the piece, in the order of the file.

    Batches hold at most ``batch_rows`` rows and, but for the last row, ``batch_bytes`` bytes. Bad data is a failed row
    or a ``gap``; InputError is raised only for a file that cannot be read at all. ``tally`` is complete when the
    iterator is exhausted.
    """
    rows = Rows(split, options, tally)
    base = split.format.partition(".")[0]
    if base == "empty":
        tally.bytes_read += split.end - split.start
        return
    with opener(split.file) as stream:
        if base == "parquet":
            yield from read_parquet(stream, split, rows)
            return
        window = Window(stream, split.size)
        codec = codec_of(split.format, window)
        if base == "jsonl":
            yield from read_jsonl(window, split, codec, rows, options)
        elif base in ("warc", "wet", "arc"):
            dialect = ARC if base == "arc" else WARC
            yield from read_archive(window, split.start, split.end, codec, dialect, rows, options)
        else:
            raise InputError(f"{split.file}: unknown format {split.format!r}")
