"""Locality-sensitive hashing: bands of a signature, and the candidate pairs of a group that shares a band.

A signature is cut into b bands of r values. Two texts of Jaccard similarity J agree in all values of some band with
probability 1 - (1 - J^r)^b (``recall_at``; Leskovec, Rajaraman & Ullman, *Mining of Massive Datasets*, 3.4).

A group that shares a band gives all its pairs up to ``group_limit`` members. A larger (*hot*) group gives a star to its
canonical member, and is split by four *sub-keys* (each a hash of two values of the next band, so that a pair of
similarity J shares one with probability J^2): subgroups of up to ``subgroup_limit`` members give all pairs, larger
ones a star and chains of neighbours. A group of n members therefore gives at most ``edges_per_member`` x n pairs, a
star edge that fails verification does not cut its members off from their real twins, and a group of copies stays
connected.
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

from algok.errors import RecipeError

__all__ = ["BandOptions", "band_keys", "candidate_pairs", "choose_bands", "recall_at", "representatives"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

#: Sub-keys in a sketch, 16 bits each; a pair of J = 0.8 shares at least one with probability 0.98.
SUBKEYS = 4


class BandOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bands and limits on the pairs they give."""

    #: 16 x 7 finds 0.98 of the pairs at J = 0.8 with the 112 values that 14 x 8 (0.92) takes; see ``choose_bands``.
    bands: int = 16
    rows: int = 7
    #: Members up to which a group gives all its pairs.
    group_limit: int = 16
    #: Members up to which a subgroup of a hot group gives all its pairs.
    subgroup_limit: int = 8
    #: Neighbours to either side that a member of a larger subgroup is paired with.
    neighbours: int = 2

    def __post_init__(self) -> None:
        for name in ("bands", "rows", "group_limit", "subgroup_limit"):
            value = getattr(self, name)
            if not 1 <= value <= 4096:
                raise RecipeError(f"dedup.{name} must be 1 to 4096, not {value}")
        if not 0 <= self.neighbours <= 64:
            raise RecipeError(f"dedup.neighbours must be 0 to 64, not {self.neighbours}")

    @property
    def edges_per_member(self) -> float:
        """Most pairs that a group gives per member."""
        within = max((self.subgroup_limit - 1) / 2, 1 + self.neighbours)
        return max((self.group_limit - 1) / 2, 1 + SUBKEYS * within)


def recall_at(jaccard: float, bands: int, rows: int) -> float:
    """Probability that a pair of this similarity shares a band.

    >>> round(recall_at(0.8, 14, 8), 2), round(recall_at(0.8, 16, 7), 2)
    (0.92, 0.98)
    """
    return 1.0 - (1.0 - jaccard**rows) ** bands


def choose_bands(permutations: int, jaccard: float, recall: float) -> tuple[int, int]:
    """Bands and rows, of at most ``permutations`` values, that find ``recall`` of the pairs at ``jaccard``.

    The longest rows that reach it (fewest chance pairs), and as few bands as needed. Raises ``RecipeError`` when none
    does.

    >>> choose_bands(112, 0.8, 0.92), choose_bands(112, 0.8, 0.97)
    ((14, 8), (15, 7))
    """
    if not (0 < jaccard < 1 and 0 < recall < 1):
        raise RecipeError(f"dedup.jaccard and dedup.recall must be between 0 and 1, not {jaccard} and {recall}")
    for rows in range(permutations, 0, -1):
        chance = jaccard**rows
        bands = math.ceil(math.log1p(-recall) / math.log1p(-chance)) if chance > 0 else permutations + 1
        if bands * rows <= permutations:
            return bands, rows
    raise RecipeError(
        f"{permutations} permutations cannot find {recall:.0%} of pairs at Jaccard {jaccard}: "
        "raise dedup.permutations or lower dedup.recall"
    )


