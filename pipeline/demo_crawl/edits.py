"""Near duplicates of a document at a wanted similarity."""

from algok.pipeline.demo_crawl.document import Block, Document, shingles, text_of, words_of
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.writers import Writer, topics_of, writer_for

__all__ = ["EDITS", "edited"]

#: How a near duplicate came about.
EDITS = ("words", "replace", "insert", "delete", "reorder", "append", "mixed")


def _prose(blocks: list[Block]) -> list[int]:
    return [i for i, block in enumerate(blocks) if block.kind in ("p", "ul", "ol", "quote")]


def _apply(kind: str, blocks: list[Block], draw: Draw, writer: Writer, language: str) -> int:
    """One edit in place; returns about how many shingles of the original it removed plus how many it added."""
    places = _prose(blocks)
    if not places:
        blocks.append(Block("p", (writer.sentence(),)))
        return 12
    at = draw.pick(places)
    block = blocks[at]
    line_at = draw.below(len(block.lines))
    line = block.lines[line_at]
    lines = list(block.lines)
    if kind == "words":
        words = words_of(line, language) if language not in ("ja", "zh") else list(line)
        cut = draw.below(len(words))
        words.insert(cut, writer.filler())
        lines[line_at] = ("" if language in ("ja", "zh") else " ").join(words)
        cost = 9
    elif kind == "replace":
        lines[line_at] = writer.sentence()
        cost = len(words_of(line, language)) + len(words_of(lines[line_at], language)) + 8
    elif kind == "insert":
        lines.insert(line_at, writer.sentence())
        cost = len(words_of(lines[line_at], language)) + 8
    elif kind == "append":
        blocks.append(Block("p", (writer.sentence(),)))
        return len(words_of(blocks[-1].lines[0], language)) + 4
    elif kind == "delete":
        if len(places) == 1 and len(lines) == 1:
            return 1 << 30
        del lines[line_at]
        cost = len(words_of(line, language)) + 8
    else:  # reorder: move a whole block elsewhere
        moved = blocks.pop(at)
        blocks.insert(draw.below(len(blocks) + 1), moved)
        return 24
    if lines:
        blocks[at] = Block(block.kind, tuple(lines))
    else:
        del blocks[at]
    return cost


def _topic(document: Document) -> str:
    """A topic with a vocabulary: mathematics pages have none of their own."""
    known = topics_of(document.language)
    return document.topic if document.topic in known else known[0]


def edited(document: Document, kind: str, target: float, *seed: int | str) -> Document:
    """``document`` changed by edits of one kind until its word 5-gram Jaccard to the original is about ``target``.

    A sum of removed and added shingles D leaves a Jaccard of (2n - D) / (2n + D) for sets of about n, so
    D = 2n (1 - t) / (1 + t); the truth records the exact similarity that came out, not the wanted one.
    """
    draw = Draw(*seed)
    writer = writer_for(document.language, draw, _topic(document), document.style)
    blocks = list(document.blocks)
    budget = 2 * len(shingles(text_of(document), document.language)) * (1 - target) / (1 + target)
    spent = 0
    for _ in range(400):
        if spent >= budget:
            break
        step = draw.pick(EDITS[:-1]) if kind == "mixed" else kind
        spent += _apply(step, blocks, draw, writer, document.language)
    return document._replace(blocks=tuple(blocks))
