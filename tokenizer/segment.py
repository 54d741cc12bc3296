"""The kernels of tokenisation: a byte trie and the least-cost segmentation over it.

They are in one module because numba's cache notices changes of the calling function's file only.

The segmentation is that of SentencePiece's unigram model (``unigram_model.cc``, ``EncodeOptimized``): walk the start
positions from left to right, follow the trie, keep for every end position the cheapest way to reach it, and on equal
cost the one whose last piece starts first. A character without a piece of its own costs the dearest piece plus ten
pieces and is spelt in byte pieces.

Costs are integers, so the result is exact for texts of any length. Text is processed line by line: no piece holds a
line break beside other characters, so the best path passes every border between a run of line breaks and other text.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from algok.errors import InputError
from algok.tokenizer.model import BYTE, COST_UNIT, NORMAL, Vocabulary

__all__ = ["Trie", "build_trie", "count_uses", "encode_rows", "spelling_sizes"]

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Nodes = npt.NDArray[np.uint64]

#: SentencePiece's penalty for a character without piece, in pieces (kUnkPenalty in unigram_model.cc).
UNKNOWN_PENALTY = 10

#: Fields of the trie and of the search, explained at ``Trie`` and ``reach``.
_EMPTY, _ROOT, _UNKNOWN = 0xFFFF, 256, 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class Trie:
    """A double-array trie over bytes and what the kernel needs beside it.

    ``nodes``: uint64[n]; a node's low 16 bits are the byte that leads to it (_EMPTY: no node), bit 16 says that a piece
    ends here, the high 32 bits are its base: the child by byte ``b`` is node ``base + b``. Bases are distinct, so the
    byte alone tells a child from another node's. The root's base is _ROOT; a node without children has base 0, where
    nothing matches. One node is 8 bytes: the walk is bound by cache misses. ``values``: int64[n]; cost of the piece
    that ends here << 32 | its id. ``byte_ids``: int32[256]. ``unknown_cost``: int, in 1/64 piece.
    """

    nodes: Nodes
    values: npt.NDArray[np.int64]
    byte_ids: Ints
    unknown_cost: int


def build_trie(vocabulary: Vocabulary) -> Trie:
    """The trie over the pieces that match text. Raises InputError if a piece joins a line break with other text."""
    ids = np.flatnonzero(vocabulary.types == NORMAL)
    surfaces = [vocabulary.surfaces[i] for i in ids]
    for surface in surfaces:
        if (b"\n" in surface or b"\r" in surface) and surface.strip(b"\r\n"):
            raise InputError(f"the piece {surface!r} joins a line break with other text")
    order = sorted(range(len(surfaces)), key=surfaces.__getitem__)
    data = np.frombuffer(b"".join(surfaces[i] for i in order), np.uint8)
    offsets = np.zeros(len(order) + 1, np.int64)
    np.cumsum([len(surfaces[i]) for i in order], out=offsets[1:])
    sorted_ids = ids[order].astype(np.int64) if order else np.zeros(0, np.int64)
    costs = vocabulary.costs[sorted_ids].astype(np.int64)
    if costs.size and (costs.min() < 0 or costs.max() >= 1 << 30):
        raise InputError(f"costs of pieces must lie in 0..{(1 << 30) - 1}; found {costs.min()}..{costs.max()}")
    nodes, values = _double_array(data, offsets, costs << 32 | sorted_ids)
    # SentencePiece takes the least score over normal pieces only.
    dearest = int(costs.max()) if costs.size else 0
    byte_ids = vocabulary.byte_ids()
    if (byte_ids < 0).any() or int((vocabulary.types == BYTE).sum()) != 256:
        raise InputError("the vocabulary lacks byte pieces")
    unknown_cost = dearest + UNKNOWN_PENALTY * COST_UNIT
    return Trie(nodes=nodes, values=values, byte_ids=byte_ids, unknown_cost=unknown_cost)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _double_array(
    data: Bytes, offsets: npt.NDArray[np.int64], values: npt.NDArray[np.int64]
) -> tuple[Nodes, npt.NDArray[np.int64]]:
    """Breadth-first first-fit construction from sorted, distinct keys and their values: (nodes, values by node)."""
    count = len(values)
    capacity = max(2048, 2 * len(data) + 2048)
    labels_at = np.full(capacity, _EMPTY, np.uint16)
    bases = np.zeros(capacity, np.uint32)
    based = np.zeros(capacity, np.bool_)
    ends = np.full(capacity, -1, np.int64)
    # Queue of (node, first key, last key, depth). Node 0 stands for the root.
    queue = np.empty((len(data) + 2, 4), np.int64)
    queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3] = 0, 0, count, 0
    head, tail, free = 0, 1, _ROOT
    labels = np.empty(256, np.int64)
    starts = np.empty(257, np.int64)
    top = _ROOT + 256
    while head < tail:
        node, first, last, depth = queue[head, 0], queue[head, 1], queue[head, 2], queue[head, 3]
        head += 1
        if first < last and offsets[first] + depth == offsets[first + 1]:
            ends[node] = values[first]
            first += 1
        children = 0
        for key in range(first, last):
            byte = data[offsets[key] + depth]
            if children == 0 or labels[children - 1] != byte:
                labels[children] = byte
                starts[children] = key
                children += 1
        if children == 0:
            continue
        starts[children] = last
        if node == 0:
            base = _ROOT
        else:
            while labels_at[free] != _EMPTY:
                free += 1
            base = max(_ROOT + 1, free - labels[0])
            misses = 0
            while True:
                if base + 1024 >= len(labels_at):
                    more = len(labels_at)
                    labels_at = np.concatenate((labels_at, np.full(more, _EMPTY, np.uint16)))
                    bases = np.concatenate((bases, np.zeros(more, np.uint32)))
                    based = np.concatenate((based, np.zeros(more, np.bool_)))
                    ends = np.concatenate((ends, np.full(more, -1, np.int64)))
                fits = not based[base]
                if fits:
                    for child in range(children):
                        if labels_at[base + labels[child]] != _EMPTY:
                            fits = False
                            break
                if fits:
                    break
                base += 1
                misses += 1
            # A crowded stretch is given up, or the search for free places becomes quadratic.
            if misses > 64:
                free += misses // 2
        bases[node] = base
        based[base] = True
        for child in range(children):
            target = base + labels[child]
            labels_at[target] = labels[child]
            top = max(top, base + 256)
            queue[tail, 0], queue[tail, 1], queue[tail, 2], queue[tail, 3] = (
                target,
                starts[child],
                starts[child + 1],
                depth + 1,
            )
            tail += 1
    # Up to 256 spare nodes: every ``base + byte`` stays inside, so the kernel needs no bound check.
    nodes = np.empty(top, np.uint64)
    for i in range(top):
        flag = np.uint64(1 << 16) if ends[i] >= 0 else np.uint64(0)
        nodes[i] = np.uint64(bases[i]) << np.uint64(32) | flag | np.uint64(labels_at[i])
    return nodes, ends[:top].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def reach(
    data: Bytes,
    start: int,
    end: int,
    nodes: Nodes,
    values: npt.NDArray[np.int64],
    unknown_cost: int,
    skip: int,
    best: npt.NDArray[np.int64],
    step: npt.NDArray[np.int64],
) -> None:
    """Fill, for the end positions of data[start:end], the least cost, and the start of the last piece << 32 | its id
    (_UNKNOWN: character without piece). Positions in the arrays are relative to ``start``; piece ``skip`` is not used.

    Indices are unsigned, which spares numba's test for negative ones: 1.3-1.6 times as fast.
    """
    size = end - start
    infinite = np.int64(1) << 62
    for i in range(1, size + 1):
        best[np.uint64(i)] = infinite
    best[0] = 0
    at = 0
    while at < size:
        here = best[np.uint64(at)]
        lead = data[np.uint64(start + at)]
        width = 1 if lead < 0xC0 else (2 if lead < 0xE0 else (3 if lead < 0xF0 else 4))
        if width > size - at:
            width = size - at
        single = False
        base = np.uint64(_ROOT)
        pos = at
        while pos < size:
            byte = np.uint64(data[np.uint64(start + pos)])
            target = base + byte
            node = nodes[target]
            if node & np.uint64(0xFFFF) != byte:
                break
            pos += 1
            base = node >> np.uint64(32)
            if node & np.uint64(0x10000):
                value = values[target]
                found = value & np.int64(0xFFFFFFFF)
                if found != skip:
                    cost = here + (value >> np.int64(32))
                    if cost < best[np.uint64(pos)]:
                        best[np.uint64(pos)] = cost
                        step[np.uint64(pos)] = np.int64(at) << np.int64(32) | found
                    if pos - at == width:
                        single = True
        if not single:
            cost = here + unknown_cost
            if cost < best[np.uint64(at + width)]:
                best[np.uint64(at + width)] = cost
                step[np.uint64(at + width)] = np.int64(at) << np.int64(32) | _UNKNOWN
        at += width


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def encode_rows(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    nodes: Nodes,
    values: npt.NDArray[np.int64],
    byte_ids: Ints,
    unknown_cost: int,
    tail_id: int,
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Token ids of every row ``data[offsets[i]:offsets[i + 1]]``: (uint32 values, int64 offsets into them).

    ``tail_id`` is put at the end of every row, unless negative. Any bytes are encoded without loss, valid UTF-8 or
    not. Memory: the tokens, and 16 bytes for every byte of the longest line.
    """
    rows = len(offsets) - 1
    out = np.empty(max(16, (offsets[rows] - offsets[0]) // 3 + rows), np.uint32)
    ends = np.zeros(rows + 1, np.int64)
    used = 0
    room = 1024
    best, step = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
    for row in range(rows):
        start, stop = offsets[row], offsets[row + 1]
        while start < stop:
            lead = data[start]
            first = lead == 10 or lead == 13
            end = start + 1
            while end < stop:
                byte = data[np.uint64(end)]
                if (byte == 10 or byte == 13) != first:
                    break
                end += 1
            size = end - start
            if size > room:
                room = max(size, 2 * room)
                best, step = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
            if used + size + 1 > len(out):
                grown = np.empty(max(2 * len(out), used + size + 1), np.uint32)
                grown[:used] = out[:used]
                out = grown
            reach(data, start, end, nodes, values, unknown_cost, -1, best, step)
            # Back along the best path, then turned round.
            at, write = size, used
            while at > 0:
                taken = step[np.uint64(at)]
                before, found = taken >> np.int64(32), taken & np.int64(0xFFFFFFFF)
                if found != _UNKNOWN:
                    out[np.uint64(write)] = found
                    write += 1
                else:
                    for pos in range(at - 1, before - 1, -1):
                        out[np.uint64(write)] = byte_ids[data[np.uint64(start + pos)]]
                        write += 1
                at = before
            low, high = used, write - 1
            while low < high:
                swap = out[np.uint64(low)]
                out[np.uint64(low)] = out[np.uint64(high)]
                out[np.uint64(high)] = swap
                low += 1
                high -= 1
            used = write
            start = end
        if tail_id >= 0:
            if used == len(out):
                grown = np.empty(2 * len(out), np.uint32)
                grown[:used] = out
                out = grown
            out[used] = tail_id
            used += 1
        ends[row + 1] = used
    return out[:used].copy(), ends


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_uses(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    owners: Ints,
    weights: npt.NDArray[np.float64],
    nodes: Nodes,
    values: npt.NDArray[np.int64],
    unknown_cost: int,
    counts: npt.NDArray[np.int64],
    damped: npt.NDArray[np.float64],
) -> None:
    """Add to ``counts`` (by id) how often each piece is used in the lines ``data[offsets[i]:offsets[i + 1]]``, and to
    ``damped`` the square roots of its uses in each document, times the document's weight. ``owners``: document of each
    line, ascending; ``weights``: by document."""
    room = 1024
    best, step = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
    here = np.zeros(len(counts), np.int64)
    seen = np.empty(len(counts), np.int32)
    kinds = 0
    lines = len(offsets) - 1
    for line in range(lines):
        start, end = offsets[line], offsets[line + 1]
        size = end - start
        if size > room:
            room = max(size, 2 * room)
            best, step = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
        reach(data, start, end, nodes, values, unknown_cost, -1, best, step)
        at = size
        while at > 0:
            found = step[at] & np.int64(0xFFFFFFFF)
            if found != _UNKNOWN:
                if here[found] == 0:
                    seen[kinds] = found
                    kinds += 1
                here[found] += 1
            at = step[at] >> np.int64(32)
        if line + 1 == lines or owners[line + 1] != owners[line]:
            for kind in range(kinds):
                found = seen[kind]
                counts[found] += here[found]
                damped[found] += weights[owners[line]] * np.sqrt(here[found])
                here[found] = 0
            kinds = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spelling_sizes(
    data: Bytes,
    offsets: npt.NDArray[np.int64],
    nodes: Nodes,
    values: npt.NDArray[np.int64],
    unknown_cost: int,
) -> Ints:
    """How many other pieces spell each piece: int32[n]. Piece i has the bytes ``data[offsets[i]:offsets[i + 1]]``.

    A byte without piece counts as one."""
    count = len(offsets) - 1
    out = np.zeros(count, np.int32)
    room = 4096
    best, step = np.empty(room + 1, np.int64), np.empty(room + 1, np.int64)
    for index in range(count):
        start, end = offsets[index], offsets[index + 1]
        reach(data, start, end, nodes, values, unknown_cost, index, best, step)
        at = end - start
        while at > 0:
            before = step[at] >> np.int64(32)
            out[index] += 1 if step[at] & np.int64(0xFFFFFFFF) != _UNKNOWN else at - before
            at = before
    return out
