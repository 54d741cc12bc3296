"""Packing: every token once, nothing cut without need, little waste, order-independent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.errors import InputError
from algok.tokenizer.packing import Packing, fill_sequences, pack


def check(packing: Packing, lengths: np.ndarray) -> None:
    """The invariants of any packing."""
    size = packing.sequence_length
    covered = [np.zeros(n, bool) for n in lengths]
    for i in range(len(packing.document)):
        document, offset, length = packing.document[i], packing.offset[i], packing.length[i]
        assert length > 0
        assert not covered[document][offset : offset + length].any()
        covered[document][offset : offset + length] = True
        assert packing.parts[i] == max(1, -(-lengths[document] // size))
        assert 0 <= packing.part[i] < packing.parts[i]
        assert packing.parts[i] == 1 or lengths[document] > size
    assert all(c.all() for c in covered)
    assert packing.tokens == sum(lengths)
    for s in range(packing.sequences):
        a, b = packing.first[s], packing.first[s + 1]
        assert b > a
        assert (packing.sequence[a:b] == s).all()
        starts, sizes = packing.start[a:b], packing.length[a:b]
        assert starts[0] == 0
        assert (starts[1:] == starts[:-1] + sizes[:-1]).all()
        assert starts[-1] + sizes[-1] <= size


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(2, 20))
@settings(max_examples=300, deadline=None)
def test_invariants(lengths: list[int], size: int) -> None:
    check(pack(np.array(lengths, np.int64), size), np.array(lengths, np.int64))


@given(st.lists(st.integers(1, 19), max_size=40))
@settings(max_examples=200, deadline=None)
def test_bins_equal_a_plain_best_fit_decreasing(lengths: list[int]) -> None:
    rooms: list[int] = []
    for n in sorted(lengths, reverse=True):
        fitting = [r for r in rooms if r >= n]
        if fitting:
            rooms.remove(min(fitting))
            rooms.append(min(fitting) - n)
        else:
            rooms.append(20 - n)
    packing = pack(np.array(lengths, np.int64), 20)
    filled = [int(packing.length[packing.first[s] : packing.first[s + 1]].sum()) for s in range(packing.sequences)]
    assert sorted(20 - f for f in filled) == sorted(rooms)


def _web_lengths(count: int, seed: int) -> np.ndarray:
    """Log-normal with a heavy tail: median about 450 tokens, a few above a sequence."""
    return np.maximum(1, np.random.default_rng(seed).lognormal(6.1, 1.3, count)).astype(np.int64)


def test_realistic_lengths_waste_little() -> None:
    lengths = _web_lengths(100_000, 1)
    packing = pack(lengths)
    assert packing.waste < 0.005
    assert packing.cut_documents == (lengths > 32_768).sum()
    assert packing.cut_documents < packing.concatenation_cuts
    starts = np.cumsum(lengths) - lengths
    assert packing.concatenation_cuts == (starts // 32_768 != (starts + lengths - 1) // 32_768).sum()


def test_order_of_documents_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    lengths = np.concatenate([_web_lengths(3000, 2), np.full(500, 700)])
    ids = rng.integers(0, 256, (len(lengths), 16), np.uint8)
    shuffle = rng.permutation(len(lengths))
    one, two = pack(lengths, 4096, ids=ids), pack(lengths[shuffle], 4096, ids=ids[shuffle])
    check(one, lengths)
    assert (one.document == shuffle[two.document]).all()
    for name in ("sequence", "start", "part", "offset", "length"):
        assert (getattr(one, name) == getattr(two, name)).all()
    assert one.concatenation_cuts == two.concatenation_cuts


def test_sequences_do_not_come_sorted_by_document_length() -> None:
    packing = pack(_web_lengths(20_000, 3), 4096)
    documents = np.diff(packing.first)
    halves = documents[: len(documents) // 2].mean(), documents[len(documents) // 2 :].mean()
    assert 0.7 < halves[0] / halves[1] < 1.4
    assert pack(_web_lengths(20_000, 3), 4096, seed=1).sequence.shape == packing.sequence.shape


def test_fill_puts_every_token_at_its_place() -> None:
    lengths = np.array([5, 0, 23, 8, 3, 10, 1])
    tokens = np.arange(100, 100 + lengths.sum()).astype(np.uint32)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    packing = pack(lengths, 10)
    rows = fill_sequences(packing, tokens, offsets, pad=7)
    assert rows.shape == (packing.sequences, 10)
    assert sorted(rows[rows != 7].tolist()) == tokens.tolist()
    for i in range(len(packing.document)):
        start = offsets[packing.document[i]] + packing.offset[i]
        placed = rows[packing.sequence[i], packing.start[i] : packing.start[i] + packing.length[i]]
        assert placed.tolist() == tokens[start : start + packing.length[i]].tolist()
    part = fill_sequences(packing, tokens, offsets, pad=7, first=1, last=3)
    assert (part == rows[1:3]).all()


def test_edges_and_errors() -> None:
    assert pack(np.array([], np.int64)).sequences == 0
    assert pack(np.array([32_768])).padding == 0
    assert pack(np.array([32_768])).cut_documents == 0
    assert pack(np.array([32_769])).cut_documents == 1
    with pytest.raises(InputError, match="negative"):
        pack(np.array([-1]))
    with pytest.raises(InputError, match="sequence_length"):
        pack(np.array([1]), 1)
    with pytest.raises(InputError, match="ids"):
        pack(np.array([1]), ids=np.zeros((2, 16), np.uint8))


def _adjacent(packing: Packing, document: int) -> bool:
    """Whether the parts of a document follow each other, each at the start of its sequence."""
    at = np.flatnonzero(packing.document == document)
    at = at[np.argsort(packing.part[at])]
    return bool((np.diff(packing.sequence[at]) == 1).all() and (packing.start[at] == 0).all())


@given(st.lists(st.integers(0, 120), max_size=60), st.integers(2, 20), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_long_documents_lie_in_adjacent_sequences(lengths: list[int], size: int, seed: int) -> None:
    array = np.array(lengths, np.int64)
    packing = pack(array, size, seed=seed)
    check(packing, array)
    apart = [d for d in np.flatnonzero(array > size) if not _adjacent(packing, d)]
    assert len(apart) <= packing.scattered_documents
    assert packing.cut_tokens == array[array > size].sum()


def test_web_like_documents_are_all_adjacent_and_books_alone_waste_little() -> None:
    lengths = _web_lengths(100_000, 4)
    packing = pack(lengths, 8192)
    long = np.flatnonzero(lengths > 8192)
    assert len(long) > 500
    assert packing.scattered_documents == 0
    assert all(_adjacent(packing, d) for d in long)
    assert packing.waste < 0.005
    # Hardly anything to fill sequences up with: the rests of long documents must share sequences.
    books = np.random.default_rng(5).integers(9_000, 60_000, 4_000)
    packing = pack(np.concatenate([books, _web_lengths(50, 5)]), 8192)
    assert packing.waste < 0.005
    assert 0 < packing.scattered_documents < len(books)
