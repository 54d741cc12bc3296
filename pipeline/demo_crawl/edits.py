"""Near duplicates of a document at a wanted similarity."""

from algok.pipeline.demo_crawl.document import SHINGLE, UNSPACED, Block, Document, shingles, text_of, words_of
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.writers import Writer, topics_of, writer_for

__all__ = ["EDITS", "edited"]

#: How a near duplicate came about.
EDITS = ("words", "replace", "insert", "delete", "reorder", "append", "mixed")

#: Times that the estimate of the similarity is corrected by the true one.
_ROUNDS = 3


def _prose(blocks: list[Block]) -> list[int]:
    return [i for i, block in enumerate(blocks) if block.kind in ("p", "ul", "ol", "quote")]


def _apply(kind: str, blocks: list[Block], draw: Draw, writer: Writer, language: str) -> tuple[int, int]:
    """One edit in place; returns about how many shingles it removed and how many it added."""
    places = _prose(blocks)
    if not places:
        blocks.append(Block("p", (writer.sentence(),)))
        return 0, SHINGLE
    at = draw.pick(places)
    block = blocks[at]
    line_at = draw.below(len(block.lines))
    lines = list(block.lines)
    old = len(words_of(lines[line_at], language))
    edge = SHINGLE - 1
    if kind == "words":
        joiner = "" if language in UNSPACED else " "
        words = list(lines[line_at]) if language in UNSPACED else lines[line_at].split(" ")
        filler = writer.filler()
        words.insert(draw.below(len(words)), filler)
        lines[line_at] = joiner.join(words)
        cost = edge, edge + len(words_of(filler, language))
    elif kind == "replace":
        lines[line_at] = writer.sentence()
        cost = old + edge, len(words_of(lines[line_at], language)) + edge
    elif kind == "insert":
        lines.insert(line_at, writer.sentence())
        cost = edge, len(words_of(lines[line_at], language)) + edge
    elif kind == "append":
        blocks.append(Block("p", (writer.sentence(),)))
        return 0, len(words_of(blocks[-1].lines[0], language))
    elif kind == "delete":
        if len(places) == 1 and len(lines) == 1:
            return 1 << 30, 0
        del lines[line_at]
        cost = old + edge, edge
    elif draw.chance(0.3):  # reorder: a block goes elsewhere
        blocks.insert(draw.below(len(blocks)), blocks.pop(at))
        return 3 * edge, 3 * edge
    else:  # reorder: two sentences change places
        other_at = draw.pick(places)
        other = list(blocks[other_at].lines)
        if other_at == at:
            second = draw.below(len(lines))
            lines[line_at], lines[second] = lines[second], lines[line_at]
        else:
            second = draw.below(len(other))
            lines[line_at], other[second] = other[second], lines[line_at]
            blocks[other_at] = Block(blocks[other_at].kind, tuple(other))
        cost = 4 * edge, 4 * edge
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

    Removing r of n shingles and adding a leaves a Jaccard of (n - r) / (n + a). Edits that meet the same shingles leave
    it higher, so that the true sets are compared and edits go on, ``_ROUNDS`` times. The truth records the exact
    similarity that came out, not the wanted one.
    """
    draw = Draw(*seed)
    writer = writer_for(document.language, draw, _topic(document), document.style)
    blocks = list(document.blocks)
    original = shingles(text_of(document), document.language)
    changed = document
    removed = added = 0
    for _ in range(_ROUNDS):
        for _ in range(400):
            if len(original) - removed <= target * (len(original) + added):
                break
            step = draw.pick(EDITS[:-1]) if kind == "mixed" else kind
            less, more = _apply(step, blocks, draw, writer, document.language)
            removed, added = removed + less, added + more
        changed = document._replace(blocks=tuple(blocks))
        now = shingles(text_of(changed), document.language)
        removed, added = len(original - now), len(now - original)
    return changed
