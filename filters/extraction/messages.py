"""What the parent and the extracting child process say to each other.

One message is a four-byte little-endian length and a MessagePack body. The parent sends one ``Chunk``; the child
answers with one ``PageResult`` per page, in order, each as soon as it is ready, so that the parent knows
which page was being worked on when the child dies.
"""

from typing import Protocol

import msgspec

__all__ = ["LENGTH", "Chunk", "Page", "PageResult", "Stream", "read_message"]

#: Bytes of the length in front of a message.
LENGTH = 4


class Page(msgspec.Struct, array_like=True):
    """A page to work on: undecoded payload and what is known about it."""

    payload: bytes
    http_charset: str | None = None
    #: ``False``: the payload is plain text, to be decoded only.
    html: bool = True
    url: str = ""


class Chunk(msgspec.Struct, array_like=True):
    """Pages that go through the pipe together."""

    pages: list[Page]


class PageResult(msgspec.Struct, array_like=True):
    """What became of a page; ``failed`` is null or the step that failed, ``rejected`` null or the rule."""

    text: str | None = None
    title: str | None = None
    charset: str | None = None
    charset_source: str | None = None
    replaced: int = 0
    html_bytes: int | None = None
    boilerplate_ratio: float | None = None
    link_char_share: float | None = None
    headings: int | None = None
    tables: int | None = None
    code_blocks: int | None = None
    formulas: int | None = None
    no_ai: bool | None = None
    licence: str | None = None
    failed: str | None = None
    rejected: str | None = None
    detail: str | None = None
    #: The child must be replaced before the next page: its memory can no longer be trusted.
    spent: bool = False


class Stream(Protocol):
    """The part of a binary file that reading needs."""

    def read(self, size: int, /) -> bytes | None: ...


def read_message(stream: Stream) -> bytes | None:
    """Body of the next message, or ``None`` at the end of the stream or in the middle of a message."""
    head = _exactly(stream, LENGTH)
    return None if head is None else _exactly(stream, int.from_bytes(head, "little"))


def _exactly(stream: Stream, size: int) -> bytes | None:
    parts = []
    while size:
        part = stream.read(size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
