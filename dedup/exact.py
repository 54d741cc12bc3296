"""Exact duplicates: documents whose text is the same after a light normalisation."""

import re
import unicodedata
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from algok.dedup.survivor import doc_words, first_of_groups

__all__ = ["content_hashes", "exact_groups", "exact_text"]

_SPACE = re.compile(r"\s+")


def exact_text(text: str) -> str:
    """The text that exact deduplication compares: NFC, every run of white space one space, none at the ends.

    >>> exact_text(" 첫 줄\\r\\n\\n둘째\\u3000줄 ")
    '첫 줄 둘째 줄'
    """
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text)).strip()


def content_hashes(texts: pa.Array) -> pa.Array:
    """XXH3-128 of ``exact_text`` as ``binary(16)``; null for a null text."""
    return pa.array(
        [
            None if text is None else xxhash.xxh3_128_digest(exact_text(text).encode("utf-8", "replace"))
            for text in texts.to_pylist()
        ],
        pa.binary(16),
    )


def exact_groups(content_hash: pa.Array, table: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For every row the row number of the survivor of its content, and how many rows have that content.

    ``table`` has the ``PREFERENCE`` columns. Raises ``ValueError`` on a null hash.
    """
    return first_of_groups(list(doc_words(content_hash)), table)
