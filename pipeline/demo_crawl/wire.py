"""Bytes: HTTP messages, content encodings, WARC records and gzip members.

Written with the standard library so that the bytes do not depend on a WARC library's version. DEFLATE output is
zlib's: level 0 is written by this module itself as stored blocks and is the same on every machine; other levels are the
same wherever Python is linked to the same zlib.
"""

import base64
import hashlib
import struct
import uuid
import zlib
from collections.abc import Sequence

import brotli

__all__ = ["brotli_body", "chunked", "digest", "gzip_member", "http_response", "record_id", "warc_record"]


def digest(data: bytes) -> str:
    """SHA-1 in base 32, as WARC files write it."""
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()  # noqa: S324  what the WARC standard uses


def record_id(number: int) -> str:
    """A WARC-Record-ID made of 64 (or more) bits of a seed."""
    return f"<urn:uuid:{uuid.UUID(int=number & ((1 << 128) - 1), version=4)}>"


def gzip_member(data: bytes, level: int) -> bytes:
    """One gzip member without name and time."""
    if level == 0:
        parts = []
        for at in range(0, max(len(data), 1), 65535):
            piece = data[at : at + 65535]
            last = at + 65535 >= len(data)
            parts.append(struct.pack("<BHH", int(last), len(piece), len(piece) ^ 0xFFFF) + piece)
        deflated = b"".join(parts)
    else:
        squeeze = zlib.compressobj(level, zlib.DEFLATED, -15)
        deflated = squeeze.compress(data) + squeeze.flush()
    return (
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
        + deflated
        + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    )


def brotli_body(data: bytes, level: int) -> bytes:
    """Brotli; level 0 writes uncompressed meta-blocks (RFC 7932, section 9.2), which no library version changes."""
    if level:
        return bytes(brotli.compress(data, quality=5))
    # Window bits 16 is the bit 0; then per meta-block ISLAST=0, MNIBBLES=4 (00), MLEN-1 (16 bits), ISUNCOMPRESSED=1.
    out = bytearray()
    first = True
    for at in range(0, len(data), 65536):
        piece = data[at : at + 65536]
        header = (len(piece) - 1) << 3 | 1 << 19
        if first:
            header <<= 1
        out += header.to_bytes(3, "little") + piece
        first = False
    # ISLAST=1, ISLASTEMPTY=1.
    out += b"\x06" if first else b"\x03"
    return bytes(out)


def chunked(data: bytes, size: int) -> bytes:
    """HTTP/1.1 chunked transfer encoding in pieces of ``size`` bytes."""
    parts = [b"%x\r\n%b\r\n" % (len(data[i : i + size]), data[i : i + size]) for i in range(0, len(data), size)]
    return b"".join(parts) + b"0\r\n\r\n"


def http_response(status: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    """Status line, headers and body."""
    head = "".join([f"HTTP/1.1 {status}\r\n", *(f"{name}: {value}\r\n" for name, value in headers), "\r\n"])
    return head.encode("latin-1") + body


def warc_record(
    headers: Sequence[tuple[str, str]], block: bytes, *, length: int | None = None, version: str = "WARC/1.1"
) -> bytes:
    """One record; ``length`` overrides Content-Length with a wrong one."""
    lines = [f"{version}\r\n", *(f"{name}: {value}\r\n" for name, value in headers)]
    lines.append(f"Content-Length: {len(block) if length is None else length}\r\n\r\n")
    return "".join(lines).encode() + block + b"\r\n\r\n"
