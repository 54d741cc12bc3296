"""Why documents are in one cluster: every pair compared again from the texts, by the same rules as the stage.

Nothing has to be kept for it: signatures and shingles depend on text, language and options alone.
"""

import difflib
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

from algok.dedup.bands import band_keys, recall_at
from algok.dedup.minhash import signature_matrix
from algok.dedup.options import DedupOptions
from algok.dedup.shingles import shingle_hashes
from algok.dedup.verify import accept, estimates, jaccards, undecided

__all__ = ["Difference", "PairReport", "differences", "explain_pairs"]


class PairReport(msgspec.Struct, frozen=True, kw_only=True):
    """Two documents (positions in the lists given) compared.

    ``estimate`` is the share of equal values of the signatures, ``jaccard`` that of the shingle sets (exact up to
    ``verify.shingles`` shingles a text), ``shared_bands`` the bands that made them candidates (0: they came together
    through others), ``similarity`` what the stage goes by, ``accepted`` whether it reaches the threshold, ``found``
    the probability that such a pair shares a band.
    """

    left: int
    right: int
    estimate: float
    jaccard: float
    shared_bands: int
    similarity: float
    accepted: bool
    found: float


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A run of words: in both texts (``same``), or what the left has in the place of what the right has."""

    kind: Literal["same", "changed"]
    left: str
    right: str


def explain_pairs(
    texts: list[str], languages: list[str], pairs: list[tuple[int, int]], options: DedupOptions | None = None
) -> list[PairReport]:
    """Reports on the given pairs, in their order. A text without any word is like nothing (all zero).

    >>> a = "하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열"
    >>> explain_pairs([a, a + " 열하나"], ["ko", "ko"], [(0, 1)])[0].jaccard
    0.8
    """
    options = options or DedupOptions()
    if not pairs:
        return []
    array, tongue = pa.array(texts, pa.large_string()), pa.array(languages, pa.string())
    matrix, made = signature_matrix(array, tongue, options.minhash)
    keys, _ = band_keys(matrix, options.bands)
    sets = shingle_hashes(array, tongue, options.minhash.shingles, limit=options.verify.shingles)
    left, right = np.array(pairs, dtype=np.int64).T
    both = made[left] & made[right]
    estimate = np.where(both, estimates(matrix, matrix, left, right), np.float32(0)).astype(np.float32)
    exact = jaccards(sets, sets, left, right, limit=options.verify.shingles)
    taken = np.where(undecided(estimate, options.verify), exact, np.float32(np.nan)).astype(np.float32)
    accepted, similarity = accept(estimate, taken, options.verify.threshold)
    shared = (keys[left] == keys[right]).sum(axis=1) * both
    return [
        PairReport(
            left=int(left[i]),
            right=int(right[i]),
            estimate=round(float(estimate[i]), 4),
            jaccard=round(float(exact[i]), 4),
            shared_bands=int(shared[i]),
            similarity=round(float(similarity[i]), 4),
            accepted=bool(accepted[i]),
            found=round(recall_at(float(exact[i]), options.bands.bands, options.bands.rows), 4),
        )
        for i in range(len(pairs))
    ]


def differences(left: str, right: str, *, most: int = 20_000) -> list[Difference]:
    """The two texts side by side, as runs of words that are the same or changed.

    Only the first ``most`` characters of each are compared (the time grows with their product).

    >>> [d.kind for d in differences("가 나 다", "가 라 다")]
    ['same', 'changed', 'same']
    """
    a, b = left[:most].split(), right[:most].split()
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    return [
        Difference(kind="same" if tag == "equal" else "changed", left=" ".join(a[i:j]), right=" ".join(b[k:m]))
        for tag, i, j, k, m in matcher.get_opcodes()
    ]
