"""Count of Hangul letters, the cheap second signal of the language."""

import numpy as np
from numba import njit

from algok.filters.characters import ALPHA, HANGUL
from algok.filters.signals.stamp import source_stamp

__all__ = ["hangul_letters"]

_REPLACEMENT = 0xFFFD


def _build(sources: int):  # type: ignore[no-untyped-def]
    @njit(nogil=True, cache=True)
    def hangul_letters(data, offsets, rows, table, out):  # type: ignore[no-untyped-def]
        """Hangul letters and all letters of the documents ``rows``, written to ``out`` (int64, (documents, 2))."""
        if sources < 0:  # never; it makes the stamp part of the key under which numba caches this kernel
            return
        for r in range(len(rows)):
            row = rows[r]
            i = offsets[row]
            end = offsets[row + 1]
            hangul = 0
            letters = 0
            while i < end:
                byte = np.uint32(data[i])
                if byte < 0x80:
                    code = byte
                    i += 1
                elif byte >= 0xE0 and byte < 0xF0 and i + 2 < end:
                    code = (
                        ((byte & np.uint32(0x0F)) << np.uint32(12))
                        | ((np.uint32(data[i + 1]) & np.uint32(0x3F)) << np.uint32(6))
                        | (np.uint32(data[i + 2]) & np.uint32(0x3F))
                    )
                    i += 3
                elif byte >= 0xF0 and i + 3 < end:
                    code = (
                        ((byte & np.uint32(0x07)) << np.uint32(18))
                        | ((np.uint32(data[i + 1]) & np.uint32(0x3F)) << np.uint32(12))
                        | ((np.uint32(data[i + 2]) & np.uint32(0x3F)) << np.uint32(6))
                        | (np.uint32(data[i + 3]) & np.uint32(0x3F))
                    )
                    code = min(code, np.uint32(0x10FFFF))
                    i += 4
                elif byte >= 0xC0 and byte < 0xE0 and i + 1 < end:
                    code = ((byte & np.uint32(0x1F)) << np.uint32(6)) | (np.uint32(data[i + 1]) & np.uint32(0x3F))
                    i += 2
                else:
                    code = np.uint32(_REPLACEMENT)
                    i += 1
                letters += (table[code] & ALPHA) != 0
                hangul += (table[code] & HANGUL) != 0
            out[row, 0] = hangul
            out[row, 1] = letters

    return hangul_letters


#: The compiled kernel.
hangul_letters = _build(source_stamp("algok.filters.characters"))
