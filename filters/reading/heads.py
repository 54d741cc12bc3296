"""Record headers of WARC (ISO 28500:2017, also 1.0 and 0.x) and ARC (Internet Archive, versions 1 and 2)."""

import re
from calendar import timegm
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from algok.filters.reading.stream import Stream

__all__ = ["ARC", "WARC", "Dialect", "Head", "parse_arc_head", "parse_date", "parse_warc_head"]

#: Longest header block that is looked for. fastwarc uses 64 KiB too; real ones stay below 10 KiB.
_MOST_HEAD = 64 * 1024


class Head(msgspec.Struct):
    """A record header. ``length`` is that of the block in bytes, None where the header does not say."""

    kind: str
    length: int | None
    content_type: str
    url: str | None = None
    record_id: str | None = None
    captured: int | None = None
    language: str | None = None


class Dialect(msgspec.Struct, frozen=True):
    """What tells WARC and ARC apart."""

    name: str
    is_start: Callable[[bytes], bool]
    read_head: Callable[[Stream], Head | None]
    parse_prefix: Callable[[bytes], Head | None]
    next_start: "re.Pattern[bytes]"


_DATE = re.compile(r"\s*(\d{4})(?:-(\d\d))?(?:-(\d\d))?(?:[T ](\d\d):(\d\d)(?::(\d\d))?)?")
_ARC_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?(\d\d)?$")


def parse_date(text: str, pattern: "re.Pattern[str]" = _DATE) -> int | None:
    """Seconds since 1970 of a W3C date-time in UTC, of any precision (WARC 1.1 allows ``2016``); None if it is none.

    >>> parse_date("2025-08-21T10:29:40.123Z"), parse_date("2016-11"), parse_date("soon")
    (1755772180, 1477958400, None)
    """
    if len(text) == 20 and text[-1] == "Z" and pattern is _DATE:
        try:
            return int(datetime.fromisoformat(text).timestamp())
        except ValueError:
            pass
    match = pattern.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(g) if g else None for g in match.groups())
    try:
        # A leap second (60) is legal in W3C dates and unknown to datetime.
        moment = datetime(year or 0, month or 1, day or 1, hour or 0, minute or 0, min(second or 0, 59), tzinfo=UTC)
    except ValueError:
        return None
    return timegm(moment.timetuple())


