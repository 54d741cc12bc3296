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

#: SentencePiece's penalty for a character without piece, in pieces (kUnkPenalty in unigram_model.cc).
UNKNOWN_PENALTY = 10


@dataclass(frozen=True, kw_only=True)
class Trie:
    """A double-array trie over bytes and what the kernel needs beside it.

    ``tree``: int32[4 n]; node k has its base (-1: no children), parent, piece id (-1: none) and that piece's cost
    at 4 k and behind. ``byte_ids``: int32[256].
    ``unknown_cost``: int, in 1/64 piece.
    """

    tree: Ints
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
    sorted_ids = ids[order].astype(np.int32) if order else np.zeros(0, np.int32)
    nodes = _double_array(data, offsets, sorted_ids, vocabulary.costs[sorted_ids])
    matching = vocabulary.costs[ids]
    # SentencePiece takes the least score over normal pieces only.
    dearest = int(matching.max()) if len(matching) else 0
    byte_ids = vocabulary.byte_ids()
    if (byte_ids < 0).any() or int((vocabulary.types == BYTE).sum()) != 256:
        raise InputError("the vocabulary lacks byte pieces")
    return Trie(tree=nodes.reshape(-1), byte_ids=byte_ids, unknown_cost=dearest + UNKNOWN_PENALTY * COST_UNIT)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _double_array(data: Bytes, offsets: npt.NDArray[np.int64], ids: Ints, costs: Ints) -> Ints:
    """Breadth-first first-fit construction from sorted, distinct keys. The root is node 0; a child of ``n`` by byte
    ``b`` is node ``base[n] + b`` when its parent field says ``n``."""
    count = len(ids)
    capacity = max(1024, 2 * len(data) + 1024)
    nodes = np.full((capacity, 4), -1, np.int32)
    nodes[0, 1] = 0
    # Queue of (node, first key, last key, depth).
    queue = np.empty((len(data) + 2, 4), np.int64)
    queue[0, 0], queue[0, 1], queue[0, 2], queue[0, 3] = 0, 0, count, 0
    head, tail, free = 0, 1, 1
    labels = np.empty(256, np.int32)
    starts = np.empty(257, np.int64)
    while head < tail:
        node, first, last, depth = queue[head, 0], queue[head, 1], queue[head, 2], queue[head, 3]
        head += 1
        if first < last and offsets[first] + depth == offsets[first + 1]:
            nodes[node, 2] = ids[first]
            nodes[node, 3] = costs[first]
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
        while nodes[free, 1] != -1:
            free += 1
            if free + 512 >= len(nodes):
                grown = np.full((2 * len(nodes), 4), -1, np.int32)
                grown[: len(nodes)] = nodes
                nodes = grown
        base = max(1, free - labels[0])
        misses = 0
        while True:
            if base + 512 >= len(nodes):
                grown = np.full((2 * len(nodes), 4), -1, np.int32)
                grown[: len(nodes)] = nodes
                nodes = grown
            fits = True
            for child in range(children):
                if nodes[base + labels[child], 1] != -1:
                    fits = False
                    break
            if fits:
                break
            base += 1
            misses += 1
        # A crowded stretch is given up, or the search for free places becomes quadratic.
        if misses > 64:
            free += misses // 2
        nodes[node, 0] = base
        for child in range(children):
            target = base + labels[child]
            nodes[target, 1] = node
            queue[tail, 0], queue[tail, 1], queue[tail, 2], queue[tail, 3] = (
                target,
                starts[child],
                starts[child + 1],
                depth + 1,
            )
            tail += 1
    used = len(nodes)
    while used > 1 and nodes[used - 1, 1] == -1:
        used -= 1
    # 256 spare nodes: every ``base + byte`` stays inside, so the kernel needs no bound check.
    return nodes[: min(len(nodes), used + 256)].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def reach(
    data: Bytes,
    start: int,
    end: int,
    tree: Ints,
    unknown_cost: int,
    skip: int,
    best: npt.NDArray[np.int64],
    back: Ints,
    piece: Ints,
) -> None:
    """Fill, for the end positions of data[start:end], the least cost, the start of the last piece and its id (-1:
    character without piece). Positions in the three arrays are relative to ``start``; piece ``skip`` is not used.

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
        node = np.uint32(0)
        base = tree[0]
        pos = at
        while pos < size and base >= 0:
            target = np.uint32(base) + np.uint32(data[np.uint64(start + pos)])
            entry = np.uint64(target) << np.uint64(2)
            if tree[entry + np.uint64(1)] != np.int32(node):
                break
            node = target
            pos += 1
            base = tree[entry]
            found = tree[entry + np.uint64(2)]
            if found >= 0 and found != skip:
                cost = here + tree[entry + np.uint64(3)]
                if cost < best[np.uint64(pos)]:
                    best[np.uint64(pos)] = cost
                    back[np.uint64(pos)] = at
                    piece[np.uint64(pos)] = found
                if pos - at == width:
                    single = True
        if not single:
            cost = here + unknown_cost
            if cost < best[np.uint64(at + width)]:
                best[np.uint64(at + width)] = cost
                back[np.uint64(at + width)] = at
                piece[np.uint64(at + width)] = -1
        at += width


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def encode_rows(data: Bytes, offsets: npt.NDArray[np.int64], tree: Ints, byte_ids: Ints, unknown_cost: int,
                tail_id: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:  # fmt: skip
    """Token ids of every row ``data[offsets[i]:offsets[i + 1]]``: (uint32 values, int64 offsets into them).

    ``tail_id`` is put at the end of every row, unless negative. Any bytes are encoded without loss, valid UTF-8 or
    not. Memory: the tokens, and 16 bytes for every byte of the longest line.
    """
    rows = len(offsets) - 1
    out = np.empty(max(16, (offsets[rows] - offsets[0]) // 3 + rows), np.uint32)
    ends = np.zeros(rows + 1, np.int64)
    used = 0
    room = 1024
    best, back, piece = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
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
                best, back = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32)
                piece = np.empty(room + 1, np.int32)
            if used + size + 1 > len(out):
                grown = np.empty(max(2 * len(out), used + size + 1), np.uint32)
                grown[:used] = out[:used]
                out = grown
            reach(data, start, end, tree, unknown_cost, -1, best, back, piece)
            # Back along the best path, then turned round.
            at, write = size, used
            while at > 0:
                before = np.int64(back[np.uint64(at)])
                found = piece[np.uint64(at)]
                if found >= 0:
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
    tree: Ints,
    unknown_cost: int,
    counts: npt.NDArray[np.int64],
    damped: npt.NDArray[np.float64],
) -> None:
    """Add to ``counts`` (by id) how often each piece is used in the lines ``data[offsets[i]:offsets[i + 1]]``, and to
    ``damped`` the square roots of its uses in each document. ``owners``: document of each line, ascending."""
    room = 1024
    best, back, piece = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    here = np.zeros(len(counts), np.int64)
    seen = np.empty(len(counts), np.int32)
    kinds = 0
    lines = len(offsets) - 1
    for line in range(lines):
        start, end = offsets[line], offsets[line + 1]
        size = end - start
        if size > room:
            room = max(size, 2 * room)
            best, back = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32)
            piece = np.empty(room + 1, np.int32)
        reach(data, start, end, tree, unknown_cost, -1, best, back, piece)
        at = size
        while at > 0:
            found = piece[at]
            if found >= 0:
                if here[found] == 0:
                    seen[kinds] = found
                    kinds += 1
                here[found] += 1
            at = back[at]
        if line + 1 == lines or owners[line + 1] != owners[line]:
            for kind in range(kinds):
                found = seen[kind]
                counts[found] += here[found]
                damped[found] += np.sqrt(here[found])
                here[found] = 0
            kinds = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def spelling_sizes(data: Bytes, offsets: npt.NDArray[np.int64], tree: Ints, unknown_cost: int) -> Ints:
    """How many other pieces spell each piece: int32[n]. Piece i has the bytes ``data[offsets[i]:offsets[i + 1]]``.

    A byte without piece counts as one."""
    count = len(offsets) - 1
    out = np.zeros(count, np.int32)
    room = 4096
    best, back, piece = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32), np.empty(room + 1, np.int32)
    for index in range(count):
        start, end = offsets[index], offsets[index + 1]
        reach(data, start, end, tree, unknown_cost, index, best, back, piece)
        at = end - start
        while at > 0:
            out[index] += 1 if piece[at] >= 0 else at - back[at]
            at = back[at]
    return out
