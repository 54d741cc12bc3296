"""What is measured of every block for the first model: the block, its neighbours, the elements around it, the page."""

from typing import Any

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.columns import (
    B_BOLD,
    B_BROKEN,
    B_CHARS,
    B_COMMAS,
    B_DIGITS,
    B_HANGUL,
    B_IDEOGRAPHS,
    B_LINKED,
    B_LINKS,
    B_LOWER,
    B_NODE,
    B_PHRASES,
    B_STOPS,
    B_TAIL,
    B_UPPER,
    B_WORDS,
    N_HIDDEN,
    N_MARK,
    N_PARENT,
    N_RANK,
    N_TAG,
)
from algok.filters.extraction.blocks.names import GROUPS, PHRASES, TAGS
from algok.filters.extraction.blocks.scan import Scan

__all__ = ["FIRST", "LEVELS", "first", "share", "within"]

#: Elements around a block that the models are told of.
_AROUND = """
    nav aside footer header form figure main article table ul ol li dl blockquote pre address section details
    fieldset menu dialog label p figcaption h1 h2 h3 h4 td caption
""".split()  # noqa: SIM905
LEVELS = 5
_OWN = """
    chars linked words word_chars stops commas digits upper lower hangul ideographs broken tail links bold tag
    heading stop_rate
""".split()  # noqa: SIM905
_PLACE = """
    index index_share chars_before blocks page_chars page_linked page_good after_h1 depth top in_top top_share
    top_before top_after rank rank_share hidden same_node lca h1_seen
""".split()  # noqa: SIM905
_NEAR = ["chars", "linked", "stops", "heading", "same", "good"]
_NODE = ["chars", "linked", "blocks", "share", "mean", "good", "repeats"]
_OFFSETS = (-2, -1, 1, 2)

FIRST: tuple[str, ...] = (
    *_OWN,
    *(f"phrase{i}" for i in range(len(PHRASES))),
    *_PLACE,
    *(f"{name}{offset:+}" for offset in _OFFSETS for name in _NEAR),
    *(f"good_within_{size}" for size in (3, 8)),
    *(f"{name}_up{level}" for level in range(LEVELS) for name in _NODE),
    *(f"in_{name}" for name in _AROUND),
    *(f"any_{group[0]}" for group in GROUPS),
    *(f"near_{group[0]}" for group in GROUPS),
)
_TAG_BIT = np.zeros(len(TAGS), np.int64)
for _bit, _name in enumerate(_AROUND):
    _TAG_BIT[TAGS.index(_name)] = 1 << _bit
_H1 = TAGS.index("h1")
_ITEMS = np.zeros(len(TAGS), np.bool_)
for _name in [
    "p",
    "li",
    "dt",
    "dd",
    "td",
    "th",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "blockquote",
    "pre",
    "figcaption",
    "caption",
    "tr",
    "tbody",
]:
    _ITEMS[TAGS.index(_name)] = True
_N_FIRST = len(FIRST)


def first(found: Scan) -> Any:
    """float32[blocks, FIRST]."""
    out = np.zeros((len(found.blocks), _N_FIRST), np.float32)
    if len(out):
        sizes = len(_AROUND), len(GROUPS), len(PHRASES)
        _first(found.nodes, found.groups, found.blocks, out, _TAG_BIT, _ITEMS, *sizes)
    return out


@njit(nogil=True)
def _log(value):  # type: ignore[no-untyped-def]
    return np.float32(np.log2(1.0 + value))


@njit(nogil=True)
def within(value, most):  # type: ignore[no-untyped-def]
    return min(max(value, 0), most)


@njit(nogil=True)
def share(part, whole):  # type: ignore[no-untyped-def]
    return np.float32(part / whole) if whole > 0 else np.float32(0)


