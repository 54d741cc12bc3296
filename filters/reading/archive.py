"""Records of WARC, WET and ARC files, compressed per record, as a whole, by blocks or not at all.

Every record becomes a row or a count, every range of bytes that is no record a gap. Addresses: ``offset`` is the start
of the compressed member in the stored file plus the position in its content, so the stored position for files that are
compressed per record or not at all, and the position in the content for files that are compressed as a whole.
"""

from collections.abc import Iterator

import pyarrow as pa

from algok.filters.reading.codecs import Codec, DamagedError
from algok.filters.reading.heads import WARC, Dialect, Head, parse_warc_head
from algok.filters.reading.members import PROBE, Content, Member, Plain, find_border, find_member
from algok.filters.reading.options import ReadOptions
from algok.filters.reading.records import add_failed, add_record
from algok.filters.reading.rows import ROW_KINDS, Rows
from algok.filters.reading.stream import Stream
from algok.filters.reading.window import Window

__all__ = ["read_archive"]

#: Content searched at a time for the next record start after garbage.
_SEARCH = 64 * 1024
#: Longest record start that the search must not cut: a WARC version line with a field name, an ARC line.
_OVERLAP = 8 * 1024
#: Content that names a damaged record at most.
_PREFIX = 64 * 1024


def read_archive(
    window: Window,
    start: int,
    end: int,
    codec: Codec | None,
    dialect: Dialect,
    rows: Rows,
    options: ReadOptions,
) -> Iterator[pa.RecordBatch]:
    """Batches of the records of one piece of the stored file.

    A plain piece begins and ends at records. A compressed one begins and ends at the members that
    :func:`find_border` finds for ``start`` and ``end``: neighbouring pieces share the border, so garbage between
    members is accounted for once.
    """
    reader = _Reader(dialect, rows, options)
    if codec is None:
        yield from reader.content(Plain(window, start), end)
        if rows:
            yield rows.take()
        rows.tally.bytes_read += min(end, window.size) - start
        return
    position = find_border(window, start, codec, dialect.is_start) if start > 0 else 0
    if end < window.size:
        end = find_border(window, end, codec, dialect.is_start)
    began = position
    while position < end:
        stored = window.at(position, len(codec.magic))
        if not len(stored):
            break
        if bytes(stored) != codec.magic:
            empty = codec.skippable(bytes(window.at(position, 8)))
            if 0 < empty <= window.size - position:
                position += empty
                continue
            found = _next(window, position + 1, codec, dialect)
            _no_member(window, position, found, rows, codec.name)
            position = found
            continue
        member = Member(window, position, codec, dialect.is_start)
        try:
            first = reader.begin(member)
            if first is not None:
                yield from reader.content(member, None, first)
            position = max(member.end, position + 1)
        except DamagedError as error:
            # Damaged deflate data may decode on, as garbage, far into the members behind it: the search for the next
            # one begins right behind the start of this one, not where the damage was noticed.
            found = _next(window, member.start_of_damage + 1, codec, dialect)
            reader.damaged(found, str(error), codec.name)
            position = found
        if rows.ready:
            yield rows.take()
    if rows:
        yield rows.take()
    rows.tally.bytes_read += min(position, window.size) - began


def _next(window: Window, start: int, codec: Codec, dialect: Dialect) -> int:
    found = find_member(window, start, window.size, codec, dialect.is_start)
    return window.size if found < 0 else found


def _no_member(window: Window, start: int, end: int, rows: Rows, step: str) -> None:
    """Account for bytes between members: zeros are padding that gzip allows, anything else is a gap."""
    position = start
    while position < end:
        piece = bytes(window.at(position, min(_SEARCH, end - position)))
        if piece.strip(b"\0\r\n"):
            rows.gap(start, end, step, "bytes that begin no compressed member")
            rows.tally.skip(start, end, "no compressed member")
            return
        position += len(piece)
    rows.tally.skip(start, end, "padding")


