"""The search for the vocabulary: candidates are pruned to a core, and grown by joins to its size."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from algok.tokenizer.joins import joins
from algok.tokenizer.model import BYTE, COST_UNIT, NORMAL, SPACE, Vocabulary
from algok.tokenizer.prune import Lines, worth
from algok.tokenizer.segment import Trie, build_trie

__all__ = ["counting_trie", "frequency_costs", "search"]

#: Steps of the search: pruned to this share of the pieces that may go, then joins proposed, as many as that share of
#: them; at last pruned to the whole. Joins that grow a smaller core fit each other better than those that replace
#: pieces of a full one (docs/tokenizer.md).
_STEPS = ((0.7, 0.5), (0.85, 0.4), (1.0, 0.2))

#: Share of the pieces kept in a round of pruning: of the trainer's candidates, and of those with joins.
_KEEP, _KEEP_JOINED = 0.85, 0.92


def search(
    surfaces: list[bytes],
    fixed: npt.NDArray[np.bool_],
    room: int,
    lines: Lines,
    allowed: Callable[[bytes], bool],
    *,
    weight: float,
    joined: bool = True,
    progress: Callable[[float], None] | None = None,
) -> tuple[list[bytes], npt.NDArray[np.int64]]:
    """``room`` pieces out of ``surfaces`` and of joins of them, and their uses in the lines.

    ``fixed`` pieces stay. ``allowed``: whether a joined piece may be. ``weight``: as TrainOptions.frequency_weight.
    ``joined``: False prunes only. Fewer pieces if there are no more.
    """
    steps = _STEPS if joined else ()
    least = int(fixed.sum())
    uses = np.zeros(0, np.int64)
    for number, (part, more) in enumerate((*steps, (1.0, 0.0))):

        def told(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / (len(steps) + 1))

        target = least + int(part * (room - least))
        keep = _KEEP_JOINED if number else _KEEP
        kept, uses = worth(surfaces, fixed, target, counting_trie, lines, keep=keep, progress=told)
        surfaces, fixed = [surfaces[i] for i in kept], fixed[kept]
        if more:
            # The tie rule of the final model, so that the pairs are those that it will meet.
            trie = counting_trie(surfaces, frequency_costs(uses, weight))
            new = joins(surfaces, trie, lines, int(more * (room - least)), allowed)
            surfaces, fixed = surfaces + new, np.concatenate([fixed, np.zeros(len(new), np.bool_)])
    return surfaces, uses


def frequency_costs(uses: npt.NDArray[np.int64], weight: float) -> npt.NDArray[np.int32]:
    """Cost added to a piece for being rare, in 1/64 piece: ``weight`` times -ln of its share, at most 32."""
    share = (uses + 0.5) / (uses.sum() + 0.5 * max(1, len(uses)))
    costs: npt.NDArray[np.int32] = np.minimum(32, np.round(-weight * np.log(share))).astype(np.int32)
    return costs


def counting_trie(surfaces: list[bytes], extra: npt.NDArray[np.int32] | None = None) -> Trie:
    """A trie in which every piece costs one, and ``extra``; ids are the positions in ``surfaces``."""
    pieces = [s.decode("utf-8").replace(" ", SPACE) for s in surfaces]
    byte_pieces = [f"<0x{b:02X}>" for b in range(256)]
    types = np.array([NORMAL] * len(pieces) + [BYTE] * 256, np.uint8)
    costs = np.full(len(types), COST_UNIT, np.int32)
    if extra is not None:
        costs[: len(extra)] += extra
    return build_trie(Vocabulary(pieces=(*pieces, *byte_pieces), costs=costs, types=types))
