"""What the pieces of a text look like: side by side for people, and against the morphemes of Korean."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import tiktoken

from algok.errors import InputError
from algok.tokenizer.codec import Codec

__all__ = ["Agreement", "Cut", "Example", "agreement", "cut_of", "examples", "kiwi_boundaries"]

#: An encoder as the byte strings of its tokens.
Cut = Callable[[str], list[bytes]]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One excerpt and its pieces by encoding name; a piece that is part of a character is written as ``\\xE3``."""

    domain: str
    text: str
    pieces: dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Token borders against morpheme borders, over the characters of Korean text.

    ``precision``: share of an encoding's borders inside words that are morpheme borders; ``recall``: share of the
    morpheme borders inside words that are token borders; ``mixed``: share of tokens that hold parts of more than one
    morpheme. Long pieces hold whole phrases, so recall falls as compression grows; precision says whether the cuts
    that remain are at sensible places.
    """

    characters: int
    morpheme_borders: int
    token_borders: int
    precision: float
    recall: float
    mixed: float


def cut_of(encoder: "Codec | tiktoken.Encoding") -> Cut:
    """The cut that ``encoder`` makes."""
    if isinstance(encoder, Codec):
        surfaces = encoder.vocabulary.surfaces
        return lambda text: [surfaces[i] for i in encoder.encode(text)]
    return lambda text: encoder.decode_tokens_bytes(encoder.encode_ordinary(text))


def _shown(piece: bytes) -> str:
    return piece.decode("utf-8", "backslashreplace")


def examples(domain: str, texts: Iterable[str], cuts: dict[str, Cut], *, count: int, chars: int) -> list[Example]:
    """The beginnings of the first ``count`` texts that have at least ``chars`` characters, cut by every encoding."""
    out: list[Example] = []
    for text in texts:
        if len(out) == count:
            break
        excerpt = text[:chars]
        if len(text) >= chars:
            out.append(
                Example(domain=domain, text=excerpt, pieces={n: [*map(_shown, c(excerpt))] for n, c in cuts.items()})
            )
    return out


def kiwi_boundaries() -> Callable[[str], list[tuple[int, int]]]:
    """Kiwi's morphemes of a text as (start, end) in characters. Raises InputError if kiwipiepy is not installed."""
    try:
        module: Any = importlib.import_module("kiwipiepy")
    except ImportError as error:
        raise InputError("the comparison with morphemes needs kiwipiepy: pip install 'algok[morphemes]'") from error
    kiwi = module.Kiwi(num_workers=1)

    def morphemes(text: str) -> list[tuple[int, int]]:
        return [(token.start, token.end) for token in kiwi.tokenize(text)]

    return morphemes


def agreement(texts: Iterable[str], cut: Cut, morphemes: Callable[[str], list[tuple[int, int]]]) -> Agreement:
    """Compare the borders of ``cut`` with those of ``morphemes``, within words: borders at white space are left out,
    since every tokenizer could claim them."""
    characters = ours = theirs = both = tokens = mixed = 0
    for text in texts:
        inside = {i for i in range(1, len(text)) if not text[i - 1].isspace() and not text[i].isspace()}
        # Two morphemes may share a syllable (했 = 하 + 었): only starts between characters are borders.
        truth = {start for start, _ in morphemes(text)} & inside
        borders, at, size = set(), 0, 0
        starts = _character_starts(text)
        for piece in cut(text):
            tokens += 1
            begin, size = size, size + len(piece)
            end = starts.get(size)
            first = at
            if end is not None:
                borders.add(end)
                at = end
            if end is not None and begin in starts and any(i in truth for i in range(first + 1, end)):
                mixed += 1
        borders &= inside
        characters += len(text)
        theirs += len(truth)
        ours += len(borders)
        both += len(borders & truth)
    return Agreement(
        characters=characters,
        morpheme_borders=theirs,
        token_borders=ours,
        precision=both / max(1, ours),
        recall=both / max(1, theirs),
        mixed=mixed / max(1, tokens),
    )


def _character_starts(text: str) -> dict[int, int]:
    """Character index by byte offset, the end included."""
    out, size = {}, 0
    for index, character in enumerate(text):
        out[size] = index
        size += len(character.encode("utf-8", "surrogatepass"))
    out[size] = len(text)
    return out
