"""From a parsed page to its main text: the template's own container, else trafilatura, else what it falls back to."""

from copy import copy
from typing import Any

from algok.filters.extraction.containers import find_container, join_pieces, strip_chrome
from algok.filters.extraction.furniture import drop_furniture
from algok.filters.extraction.markdown import Style, to_markdown
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.prepare import prepare
from algok.filters.extraction.signals import visible_chars
from algok.filters.extraction.speedups import install

__all__ = ["Cascade"]

#: Share of the page's visible characters in the fast result, outside of which trafilatura's other extractors
#: (readability, justext) are asked as well: 8 % of the gold pages, +1.0 and +0.4 points of F1. Asking them on every
#: page (trafilatura's default) costs two thirds of the time and gives no more.
_TOO_SHORT, _TOO_LONG = 0.1, 0.9


class Cascade:
    """Main text of a page. Call it with (tree, html, url, visible characters); it changes the tree."""

    def __init__(self, options: ExtractOptions) -> None:
        from trafilatura import core, external, settings, xpaths

        external.jt_stoplist_init()  # 0.2 s, here and not on the clock of the first page that needs it
        self._core: Any = core
        self._compare: Any = external.compare_extraction
        self._justext: Any = external.justext_rescue
        self._xpaths: Any = xpaths
        self._words = install()
        self._fast: Any = settings.Extractor(
            output_format="txt",
            fast=True,
            precision=options.focus == "precision",
            recall=options.focus == "recall",
            comments=options.comments,
            formatting=False,
            tables=options.tables,
        )
        self._slow = copy(self._fast)
        self._slow.fast = False
        self._formulas = options.formulas
        self._containers = options.containers
        self._style = Style(lists=options.lists, tables=options.tables, code=options.code, headings=options.headings)

    def __call__(self, tree: Any, html: str, url: str, total: int) -> str:
        prepare(tree, formulas=self._formulas)
        if self._containers and not self._fast.comments:
            container = find_container(tree, total)
            if container is not None:
                strip_chrome(container)
                text = drop_furniture(to_markdown(container, self._style))
                if text:
                    return text
        join_pieces(tree)
        self._words.load(tree)
        try:
            body, comments = self._with_comments(tree) if self._fast.comments else (self._sequence(tree, total), None)
        finally:
            self._words.clear()
        text = drop_furniture(to_markdown(body, self._style))
        return text if comments is None else f"{text}\n{to_markdown(comments, self._style)}".strip()

    def _with_comments(self, tree: Any) -> tuple[Any, Any]:
        body, _, comments, _ = self._core.trafilatura_sequence(tree, self._fast, None)
        return body, comments

    def _sequence(self, tree: Any, total: int) -> Any:
        """``trafilatura.core.trafilatura_sequence`` without comments, its slow extractors asked only where it pays.

        The first step is not repeated for the slow ones.
        """
        core, xpaths, fast = self._core, self._xpaths, self._fast
        forum = core._forum_thread_page(tree)
        tree = core.prune_unwanted_nodes(tree, xpaths.RAW_TREE_PRUNE_XPATH)
        if fast.focus == "precision" or not forum:
            tree = core.prune_unwanted_nodes(tree, xpaths.REMOVE_COMMENTS_AND_LISTS_XPATH)
        cleaned = core.convert_tags(core.tree_cleaning(copy(tree), fast), fast, None)
        if fast.focus == "precision" and not forum:
            cleaned = core.prune_unwanted_nodes(cleaned, xpaths.REMOVE_COMMENTS_XPATH)
        first = core.extract_content(cleaned, fast)
        body, text = self._rescued(tree, first, fast, total)
        if total and not _TOO_SHORT * total <= visible_chars(text) <= _TOO_LONG * total:
            backup = core.tree_cleaning(copy(tree), fast)
            second = self._compare(backup, copy(tree), *first, self._slow)
            body, text = self._rescued(tree, second, self._slow, total)
        return body

    def _rescued(self, tree: Any, found: tuple[Any, str], options: Any, total: int) -> tuple[Any, str]:
        """Steps 3 and 4 of trafilatura's cascade: the baseline for a very short text, recall mode for a small one.

        Recall mode is left to the slow way: on the pages that are not sent there it changes no score, and costs a
        seventh of the time.
        """
        core = self._core
        body, text = found
        if len(text) < options.min_extracted_size and options.focus != "precision":
            other, other_text, length = core.baseline(tree)
            if length > len(text):
                body, text = other, other_text
        # The text of a page has at most one space per visible character, so a text above this cannot be a small part.
        if (
            options.fast
            or options.focus != "balanced"
            or not 0 < len(text) < min(core.ESCALATION_MAX_LENGTH, core.ESCALATION_PAGE_SHARE * 2 * total)
            or len(text) >= core.ESCALATION_PAGE_SHARE * len(core.html2txt(tree))
        ):
            return body, text
        recall = copy(options)
        recall.focus = "recall"
        more, more_text = core._recall_retry(tree, recall, None)
        just, just_text = (None, "") if options.fast else self._justext(copy(tree), options)
        if len(just_text) > max(len(more_text), core.ESCALATION_JUSTEXT_RATIO * len(text)):
            return just, just_text
        if len(more_text) >= options.min_extracted_size and len(more_text) > core.ESCALATION_ACCEPT_RATIO * len(text):
            return more, more_text
        return body, text
