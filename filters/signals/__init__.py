"""Text signals of documents: the numbers that a policy decides on.

``measure`` fills the text signals of ``schema.SIGNALS`` and ``content_hash``; what the extractor knows of the page's
structure is left alone. The modules: ``scan`` (words, lines, terms), ``repetition`` (Gopher), ``content`` (the hash for
exact deduplication), ``hangul`` (its letters alone, for the language), ``stamp`` (keeps numba's cache honest).
"""

from algok.filters.signals.content import content_hash
from algok.filters.signals.measure import TEXT_SIGNALS, measure

__all__ = ["TEXT_SIGNALS", "content_hash", "measure"]
