"""Boosted trees over rows of measurements: the form in which a model is shipped, and its evaluation."""

from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

__all__ = ["Forest", "Models", "load", "predict"]


#: Rows that go through one tree before the next: 100 kB, so that neither they nor the tree leave the cache.
_ROWS = 128


class Forest(NamedTuple):
    """All trees behind each other. ``roots`` int32[trees]; for each inner node ``feature`` int16, ``threshold`` float32
    (a row with at most that goes left), ``left`` and ``right`` int32 (a negative number ``v`` is leaf ``-v - 1``);
    ``leaves`` float32: log-odds, which are summed over the trees."""

    roots: Any
    feature: Any
    threshold: Any
    left: Any
    right: Any
    leaves: Any


class Models(NamedTuple):
    """Both say of a block whether it is main text; ``second`` knows what ``first`` says of the other blocks."""

    first: Forest
    second: Forest


def load(path: Path | None = None) -> Models:
    """The models in a file, of the package if none is given."""
    with ExitStack() as stack:
        file: Any = path
        if path is None:
            file = stack.enter_context(resources.files(__package__).joinpath("model.npz").open("rb"))
        arrays = stack.enter_context(np.load(file))
        return Models(*(Forest(*(arrays[f"{name}_{field}"] for field in Forest._fields)) for name in Models._fields))


def predict(forest: Forest, rows: Any) -> Any:
    """Probabilities float32[n] of rows float32[n, measurements]."""
    out = np.empty(len(rows), np.float32)
    _predict(*forest, rows, out)
    return out


@njit(nogil=True, cache=True)
def _predict(roots, feature, threshold, left, right, leaves, rows, out):  # type: ignore[no-untyped-def]
    total = np.empty(_ROWS, np.float64)
    for start in range(0, len(rows), _ROWS):
        end = min(start + _ROWS, len(rows))
        total[:] = 0.0
        for root in roots:
            for i in range(start, end):
                node = root
                while node >= 0:
                    node = left[node] if rows[i, feature[node]] <= threshold[node] else right[node]
                total[i - start] += leaves[-node - 1]
        for i in range(start, end):
            out[i] = np.float32(1.0 / (1.0 + np.exp(-total[i - start])))
