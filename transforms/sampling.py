"""Sampling by hash: the same rows whatever the order, the batches and the workers."""

from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

__all__ = ["slots", "uniform"]

_SHIFT = np.uint64(33)
#: The multipliers of MurmurHash3's 64-bit finaliser.
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))


def slots(
    doc_ids: pa.Array, seed: int, purpose: str, copies: np.ndarray[Any, Any] | None = None
) -> np.ndarray[Any, Any]:
    """A uint64 for every document, uniform over documents and independent between purposes and copies.

    ``doc_ids`` is binary(16) without nulls; ``copies`` (n,) tells copies of one document apart.
    """
    if doc_ids.null_count:
        raise ValueError("doc_id must not be null")
    raw = np.frombuffer(doc_ids.buffers()[1] or b"", dtype=np.uint8)
    words = raw[doc_ids.offset * 16 : (doc_ids.offset + len(doc_ids)) * 16].view(np.uint64).reshape(-1, 2)
    salt = np.uint64(xxhash.xxh3_64_intdigest(f"{seed}/{purpose}".encode()))
    mixed = words[:, 0] ^ salt
    if copies is not None:
        mixed = mixed + copies.astype(np.uint64) * _MIX[0]
    for factor in _MIX:
        mixed = (mixed ^ (mixed >> _SHIFT)) * factor
    mixed = mixed ^ (mixed >> _SHIFT) ^ words[:, 1]
    for factor in _MIX:
        mixed = (mixed ^ (mixed >> _SHIFT)) * factor
    return mixed ^ (mixed >> _SHIFT)


def uniform(doc_ids: pa.Array, seed: int, purpose: str) -> np.ndarray[Any, Any]:
    """``slots`` as float64 in [0, 1)."""
    return (slots(doc_ids, seed, purpose) >> np.uint64(11)).astype(np.float64) * 2.0**-53
