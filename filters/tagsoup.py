"""Compiled pieces of a scan of tag soup, in bytes of UTF-8: where tags, comments and characters end."""

import numpy as np
from numba import njit

__all__ = ["character", "comment_end", "end_tag", "place_of", "tag_end"]


@njit(nogil=True)
def place_of(name, names):  # type: ignore[no-untyped-def]
    """Place of a name among sorted ones, or -1."""
    low = 0
    high = len(names)
    while low < high:
        middle = (low + high) >> 1
        if names[middle] < name:
            low = middle + 1
        else:
            high = middle
    return low if low < len(names) and names[low] == name else -1


@njit(nogil=True)
def tag_end(data, at, end, missing):  # type: ignore[no-untyped-def]
    """Behind the > of a tag; one inside a quoted value does not count, unless the quote is never closed."""
    i = at
    while i < end:
        c = data[i]
        if c == 62:
            return i + 1
        if c == 61:  # = and a quote
            i += 1
            while i < end and (data[i] == 32 or data[i] == 10 or data[i] == 9 or data[i] == 13):
                i += 1
            if i < end and (data[i] == 34 or data[i] == 39):
                quote = data[i]
                which = 0 if quote == 34 else 1
                i += 1
                if not missing[which]:
                    k = i
                    while k < end and data[k] != quote:
                        k += 1
                    if k < end:
                        i = k + 1
                    else:
                        missing[which] = True
            continue
        i += 1
    return end


@njit(nogil=True)
def comment_end(data, i, end, missing):  # type: ignore[no-untyped-def]
    """Behind a comment, or a declaration; one that is never closed ends at the next >."""
    if i + 3 < end and data[i + 1] == 33 and data[i + 2] == 45 and data[i + 3] == 45:
        k = i + 4
        if k < end and data[k] == 62:
            return k + 1
        while not missing[2] and k + 2 < end:
            if data[k] == 45 and data[k + 1] == 45 and (data[k + 2] == 62 or data[k + 2] == 33):
                return k + 3
            k += 1
        missing[2] = True
    k = i
    while k < end and data[k] != 62:
        k += 1
    return k + 1


@njit(nogil=True)
def end_tag(data, i, end, name, size):  # type: ignore[no-untyped-def]
    """Where the end tag of an element begins, or -1."""
    size = min(size, 8)
    k = i
    while k + 2 + size <= end:
        if data[k] == 60 and data[k + 1] == 47:
            same = True
            for j in range(size):
                if np.uint64(data[k + 2 + j] | np.uint8(0x20)) != (name >> np.uint64(56 - 8 * j)) & np.uint64(0xFF):
                    same = False
                    break
            if same:
                return k
        k += 1
    return -1


@njit(nogil=True)
def character(data, i, end):  # type: ignore[no-untyped-def]
    """Code point and length of a character beyond ASCII; (-1, 1) for a byte that is no UTF-8."""
    lead = np.int64(data[i])
    if lead < 0xC2 or lead > 0xF4:
        return np.int64(-1), 1
    more = 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
    if i + more >= end:
        # Cut at the end of the page, as crawlers cut: no sign of another encoding.
        return (np.int64(32) if i + more >= end and i + 3 >= end else np.int64(-1)), end - i
    code = lead & (0x3F >> more)
    for k in range(1, more + 1):
        c = np.int64(data[i + k])
        if c & 0xC0 != 0x80:
            return np.int64(-1), 1
        code = (code << 6) | (c & 0x3F)
    return code, more + 1
