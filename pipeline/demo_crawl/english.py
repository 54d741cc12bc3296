"""English sentences from patterns and word lists, with articles, plurals and past tenses."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from algok.pipeline.demo_crawl.draw import Draw

__all__ = ["TOPICS", "EnglishVoice", "english_style", "english_words"]

_SLOT = re.compile(r"\{([^{}]*)\}")
_NOUNS = {"agent": "agents", "thing": "things", "idea": "ideas", "place": "places"}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


@cache
def _raw() -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath("english_words.toml").read_text(encoding="utf-8"))


@cache
def english_words() -> dict[str, Any]:
    """Word lists as tuples: ``topics`` by name, and ``general``."""

    def lists(table: dict[str, str]) -> dict[str, tuple[str, ...]]:
        return {key: tuple(word.replace("_", " ") for word in text.split()) for key, text in table.items()}

    raw = _raw()
    return {"topics": {name: lists(table) for name, table in raw["topics"].items()}, "general": lists(raw["general"])}


def english_style() -> dict[str, Any]:
    """Patterns, headings and the words of page furniture."""
    style: dict[str, Any] = _raw()["style"]
    return style


TOPICS = tuple(_raw()["topics"])


@cache
def _pieces(pattern: str) -> tuple[str, ...]:
    """Literals at even positions, slots at odd ones."""
    return tuple(_SLOT.split(pattern))


@cache
def _plural(noun: str) -> str:
    head, _, last = noun.rpartition(" ")
    lower = last.lower()
    if lower.endswith("man"):
        last = last[:-2] + "en"
    elif lower.endswith(("s", "x", "ch", "sh")):
        last += "es"
    elif lower.endswith("y") and lower[-2] not in "aeiou":
        last = last[:-1] + "ies"
    elif lower.endswith("loaf"):
        last = last[:-1] + "ves"
    else:
        last += "s"
    return f"{head} {last}" if head else last


@cache
def _past(verb: str) -> str:
    base, _, rest = verb.partition(":")
    if rest:
        return rest.partition(":")[0]
    if base.endswith("e"):
        return base + "d"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ied"
    if base in ("trim", "stake", "chill", "plan", "refer", "debug") and base[-1] in "mngr":
        return base + base[-1] + "ed"
    return base + "ed"


def _article(word: str) -> str:
    if word[:1].lower() in "aeiou" and not word.lower().startswith(("uni", "use", "eu", "one")):
        return "an " + word
    return "a " + word


class EnglishVoice:
    """One writer on one topic; every call draws another sentence."""

    def __init__(self, draw: Draw, topic: str) -> None:
        words = english_words()
        self.draw = draw
        self.words: dict[str, tuple[str, ...]] = words["topics"][topic]
        self.general: dict[str, tuple[str, ...]] = words["general"]

    def person(self) -> str:
        """An invented full name."""
        return f"{self.draw.pick(self.general['first_names'])} {self.draw.pick(self.general['last_names'])}"

    def _verb(self) -> str:
        return self.draw.pick(self.words["verbs"] if self.draw.chance(0.65) else self.general["verbs"])

    def _adjective(self) -> str:
        return self.draw.pick(self.words["adjectives"] if self.draw.chance(0.7) else self.general["adjectives"])

    def _noun(self, slot: str, plural: bool) -> str:
        draw = self.draw
        noun = draw.pick(self.words[_NOUNS[slot]])
        if plural:
            noun = _plural(noun)
        if slot in ("thing", "idea"):
            mark = draw.unit()
            if mark < 0.30:
                return f"{draw.pick(self.words['mods'])} {noun}"
            if mark < 0.42:
                return f"{self._adjective()} {noun}"
        elif slot == "agent" and draw.chance(0.12):
            return f"{self._adjective()} {noun}"
        return noun

    def _filled(self, slot: str) -> str:
        draw = self.draw
        if slot.startswith(("a ", "A ")):
            text = _article(self._noun(slot[2:], False))
            return "A" + text[1:] if slot[0] == "A" else text
        name = slot.rstrip("*+^")
        if name in _NOUNS:
            text = self._noun(name, slot.endswith("*"))
            return text[0].upper() + text[1:] if slot.endswith("^") else text
        if name == "verb":
            verb = self._verb()
            return _past(verb) if slot.endswith("+") else verb.partition(":")[0]
        if name == "adj":
            return self._adjective()
        if name == "adv":
            return draw.pick(self.general["adverbs"])
        if name == "person":
            return self.person()
        if name == "unit":
            return draw.pick(self.general["units"])
        if name == "year":
            return str(draw.between(1890, 2025))
        if name == "digit":
            return str(draw.between(1, 5))
        if name == "weekday":
            return draw.pick(_DAYS)
        if name == "q":
            return self.fill(draw.pick(english_style()["general"]))
        return str(draw.between(3, 950))

    def fill(self, pattern: str) -> str:
        """A pattern with every slot drawn; no full stop is added."""
        pieces = _pieces(pattern)
        return "".join([self._filled(piece) if i & 1 else piece for i, piece in enumerate(pieces)])

    def sentence_from(self, pattern: str) -> str:
        """The pattern as one sentence with its full stop, sometimes with a connector before it."""
        draw = self.draw
        text = self.fill(pattern)
        mark = draw.unit()
        if mark < 0.22 and text[0] not in "“I":
            head = draw.pick(self.general["connectors"] if mark < 0.13 else self.general["openers"])
            first = text.partition(" ")[0]
            body = text if first in ("I", "My") else text[0].lower() + text[1:]
            text = f"{head}, {body}"
        return text if text[-1] in "?!" else text + "."
