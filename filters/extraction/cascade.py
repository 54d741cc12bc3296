"""From a parsed page to its main text: the template's own container, else trafilatura, else what it falls back to."""

from copy import copy
from typing import Any

from algok.filters.extraction.containers import find_container, strip_chrome
from algok.filters.extraction.markdown import Style, to_markdown
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.prepare import prepare
from algok.filters.extraction.signals import visible_chars
from algok.filters.extraction.speedups import install

__all__ = ["Cascade"]

#: Visible characters of the fast result over those of resiliparse's main content, outside of which trafilatura's
#: other extractors (readability, justext) are asked as well: 6 % of the gold pages, +1.0 and +0.4 points of F1.
_TOO_SHORT, _TOO_LONG = 0.2, 2.0


class Cascade:
    """Main text of a page. Call it with (tree, html, url, visible characters); it changes the tree."""

    def __init__(self, options: ExtractOptions) -> None:
        from trafilatura import core, settings

        from resiliparse.extract.html2text import extract_plain_text

        self._core = core
        self._plain = extract_plain_text
        self._words = install()
        self._options = settings.Extractor(
            output_format="txt",
            fast=True,
            precision=options.focus == "precision",
            recall=options.focus == "recall",
            comments=options.comments,
            formatting=False,
            tables=options.tables,
        )
        self._slow = copy(self._options)
        self._slow.fast = False
        self._formulas = options.formulas
        self._containers = options.containers
        self._style = Style(lists=options.lists, tables=options.tables, code=options.code, headings=options.headings)

    def __call__(self, tree: Any, html: str, url: str, total: int) -> str:
        prepare(tree, html, formulas=self._formulas)
        if self._containers:
            container = find_container(tree, total)
            if container is not None:
                strip_chrome(container)
                text = to_markdown(container, self._style)
                if text:
                    return text
        self._words.load(tree)
        try:
            body, text, _, _ = self._core.trafilatura_sequence(copy(tree), self._options, None)
            size = visible_chars(text)
            whole = visible_chars(self._plain(html, main_content=True, alt_texts=False))
            if size < _TOO_SHORT * whole or size > _TOO_LONG * whole:
                body, _, _, _ = self._core.trafilatura_sequence(tree, self._slow, None)
        finally:
            self._words.clear()
        return to_markdown(body, self._style)
