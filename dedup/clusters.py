"""From accepted pairs to clusters whose members are all near their survivor.

Components alone chain: A like B, B like C, C like D puts A and D together. Here every member is compared with the
survivor of its component; those below ``floor`` are *split off*, and clustered again among themselves over the pairs
between them. After ``rounds`` rounds whatever is still split off is kept, each on its own: doubt keeps a document and
never removes one.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from algok.dedup.components import components

__all__ = ["cluster", "known_similarity", "pairs_within", "survivors_of"]

I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]
Components = Callable[[I64, I64], tuple[I64, I64]]


def survivors_of(labels: I64, rank: I64) -> I64:
    """Position of the best member (lowest rank) of each node's component, for every node.

    >>> survivors_of(np.array([7, 7, 9]), np.array([2, 1, 0])).tolist()
    [1, 1, 2]
    """
    order = np.lexsort((rank, labels))
    starts = np.ones(len(labels), dtype=bool)
    starts[1:] = labels[order][1:] != labels[order][:-1]
    best = np.empty(len(labels), dtype=np.int64)
    best[order] = order[np.maximum.accumulate(np.where(starts, np.arange(len(labels)), 0))]
    return best


def known_similarity(a: I64, b: I64, similarity: F32, left: I64, right: I64) -> F32:
    """Similarity of the pairs (left, right) where they are among the edges (a < b, sorted by both), else NaN."""
    out = np.full(len(left), np.nan, dtype=np.float32)
    if len(a) == 0 or len(left) == 0:
        return out
    # Pairs become ranks among the distinct nodes, so that one integer stands for a pair.
    nodes = np.unique(np.concatenate([a, b]))
    low, high = np.minimum(left, right), np.maximum(left, right)
    at_low, at_high = np.searchsorted(nodes, low), np.searchsorted(nodes, high)
    inside = (at_low < len(nodes)) & (at_high < len(nodes))
    inside[inside] &= (nodes[at_low[inside]] == low[inside]) & (nodes[at_high[inside]] == high[inside])
    keys = np.searchsorted(nodes, a) * len(nodes) + np.searchsorted(nodes, b)
    wanted = at_low[inside] * len(nodes) + at_high[inside]
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    found = keys[at] == wanted
    values = np.where(found, similarity[at], np.float32(np.nan)).astype(np.float32)
    out[inside] = values
    return out


def pairs_within(a: I64, b: I64, nodes: I64) -> npt.NDArray[np.bool_]:
    """Which pairs have both ends among ``nodes`` (sorted)."""
    return np.isin(a, nodes) & np.isin(b, nodes)


def cluster(
    a: I64,
    b: I64,
    similarity: F32,
    nodes: I64,
    rank: I64,
    measure: Callable[[I64, I64], F32],
    *,
    floor: float,
    rounds: int,
    owner: I64 | None = None,
) -> tuple[I64, F32]:
    """The survivor of every node, and the node's similarity to it (1 for a survivor).

    ``a < b`` are accepted pairs, sorted, with their ``similarity``; ``nodes`` (sorted) are all that occur, ``rank``
    their place in the order of preference (lowest survives). ``measure(members, survivors)`` gives similarities that
    no pair has.

    ``owner`` (node, or -1) are the survivors that an earlier crawl chose; they stay: such a node goes with its own
    survivor and with no other, and is never measured. ``rank`` must put their survivors first.
    """
    survivor = nodes.copy()
    owner = np.full(len(nodes), -1, dtype=np.int64) if owner is None else owner
    closeness = np.ones(len(nodes), dtype=np.float32)
    for _ in range(rounds):
        if len(a) == 0:
            break
        active, labels = components(a, b)
        at = np.searchsorted(nodes, active)
        best = active[survivors_of(labels, rank[at])]
        member = active != best
        left, right = active[member], best[member]
        score = known_similarity(a, b, similarity, left, right)
        decided = owner[at][member]
        score[decided >= 0] = np.where(decided == right, np.float32(1), np.float32(-1))[decided >= 0]
        unknown = np.isnan(score)
        if unknown.any():
            score[unknown] = measure(left[unknown], right[unknown])
        near = score >= np.float32(floor)
        settled = np.searchsorted(nodes, left[near])
        survivor[settled] = right[near]
        closeness[settled] = score[near]
        left_over = pairs_within(a, b, left[~near])
        a, b, similarity = a[left_over], b[left_over], similarity[left_over]
    return survivor, closeness
