"""From trafilatura's XPath expressions to scans of attribute values.

Only the few forms that trafilatura writes are translated, and only where the scan selects exactly the same; every
other expression is left to lxml.
"""

import re
from collections.abc import Iterable
from typing import Any

from algok.filters.extraction.attribute_scan import (
    AttributeScan,
    ExceptingScan,
    GuardedXPath,
    Test,
    UnionScan,
    Vocabulary,
)

__all__ = ["replacement", "translate"]

_STRING = r"'([^']*)'"
_ATTRIBUTE = r"@([a-z-]+)(?:\|@([a-z-]+))?"
_CONDITIONS = {
    "test": re.compile(rf"re:test\({_ATTRIBUTE}, ?{_STRING}(?:, ?'(i)')?\)"),
    "contains": re.compile(rf"contains\({_ATTRIBUTE}, ?{_STRING}\)"),
    "starts": re.compile(rf"starts-with\({_ATTRIBUTE}, ?{_STRING}\)"),
    "translated": re.compile(rf"contains\(translate\({_ATTRIBUTE}, ?{_STRING}, ?{_STRING}\), ?{_STRING}\)"),
    "equals": re.compile(rf"{_ATTRIBUTE}={_STRING}"),
    "present": re.compile(_ATTRIBUTE),
}
_SHAPE = re.compile(
    r"(?P<first>\()?\.//\*(?:\[(?P<tags>self::[a-z0-9]+(?: or self::[a-z0-9]+)*)\])?"
    r"\[(?P<tests>.*?)\](?P<nth>\[1\])?(?(first)\)\[1\])",
    re.DOTALL,
)


def replacement(xpath: Any, words: Vocabulary) -> "AttributeScan | UnionScan | ExceptingScan | GuardedXPath | None":
    """Something faster that selects what the compiled ``xpath`` selects, or ``None``."""
    scan = translate(xpath.path, words)
    if scan is not None:
        return scan
    union = _union(xpath.path, words)
    if union is not None:
        return union
    excepting = _excepting(xpath.path, words)
    if excepting is not None:
        return excepting
    guard = _guard(xpath.path, words)
    return GuardedXPath(xpath, guard) if guard is not None else None


def _union(path: str, words: Vocabulary) -> UnionScan | None:
    flat = " ".join(path.split())
    tags, scans = [], []
    parts = re.split(r"\|(?=\.//)", flat)
    for part in parts:
        simple = re.fullmatch(r"\.//([a-z0-9]+)", part)
        if simple is not None:
            tags.append(simple[1])
            continue
        scan = translate(re.sub(r"^\.//([a-z0-9]+)\[", r".//*[self::\1][", part), words)
        if scan is None:
            return None
        scans.append(scan)
    return UnionScan(path, tuple(tags), scans) if len(parts) > 1 else None


def _excepting(path: str, words: Vocabulary) -> ExceptingScan | None:
    flat = _flat(path)
    end = flat.rfind("][")
    last = re.fullmatch(r"not\((self::[a-z0-9]+(?: or self::[a-z0-9]+)*)\) or (.*)\]", flat[end + 2 :])
    if end < 0 or last is None:
        return None
    scan = translate(flat[: end + 1], words)
    strict = translate(f".//*[{last[1]}][{last[2]}]", words)
    if scan is None or strict is None:
        return None
    return ExceptingScan(path, scan, strict, tuple(tag.removeprefix("self::") for tag in last[1].split(" or ")))


def _flat(path: str) -> str:
    """An expression on one line."""
    return " ".join(path.split()).replace("[ ", "[").replace(" ]", "]")


def _guard(path: str, words: Vocabulary) -> AttributeScan | None:
    """The scan of an expression without its last predicate."""
    flat = _flat(path)
    end = flat.rfind("][")
    return translate(flat[: end + 1], words) if end > 0 else None


def translate(path: str, words: Vocabulary) -> AttributeScan | None:
    """The scan that selects what the XPath ``path`` selects, or ``None`` if the expression is of another form.

    With ``[1]`` at the end only the first hit in document order is returned.

    >>> translate(".//*[self::div or self::p][contains(@class, 'nav') or @id='x']", Vocabulary()) is not None
    True
    >>> translate(".//p[position() = 2]", Vocabulary()) is None
    True
    """
    shape = _SHAPE.fullmatch(_flat(path))
    if shape is None:
        return None
    tags = tuple(tag.removeprefix("self::") for tag in shape["tags"].split(" or ")) if shape["tags"] else ()
    tests = _conditions(shape["tests"])
    return None if tests is None else AttributeScan(path, tags, tests, bool(shape["first"] or shape["nth"]), words)


def _conditions(source: str) -> list[Test] | None:
    tests = []
    position = 0
    while True:
        found = next(((k, m) for k, p in _CONDITIONS.items() if (m := p.match(source, position))), None)
        if found is None:
            return None
        kind, match = found
        test = _condition(kind, match)
        if test is None:
            return None
        tests.append(test)
        position = match.end()
        if position == len(source):
            return tests
        if not source.startswith(" or ", position):
            return None
        position += len(" or ")


def _condition(kind: str, match: "re.Match[str]") -> Test | None:
    attributes = tuple(name for name in match.groups()[:2] if name)
    arguments: Iterable[str | None] = match.groups()[2:]
    if kind == "present":
        return Test(attributes, lambda value: True, None, False)
    if kind == "test":
        pattern, flag = arguments
        expression = re.compile(pattern or "", re.IGNORECASE if flag else 0)
        # An element without the attribute is the empty string to XPath; here it is skipped.
        if expression.search(""):
            return None
        hint = f"(?i:{pattern})" if flag else pattern
        return Test(attributes, expression.search, hint)
    if kind == "translated":
        upper, lower, wanted = (argument or "" for argument in arguments)
        mapping = str.maketrans(upper, lower) if len(upper) == len(lower) else None
        if mapping is None or not wanted:
            return None
        return Test(attributes, lambda value: wanted in value.translate(mapping), f"(?i:{re.escape(wanted)})", False)
    (text,) = (argument or "" for argument in arguments)
    if not text:
        return None
    if kind == "contains":
        return Test(attributes, lambda value: text in value, re.escape(text))
    if kind == "starts":
        return Test(attributes, lambda value: value.startswith(text), f"^{re.escape(text)}")
    return Test(attributes, lambda value: value == text, rf"^{re.escape(text)}\Z") if len(attributes) == 1 else None
