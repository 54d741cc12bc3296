"""Which elements a tag ends: the rules of HTML for end tags that are left out, on a stack of nodes."""

import numpy as np
from numba import njit

from algok.filters.extraction.blocks.columns import N_TAG
from algok.filters.extraction.blocks.names import TAGS

__all__ = ["close", "close_implied"]

_P, _LI, _DT, _DD, _TR, _TD, _TH, _TABLE, _UL, _OL, _MENU, _DL, _BODY, _HTML = (
    TAGS.index(name)
    for name in ["p", "li", "dt", "dd", "tr", "td", "th", "table", "ul", "ol", "menu", "dl", "body", "html"]
)
#: Elements beyond which an end tag does not reach.
_SCOPE = np.array([name in ("td", "th", "table", "caption", "html", "body") for name in TAGS])
_TABLE_PARTS = np.array([name in ["table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption"] for name in TAGS])
#: Levels that an end tag looks up for its element. Deeper nesting than this between the two is no page of this world.
_LOOK = 128


@njit(nogil=True)
def close_implied(stack, depth, nodes, tag):  # type: ignore[no-untyped-def]
    """The stack without the elements that a begin tag ends: p before any block, li before li, cells, rows."""
    top = nodes[stack[depth - 1], N_TAG]
    if top == _P and depth > 1:
        depth -= 1
    if tag == _LI:
        return _close_up_to(stack, depth, nodes, _LI, _LI, _UL, _OL, _MENU)
    if tag in (_DT, _DD):
        return _close_up_to(stack, depth, nodes, _DT, _DD, _DL, _DL, _DL)
    if tag in (_TD, _TH):
        return _close_up_to(stack, depth, nodes, _TD, _TH, _TR, _TABLE, _TABLE)
    if tag == _TR:
        return _close_up_to(stack, depth, nodes, _TR, _TR, _TABLE, _TABLE, _TABLE)
    return depth


@njit(nogil=True)
def _close_up_to(stack, depth, nodes, one, other, stop, stop2, stop3):  # type: ignore[no-untyped-def]
    """The stack without the nearest of two elements and all in it, unless one of three others is nearer."""
    at = depth - 1
    while at > 0 and at > depth - _LOOK:
        tag = nodes[stack[at], N_TAG]
        if tag in (stop, stop2, stop3):
            break
        if tag in (one, other):
            return at
        at -= 1
    return depth


@njit(nogil=True)
def close(stack, depth, nodes, tag):  # type: ignore[no-untyped-def]
    """The stack after an end tag; one without a begin changes nothing."""
    if tag in (_BODY, _HTML):
        return depth  # browsers go on
    at = depth - 1
    while at > 0 and at > depth - _LOOK:
        current = nodes[stack[at], N_TAG]
        if current == tag:
            return at
        if _SCOPE[current] and not (_TABLE_PARTS[tag] and current != _TABLE):
            break
        at -= 1
    return depth
