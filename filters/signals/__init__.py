"""Text signals of documents: the numbers that a policy decides on.

``measure`` fills the text signals of ``schema.SIGNALS`` and ``content_hash``; what the extractor knows of the page's
structure is left alone. The modules: ``characters`` (Unicode classes), ``scan`` (words, lines, terms), ``repetition``
(Gopher), ``content`` (the hash for exact deduplication).
"""

from algok.filters.signals.characters import class_table
from algok.filters.signals.content import content_hashes
from algok.filters.signals.measure import TEXT_SIGNALS, measure

__all__ = ["TEXT_SIGNALS", "class_table", "content_hashes", "measure"]
