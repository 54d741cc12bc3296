"""Main text by blocks: a scan of the bytes, a look at every block, and how sure that look is."""

from typing import Any, NamedTuple

import numpy as np

from algok.filters.extraction.blocks.beliefs import second
from algok.filters.extraction.blocks.columns import (
    B_CHARS,
    N_TAG,
)
from algok.filters.extraction.blocks.features import first
from algok.filters.extraction.blocks.forest import Models, load, predict
from algok.filters.extraction.blocks.layout import container, keep_code
from algok.filters.extraction.blocks.names import DRAWN, NUMBERED, TAGS
from algok.filters.extraction.blocks.scan import Scan, scan
from algok.filters.extraction.blocks.write import write
from algok.filters.extraction.furniture import drop_furniture
from algok.filters.extraction.markdown import Style
from algok.filters.extraction.options import ExtractOptions

__all__ = ["Blocks", "Found"]

_PRE = TAGS.index("pre")


class Found(NamedTuple):
    """Main text and what it rests on. ``sure``: the F1 that is expected of the choice of blocks, 0 to 1 (1 for a
    template's container)."""

    text: str
    sure: float
    scan: Scan


class Blocks:
    """The engine; made once per process, which loads the models and compiled code. ``models``: others than those that
    come with the package."""

    def __init__(self, options: ExtractOptions, models: Models | None = None) -> None:
        self._style = Style(lists=options.lists, tables=options.tables, code=options.code, headings=options.headings)
        self._containers = options.containers
        self._bar = {"recall": 0.4, "balanced": 0.5, "precision": 0.6}[options.focus]
        self._models = models or load()
        # What is compiled is compiled or loaded here, and not on the clock of the first page that needs it.
        found = scan(b"<div class=entry-content><p>text<pre>code")
        if found is not None:
            container(found)
            write(found, self._choose(found)[0] | True, self._style)

    def __call__(self, page: bytes) -> Found | None:
        """Main text of a page in UTF-8; ``None`` for a page that this engine leaves to others."""
        found = scan(page)
        if found is None or found.formulas or found.every >> DRAWN & 1:
            return None  # formulas are kept as TeX, which takes a tree
        if found.every >> NUMBERED & 1 and (found.nodes[:, N_TAG] == _PRE).any():
            return None  # so does code beside a column of line numbers
        chosen = container(found) if self._containers else None
        sure = 1.0
        if chosen is None:
            chosen, sure = self._choose(found)
        return Found(drop_furniture(write(found, chosen, self._style)) if chosen.any() else "", sure, found)

    def _choose(self, found: Scan) -> tuple[Any, float]:
        """(bool[blocks], F1 by characters that is to be expected of the choice if the probabilities are right)."""
        if not len(found.blocks):
            return np.zeros(0, np.bool_), 0.0
        rows = first(found)
        rows = np.hstack([rows, second(found, predict(self._models.first, rows))])
        p = predict(self._models.second, rows).astype(np.float64)
        chosen = p >= self._bar
        chars = found.blocks[:, B_CHARS]
        hit = float((chars * p)[chosen].sum())
        sure = 2 * hit / (float(chars[chosen].sum()) + float((chars * p).sum())) if hit else 0.0
        keep_code(found, chosen)
        return chosen, sure
