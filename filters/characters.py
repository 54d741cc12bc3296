"""Unicode character classes as flat tables that compiled code can index by code point.

The tables come from the running Python's ``unicodedata``, so they follow its Unicode version (14.0 under Python 3.11,
15.0 under 3.12). The two differ in a few thousand code points of rare scripts only; a run that must be reproduced to
the bit keeps the Python version, which the manifest records.
"""

import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ALPHA",
    "CASED",
    "DIGIT",
    "HANGUL",
    "NFC_RISK",
    "SPACE",
    "UPPER",
    "WORD_CHAR",
    "class_table",
    "fold_table",
]

#: White space as ``str.split`` sees it.
SPACE = 1
#: Letters: general category L*, which is what ``str.isalpha`` tests.
ALPHA = 2
#: Decimal digits: general category Nd.
DIGIT = 4
#: Letters with case: Lu, Ll, Lt.
CASED = 8
#: Upper-case letters: Lu.
UPPER = 16
#: Hangul letters: syllables, jamo, compatibility and half-width jamo.
HANGUL = 32
#: Letters, numbers and combining marks: what a word boundary cannot lie between.
WORD_CHAR = 64
#: NFC may change a text that holds this character; a text without any such character is in NFC.
NFC_RISK = 128

CODE_POINTS = 0x110000

#: Blocks with Hangul letters (Unicode Standard, chapter 18.6).
HANGUL_BLOCKS = (
    (0x1100, 0x11FF),
    (0x3131, 0x318E),
    (0xA960, 0xA97C),
    (0xAC00, 0xD7A3),
    (0xD7B0, 0xD7FB),
    (0xFFA1, 0xFFDC),
)

# Jamo that compose with what precedes them: medial vowels and final consonants (Unicode Standard, section 3.12).
_COMPOSING_JAMO = ((0x1161, 0x1175), (0x11A8, 0x11C2))

# No assigned character outside these ranges has a class bit: planes 4 to 13 are empty, 15 and 16 are private use.
_ASSIGNED = ((0, 0x40000), (0xE0000, 0xE0200))


def _classify(char: str) -> int:
    category = unicodedata.category(char)
    bits = 0
    if char.isspace():
        bits |= SPACE
    if category[0] == "L":
        bits |= ALPHA
    if category[0] in "LNM":
        bits |= WORD_CHAR
    if category == "Nd":
        bits |= DIGIT
    if category in ("Lu", "Ll", "Lt"):
        bits |= CASED
    if category == "Lu":
        bits |= UPPER
    if unicodedata.combining(char) or not unicodedata.is_normalized("NFC", char):
        bits |= NFC_RISK
    return bits


@lru_cache(maxsize=1)
def class_table() -> NDArray[np.uint8]:
    """Class bits of every code point: uint8, shape (0x110000,), read-only. Built once per process in about 0.2 s."""
    table = np.zeros(CODE_POINTS, dtype=np.uint8)
    composing = set()
    for first, last in _ASSIGNED:
        for code in range(first, last):
            char = chr(code)
            # Most of these ranges is unassigned; the category test is the cheap way past it.
            if unicodedata.category(char) == "Cn":
                continue
            table[code] = _classify(char)
            parts = unicodedata.decomposition(char).split()
            if len(parts) == 2 and not parts[0].startswith("<"):
                composing.add(int(parts[1], 16))
    for code in composing:
        table[code] |= NFC_RISK
    for first, last in _COMPOSING_JAMO:
        table[first : last + 1] |= NFC_RISK
    for first, last in HANGUL_BLOCKS:
        block = table[first : last + 1]
        block[(block & ALPHA) != 0] |= HANGUL
    table.flags.writeable = False
    return table


@lru_cache(maxsize=1)
def fold_table() -> NDArray[np.uint16]:
    """Simple folding for matching terms in the Basic Multilingual Plane: uint16, shape (0x10000,), read-only.

    Lower case where it is one character, white space to U+0020, full-width ASCII (U+FF01..U+FF5E) to ASCII.
    """
    table = np.arange(0x10000, dtype=np.uint16)
    classes = class_table()
    for code in np.flatnonzero(classes[:0x10000] & (UPPER | CASED)).tolist():
        lower = chr(code).lower()
        if len(lower) == 1 and ord(lower) < 0x10000:
            table[code] = ord(lower)
    table[classes[:0x10000] & SPACE != 0] = 0x20
    for code in range(0xFF01, 0xFF5F):
        table[code] = ord(chr(code - 0xFEE0).lower())
    table.flags.writeable = False
    return table