@njit(cache=True, nogil=True, inline="always")
def _mix64(h):  # type: ignore[no-untyped-def]
    h = np.uint64(h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = np.uint64(h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return np.uint64(h ^ (h >> np.uint64(33)))


@njit(cache=True, nogil=True)
def _band_keys(matrix, bands, rows, keys, sketches):  # type: ignore[no-untyped-def]
    width = matrix.shape[1]
    for i in range(matrix.shape[0]):
        for band in range(bands):
            h = np.uint64(0x9E3779B97F4A7C15) * np.uint64(band + 1)
            for k in range(band * rows, (band + 1) * rows):
                h = _mix64(h ^ np.uint64(matrix[i, k]))
            keys[i, band] = h
            sketch = np.uint64(0)
            for s in range(4):
                first = matrix[i, ((band + 1) * rows + 2 * s) % width]
                second = matrix[i, ((band + 1) * rows + 2 * s + 1) % width]
                sub = _mix64((np.uint64(first) << np.uint64(32)) | np.uint64(second))
                sketch = (sketch << np.uint64(16)) | (sub & np.uint64(0xFFFF))
            sketches[i, band] = sketch


def band_keys(matrix: U32, options: BandOptions | None = None) -> tuple[U64, U64]:
    """Keys of the bands and sketches for hot groups, both (rows x bands): a key depends on the band's number and
    values.

    Raises ``RecipeError`` when a signature is shorter than bands x rows.
    """
    options = options or BandOptions()
    if options.bands * options.rows > matrix.shape[1]:
        raise RecipeError(
            f"dedup.bands x dedup.rows = {options.bands} x {options.rows} needs {options.bands * options.rows} "
            f"permutations; there are {matrix.shape[1]}"
        )
    keys = np.empty((matrix.shape[0], options.bands), dtype=np.uint64)
    sketches = np.empty_like(keys)
    _band_keys(matrix, options.bands, options.rows, keys, sketches)
    return keys, sketches


@njit(cache=True, nogil=True)
def _count_small(starts, total, limit):  # type: ignore[no-untyped-def]
    pairs = 0
    for g in range(len(starts)):
        end = starts[g + 1] if g + 1 < len(starts) else total
        n = end - starts[g]
        if n <= limit:
            pairs += n * (n - 1) // 2
    return pairs


@njit(cache=True, nogil=True)
def _small_pairs(starts, total, limit, nodes, a, b):  # type: ignore[no-untyped-def]
    used = 0
    for g in range(len(starts)):
        end = starts[g + 1] if g + 1 < len(starts) else total
        if end - starts[g] > limit:
            continue
        for i in range(starts[g], end):
            for j in range(i + 1, end):
                a[used] = min(nodes[i], nodes[j])
                b[used] = max(nodes[i], nodes[j])
                used += 1


def _all_pairs(starts: I64, total: int, limit: int, nodes: I64) -> tuple[I64, I64]:
    count = _count_small(starts, total, limit)
    a, b = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    _small_pairs(starts, total, limit, nodes, a, b)
    return a, b


def _starts(sorted_keys: npt.NDArray[np.generic]) -> I64:
    new = np.ones(len(sorted_keys), dtype=bool)
    new[1:] = sorted_keys[1:] != sorted_keys[:-1]
    return np.flatnonzero(new)


def _ordered(a: I64, b: I64) -> tuple[I64, I64]:
    return np.minimum(a, b), np.maximum(a, b)


def _hot_pairs(sketches: U64, ranks: U64, nodes: I64, options: BandOptions) -> list[tuple[I64, I64]]:
    """Pairs of one hot group, whose members come sorted by (rank, node): the first is the canonical one."""
    parts = [_ordered(np.full(len(nodes) - 1, nodes[0]), nodes[1:])]
    for s in range(SUBKEYS):
        shift = np.uint64(16 * s)
        sub = (sketches >> shift) & np.uint64(0xFFFF)
        # Within a subgroup, order by the other sub-keys: members alike in those come to stand side by side.
        rest = (sketches >> shift) | (sketches << np.uint64((64 - 16 * s) % 64)) if s else sketches
        order = np.lexsort((nodes, ranks, rest, sub))
        sub, members = sub[order], nodes[order]
        starts = _starts(sub)
        sizes = np.diff(np.append(starts, len(sub)))
        parts.append(_all_pairs(starts, len(sub), options.subgroup_limit, members))
        large = np.repeat(sizes > options.subgroup_limit, sizes)
        if not large.any():
            continue
        group = np.repeat(np.arange(len(starts)), sizes)
        # The star of a large subgroup goes to its member of lowest (rank, node), which is the lowest position in
        # `order`.
        head = np.minimum.reduceat(order, starts)
        centre = nodes[head][group]
        spokes = large & (centre != members)
        parts.append(_ordered(centre[spokes], members[spokes]))
        for step in range(1, options.neighbours + 1):
            near = large[:-step] & (group[:-step] == group[step:])
            parts.append(_ordered(members[:-step][near], members[step:][near]))
    return parts


def candidate_pairs(
    keys: U64, sketches: U64, ranks: U64, nodes: I64, options: BandOptions | None = None
) -> tuple[I64, I64]:
    """Distinct pairs (a < b) of nodes that share a key, sorted; one row for a node and band.

    ``ranks`` orders the members of a hot group (the lowest is canonical); it must come from the document, so that the
    choice does not depend on how nodes are numbered. At most ``options.edges_per_member`` pairs a row.
    """
    options = options or BandOptions()
    order = np.lexsort((nodes, ranks, keys))
    keys, sketches, ranks, nodes = keys[order], sketches[order], ranks[order], nodes[order]
    starts = _starts(keys)
    sizes = np.diff(np.append(starts, len(keys)))
    parts = [_all_pairs(starts, len(keys), options.group_limit, nodes)]
    for g in np.flatnonzero(sizes > options.group_limit):
        members = slice(starts[g], starts[g] + sizes[g])
        parts += _hot_pairs(sketches[members], ranks[members], nodes[members], options)
    return distinct_pairs(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))


def distinct_pairs(a: I64, b: I64) -> tuple[I64, I64]:
    """The distinct pairs with a != b, sorted by (a, b)."""
    order = np.lexsort((b, a))
    a, b = a[order], b[order]
    keep = a != b
    keep[1:] &= (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    return a[keep], b[keep]


def representatives(keys: U64, ranks: U64, nodes: I64, limit: int) -> npt.NDArray[np.bool_]:
    """Which rows go on to the shuffle: per key the ``limit`` members of lowest (rank, node).

    Called with all rows of a unit, after the unit's own pairs were taken: so a key that everyone shares sends a bounded
    number of rows per unit, and the members that stay behind are tied to those that go by the unit's star.
    """
    order = np.lexsort((nodes, ranks, keys))
    starts = _starts(keys[order])
    sizes = np.diff(np.append(starts, len(keys)))
    position = np.arange(len(keys)) - np.repeat(starts, sizes)
    chosen = np.zeros(len(keys), dtype=bool)
    chosen[order] = position < limit
    return chosen
