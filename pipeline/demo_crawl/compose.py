"""Documents of one style out of a writer's sentences."""

from algok.pipeline.demo_crawl.code_listing import CODE_LANGUAGES, listing
from algok.pipeline.demo_crawl.document import Block, Document
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.formula import mathematics_sentence, mathematics_title, tex
from algok.pipeline.demo_crawl.writers import Writer, topics_of, writer_for

__all__ = ["compose"]

_CIRCLED = "①②③④⑤⑥⑦⑧"


def _paragraph(draw: Draw, writer: Writer, low: int, high: int) -> Block:
    # A Korean sentence is about half as long as an English one.
    count = draw.between(low, high) + (writer.language == "ko")
    return Block("p", tuple([writer.sentence() for _ in range(count)]))


def _items(draw: Draw, writer: Writer, low: int, high: int, kind: str = "ul") -> Block:
    return Block(kind, tuple([writer.sentence() for _ in range(draw.between(low, high))]))


def _sections(draw: Draw, writer: Writer, low: int, high: int) -> list[Block]:
    """Headed sections of paragraphs, now and then with a list, a quotation or a small table."""
    blocks: list[Block] = [_paragraph(draw, writer, 2, 4)]
    used: set[str] = set()
    for _ in range(draw.between(low, high - 2 + draw.heavy(6))):
        heading = writer.heading()
        if heading not in used:
            used.add(heading)
            blocks.append(Block("h", (heading,)))
        blocks.extend(_paragraph(draw, writer, 2, 5) for _ in range(draw.between(1, 3)))
        mark = draw.unit()
        if mark < 0.14:
            blocks.append(_items(draw, writer, 3, 5, "ul" if mark < 0.08 else "ol"))
        elif mark < 0.20:
            blocks.append(Block("quote", (writer.sentence(),)))
        elif mark < 0.25:
            rows = tuple(
                f"{writer.heading()}\t{draw.between(2, 980)}\t{draw.between(1, 99)}%" for _ in range(draw.between(3, 5))
            )
            blocks.append(Block("table", rows))
    return blocks


def _news(draw: Draw, writer: Writer) -> list[Block]:
    blocks = [_paragraph(draw, writer, 1, 4) for _ in range(draw.between(4, 6 + 2 * draw.heavy(5)))]
    if writer.language == "ko":
        name = writer.person().split()[0]
        first = blocks[0]
        blocks[0] = Block("p", (f"(서울=연합취재) {name} 기자 = {first.lines[0]}", *first.lines[1:]))
        if draw.chance(0.5):
            blocks.append(Block("p", (f"{name} 기자 desk{draw.between(10, 99)}@news.example",)))
    elif writer.language == "en" and draw.chance(0.5):
        blocks.insert(0, Block("p", (f"By {writer.person()}",)))
    return blocks


def _law(draw: Draw, writer: Writer) -> list[Block]:
    blocks = []
    for number in range(1, draw.between(6, 18)):
        head = f"제{number}조({writer.heading()})"
        if draw.chance(0.45):
            blocks.append(Block("p", (f"{head} {writer.sentence()}",)))
        else:
            blocks.append(Block("p", (head,)))
            count = draw.between(2, 4)
            blocks.append(Block("ul", tuple(f"{_CIRCLED[i]} {writer.sentence()}" for i in range(count))))
    return blocks


def _notice(draw: Draw, writer: Writer) -> list[Block]:
    blocks = [_paragraph(draw, writer, 1, 2)]
    heads = draw.between(3, 6)
    for number in range(1, heads + 1):
        blocks.append(Block("p", (f"{number}. {writer.heading()}",)))
        blocks.append(_items(draw, writer, 1, 3))
    blocks.append(_paragraph(draw, writer, 1, 3))
    return blocks


def _slang(draw: Draw, writer: Writer) -> list[Block]:
    return [_paragraph(draw, writer, 1, 2) for _ in range(draw.between(8, 20))]


