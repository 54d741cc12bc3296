"""The signals of ``algok.filters.extraction.signals`` from a scan instead of a tree."""

import html
import re
from collections.abc import Iterator

import numpy as np

from algok.filters.extraction.blocks.columns import (
    B_CHARS,
    B_LINKED,
    B_NODE,
    N_TAG,
)
from algok.filters.extraction.blocks.names import TAGS
from algok.filters.extraction.blocks.scan import Scan
from algok.filters.extraction.blocks.write import block_text
from algok.filters.extraction.messages import PageResult
from algok.filters.extraction.signals import TITLE_CHARS, count_tex, licence_mark, opts_out

__all__ = ["measure"]

_HEADINGS = np.array([name in ("h1", "h2", "h3", "h4", "h5", "h6") for name in TAGS])
_TABLE, _PRE, _H1 = (TAGS.index(name) for name in ("table", "pre", "h1"))
_ATTRIBUTE = re.compile(r"""([a-zA-Z][a-zA-Z:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""")
#: What a meta element holds that says something here.
_TELLING = re.compile(rb"[bB][oO][tT]|[tT][dD][mM]-|og:title")
#: Elements that may name a licence; a tag of more bytes than this is none of those.
_LICENSED = re.compile(rb"<(?:a|link|meta)\s[^>]{1,4000}>", re.IGNORECASE)


def measure(found: Scan, result: PageResult) -> int:
    """Fill the signals of ``result``; the visible characters of the page."""
    blocks = found.blocks
    total = int(blocks[:, B_CHARS].sum())
    tags = found.nodes[:, N_TAG]
    result.link_char_share = min(1.0, int(blocks[:, B_LINKED].sum()) / total) if total else 0.0
    result.headings = int(_HEADINGS[tags].sum())
    result.tables = int((tags == _TABLE).sum())
    result.code_blocks = int((tags == _PRE).sum())
    result.formulas = found.formulas
    if found.signs > 1:
        result.formulas += count_tex("\n".join(block_text(found, block) for block in range(len(blocks))))
    metas = [_attributes(tag) for begin, end in found.metas.tolist() if _TELLING.search(tag := found.data[begin:end])]
    result.no_ai = any(opts_out(meta.get("name", ""), meta.get("content", "")) for meta in metas)
    result.licence = licence_mark(_licences(found.data)) if b"creativecommons.org/" in found.data else None
    result.title = _title(found, metas)
    return total


def _attributes(tag: bytes) -> dict[str, str]:
    """Attributes of a tag by their name in small letters; the first of a name counts."""
    attributes: dict[str, str] = {}
    for name, *values in _ATTRIBUTE.findall(tag.decode("utf-8", "replace")):
        attributes.setdefault(name.lower(), html.unescape("".join(values)))
    return attributes


def _licences(page: bytes) -> Iterator[tuple[str, str]]:
    """(address, rel) of all links and metas."""
    for match in _LICENSED.finditer(page):
        if b"creativecommons" in match[0].lower():
            attributes = _attributes(match[0])
            yield attributes.get("href") or attributes.get("content") or "", attributes.get("rel", "")


def _title(found: Scan, metas: list[dict[str, str]]) -> str | None:
    begin, end = found.title
    title = " ".join(html.unescape(found.data[begin:end].decode("utf-8", "replace")).split())
    if not title:
        title = next((" ".join(m.get("content", "").split()) for m in metas if m.get("property") == "og:title"), "")
    if not title:
        first = np.flatnonzero(found.nodes[found.blocks[:, B_NODE], N_TAG] == _H1)
        title = block_text(found, int(first[0])) if len(first) else ""
    return title[:TITLE_CHARS] or None
