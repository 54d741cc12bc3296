"""Which encoding undeclared bytes are in: the one under which they are likeliest as text of some language.

Each candidate is an (encoding, language) pair. The bytes are decoded tolerantly, and every character costs -log2 of its
probability in that language, from counted letters (``letters.txt``) and, for what was not counted, from the level at
which the national standards put it: KS X 1001, JIS X 0208, GB 2312 and Big5 all place their common characters first.
The smallest sum wins; it compares encodings that take one, two or four bytes a character on equal terms. This is the
check by common syllables that keeps Shift-JIS from being read as CP949, and a mid-character cut or a bad byte costs
some bits instead of the page.
"""

import re
from functools import cache, lru_cache
from importlib import resources
from typing import NamedTuple
from unicodedata import category

import numpy as np
import numpy.typing as npt

from algok.filters.charset.labels import CODECS

__all__ = ["Guess", "Weight", "guess", "mean_cost", "sample_of", "weigh"]

Bits = npt.NDArray[np.float32]

#: Bits of a character by its sort, where the language's own table does not say.
_ASCII = 5.0
_REPLACED = 26.0
_CONTROL = 24.0
_UNKNOWN = 17.0
_LEVEL_1 = 13.0
_LEVEL_2 = 16.0
_ASTRAL = 12.0
_MARKS = 11.0
#: The soft hyphen: a page that has it has it in every long word.
_HYPHEN = 6.0
#: Latin script: added for each letter beyond ASCII (about one letter in 10 to 30 is one), and for each that stands
#: beside another such letter. Other alphabets: added for each place where a letter of theirs touches an ASCII letter,
#: and for each that stands alone.
_LATIN = 3.0
_LATIN_RUN = 4.0
_TOUCH = 12.0
_LONE = 8.0

#: Languages looked for under each encoding, and the bits an encoding must be better by, for being rare on the web.
#: EUC-TW is missing for want of a decoder; UTF-7 and HZ are refused by browsers and not guessed.
_CANDIDATES: dict[str, tuple[float, tuple[str, ...]]] = {
    # Valid UTF-8 never comes here; damaged UTF-8 too short for the rule of continuation bytes does.
    "utf-8": (0, ("ko", "ja", "zh-hans", "fr", "ru")),
    "euc-kr": (0, ("ko",)),
    "shift_jis": (2, ("ja",)),
    "euc-jp": (2, ("ja",)),
    "gb18030": (2, ("zh-hans",)),
    "big5": (2, ("zh-hant",)),
    "windows-1252": (0, ("fr", "de", "es", "pt", "it", "sv", "da", "is")),
    "windows-1251": (1, ("ru", "uk", "bg", "sr")),
    "windows-1250": (3, ("pl", "cs", "sk", "hu", "hr", "ro")),
    "windows-1253": (3, ("el",)),
    "windows-1254": (3, ("tr",)),
    "windows-1255": (3, ("he",)),
    "windows-1256": (3, ("ar",)),
    "windows-1257": (4, ("lt", "lv", "et")),
    "windows-874": (3, ("th",)),
    "iso-8859-2": (4, ("pl", "cs", "sk", "hu", "hr", "ro")),
    "iso-8859-7": (5, ("el",)),
    "iso-8859-6": (5, ("ar",)),
    "koi8-r": (3, ("ru", "bg")),
    "koi8-u": (5, ("uk",)),
    "iso-8859-5": (5, ("ru", "bg", "sr")),
    "ibm866": (30, ("ru", "bg")),
    "x-mac-cyrillic": (30, ("ru", "bg")),
    "macintosh": (20, ("fr", "de", "es", "it", "sv")),
    "johab": (10, ("ko",)),
    "ibm855": (30, ("ru", "bg")),
}
#: Chinese encodings that hold Japanese too, which is believed when declared; undeclared it would take EUC-JP's place.
_JAPANESE_TOO = frozenset(("gb18030", "gbk", "big5"))
_LATIN_LANGUAGES = frozenset(
    ("fr", "de", "es", "pt", "it", "sv", "da", "is", "pl", "cs", "sk", "hu", "hr", "ro", "tr", "lt", "lv", "et")
)
_ALPHABETS = frozenset(("ru", "uk", "bg", "sr", "el", "he", "ar", "th"))

