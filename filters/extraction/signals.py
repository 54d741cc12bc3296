"""Structure signals of a parsed page: what trafilatura throws away but a policy wants to know."""

import re
from collections.abc import Iterable
from typing import Any

from lxml import etree

from algok.filters.extraction.messages import PageResult

__all__ = ["TITLE_CHARS", "count_tex", "licence_mark", "measure", "opts_out", "visible_chars"]

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
#: Elements whose text no browser shows.
_INVISIBLE = ("script", "style", "noscript", "template")
_COUNTED = (*_HEADINGS, *_INVISIBLE, "a", "table", "pre", "math")
_BODY_STRING = etree.XPath("string(.)")
#: Creative Commons deeds, such as https://creativecommons.org/licenses/by-nc-sa/4.0/deed.ko
_LICENCE = re.compile(r"creativecommons\.org/(licenses|publicdomain)/([a-z][a-z-]*)(?:/(\d\.\d))?", re.IGNORECASE)
#: TeX delimiters. A lone $ is a price more often than a formula, so a pair only counts with \, ^ or _ inside.
_TEX = re.compile(
    r"\\\(.{1,400}?\\\)|\\\[.{1,2000}?\\\]|\$\$.{1,2000}?\$\$|\$[^$\n]{0,100}?[\\^_][^$\n]{0,100}?\$", re.DOTALL
)
#: Longest visible text that is searched for formulas, in characters: bounds the time on hostile pages.
_TEX_WINDOW = 200_000
_NO_AI = re.compile(r"\bno(?:image)?ai\b", re.IGNORECASE)
#: Longest title that is kept, in characters.
TITLE_CHARS = 1_000


def visible_chars(text: str) -> int:
    """Characters that are not white space.

    >>> visible_chars(" a b\\n")
    2
    """
    return len("".join(text.split()))


def measure(tree: Any, html: str, result: PageResult) -> int:
    """Fill the signals of ``result`` from the untouched tree; the visible characters of the page.

    ``boilerplate_ratio`` needs the main text and is left to the caller.
    """
    body = tree.find("body")
    if body is None:
        body = tree
    visible = _BODY_STRING(body)
    hidden: list[str] = []
    linked: list[str] = []
    counts = dict.fromkeys(_COUNTED, 0)
    for element in body.iter(*_COUNTED):
        tag = element.tag
        counts[tag] += 1
        if tag == "a":
            linked.append(_BODY_STRING(element) if len(element) else element.text or "")
        elif tag in _INVISIBLE and next(element.iterancestors(*_INVISIBLE), None) is None:
            hidden.append(_BODY_STRING(element))
    total = max(0, visible_chars(visible) - visible_chars("".join(hidden)))
    result.link_char_share = min(1.0, visible_chars("".join(linked)) / total) if total else 0.0
    result.headings = sum(counts[name] for name in _HEADINGS)
    result.tables = counts["table"]
    result.code_blocks = counts["pre"]
    result.formulas = counts["math"] + count_tex(visible) + _tex_scripts(body, html)
    result.no_ai = any(opts_out(meta.get("name", ""), meta.get("content", "")) for meta in tree.iter("meta"))
    result.licence = _licence(tree, html)
    result.title = _title(tree)
    return total


def count_tex(visible: str) -> int:
    """Formulas between TeX delimiters in the visible text of a page."""
    if "$" not in visible and "\\(" not in visible and "\\[" not in visible:
        return 0
    return sum(1 for _ in _TEX.finditer(visible, 0, _TEX_WINDOW))


def _tex_scripts(body: Any, html: str) -> int:
    """MathJax 2 keeps its sources in scripts of type math/tex."""
    if "math/tex" not in html:
        return 0
    return sum(1 for script in body.iter("script") if script.get("type", "").startswith("math/tex"))


def opts_out(name: str, content: str) -> bool:
    """Whether a meta element is a robots element, the general or a crawler's own, with noai or noimageai; or of the TDM
    reservation protocol (W3C community group, 2024), whose value 1 reserves text and data mining."""
    name = name.strip().lower()
    return ("bot" in name and _NO_AI.search(content) is not None) or (
        name == "tdm-reservation" and content.strip() == "1"
    )


def _licence(tree: Any, html: str) -> str | None:
    if "creativecommons.org/" not in html:
        return None
    return licence_mark(
        (element.get("href") or element.get("content") or "", element.get("rel") or "")
        for element in tree.iter("a", "link", "meta")
    )


def licence_mark(links: Iterable[tuple[str, str]]) -> str | None:
    """The Creative Commons mark among the (address, rel) of a page: of rel=license first, else the first.

    ``by-nc-sa-4.0``, ``zero-1.0`` for CC0, ``mark-1.0`` for the public domain mark.
    """
    found = None
    for address, rel in links:
        match = _LICENCE.search(address)
        if match is None:
            continue
        mark = match[2].lower().strip("-") + (f"-{match[3]}" if match[3] else "")
        if "license" in rel.lower().split():
            return mark
        found = found or mark
    return found


def _title(tree: Any) -> str | None:
    """The title element, else og:title, else the first h1; white space collapsed."""
    element = next(tree.iter("title"), None)
    title = " ".join(_BODY_STRING(element).split()) if element is not None else ""
    if not title:
        for meta in tree.iter("meta"):
            if meta.get("property") == "og:title":
                title = " ".join(meta.get("content", "").split())
                break
    if not title:
        heading = next(tree.iter("h1"), None)
        title = " ".join(_BODY_STRING(heading).split()) if heading is not None else ""
    return title[:TITLE_CHARS] or None
