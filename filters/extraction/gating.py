"""What extraction asks a gate in front of it, and what it is told."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from algok.filters.extraction.messages import Page

__all__ = ["Gate", "Verdict"]


class Verdict(NamedTuple):
    """``language`` and ``score`` as far as the gate looked; ``reason`` and ``detail`` are null for a page that
    passes."""

    language: str
    score: float
    reason: str | None
    detail: str | None


class Gate(Protocol):
    """Asked about pages before they are extracted; ``filters.gate.decide.LanguageGate`` is one."""

    def judge(self, pages: Sequence[Page], doc_ids: Sequence[bytes]) -> list[Verdict]:
        """One verdict a page, in order. Plain text has ``html`` false."""
        ...
