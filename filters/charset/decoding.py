"""Bytes of a page to text: byte order mark, strict UTF-8, declaration, detection, fallback.

The order is the browsers' with two changes, both measured on crawled pages: bytes that are valid UTF-8 are UTF-8
whatever the declaration says (by chance legacy text is not), and a declaration that makes unlikely text loses to what
the bytes themselves say. Nothing raises, and one bad byte costs one replacement character.
"""

import re
from typing import NamedTuple

import cchardet

from algok.filters.charset.detection import Guess, guess, mean_cost, sample_of, weigh
from algok.filters.charset.labels import CODECS, lookup

__all__ = ["Decoded", "decode"]


class Decoded(NamedTuple):
    """``charset``: WHATWG name of the encoding (also ``johab``, ``ibm855``, ``iso-2022-kr``, ``utf-32le/be``, which the
    web gave up but archives hold); ``source``: how it was found (``bom``, ``utf-8``, ``http``, ``meta``,
    ``common-syllables``, ``detector``, ``fallback``); ``replaced``: U+FFFD that decoding put in."""

    text: str
    charset: str
    source: str
    replaced: int


#: Browsers look for the declaration in the first 1,024 bytes; pages with long comments before it are common enough.
_PRESCAN = 4096
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(
    rb"<meta[\s/][^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_:.-]{2,40})"
    rb"|<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([a-zA-Z0-9_:.-]{2,40})",
    re.IGNORECASE,
)
_ISO_2022_JP = re.compile(rb"\x1b\$[@B]|\x1b\(J")
_ISO_2022_KR = b"\x1b$)C"

#: Continuation bytes for each invalid sequence that make a text UTF-8 with damage. Korean text in UTF-8 has two a
#: character; CP949 read as UTF-8 has about one for ten invalid sequences.
_UTF8_EVIDENCE = 8
#: Detection beats a declaration when it explains the letters beyond ASCII with this share of the bits, and with at
#: least that many fewer in all: two letters are no evidence.
_CLEARLY = 0.75
_EVIDENCE = 40.0
#: Detection without a declaration: bits by which the best must lead the next reading (more when fewer than 8 letters
#: speak), and highest mean cost of a letter.
_LEAD = 6.0
_LEAD_OF_FEW = 10.0
_FEW = 8
_READABLE = 15.5
#: Bytes that the library detector sees.
_LIBRARY_BYTES = 65536


def decode(payload: bytes, http_label: str | None) -> Decoded:
    """Text of a page from its bytes and the charset label of its HTTP header, if any. Never raises.

    Valid UTF-8 costs one strict decode; a declared legacy page 0.2 ms more, an undeclared one about 3 ms.
    """
    marked = _by_mark(payload)
    if marked is not None:
        return marked
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        cut = error.end >= len(payload) - 1 and error.reason == "unexpected end of data"
        return _damaged_utf8(payload, cut) or _wide(payload) or _legacy(payload, http_label)
    if "\0" in text:
        wide = _wide(payload)
        if wide is not None:
            return wide
    if text.isascii() and "\x1b" in text:
        if _ISO_2022_KR in payload:
            return _tolerant(payload, "iso-2022-kr", "detector")
        if _ISO_2022_JP.search(payload):
            return _tolerant(payload, "iso-2022-jp", "detector")
    return Decoded(text, "utf-8", "utf-8", 0)


def _by_mark(payload: bytes) -> Decoded | None:
    if payload[:3] == b"\xef\xbb\xbf":
        return _tolerant(payload[3:], "utf-8", "bom")
    if payload[:2] == b"\xff\xfe":
        if payload[2:4] == b"\0\0":
            return _tolerant(payload[4:], "utf-32le", "bom")
        return _tolerant(payload[2:], "utf-16le", "bom")
    if payload[:2] == b"\xfe\xff":
        return _tolerant(payload[2:], "utf-16be", "bom")
    if payload[:4] == b"\0\0\xfe\xff":
        return _tolerant(payload[4:], "utf-32be", "bom")
    return None


def _tolerant(payload: bytes, name: str, source: str) -> Decoded:
    text = payload.decode(CODECS.get(name, name), "replace")
    replaced = text.count("\ufffd")
    if replaced and name == "utf-8":
        # Some are the author's own.
        replaced -= payload.count(b"\xef\xbf\xbd")
    return Decoded(text, name, source, replaced)


def _damaged_utf8(payload: bytes, cut: bool) -> Decoded | None:
    """UTF-8 with some bad bytes, or cut within its last character; None if there is too little sign of UTF-8."""
    decoded = _tolerant(payload, "utf-8", "utf-8")
    continuations = len(payload) - len(decoded.text)
    if decoded.replaced * _UTF8_EVIDENCE <= continuations or (cut and decoded.replaced == 1 and continuations >= 4):
        return decoded
    return None


def _wide(payload: bytes) -> Decoded | None:
    """UTF-16 or UTF-32 without a mark, told by where the zero bytes of its ASCII characters and spaces are."""
    head = payload[:4096]
    zeros = [head[i::4].count(0) for i in range(4)]
    if sum(zeros) * 50 < len(head):
        return None
    quarter = len(head) // 4
    if min(zeros[2:]) * 10 > quarter * 9 or min(zeros[:2]) * 10 > quarter * 9:
        names = ("utf-32le", "utf-32be")
    else:
        names = ("utf-16le", "utf-16be")
    # Zeros alone do not tell the order of bytes: U+AC00, the commonest Korean syllable, has one on the other side.
    costs = [(mean_cost(head[: quarter * 4].decode(CODECS[name], "replace")), name) for name in names]
    cost, name = min(costs)
    return _tolerant(payload, name, "detector") if cost <= _READABLE else None


def _legacy(payload: bytes, http_label: str | None) -> Decoded:
    sample = sample_of(payload)
    best: Guess | None = None
    for name, source in _declared(payload, http_label):
        declared = weigh(sample, name)
        if declared.letter_bits <= declared.usual * declared.letters:
            return _tolerant(payload, name, source)
        best = best or guess(sample)
        if best is None or CODECS.get(best.encoding, best.encoding) == CODECS.get(name, name):
            return _tolerant(payload, name, source)
        better = declared.bits - best.bits >= _EVIDENCE
        if not better or best.mean * best.letters > _CLEARLY * declared.letter_bits:
            return _tolerant(payload, name, source)
    best = best or guess(sample)
    if best is not None and best.mean <= _READABLE:
        lead = _LEAD if best.letters >= _FEW else _LEAD_OF_FEW
        if best.margin >= lead:
            return _tolerant(payload, best.encoding, "common-syllables")
    found = lookup(cchardet.detect(payload[:_LIBRARY_BYTES])["encoding"])
    if found is not None and found != "utf-8":
        return _tolerant(payload, found, "detector")
    return _tolerant(payload, "windows-1252", "fallback")


def _declared(payload: bytes, http_label: str | None) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    name = lookup(http_label)
    if name is not None:
        found.append((name, "http"))
    head = payload[:_PRESCAN]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    for match in _META.finditer(head):
        name = lookup((match[1] or match[2]).decode("ascii"))
        # A declaration that can be read byte by byte is not in UTF-16, as the standard observes.
        if name is not None and not name.startswith("utf-16"):
            found.append((name, "meta"))
            break
    # UTF-8 was tried already.
    return [(name, source) for name, source in found if name != "utf-8"]
