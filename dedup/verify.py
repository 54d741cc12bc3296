"""Verification: is a candidate pair really similar enough?

The *estimate* is the share of equal values in two signatures: for n permutations its standard error at J is
sqrt(J(1-J)/n), 0.038 for n = 112 at J = 0.8. Pairs whose estimate is clearly above or below the threshold are settled
by it; from ``margin`` below the floor to ``margin`` above the threshold the shingle sets themselves are compared.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from algok.errors import RecipeError

__all__ = ["VerifyOptions", "accept", "estimates", "jaccards", "short_signatures", "undecided"]

F32 = npt.NDArray[np.float32]
U16 = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]


class VerifyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When two texts count as near duplicates."""

    #: Jaccard similarity of the shingle sets from which a pair is accepted.
    threshold: float = 0.8
    #: Estimates this near to the threshold or the floor (2.6 standard errors) are settled by the shingles.
    margin: float = 0.1
    #: A member of a cluster must be at least this similar to the survivor, else it is split off. On neardup_pairs
    #: 0.74 keeps 0.91 of the pairs at J = .80-.85 together with every removal at J >= .75 of its survivor; 0.80 keeps
    #: 0.62, 0.70 removes down to .72.
    floor: float = 0.74
    #: Shingle hashes of a text that are compared: all of them up to here, else the smallest (bottom-k sketch; the
    #: standard error is 0.006 at 4,096).
    shingles: int = 4096
    #: How often split-off members are clustered again among themselves; what is left after that is kept.
    rounds: int = 8

    def __post_init__(self) -> None:
        for name in ("threshold", "floor"):
            value = getattr(self, name)
            if not 0 < value <= 1:
                raise RecipeError(f"dedup.{name} must be above 0 and at most 1, not {value}")
        if not 0 <= self.margin < 1:
            raise RecipeError(f"dedup.margin must be 0 to 1, not {self.margin}")
        if self.floor > self.threshold:
            raise RecipeError(
                f"dedup.floor ({self.floor}) must not be above dedup.threshold ({self.threshold}): "
                "pairs that were accepted would be split again"
            )
        if self.shingles < 64:
            raise RecipeError(f"dedup.shingles must be at least 64, not {self.shingles}")
        if not 1 <= self.rounds <= 64:
            raise RecipeError(f"dedup.rounds must be 1 to 64, not {self.rounds}")


def short_signatures(matrix: npt.NDArray[np.uint32]) -> U16:
    """Low 16 bits of every value, half the bytes to move: two different values agree with probability 2^-16, which
    moves an estimate by 0.00002 (b-bit minwise hashing, Li & Koenig 2010)."""
    return matrix.astype(np.uint16)


@njit(cache=True, nogil=True)
def _agreement(left, right, i, j, out):  # type: ignore[no-untyped-def]
    width = left.shape[1]
    for k in range(len(i)):
        same = 0
        for p in range(width):
            same += left[i[k], p] == right[j[k], p]
        out[k] = np.float32(same / width)


def estimates(left: npt.NDArray[Any], right: npt.NDArray[Any], i: npt.NDArray[Any], j: npt.NDArray[Any]) -> F32:
    """Estimated similarity of ``left[i[k]]`` and ``right[j[k]]``: 0..1. Both matrices are full or both are short."""
    out = np.empty(len(i), dtype=np.float32)
    _agreement(left, right, np.asarray(i, dtype=np.int64), np.asarray(j, dtype=np.int64), out)
    return out


def undecided(estimate: F32, options: VerifyOptions) -> Bools:
    """Which estimates are too near to the threshold or the floor to settle the pair.

    One range for both, so that the similarity of a pair (the estimate outside, the shingles' inside) is one number,
    whoever asks.
    """
    low, high = np.float32(options.floor - options.margin), np.float32(options.threshold + options.margin)
    return np.asarray((estimate >= low) & (estimate <= high), dtype=np.bool_)


def accept(estimate: F32, exact: F32, threshold: float) -> tuple[Bools, F32]:
    """Accepted pairs and their similarity. ``exact`` is the similarity of the shingles, NaN where it was not taken."""
    similarity = np.where(np.isnan(exact), estimate, exact).astype(np.float32)
    return similarity >= np.float32(threshold), similarity


@njit(cache=True, nogil=True)
def _jaccards(lv, lo, rv, ro, i, j, limit, out):  # type: ignore[no-untyped-def]
    for k in range(len(i)):
        x, x_end = lo[i[k]], lo[i[k] + 1]
        y, y_end = ro[j[k]], ro[j[k] + 1]
        # A set of `limit` values is a sketch: beyond its largest value the text's shingles are unknown, so the union is
        # followed only for as long as both are known.
        cut = 0
        if limit > 0 and (x_end - x >= limit or y_end - y >= limit):
            cut = limit
        union = 0
        both = 0
        while (x < x_end or y < y_end) and (cut == 0 or union < cut):
            if y >= y_end or (x < x_end and lv[x] < rv[y]):
                x += 1
            elif x >= x_end or rv[y] < lv[x]:
                y += 1
            else:
                x += 1
                y += 1
                both += 1
            union += 1
        out[k] = np.float32(both / union) if union > 0 else np.float32(0)


def jaccards(left: pa.Array, right: pa.Array, i: npt.NDArray[Any], j: npt.NDArray[Any], *, limit: int = 0) -> F32:
    """Jaccard similarity of the shingle sets ``left[i[k]]`` and ``right[j[k]]`` (``shingle_hashes`` with the same
    ``limit``).

    Exact when both sets are whole; else from the ``limit`` smallest hashes of the union.
    """
    out = np.empty(len(i), dtype=np.float32)
    lo, ro = left.offsets.to_numpy().astype(np.int64), right.offsets.to_numpy().astype(np.int64)
    # .values ignores the array's own offset, as the offsets do.
    lv, rv = left.values.to_numpy(), right.values.to_numpy()
    _jaccards(lv, lo, rv, ro, np.asarray(i, np.int64), np.asarray(j, np.int64), limit, out)
    return out
