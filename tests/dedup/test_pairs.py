"""Bands, candidate pairs and their verification."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.dedup.bands import BandOptions, band_keys, candidate_pairs, choose_bands, recall_at, representatives
from algok.dedup.components import components
from algok.dedup.minhash import MinHashOptions
from algok.dedup.options import DedupOptions
from algok.dedup.shingles import ShingleOptions, shingle_hashes, shingles_of
from algok.dedup.verify import VerifyOptions, accept, estimates, jaccards, short_signatures, undecided
from algok.errors import RecipeError

RNG = np.random.default_rng(7)


def brute(keys: np.ndarray, nodes: np.ndarray) -> set[tuple[int, int]]:
    groups = defaultdict(set)
    for key, node in zip(keys.tolist(), nodes.tolist(), strict=True):
        groups[key].add(node)
    return {(a, b) for members in groups.values() for a in members for b in members if a < b}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_small_groups_give_exactly_all_pairs(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, max(1, rows // 4), rows).astype(np.uint64)
    nodes = rng.integers(0, 50, rows)
    options = BandOptions(group_limit=200)
    a, b = candidate_pairs(keys, keys, nodes.astype(np.uint64), nodes, options)
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == brute(keys, nodes)
    assert len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(a)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_pairs_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, 4, 300).astype(np.uint64)
    sketches = rng.integers(0, 2**63, 300).astype(np.uint64) & np.uint64(0x0003_0003_0003_0003)
    nodes = rng.permutation(300)
    ranks = rng.integers(0, 100, 300).astype(np.uint64)
    first = candidate_pairs(keys, sketches, ranks, nodes)
    order = rng.permutation(300)
    second = candidate_pairs(keys[order], sketches[order], ranks[order], nodes[order])
    np.testing.assert_array_equal(first, second)


def test_hot_group_is_bounded_connected_and_keeps_twins() -> None:
    # 20,000 different documents that share one band; 500 pairs of twins among them that share every sub-key.
    n = 20_000
    keys = np.full(n, 42, dtype=np.uint64)
    sketches = RNG.integers(0, 2**63, n).astype(np.uint64)
    twins = RNG.permutation(n)[:1000].reshape(2, 500)
    sketches[twins[1]] = sketches[twins[0]]
    nodes = np.arange(n)
    ranks = RNG.permutation(n).astype(np.uint64)
    options = BandOptions()
    a, b = candidate_pairs(keys, sketches, ranks, nodes, options)
    assert n - 1 <= len(a) <= options.edges_per_member * n
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    assert all((min(x, y), max(x, y)) in pairs for x, y in twins.T.tolist())
    centre = int(np.argmin(ranks))
    assert all((min(x, centre), max(x, centre)) in pairs for x in range(n) if x != centre)


def test_hot_group_of_copies_is_a_bounded_number_of_pairs() -> None:
    n = 50_000
    same = np.full(n, 7, dtype=np.uint64)
    options = BandOptions()
    a, b = candidate_pairs(same, same, np.arange(n).astype(np.uint64), np.arange(n), options)
    assert len(a) <= options.edges_per_member * n
    assert set(components(a, b)[1].tolist()) == {0}


def test_band_keys_depend_on_band_and_values() -> None:
    matrix = RNG.integers(0, 2**32, (50, 112), dtype=np.uint32)
    twin = matrix.copy()
    twin[:, 0] += 1  # breaks band 0 only
    left, _ = band_keys(matrix)
    right, _ = band_keys(twin)
    assert (left[:, 1:] == right[:, 1:]).all()
    assert (left[:, 0] != right[:, 0]).all()
    same = np.zeros((1, 112), dtype=np.uint32)
    assert len(np.unique(band_keys(same)[0])) == 16
    with pytest.raises(RecipeError, match="112"):
        band_keys(matrix, BandOptions(bands=15, rows=8))


def test_recall_curve_matches_simulation() -> None:
    bands, rows, jaccard = 14, 8, 0.8
    agree = RNG.random((20_000, bands, rows)) < jaccard
    assert recall_at(jaccard, bands, rows) == pytest.approx(agree.all(axis=2).any(axis=1).mean(), abs=0.01)


@pytest.mark.parametrize(("jaccard", "recall"), [(0.8, 0.92), (0.8, 0.97), (0.7, 0.95), (0.9, 0.99), (0.5, 0.8)])
def test_chosen_bands_reach_the_recall_with_the_longest_rows(jaccard: float, recall: float) -> None:
    bands, rows = choose_bands(128, jaccard, recall)
    assert bands * rows <= 128
    assert recall_at(jaccard, bands, rows) >= recall
    assert recall_at(jaccard, 128 // (rows + 1), rows + 1) < recall


def test_bands_that_cannot_be_chosen() -> None:
    with pytest.raises(RecipeError, match="permutations"):
        choose_bands(4, 0.2, 0.999)
    with pytest.raises(RecipeError, match="jaccard"):
        choose_bands(112, 1.0, 0.9)


def test_representatives_are_the_lowest_ranks() -> None:
    keys = np.array([1, 1, 1, 2, 1], dtype=np.uint64)
    ranks = np.array([5, 1, 3, 9, 2], dtype=np.uint64)
    assert representatives(keys, ranks, np.arange(5), 2).tolist() == [False, True, False, True, True]


def test_estimates_and_short_signatures() -> None:
    left = RNG.integers(0, 2**32, (30, 112), dtype=np.uint32)
    right = left.copy()
    right[:, :28] += 1
    i = np.arange(30)
    np.testing.assert_allclose(estimates(left, right, i, i), 0.75)
    np.testing.assert_allclose(estimates(short_signatures(left), short_signatures(right), i, i), 0.75)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abc ", max_size=30), min_size=2, max_size=6))
def test_jaccard_of_shingles_is_the_brute_force_one(texts: list[str]) -> None:
    options = ShingleOptions(words=2)
    sets = shingle_hashes(pa.array(texts, pa.large_string()), None, options)
    brute_sets = [set(shingles_of(t, None, options)) for t in texts]
    i, j = np.triu_indices(len(texts), 1)
    expected = [
        len(brute_sets[x] & brute_sets[y]) / len(brute_sets[x] | brute_sets[y]) if brute_sets[x] | brute_sets[y] else 0
        for x, y in zip(i, j, strict=True)
    ]
    np.testing.assert_allclose(jaccards(sets, sets, i, j), expected, rtol=1e-6)
    np.testing.assert_allclose(jaccards(sets, sets, i, j, limit=4096), expected, rtol=1e-6)


def test_bottom_k_jaccard_is_near_the_exact_one() -> None:
    for overlap in (0.2, 0.5, 0.8):
        pool = RNG.choice(2**32, 60_000, replace=False).astype(np.uint32)
        shared = int(60_000 * overlap)
        left = np.sort(np.concatenate([pool[:shared], pool[shared : (shared + 60_000) // 2]]))
        right = np.sort(np.concatenate([pool[:shared], pool[(shared + 60_000) // 2 :]]))
        sketches = pa.array([left[:4096], right[:4096]], pa.large_list(pa.uint32()))
        assert jaccards(sketches, sketches, [0], [1], limit=4096)[0] == pytest.approx(overlap, abs=0.03)


def test_decision_rule() -> None:
    estimate = np.array([0.95, 0.5, 0.78, 0.82], dtype=np.float32)
    assert undecided(estimate, VerifyOptions()).tolist() == [False, False, True, True]
    exact = np.array([np.nan, np.nan, 0.81, 0.79], dtype=np.float32)
    accepted, similarity = accept(estimate, exact, 0.8)
    assert accepted.tolist() == [True, False, True, False]
    np.testing.assert_allclose(similarity, [0.95, 0.5, 0.81, 0.79], rtol=1e-6)


def test_bad_verify_options() -> None:
    with pytest.raises(RecipeError, match="floor"):
        VerifyOptions(threshold=0.7, floor=0.8)
    with pytest.raises(RecipeError, match="threshold"):
        VerifyOptions(threshold=1.2)


def test_options_choose_bands_for_a_recall() -> None:
    options = DedupOptions(recall=0.99, minhash=MinHashOptions(permutations=128), bands=BandOptions(group_limit=20))
    assert (options.bands.bands, options.bands.rows, options.bands.group_limit) == (16, 6, 20)
    assert recall_at(options.verify.threshold, 16, 6) >= 0.99
    with pytest.raises(RecipeError, match="permutations"):
        DedupOptions(bands=BandOptions(bands=20, rows=6))
    with pytest.raises(RecipeError, match=r"quality.*'text'"):
        DedupOptions(quality="text")
    assert DedupOptions(quality="line_punct_share").quality


@pytest.mark.slow
@pytest.mark.parametrize("different", [False, True], ids=["a million copies", "200,000 with one boilerplate"])
def test_memory_of_a_hot_band_is_bounded(different: bool) -> None:
    import tracemalloc

    n = 200_000 if different else 1_000_000
    same = np.full(n, 7, dtype=np.uint64)
    sketches = RNG.integers(0, 2**63, n).astype(np.uint64) if different else same
    tracemalloc.start()
    a, b = candidate_pairs(same, sketches, RNG.permutation(n).astype(np.uint64), np.arange(n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(a) <= BandOptions().edges_per_member * n
    assert len(np.unique(np.concatenate([a, b]))) == n
    assert peak < 1500 * n, "bytes a member, whatever the size of the group"
