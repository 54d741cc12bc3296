"""What a file is, told by its first bytes."""

import re

from algok.errors import InputError
from algok.filters.reading.codecs import Codec, DamagedError, GzipCodec, ZstdCodec
from algok.filters.reading.heads import ARC
from algok.filters.reading.options import HEAD_BYTES, MIB
from algok.filters.reading.window import Window

__all__ = ["codec_of", "detect_format"]

_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18", re.DOTALL)
#: Frame that carries the dictionary of a .warc.zst file (IIPC draft "Zstandard WARC", also used by Archive Team).
_DICTIONARY_FRAME = b"\x5d\x2a\x4d\x18"
_MOST_DICTIONARY = 16 * MIB
_ZSTD_MAGIC = ZstdCodec.magic


def detect_format(path: str, head: bytes) -> str:
    """Format of a file: ``warc``, ``wet``, ``arc``, ``jsonl``, ``parquet`` or ``empty``, then ``.gz`` or ``.zst`` when
    compressed (``warc.gz``).

    ``head`` is the start of the file as stored, :data:`HEAD_BYTES` if there are as many. The content decides, never the
    name: mislabelled files are common. ``wet`` is a WARC file whose first records are conversions; it is read alike.
    Raises InputError for anything else, naming the file.
    """
    if not head:
        return "empty"
    if head[:4] == b"PAR1":
        return "parquet"
    if head[:3] == GzipCodec.magic:
        return _of_content(path, _gunzip_head(head), ".gz")
    if head[:4] == _ZSTD_MAGIC or _SKIPPABLE.match(head):
        content = _unzstd_head(head)
        if content is None:
            # The dictionary is longer than the head: only WARC files begin so.
            return "warc.zst"
        return _of_content(path, content, ".zst")
    return _of_content(path, head, "")


def _of_content(path: str, content: bytes, suffix: str) -> str:
    start = content.lstrip(b"\r\n")
    if start[:5] == b"WARC/":
        types = re.findall(rb"\nWARC-Type:[ \t]*([a-z]+)", content, re.IGNORECASE)
        kinds = [t.lower() for t in types if t.lower() not in (b"warcinfo", b"metadata")]
        return ("wet" if kinds[:1] == [b"conversion"] else "warc") + suffix
    # A broken first line is for the reader to report; what the file is, its scheme tells.
    if start.startswith(b"filedesc:") or ARC.is_start(start):
        return "arc" + suffix
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if start[:1] == b"{":
        return "jsonl" + suffix
    if not start:
        return "empty" + suffix
    shown = content[:24]
    wrapped = f", compressed as {suffix[1:]}" if suffix else ""
    raise InputError(
        f"{path}: unknown format: begins with {shown!r}{wrapped}; algok reads WARC, WET and ARC archives, JSONL "
        "(one object a line; each of them plain, gzip or Zstandard) and Parquet"
    )


def _gunzip_head(head: bytes) -> bytes:
    """Content of the first members of ``head``, as far as it can be read."""
    return _content_head(head, GzipCodec())


def _unzstd_head(head: bytes) -> bytes | None:
    position = 0
    dictionary = None
    while _SKIPPABLE.match(head, position):
        size = int.from_bytes(head[position + 4 : position + 8], "little")
        body = head[position + 8 : position + 8 + size]
        if head[position : position + 4] == _DICTIONARY_FRAME and position == 0:
            if len(body) < size:
                return None
            dictionary = _dictionary(body)
        position += 8 + size
    return _content_head(head[position:], ZstdCodec(dictionary))


def _content_head(head: bytes, codec: Codec) -> bytes:
    parts: list[bytes] = []
    size = 0
    rest = head
    while rest[: len(codec.magic)] == codec.magic and size < HEAD_BYTES:
        decompressor = codec.decompressor()
        try:
            part = decompressor.feed(rest, HEAD_BYTES)
        except DamagedError:
            # Perhaps damaged behind its beginning, which small steps still give.
            part = _small_steps(rest, codec)
            parts.append(part)
            break
        parts.append(part)
        size += len(part)
        if not decompressor.ended() or decompressor.unused() == 0:
            break
        rest = rest[len(rest) - decompressor.unused() :]
    return b"".join(parts)


def _small_steps(data: bytes, codec: Codec) -> bytes:
    decompressor = codec.decompressor()
    parts: list[bytes] = []
    try:
        for start in range(0, len(data), 256):
            parts += [decompressor.feed(data[start : start + 256], HEAD_BYTES)]
    except DamagedError:
        pass
    return b"".join(parts)


def _dictionary(body: bytes) -> bytes:
    if body[:4] != _ZSTD_MAGIC:
        return body
    decompressor = ZstdCodec().decompressor()
    parts = [decompressor.feed(body, _MOST_DICTIONARY)]
    while decompressor.pending() and sum(map(len, parts)) < _MOST_DICTIONARY:
        parts.append(decompressor.feed(b"", _MOST_DICTIONARY))
    return b"".join(parts)


def codec_of(form: str, window: Window) -> Codec | None:
    """Codec of a file of a detected format, with the dictionary that its first frame holds; None if plain.

    Raises InputError when the dictionary cannot be read.
    """
    if form.endswith(".gz"):
        return GzipCodec()
    if not form.endswith(".zst"):
        return None
    head = bytes(window.at(0, 8))
    if head[:4] != _DICTIONARY_FRAME:
        return ZstdCodec()
    size = int.from_bytes(head[4:8], "little")
    if size > _MOST_DICTIONARY:
        raise InputError(f"the file's Zstandard dictionary has {size} bytes; at most {_MOST_DICTIONARY} are read")
    try:
        return ZstdCodec(_dictionary(bytes(window.at(8, size))))
    except DamagedError as error:
        raise InputError(f"the file's Zstandard dictionary cannot be read: {error}") from None
