"""Korean sentences from patterns and word lists: particles by final consonant, verb forms by register and tense."""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.korean_grammar import conjugate, copula, particle, predicate

__all__ = ["TOPICS", "KoreanVoice", "korean_patterns", "korean_words"]

_SLOT = re.compile(r"\{([^{}]*)\}")
_NOUNS = {"agent": "agents", "thing": "things", "idea": "ideas", "place": "places", "mod": "mods"}


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))


@cache
def korean_words() -> dict[str, Any]:
    """Word lists of ``korean_words.toml`` as tuples: ``topics`` by name, and ``general``."""
    raw = _toml("korean_words.toml")

    def lists(table: dict[str, str]) -> dict[str, tuple[str, ...]]:
        return {key: tuple(word.replace("_", " ") for word in text.split()) for key, text in table.items()}

    return {"topics": {name: lists(table) for name, table in raw["topics"].items()}, "general": lists(raw["general"])}


@cache
def korean_patterns() -> dict[str, Any]:
    """Patterns of ``korean_patterns.toml``."""
    return _toml("korean_patterns.toml")


TOPICS = tuple(tomllib.loads(files(__package__).joinpath("korean_words.toml").read_text(encoding="utf-8"))["topics"])


class _Op(NamedTuple):
    slot: str  # empty: literal text in ``argument``
    argument: str


@cache
def _compiled(pattern: str) -> tuple[_Op, ...]:
    ops: list[_Op] = []
    at = 0
    for match in _SLOT.finditer(pattern):
        if match.start() > at:
            ops.append(_Op("", pattern[at : match.start()]))
        slot, _, argument = match[1].partition("|")
        if slot.startswith(":"):
            slot, argument = ":", slot[1:]
        elif slot.startswith("=") or slot.rstrip("+-").endswith("."):
            verb, _, tense = slot.partition(".")
            slot, argument = "final:" + verb.replace("_", " "), tense
        elif slot.endswith("="):
            slot, argument = slot[:-1], "="
        ops.append(_Op(slot, argument))
        at = match.end()
    if at < len(pattern):
        ops.append(_Op("", pattern[at:]))
    return tuple(ops)


class KoreanVoice:
    """One writer: a topic, a register and a main tense; every call draws another sentence."""

    def __init__(self, draw: Draw, topic: str, register: str) -> None:
        words = korean_words()
        self.draw = draw
        self.register = register
        self.words: dict[str, tuple[str, ...]] = words["topics"][topic]
        self.general: dict[str, tuple[str, ...]] = words["general"]
        self.past_share = 0.35 + 0.4 * draw.unit()

    def noun(self, slot: str) -> str:
        """A noun of the topic for a slot, often widened by a modifier."""
        draw = self.draw
        head = draw.pick(self.words[_NOUNS[slot]])
        if slot in ("thing", "idea"):
            mark = draw.unit()
            if mark < 0.34:
                return f"{draw.pick(self.words['mods'])} {head}"
            if mark < 0.42:
                return f"{conjugate(self._adjective(), '은', True)} {head}"
            if mark < 0.50:
                return f"{draw.pick(self.words['agents'])}의 {head}"
            if mark < 0.54:
                return f"{conjugate(self._transitive(), '은')} {head}"
        elif slot == "agent" and draw.chance(0.15):
            return f"{draw.pick(self.words['places'])}의 {head}"
        return head

    def person(self) -> str:
        """An invented full name, mostly with a role."""
        draw = self.draw
        name = draw.pick(self.general["surnames"]) + draw.pick(self.general["given"])
        return f"{name} {draw.pick(self.general['roles'])}" if draw.chance(0.7) else name + " 씨"

    def _transitive(self) -> str:
        draw = self.draw
        return draw.pick(self.words["vt"] if draw.chance(0.62) else self.general["vt"])

    def _adjective(self) -> str:
        draw = self.draw
        return draw.pick(self.words["adj"] if draw.chance(0.6) else self.general["adj"])

    def _number(self, slot: str) -> str:
        draw = self.draw
        if slot == "number":
            return str(draw.between(2, 29))
        if slot == "day":
            return str(draw.between(1, 28))
        if slot == "year":
            return str(draw.between(1968, 2025))
        if slot == "count":
            return f"{draw.between(2, 900)}{draw.pick(self.general['counters'])}"
        digits = int(slot[6:])
        return str(draw.between(10 ** (digits - 1), 10**digits - 1))

    def _filled(self, slot: str, argument: str) -> str:
        draw = self.draw
        if slot in _NOUNS:
            word = self.noun(slot)
        elif slot in ("vt", "vt2"):
            return conjugate(self._transitive(), argument)
        elif slot == "vi":
            return conjugate(draw.pick(self.general["vi"]), argument)
        elif slot == "adj":
            return conjugate(self._adjective(), argument, True)
        elif slot.startswith("final:"):
            return self._final(slot[6:], argument)
        elif slot == "adv":
            return draw.pick(self.general["adverbs"])
        elif slot == "when":
            return draw.pick(self.general["openers"])
        elif slot == "person":
            word = self.person()
        elif slot == "reason":
            word = draw.pick(self.general["reasons"])
        elif slot == "laugh":
            return draw.pick(("ㅋㅋ", "ㅋㅋㅋ", "ㅋㅋㅋㅋㅋ", "ㅎㅎ", " ㄷㄷ", " ㅠㅠ", " 햏", ""))
        elif slot == "quote":
            saved, self.register = self.register, "hamnida"
            word = self.fill(draw.pick(korean_patterns()["general"]))
            self.register = saved
        else:
            word = self._number(slot)
        if argument == "=":
            return copula(word, self.register, False)
        return particle(word, argument) if argument else word

    def _final(self, verb: str, tense: str) -> str:
        past = tense == "+" or (tense != "-" and self.draw.chance(self.past_share))
        if verb.startswith("="):
            return predicate(verb[1:], self.register, past)
        if verb == "vi":
            return predicate(self.draw.pick(self.general["vi"]), self.register, past)
        if verb == "adj":
            return predicate(self._adjective(), self.register, past, True)
        return predicate(self._transitive(), self.register, past)

    def fill(self, pattern: str) -> str:
        """A pattern with every slot drawn; no full stop is added."""
        parts: list[str] = []
        for slot, argument in _compiled(pattern):
            if not slot:
                parts.append(argument)
            elif slot == ":":
                before, space, word = "".join(parts).rpartition(" ")
                changed = copula(word, self.register, False) if argument == "=" else particle(word, argument)
                parts = [before + space + changed]
            else:
                parts.append(self._filled(slot, argument))
        return "".join(parts)

    def sentence_from(self, pattern: str, joined: bool = True) -> str:
        """The pattern as one sentence with a full stop unless it has an end; ``joined`` allows a connector."""
        draw, patterns = self.draw, korean_patterns()
        text = self.fill(pattern)
        if joined and pattern[0] == "{" and not pattern.startswith("{when"):
            mark = draw.unit()
            if mark < patterns["connectors_share"]:
                text = f"{draw.pick(self.general['connectors'])} {text}"
            elif mark < patterns["connectors_share"] + patterns["openers_share"]:
                text = f"{draw.pick(self.general['openers'])} {text}"
        return text if text[-1] in "?!~ㅋㅎㅠㄷ" or self.register == "eum" else text + "."
