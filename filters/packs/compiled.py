"""A language pack as flat arrays for compiled code."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BULLET",
    "CLOSER",
    "LEFT_EDGE",
    "RIGHT_EDGE",
    "SPAM",
    "STOP",
    "TERMINAL",
    "TERM_START",
    "CompiledPack",
    "Term",
    "compile_terms",
]

# Bits of ``CompiledPack.marks``.
TERMINAL, CLOSER, BULLET, TERM_START = 1, 2, 4, 8

# Bits of ``CompiledPack.term_flags``.
STOP, SPAM, LEFT_EDGE, RIGHT_EDGE = 1, 2, 4, 8

BMP = 0x10000


@dataclass(frozen=True, kw_only=True)
class Term:
    """A folded string to look for; ``flags`` are STOP or SPAM, with the edges at which no word character may touch."""

    text: str
    flags: int


@dataclass(frozen=True, kw_only=True)
class CompiledPack:
    """Arrays of one pack.

    ``marks``: uint8 (65536,), bits by code point. Terms are sorted by their first code point and then longest first:
    ``first_term`` (int32, 65536) is the first term that begins with a code point, ``term_cps`` (uint32) their code
    points end to end, ``term_offsets`` (int32, terms + 1), ``term_flags`` (uint8), ``term_ids`` (int32): position among
    the stop words, 0 for spam terms.
    """

    by_character: bool
    marks: NDArray[np.uint8]
    first_term: NDArray[np.int32]
    term_cps: NDArray[np.uint32]
    term_offsets: NDArray[np.int32]
    term_flags: NDArray[np.uint8]
    term_ids: NDArray[np.int32]
    stop_words: int


def compile_terms(terms: list[Term], terminal: str, closers: str, bullets: str, *, by_character: bool) -> CompiledPack:
    """Arrays of a pack whose terms are already folded and whose characters all lie in the Basic Multilingual Plane.

    The same stop word in two roles (a whole word and an ending, say) counts once: ids go by text.
    """
    marks = np.zeros(BMP, dtype=np.uint8)
    for chars, bit in ((terminal, TERMINAL), (closers, CLOSER), (bullets, BULLET)):
        for char in chars:
            marks[ord(char)] |= bit
    ordered = sorted(terms, key=lambda term: (ord(term.text[0]), -len(term.text), term.text, term.flags))
    first = np.zeros(BMP, dtype=np.int32)
    for at in range(len(ordered) - 1, -1, -1):
        head = ord(ordered[at].text[0])
        marks[head] |= TERM_START
        first[head] = at
    stops = sorted({term.text for term in ordered if term.flags & STOP})
    ids = {text: at for at, text in enumerate(stops)}
    codes = [ord(char) for term in ordered for char in term.text]
    return CompiledPack(
        by_character=by_character,
        marks=marks,
        first_term=first,
        term_cps=np.array(codes, dtype=np.uint32),
        term_offsets=np.cumsum([0, *(len(term.text) for term in ordered)]).astype(np.int32),
        term_flags=np.array([term.flags for term in ordered], dtype=np.uint8),
        term_ids=np.array([ids[term.text] if term.flags & STOP else 0 for term in ordered], dtype=np.int32),
        stop_words=len(stops),
    )
