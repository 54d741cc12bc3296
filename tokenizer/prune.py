"""Choosing the pieces that save most tokens.

Candidates come from a BPE trainer, more of them than wanted. A piece's worth is the number of tokens that the sample
would grow by without it: its uses in the least-cost segmentation, times the pieces that would spell it, minus one.
Uses within one document count by their square root: a name or a template that fills one document says little about
other text (0.4 points fewer tokens on Korean sources that were not trained on, docs/tokenizer.md). The least worthy
are dropped in rounds, since the worth of the others changes as neighbours go. Top-down pruning for fewest tokens is
described as PathPiece in Schmidt et al. 2024, "Tokenization Is More Than Compression".
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from algok.tokenizer.segment import Bytes, Ints, Trie, count_uses, spelling_sizes

__all__ = ["Lines", "worth"]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Training text: line i is ``data[offsets[i]:offsets[i + 1]]``, of document ``owners[i]`` (ascending).
    ``weights``: of the documents, how much their uses count."""

    data: Bytes
    offsets: npt.NDArray[np.int64]
    owners: Ints
    weights: npt.NDArray[np.float64]


def worth(
    surfaces: list[bytes],
    fixed: npt.NDArray[np.bool_],
    target: int,
    trie_of: Callable[[list[bytes]], Trie],
    lines: Lines,
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
        damped = np.zeros(len(alive), np.float64)
        count_uses(
            lines.data, lines.offsets, lines.owners, lines.weights, trie.nodes, trie.values, trie.unknown_cost,
            counts, damped,
        )  # fmt: skip
        if progress is not None:
            progress(min(1.0, (start - len(alive)) / max(1, start - target)))
        if len(alive) <= target:
            return alive, counts
        offsets = np.zeros(len(current) + 1, np.int64)
        np.cumsum([len(s) for s in current], out=offsets[1:])
        spelt = spelling_sizes(
            np.frombuffer(b"".join(current), np.uint8), offsets, trie.nodes, trie.values, trie.unknown_cost
        )
        value = damped * (spelt - 1)
        value[fixed[alive]] = np.inf
        size = max(target, int(len(alive) * keep))
        order = np.lexsort((alive, -value))
        alive = np.sort(alive[order[:size]])
