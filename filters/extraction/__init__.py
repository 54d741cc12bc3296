"""Main text and structure signals of crawled pages, in a process that a hostile page cannot take down.

``PageExtractor`` turns batches of ``RECORDS`` into batches of ``DOCUMENTS``.
"""

from typing import TYPE_CHECKING, Any

from algok.filters.extraction.gating import Gate, Verdict
from algok.filters.extraction.options import ENGINES, ExtractOptions

if TYPE_CHECKING:
    from algok.filters.extraction.extractor import PageExtractor

__all__ = ["ENGINES", "ExtractOptions", "Gate", "PageExtractor", "Verdict"]


def __getattr__(name: str) -> Any:
    """``PageExtractor`` when it is asked for: the extracting child needs no Arrow, whose import takes 0.3 s of CPU."""
    if name == "PageExtractor":
        from algok.filters.extraction.extractor import PageExtractor

        return PageExtractor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
