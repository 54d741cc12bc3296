"""The compiled code that reads text: folding, hashing of shingles and lines, signatures.

All in one module, since numba's cache notices a change in the module of a kernel and not in those that it calls.
Indices are unsigned where it matters (numba tests signed ones for being negative), and every step of 32-bit
arithmetic is cast (numba widens it).
"""

import numpy as np
from numba import njit

__all__ = [
    "COMPOSE",
    "DROP",
    "PUNCTUATION",
    "SEPARATOR",
    "TABLE_SIZE",
    "fold",
    "hash_row",
    "hash_sets",
    "minima",
    "scan_lines",
    "sign",
    "xxh32",
]

#: Values of the folding table: what separates words, and what is dropped.
SEPARATOR, DROP = 0, 1
#: Set in the table for code points that composition may change; such texts take the slow path first.
COMPOSE = 0x8000_0000
#: Set in the table for punctuation and symbols, which separate words but belong to character shingles.
PUNCTUATION = 0x4000_0000
#: The table ends here; what lies above are rare Han ideographs, which stand for themselves, and unassigned planes.
TABLE_SIZE = 0x20000


@njit(cache=True, nogil=True)
def fold(data, start, end, table, spaces, trusted, out, marks):  # type: ignore[no-untyped-def]
    """Fold the UTF-8 bytes ``data[start:end]`` into ``out``; the workhorse of shingling.

    ``marks`` receives the start in ``out`` of every word (``spaces``) or code point (not ``spaces``), and one more
    entry: the end plus the one byte of a separator if ``spaces``, else the end. Words are one space apart, so word i
    is ``out[marks[i] : marks[i + 1] - 1]``. Returns (number of words or code points, bytes written), or (-1, 0) if
    the text needs composition and ``trusted`` is false. ``out`` must hold 1.5 x the bytes plus 8, ``marks`` the bytes
    plus 2.
    """
    n = 0
    count = 0
    inside = False
    i = start
    while i < end:
        lead = data[i]
        size = 1
        code = np.uint32(lead)
        if lead >= 0x80:
            if lead >= 0xF0:
                size = 4
            elif lead >= 0xE0:
                size = 3
            else:
                size = 2
            if i + size > end:
                break  # cut in mid-character
            if size == 3:  # most of Korean: no loop
                code = np.uint32(
                    (np.uint32(lead & 0x0F) << np.uint32(12))
                    | (np.uint32(data[i + 1] & 0x3F) << np.uint32(6))
                    | np.uint32(data[i + 2] & 0x3F)
                )
                if 0xAC00 <= code <= 0xD7A3:  # Hangul syllables stand for themselves
                    if not inside or not spaces:
                        inside = True
                        marks[count] = n
                        count += 1
                    out[n] = lead
                    out[n + 1] = data[i + 1]
                    out[n + 2] = data[i + 2]
                    n += 3
                    i += 3
                    continue
            else:
                code = np.uint32(lead & (0x1F if size == 2 else 0x07))
                for k in range(1, size):
                    code = np.uint32((code << np.uint32(6)) | np.uint32(data[i + k] & 0x3F))
        value = code
        if code < TABLE_SIZE:
            value = table[code]
            if value >= COMPOSE:
                if not trusted:
                    return -1, 0
                value = np.uint32(value & np.uint32(0x7FFF_FFFF))
            if value >= PUNCTUATION:
                value = np.uint32(SEPARATOR) if spaces else np.uint32(value & np.uint32(0x3FFF_FFFF))
            if value <= DROP:
                if value == SEPARATOR and inside:
                    inside = False
                    if spaces:
                        out[n] = 0x20
                        n += 1
                i += size
                continue
        if not inside or not spaces:
            inside = True
            marks[count] = n
            count += 1
        if value == code:
            for k in range(size):
                out[n + k] = data[i + k]
            n += size
        elif value < 0x80:
            out[n] = np.uint8(value)
            n += 1
        elif value < 0x800:
            out[n] = np.uint8(0xC0 | (value >> 6))
            out[n + 1] = np.uint8(0x80 | (value & 0x3F))
            n += 2
        elif value < 0x10000:
            out[n] = np.uint8(0xE0 | (value >> 12))
            out[n + 1] = np.uint8(0x80 | ((value >> 6) & 0x3F))
            out[n + 2] = np.uint8(0x80 | (value & 0x3F))
            n += 3
        else:
            out[n] = np.uint8(0xF0 | (value >> 18))
            out[n + 1] = np.uint8(0x80 | ((value >> 12) & 0x3F))
            out[n + 2] = np.uint8(0x80 | ((value >> 6) & 0x3F))
            out[n + 3] = np.uint8(0x80 | (value & 0x3F))
            n += 4
        i += size
    if spaces:
        if inside:
            out[n] = 0x20
            n += 1
        marks[count] = n
        return count, max(n - 1, 0)
    marks[count] = n
    return count, n


