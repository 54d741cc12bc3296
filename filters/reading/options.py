"""What the readers are asked to do, and the piece of a file that one call reads."""

import msgspec

from algok.errors import RecipeError

__all__ = ["HEAD_BYTES", "MIB", "ReadOptions", "Split"]

MIB = 1 << 20

#: Bytes from the start of a file that :func:`detect_format` wants to see: enough for a Common Crawl ``warcinfo``
#: record and the header of the record that follows it.
HEAD_BYTES = 64 * 1024

#: Limits above which a value is a slip of the pen: a column of a batch must stay far below Arrow's 2 GiB offsets,
#: and a record is held in memory while it is decoded.
_MOST_BYTES = 1 << 30


class ReadOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files are read. Sizes are in bytes.

    ``max_record_bytes`` bounds the stored block of one record, or one line of JSONL: 16 MiB is three times the 5 MiB at
    which Common Crawl cuts a page since 2025. ``max_decoded_bytes`` bounds what a compressed HTTP body may unfold to.
    A larger record is a failed row (``size``, ``decode``), never a shortened one.

    Columns that are ``None`` are not read. ``text_column`` may be a dotted path into structs (``doc.text``); a list of
    strings is joined with line breaks.
    """

    batch_rows: int = 1000
    batch_bytes: int = 32 * MIB
    max_record_bytes: int = 16 * MIB
    max_decoded_bytes: int = 32 * MIB
    split_bytes: int = 128 * MIB
    text_column: str = "text"
    id_column: str | None = None
    url_column: str | None = None
    language_column: str | None = None
    date_column: str | None = None
    language: str | None = None

    def __post_init__(self) -> None:
        for name in ("batch_rows", "batch_bytes", "max_record_bytes", "max_decoded_bytes", "split_bytes"):
            value = getattr(self, name)
            if value < 1:
                raise RecipeError(f"{name} must be at least 1, not {value}")
        for name in ("batch_bytes", "max_record_bytes", "max_decoded_bytes"):
            value = getattr(self, name)
            if value > _MOST_BYTES:
                raise RecipeError(f"{name} must be at most {_MOST_BYTES} (1 GiB), not {value}")
        for name in ("text_column", "id_column", "url_column", "language_column", "date_column", "language"):
            if getattr(self, name) == "":
                raise RecipeError(f"{name} is empty; leave it out to read none")


class Split(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A piece of one input file: the records that start in [``start``, ``end``).

    ``start`` and ``end`` are bytes of the file as stored, or row groups for Parquet. ``first_row`` is the number of the
    first line of a JSONL piece. Pickles, and goes through ``msgspec.json`` both ways.
    """

    source: str
    file: str
    format: str
    start: int
    end: int
    size: int
    first_row: int = 0
    text_column: str = "text"
    id_column: str | None = None
    url_column: str | None = None
    language_column: str | None = None
    date_column: str | None = None
    language: str | None = None
