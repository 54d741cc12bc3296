"""Where the blocks of a page stand: in lists, tables and code; and the body container of a known template."""

from typing import Any

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.columns import (
    B_CHARS,
    B_HANGUL,
    B_LINKED,
    B_NODE,
    N_HIDDEN,
    N_PARENT,
    N_RANK,
    N_TAG,
)
from algok.filters.extraction.blocks.names import CHROME, TAGS
from algok.filters.extraction.blocks.scan import Scan
from algok.filters.extraction.containers import (
    HANGUL_SHARE,
    KOREAN_RANKS,
    LARGEST_SHARE,
    LEAST_CHARS,
    LEAST_SHARE,
    MOST_LINKED,
    RANKS,
)

__all__ = [
    "L_CELL",
    "L_HEADING",
    "L_INDENT",
    "L_ITEM",
    "L_NUMBER",
    "L_PRE",
    "L_ROW",
    "L_TABLE",
    "container",
    "keep_code",
    "places",
]

#: Columns of ``places``. Nodes, or -1: the code, data table, row, cell and list item that holds a node. ``indent``:
#: lists around the item, less one. ``number``: of the item in an ordered list, else 0. ``heading``: level 1 to 6, or 0.
PLACES = ("pre", "table", "row", "cell", "item", "indent", "number", "heading")
L_PRE, L_TABLE, L_ROW, L_CELL, L_ITEM, L_INDENT, L_NUMBER, L_HEADING = range(len(PLACES))

_ID = {name: place for place, name in enumerate(TAGS)}
_LISTS = np.array([name in ("ul", "ol", "menu") for name in TAGS])
#: Blocks that a cell of a data table does not hold, and those of them that are larger than a paragraph
#: (``algok.filters.extraction.markdown``).
_INNER = np.array(
    [name in ["table", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "div", "p", "blockquote"] for name in TAGS]
)
_LARGER = np.array([name in ["table", "ul", "ol", "pre", "h1", "h2", "h3", "h4", "blockquote"] for name in TAGS])
#: Lines, and visible characters, that a cell of a data table holds at most.
_MOST_LINES, _MOST_CHARS = 6, 1_000
_HOLDERS = np.array([name in ["div", "article", "section", "main", "td"] for name in TAGS])
_UNSEEN = np.array([name in ["nav", "aside", "footer", "dialog", "label"] for name in TAGS])
_CHROMED = np.array([name in ["div", "section", "ul", "ol", "p", "nav", "aside", "dl", "table"] for name in TAGS])
_PRE, _TABLE, _TR, _TD, _TH, _LI, _OL, _H1 = (
    _ID[name] for name in ["pre", "table", "tr", "td", "th", "li", "ol", "h1"]
)


def places(found: Scan) -> Any:
    """int64[nodes, PLACES]."""
    out = np.full((len(found.nodes), len(PLACES)), -1, np.int64)
    _places(found.nodes, found.blocks, out, _LISTS, _INNER, _LARGER)
    return out


def container(found: Scan) -> Any | None:
    """The blocks of the one body container of a known template, bool[blocks], what is no text in it left out; ``None``
    where there is no such container, or it is not to be taken at its word: the rules of ``find_container``, on nodes
    instead of elements."""
    if not (found.nodes[:, N_RANK] >= 0).any():
        return None
    chosen = np.zeros(len(found.blocks), np.bool_)
    node = _container(found.nodes, found.groups, found.blocks, chosen, _HOLDERS, _UNSEEN, _CHROMED)
    return chosen if node >= 0 and chosen.any() else None


def keep_code(found: Scan, chosen: Any) -> None:
    """Choose code that stands between chosen blocks of the element around it, in place: the models know more of news
    than of programs."""
    if (found.nodes[:, N_TAG] == _PRE).any():
        _keep_code(found.nodes, found.blocks, chosen)


@njit(nogil=True, cache=True)
def _keep_code(nodes, blocks, chosen):  # type: ignore[no-untyped-def]
    n = len(nodes)
    count = len(blocks)
    low = np.full(n, count, np.int64)
    high = np.full(n, -1, np.int64)
    for b in range(count):
        node = blocks[b, B_NODE]
        low[node] = min(low[node], b)
        high[node] = max(high[node], b)
    for node in range(n - 1, 0, -1):
        up = nodes[node, N_PARENT]
        low[up] = min(low[up], low[node])
        high[up] = max(high[up], high[node])
    after = np.full(count + 1, count, np.int64)  # the nearest chosen block from here on
    for b in range(count - 1, -1, -1):
        after[b] = b if chosen[b] else after[b + 1]
    before = -1
    for b in range(count):
        node = blocks[b, B_NODE]
        if chosen[b]:
            before = b
        elif nodes[node, N_TAG] == _PRE:
            # Up to the element that holds more than this code.
            while node > 0 and low[node] == low[blocks[b, B_NODE]] and high[node] == high[blocks[b, B_NODE]]:
                node = nodes[node, N_PARENT]
            if before >= low[node] and after[b + 1] <= high[node]:
                chosen[b] = True
                before = b


