"""Random draws that are the same on every machine and in every Python.

``random.Random`` promises that ``random()`` keeps its sequence for an integer seed, and nothing of the kind for
``choice`` or ``shuffle``; so all draws are made of ``random()`` here, with additions, multiplications and divisions
only (IEEE 754 rounds those exactly; ``exp`` and ``log`` differ between C libraries). ``hash()`` is never used.
"""

import random
from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

__all__ = ["Draw", "derive"]

T = TypeVar("T")


def derive(*parts: int | str) -> int:
    """A 64-bit seed from a path of integers and names."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


class Draw:
    """A stream of draws for one purpose, named by the parts of its seed."""

    __slots__ = ("unit",)

    def __init__(self, *parts: int | str) -> None:
        #: The next float in [0, 1).
        self.unit = random.Random(derive(*parts)).random  # noqa: S311  not for secrets

    def below(self, stop: int) -> int:
        """An integer in [0, stop)."""
        return int(self.unit() * stop)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high]."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.unit() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, uniformly."""
        return items[int(self.unit() * len(items))]

    def weighted(self, items: Sequence[tuple[T, float]]) -> T:
        """One of the items of (item, weight)."""
        mark = self.unit() * sum(weight for _, weight in items)
        for item, weight in items:
            mark -= weight
            if mark < 0:
                return item
        return items[-1][0]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different positions of the items, in random order (all, if there are fewer)."""
        pool = list(items)
        for i in range(min(count, len(pool))):
            j = i + int(self.unit() * (len(pool) - i))
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """All items in random order (Fisher-Yates)."""
        return self.sample(items, len(items))

    def heavy(self, most: int) -> int:
        """An integer in [1, most] with P(x > k) = 1 / (k + 1): a power law of exponent 2 for the density."""
        return min(most, int(1.0 / (1.0 - self.unit())))

    def octave(self, octaves: int) -> int:
        """An integer in [0, 2^octaves - 1), about Zipf with exponent 1: a uniform octave, then uniform within it."""
        width = 1 << self.below(octaves)
        return width - 1 + self.below(width)
