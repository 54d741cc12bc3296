"""Rows from the records of an archive: what the block of each kind of record holds."""

from algok.filters import charset
from algok.filters.reading.heads import Head
from algok.filters.reading.http import HttpError, parse_content_type, parse_response
from algok.filters.reading.rows import Rows

__all__ = ["add_failed", "add_record"]


def add_failed(rows: Rows, head: Head, offset: int, size: int, step: str, error: str) -> None:
    """The row of a record that could not be read; its header tells what it was."""
    rows.add(
        offset,
        size,
        head.kind,
        head.record_id,
        head.url,
        head.captured,
        language=head.language,
        failed_step=step,
        error=error,
    )


def add_record(rows: Rows, head: Head, offset: int, size: int, data: bytes, start: int, end: int, most: int) -> None:
    """The row of a record whose block is bytes [start, end) of ``data``.

    WET conversions carry text, resources and responses of other protocols their block, HTTP responses their body, which
    must not unfold to more than ``most`` bytes.
    """
    where = (offset, size, head.kind, head.record_id, head.url, head.captured)
    if head.kind == "conversion":
        media_type, label = parse_content_type(head.content_type)
        text = charset.decode(data[start:end], label).text
        rows.add(*where, media_type=media_type, text=text, language=head.language)
        return
    http = data[start : start + 5] == b"HTTP/" or head.content_type[:16].lower() == "application/http"
    if head.kind == "resource" or not http:
        media_type, label = parse_content_type(head.content_type)
        rows.add(*where, media_type=media_type, charset=label, payload=data[start:end], language=head.language)
        return
    try:
        status, media_type, label, body = parse_response(data, most, start, end)
    except HttpError as error:
        rows.add(
            *where,
            error.status,
            error.media_type,
            error.charset,
            language=head.language,
            failed_step=error.step,
            error=str(error),
        )
        return
    rows.add(*where, status, media_type, label, body, language=head.language)