@njit(nogil=True, cache=True)
def _places(nodes, blocks, out, lists, inner, larger):  # type: ignore[no-untyped-def]
    n = len(nodes)
    items = np.zeros(n, np.int64)
    cells = np.zeros(n, np.int64)
    width = np.zeros(n, np.int64)
    widest = np.zeros(n, np.int64)
    holds = np.zeros(n, np.int64)
    full = np.zeros(n, np.bool_)
    layout = np.zeros(n, np.bool_)
    for node in range(n):
        tag = nodes[node, N_TAG]
        up = nodes[node, N_PARENT]
        out[node, L_INDENT] = -1
        out[node, L_NUMBER] = 0
        out[node, L_HEADING] = 0
        if up >= 0:
            for column in range(8):
                out[node, column] = out[up, column]
        cell = out[node, L_CELL]
        if cell >= 0 and inner[tag]:
            holds[cell] += 1
            if larger[tag] or holds[cell] > 1:
                full[cell] = True
            if tag == _TABLE:
                layout[out[node, L_TABLE]] = True
        if tag == _PRE:
            out[node, L_PRE] = node
        elif tag == _TABLE:
            out[node, L_TABLE] = node
            out[node, L_ROW] = -1
            out[node, L_CELL] = -1
        elif tag == _TR:
            out[node, L_ROW] = node
            out[node, L_CELL] = -1
        elif tag in (_TD, _TH):
            out[node, L_CELL] = node
            table = out[node, L_TABLE]
            row = out[node, L_ROW]
            if table >= 0 and row >= 0:
                cells[table] += 1
                width[row] += 1
                widest[table] = max(widest[table], width[row])
        elif lists[tag]:
            out[node, L_INDENT] += 1
            out[node, L_ITEM] = -1
        elif tag == _LI:
            out[node, L_ITEM] = node
            items[up] += 1
            out[node, L_NUMBER] = items[up] if nodes[up, N_TAG] == _OL else 0
            out[node, L_INDENT] = max(out[node, L_INDENT], 0)
        elif tag >= _H1 and tag < _H1 + 6:
            out[node, L_HEADING] = tag - _H1 + 1
    # A cell of many lines or of a long text is no datum either, whatever elements it is made of.
    lines = np.zeros(n, np.int64)
    chars = np.zeros(n, np.int64)
    for b in range(len(blocks)):
        cell = out[blocks[b, B_NODE], L_CELL]
        if cell >= 0:
            lines[cell] += 1
            chars[cell] += blocks[b, B_CHARS]
            if lines[cell] > _MOST_LINES or chars[cell] > _MOST_CHARS:
                full[cell] = True
                if chars[cell] > _MOST_CHARS and out[cell, L_TABLE] >= 0:
                    layout[out[cell, L_TABLE]] = True
    filled = np.zeros(n, np.int64)
    for node in range(n):
        if full[node]:
            filled[out[node, L_TABLE] if out[node, L_TABLE] >= 0 else 0] += 1
    for node in range(n):
        table = out[node, L_TABLE]
        if table >= 0 and (layout[table] or widest[table] < 2 or 2 * filled[table] > cells[table]):
            out[node, L_TABLE] = -1


@njit(nogil=True, cache=True)
def _container(nodes, groups, blocks, chosen, holders, unseen, chromed):  # type: ignore[no-untyped-def]
    n = len(nodes)
    chars = np.zeros(n, np.int64)
    linked = np.zeros(n, np.int64)
    hangul = np.zeros(n, np.int64)
    for b in range(len(blocks)):
        node = blocks[b, B_NODE]
        chars[node] += blocks[b, B_CHARS]
        linked[node] += blocks[b, B_LINKED]
        hangul[node] += blocks[b, B_HANGUL]
    for node in range(n - 1, 0, -1):
        up = nodes[node, N_PARENT]
        chars[up] += chars[node]
        linked[up] += linked[node]
        hangul[up] += hangul[node]
    total = chars[0]
    picked = -1
    for rank in range(len(RANKS)):
        inside = np.zeros(n, np.bool_)
        largest = -1
        together = 0
        for node in range(1, n):
            up = nodes[node, N_PARENT]
            here = nodes[node, N_RANK] == rank and holders[nodes[node, N_TAG]]
            if here and not inside[up]:
                together += chars[node]
                if largest < 0 or chars[node] > chars[largest]:
                    largest = node
            inside[node] = here or inside[up]
        if largest < 0:
            continue
        if chars[largest] < LARGEST_SHARE * together:
            return -1
        if chars[largest] < max(LEAST_CHARS, LEAST_SHARE * total):
            continue
        if rank >= KOREAN_RANKS and hangul[largest] <= HANGUL_SHARE * chars[largest]:
            return -1
        if linked[largest] > MOST_LINKED * chars[largest]:
            return -1
        picked = largest
        break
    if picked < 0:
        return -1
    state = np.zeros(n, np.int8)  # 1: in the container, 2: in its chrome
    for node in range(1, n):
        state[node] = state[nodes[node, N_PARENT]]
        tag = nodes[node, N_TAG]
        if node == picked:
            state[node] = 1
        elif state[node] == 1:
            marked = chromed[tag] and (
                (groups[node] >> np.uint64(CHROME)) & np.uint64(1) != 0 or nodes[node, N_HIDDEN] & 1 != 0
            )
            if unseen[tag] or (marked and 2 * chars[node] <= chars[picked]):
                state[node] = 2
    for b in range(len(blocks)):
        chosen[b] = state[blocks[b, B_NODE]] == 1
    return picked
