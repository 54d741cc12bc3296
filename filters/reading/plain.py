"""Borders of the pieces of an archive that is not compressed."""

from algok.filters.reading.heads import Dialect
from algok.filters.reading.members import Plain
from algok.filters.reading.stream import Stream
from algok.filters.reading.window import Window

__all__ = ["record_starts"]


def record_starts(window: Window, dialect: Dialect, split_bytes: int) -> list[int]:
    """Positions of the pieces: 0, and the first record start behind each multiple of ``split_bytes``.

    Goes from header to header over the lengths that they give, since a page may hold text that looks like a record; so
    borders are those that a reader of the whole file meets. Stops splitting where the file is damaged.
    """
    starts = [0]
    wanted = split_bytes
    position = 0
    while position < window.size:
        stream = Stream(Plain(window, position))
        stream.skip_newlines()
        begin = position + stream.tell()
        head = dialect.read_head(stream)
        if head is None or head.length is None:
            break
        if begin >= wanted:
            starts.append(begin)
            wanted = (begin // split_bytes + 1) * split_bytes
        position += stream.tell() + head.length
    return starts
