"""Content of a member as a stream with look-ahead, for the record parsers."""

from algok.filters.reading.members import Content

__all__ = ["Stream"]


class Stream:
    """Content bytes by position, pulled when wanted. Holds what was asked for and not yet consumed."""

    __slots__ = ("_base", "_buffer", "_content", "_position", "_source_ended")

    def __init__(self, content: Content, first: bytes = b"") -> None:
        """``first`` was read from the content already."""
        self._content = content
        self._buffer = first
        self._position = 0
        self._base = 0
        self._source_ended = False

    def tell(self) -> int:
        """Content bytes consumed so far."""
        return self._base + self._position

    def _pull(self, across: bool) -> bool:
        """More content into the buffer; across: also from a following member that continues this one."""
        if self._source_ended and not (across and self._content.extend()):
            return False
        data = self._content.read()
        while not data and across and self._content.extend():
            data = self._content.read()
        self._source_ended = not data
        if not data:
            return False
        if self._position >= len(self._buffer):
            self._base += len(self._buffer)
            self._position -= len(self._buffer)
            self._buffer = data
        else:
            self._base += self._position
            self._buffer = self._buffer[self._position :] + data
            self._position = 0
        return True

    def peek(self, count: int, across: bool = True) -> bytes:
        """The next ``count`` bytes, fewer at the end."""
        while len(self._buffer) - self._position < count and self._pull(across):
            pass
        return self._buffer[self._position : self._position + count]

    def held(self, most: int) -> bytes:
        """What is at hand without pulling more: what a damaged member still gave."""
        return self._buffer[self._position : self._position + most]

    def ended(self) -> bool:
        """True when nothing is left; looks into no further member."""
        return self._position >= len(self._buffer) and not self._pull(False)

    def skip_newlines(self) -> int:
        """Consume CR and LF; their number."""
        skipped = 0
        while not self.ended():
            buffer, position = self._buffer, self._position
            rest = len(buffer) - position
            if buffer[position] not in b"\r\n":
                break
            # Four bytes in nearly every archive; a run of millions must not copy itself.
            piece = buffer[position : position + 64]
            step = len(piece) - len(piece.lstrip(b"\r\n"))
            self._position += min(step, rest)
            skipped += step
        return skipped

    def take_until(self, mark: bytes, most: int) -> bytes | None:
        """Consume up to and with ``mark``, which must end within ``most`` bytes; None consumes nothing."""
        searched = 0
        while True:
            hit = self._buffer.find(mark, self._position + searched, self._position + most)
            if hit >= 0:
                out = self._buffer[self._position : hit]
                self._position = hit + len(mark)
                return out
            available = len(self._buffer) - self._position
            if available >= most or not self._pull(True):
                return None
            searched = max(0, available - len(mark) + 1)

    def take(self, count: int) -> bytes:
        """Consume ``count`` bytes; fewer at the end."""
        available = len(self._buffer) - self._position
        if available >= count:
            out = self._buffer[self._position : self._position + count]
            self._position += count
            return out
        parts = [self._buffer[self._position :]]
        self._position = len(self._buffer)
        missing = count - available
        while missing > 0 and self._pull(True):
            out = self._buffer[self._position : self._position + missing]
            self._position += len(out)
            missing -= len(out)
            parts.append(out)
        return b"".join(parts)

    def take_rest(self, most: int) -> bytes:
        """Consume what is left of this member, up to ``most`` bytes."""
        parts: list[bytes] = []
        while most > 0 and not self.ended():
            out = self._buffer[self._position : self._position + most]
            self._position += len(out)
            most -= len(out)
            parts.append(out)
        return b"".join(parts)

    def skip(self, count: int) -> int:
        """Consume ``count`` bytes without keeping them; how many there were."""
        left = count
        while left > 0:
            available = len(self._buffer) - self._position
            if available == 0:
                if not self._pull(True):
                    break
                continue
            step = min(left, available)
            self._position += step
            left -= step
        return count - left
