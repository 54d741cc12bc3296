"""New candidates for a vocabulary: neighbours in the segmentation, joined.

A BPE trainer's candidates are one family of nested pieces, and after pruning many frequent neighbours in the
segmentation have no piece together. Joining a pair saves one token wherever the two meet, so pairs are ranked by how
often they meet; within a document meetings count by their square root, as uses do in ``prune``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from algok.tokenizer.prune import Lines
from algok.tokenizer.segment import Trie, encode_rows

__all__ = ["joins"]

Counts = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]

#: Text segmented at once, in bytes: bounds the memory for pairs (about 10 bytes a byte).
_CHUNK = 32_000_000


def joins(
    surfaces: list[bytes], trie: Trie, lines: Lines, count: int, allowed: Callable[[bytes], bool], chunk: int = _CHUNK
) -> list[bytes]:
    """The ``count`` most frequent pairs of neighbours in the segmentation of ``lines``, as new pieces, best first.

    ``trie``: of ``surfaces``, with their positions as ids; larger ids (bytes without piece) are not joined. ``allowed``
    says whether a piece may be. Equal counts: the pair of the lower ids first. Fewer if there are no more pairs.
    """
    pairs, counts = np.zeros(0, np.int64), np.zeros(0, np.float64)
    for part in _parts(lines, chunk):
        here = _count(part, trie, len(surfaces))
        pairs, counts = _add(np.concatenate([pairs, here[0]]), np.concatenate([counts, here[1]]))
    known, found = set(surfaces), dict[bytes, None]()
    for index in np.argsort(-counts, kind="stable").tolist():
        if len(found) >= count:
            break
        first, second = divmod(int(pairs[index]), len(surfaces))
        piece = surfaces[first] + surfaces[second]
        if piece not in known and allowed(piece):
            found[piece] = None
    return list(found)


def _parts(lines: Lines, chunk: int) -> Iterator[Lines]:
    """The lines in parts of about ``chunk`` bytes, whole documents each."""
    count, begin = len(lines.owners), 0
    while begin < count:
        end = max(begin + 1, int(np.searchsorted(lines.offsets, lines.offsets[begin] + chunk, side="right")) - 1)
        end = int(np.searchsorted(lines.owners, lines.owners[min(end, count) - 1], side="right"))
        yield replace(lines, offsets=lines.offsets[begin : end + 1], owners=lines.owners[begin:end])
        begin = end


def _count(lines: Lines, trie: Trie, size: int) -> Counts:
    """(pairs as first * size + second, ascending; their counts: the square root of their number in a document, times
    the document's weight, summed)."""
    ids, ends = encode_rows(lines.data, lines.offsets, trie.nodes, trie.values, trie.byte_ids, trie.unknown_cost, -1)
    if len(ids) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.float64)
    within = np.ones(len(ids) - 1, np.bool_)
    borders = ends[1:-1]
    within[borders[(borders > 0) & (borders < len(ids))] - 1] = False
    within &= (ids[:-1] < size) & (ids[1:] < size)
    pairs = ids[:-1][within].astype(np.int64) * size + ids[1:][within]
    owners = np.repeat(lines.owners, np.diff(ends))[:-1][within]
    order = np.argsort(pairs, kind="stable")  # owners ascend, and still do within a pair
    pairs, owners = pairs[order], owners[order]
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(pairs) != 0) | (np.diff(owners) != 0)])[: len(pairs)])
    numbers = np.diff(np.append(starts, len(pairs)))
    return _add(pairs[starts], lines.weights[owners[starts]] * np.sqrt(numbers))


def _add(pairs: npt.NDArray[np.int64], counts: npt.NDArray[np.float64]) -> Counts:
    """Each pair once, ascending, with the sum of its counts."""
    order = np.argsort(pairs, kind="stable")
    pairs, counts = pairs[order], counts[order]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(pairs) != 0])[: len(pairs)])
    return pairs[starts], np.add.reduceat(counts, starts) if len(starts) else counts
