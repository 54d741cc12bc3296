"""Best-fit packing of documents into sequences of a fixed length.

Concatenating documents and cutting every 32,768 tokens cuts nearly every second one; best-fit packing cuts only those
that are longer than a sequence, at a cost of well under 0.5 % padding (Ding et al. 2024, "Fewer Truncations Improve
Language Modeling"). Longest documents go first, each into the fullest sequence that still holds it.

A document longer than a sequence fills whole sequences, and its rest begins the sequence right behind them. So long
documents lie in adjacent sequences, beginning at a border: whoever trains with longer contexts joins rows. That needs
shorter documents to fill those last sequences up; where there are too few, rests are packed like documents.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

from algok.errors import InputError

__all__ = ["SEQUENCE_LENGTH", "Packing", "fill_sequences", "pack"]

#: Tokens of a training sequence by default.
SEQUENCE_LENGTH = 32_768
#: Padding (of all positions) up to which rests of cut documents get sequences of their own; issue 6 allows 0.5 %.
MOST_WASTE = 0.004

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Packing:
    """Where every document went. One *placement* is a document, or a part of a cut one, in a sequence.

    Placements are ordered by (``sequence``, ``start``); all arrays have one entry per placement:
    ``document``: int64, row of the document; ``part``/``parts``: int32, which part of how many;
    ``offset``: int64, first token within the document; ``length``: int32, tokens; ``sequence``: int64;
    ``start``: int32, position in the sequence. ``first``: int64[sequences + 1], first placement of each sequence.
    Empty documents have no placement.

    Totals: ``tokens``, ``padding`` (tokens of padding), ``cut_documents`` (longer than a sequence), ``cut_tokens``
    (tokens of those), ``scattered_documents`` (those whose last part is not behind the others),
    ``concatenation_cuts`` (documents that plain concatenation in the same order would cut), ``documents``.
    """

    sequence_length: int
    document: Int64s
    part: Int32s
    parts: Int32s
    offset: Int64s
    length: Int32s
    sequence: Int64s
    start: Int32s
    first: Int64s
    documents: int
    tokens: int
    cut_documents: int
    cut_tokens: int
    scattered_documents: int
    concatenation_cuts: int

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.first) - 1

    @property
    def padding(self) -> int:
        """Positions that hold no token."""
        return self.sequences * self.sequence_length - self.tokens

    @cached_property
    def waste(self) -> float:
        """Padding over all positions, 0..1."""
        return self.padding / max(1, self.sequences * self.sequence_length)


def pack(
    lengths: npt.NDArray[np.integer],
    sequence_length: int = SEQUENCE_LENGTH,
    *,
    ids: npt.NDArray[np.uint8] | None = None,
    seed: int = 0,
) -> Packing:
    """Pack documents of ``lengths`` tokens (int[n]; end-of-document tokens counted in) into sequences.

    ``ids``: uint8[n, 16], the doc_ids: with them the packing does not depend on the order of the documents. Sequences
    come in an order shuffled by ``seed``, so that neither long nor short documents lead. A document longer than a
    sequence fills whole sequences; its rest begins the next one, which is filled up with other documents. The sequences
    of such a document stay together in the shuffle.

    Time O(n log n) for the sort, then O(log sequence_length) a document; memory about 100 bytes a document.
    Raises InputError for a negative length, a sequence length outside 2..2**30 or ids of a wrong shape.
    """
    sizes = np.ascontiguousarray(lengths, np.int64)
    if not 2 <= sequence_length <= 2**30:
        raise InputError(f"sequence_length = {sequence_length} must lie in 2..{2**30}")
    if sizes.ndim != 1 or (sizes.size and sizes.min() < 0):
        raise InputError("document lengths must be one row of numbers that are not negative")
    count = len(sizes)
    if ids is None:
        order = np.arange(count)
    else:
        if ids.shape != (count, 16) or ids.dtype != np.uint8:
            raise InputError(f"ids must be uint8[{count}, 16], not {ids.dtype}{list(ids.shape)}")
        halves = np.ascontiguousarray(ids).view(">u8").astype(np.uint64)
        order = np.lexsort((halves[:, 1], halves[:, 0]))
    whole = sizes // sequence_length
    rest = sizes % sequence_length
    cut = sizes > sequence_length
    # Placements in canonical order: the full parts of each document, then its rest.
    in_order = sizes[order]
    full = np.repeat(order, whole[order])
    ends = np.cumsum(in_order)
    begins = ends - in_order
    crossing = (in_order > 0) & (begins // sequence_length != (np.maximum(ends, 1) - 1) // sequence_length)
    # Longest first; documents of equal length keep the canonical order, for the sort is stable.
    partial = order[rest[order] > 0]
    partial = partial[np.argsort(-rest[partial], kind="stable")]
    partial, bins, opened, apart = _fit(partial, rest, cut, len(full), sequence_length)
    document: Int64s = np.concatenate([full, partial])
    part = np.concatenate([_run_numbers(whole[order]), whole[partial]]).astype(np.int32)
    parts = (whole + (rest > 0))[document].astype(np.int32)
    length = np.concatenate([np.full(len(full), sequence_length, np.int64), rest[partial]]).astype(np.int32)
    sequence: Int64s = np.concatenate([np.arange(len(full)), bins + len(full)])
    total = len(full) + opened
    sequence = _places(order, whole, partial[:apart], opened, seed)[sequence]
    by_place = np.lexsort((np.arange(len(document)), sequence))
    document, sequence = document[by_place], sequence[by_place]
    part, parts, length = part[by_place], parts[by_place], length[by_place]
    first = np.searchsorted(sequence, np.arange(total + 1))
    running = np.cumsum(length, dtype=np.int64) - length
    start = running - running[first[sequence]] if len(sequence) else running
    return Packing(
        sequence_length=sequence_length,
        document=document,
        part=part,
        parts=parts,
        offset=part.astype(np.int64) * sequence_length,
        length=length,
        sequence=sequence,
        start=start.astype(np.int32),
        first=first.astype(np.int64),
        documents=count,
        tokens=int(sizes.sum()),
        cut_documents=int(cut.sum()),
        cut_tokens=int(sizes[cut].sum()),
        scattered_documents=int((cut & (rest > 0)).sum()) - apart,
        concatenation_cuts=int(crossing.sum()),
    )


def fill_sequences(
    packing: Packing,
    tokens: npt.NDArray[np.unsignedinteger],
    offsets: Int64s,
    *,
    pad: int,
    first: int = 0,
    last: int | None = None,
) -> npt.NDArray[np.uint32]:
    """Token ids of the sequences ``first`` to ``last`` (excluded): uint32[last - first, sequence_length].

    The tokens of document i begin at ``tokens[offsets[i]]``, as in what ``Codec.encode_batch`` returns; only the
    beginnings are looked at, so documents may lie in any order.
    """
    last = packing.sequences if last is None else last
    out = np.full((last - first, packing.sequence_length), pad, np.uint32)
    a, b = packing.first[first], packing.first[last]
    _gather(
        out, tokens, offsets, packing.document[a:b], packing.offset[a:b], packing.length[a:b],
        packing.sequence[a:b] - first, packing.start[a:b],
    )  # fmt: skip
    return out


def _run_numbers(lengths: Int64s) -> Int64s:
    """0, 1, ..., n-1 for every n of ``lengths``.

    >>> _run_numbers(np.array([2, 0, 3])).tolist()
    [0, 1, 0, 1, 2]
    """
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _shuffled(total: int, seed: int) -> Int64s:
    """A permutation of 0..total-1 that depends on ``seed`` and ``total`` only, on every NumPy version (SplitMix64)."""
    with np.errstate(over="ignore"):
        z = np.arange(1, total + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % 2**64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return np.argsort(np.argsort(z, kind="stable"), kind="stable")


def _fit(
    partial: Int64s, rest: Int64s, cut: npt.NDArray[np.bool_], fulls: int, capacity: int
) -> tuple[Int64s, Int64s, int, int]:
    """(documents, their bins, bins, how many of the first documents are rests at the start of a bin of their own).

    ``partial``: documents with a rest, longest rest first. As many rests of cut documents get a bin of their own as
    the other documents can fill up, those that leave the least room first; fewer when that takes too many bins.
    """
    tails, others = partial[cut[partial]], partial[~cut[partial]]
    apart = int(np.searchsorted(np.cumsum(capacity - rest[tails]), rest[others].sum(), side="right"))
    least = -(-int(rest[partial].sum()) // capacity)
    allowed = least + int(MOST_WASTE * (least + fulls))

    def fit(apart: int) -> tuple[Int64s, Int64s, int, int]:
        behind = np.concatenate([tails[apart:], others])
        items = np.concatenate([tails[:apart], behind[np.argsort(-rest[behind], kind="stable")]])
        return items, *_best_fit(rest[items].astype(np.int32), capacity, apart), apart

    found = fit(apart)
    if apart and found[2] > allowed:
        plain = fit(0)
        # No worse than without: a handful of sequences may not allow for the least number.
        allowed = max(allowed, plain[2])
        while apart and found[2] > allowed:
            apart //= 2
            found = fit(apart) if apart else plain
    return found


def _places(order: Int64s, whole: Int64s, tails: Int64s, opened: int, seed: int) -> Int64s:
    """Where each sequence comes in the shuffled order: int64[full parts + opened].

    Sequences are numbered: the ``whole[i]`` full parts of the documents i in ``order``, then the ``opened`` ones, the
    first of which begin with the rests of ``tails``. The sequences of a document are one group of the shuffle.
    """
    owners = order[whole[order] > 0]
    group_of = np.full(len(whole), -1, np.int64)
    group_of[owners] = np.arange(len(owners))
    single = len(owners) + np.arange(opened - len(tails))
    groups = np.concatenate([np.repeat(group_of[order], whole[order]), group_of[tails], single])
    rank = _shuffled(len(owners) + len(single), seed)[groups]
    places = np.empty(len(groups), np.int64)
    # Stable: the full parts of a document come in order, then its rest.
    places[np.argsort(rank, kind="stable")] = np.arange(len(groups))
    return places


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _best_fit(sizes: Int32s, capacity: int, apart: int) -> tuple[Int64s, int]:
    """Bin of every item of ``sizes`` (1..capacity), and the number of bins. The first ``apart`` items each open a bin,
    the others go where least room is left behind them.

    Open bins are kept in one stack per remaining room, and a binary tree over the rooms finds the least room that is
    large enough: ``tree[k]`` is whether any bin lies under node k.
    """
    count = len(sizes)
    bins = np.empty(count, np.int64)
    leaves = 1
    while leaves < capacity + 1:
        leaves *= 2
    tree = np.zeros(2 * leaves, np.bool_)
    top = np.full(capacity + 1, -1, np.int64)
    below = np.empty(count, np.int64)
    opened = 0
    for item in range(count):
        size = sizes[item]
        # Least room >= size: climb until a right sibling has a bin, then descend to its leftmost.
        node = leaves + size
        if item < apart:
            node = 1
        elif not tree[node]:
            while node > 1 and not (node % 2 == 0 and tree[node + 1]):
                node //= 2
            if node > 1:
                node += 1
                while node < leaves:
                    node *= 2
                    if not tree[node]:
                        node += 1
        if node > 1:
            room = node - leaves
            chosen = top[room]
            top[room] = below[chosen]
            if top[room] < 0:
                tree[node] = False
                node //= 2
                while node >= 1 and not (tree[2 * node] or tree[2 * node + 1]):
                    tree[node] = False
                    node //= 2
        else:
            room = capacity
            chosen = opened
            opened += 1
        bins[item] = chosen
        room -= size
        below[chosen] = top[room]
        top[room] = chosen
        node = leaves + room
        while node >= 1 and not tree[node]:
            tree[node] = True
            node //= 2
    return bins, opened


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _gather(
    out: npt.NDArray[np.uint32], tokens: npt.NDArray[np.unsignedinteger], offsets: Int64s, document: Int64s,
    offset: Int64s, length: Int32s, sequence: Int64s, start: Int32s,
) -> None:  # fmt: skip
    for i in range(len(document)):
        source = offsets[document[i]] + offset[i]
        row, place = sequence[i], start[i]
        for k in range(length[i]):
            out[row, place + k] = tokens[source + k]
