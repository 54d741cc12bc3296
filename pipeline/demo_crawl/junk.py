"""Documents that a curator drops: spam, listings, error and login pages, short pages."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from algok.pipeline.demo_crawl.compose import compose
from algok.pipeline.demo_crawl.document import Block, Document
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.writers import topics_of, writer_for

__all__ = ["junk_document", "media_body"]

_SLOT = re.compile(r"\{(w|n|tag)\}")


@cache
def _words() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files(__package__).joinpath("junk.toml").read_text(encoding="utf-8"))


def _fill(draw: Draw, pattern: str, words: list[str]) -> str:
    return _SLOT.sub(lambda slot: str(draw.between(2, 990)) if slot[1] == "n" else draw.pick(words), pattern)


def _spam(draw: Draw, language: str, style: str) -> Document:
    table = _words()[language]
    blocks: list[Block] = []
    if style in ("gambling", "loan"):
        words = table[f"{style}_words"].split()
        title = _fill(draw, draw.pick(table[style]), words)
        count = draw.between(6, 30)
        blocks = [Block("p", (_fill(draw, draw.pick(table[style]), words),)) for _ in range(count)]
    elif style == "stuffing":
        words = draw.sample(table["stuffing_words"].split(), draw.between(5, 20))
        title = " ".join(words[:4])
        count = draw.between(3, 10)
        blocks = [
            Block("p", (" ".join([draw.pick(words) for _ in range(draw.between(20, 80))]),)) for _ in range(count)
        ]
    elif style == "repeated":
        words = table["stuffing_words"].split()
        lines = [_fill(draw, draw.pick(table["splog"]), words) for _ in range(draw.between(1, 3))]
        title = lines[0]
        blocks = [Block("p", (lines[i % len(lines)],)) for i in range(draw.between(12, 60))]
    elif style == "linkfarm":
        words = table["stuffing_words"].split()
        title = " | ".join(draw.sample(words, 3))
        count = draw.between(60, 220)
        items = [f"{draw.pick(words)} {draw.pick(words)} {draw.between(1, 999)}" for _ in range(count)]
        blocks = [Block("links", tuple(items))]
    else:
        words = draw.sample(table["stuffing_words"].split(), 3)
        title = f"{words[0]} {words[1]} {draw.between(1, 99)}"
        for _ in range(draw.between(3, 7)):
            lines = [_fill(draw, draw.pick(table["splog"]), words) for _ in range(draw.between(1, 3))]
            blocks += [Block("p", tuple(lines))]
    return Document(title, tuple(blocks), language, style, style, "spam")


def junk_document(kind: str, content: str, style: str, *seed: int | str) -> Document:
    """The document of a page of a kind that is no good text; ``content`` is a language, code or math."""
    draw = Draw(*seed)
    if kind == "spam":
        return _spam(draw, content, style)
    if kind == "short":
        whole = compose(content, style, *seed)
        prose = next((block for block in whole.blocks if block.kind == "p"), whole.blocks[0])
        return whole._replace(blocks=(Block(prose.kind, prose.lines[:2]),), quality="low")
    table = _words()[content]
    if kind == "listing":
        writer = writer_for(content, draw, draw.pick(topics_of(content)), "blog")
        title = _fill(draw, draw.pick(table["listing_titles"]), [writer.heading()])
        items = tuple(writer.title() for _ in range(draw.between(8, 40)))
        return Document(title, (Block("links", items),), content, "listing", "listing", "boilerplate")
    lines = draw.sample(table[kind], draw.between(1, 3 if kind == "error" else 6))
    return Document(table[f"{kind}_title"], (Block("p", tuple(lines)),), content, kind, kind, "boilerplate")


def media_body(*seed: int | str) -> tuple[str, bytes]:
    """(media type, bytes) of something that is no HTML: an image, JSON, PDF, feed or script."""
    draw = Draw(*seed)
    noise = bytes(draw.below(256) for _ in range(draw.between(200, 1500)))
    number = draw.between(1, 10**6)
    return draw.pick(
        (
            ("image/png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + noise),
            ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + noise),
            ("application/pdf", b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n" + noise),
            ("application/json", b'{"id": %d, "items": [1, 2, 3], "next": null}' % number),
            ("text/css", b"body{margin:0}.a%d{color:#333}\n" % number),
            ("application/javascript", b"(function(){var a=%d;window.a=a;})();\n" % number),
            (
                "application/rss+xml",
                b'<?xml version="1.0"?><rss version="2.0"><channel><title>%d</title></channel></rss>' % number,
            ),
        )
    )
