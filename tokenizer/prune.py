"""Choosing the pieces that save most tokens.

Candidates come from a BPE trainer, more of them than wanted. A piece's worth is the number of tokens that the sample
would grow by without it: its uses in the least-cost segmentation, times the pieces that would spell it, minus one.
The least worthy are dropped in rounds, since the worth of the others changes as neighbours go. Measured against the
plain cut at the same size, see docs/tokenizer.md; top-down pruning for fewest tokens is described as PathPiece in
Schmidt et al. 2024, "Tokenization Is More Than Compression".
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba import njit

from algok.tokenizer.segment import Bytes, Ints, Trie, reach

__all__ = ["count_uses", "spelling_sizes", "worth"]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_uses(
    data: Bytes, offsets: npt.NDArray[np.int64], tree: Ints, unknown_cost: int, counts: npt.NDArray[np.int64]
) -> int:
    """Add to ``counts`` (int64, by id) how often each piece is used in the lines ``data[offsets[i]:offsets[i + 1]]``.

    Returns the bytes that no piece covers.
    """
    room, bare = 1024, 0
    best, back, piece = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    for line in range(len(offsets) - 1):
        start, end = offsets[line], offsets[line + 1]
        size = end - start
        if size > room:
            room = max(size, 2 * room)
            best, back = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32)
            piece = np.empty(room + 1, np.int32)
        reach(data, start, end, tree, unknown_cost, -1, best, back, piece)
        at = size
        while at > 0:
            if piece[at] >= 0:
                counts[piece[at]] += 1
            else:
                bare += at - back[at]
            at = back[at]
    return bare


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spelling_sizes(data: Bytes, offsets: npt.NDArray[np.int64], tree: Ints, unknown_cost: int) -> Ints:
    """How many other pieces spell each piece: int32[n]. Piece i has the bytes ``data[offsets[i]:offsets[i + 1]]``.

    A byte without piece counts as one."""
    count = len(offsets) - 1
    out = np.zeros(count, np.int32)
    room = 4096
    best, back, piece = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    for index in range(count):
        start, end = offsets[index], offsets[index + 1]
        reach(data, start, end, tree, unknown_cost, index, best, back, piece)
        at = end - start
        while at > 0:
            out[index] += 1 if piece[at] >= 0 else at - back[at]
            at = back[at]
    return out


def worth(
    surfaces: list[bytes],
    fixed: npt.NDArray[np.bool_],
    target: int,
    trie_of: Callable[[list[bytes]], Trie],
    lines: tuple[Bytes, npt.NDArray[np.int64]],
    *,
    keep: float = 0.85,
    progress: Callable[[float], None] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Prune ``surfaces`` to ``target`` pieces: (indices of the kept ones, ascending; their uses in the sample).

    ``fixed`` pieces stay whatever their worth. ``keep`` is the share kept in a round. Equal worth: the earlier stays.
    """
    alive = np.arange(len(surfaces))
    start = len(alive)
    while True:
        current = [surfaces[i] for i in alive]
        trie = trie_of(current)
        counts = np.zeros(len(alive), np.int64)
        count_uses(*lines, trie.tree, trie.unknown_cost, counts)
        if progress is not None:
            progress(min(1.0, (start - len(alive)) / max(1, start - target)))
        if len(alive) <= target:
            return alive, counts
        offsets = np.zeros(len(current) + 1, np.int64)
        np.cumsum([len(s) for s in current], out=offsets[1:])
        spelt = spelling_sizes(np.frombuffer(b"".join(current), np.uint8), offsets, trie.tree, trie.unknown_cost)
        value = counts * (spelt - 1).astype(np.int64)
        value[fixed[alive]] = np.iinfo(np.int64).max
        size = max(target, int(len(alive) * keep))
        order = np.lexsort((alive, -value))
        alive = np.sort(alive[order[:size]])
