"""trafilatura's pruning expressions as one scan over attribute values, with the same answer in a tenth of the time.

trafilatura selects what it prunes with XPath expressions that call Python's ``re`` for every element, several
times per page: a third of its fast mode. A page has a few hundred distinct ``class`` and ``id`` values, and most of
them were seen before on other pages. So an expression is translated into tests of single attribute values, the
verdict on a value is remembered across pages, and an expression for which no value of the page has a hit is not
run at all. What cannot be translated stays an XPath.
"""

import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from lxml import etree

__all__ = [
    "AttributeScan",
    "ExceptingScan",
    "GuardedXPath",
    "Test",
    "UnionScan",
    "Vocabulary",
]

#: Remembered values per attribute before they are forgotten: bounds the memory, about 200 bytes each.
_REMEMBER = 50_000
#: Characters of the longest value that is remembered: longer ones (styles with pictures in them) do not come again.
_LONGEST = 200


class Test(NamedTuple):
    """A condition on the first, in document order, of ``attributes`` that an element has."""

    attributes: tuple[str, ...]
    #: True, or anything that counts as true, for the values that meet the condition.
    holds: Callable[[str], object]
    #: Regular expression that a value must match for ``holds``; null if there is none.
    hint: str | None
    #: Whether matching ``hint`` is all there is to it.
    exact: bool = True


class Vocabulary:
    """All tests, and which values of the page at hand meet them. One per thread and process is enough.

    Before ``load`` and after ``clear`` there is no page, and scans test every element.
    """

    def __init__(self) -> None:
        self._tests: dict[str, list[tuple[int, Test]]] = {}
        self._tables: dict[str, _Tables] = {}
        self._seen: dict[str, dict[str, tuple[int, ...]]] = {}
        self._paths: dict[str, Any] = {}
        self._count = 0
        self._page = threading.local()

    def register(self, test: Test) -> int:
        """Number of a test, to ask ``hits`` with."""
        number = self._count
        self._count += 1
        for name in test.attributes:
            self._tests.setdefault(name, []).append((number, test))
            self._seen[name] = {}
            self._tables.pop(name, None)
            self._paths.setdefault(name, etree.XPath(f"//@{name}", smart_strings=False))
        return number

    def load(self, tree: Any) -> None:
        """Test the values of a page. Pruning and copying add none, so the hits hold for everything made of it."""
        hits: dict[int, set[str]] = {}
        for name, path in self._paths.items():
            seen = self._seen[name]
            if len(seen) > _REMEMBER:
                seen.clear()
            for value in set(path(tree)):
                numbers = seen.get(value)
                if numbers is None:
                    numbers = self._meets(name, value)
                    if len(value) <= _LONGEST:
                        seen[value] = numbers
                for number in numbers:
                    hits.setdefault(number, set()).add(value)
        self._page.hits = hits

    def _meets(self, name: str, value: str) -> tuple[int, ...]:
        """Numbers of the tests that hold for a new value."""
        tables = self._tables.get(name)
        if tables is None:
            tables = self._tables[name] = _Tables(self._tests[name])
        return tables.meets(value)

    def clear(self) -> None:
        """There is no page any more."""
        self._page.hits = None

    @property
    def hits(self) -> dict[int, set[str]] | None:
        """Test number to the values of the page that meet it; a test without one is not there."""
        return getattr(self._page, "hits", None)