def _text(raw: bytes) -> str:
    """Header value as text: UTF-8 (WARC), or Latin-1 for older tools."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


_FOLD = re.compile(rb"\r?\n[ \t]+")
#: Kinds whose identity matters: those that become rows.
_TOLD = frozenset({"response", "resource", "conversion"})
_KIND = re.compile(r"[a-z][a-z0-9-]{0,30}$")


def parse_warc_head(raw: bytes) -> Head | None:
    """Header of a WARC record from its lines (without the empty line); None when it is none."""
    if raw[:5] != b"WARC/":
        return None
    if b"\n " in raw or b"\n\t" in raw:
        raw = _FOLD.sub(b" ", raw)
    fields: dict[bytes, bytes] = {}
    # Of repeated fields the first counts.
    for line in reversed(raw.split(b"\n")):
        name, colon, value = line.partition(b":")
        if colon:
            fields[name.lower()] = value
    if b" " in b"".join(fields):
        fields = {name.strip(): value for name, value in fields.items()}
    kind = _text(fields.get(b"warc-type", b"")).strip().lower()
    if not _KIND.match(kind):
        if not fields:
            return None
        kind = "untyped"
    raw_length = fields.get(b"content-length", b"").strip()
    length = int(raw_length) if raw_length.isdigit() and len(raw_length) < 19 else None
    content_type = _text(fields.get(b"content-type", b"")).strip()
    if kind not in _TOLD:
        return Head(kind, length, content_type)
    url = fields.get(b"warc-target-uri")
    if url is not None:
        url = url.strip()
        if url[:1] == b"<" and url[-1:] == b">":
            # wget 1.14 took the brackets of the grammar for part of the value.
            url = url[1:-1]
        if url[:4].lower() == b"dns:":
            return Head("dns", length, content_type, _text(url))
    date = fields.get(b"warc-date")
    language = fields.get(b"warc-identified-content-language")
    record_id = fields.get(b"warc-record-id")
    return Head(
        kind,
        length,
        content_type,
        None if url is None else _text(url),
        None if record_id is None else _text(record_id).strip(),
        None if date is None else parse_date(_text(date).strip()),
        None if not language else _text(language).split(",")[0].strip().lower() or None,
    )


def _read_warc_head(stream: Stream) -> Head | None:
    first = stream.peek(5)
    if first != b"WARC/":
        return None
    # Whether lines end in CR LF or in LF alone is told by the first.
    line = stream.peek(64)
    cut = line.find(b"\n")
    mark = b"\r\n\r\n" if cut > 0 and line[cut - 1 : cut] == b"\r" else b"\n\n"
    raw = stream.take_until(mark, _MOST_HEAD)
    return None if raw is None else parse_warc_head(raw)


# URL, IP, date, type[, status, checksum, location, offset, file name], length. URLs may hold spaces.
_ARC_LINE = re.compile(
    rb"(?P<url>[a-zA-Z][a-zA-Z0-9+.-]{1,20}:[^\r\n]{0,8192}?) (?P<ip>[0-9a-fA-F.:]{1,45}|-) (?P<date>\d{8,14}) "
    rb"(?P<type>[^ \r\n]{1,200}|-)"
    rb"(?: (?P<status>\d{3}|-) [^ \r\n]{1,100} [^\r\n]{1,8192}? \d{1,19} [^ \r\n]{1,500})? (?P<length>\d{1,18})[ \r]*$"
)


def parse_arc_head(line: bytes) -> Head | None:
    """Header of an ARC record from its line (without the line feed); None when it is none."""
    match = _ARC_LINE.match(line)
    if match is None:
        return None
    url = _text(match["url"])
    kind = "response"
    if url.startswith("filedesc:"):
        kind = "filedesc"
    elif url[:4].lower() == "dns:":
        kind = "dns"
    content_type = _text(match["type"])
    http = url[:5].lower() in ("http:", "https")
    return Head(
        kind=kind,
        length=int(match["length"]),
        content_type="application/http" if http else content_type,
        url=url,
        captured=parse_date(_text(match["date"]), _ARC_DATE),
    )


def _read_arc_head(stream: Stream) -> Head | None:
    line = stream.peek(_MOST_HEAD if stream.peek(1024).find(b"\n") < 0 else 1024)
    cut = line.find(b"\n")
    if cut < 0:
        return None
    head = parse_arc_head(line[:cut])
    if head is not None:
        stream.skip(cut + 1)
    return head


def _warc_prefix(data: bytes) -> Head | None:
    data = data.lstrip(b"\r\n")
    for mark in (b"\r\n\r\n", b"\n\n"):
        raw, found, _ = data.partition(mark)
        if found:
            return parse_warc_head(raw)
    return None


def _arc_prefix(data: bytes) -> Head | None:
    line, found, _ = data.lstrip(b"\r\n").partition(b"\n")
    return parse_arc_head(line) if found else None


WARC = Dialect(
    "warc",
    lambda data: data.lstrip(b"\r\n").startswith(b"WARC/"),
    _read_warc_head,
    _warc_prefix,
    re.compile(rb"WARC/[01]\.\d+\r?\n[A-Za-z-]+:"),
)
ARC = Dialect(
    "arc",
    lambda data: _arc_prefix(data) is not None,
    _read_arc_head,
    _arc_prefix,
    re.compile(
        rb"(?<=\n)[a-z]{2,12}:[^\r\n]{0,2048}? (?:[0-9a-fA-F.:]{1,45}|-) \d{8,14} [^ \r\n]{1,200}"
        rb"(?: [^\r\n]{1,2048}?)? \d{1,18}\r?\n"
    ),
)
