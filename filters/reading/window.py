"""A forward view of a stored file: chunks of it in memory, addressed by position in the file."""

from typing import BinaryIO

__all__ = ["Window"]

#: Bytes asked of the filesystem at once; remote stores answer small reads slowly.
_CHUNK = 1 << 20


class Window:
    """Bytes of a seekable file by position, read ahead by a chunk. Memory: two chunks, or what is asked for."""

    __slots__ = ("_base", "_data", "_file", "_file_position", "size")

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._data = b""
        self._base = 0
        self._file_position = -1
        self.size = size

    def at(self, position: int, count: int) -> memoryview:
        """Bytes [position, position + count); fewer only at the end of the file."""
        offset = position - self._base
        if offset < 0 or offset + count > len(self._data):
            self._load(position, count)
            offset = position - self._base
        return memoryview(self._data)[offset : offset + count]

    def _load(self, position: int, count: int) -> None:
        offset = position - self._base
        kept = self._data[offset:] if 0 <= offset <= len(self._data) else b""
        wanted = max(_CHUNK, count) if not kept else max(_CHUNK, count - len(kept))
        begin = position + len(kept)
        parts = [kept]
        if begin < self.size:
            if self._file_position != begin:
                self._file.seek(begin)
            wanted = min(wanted, self.size - begin)
            while wanted > 0:
                part = self._file.read(wanted)
                if not part:
                    break
                parts.append(part)
                wanted -= len(part)
            self._file_position = begin + sum(map(len, parts[1:]))
        self._data = b"".join(parts)
        self._base = position

    def find(self, needle: bytes, start: int, end: int) -> int:
        """First position in [start, end) at which ``needle`` begins, or -1."""
        position = start
        while position < end:
            view = self.at(position, _CHUNK)
            data = bytes(view)
            hit = data.find(needle)
            if hit >= 0:
                return position + hit if position + hit < end else -1
            if len(data) < _CHUNK:
                return -1
            position += len(data) - len(needle) + 1
        return -1
