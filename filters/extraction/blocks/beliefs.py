"""What the second model sees besides: what the first says of the neighbours and of all that is in the same elements."""

from typing import Any

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.columns import B_CHARS, B_NODE, N_PARENT, N_RANK
from algok.filters.extraction.blocks.features import LEVELS, share, within
from algok.filters.extraction.blocks.scan import Scan

__all__ = ["SECOND", "second"]

_BACK = (-4, -3, -2, -1, 1, 2, 3, 4)
SECOND: tuple[str, ...] = (
    "p",
    *(f"p{offset:+}" for offset in _BACK),
    *(f"p_within_{size}" for size in (3, 8, 20)),
    *(f"p_up{level}" for level in range(LEVELS)),
    *(f"p_last_above_{name}" for name in ("chars", "blocks")),
    "p_page", "p_best", "in_best", "best_share", "best_before", "best_after", "p_rank", "p_mark",
)  # fmt: skip


def second(found: Scan, p: Any) -> Any:
    """float32[blocks, SECOND] from the probabilities float32[blocks] of the first model."""
    out = np.zeros((len(found.blocks), len(SECOND)), np.float32)
    if len(out):
        _second(found.nodes, found.blocks, p, out)
    return out


@njit(nogil=True, cache=True)
def _second(nodes, blocks, p, out):  # type: ignore[no-untyped-def]
    n = len(nodes)
    count = len(blocks)
    chars = np.zeros(n, np.float64)
    kept = np.zeros(n, np.float64)
    number = np.zeros(n, np.float64)
    kept_blocks = np.zeros(n, np.float64)
    low = np.full(n, count, np.int64)
    high = np.full(n, -1, np.int64)
    total = total_kept = 0.0
    prefix = np.zeros(count + 1, np.float64)
    prefix_kept = np.zeros(count + 1, np.float64)
    for b in range(count):
        node = blocks[b, B_NODE]
        c = np.float64(blocks[b, B_CHARS])
        k = c * p[b]
        chars[node] += c
        kept[node] += k
        number[node] += 1
        kept_blocks[node] += p[b]
        low[node] = min(low[node], b)
        high[node] = max(high[node], b)
        total += c
        total_kept += k
        prefix[b + 1] = prefix[b] + c
        prefix_kept[b + 1] = prefix_kept[b] + k
    for node in range(n - 1, 0, -1):
        up = nodes[node, N_PARENT]
        chars[up] += chars[node]
        kept[up] += kept[node]
        number[up] += number[node]
        kept_blocks[up] += kept_blocks[node]
        low[up] = min(low[up], low[node])
        high[up] = max(high[up], high[node])
    # The element that is the best answer by itself: greatest expected F1 of all its text.
    best = 0
    value = -1.0
    for node in range(n):
        if chars[node] > 0:
            f1 = 2 * kept[node] / (chars[node] + total_kept + 1e-9)
            if f1 >= value:
                value = f1
                best = node
    inside = np.zeros(n, np.int64)
    holder = np.full(n, -1, np.int64)
    for node in range(n):
        inside[node] = node == best
        up = nodes[node, N_PARENT]
        if nodes[node, N_RANK] >= 0:
            holder[node] = node
        if up >= 0:
            inside[node] |= inside[up]
            if holder[node] < 0:
                holder[node] = holder[up]
    for b in range(count):
        row = out[b]
        node = blocks[b, B_NODE]
        row[0] = p[b]
        f = 1
        for offset in range(-4, 5):
            if offset != 0:
                o = b + offset
                row[f] = p[o] if o >= 0 and o < count else -1
                f += 1
        for size in (3, 8, 20):
            a = max(0, b - size)
            z = min(count, b + size + 1)
            row[f] = share(prefix_kept[z] - prefix_kept[a], prefix[z] - prefix[a])
            f += 1
        at = node
        for _ in range(LEVELS):
            row[f] = share(kept[at], chars[at])
            f += 1
            if at > 0:
                at = nodes[at, N_PARENT]
        up = nodes[node, N_PARENT] if node > 0 else 0
        row[f] = share(kept[up] - kept[node], chars[up] - chars[node])
        row[f + 1] = share(kept_blocks[up] - p[b], number[up] - 1)
        f += 2
        row[f] = share(total_kept, total)
        row[f + 1] = value
        row[f + 2] = inside[node]
        row[f + 3] = share(kept[best], total_kept)
        row[f + 4] = within(low[best] - b, 50)
        row[f + 5] = within(b - high[best], 50)
        row[f + 6] = share(kept[holder[node]], chars[holder[node]]) if holder[node] >= 0 else np.float32(-1)
        row[f + 7] = share(kept[holder[node]], total_kept) if holder[node] >= 0 else np.float32(-1)
