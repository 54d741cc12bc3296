"""Bytes of a page to text: byte order mark, strict UTF-8, declaration, detection, fallback."""

import re
from typing import NamedTuple

import cchardet

from algok.filters.charset.labels import CODECS, lookup

__all__ = ["Decoded", "decode"]


class Decoded(NamedTuple):
    """``charset``: WHATWG name of the encoding; ``source``: how it was found (``bom``, ``utf-8``, ``http``, ``meta``,
    ``common-syllables``, ``detector``, ``fallback``); ``replaced``: U+FFFD that decoding put in."""

    text: str
    charset: str
    source: str
    replaced: int


#: Browsers look for the declaration in the first 1,024 bytes; pages with long scripts before it are common enough.
_PRESCAN = 4096
_META = re.compile(
    rb"<meta\s[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})|<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]{2,40})",
    re.IGNORECASE,
)


def decode(payload: bytes, http_label: str | None) -> Decoded:
    """Text of a page; never raises."""
    if payload[:3] == b"\xef\xbb\xbf":
        return _tolerant(payload[3:], "utf-8", "bom")
    if payload[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _tolerant(payload[2:], "utf-16le" if payload[:1] == b"\xff" else "utf-16be", "bom")
    try:
        return Decoded(payload.decode(), "utf-8", "utf-8", 0)
    except UnicodeDecodeError:
        pass
    name = lookup(http_label)
    if name is not None:
        return _tolerant(payload, name, "http")
    match = _META.search(payload[:_PRESCAN])
    name = lookup((match[1] or match[2]).decode()) if match else None
    if name is not None:
        return _tolerant(payload, name, "meta")
    name = lookup(cchardet.detect(payload[:65536])["encoding"])
    if name is not None:
        return _tolerant(payload, name, "detector")
    return _tolerant(payload, "windows-1252", "fallback")


def _tolerant(payload: bytes, name: str, source: str) -> Decoded:
    text = payload.decode(CODECS.get(name, name), "replace")
    return Decoded(text, name, source, text.count("\ufffd"))
