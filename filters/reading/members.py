"""Compressed members of a file, read in bounded steps and found again after damage.

A *member* is one gzip member or one Zstandard frame. Archives are meant to hold one record per member, so damage costs
one record; a file compressed as a whole is a single member; block-compressed files (bgzip) have members that do not
agree with records. All three, and files that are not compressed, are read by the same code.
"""

from collections.abc import Callable
from typing import Protocol

from algok.filters.reading.codecs import Codec, DamagedError, Decompressor
from algok.filters.reading.window import Window

__all__ = ["PROBE", "Content", "Member", "Plain", "find_border", "find_member", "probe"]

#: Stored bytes handed to the decompressor first, then at a time: most pages fit the first step, and what is handed over
#: too much is copied once.
_FIRST_STEP = 16 * 1024
_STEP = 64 * 1024
#: Content bytes that one step may produce.
_MOST_OUT = 4 << 20
#: Steps in which the content before damage is recovered: what the last step would have given is lost.
_SALVAGE_IN = 1024
_SALVAGE_OUT = 64
#: Longest run of stored bytes that compressed data holds without a header of its own: a stored block of deflate has at
#: most 65,535 bytes (RFC 1951), a raw block of Zstandard 128 KiB (RFC 8878).
_LONGEST_BLOCK = 132_000
#: Content needed to tell whether a member begins with a record.
PROBE = 1024


class Content(Protocol):
    """A source of content bytes that starts at a position of the stored file."""

    start: int
    end: int

    def read(self) -> bytes:
        """Next content bytes, b"" at the end. DamagedError where they cannot be had."""
        ...

    @property
    def reached(self) -> int | None:
        """Stored position up to which content was taken; None when content and stored bytes are the same."""
        ...

    def extend(self) -> bool:
        """Go on into the next member, when that does not begin a record of its own."""
        ...


class Plain:
    """The stored bytes of a file that is not compressed."""

    __slots__ = ("_limit", "_position", "_window", "end", "start")

    def __init__(self, window: Window, start: int) -> None:
        self._window = window
        self.start = start
        self._position = start
        self.end = window.size

    def read(self) -> bytes:
        data = bytes(self._window.at(self._position, _STEP))
        self._position += len(data)
        return data

    @property
    def reached(self) -> None:
        return None

    def extend(self) -> bool:
        return False


class Member:
    """The content of one member (:meth:`extend` may add the next). ``end`` is known once :meth:`read` gave b""."""

    __slots__ = (
        "_codec",
        "_damage",
        "_decompressor",
        "_from",
        "_is_start",
        "_made",
        "_position",
        "_window",
        "end",
        "start",
    )

    def __init__(self, window: Window, start: int, codec: Codec, is_start: Callable[[bytes], bool]) -> None:
        self._window = window
        self._codec = codec
        self._is_start = is_start
        self.start = start
        self._begin(start)

    def _begin(self, position: int) -> None:
        self._from = position
        self._position = position
        self.end = position
        self._made = 0
        self._damage: DamagedError | None = None
        self._decompressor: Decompressor = self._codec.decompressor()

    def read(self) -> bytes:
        if self._damage is not None:
            raise self._damage
        decompressor = self._decompressor
        while not decompressor.ended():
            data: memoryview | bytes = b""
            if not decompressor.pending():
                data = self._window.at(self._position, _FIRST_STEP if self._position == self._from else _STEP)
                if not len(data):
                    raise self._fail(DamagedError("truncated: the file ends within a compressed member"))
            try:
                out = decompressor.feed(data, _MOST_OUT)
            except DamagedError as error:
                self._damage = error
                self._position += len(data)
                saved = self._salvage()
                self._made += len(saved)
                if saved:
                    return saved
                raise
            self._position += len(data)
            if out:
                self._made += len(out)
                if decompressor.ended():
                    self.end = self._position - decompressor.unused()
                return out
        self.end = self._position - decompressor.unused()
        return b""

    def _fail(self, error: DamagedError) -> DamagedError:
        self._damage = error
        return error

    def _salvage(self) -> bytes:
        """Content between what was returned so far and the damage, in steps so small that little is lost."""
        decompressor = self._codec.careful()
        position = self._from
        skip = self._made
        saved: list[bytes] = []
        size = 0
        try:
            while not decompressor.ended() and size < _MOST_OUT:
                data: memoryview | bytes = b""
                if not decompressor.pending():
                    data = self._window.at(position, _SALVAGE_IN)
                    if not len(data):
                        break
                out = decompressor.feed(data, _SALVAGE_OUT)
                position += len(data)
                if skip >= len(out):
                    skip -= len(out)
                    continue
                saved.append(out[skip:])
                size += len(out) - skip
                skip = 0
        except DamagedError:
            pass
        return b"".join(saved)

    @property
    def reached(self) -> int:
        """Stored position up to which content was taken, at least."""
        return self.end if self._decompressor.ended() else self._position

    def complete(self) -> bool:
        """True when all content was read and is sound."""
        return self._damage is None and self._decompressor.ended()

    @property
    def start_of_damage(self) -> int:
        """Start of the member that broke: the last one that content was read from."""
        return self._from

    def extend(self) -> bool:
        if self._damage is not None or not self._decompressor.ended():
            return False
        head = probe(self._window, self.end, self._codec)
        if head is None or self._is_start(head):
            return False
        self._begin(self.end)
        return True


def probe(window: Window, position: int, codec: Codec) -> bytes | None:
    """First content bytes of the member at ``position``; None when there is none."""
    stored = window.at(position, 4 * PROBE)
    if bytes(stored[: len(codec.magic)]) != codec.magic:
        return None
    try:
        return codec.decompressor().feed(stored, PROBE)
    except DamagedError:
        return None


def find_border(window: Window, start: int, codec: Codec, is_start: Callable[[bytes], bool]) -> int:
    """Where a piece that is to begin at ``start`` begins: the next member from which sound members follow on.

    A page may itself be an archive, whose members would be taken for those of this file. Compressed again they do not
    shrink and are stored as they are, but in blocks with headers in between, so no chain of sound members is longer
    than a block. All pieces ask here for their beginning and their end, so a border that is put too far loses nothing.
    """
    while True:
        start = find_member(window, start, window.size, codec, is_start)
        if start < 0:
            return window.size
        if _follows_on(window, start, codec, is_start):
            return start
        start += 1


def _follows_on(window: Window, start: int, codec: Codec, is_start: Callable[[bytes], bool]) -> bool:
    position = start
    while position - start <= _LONGEST_BLOCK and position < window.size:
        if bytes(window.at(position, len(codec.magic))) != codec.magic:
            return False
        member = Member(window, position, codec, is_start)
        try:
            while member.read():
                pass
        except DamagedError:
            return False
        position = member.end
    return True


def find_member(window: Window, start: int, end: int, codec: Codec, is_start: Callable[[bytes], bool]) -> int:
    """Position in [start, end) of the next member whose content begins a record, or -1."""
    position = start
    while True:
        position = window.find(codec.magic, position, end)
        if position < 0:
            return -1
        head = probe(window, position, codec)
        if head is not None and is_start(head):
            return position
        position += 1
