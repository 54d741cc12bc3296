"""A decoder for tests of extraction that do not test charsets: UTF-8 or CP949. The child process imports it."""

from typing import NamedTuple


class Decoded(NamedTuple):
    text: str
    charset: str
    source: str
    replaced: int


def decode(payload: bytes, label: str | None) -> Decoded:
    try:
        return Decoded(payload.decode("utf-8"), "utf-8", "utf-8", 0)
    except UnicodeDecodeError:
        text = payload.decode("cp949", "replace")
        return Decoded(text, "euc-kr", "fallback", text.count("\ufffd"))
