"""Decompressors with one face: feed stored bytes, get a bounded amount of content, see where the member ends.

gzip goes through ISA-L (``isal``), which reads the small members of crawl archives about twice as fast as zlib.
"""

import zlib
from typing import Any, Protocol

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

__all__ = ["Codec", "DamagedError", "Decompressor", "GzipCodec", "ZstdCodec"]

#: Zstandard frames may ask for this much window memory; RFC 8878 recommends 8 MiB, ``zstd --long`` uses 128 MiB.
_ZSTD_WINDOW = 128 << 20
#: Stored bytes given to Zstandard at once. Its decompressor cannot be told to stop, and a run-length block makes
#: 128 KiB of 4 bytes: 1 KiB gives at most 32 MiB.
_ZSTD_STEP = 1024


class DamagedError(Exception):
    """Stored bytes that cannot be decompressed."""


class Decompressor(Protocol):
    """State of one member."""

    def feed(self, data: Any, most: int) -> bytes:
        """Content of ``data``, about ``most`` bytes; what did not fit comes with the next call. DamagedError if bad."""
        ...

    def pending(self) -> bool:
        """True while stored bytes of an earlier call wait."""
        ...

    def ended(self) -> bool:
        """True when the member is complete, its checksum right."""
        ...

    def unused(self) -> int:
        """Bytes fed that lie behind the end of the member."""
        ...


class _Gzip:
    __slots__ = ("_inner", "_tail")

    def __init__(self) -> None:
        self._inner = isal_zlib.decompressobj(31)
        self._tail = b""

    def feed(self, data: Any, most: int) -> bytes:
        if self._tail:
            data = self._tail + bytes(data)
        try:
            out: bytes = self._inner.decompress(data, most)
        except IsalError as error:  # type: ignore[misc]  # the stub leaves out its base
            raise DamagedError(f"gzip: {error}") from None
        self._tail = self._inner.unconsumed_tail
        return out

    def pending(self) -> bool:
        return bool(self._tail) and not self._inner.eof

    def ended(self) -> bool:
        return bool(self._inner.eof)

    def unused(self) -> int:
        return len(self._inner.unused_data)


class _CarefulGzip:
    """zlib gives the content before damage byte for byte, where ISA-L decodes ahead and then gives nothing."""

    __slots__ = ("_inner", "_tail")

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)
        self._tail = b""

    def feed(self, data: Any, most: int) -> bytes:
        try:
            out = self._inner.decompress(self._tail + bytes(data), most)
        except zlib.error as error:
            raise DamagedError(f"gzip: {error}") from None
        self._tail = self._inner.unconsumed_tail
        return out

    def pending(self) -> bool:
        return bool(self._tail) and not self._inner.eof

    def ended(self) -> bool:
        return self._inner.eof

    def unused(self) -> int:
        return len(self._inner.unused_data)


class _Zstd:
    __slots__ = ("_inner", "_tail")

    def __init__(self, dictionary: zstandard.ZstdCompressionDict | None) -> None:
        self._inner = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=_ZSTD_WINDOW).decompressobj()
        self._tail = memoryview(b"")

    def feed(self, data: Any, most: int) -> bytes:
        rest = memoryview(bytes(self._tail) + bytes(data)) if len(self._tail) else memoryview(data)
        parts: list[bytes] = []
        made = 0
        try:
            while len(rest) and made < most and not self._inner.eof:
                part = self._inner.decompress(rest[:_ZSTD_STEP])
                # What a frame that ended did not use counts with what was never offered.
                rest = rest[min(_ZSTD_STEP, len(rest)) - len(self._inner.unused_data) :]
                parts.append(part)
                made += len(part)
        except zstandard.ZstdError as error:
            raise DamagedError(f"zstd: {error}") from None
        self._tail = rest
        return b"".join(parts)

    def pending(self) -> bool:
        return len(self._tail) > 0 and not self._inner.eof

    def ended(self) -> bool:
        return bool(self._inner.eof)

    def unused(self) -> int:
        return len(self._tail)


class Codec(Protocol):
    """How members of a file begin and are decompressed."""

    name: str
    magic: bytes

    def decompressor(self) -> Decompressor: ...

    def careful(self) -> Decompressor:
        """A slower one that gives as much as can be had of a damaged member."""
        ...

    def skippable(self, head: bytes) -> int:
        """Size of a frame without content that begins with these 8 bytes; 0 if none does."""
        ...


class GzipCodec:
    """gzip (RFC 1952) with the deflate method."""

    name = "gzip"
    magic = b"\x1f\x8b\x08"

    def decompressor(self) -> Decompressor:
        return _Gzip()

    def careful(self) -> Decompressor:
        return _CarefulGzip()

    def skippable(self, head: bytes) -> int:
        return 0


class ZstdCodec:
    """Zstandard (RFC 8878), with the dictionary that a ``.warc.zst`` file may carry in its first, skippable frame."""

    name = "zstd"
    magic = b"\x28\xb5\x2f\xfd"

    def __init__(self, dictionary: bytes | None = None) -> None:
        self._dictionary = None if dictionary is None else zstandard.ZstdCompressionDict(dictionary)

    def decompressor(self) -> Decompressor:
        return _Zstd(self._dictionary)

    def careful(self) -> Decompressor:
        return self.decompressor()

    def skippable(self, head: bytes) -> int:
        if len(head) < 8 or head[0] & 0xF0 != 0x50 or head[1:4] != b"\x2a\x4d\x18":
            return 0
        return 8 + int.from_bytes(head[4:8], "little")
