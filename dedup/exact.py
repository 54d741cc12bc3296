"""Exact duplicates: documents whose ``content_hash`` is the same."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.survivor import doc_words, first_of_groups

__all__ = ["exact_groups"]


def exact_groups(content_hash: pa.Array, table: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For every row the row number of the survivor of its content, and how many rows have that content.

    ``table`` has the ``PREFERENCE`` columns. Raises ``ValueError`` on a null hash.
    """
    return first_of_groups(list(doc_words(content_hash)), table)
