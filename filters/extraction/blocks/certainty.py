"""What is measured of a page and the choice of its blocks, for the model that says how good the choice is."""

from typing import Any

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.columns import B_CHARS, B_HANGUL, B_IDEOGRAPHS, B_LINKED
from algok.filters.extraction.blocks.features import FIRST, SECOND
from algok.filters.extraction.blocks.scan import Scan

__all__ = ["PAGE", "page_row"]

PAGE = """
    expected expected_first chars chosen_chars chosen_share blocks doubtful distance apart linked runs mean_chosen
    least_chosen most_left largest hangul ideographs best best_share in_best top_share page_linked page_good headings
""".split()  # noqa: SIM905
#: Characters from which a block is looked at by itself.
_LARGE = 100
_COLUMNS = np.array(
    [
        *(len(FIRST) + SECOND.index(name) for name in ("p_best", "best_share", "in_best")),
        *(FIRST.index(name) for name in ("top_share", "page_linked", "page_good", "heading")),
    ]
)


def page_row(found: Scan, rows: Any, guess: Any, p: Any, chosen: Any) -> Any:
    """float32[1, PAGE] of a page with at least one block.

    ``rows`` float32[blocks, FIRST + SECOND], ``guess`` and ``p`` the probabilities of the two models, ``chosen``
    bool[blocks].
    """
    out = np.zeros((1, len(PAGE)), np.float32)
    _page(found.blocks, rows, guess, p, chosen, _COLUMNS, out[0])
    return out


@njit(nogil=True, cache=True)
def _page(blocks, rows, guess, p, chosen, columns, out):  # type: ignore[no-untyped-def]
    total = hit = believed = hit_first = believed_first = picked = picked_first = doubtful = distance = apart = 0.0
    linked = inside = hangul = ideographs = largest = sum_chosen = 0.0
    least, most = 1.0, 0.0
    number = runs = headings = 0
    before = False
    for b in range(len(blocks)):
        chars = np.float64(blocks[b, B_CHARS])
        total += chars
        believed += chars * p[b]
        believed_first += chars * guess[b]
        if p[b] > 0.2 and p[b] < 0.8:
            doubtful += chars
        distance += chars * abs(p[b] - 0.5)
        apart += chars * abs(p[b] - guess[b])
        hangul += blocks[b, B_HANGUL]
        ideographs += blocks[b, B_IDEOGRAPHS]
        if guess[b] >= 0.5:
            picked_first += chars
            hit_first += chars * guess[b]
        if chosen[b]:
            picked += chars
            hit += chars * p[b]
            number += 1
            sum_chosen += p[b]
            linked += blocks[b, B_LINKED]
            largest = max(largest, chars)
            headings += rows[b, columns[6]] > 0
            if rows[b, columns[2]] > 0:
                inside += chars
            if not before:
                runs += 1
            if chars >= _LARGE:
                least = min(least, p[b])
        elif chars >= _LARGE:
            most = max(most, p[b])
        before = chosen[b]
    values = (
        2 * hit / (picked + believed) if hit > 0 else 0.0,
        2 * hit_first / (picked_first + believed_first) if hit_first > 0 else 0.0,
        np.log2(1 + total),
        np.log2(1 + picked),
        picked / total,
        np.log2(1.0 + len(blocks)),
        doubtful / total,
        distance / total,
        apart / total,
        linked / max(picked, 1.0),
        np.float64(runs),
        sum_chosen / max(number, 1),
        least,
        most,
        largest / total,
        hangul / total,
        ideographs / total,
        np.float64(rows[0, columns[0]]),
        np.float64(rows[0, columns[1]]),
        inside / max(picked, 1.0),
        np.float64(rows[0, columns[3]]),
        np.float64(rows[0, columns[4]]),
        np.float64(rows[0, columns[5]]),
        np.float64(headings),
    )
    for i in range(len(values)):
        out[i] = values[i]
