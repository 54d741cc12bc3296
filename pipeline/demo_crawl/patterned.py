"""Sentences of languages whose patterns need no inflection: Japanese, Chinese, German, French, Spanish, Vietnamese."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from algok.pipeline.demo_crawl.draw import Draw

__all__ = ["LANGUAGES", "PatternWriter", "patterned"]

#: Language to (file, table in it).
LANGUAGES = {
    "ja": ("japanese_words.toml", ""),
    "zh": ("chinese_words.toml", ""),
    "de": ("european_words.toml", "de"),
    "fr": ("european_words.toml", "fr"),
    "es": ("european_words.toml", "es"),
    "vi": ("european_words.toml", "vi"),
}
_SLOT = re.compile(r"\{(\w+)\}")


@cache
def patterned(language: str) -> dict[str, Any]:
    """The tables of a language: ``topics``, ``general``, ``register``, ``furniture``; word lists are split."""
    name, table = LANGUAGES[language]
    raw = tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))
    found: dict[str, Any] = raw[table] if table else raw

    def lists(words: dict[str, Any]) -> dict[str, Any]:
        return {
            key: tuple(word.replace("_", " ") for word in value.split()) if isinstance(value, str) else value
            for key, value in words.items()
        }

    return found | {"topics": {k: lists(v) for k, v in found["topics"].items()}, "general": lists(found["general"])}


class PatternWriter:
    """A writer (see ``writers.Writer``) that fills slots from word lists, a pattern a round."""

    def __init__(self, language: str, draw: Draw, topic: str, register: str) -> None:
        tables = patterned(language)
        self.language = language
        self.draw = draw
        self.patterns: dict[str, Any] = tables["general"]
        self.words: dict[str, tuple[str, ...]] = {**tables["topics"][topic]}
        self.words |= {key: tables["general"][key] for key in ("adj", "adv", "w")}
        self.endings: dict[str, str] = tables["register"][register]
        self.furniture: dict[str, list[str]] = tables["furniture"]
        self.queue: list[str] = []

    def _slot(self, match: re.Match[str]) -> str:
        name = match[1]
        words = self.words.get(name)
        if words is not None:
            word = self.draw.pick(words)
            if name == "n" and self.language in ("ja", "zh"):
                # Compounds and attributes make phrases rarely repeat.
                mark = self.draw.unit()
                if mark < 0.25:
                    return self.draw.pick(self.words["adj"]) + word
                if mark < 0.40:
                    return self.draw.pick(self.words["p"]) + ("の" if self.language == "ja" else "的") + word
                if mark < 0.50:
                    return self.draw.pick(self.words["a"]) + ("の" if self.language == "ja" else "的") + word
            return word
        if name == "num":
            return str(self.draw.between(11, 960))
        if name == "year":
            return str(self.draw.between(1960, 2024))
        if name == "num2":
            return str(self.draw.between(2, 9))
        return self.endings[name]

    def _filled(self, pattern: str) -> str:
        return _SLOT.sub(self._slot, pattern)

    def sentence(self) -> str:
        """A sentence with its end mark."""
        if not self.queue:
            self.queue = self.draw.shuffled(self.patterns["sentences"])
        text = self._filled(self.queue.pop())
        text = text[0].upper() + text[1:]
        return text if text[-1] in "。.?？" else text + "。"

    def title(self) -> str:
        """A page title."""
        text = self._filled(self.draw.pick(self.patterns["titles"]))
        return text[0].upper() + text[1:]

    def heading(self) -> str:
        """A section heading."""
        return str(self.draw.pick(self.patterns["heads"]))

    def filler(self) -> str:
        """An adverb."""
        return self.draw.pick(self.words["adv"])

    def person(self) -> str:
        """A pen name."""
        return str(self.draw.pick(self.furniture["names"]))
