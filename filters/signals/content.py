"""The hash for exact deduplication: XXH3-128 of a text in NFC with its white space trimmed and folded.

Two texts share a hash if they differ only in canonical composition (macOS writes Hangul as jamo) or in the amount and
kind of white space. Case, width and punctuation are kept: near-duplicates are the business of MinHash.
"""

import unicodedata

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

__all__ = ["content_hash", "content_hashes", "normalise"]

HASH_BYTES = 16


def normalise(text: str) -> str:
    """A text as it is compared for exact deduplication.

    >>> normalise("  두\\n\\n 줄 ")
    '두 줄'
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def content_hash(text: str) -> bytes:
    """16 bytes: XXH3-128 of the normalised text in UTF-8."""
    return xxhash.xxh3_128_digest(normalise(text).encode("utf-8", "surrogatepass"))


def content_hashes(
    folded: NDArray[np.uint8],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
    valid: NDArray[np.bool_],
    normalised: dict[int, bytes],
) -> pa.Array:
    """Hashes (binary(16)) of texts that are already normalised, null where not valid.

    Text ``i`` is ``folded[begins[i]:ends[i]]``, or ``normalised[i]`` where that is given.
    """
    view = memoryview(folded.data)
    digests = bytearray(HASH_BYTES * len(ends))
    for at, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        if valid[at]:
            text = normalised.get(at)
            digest = xxhash.xxh3_128_digest(view[begin:end] if text is None else text)
            digests[at * HASH_BYTES : (at + 1) * HASH_BYTES] = digest
    validity = None if bool(valid.all()) else pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.Array.from_buffers(pa.binary(HASH_BYTES), len(ends), [validity, pa.py_buffer(bytes(digests))])