@njit(cache=True, nogil=True, inline="always")
def _read32(data, i):  # type: ignore[no-untyped-def]
    # The index must be unsigned: for a signed one numba tests for negative indices, and the four loads are not merged.
    return (
        np.uint32(data[i])
        | np.uint32(np.uint32(data[i + np.uint64(1)]) << np.uint32(8))
        | np.uint32(np.uint32(data[i + np.uint64(2)]) << np.uint32(16))
        | np.uint32(np.uint32(data[i + np.uint64(3)]) << np.uint32(24))
    )


@njit(cache=True, nogil=True, inline="always")
def _rotate(x, r):  # type: ignore[no-untyped-def]
    return np.uint32(np.uint32(x << np.uint32(r)) | np.uint32(x >> np.uint32(32 - r)))


@njit(cache=True, nogil=True, inline="always")
def _round(acc, lane):  # type: ignore[no-untyped-def]
    acc = np.uint32(acc + np.uint32(lane * np.uint32(2246822519)))
    return np.uint32(_rotate(acc, 13) * np.uint32(2654435761))


@njit(cache=True, nogil=True)
def xxh32(data, start, end):  # type: ignore[no-untyped-def]
    """xxHash, 32 bits, seed 0, of ``data[start:end]`` (xxHash specification 0.1.1).

    numba widens uint32 arithmetic to uint64, hence the cast around every step.
    """
    p1, p2, p3 = np.uint32(2654435761), np.uint32(2246822519), np.uint32(3266489917)
    p4, p5 = np.uint32(668265263), np.uint32(374761393)
    i = np.uint64(start)
    end = np.uint64(end)
    size = np.uint32(end - i)
    if size >= 16:
        v1 = np.uint32(606290984)  # p1 + p2
        v2 = p2
        v3 = np.uint32(0)
        v4 = np.uint32(1640531535)  # -p1
        while i + np.uint64(16) <= end:
            v1 = _round(v1, _read32(data, i))
            v2 = _round(v2, _read32(data, i + np.uint64(4)))
            v3 = _round(v3, _read32(data, i + np.uint64(8)))
            v4 = _round(v4, _read32(data, i + np.uint64(12)))
            i += np.uint64(16)
        h = np.uint32(np.uint32(_rotate(v1, 1) + _rotate(v2, 7)) + np.uint32(_rotate(v3, 12) + _rotate(v4, 18)))
    else:
        h = p5
    h = np.uint32(h + size)
    while i + np.uint64(4) <= end:
        h = np.uint32(h + np.uint32(_read32(data, i) * p3))
        h = np.uint32(_rotate(h, 17) * p4)
        i += np.uint64(4)
    while i < end:
        h = np.uint32(h + np.uint32(np.uint32(data[i]) * p5))
        h = np.uint32(_rotate(h, 11) * p1)
        i += np.uint64(1)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(15))) * p2)
    h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(13))) * p3)
    return np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@njit(cache=True, nogil=True)
def hash_row(data, start, end, mode, table, trusted, out, marks, hashes):  # type: ignore[no-untyped-def]
    """Hash the shingles of one text into ``hashes``; their number, or -1 if the text needs composition first."""
    words = mode > 0
    n = mode if words else -mode
    gap = 1 if words else 0
    count, size = fold(data, start, end, table, words, trusted, out, marks)
    if count < 0:
        return -1
    if count == 0:
        return 0
    if count <= n:
        hashes[0] = xxh32(out, 0, size)
        return 1
    for i in range(count - n + 1):
        hashes[i] = xxh32(out, marks[i], marks[i + n] - gap)
    return count - n + 1