def _qa(draw: Draw, writer: Writer) -> list[Block]:
    blocks = [_paragraph(draw, writer, 2, 4)]
    for _ in range(draw.between(2, 5)):
        answer, question = {
            "ko": ("답변", "추가 질문"),
            "en": ("Answer", "Question"),
            "ja": ("回答", "補足"),
            "zh": ("回答", "补充"),
        }.get(writer.language, ("A", "Q"))
        blocks.append(Block("h", (answer if draw.chance(0.8) else question,)))
        blocks.extend(_paragraph(draw, writer, 2, 4) for _ in range(draw.between(1, 3)))
    return blocks


def _code(draw: Draw, writer: Writer, language: str, prose: bool) -> list[Block]:
    """A tutorial with listings between paragraphs, or a source file with a line or two of introduction."""
    blocks = [_paragraph(draw, writer, 2, 4) if prose else _paragraph(draw, writer, 1, 2)]
    for _ in range(draw.between(2, 5) if prose else draw.between(1, 2)):
        if prose:
            blocks.append(Block("h", (writer.heading(),)))
            blocks.append(_paragraph(draw, writer, 1, 4))
        blocks.append(Block("pre", listing(draw, language, lambda: writer.sentence().rstrip("."))))
        if prose:
            blocks.append(_paragraph(draw, writer, 1, 3))
    return blocks


def _mathematics(draw: Draw, language: str) -> list[Block]:
    labels = {
        "ko": ("정의", "정리", "증명", "예제", "풀이"),
        "en": ("Definition", "Theorem", "Proof", "Example", "Solution"),
    }
    blocks: list[Block] = []
    for number in range(1, draw.between(3, 8)):
        if draw.chance(0.7):
            blocks.append(Block("h", (f"{draw.pick(labels[language])} {number}",)))
        count = draw.between(2, 5)
        blocks.append(Block("p", tuple(mathematics_sentence(draw, language) for _ in range(count))))
        if draw.chance(0.6):
            blocks.append(Block("math", (f"{tex(draw, 1)} = {tex(draw, 2)}",)))
    return blocks


_QUALITY = {"news": "high", "encyclopedia": "high", "law": "high", "math": "high", "slang": "low"}
#: Languages of the prose on pages whose class is no language.
_PROSE = {
    "code": (("ko", 55), ("en", 45)),
    "math": (("ko", 50), ("en", 50)),
    "other": (("de", 3), ("fr", 2), ("es", 2), ("vi", 1)),
}


def compose(content: str, style: str, *seed: int | str) -> Document:
    """The document of a seed, for a class of text (a language, code, math or other) and one of its styles.

    The same arguments give the same document.
    """
    draw = Draw(*seed)
    language = draw.weighted(_PROSE[content]) if content in _PROSE else content
    topic = (
        "technology"
        if (content, language) == ("code", "ko")
        else "computing"
        if content == "code"
        else draw.pick(topics_of(language))
    )
    writer = writer_for(language, draw, topic, style)
    title = writer.title()
    if style == "news":
        blocks = _news(draw, writer)
    elif style == "law":
        blocks = _law(draw, writer)
    elif style == "notice":
        blocks = _notice(draw, writer)
    elif style == "slang":
        blocks = _slang(draw, writer)
    elif style == "qa":
        blocks = _qa(draw, writer)
    elif style == "review":
        blocks = [_paragraph(draw, writer, 2, 5) for _ in range(draw.between(3, 7))]
    elif content == "code":
        code = draw.pick(CODE_LANGUAGES)
        title = f"{code}: {title}"
        blocks = _code(draw, writer, code, style == "tutorial")
    elif content == "math":
        topic, title, blocks = "mathematics", mathematics_title(draw, language), _mathematics(draw, language)
    else:
        blocks = _sections(draw, writer, 1, 6)
    return Document(title, tuple(blocks), language, style, topic, _QUALITY.get(style, "medium"))
