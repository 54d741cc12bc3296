"""Main text and structure signals of crawled pages, in a process that a hostile page cannot take down.

``PageExtractor`` turns batches of ``RECORDS`` into batches of ``DOCUMENTS``; ``quick_text`` is the cheap text that a
language gate looks at first.
"""

from algok.filters.extraction.extractor import Gate, PageExtractor
from algok.filters.extraction.options import ENGINES, ExtractOptions
from algok.filters.extraction.quick import quick_text

__all__ = ["ENGINES", "ExtractOptions", "Gate", "PageExtractor", "quick_text"]