@njit(cache=True, nogil=True)
def hash_sets(data, offsets, valid, modes, table, trusted, limit, values, ends, slow):  # type: ignore[no-untyped-def]
    """Sorted distinct hashes of every row into ``values``; at most the ``limit`` smallest of a row."""
    longest = 0
    for row in range(len(valid)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    out = np.empty(longest * 3 // 2 + 8, dtype=np.uint8)
    marks = np.empty(longest + 2, dtype=np.int64)
    hashes = np.empty(longest + 1, dtype=np.uint32)
    used = 0
    for row in range(len(valid)):
        if valid[row]:
            n = hash_row(data, offsets[row], offsets[row + 1], modes[row], table, trusted, out, marks, hashes)
            if n < 0:
                slow[row] = True
            elif n > 0:
                part = np.sort(hashes[:n])
                taken = 0
                for i in range(n):
                    if taken < limit and (i == 0 or part[i] != part[i - 1]):
                        values[used] = part[i]
                        used += 1
                        taken += 1
        ends[row] = used
    return used


@njit(cache=True, nogil=True)
def _mix(hashes, n):  # type: ignore[no-untyped-def]
    for i in range(n):
        h = hashes[i]
        h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(16))) * np.uint32(0x85EBCA6B))
        h = np.uint32(np.uint32(h ^ np.uint32(h >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        hashes[i] = np.uint32(h ^ np.uint32(h >> np.uint32(16)))


@njit(cache=True, nogil=True)
def minima(hashes, n, a, b, signature):  # type: ignore[no-untyped-def]
    """Minimum of every permutation over the mixed ``hashes[:n]``: the inner loop has no memory traffic but the
    hashes."""
    for p in range(len(a)):
        factor = a[p]
        summand = b[p]
        low = np.uint32(0xFFFFFFFF)
        for i in range(n):
            value = np.uint32(np.uint32(hashes[i] * factor) + summand)
            low = min(low, value)
        signature[p] = low


@njit(cache=True, nogil=True)
def sign(data, offsets, valid, modes, table, trusted, a, b, matrix, made, slow):  # type: ignore[no-untyped-def]
    longest = 0
    for row in range(len(valid)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    out = np.empty(longest * 3 // 2 + 8, dtype=np.uint8)
    marks = np.empty(longest + 2, dtype=np.int64)
    hashes = np.empty(longest + 1, dtype=np.uint32)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        n = hash_row(data, offsets[row], offsets[row + 1], modes[row], table, trusted, out, marks, hashes)
        if n < 0:
            slow[row] = True
        elif n > 0:
            _mix(hashes, n)
            minima(hashes, n, a, b, matrix[row])
            made[row] = True


@njit(cache=True, nogil=True)
def _hash64(data, size):  # type: ignore[no-untyped-def]
    """Words of eight bytes (the last padded with zeros), each through MurmurHash3's 64-bit finaliser."""
    h = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    at = np.uint64(0)
    end = np.uint64(size)
    while at < end:
        word = np.uint64(0)
        for k in range(np.uint64(8)):
            if at + k < end:
                word |= np.uint64(data[at + k]) << (np.uint64(8) * k)
        h = np.uint64(h ^ word)
        h = np.uint64(h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        h = np.uint64(h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        h = np.uint64(h ^ (h >> np.uint64(33)))
        at += np.uint64(8)
    return h


@njit(cache=True, nogil=True)
def scan_lines(data, offsets, valid, table, trusted, text, hashes, starts, ends, slow):  # type: ignore[no-untyped-def]
    longest = 0
    for row in range(len(valid)):
        longest = max(longest, offsets[row + 1] - offsets[row])
    out = np.empty(longest * 3 // 2 + 8, dtype=np.uint8)
    marks = np.empty(longest + 2, dtype=np.int64)
    used = 0
    for row in range(len(valid)):
        if not valid[row]:
            continue
        first, last = offsets[row], offsets[row + 1]
        begin = used
        at = first
        while at < last:
            end = at
            while end < last and data[end] != 0x0A:
                end += 1
            count, size = fold(data, at, end, table, True, trusted, out, marks)
            if count < 0:
                slow[row] = True
                used = begin
                break
            if count > 0:
                text[used] = row
                hashes[used] = _hash64(out, size)
                starts[used] = at - first
                ends[used] = end - first
                used += 1
            at = end + 1
    return used