class AttributeScan:
    """A stand-in for an ``etree.XPath`` of the form ``.//*[self::a or ...][test or test ...]``: a call gives a list."""

    def __init__(self, path: str, tags: tuple[str, ...], tests: list[Test], first: bool, words: Vocabulary) -> None:
        self.path = path
        self._tags = tags
        self._first = first
        self._words = words
        single: dict[str, list[Test]] = {}
        joint = []
        for test in tests:
            if len(test.attributes) == 1:
                single.setdefault(test.attributes[0], []).append(test)
            else:
                joint.append(test)
        self._tests = [*joint, *map(_any_of, single.values())]
        self._numbers = [words.register(test) for test in self._tests]

    def __call__(self, tree: Any) -> list[Any]:
        tests = self._live_tests()
        if not tests:
            return []
        found = []
        elements = tree.iterdescendants(*self._tags) if self._tags else tree.iterdescendants(etree.Element)
        for element in elements:
            for attributes, holds, _, _ in tests:
                value = element.get(attributes[0])
                if len(attributes) > 1:
                    other = element.get(attributes[1])
                    if other is not None and (value is None or _comes_first(element, attributes[1], attributes[0])):
                        value = other
                if value is not None and holds(value):
                    found.append(element)
                    break
            else:
                continue
            if self._first:
                break
        return found

    def may_hit(self) -> bool:
        """Whether any element of the page can be selected."""
        return bool(self._live_tests())

    def _live_tests(self) -> list[Test]:
        """The tests that can hold on this page, as membership in the values that meet them."""
        hits = self._words.hits
        if hits is None:
            return self._tests
        return [
            Test(test.attributes, hits[number].__contains__, None)
            for number, test in zip(self._numbers, self._tests, strict=True)
            if number in hits
        ]


def _comes_first(element: Any, one: str, other: str) -> bool:
    """Whether attribute ``one`` stands before ``other`` in the source: XPath takes the first of ``@id|@class``."""
    for name in element.keys():  # noqa: SIM118  (an element is no mapping)
        if name == one:
            return True
        if name == other:
            return False
    return False


def _any_of(tests: list[Test]) -> Test:
    if len(tests) == 1:
        return tests[0]
    hints = [test.hint for test in tests if test.hint is not None]
    hint = "|".join(hints) if len(hints) == len(tests) else None
    if hint is not None and all(test.exact for test in tests):
        return Test(tests[0].attributes, _joined(_alternatives(hint)), hint)
    holds = [test.holds for test in tests]
    return Test(tests[0].attributes, lambda value: any(one(value) for one in holds), hint, False)


class _Tables:
    """The tests of one attribute, arranged so that a new value costs little.

    Class values are ever new combinations of tokens that sites share, so the tokens are what is remembered: an
    alternative
    that has no anchor and cannot match a space matches a value if and only if it matches one of its tokens. The few
    others are tried on the whole value.
    """

    def __init__(self, tests: list[tuple[int, Test]]) -> None:
        self._always: list[tuple[int, Test]] = []
        self._whole: list[tuple[int, Callable[[str], object]]] = []
        self._token: list[tuple[int, Callable[[str], object]]] = []
        self._verify: dict[int, Callable[[str], object]] = {}
        wholes: list[str] = []
        tokens: list[str] = []
        for number, test in tests:
            if test.hint is None:
                self._always.append((number, test))
                continue
            if not test.exact:
                self._verify[number] = test.holds
            alternatives = _alternatives(test.hint)
            whole = [one for one in alternatives if _NOT_IN_TOKEN.search(one)]
            token = [one for one in alternatives if not _NOT_IN_TOKEN.search(one)]
            if whole:
                self._whole.append((number, _joined(whole)))
            if token:
                self._token.append((number, _joined(token)))
            wholes += whole
            tokens += token
        # "^" in a search is tried at every position, in a match only at the first.
        starts = [one[1:] for one in wholes if one.startswith("^")]
        self._any_start = re.compile("|".join(dict.fromkeys(starts)) or "(?!)").match
        self._any_whole = _joined([one for one in wholes if not one.startswith("^")] or ["(?!)"])
        self._any_token = _joined(tokens or ["(?!)"])
        self._seen: dict[str, tuple[int, ...]] = {}

    def meets(self, value: str) -> tuple[int, ...]:
        """Numbers of the tests that hold for a value, in ascending order."""
        numbers: set[int] = set()
        seen = self._seen
        for token in value.split():
            found = seen.get(token)
            if found is None:
                if len(seen) > _REMEMBER:
                    seen.clear()
                hit = self._any_token(token)
                found = tuple([number for number, search in self._token if search(token)]) if hit else ()
                if len(token) <= _LONGEST:
                    seen[token] = found
            if found:
                numbers.update(found)
        if self._whole and (self._any_start(value) or self._any_whole(value)):
            numbers.update([number for number, search in self._whole if search(value)])
        numbers.update([number for number, test in self._always if test.holds(value)])
        if numbers and self._verify:
            numbers -= {number for number in numbers & self._verify.keys() if not self._verify[number](value)}
        return tuple(sorted(numbers))


