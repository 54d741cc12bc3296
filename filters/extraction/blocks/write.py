"""The text of chosen blocks with its structure, in the writing of ``algok.filters.extraction.markdown``."""

import html
from collections import defaultdict
from typing import Any

import numpy as np

from algok.filters.extraction.blocks.columns import (
    B_CHARS,
    B_NODE,
    B_PIECE,
    B_PIECES,
    N_TAG,
)
from algok.filters.extraction.blocks.layout import (
    L_CELL,
    L_HEADING,
    L_INDENT,
    L_ITEM,
    L_NUMBER,
    L_PRE,
    L_ROW,
    L_TABLE,
    places,
)
from algok.filters.extraction.blocks.names import TAGS
from algok.filters.extraction.blocks.scan import Scan
from algok.filters.extraction.markdown import Style, code_lines

__all__ = ["block_text", "write"]

_TH = TAGS.index("th")


def write(found: Scan, chosen: Any, style: Style) -> str:
    """Markdown-like text, one line a block, of the blocks where ``chosen`` (bool[blocks]) holds.

    A data table is written as a whole when most of its text is chosen.
    """
    return _Writer(found, chosen, style).text()


def block_text(found: Scan, block: int, *, lines: bool = False) -> str:
    """Text of a block, white space collapsed; with ``lines`` as it stands, for code."""
    data = found.data
    begin = int(found.blocks[block, B_PIECE])
    spans = found.pieces[begin : begin + int(found.blocks[block, B_PIECES])].tolist()
    raw = b"".join([data[a:b] if a >= 0 else b"\n" for a, b in spans])
    text = raw.decode("utf-8", "replace")
    if "&" in text:
        text = html.unescape(text)
    return text if lines else " ".join(text.split())


class _Writer:
    def __init__(self, found: Scan, chosen: Any, style: Style) -> None:
        self._found = found
        self._style = style
        every = places(found)
        self._places = every[found.blocks[:, B_NODE]]
        self._chosen = chosen
        self._tables = self._whole_tables() if style.tables else set()
        self._blocks_of: dict[int, list[int]] = defaultdict(list)
        self._cells_of: dict[int, list[int]] = defaultdict(list)
        if self._tables:
            inside = np.flatnonzero(self._places[:, L_TABLE] >= 0)
            for block, table in zip(inside.tolist(), self._places[inside, L_TABLE].tolist(), strict=True):
                self._blocks_of[table].append(block)
            cells = np.flatnonzero(every[:, L_CELL] == np.arange(len(every)))
            for cell, row in zip(cells.tolist(), every[cells, L_ROW].tolist(), strict=True):
                self._cells_of[row].append(cell)

    def _whole_tables(self) -> set[int]:
        """Data tables of which most of the text is chosen."""
        tables = self._places[:, L_TABLE]
        if not (tables >= 0).any():
            return set()
        chars = self._found.blocks[:, B_CHARS]
        size = len(self._found.nodes)
        inside = tables >= 0
        every = np.bincount(tables[inside], chars[inside], size)
        inside &= self._chosen
        kept = np.bincount(tables[inside], chars[inside], size)
        return set(np.flatnonzero(2 * kept > every).tolist())

    def text(self) -> str:
        lines: list[str] = []
        style = self._style
        item = -1
        written: set[int] = set()
        blocks = np.flatnonzero(self._chosen).tolist()
        for block, place in zip(blocks, self._places[self._chosen].tolist(), strict=True):
            if place[L_TABLE] in self._tables:
                if place[L_TABLE] not in written:
                    written.add(place[L_TABLE])
                    lines += self._table(place[L_TABLE])
                continue
            if place[L_PRE] >= 0:
                lines += self._code(block)
                continue
            text = block_text(self._found, block)
            if not text:
                continue
            if place[L_HEADING]:
                text = text.removesuffix("¶").rstrip()
                lines.append(f"{'#' * place[L_HEADING]} {text}" if style.headings else text)
            elif place[L_ITEM] >= 0 and style.lists:
                marker = f"{place[L_NUMBER]}. " if place[L_NUMBER] else "- "
                prefix = "  " * place[L_INDENT] + marker
                if place[L_ITEM] == item:
                    prefix = " " * len(prefix) if place[L_INDENT] > 0 else ""
                lines.append(prefix + text)
            else:
                lines.append(text)
            item = place[L_ITEM]
        return "\n".join(lines)

    def _code(self, block: int) -> list[str]:
        text = block_text(self._found, block, lines=True).replace("\r\n", "\n").strip("\n").rstrip()
        return code_lines(text, self._style)

    def _table(self, table: int) -> list[str]:
        rows: dict[int, dict[int, list[str]]] = {}
        lines: list[str] = []
        for block in self._blocks_of[table]:
            row, cell = int(self._places[block, L_ROW]), int(self._places[block, L_CELL])
            text = block_text(self._found, block)
            if row < 0 or cell < 0:
                lines.append(text)
            else:
                rows.setdefault(row, {}).setdefault(cell, []).append(text)
        tags = self._found.nodes[:, N_TAG]
        for number, (row, texts) in enumerate(sorted(rows.items())):
            cells = self._cells_of[row]
            if len(cells) == 1:
                lines.append(" ".join(texts[cells[0]]))
                continue
            lines.append(f"| {' | '.join(' '.join(texts.get(cell, [])) for cell in cells)} |")
            if number == 0 and all(tags[cell] == _TH for cell in cells):
                lines.append("|" + "---|" * len(cells))
        return lines
