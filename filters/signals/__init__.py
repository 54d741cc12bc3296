"""Text signals of documents: the numbers that a policy decides on.

``measure`` fills the text signals of ``schema.SIGNALS`` and ``content_hash``; what the extractor knows of the page's
structure is left alone. The modules: ``scan`` (words, lines, terms), ``repetition`` (Gopher), ``content`` (the hash for
exact deduplication). Compiled code is cached beside the modules; numba notices a change in the module of a kernel but
not in those that it calls, so whoever edits ``scan`` or ``repetition`` removes ``signals/__pycache__``.
"""

from algok.filters.signals.content import content_hash
from algok.filters.signals.measure import TEXT_SIGNALS, measure

__all__ = ["TEXT_SIGNALS", "content_hash", "measure"]
