"""Folds of hosts: which models of the block engine did not see a page."""

from pathlib import Path

import numpy as np
import xxhash

from algok.filters.extraction.blocks.forest import Forest

__all__ = ["FOLDS", "fold_of", "models_of"]

FOLDS = 5


def fold_of(host: str) -> int:
    """The fold that a host is left out of."""
    return xxhash.xxh3_64_intdigest(host.encode()) % FOLDS


def models_of(path: Path) -> tuple[Forest, Forest]:
    """The first and the second model in a file."""
    with np.load(path) as arrays:
        one, two = (Forest(*(arrays[f"{name}_{field}"] for field in Forest._fields)) for name in ("first", "second"))
    return one, two
