"""The main content of a page as blocks, and the word 5-gram shingles that its similarity is measured on."""

from typing import NamedTuple

__all__ = ["SHINGLE", "UNSPACED", "Block", "Document", "jaccard", "lines_of", "shingles", "text_of", "words_of"]

#: Words of a shingle (FineWeb2 and the design use word 5-grams).
SHINGLE = 5

#: Languages written without spaces: a word is a character there, as in ``algok.schema``.
UNSPACED = frozenset({"ja", "zh"})


class Block(NamedTuple):
    """A piece of main content.

    kind: ``p`` (lines are the sentences of one paragraph), ``h`` (heading), ``ul``, ``ol`` (a line an item),
    ``quote``, ``pre`` (a line a line of code), ``table`` (cells separated by tabs), ``links`` (a line a link), ``math``
    (display formula in TeX).
    """

    kind: str
    lines: tuple[str, ...]


class Document(NamedTuple):
    """Main content with its labels. ``quality``: high, medium, low (what a curator would say of the text)."""

    title: str
    blocks: tuple[Block, ...]
    language: str
    style: str
    topic: str
    quality: str


def lines_of(block: Block, language: str) -> list[str]:
    """Lines of text that a block stands for."""
    if block.kind == "p":
        return [("" if language in UNSPACED else " ").join(block.lines)]
    if block.kind == "table":
        return [line.replace("\t", " | ") for line in block.lines]
    if block.kind == "math":
        return [f"$${line}$$" for line in block.lines]
    return list(block.lines)


def text_of(document: Document) -> str:
    """The true main text: a line a paragraph, heading, list item, table row or line of code; without the title."""
    return "\n".join([line for block in document.blocks for line in lines_of(block, document.language)])


def words_of(text: str, language: str) -> list[str]:
    """Words of a text: white-space separated, or the characters that are not white space for Japanese and Chinese."""
    words = text.split()
    return list("".join(words)) if language in UNSPACED else words


def shingles(text: str, language: str) -> frozenset[tuple[str, ...]]:
    """Set of word 5-grams; a text of fewer words has one shingle, an empty text none."""
    words = words_of(text, language)
    if len(words) <= SHINGLE:
        return frozenset([tuple(words)]) if words else frozenset()
    return frozenset(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))


def jaccard(one: frozenset[tuple[str, ...]], two: frozenset[tuple[str, ...]]) -> float:
    """Exact Jaccard similarity of two shingle sets; 0 for two empty ones."""
    both = len(one & two)
    union = len(one) + len(two) - both
    return both / union if union else 0.0
