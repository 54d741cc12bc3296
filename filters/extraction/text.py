"""The last touch on a text before it becomes a column: nothing in it that storage or training cannot carry."""

import re

__all__ = ["clean_text"]

_LINE_ENDS = re.compile(r"\r\n?|\u2028|\u2029|\x85")
#: Characters that show nothing and cut words in two for every later step: soft hyphen, zero-width space, word joiner
#: and
#: the invisible operators, byte order mark. The zero-width joiners stay: Indic scripts, Persian and emoji need them.
_UNSEEN = re.compile("[\u00ad\u200b\u2060-\u2064\ufeff]")
_LONE = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    r"""Line ends as \n, NUL removed, lone surrogates as U+FFFD, blank lines and white space at both ends removed.

    >>> clean_text("a\r\nb\x00\ud800 ")
    'a\nb\ufffd'
    """
    if "\r" in text or "\u2028" in text or "\u2029" in text or "\x85" in text:
        text = _LINE_ENDS.sub("\n", text)
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii():
        text = _UNSEEN.sub("", text)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            text = _LONE.sub("\ufffd", text)
    return text.strip("\n").rstrip()
