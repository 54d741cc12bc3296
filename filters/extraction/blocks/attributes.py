"""The attributes of a begin tag that say what an element is for: class, id, role, itemprop; and what hides it."""

import numpy as np
from numba import njit

from algok.filters.tagsoup import place_of

__all__ = ["attributes"]

#: Bytes of a value that are read.
_MOST = 400


@njit(nogil=True)
def attributes(data, at, end, missing, words, masks, tokens, token_ranks, out, own):  # type: ignore[no-untyped-def]
    """Behind the begin tag whose attributes start ``at``.

    The words of class, id, role and itemprop are added to ``own[0]``; ``out``: least rank of a container, whether it is
    hidden (bit 0 by style, bit 1 by another attribute), hash of the classes.
    """
    i = at
    while i < end:
        c = data[i]
        if c == 62:
            return i + 1
        if c <= 32 or c == 47:
            i += 1
            continue
        name = np.uint64(0)
        size = 0
        while i < end:
            c = data[i]
            if c == 61 or c == 62 or c <= 32 or (c == 47 and size > 0):
                break
            if c >= 65 and c <= 90:
                c |= np.uint8(0x20)
            if size < 8:
                name |= np.uint64(c) << np.uint64(56 - 8 * size)
            size += 1
            i += 1
        while i < end and data[i] <= 32:
            i += 1
        value_from = value_to = i
        if i < end and data[i] == 61:
            i += 1
            while i < end and data[i] <= 32:
                i += 1
            if i < end and (data[i] == 34 or data[i] == 39):
                quote = data[i]
                which = 0 if quote == 34 else 1
                i += 1
                value_from = i
                if not missing[which]:
                    k = i
                    while k < end and data[k] != quote:
                        k += 1
                    if k < end:
                        value_to = k
                        i = k + 1
                    else:
                        missing[which] = True
                        value_to = i
            else:
                value_from = i
                while i < end and data[i] > 32 and data[i] != 62:
                    i += 1
                value_to = i
        if size == 5 and name == np.uint64(0x636C617373000000):  # class
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, False, out, own)
        elif size == 2 and name == np.uint64(0x6964000000000000):  # id
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, True, out, own)
        elif (size == 4 and name == np.uint64(0x726F6C6500000000)) or (
            size == 8 and name == np.uint64(0x6974656D70726F70)
        ):
            _value(data, value_from, value_to, words, masks, tokens, token_ranks, False, out, own)
        elif size == 5 and name == np.uint64(0x7374796C65000000):  # style
            if _hides(data, value_from, value_to):
                out[1] |= 1
        elif (size == 6 and name == np.uint64(0x68696464656E0000)) or (
            size == 11 and name == np.uint64(0x617269612D686964) and value_to - value_from == 4
        ):  # hidden
            out[1] |= 2
    return end


@njit(nogil=True)
def _hides(data, start, end):  # type: ignore[no-untyped-def]
    """Whether a style says display: none."""
    at = start
    while at + 11 < end:
        if (
            (data[at] | 0x20) == 100
            and (data[at + 1] | 0x20) == 105
            and (data[at + 2] | 0x20) == 115
            and (data[at + 3] | 0x20) == 112
            and (data[at + 4] | 0x20) == 108
            and (data[at + 5] | 0x20) == 97
            and (data[at + 6] | 0x20) == 121
        ):
            k = at + 7
            while k < end and (data[k] <= 32 or data[k] == 58):
                k += 1
            if k + 3 < end and (data[k] | 0x20) == 110 and (data[k + 1] | 0x20) == 111 and (data[k + 2] | 0x20) == 110:
                return True
        at += 1
    return False


@njit(nogil=True)
def _value(data, start, end, words, masks, tokens, token_ranks, is_id, out, own):  # type: ignore[no-untyped-def]
    """Add the words of an attribute to ``own``, and the rank of its tokens to ``out``."""
    end = min(end, start + _MOST)
    word = np.uint64(0)
    size = 0
    hashed = np.uint64(0xCBF29CE484222325)
    if is_id:
        hashed = (hashed ^ np.uint64(35)) * np.uint64(0x100000001B3)
    fresh = hashed
    before = np.uint8(0)
    length = 0
    for i in range(start, end + 1):
        c = data[i] if i < end else np.uint8(32)
        if c <= 32:
            if length > 0:
                k = place_of(hashed, tokens)
                if k >= 0 and (out[0] < 0 or token_ranks[k] < out[0]):
                    out[0] = token_ranks[k]
                if not is_id:
                    out[2] = np.int64((np.uint64(out[2]) ^ hashed) & np.uint64(0x7FFFFFFFFFFFFFFF))
            hashed = fresh
            length = 0
        else:
            hashed = (hashed ^ np.uint64(c)) * np.uint64(0x100000001B3)
            length += 1
        is_upper = c >= 65 and c <= 90
        lowered = c | np.uint8(0x20) if is_upper else c
        is_letter = (lowered >= 97 and lowered <= 122) or (c >= 48 and c <= 57 and size > 0)
        if size > 0 and (not is_letter or (is_upper and before >= 97 and before <= 122)):
            k = place_of(word, words)
            if k >= 0:
                own[0] |= masks[k]
            word = np.uint64(0)
            size = 0
        if is_letter:
            if size < 8:
                word |= np.uint64(lowered) << np.uint64(56 - 8 * size)
            size += 1
        before = c
