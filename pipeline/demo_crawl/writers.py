"""One interface over the generators of all languages."""

from functools import cache
from typing import Protocol

from algok.pipeline.demo_crawl import english, korean
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.patterned import LANGUAGES, PatternWriter, patterned

__all__ = ["STYLES", "Writer", "furniture", "topics_of", "writer_for"]

#: Styles of prose per language with their weights.
STYLES: dict[str, tuple[tuple[str, float], ...]] = {
    "ko": (
        ("news", 26),
        ("blog", 24),
        ("encyclopedia", 12),
        ("qa", 9),
        ("review", 9),
        ("notice", 8),
        ("law", 6),
        ("slang", 6),
    ),
    "en": (("news", 30), ("blog", 30), ("encyclopedia", 16), ("qa", 12), ("review", 12)),
    "ja": (("news", 34), ("blog", 34), ("encyclopedia", 18), ("qa", 14)),
    "zh": (("news", 34), ("blog", 34), ("encyclopedia", 18), ("qa", 14)),
    "code": (("tutorial", 70), ("source", 30)),
    "math": (("math", 1),),
    "other": (("news", 1), ("blog", 1)),
}

_REGISTERS = {
    "news": "handa",
    "blog": "haeyo",
    "encyclopedia": "handa",
    "qa": "haeyo",
    "review": "haeyo",
    "notice": "hamnida",
    "law": "handa",
    "slang": "eum",
    "tutorial": "hamnida",
    "source": "handa",
    "math": "handa",
}


class Writer(Protocol):
    """Draws sentences in one language, on one topic, in one style."""

    language: str

    def sentence(self) -> str:
        """A sentence with its full stop."""

    def title(self) -> str:
        """A page title."""

    def heading(self) -> str:
        """A section heading."""

    def filler(self) -> str:
        """A word that may be put in before another: what a near duplicate differs by."""

    def person(self) -> str:
        """An invented name."""


class _Korean:
    language = "ko"

    def __init__(self, draw: Draw, topic: str, style: str) -> None:
        register = _REGISTERS[style]
        if style == "blog" and draw.chance(0.3):
            register = "hamnida"
        if style == "review" and draw.chance(0.35):
            register = draw.pick(("eum", "handa"))
        self.voice = korean.KoreanVoice(draw, topic, register)
        self.patterns = korean.korean_patterns()
        self.style = style
        self.special: list[str] = self.patterns.get(style, [])
        self.queue: list[str] = []

    def _pattern(self) -> str:
        """Patterns in shuffled rounds, so that a document does not repeat one soon."""
        if not self.queue:
            pool = self.special if self.style == "law" else [*self.special, *self.patterns["general"]]
            self.queue = self.voice.draw.shuffled(pool)
        return self.queue.pop()

    def sentence(self) -> str:
        return self.voice.sentence_from(self._pattern(), joined=self.style not in ("law", "slang"))

    def title(self) -> str:
        return self.voice.fill(
            self.voice.draw.pick(self.patterns.get(f"{self.style}_titles", self.patterns["blog_titles"]))
        )

    def heading(self) -> str:
        heads = self.patterns.get(f"{self.style}_heads")
        return self.voice.draw.pick(heads) if heads else self.voice.noun("thing")

    def filler(self) -> str:
        return self.voice.draw.pick(self.voice.general["adverbs"])

    def person(self) -> str:
        return self.voice.person()


class _English:
    language = "en"

    def __init__(self, draw: Draw, topic: str, style: str) -> None:
        self.voice = english.EnglishVoice(draw, topic)
        self.patterns = english.english_style()
        self.special: list[str] = self.patterns.get(style, [])
        self.queue: list[str] = []

    def sentence(self) -> str:
        if not self.queue:
            self.queue = self.voice.draw.shuffled([*self.special, *self.patterns["general"]])
        return self.voice.sentence_from(self.queue.pop())

    def title(self) -> str:
        title = self.voice.fill(self.voice.draw.pick(self.patterns["titles"]))
        return title[0].upper() + title[1:]

    def heading(self) -> str:
        draw = self.voice.draw
        return draw.pick(self.patterns["heads"]) if draw.chance(0.6) else self.voice.fill("{idea^} and {idea}")

    def filler(self) -> str:
        return self.voice.draw.pick(self.voice.general["adverbs"])

    def person(self) -> str:
        return self.voice.person()


@cache
def topics_of(language: str) -> tuple[str, ...]:
    """Topics that the generator of a language has words for."""
    if language in LANGUAGES:
        return tuple(patterned(language)["topics"])
    return {"ko": korean.TOPICS, "en": english.TOPICS}[language]


def writer_for(language: str, draw: Draw, topic: str, style: str) -> Writer:
    """A writer for a style of ``STYLES``, or ``tutorial`` or ``math``."""
    if language in LANGUAGES:
        register = "polite" if language == "ja" and style in ("blog", "qa", "review") else "plain"
        return PatternWriter(language, draw, topic, register)
    return _Korean(draw, topic, style) if language == "ko" else _English(draw, topic, style)


@cache
def furniture(language: str) -> dict[str, list[str]]:
    """Words of page furniture (nav, footers, cookies, widgets, ads, comments, names) in a language."""
    if language in LANGUAGES:
        table: dict[str, list[str]] = patterned(language)["furniture"]
        return table
    return korean.korean_patterns() if language == "ko" else english.english_style()
