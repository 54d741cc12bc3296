"""HTTP responses as archives hold them: status, type and charset, transfer and content encodings undone.

Tolerant where browsers are: lines may end in LF alone, header lines without a colon are passed over, a body that is not
chunked or not compressed although the header says so is taken as it is (many crawlers store the decoded body under
the original header), a body that ends early is kept as far as it goes.
"""

import re
import zlib
from typing import NamedTuple

import brotli
import zstandard

__all__ = ["HttpError", "Response", "parse_content_type", "parse_response"]

#: Longest header block; Apache and nginx send at most 8 KiB a line, browsers take 256 KiB in all.
_MOST_HEADER = 256 * 1024
#: Content encodings undone one after the other; RFC 9110 sets no limit, curl stops at 5.
_MOST_LAYERS = 5
_ZSTD_STEP = 1024


class Response(NamedTuple):
    """A parsed response; ``status``, ``media_type`` and ``charset`` are None where the header does not say."""

    status: int | None
    media_type: str | None
    charset: str | None
    body: bytes


class HttpError(Exception):
    """The body cannot be had; carries what the header said and the step that failed."""

    def __init__(
        self, step: str, message: str, status: int | None, media_type: str | None, charset: str | None
    ) -> None:
        super().__init__(message)
        self.step = step
        self.status = status
        self.media_type = media_type
        self.charset = charset


class _BodyError(Exception):
    """A layer of the body cannot be undone."""


_STATUS = re.compile(rb"HTTP/[\d.]{1,8}[ \t]+(\d{3})(?!\d)")
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,100}/[a-z0-9!#$&^_.+-]{1,100}")
_CHARSET = re.compile(r";\s*charset\s*=\s*(?:\"([^\"]{0,100})\"|'([^']{0,100})'|([^\s;,\"']{1,100}))", re.IGNORECASE)


def parse_content_type(value: str) -> tuple[str | None, str | None]:
    """Media type in lower case and charset label as written, of a Content-Type value.

    >>> parse_content_type('Text/HTML; Charset="EUC-KR"')
    ('text/html', 'EUC-KR')
    """
    match = _MEDIA_TYPE.match(value.strip().lower())
    label = _CHARSET.search(value)
    charset = None
    if label is not None:
        charset = (label[1] or label[2] or label[3] or "").strip() or None
    return (match[0] if match else None), charset


def parse_response(block: bytes, most: int, start: int = 0, end: int | None = None) -> Response:
    """The response in bytes [start, end) of a record block; a body that was encoded unfolds to at most ``most`` bytes.

    Raises HttpError with the step ``decode``.
    """
    end = len(block) if end is None else end
    if block[start : start + 5] != b"HTTP/":
        # No status line: HTTP/0.9, all of it is body.
        return Response(None, None, None, block[start:end])
    cut, begin = _header_end(block, start, end)
    header = block[start:cut]
    match = _STATUS.match(header)
    status = int(match[1]) if match is not None else None
    media_type = label = None
    chunked = False
    layers: list[str] = []
    outer: list[str] = []
    for line in _unfolded(header):
        # Four names matter, and these initials leave out most lines before they are taken apart.
        if line[:1] not in b"CcTt":
            continue
        name, colon, raw = line.partition(b":")
        if not colon:
            continue
        key = name.strip().lower()
        if key == b"content-type":
            found, charset = parse_content_type(raw.decode("latin-1"))
            # As in the Fetch standard, the last usable value holds, and keeps an earlier charset of the same type.
            if found is not None:
                label = charset if charset is not None or found != media_type else label
                media_type = found
            elif charset is not None and media_type is None:
                label = charset
        elif key == b"transfer-encoding":
            codings = [c.strip() for c in raw.decode("latin-1").lower().split(",")]
            chunked = chunked or "chunked" in codings
            outer += [c for c in codings if c not in ("chunked", "identity", "")]
        elif key == b"content-encoding":
            codings = [c.strip() for c in raw.decode("latin-1").lower().split(",")]
            layers += [c for c in codings if c not in ("identity", "")]
    body = block[begin:end]
    layers += outer
    if not chunked and not layers:
        return Response(status, media_type, label, body)
    try:
        if chunked:
            body = _dechunk(body)
        if len(layers) > _MOST_LAYERS:
            raise _BodyError(f"{len(layers)} content encodings; at most {_MOST_LAYERS} are undone")
        for layer in reversed(layers):
            body = _undo(layer, body, most)
    except _BodyError as error:
        raise HttpError("decode", str(error), status, media_type, label) from None
    return Response(status, media_type, label, body)


def _header_end(block: bytes, start: int, end: int) -> tuple[int, int]:
    """End of the header and start of the body."""
    limit = min(end, start + _MOST_HEADER)
    a = block.find(b"\r\n\r\n", start, limit)
    b = block.find(b"\n\n", start, a if a >= 0 else limit)
    if b >= 0:
        return b, b + 2
    if a >= 0:
        return a, a + 4
    return limit, limit


def _unfolded(header: bytes) -> list[bytes]:
    if b"\n " not in header and b"\n\t" not in header:
        return header.split(b"\n")[1:]
    lines: list[bytes] = []
    for line in header.split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] = lines[-1].rstrip(b"\r") + b" " + line.strip()
        else:
            lines.append(line)
    return lines


