"""Main text and structure signals of crawled pages, in a process that a hostile page cannot take down.

``PageExtractor`` turns batches of ``RECORDS`` into batches of ``DOCUMENTS``.
"""

from algok.filters.extraction.extractor import PageExtractor
from algok.filters.extraction.gating import Gate, Verdict
from algok.filters.extraction.options import ENGINES, ExtractOptions

__all__ = ["ENGINES", "ExtractOptions", "Gate", "PageExtractor", "Verdict"]