#: Genuine text of all encodings of the test sets costs at most this much a letter, but for lists of rare names; misread
#: text lies above it nearly always. Alphabets of thirty letters cost less than syllables and ideographs.
_USUAL = 12.0
_USUAL_ALPHABET = 7.5

#: Bytes of a page that are scored: some thousand letters decide beyond doubt.
_SAMPLE = 8192
# From a byte beyond ASCII to the end of its line or text between tags. No multi-byte encoding of the web uses < > or
# line feed as a second byte, so the cuts fall between characters.
_PIECE = re.compile(rb"[\x80-\xff][^<>\n]{0,2000}")
#: ASCII bytes taken along in front of it.
_BEFORE = 100


class Guess(NamedTuple):
    """``bits``: cost of the sample; ``margin``: bits to the best candidate of another reading; ``letters``: characters
    beyond ASCII; ``mean``: bits per letter."""

    encoding: str
    language: str
    bits: float
    margin: float
    letters: int
    mean: float


def sample_of(payload: bytes) -> bytes:
    """Up to 8 KiB of the pieces of text that hold bytes beyond ASCII."""
    parts: list[bytes] = []
    size = end = 0
    for match in _PIECE.finditer(payload):
        start = match.start()
        # One look backwards a piece: an expression for it would try every position of the page.
        before = payload[max(end, start - _BEFORE) : start]
        cut = max(before.rfind(b"<"), before.rfind(b">"), before.rfind(b"\n")) + 1
        end = match.end()
        part = payload[start - len(before) + cut : end]
        parts.append(part)
        size += len(part) + 1
        if size >= _SAMPLE:
            break
    return b"\n".join(parts)[: 2 * _SAMPLE]


@cache
def _letters() -> dict[str, list[tuple[float, str]]]:
    text = resources.files(__package__).joinpath("letters.txt").read_text("utf-8")
    table: dict[str, list[tuple[float, str]]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            language, bits, letters = line.split("\t")
            table.setdefault(language, []).append((float(bits), letters))
    return table


def _points(text: str) -> npt.NDArray[np.uint16]:
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)


def _region(codec: str, leads: range, trails: range) -> npt.NDArray[np.uint16]:
    raw = b"".join(bytes((lead, trail)) for lead in leads for trail in trails)
    text = raw.decode(codec, "ignore")
    return _points("".join(c for c in text if ord(c) > 127))


@lru_cache(maxsize=64)
def _table(language: str) -> Bits:
    """Cost in bits of each UTF-16 unit in a language."""
    table = np.full(65536, _UNKNOWN, np.float32)
    table[:128] = _ASCII
    table[:32] = _CONTROL
    table[[9, 10, 13]] = _ASCII
    table[0x7F:0xA0] = _CONTROL
    table[0xD800:0xE000] = _ASTRAL
    table[0xE000:0xF900] = _CONTROL
    table[0xFFFD] = _REPLACED
    for mark in "\u00a0·…–—‘’“”•©®™°±×§«»£€¥¿¡":
        table[ord(mark)] = _MARKS
    table[0xAD] = _HYPHEN
    if language in ("ko", "ja", "zh-hans", "zh-hant"):
        table[0x3000:0x3020] = _MARKS
        table[0xFF01:0xFF5F] = _MARKS
        table[0x2190:0x2194] = _MARKS
        table[0x25A0:0x2610] = _LEVEL_1
        table[0x3200:0x3400] = _LEVEL_2
        trails = range(0xA1, 0xFF)
        if language == "ko":
            table[0xAC00:0xD7A4] = _LEVEL_2
            table[0x3131:0x3164] = _MARKS
            table[_region("euc_kr", range(0xB0, 0xC9), trails)] = _LEVEL_1
        elif language == "ja":
            table[0x3041:0x30FF] = _LEVEL_1
            table[0xFF61:0xFFA0] = _LEVEL_1
            table[_region("euc_jp", range(0xD0, 0xF5), trails)] = _LEVEL_2
            table[_region("euc_jp", range(0xB0, 0xD0), trails)] = _LEVEL_1
        elif language == "zh-hans":
            table[_region("gb2312", range(0xD8, 0xF8), trails)] = _LEVEL_2
            table[_region("gb2312", range(0xB0, 0xD8), trails)] = _LEVEL_1
        else:
            trails = range(0x40, 0xFF)
            table[_region("big5", range(0xC9, 0xFA), trails)] = _LEVEL_2
            table[_region("big5", range(0xA4, 0xC7), trails)] = _LEVEL_1
    # Small letters of Latin script that the language does not use still occur in names.
    if language in _LATIN_LANGUAGES:
        table[0xDF:0x180] = 13.0
        table[[0xF7, 0x178, 0xFE, 0xF0]] = _UNKNOWN
    for bits, letters in _letters()[language]:
        table[_points(letters)] = bits
    if language in _LATIN_LANGUAGES:
        table[0xC0:0x250] += _LATIN
    return table