_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,1024})?\r?\n")


def _dechunk(body: bytes) -> bytes:
    """The chunks joined. A body that does not begin with a chunk was stored without; a broken one is cut there."""
    parts: list[bytes] = []
    position = 0
    while True:
        match = _CHUNK.match(body, position)
        if match is None:
            return b"".join(parts) if parts else body
        size = int(match[1], 16)
        position = match.end()
        if size == 0:
            return b"".join(parts)
        parts.append(body[position : position + size])
        position += size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1
        elif position >= len(body):
            return b"".join(parts)
        elif len(parts) == 1:
            # What looked like a size was text: the body was stored without chunks.
            return body
        else:
            return b"".join(parts)


def _undo(layer: str, body: bytes, most: int) -> bytes:
    if not body:
        return body
    if layer in ("gzip", "x-gzip"):
        if body[:2] != b"\x1f\x8b":
            return body
        return _inflate(body, 31, most, "gzip")
    if layer == "deflate":
        # The standard says zlib format, some servers send raw deflate; browsers take both.
        try:
            return _inflate(body, 15, most, "deflate")
        except zlib.error:
            pass
        try:
            return _inflate(body, -15, most, "deflate")
        except (zlib.error, _BodyError):
            return _as_stored(body, "deflate")
    if layer == "br":
        return _brotli(body, most)
    if layer == "zstd":
        return _zstd(body, most)
    return _as_stored(body, layer)


def _as_stored(body: bytes, layer: str) -> bytes:
    """The body itself if it is readable text already, which no compressed data is."""
    head = body[:4096]
    if b"\0" not in head and sum(byte < 9 or 13 < byte < 32 for byte in head) == 0:
        return body
    raise _BodyError(f"cannot undo content encoding {layer!r}")


def _inflate(body: bytes, bits: int, most: int, name: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    data = body
    while data:
        inner = zlib.decompressobj(bits)
        try:
            part = inner.decompress(data, most - size + 1)
        except zlib.error as error:
            if bits != 31:
                raise
            salvaged = _inflate_prefix(data, bits, most - size)
            if salvaged or parts:
                parts.append(salvaged)
                break
            raise _BodyError(f"{name} body: {error}") from None
        parts.append(part)
        size += len(part)
        if size > most:
            raise _BodyError(f"{name} body unfolds to more than max_decoded_bytes = {most}")
        if not inner.eof and not size:
            raise _BodyError(f"{name} body ends before any content")
        if bits != 31 or not inner.eof:
            break
        data = inner.unused_data
        if data[:2] != b"\x1f\x8b":
            break
    return b"".join(parts)


def _inflate_prefix(data: bytes, bits: int, most: int) -> bytes:
    """What comes before the damage, as a browser would show it."""
    inner = zlib.decompressobj(bits)
    parts: list[bytes] = []
    size = 0
    try:
        part = inner.decompress(data, 4096)
        while part and size < most:
            parts.append(part)
            size += len(part)
            part = inner.decompress(inner.unconsumed_tail, 4096)
    except zlib.error:
        pass
    return b"".join(parts)


def _brotli(body: bytes, most: int) -> bytes:
    inner = brotli.Decompressor()
    parts: list[bytes] = []
    size = 0
    data = body
    try:
        while True:
            part = inner.process(data, output_buffer_limit=64 * 1024)
            data = b""
            parts.append(part)
            size += len(part)
            if size > most:
                raise _BodyError(f"br body unfolds to more than max_decoded_bytes = {most}")
            if inner.is_finished() or (not part and inner.can_accept_more_data()):
                break
    except brotli.error:
        if size == 0:
            return _as_stored(body, "br")
    return b"".join(parts)


def _zstd(body: bytes, most: int) -> bytes:
    if body[:4] != b"\x28\xb5\x2f\xfd":
        return _as_stored(body, "zstd")
    # RFC 9659: browsers take windows of up to 8 MiB.
    inner = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        for start in range(0, len(body), _ZSTD_STEP):
            part = inner.decompress(body[start : start + _ZSTD_STEP])
            parts.append(part)
            size += len(part)
            if size > most:
                raise _BodyError(f"zstd body unfolds to more than max_decoded_bytes = {most}")
            if inner.eof:
                break
    except zstandard.ZstdError as error:
        if size == 0:
            raise _BodyError(f"zstd body: {error}") from None
    return b"".join(parts)
