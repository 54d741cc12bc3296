"""Shingles: the overlapping pieces of a text whose sets are compared.

Word shingles are n words in a row joined by single spaces; character shingles are n code points in a row of the text
without white space, for Korean and for languages that put no spaces between words. Each is hashed by xxh32 (seed 0)
over its UTF-8 bytes after ``normalise``. A text with fewer words than a shingle is one shingle, whole; a text without
any word (characters: of nothing but white space) has none.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from algok.dedup.normalise import composed, fold, fold_table, normalise_text, text_buffers
from algok.errors import RecipeError

__all__ = ["ShingleOptions", "shingle_hashes", "shingle_modes", "shingles_of", "xxh32"]

I32 = npt.NDArray[np.int32]

#: Languages written without spaces between words: Japanese, Chinese, Wu, Yue, Thai, Lao, Khmer, Burmese, Tibetan.
UNSPACED = ("ja", "zh", "wuu", "yue", "th", "lo", "km", "my", "bo")
#: Korean takes character shingles too: particles and endings are glued to its words, so that one changed particle
#: costs five word shingles of few. Measured on neardup_pairs: of the pairs whose character 5-gram Jaccard is .80 to
#: .85, word 5-shingles see a similarity of .54 to .82 and find 80 % at a threshold of .6, which is right for 63 % of
#: what it takes; character shingles find all.
CHARACTER_LANGUAGES = ("ko", *UNSPACED)


class ShingleOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shingles are made of."""

    #: Words in a shingle (5: FineWeb, Penedo et al. 2024).
    words: int = 5
    #: Code points in a character shingle.
    chars: int = 5
    #: Languages (ISO 639) that take character shingles.
    char_languages: tuple[str, ...] = CHARACTER_LANGUAGES

    def __post_init__(self) -> None:
        for name, value in (("words", self.words), ("chars", self.chars)):
            if not 1 <= value <= 100:
                raise RecipeError(f"dedup.shingles.{name} must be 1 to 100, not {value}")


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
def _hash_sets(data, offsets, valid, modes, table, trusted, limit, values, ends, slow):  # type: ignore[no-untyped-def]
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


def shingle_modes(languages: pa.Array | None, rows: int, options: ShingleOptions) -> I32:
    """Per row: n for word n-shingles, -n for character n-shingles; null and unknown languages take words."""
    if languages is None or pa.types.is_null(languages.type):
        return np.full(rows, options.words, dtype=np.int32)
    if pa.types.is_dictionary(languages.type):
        languages = languages.dictionary_decode()
    chars = pc.is_in(languages, value_set=pa.array(options.char_languages, languages.type))
    return np.where(chars.to_numpy(zero_copy_only=False), -options.chars, options.words).astype(np.int32)


def composed_rows(texts: pa.Array, rows: Any) -> pa.Array:
    """The texts at ``rows`` after composition: the slow path."""
    return pa.array([composed(text) for text in texts.take(pa.array(rows)).to_pylist()], pa.large_string())


def shingle_hashes(
    texts: pa.Array, languages: pa.Array | None, options: ShingleOptions | None = None, *, limit: int = 0
) -> pa.Array:
    """The set of shingle hashes of each text: ``large_list<uint32>``, ascending, distinct; null texts have an empty
    one.

    With ``limit`` > 0 only that many smallest hashes of a text are kept: a bottom-k sketch (Cohen & Kaplan 2007), for
    bounded memory. Two different shingles of a pair of texts share a hash with probability 2^-32.
    """
    options = options or ShingleOptions()
    modes = shingle_modes(languages, len(texts), options)
    data, offsets = text_buffers(texts)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    slow = np.zeros(len(texts), dtype=np.bool_)
    ends = np.zeros(len(texts), dtype=np.int64)
    values = np.empty(int(offsets[-1] - offsets[0]) + len(texts) + 1, dtype=np.uint32)
    cap = limit if limit > 0 else np.iinfo(np.int64).max
    used = _hash_sets(data, offsets, valid, modes, fold_table(), False, cap, values, ends, slow)
    sets = pa.LargeListArray.from_arrays(np.concatenate([np.zeros(1, np.int64), ends]), values[:used].copy())
    if not slow.any():
        return sets
    rows = np.flatnonzero(slow)
    again = composed_rows(texts, rows)
    data, offsets = text_buffers(again)
    ends = np.zeros(len(rows), dtype=np.int64)
    values = np.empty(int(offsets[-1]) + len(rows) + 1, dtype=np.uint32)
    ok = np.ones(len(rows), dtype=np.bool_)
    used = _hash_sets(data, offsets, ok, modes[rows], fold_table(), True, cap, values, ends, slow)
    fixed = pa.LargeListArray.from_arrays(np.concatenate([np.zeros(1, np.int64), ends]), values[:used].copy())
    order = np.arange(len(texts))
    order[rows] = len(texts) + np.arange(len(rows))
    return pa.concat_arrays([sets, fixed]).take(pa.array(order))


def shingles_of(text: str, language: str | None = None, options: ShingleOptions | None = None) -> list[str]:
    """The shingles of one text in order, repeats included: for explanations and as the oracle of the fast path.

    >>> shingles_of("The cat sat on the mat.", options=ShingleOptions(words=4))
    ['the cat sat on', 'cat sat on the', 'sat on the mat']
    >>> shingles_of("東京タワー", "ja", ShingleOptions(chars=4))
    ['東京タワ', '京タワー']
    """
    options = options or ShingleOptions()
    if language in options.char_languages:
        folded, n, glue = normalise_text(text, spaces=False), options.chars, ""
        units = list(folded)
    else:
        folded, n, glue = normalise_text(text), options.words, " "
        units = folded.split(" ") if folded else []
    if not units:
        return []
    return [glue.join(units[i : i + n]) for i in range(max(1, len(units) - n + 1))]
