"""The language gate: which pages of a crawl are worth extracting, decided before the expensive step.

``decide`` has the gate itself; it is not imported here, since it brings compiled code and the language model along.
"""

from algok.filters.gate.options import LANGUAGE, SAMPLED, GateOptions

__all__ = ["LANGUAGE", "SAMPLED", "GateOptions"]