@njit(nogil=True, cache=True)
def _first(nodes, groups, blocks, out, tag_bit, items, n_around, n_groups, n_phrases):  # type: ignore[no-untyped-def]
    n = len(nodes)
    count = len(blocks)
    chars = np.zeros(n, np.int64)
    linked = np.zeros(n, np.int64)
    number = np.zeros(n, np.int64)
    good = np.zeros(n, np.int64)
    score = np.zeros(n, np.float64)
    low = np.full(n, count, np.int64)
    high = np.full(n, -1, np.int64)
    block_good = np.zeros(count, np.int64)
    total = total_linked = total_good = 0
    for b in range(count):
        node = blocks[b, B_NODE]
        c = blocks[b, B_CHARS]
        links = blocks[b, B_LINKED]
        chars[node] += c
        linked[node] += links
        number[node] += 1
        low[node] = min(low[node], b)
        high[node] = max(high[node], b)
        g = c - links if (c >= 60 or blocks[b, B_STOPS] > 0) and 3 * links <= c else 0
        block_good[b] = g
        good[node] += g
        total += c
        total_linked += links
        total_good += g
        if g >= 25:
            worth = 1.0 + blocks[b, B_COMMAS] + blocks[b, B_STOPS] + min(g / 100.0, 3.0)
            holder = node
            while items[nodes[holder, N_TAG]] and nodes[holder, N_PARENT] >= 0:
                holder = nodes[holder, N_PARENT]
            score[holder] += worth
            up = nodes[holder, N_PARENT]
            if up >= 0:
                score[up] += worth / 2
                up = nodes[up, N_PARENT]
                if up >= 0:
                    score[up] += worth / 4
    # Nodes come after their parents, so from the last to the first everything below is summed.
    for node in range(n - 1, 0, -1):
        up = nodes[node, N_PARENT]
        chars[up] += chars[node]
        linked[up] += linked[node]
        number[up] += number[node]
        good[up] += good[node]
        low[up] = min(low[up], low[node])
        high[up] = max(high[up], high[node])
    top = 0
    best = -1.0
    for node in range(n):
        if score[node] > 0:
            value = score[node] * (1.0 - share(linked[node], chars[node]))
            if value > best:
                best = value
                top = node
    # From above: what is around, the nearest container of a template, whether anything hides it, its depth.
    around = np.zeros(n, np.int64)
    any_group = np.zeros(n, np.uint64)
    near_group = np.zeros(n, np.uint64)
    holder = np.full(n, -1, np.int64)
    hidden = np.zeros(n, np.int64)
    level = np.zeros(n, np.int64)
    in_top = np.zeros(n, np.int64)
    # How many siblings are of the same kind.
    size = 16
    while size < 2 * n:
        size *= 2
    keys = np.zeros(size, np.uint64)
    counts = np.zeros(size, np.int64)
    slot = np.zeros(n, np.int64)
    for node in range(n):
        up = nodes[node, N_PARENT]
        around[node] = tag_bit[nodes[node, N_TAG]]
        any_group[node] = groups[node]
        near_group[node] = groups[node]
        hidden[node] = nodes[node, N_HIDDEN]
        if nodes[node, N_RANK] >= 0:
            holder[node] = node
        in_top[node] = node == top
        if up >= 0:
            around[node] |= around[up]
            # The words of body and html are about the site, not about what is in it.
            if level[up] >= 2:
                any_group[node] |= any_group[up]
                near_group[node] |= groups[up]
                above = nodes[up, N_PARENT]
                if above >= 0 and level[above] >= 2:
                    near_group[node] |= groups[above]
            hidden[node] |= hidden[up]
            if holder[node] < 0:
                holder[node] = holder[up]
            level[node] = level[up] + 1
            in_top[node] |= in_top[up]
        key = (
            np.uint64(up + 2) * np.uint64(0x9E3779B97F4A7C15)
            ^ np.uint64(nodes[node, N_MARK]) * np.uint64(0xC2B2AE3D27D4EB4F)
            ^ np.uint64(nodes[node, N_TAG] + 1) * np.uint64(0x165667B19E3779F9)
        ) | np.uint64(1)
        at = np.int64((key >> np.uint64(20)) & np.uint64(size - 1))
        while keys[at] != 0 and keys[at] != key:
            at = (at + 1) & (size - 1)
        keys[at] = key
        counts[at] += 1
        slot[node] = at
    prefix = np.zeros(count + 1, np.int64)
    prefix_good = np.zeros(count + 1, np.int64)
    for b in range(count):
        prefix[b + 1] = prefix[b] + blocks[b, B_CHARS]
        prefix_good[b + 1] = prefix_good[b] + block_good[b]
    last_h1 = -1
    for b in range(count):
        row = out[b]
        node = blocks[b, B_NODE]
        tag = nodes[node, N_TAG]
        c = blocks[b, B_CHARS]
        f = 0
        row[0] = _log(c)
        row[1] = share(blocks[b, B_LINKED], c)
        row[2] = _log(blocks[b, B_WORDS])
        row[3] = share(c, blocks[b, B_WORDS])
        row[4] = min(blocks[b, B_STOPS], 20)
        row[5] = min(blocks[b, B_COMMAS], 20)
        row[6] = share(blocks[b, B_DIGITS], c)
        row[7] = share(blocks[b, B_UPPER], c)
        row[8] = share(blocks[b, B_LOWER], c)
        row[9] = share(blocks[b, B_HANGUL], c)
        row[10] = share(blocks[b, B_IDEOGRAPHS], c)
        row[11] = blocks[b, B_BROKEN]
        tail = blocks[b, B_TAIL]
        if tail == 46 or tail == 33 or tail == 63 or tail == 0x3002 or tail == 0xFF01 or tail == 0xFF1F:
            row[12] = 3
        elif tail == 34 or tail == 0x201D or tail == 41:
            row[12] = 2
        elif tail == 58:
            row[12] = 4
        elif tail == 0x2026:
            row[12] = 5
        else:
            row[12] = 1
        row[13] = min(blocks[b, B_LINKS], 20)
        row[14] = share(blocks[b, B_BOLD], c)
        row[15] = tag
        row[16] = tag - _H1 + 1 if tag >= _H1 and tag < _H1 + 6 else 0
        row[17] = share(blocks[b, B_STOPS], c)
        f = 18
        for bit in range(n_phrases):
            row[f + bit] = (blocks[b, B_PHRASES] >> bit) & 1
        f += n_phrases
        row[f] = min(b, 500)
        row[f + 1] = share(b, count)
        row[f + 2] = share(prefix[b], total)
        row[f + 3] = _log(count)
        row[f + 4] = _log(total)
        row[f + 5] = share(total_linked, total)
        row[f + 6] = share(total_good, total)
        row[f + 7] = min(b - last_h1, 100) if last_h1 >= 0 else 200
        row[f + 8] = level[node]
        row[f + 9] = 1.0 if holder[node] >= 0 else 0.0
        row[f + 10] = in_top[node]
        row[f + 11] = share(chars[top], total)
        row[f + 12] = within(low[top] - b, 50)
        row[f + 13] = within(b - high[top], 50)
        row[f + 14] = nodes[holder[node], N_RANK] if holder[node] >= 0 else -1
        row[f + 15] = share(chars[holder[node]], total) if holder[node] >= 0 else np.float32(0)
        row[f + 16] = hidden[node]
        row[f + 17] = number[node]
        common = node
        steps = 0
        while common >= 0 and not (common == top or (low[common] <= low[top] and high[common] >= high[top])):
            common = nodes[common, N_PARENT]
            steps += 1
        row[f + 18] = min(steps, 20)
        row[f + 19] = last_h1 >= 0
        f += 20
        for offset in range(-2, 3):
            if offset == 0:
                continue
            o = b + offset
            if o >= 0 and o < count:
                row[f] = _log(blocks[o, B_CHARS])
                row[f + 1] = share(blocks[o, B_LINKED], blocks[o, B_CHARS])
                row[f + 2] = min(blocks[o, B_STOPS], 20)
                other = nodes[blocks[o, B_NODE], N_TAG]
                row[f + 3] = other >= _H1 and other < _H1 + 6
                row[f + 4] = (
                    2.0
                    if blocks[o, B_NODE] == node
                    else (1.0 if nodes[blocks[o, B_NODE], N_PARENT] == nodes[node, N_PARENT] else 0.0)
                )
                row[f + 5] = _log(block_good[o])
            else:
                row[f] = -1
            f += 6
        for size in (3, 8):
            a = max(0, b - size)
            z = min(count, b + size + 1)
            row[f] = share(prefix_good[z] - prefix_good[a] - block_good[b], prefix[z] - prefix[a] - c)
            f += 1
        at = node
        for _ in range(LEVELS):
            row[f] = _log(chars[at])
            row[f + 1] = share(linked[at], chars[at])
            row[f + 2] = _log(number[at])
            row[f + 3] = share(chars[at], total)
            row[f + 4] = share(chars[at], number[at])
            row[f + 5] = share(good[at], chars[at])
            row[f + 6] = min(counts[slot[at]], 50)
            f += 7
            if at > 0:
                at = nodes[at, N_PARENT]
        for bit in range(n_around):
            row[f + bit] = (around[node] >> bit) & 1
        f += n_around
        for bit in range(n_groups):
            row[f + bit] = np.float32((any_group[node] >> np.uint64(bit)) & np.uint64(1))
        f += n_groups
        for bit in range(n_groups):
            row[f + bit] = np.float32((near_group[node] >> np.uint64(bit)) & np.uint64(1))
        if tag == _H1:
            last_h1 = b
