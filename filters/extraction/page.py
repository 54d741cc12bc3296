"""One page from bytes to text: decode, repair, parse, measure, extract. Runs in the child process."""

import re
from collections.abc import Callable
from typing import Any, Protocol

from lxml import etree
from lxml import html as lxml_html

from algok.filters.extraction.blocks.engine import Blocks
from algok.filters.extraction.blocks.forest import Models
from algok.filters.extraction.blocks.signals import measure as measure_scan
from algok.filters.extraction.checks import repair_early_end
from algok.filters.extraction.engine import Engine, make_engine
from algok.filters.extraction.messages import Page, PageResult
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.prepare import drop_scripts
from algok.filters.extraction.signals import measure, visible_chars
from algok.filters.extraction.text import clean_text

__all__ = ["DecodedLike", "Decoder", "PageKernel"]


class DecodedLike(Protocol):
    """What a decoder returns; ``algok.filters.charset.Decoded`` is one."""

    @property
    def text(self) -> str: ...
    @property
    def charset(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def replaced(self) -> int: ...


Decoder = Callable[[bytes, str | None], DecodedLike]

#: libxml2 refuses what it takes for bombs (entity loops, 10 MB text nodes) unless huge_tree is set: it is not.
_PARSER = etree.HTMLParser(
    collect_ids=False, default_doctype=False, encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True
)
# lxml.html picks a class per element in Python, a tenth of the time of a page; no caller needs its form classes.
_PARSER.set_element_class_lookup(etree.ElementDefaultClassLookup(element=lxml_html.HtmlElement))
#: What XML 1.0 cannot carry; lxml raises on it. Tab, line feed and carriage return stay.
_INVALID = bytes([*range(0x9), 0xB, 0xC, *range(0xE, 0x20)])
#: References that may be to one of those, the frequent ones to marks and quotes (&#39; &#8217; &#x27;) left out.
_REFERENCE = re.compile(
    rb"&#(?:[xX](0*(?:[0-9a-fA-F]|1[0-9a-fA-F]|[dDfF][0-9a-fA-F]{3}|[0-9a-fA-F]{5,8}))(?![0-9a-fA-F])"
    rb"|(0*(?:[12]?[0-9]|3[01]|[0-9]{5,8}))(?![0-9]));?"
)


#: Characters of a text from which the block engine can be sure: below, one line more or less is much of it.
_LEAST_CHARS = 100


class PageKernel:
    """Turns pages into results. Not safe for threads. Raises whatever parser and engine raise: the caller decides.

    ``models``: other models of the block engine than those of the package, for measurements.
    """

    def __init__(self, options: ExtractOptions, decoder: Decoder, models: Models | None = None) -> None:
        self._decode = decoder
        self._options = options
        self._engine: Engine = make_engine(options)
        by_blocks = options.engine in ("cascade", "blocks") and not options.comments
        self._blocks = Blocks(options, models) if by_blocks else None
        self._sure = options.sure if options.engine == "cascade" else 0.0

    def extract(self, page: Page) -> PageResult:
        """Main text and signals of a page, or the step that failed or the rule that rejected it."""
        decoded = self._decode(page.payload, page.http_charset)
        result = PageResult(charset=decoded.charset, charset_source=decoded.source, replaced=decoded.replaced)
        if not page.html:
            return self._finish(result, clean_text(decoded.text))
        if self._blocks is not None:
            text = self._by_blocks(self._blocks, decoded.text, result)
            if text is not None:
                return self._finish(result, text)
        html = repair_early_end(decoded.text)
        encoded = xml_bytes(html)
        result.html_bytes = len(encoded)
        tree = parse(encoded)
        if tree is None:
            result.rejected, result.detail = "empty", "no element in the page"
            return result
        drop_scripts(tree)
        total = measure(tree, html, result)
        text = self._engine(tree, html, page.url, total)
        result.boilerplate_ratio = min(1.0, max(0.0, 1 - visible_chars(text) / total)) if total else 0.0
        return self._finish(result, clean_text(text))

    def _by_blocks(self, engine: Blocks, html: str, result: PageResult) -> str | None:
        """The main text where the block engine is sure of it, with the signals in ``result``; else ``None``."""
        page = html.encode("utf-8", "replace").translate(None, _INVALID)
        found = engine(page)
        if found is None or found.sure < self._sure:
            return None
        text = clean_text(found.text)
        chars = visible_chars(text)
        if chars < _LEAST_CHARS and self._sure:
            return None
        result.html_bytes = len(page)
        total = measure_scan(found.scan, result)
        result.boilerplate_ratio = min(1.0, max(0.0, 1 - chars / total)) if total else 0.0
        return text

    def _finish(self, result: PageResult, text: str) -> PageResult:
        limit = self._options.max_text_chars
        if not text:
            result.rejected, result.detail = "empty", "no main text found"
        elif len(text) > limit:
            result.text, result.detail = text[:limit], f"shortened from {len(text)} to {limit} characters"
        else:
            result.text = text
        return result


def xml_bytes(html: str) -> bytes:
    """A page in UTF-8 without what XML cannot carry, as it stands or as a character reference.

    >>> xml_bytes("a\\x01b\\ufffe&#1;&#xD800;&#65;")
    b'ab&#65;'
    """
    encoded = html.encode("utf-8", "replace").translate(None, _INVALID)
    encoded = encoded.replace(b"\xef\xbf\xbe", b"").replace(b"\xef\xbf\xbf", b"")
    return _REFERENCE.sub(_valid_reference, encoded) if b"&#" in encoded else encoded


def _valid_reference(match: "re.Match[bytes]") -> bytes:
    code = int(match[1], 16) if match[1] else int(match[2])
    valid = code in (0x9, 0xA, 0xD) or 0x20 <= code < 0xD800 or 0xE000 <= code < 0xFFFE or 0x10000 <= code <= 0x10FFFF
    return match[0] if valid else b""


def parse(encoded: bytes) -> Any | None:
    """Tree of a page in UTF-8, or ``None`` when it holds no element. Raises ``MemoryError``, which lxml hides."""
    try:
        return etree.fromstring(encoded, parser=_PARSER)
    except (etree.ParserError, etree.XMLSyntaxError):
        if any(entry.type_name == "ERR_NO_MEMORY" for entry in _PARSER.error_log):
            raise MemoryError from None
        return None
