"""The engines behind one call: a parsed page in, Markdown-like main text out."""

from collections.abc import Callable
from typing import Any

from algok.filters.extraction.cascade import Cascade
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.speedups import supported

__all__ = ["Engine", "make_engine"]

#: (tree, repaired HTML, URL, visible characters) to main text; the tree may be changed; an empty text means that none
#: was found.
Engine = Callable[[Any, str, str, int], str]


def make_engine(options: ExtractOptions) -> Engine:
    """The engine on trees that ``options`` names, for ``blocks`` that of the pages which those leave to others.

    Imports it, which takes about half a second.
    """
    if options.engine == "resiliparse":
        return _resiliparse(options)
    if options.engine in ("cascade", "blocks", "trafilatura") and supported():
        return Cascade(options)
    return _stock(options, fast=options.engine != "trafilatura-default")


def _resiliparse(options: ExtractOptions) -> Engine:
    from resiliparse.extract.html2text import extract_plain_text

    def run(tree: Any, html: str, url: str, total: int) -> str:
        text: str = extract_plain_text(html, main_content=True, comments=options.comments)
        return text

    return run


def _stock(options: ExtractOptions, *, fast: bool) -> Engine:
    """trafilatura as it comes, with its own text output."""
    from trafilatura import extract

    def run(tree: Any, html: str, url: str, total: int) -> str:
        text: str | None = extract(
            html,
            fast=fast,
            include_comments=options.comments,
            include_tables=options.tables,
            favor_recall=options.focus == "recall",
            favor_precision=options.focus == "precision",
        )
        return text or ""

    return run