class _Reader:
    """Parses records out of content, one member after the other."""

    __slots__ = ("_base", "_content", "_dialect", "_head", "_options", "_record", "_rows", "_stream")

    def __init__(self, dialect: Dialect, rows: Rows, options: ReadOptions) -> None:
        self._dialect = dialect
        self._rows = rows
        self._options = options
        self._head: Head | None = None

    def begin(self, member: Member) -> bytes | None:
        """First content of a member; None when that is one sound WARC record, which is then dealt with.

        This is the way of nearly all records; :meth:`content` comes to the same result by many more steps.
        """
        self._head = None
        self._base = member.start
        self._record = 0
        self._stream = Stream(member)
        first = member.read()
        if self._dialect is not WARC or not member.complete():
            return first
        cut = first.find(b"\r\n\r\n", 0, _PREFIX)
        if cut < 0 or first.find(b"\n\n", 0, cut) >= 0:
            return first
        head = parse_warc_head(first[:cut])
        if head is None or head.length is None:
            return first
        start, end = cut + 4, cut + 4 + head.length
        if end > len(first) or first[end : end + 64].strip(b"\r\n") or len(first) > end + 64:
            return first
        if head.kind not in ROW_KINDS:
            self._rows.tally.count(head.kind)
        elif head.length > self._options.max_record_bytes:
            return first
        else:
            size = member.end - member.start
            add_record(self._rows, head, member.start, size, first, start, end, self._options.max_decoded_bytes)
        return None

    def content(self, content: Content, end: int | None, first: bytes = b"") -> Iterator[pa.RecordBatch]:
        """All records of a member; of a plain file those that start before ``end``."""
        stream = Stream(content, first)
        rows, dialect = self._rows, self._dialect
        self._stream = stream
        self._content = content
        self._base = content.start
        self._record = 0
        compressed = end is None
        while True:
            self._head = None
            stream.skip_newlines()
            if stream.ended():
                # The last record was taken before its member was seen to end.
                return
            begin = stream.tell()
            if end is not None and content.start + begin >= end:
                return
            self._record = begin
            head = self._head = dialect.read_head(stream)
            if head is None:
                self._garbage(begin)
                continue
            self._block(head, begin, content, compressed)
            if rows.ready:
                yield rows.take()

    def _block(self, head: Head, begin: int, content: Content, compressed: bool) -> None:
        stream, options, rows = self._stream, self._options, self._rows
        most = options.max_record_bytes
        is_row = head.kind in ROW_KINDS
        length = head.length
        block: bytes | None = None
        problem: tuple[str, str] | None = None
        if length is None:
            if compressed and begin == 0:
                # The member is the record; its end stands in for the missing length.
                block = stream.take_rest(most + 1)
                if len(block) > most:
                    while not stream.ended():
                        stream.skip(_SEARCH)
                    problem = ("size", f"record without Content-Length is larger than {most} bytes")
                else:
                    block = block.removesuffix(b"\r\n\r\n")
            else:
                problem = ("header", "no usable Content-Length")
        elif not is_row:
            missing = length - stream.skip(length)
            if missing:
                problem = ("truncated", f"{missing} of {length} bytes are missing")
        elif length > most:
            missing = length - stream.skip(length)
            problem = ("size", f"record of {length} bytes is larger than max_record_bytes = {most}")
            if missing:
                problem = ("truncated", f"{missing} of {length} bytes are missing")
        else:
            block = stream.take(length)
            if len(block) < length:
                problem = ("truncated", f"{length - len(block)} of {length} bytes are missing")
        over = stream.tell()
        gaps = stream.skip_newlines()
        if not gaps and problem is None and not stream.ended() and not self._dialect.is_start(stream.peek(PROBE)):
            # No line end behind the block: its length is wrong, or damage yet to be noticed has changed the content.
            # What lies before the next record is taken for the rest of this one.
            problem = ("header", f"no record end behind the {length} bytes of Content-Length")
            self._search()
            over = stream.tell()
        elif compressed and problem is None and not stream.ended() and not self._dialect.is_start(stream.peek(PROBE)):
            # Garbage behind the record: if damage explains it (the checksum at the end of the member tells), the
            # record may be damaged too, and must fail here instead of being taken.
            stream.peek(_SEARCH)
        if compressed and begin == 0 and stream.ended():
            offset, size = content.start, content.end - content.start
        else:
            offset, size = self._base + begin, over - begin
        self._head = None
        if problem is not None and problem[0] != "size":
            self._skipped(begin, over, problem[1])
        if not is_row:
            rows.tally.count(head.kind)
            if problem is not None:
                rows.gap(offset, offset + size, problem[0], f"{head.kind} record: {problem[1]}")
        elif problem is not None or block is None:
            add_failed(rows, head, offset, size, *(problem or ("header", "no block")))
        else:
            add_record(rows, head, offset, size, block, 0, len(block), options.max_decoded_bytes)

    def _garbage(self, begin: int) -> None:
        """A gap up to what looks like the next record start."""
        stream = self._stream
        stream.skip(1)
        self._search()
        start, end = self._base + begin, self._base + stream.tell()
        self._rows.gap(start, end, "header", f"no {self._dialect.name.upper()} record begins here")
        self._skipped(begin, stream.tell(), "no record")

    def _skipped(self, begin: int, end: int, reason: str) -> None:
        """Account for content that is no record, by where it is stored."""
        reached = self._content.reached
        if reached is None:
            self._rows.tally.skip(self._base + begin, self._base + end, reason)
        else:
            self._rows.tally.skip(self._base, reached, f"content {begin} to {end}: {reason}")

    def _search(self) -> None:
        stream = self._stream
        while not stream.ended():
            piece = stream.peek(_SEARCH, across=False)
            hit = self._dialect.next_start.search(piece)
            if hit is not None:
                stream.skip(hit.start())
                break
            stream.skip(len(piece) if len(piece) < _SEARCH else len(piece) - _OVERLAP)

    def damaged(self, found: int, error: str, step: str) -> None:
        """The member broke while record ``self._record`` was read; the next readable member is at ``found``."""
        rows, head = self._rows, self._head
        start = self._base
        whole = self._record == 0
        if head is None and self._stream_prefix():
            head = self._dialect.parse_prefix(self._stream_prefix())
        rows.tally.skip(start, found, error)
        if head is not None and head.kind in ROW_KINDS:
            offset = start + self._record
            size = found - start if whole else max(0, self._stream.tell() - self._record)
            add_failed(rows, head, offset, size, step, error)
            if whole:
                return
        what = f"in a {head.kind} record" if head is not None else "before a record header"
        rows.gap(start, found, step, f"{error}; damaged {what} after {self._stream.tell()} content bytes")

    def _stream_prefix(self) -> bytes:
        return self._stream.held(_PREFIX)
