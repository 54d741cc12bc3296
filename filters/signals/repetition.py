"""Repeated lines, paragraphs and word n-grams (Rae et al. 2021, "Gopher", table A1) from 64-bit hashes.

All kernels work on arrays of hashes of one document. The scratch hash table is never cleared: every pass writes with a
new stamp, and slots of older stamps count as empty. A collision of two of a document's 64-bit hashes would change a
signal by one item; at 10**4 items a document the odds are 3e-12.
"""

import numpy as np
from numba import njit

__all__ = ["DUP_SIZES", "TOP_SIZES", "duplicates", "ngram_chars", "scramble"]

#: n of the "most frequent n-gram" and of the "repeated n-gram" signals (Gopher, table A1).
TOP_SIZES = (2, 3, 4)
DUP_SIZES = (5, 6, 7, 8, 9, 10)

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, odd (Knuth, TAOCP 6.4)
_SHIFT = np.uint64(32)
_EMPTY = np.int64(-1)


@njit(nogil=True, inline="always")
def scramble(state, value):  # type: ignore[no-untyped-def]
    """Next uint64 state of a hash chain after the uint64 ``value``."""
    state = (state ^ value) * _MULTIPLIER
    return state ^ (state >> _SHIFT)


@njit(nogil=True, inline="always")
def _slot(keys, stamps, mask, stamp, key):  # type: ignore[no-untyped-def]
    """Slot of ``key``, new or old; the caller tells them apart by the slot's stamp."""
    at = np.int64(key >> _SHIFT) & mask
    while stamps[at] == stamp and keys[at] != key:
        at = (at + 1) & mask
    return at


@njit(nogil=True, inline="always")
def _mask_for(items):  # type: ignore[no-untyped-def]
    """Size of the smallest power-of-two table that is at most half full, minus one."""
    size = np.int64(16)
    while size < 2 * items:
        size *= 2
    return size - 1


@njit(nogil=True)
def duplicates(hashes, sizes, count, keys, stamps, stamp):  # type: ignore[no-untyped-def]
    """Items equal to an earlier one, and their characters, among the first ``count`` of (hash, size)."""
    mask = _mask_for(count)
    repeated = 0
    chars = 0
    for i in range(count):
        at = _slot(keys, stamps, mask, stamp, hashes[i])
        if stamps[at] == stamp:
            repeated += 1
            chars += sizes[i]
        else:
            stamps[at] = stamp
            keys[at] = hashes[i]
    return repeated, chars


@njit(nogil=True)
def ngram_chars(  # type: ignore[no-untyped-def]
    hashes, starts, count, space, keys, stamps, counts, stamp, rolling, candidates, slots, out
):
    """Characters in the most frequent n-gram (n = 2, 3, 4) and in repeated n-grams (n = 5..10) of a document.

    ``hashes``: uint64 of every word; ``starts``: int32, characters before each word without white space, one more entry
    than words; ``space``: characters between two words of an n-gram when its length is counted (1, or 0 for words that
    are characters). ``out``: int64 (9,), written. Returns the last stamp used.

    Most frequent: times it occurs × its length; ties go to the one that occurs first, and an n-gram that occurs once
    counts, as in datatrove. Repeated: scanned from the left; an n-gram seen before adds its length without spaces and
    is skipped as a whole, any other is remembered and the scan moves one word.

    A position can only repeat at n if it repeats at n - 1, and so does the next one; the candidates of each n come
    from those of n - 1, so a text without repetition costs one pass whatever n is.
    """
    for k in range(9):
        out[k] = 0
    alive = max(0, count - 1)
    for i in range(count):
        rolling[i] = scramble(np.uint64(0), hashes[i])
    for i in range(alive):
        candidates[i] = i
    for n in range(2, 11):
        if count < n:
            break
        if n <= 4:
            out[n - 2] = starts[n] - starts[0] + space * (n - 1)
        if alive == 0:
            continue
        stamp += 1
        mask = _mask_for(alive)
        for k in range(alive):
            i = candidates[k]
            rolling[i] = scramble(rolling[i], hashes[i + n - 1])
            at = _slot(keys, stamps, mask, stamp, rolling[i])
            if stamps[at] == stamp:
                counts[at] += 1
            else:
                stamps[at] = stamp
                keys[at] = rolling[i]
                counts[at] = 1
            slots[k] = at
        if n <= 4:
            most = 1
            for k in range(alive):
                times = counts[slots[k]]
                if times > most:
                    most = times
                    i = candidates[k]
                    out[n - 2] = times * (starts[i + n] - starts[i] + space * (n - 1))
        else:
            total = 0
            free = 0
            for k in range(alive):
                i = candidates[k]
                at = slots[k]
                # counts < 0 marks an n-gram that the scan has visited.
                if i < free or counts[at] == 1:
                    continue
                if counts[at] < 0:
                    total += starts[i + n] - starts[i]
                    free = i + n
                else:
                    counts[at] = -counts[at]
            out[n - 2] = total
        # The candidates of n + 1: both its n-grams occur twice or more, and it fits into the text.
        kept = 0
        for k in range(alive - 1):
            i = candidates[k]
            following = slots[k + 1]
            if candidates[k + 1] == i + 1 and abs(counts[slots[k]]) > 1 and abs(counts[following]) > 1:
                candidates[kept] = i
                kept += 1
        alive = kept
    return stamp
