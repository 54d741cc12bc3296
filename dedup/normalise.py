"""Text normalisation for shingling, straight over UTF-8 bytes.

What is the same after normalisation is the same document to near-duplicate detection:

1. **Width**: full-width ASCII (U+FF01..FF5E) and half-width kana, Hangul and signs become their usual forms; the
   ideographic space is a space.
2. **NFC**: canonical composition (Unicode Standard Annex 15), so Hangul written as jamo equals Hangul syllables.
3. **Lower case**, one code point to one (``İ`` becomes ``i``); Korean particles and endings are left alone.
4. **Separators**: white space and control characters separate words and disappear, and in word mode punctuation and
   symbols
   (emoji too) do as well. Format characters (zero-width space and joiners, soft hyphen, byte order mark) are dropped
   without separating. Digits, letters and combining marks make words.

The result is the words joined by single spaces; with ``spaces=False`` everything but white space runs together,
punctuation too, which is what character shingles are taken from: there a changed sign costs few of many shingles, and
the similarity is that of the usual definition (Jaccard of character n-grams without white space). The tables come
from Python's ``unicodedata``; code points above U+1FFFF stand for themselves.
"""

import unicodedata
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.kernels import COMPOSE, DROP, PUNCTUATION, SEPARATOR, TABLE_SIZE, fold

__all__ = ["fold_table", "normalise", "normalise_text", "text_buffers"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]

#: Half-width Katakana and Hangul, whose marks compose, and half- and full-width signs.
_HALF_WIDTH = (*range(0xFF61, 0xFFDD), *range(0xFFE0, 0xFFEF))


def _folded(code: int) -> int:
    char = chr(code)
    if 0xFF01 <= code <= 0xFF5E:
        char = chr(code - 0xFEE0)
    category = unicodedata.category(char)
    if category == "Cf":
        return DROP
    if category[0] in "ZC":
        return SEPARATOR
    return ord(char.lower()[0]) | (PUNCTUATION if category[0] in "PS" else 0)


@cache
def fold_table() -> U32:
    """``table[code point]``: 0 separates, 1 is dropped, else the folded code point, on which
    ``PUNCTUATION`` and ``COMPOSE`` may be set."""
    table = np.zeros(TABLE_SIZE, dtype=np.uint32)
    composing = {*range(0x1100, 0x1200), *_HALF_WIDTH}  # conjoining jamo: any may be part of a syllable
    for code in range(TABLE_SIZE):
        if 0xAC00 <= code <= 0xD7A3 or 0x3400 <= code <= 0x4DBF or 0x4E00 <= code <= 0x9FFF:
            table[code] = code
            continue
        if 0xD800 <= code <= 0xF8FF:
            continue
        char = chr(code)
        table[code] = _folded(code)
        if unicodedata.combining(char) or unicodedata.normalize("NFC", char) != char:
            composing.add(code)
        decomposed = unicodedata.decomposition(char)
        if decomposed and not decomposed.startswith("<"):
            parts = decomposed.split()
            if len(parts) == 2:  # the second of a primary composite: NFC_QC = Maybe
                composing.add(int(parts[1], 16))
    table[np.array(sorted(code for code in composing if code < TABLE_SIZE))] |= np.uint32(COMPOSE)
    table.flags.writeable = False
    return table


@cache
def _width_map() -> dict[int, str]:
    return {code: unicodedata.normalize("NFKC", chr(code)) for code in _HALF_WIDTH}


def composed(text: str) -> str:
    """Width folding of half-width forms, then NFC: the slow path for texts with ``COMPOSE`` code points."""
    return unicodedata.normalize("NFC", text.translate(_width_map()))


def text_buffers(texts: pa.Array) -> tuple[U8, I64]:
    """UTF-8 bytes and the ``len + 1`` offsets into them of a string array (a slice of one too), without a copy of the
    bytes.

    Null rows have the extent of an empty text or any other: ask ``texts.is_valid()``. Raises ``TypeError`` for other
    types.
    """
    if pa.types.is_string(texts.type):
        kind: np.dtype[Any] = np.dtype(np.int32)
    elif pa.types.is_large_string(texts.type):
        kind = np.dtype(np.int64)
    else:
        raise TypeError(f"texts must be a string or large_string array, not {texts.type}")
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    view = np.frombuffer(offsets, dtype=kind, count=len(texts) + 1, offset=texts.offset * kind.itemsize)
    bytes_ = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return bytes_, view.astype(np.int64)


def normalise_text(text: str, *, spaces: bool = True) -> str:
    """One text normalised.

    >>> normalise_text("ＡＢＣ 뉴스!! (종합)—Ｋｏｒｅａ")
    'abc 뉴스 종합 korea'
    >>> normalise_text("東京タワー、 2024年", spaces=False)
    '東京タワー、2024年'
    """
    data = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
    out = np.empty(len(data) * 3 // 2 + 8, dtype=np.uint8)
    marks = np.empty(len(data) + 2, dtype=np.int64)
    count, size = fold(data, 0, len(data), fold_table(), spaces, False, out, marks)
    if count < 0:
        data = np.frombuffer(composed(text).encode("utf-8", "replace"), dtype=np.uint8)
        out = np.empty(len(data) * 3 // 2 + 8, dtype=np.uint8)
        marks = np.empty(len(data) + 2, dtype=np.int64)
        _, size = fold(data, 0, len(data), fold_table(), spaces, True, out, marks)
    return bytes(out[:size]).decode("utf-8")


def normalise(texts: pa.Array, *, spaces: bool = True) -> pa.Array:
    """A ``large_string`` array of the normalised texts; null stays null."""
    return pa.array(
        [None if text is None else normalise_text(text, spaces=spaces) for text in texts.to_pylist()], pa.large_string()
    )
