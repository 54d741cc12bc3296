"""MinHash signatures straight from Arrow buffers (Broder 1997), bit-identical with datasketch 2.

Every shingle is hashed by xxh32, mixed by MurmurHash3's 32-bit finaliser, and permuted by ``a * h + b mod 2^32`` with
odd a; a signature is the minimum over the shingles for each of the permutations (scheme "affine32" of datasketch 2.0,
``MinHash(num_perm, seed, hashfunc=xxh32)``). Two texts agree in one permutation with the probability of their Jaccard
similarity.
"""

from functools import lru_cache

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.kernels import sign
from algok.dedup.normalise import fold_table, text_buffers
from algok.dedup.shingles import ShingleOptions, composed_rows, shingle_modes
from algok.errors import RecipeError

__all__ = ["MinHashOptions", "permutations", "signature_matrix", "signatures"]

U32 = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]


class MinHashOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How signatures are made."""

    #: Values in a signature. 112 = 14 bands of 8 rows (FineWeb, Penedo et al. 2024).
    permutations: int = 112
    #: Seed of the permutations; signatures of different seeds cannot be compared.
    seed: int = 1
    shingles: ShingleOptions = ShingleOptions()

    def __post_init__(self) -> None:
        if not 1 <= self.permutations <= 4096:
            raise RecipeError(f"dedup.permutations must be 1 to 4096, not {self.permutations}")
        if not 0 <= self.seed < 2**32:
            raise RecipeError(f"dedup.seed must be 0 to 2^32 - 1, not {self.seed}")


@lru_cache(maxsize=8)
def permutations(count: int, seed: int) -> tuple[U32, U32]:
    """The factors (odd) and summands of the permutations: datasketch's own, so that signatures can be exchanged."""
    from datasketch import MinHash  # here: with SciPy it takes half a second, and few processes make signatures

    a, b = MinHash(num_perm=count, seed=seed, scheme="affine32").permutations
    return a, b


def signature_matrix(
    texts: pa.Array, languages: pa.Array | None = None, options: MinHashOptions | None = None
) -> tuple[U32, Bools]:
    """Signatures as a matrix (rows x permutations, uint32) and which rows have one (others are zero)."""
    options = options or MinHashOptions()
    a, b = permutations(options.permutations, options.seed)
    modes = shingle_modes(languages, len(texts), options.shingles)
    data, offsets = text_buffers(texts)
    valid = texts.is_valid().to_numpy(zero_copy_only=False)
    matrix = np.zeros((len(texts), options.permutations), dtype=np.uint32)
    made = np.zeros(len(texts), dtype=np.bool_)
    slow = np.zeros(len(texts), dtype=np.bool_)
    sign(data, offsets, valid, modes, fold_table(), False, a, b, matrix, made, slow)
    if slow.any():
        rows = np.flatnonzero(slow)
        data, offsets = text_buffers(composed_rows(texts, rows))
        part = np.zeros((len(rows), options.permutations), dtype=np.uint32)
        done = np.zeros(len(rows), dtype=np.bool_)
        ok = np.ones(len(rows), dtype=np.bool_)
        sign(data, offsets, ok, modes[rows], fold_table(), True, a, b, part, done, slow)
        matrix[rows] = part
        made[rows] = done
    return matrix, made


def signatures(
    texts: pa.Array, languages: pa.Array | None = None, options: MinHashOptions | None = None
) -> pa.FixedSizeListArray:
    """Signatures of the texts: ``fixed_size_list<uint32>[permutations]``.

    ``texts`` is a ``string`` or ``large_string`` array, ``languages`` its ISO 639 codes (or None: word shingles for
    all). A null text, and a text without any letter or digit, has no signature: null. Raises ``TypeError`` for other
    types.

    >>> made = signatures(pa.array(["하나 둘 셋", "...", None], pa.large_string()))
    >>> made.is_null().to_pylist()
    [False, True, True]
    """
    matrix, made = signature_matrix(texts, languages, options)
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1], mask=pa.array(~made))