#: What keeps an alternative from being tried on single tokens: an anchor, or something that can match a space.
_NOT_IN_TOKEN = re.compile(r" |\\[^.\-_/]|\^|\$|(?<!\\)\.")


def _joined(alternatives: list[str]) -> Callable[[str], object]:
    """One search for all alternatives, grouped by their first character.

    Python's ``re`` tries alternatives one by one, and so tries twenty groups and not 150 tokens at every position.
    """
    groups: dict[str, list[str]] = {}
    for alternative in dict.fromkeys(alternatives):
        plain = alternative[:1].isalnum() and alternative[1:2] not in {"?", "*", "{", "+"}
        groups.setdefault(alternative[0] if plain else "", []).append(alternative[1:] if plain else alternative)
    loose = groups.pop("", [])
    parts = [f"{first}(?:{'|'.join(rest)})" for first, rest in sorted(groups.items())]
    return re.compile("|".join([*parts, *loose])).search


def _alternatives(pattern: str) -> list[str]:
    """The alternatives of a regular expression at its outermost level.

    >>> _alternatives("a|(?:b|c)d|[|]")
    ['a', '(?:b|c)d', '[|]']
    """
    found, start, depth, inside = [], 0, 0, False
    skip = False
    for i, character in enumerate(pattern):
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif inside:
            inside = character != "]"
        elif character == "[":
            inside = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "|" and depth == 0:
            found.append(pattern[start:i])
            start = i + 1
    return [*found, pattern[start:]]


class UnionScan:
    """A stand-in for ``.//a|.//b|.//*[test]``: the elements of some tags, and those that other scans select.

    They come in no particular order; whoever deletes them does not mind.
    """

    def __init__(self, path: str, tags: tuple[str, ...], scans: list[AttributeScan]) -> None:
        self.path = path
        self._tags = tags
        self._scans = scans

    def __call__(self, tree: Any) -> list[Any]:
        found = list(tree.iterdescendants(*self._tags)) if self._tags else []
        seen = set(found)
        for scan in self._scans:
            found += [element for element in scan(tree) if element not in seen]
            seen.update(found)
        return found


class ExceptingScan:
    """A stand-in for ``.//*[...][test or test][not(self::a or self::b) or test ...]``: stricter for some tags."""

    def __init__(self, path: str, scan: AttributeScan, strict: AttributeScan, tags: tuple[str, ...]) -> None:
        self.path = path
        self._scan = scan
        self._strict = strict
        self._tags = tags

    def __call__(self, tree: Any) -> list[Any]:
        found = self._scan(tree)
        if not any(element.tag in self._tags for element in found):
            return found
        allowed = set(self._strict(tree))
        return [element for element in found if element.tag not in self._tags or element in allowed]


class GuardedXPath:
    """An XPath with a further filter behind the attribute tests: run as it is, but only where the tests have hits."""

    def __init__(self, xpath: Any, guard: AttributeScan) -> None:
        self.path: str = xpath.path
        self._xpath = xpath
        self._guard = guard

    def __call__(self, tree: Any) -> list[Any]:
        return list(self._xpath(tree)) if self._guard.may_hit() else []