@cache
def _alphabetic() -> npt.NDArray[np.int8]:
    """For each UTF-16 unit: 0 no letter, 1 ASCII letter, 2 other letter."""
    # Vowel signs are no letters by themselves, yet belong to words.
    kinds = np.fromiter((category(chr(c))[0] in "LM" for c in range(65536)), np.int8, 65536)
    kinds[128:] *= 2
    return kinds


class _Reading:
    """A sample under one encoding: its UTF-16 units and how its letters touch."""

    __slots__ = ("letters", "lone", "plain", "points", "runs", "touches")

    def __init__(self, sample: bytes, encoding: str) -> None:
        self.points = _points(sample.decode(CODECS.get(encoding, encoding), "replace"))
        self.plain = int(np.count_nonzero(self.points < 128))
        self.letters = len(self.points) - self.plain
        kinds = _alphabetic()[self.points]
        pairs = kinds[:-1] * kinds[1:]
        self.touches = int(np.count_nonzero(pairs == 2))
        self.runs = int(np.count_nonzero(pairs == 4))
        beside = np.zeros(len(kinds), np.bool_)
        beside[:-1] |= pairs == 4
        beside[1:] |= pairs == 4
        self.lone = int(np.count_nonzero((kinds == 2) & ~beside))

    def cost(self, language: str) -> float:
        """Bits of the sample in a language."""
        bits = float(_table(language)[self.points].sum(dtype=np.float64))
        if language in _LATIN_LANGUAGES:
            return bits + _LATIN_RUN * self.runs
        if language in _ALPHABETS:
            return bits + _TOUCH * self.touches + _LONE * self.lone
        return bits

    def mean(self, bits: float) -> float:
        """Bits per character beyond ASCII."""
        return (bits - _ASCII * self.plain) / max(1, self.letters)


class Weight(NamedTuple):
    """A sample under one encoding: bits in all, bits of its ``letters`` beyond ASCII, what is usual for a letter."""

    bits: float
    letter_bits: float
    letters: int
    usual: float


def weigh(sample: bytes, encoding: str) -> Weight:
    """A sample under a declared encoding, in its likeliest language."""
    reading = _Reading(sample, encoding)
    _, languages = _CANDIDATES.get("gb18030" if encoding == "gbk" else encoding, (0.0, ("fr",)))
    if encoding in _JAPANESE_TOO:
        languages = (*languages, "ja")
    bits, language = min((reading.cost(language), language) for language in languages)
    usual = _USUAL_ALPHABET if language in _ALPHABETS else _USUAL
    return Weight(bits, bits - _ASCII * reading.plain, reading.letters, usual)


def mean_cost(text: str) -> float:
    """Bits a UTF-16 unit of a text costs in the likeliest of some languages; to tell text from misread bytes."""
    points = _points(text)
    languages = ("ko", "ja", "zh-hans", "zh-hant", "fr", "ru")
    return min(float(_table(language)[points].mean()) for language in languages) if len(points) else 0.0


def guess(sample: bytes) -> Guess | None:
    """The likeliest encoding of a sample; None when it has no byte beyond ASCII."""
    if sample.isascii():
        return None
    found: list[tuple[float, str, str, _Reading]] = []
    for encoding, (prior, languages) in _CANDIDATES.items():
        reading = _Reading(sample, encoding)
        found += [(reading.cost(language) + prior, encoding, language, reading) for language in languages]
    found.sort(key=lambda item: item[:3])
    bits, encoding, language, best = found[0]
    margin = next((other - bits for other, _, _, it in found if not np.array_equal(it.points, best.points)), 1e9)
    return Guess(encoding, language, bits, margin, best.letters, best.mean(bits))
