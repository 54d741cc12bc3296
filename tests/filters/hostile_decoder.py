"""A decoder that does what a broken C library might do, on demand."""

import ctypes
import re

from tests.filters.plain_decoder import Decoded
from tests.filters.plain_decoder import decode as plain


def decode(payload: bytes, label: str | None) -> Decoded:
    if payload.startswith(b"hang"):
        re.match(r"(a|aa)+$", "a" * 60 + "b")  # holds the interpreter for longer than anyone waits
    if payload.startswith(b"crash"):
        ctypes.string_at(0)
    if payload.startswith(b"memory"):
        bytearray(1 << 40)
    return plain(payload, label)
