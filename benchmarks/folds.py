"""Folds of hosts: which models of the block engine did not see a page."""

import xxhash

__all__ = ["FOLDS", "fold_of"]

FOLDS = 5


def fold_of(host: str) -> int:
    """The fold that a host is left out of."""
    return xxhash.xxh3_64_intdigest(host.encode()) % FOLDS
