"""Components, survivors, chaining, exact groups."""

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from algok.dedup.clusters import cluster, known_similarity, survivors_of
from algok.dedup.components import components, contract, is_forest_of_stars, large_star, small_star
from algok.dedup.exact import exact_groups
from algok.dedup.survivor import first_of_groups


def by_scipy(a: np.ndarray, b: np.ndarray) -> dict[int, int]:
    nodes, local = np.unique(np.concatenate([a, b]), return_inverse=True)
    n = len(nodes)
    graph = coo_array((np.ones(len(a)), (local[: len(a)], local[len(a) :])), shape=(n, n))
    _, labels = connected_components(graph, directed=False)
    smallest = {label: nodes[labels == label].min() for label in np.unique(labels)}
    return {int(node): int(smallest[label]) for node, label in zip(nodes, labels, strict=True)}


def by_stars(a: np.ndarray, b: np.ndarray, partitions: int, limit: int = 100) -> tuple[dict[int, int], int]:
    """The distributed algorithm with its partitions simulated."""
    edges = {(max(x, y), min(x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True) if x != y}
    rounds = 0
    while True:
        rounds += 1
        assert rounds < limit, "did not converge"
        before = edges
        both = np.array([*edges, *((y, x) for x, y in edges)], dtype=np.int64).reshape(-1, 2)
        parts = [large_star(*both[both[:, 0] % partitions == p].T) for p in range(partitions)]
        edges = {e for x, y in parts for e in zip(x.tolist(), y.tolist(), strict=True)}
        once = np.array([*edges], dtype=np.int64).reshape(-1, 2)
        parts = [small_star(*once[once[:, 0] % partitions == p].T) for p in range(partitions)]
        edges = {e for x, y in parts for e in zip(x.tolist(), y.tolist(), strict=True)}
        if edges == before:
            break
    final = np.array([*edges], dtype=np.int64).reshape(-1, 2)
    assert is_forest_of_stars(final[:, 0], final[:, 1])
    return {**{y: y for _, y in edges}, **dict(edges)}, rounds


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120), st.integers(1, 150))
def test_components_equal_scipy(seed: int, nodes: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.choice(2**60, nodes, replace=False)
    a, b = ids[rng.integers(0, nodes, edges)], ids[rng.integers(0, nodes, edges)]
    expected = by_scipy(a, b)
    got = dict(zip(*(x.tolist() for x in components(a, b)), strict=True))
    assert got == expected
    stars, _ = by_stars(a, b, 3)
    assert all(stars.get(node, node) == label for node, label in expected.items())
    again = dict(zip(*(x.tolist() for x in components(*contract(a, b))), strict=True))
    assert all(again.get(node, node) == label for node, label in expected.items())


@pytest.mark.parametrize("shuffled", [True, False])
def test_chain_of_100k(shuffled: bool) -> None:
    n = 100_000
    ids = np.random.default_rng(1).permutation(n) if shuffled else np.arange(n)
    nodes, labels = components(ids[:-1], ids[1:])
    assert len(nodes) == n
    assert not labels.any()


def test_chain_by_stars_takes_few_rounds() -> None:
    n = 3000
    ids = np.random.default_rng(2).permutation(n)
    labels, rounds = by_stars(ids[:-1], ids[1:], 4)
    assert set(labels.values()) == {0}
    assert rounds <= 14


@pytest.mark.parametrize("centre", [0, 500_000, 1_000_000])
def test_star_of_a_million(centre: int) -> None:
    spokes = np.delete(np.arange(1_000_001), centre)
    hub = np.full(1_000_000, centre)
    _, labels = components(hub, spokes)
    assert not labels.any()
    node, neighbour = np.concatenate([hub, spokes]), np.concatenate([spokes, hub])
    x, y = small_star(*large_star(node, neighbour))
    assert not components(x, y)[1].any()


def test_survivor_is_the_lowest_rank_of_its_component() -> None:
    labels = np.array([3, 3, 8, 3, 8])
    rank = np.array([4, 1, 0, 3, 2])
    assert survivors_of(labels, rank).tolist() == [1, 1, 2, 1, 2]


def test_known_similarity() -> None:
    a, b = np.array([1, 1, 4]), np.array([2, 9, 7])
    values = np.array([0.5, 0.6, 0.7], dtype=np.float32)
    got = known_similarity(a, b, values, np.array([9, 7, 2, 100, 1]), np.array([1, 4, 4, 101, 7]))
    np.testing.assert_allclose(got, [0.6, 0.7, np.nan, np.nan, np.nan])


def line_similarity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Documents on a line: neighbours are 0.9 alike, the next 0.8, and so on."""
    return np.maximum(0, 1 - 0.1 * np.abs(x - y)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_no_member_is_farther_from_its_survivor_than_the_floor(seed: int) -> None:
    n = 400
    nodes = np.arange(n)
    rank = np.random.default_rng(seed).permutation(n)
    a, b = nodes[:-1], nodes[1:]
    survivor, similarity = cluster(a, b, line_similarity(a, b), nodes, rank, line_similarity, floor=0.75, rounds=8)
    assert (np.abs(survivor - nodes) <= 2).all()
    np.testing.assert_allclose(similarity, line_similarity(nodes, survivor))
    assert (survivor[survivor] == survivor).all(), "a survivor survives"
    assert (rank[survivor] <= rank).all(), "no member is preferred to its survivor"
    assert len(np.unique(survivor)) < 0.7 * n, "and most of the chain is still deduplicated"


def test_after_the_last_round_doubt_keeps_documents() -> None:
    nodes = np.arange(1000)
    a, b = nodes[:-1], nodes[1:]
    survivor, _ = cluster(a, b, line_similarity(a, b), nodes, nodes, line_similarity, floor=0.75, rounds=2)
    assert survivor[:6].tolist() == [0, 0, 0, 3, 3, 3]
    assert (survivor[6:] == nodes[6:]).all()


def test_measure_is_asked_only_for_unknown_pairs() -> None:
    asked = []

    def measure(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        asked.extend(zip(x.tolist(), y.tolist(), strict=True))
        return np.full(len(x), 0.9, dtype=np.float32)

    a, b = np.array([0, 1]), np.array([1, 2])
    sims = np.array([0.8, 0.85], dtype=np.float32)
    survivor, similarity = cluster(a, b, sims, np.arange(3), np.arange(3), measure, floor=0.7, rounds=3)
    assert survivor.tolist() == [0, 0, 0]
    assert asked == [(2, 0)]
    np.testing.assert_allclose(similarity, [1, 0.8, 0.9])


Row = tuple[float | None, int, int | None, bytes, int]


def preference(rows: list[Row], owners: list[int] | None = None) -> pa.Table:
    """Rows of this crawl, unless ``owners`` says what an earlier one decided on them."""
    quality, length, captured, doc_id, node = zip(*rows, strict=True)
    return pa.table(
        {
            "owner": pa.array(owners or [-1] * len(rows), pa.int64()),
            "quality": pa.array(quality, pa.float32()),
            "length": pa.array(length, pa.int32()),
            "captured": pa.array(captured, pa.int64()),
            "doc_id": pa.array([d.rjust(16, b"\0") for d in doc_id], pa.binary(16)),
            "node": pa.array(node, pa.int64()),
        }
    )


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((0.9, 1, None, b"z", 9), (0.8, 9, 1, b"a", 1)),
        ((0.1, 1, None, b"z", 9), (None, 9, 1, b"a", 1)),
        ((None, 9, None, b"z", 9), (None, 8, 1, b"a", 1)),
        ((None, 9, 5, b"z", 9), (None, 9, 6, b"a", 1)),
        ((None, 9, 5, b"z", 9), (None, 9, None, b"a", 1)),
        ((None, 9, 5, b"a", 9), (None, 9, 5, b"b", 1)),
        ((None, 9, 5, b"\x7f", 9), (None, 9, 5, b"\x80", 1)),
        ((None, 9, 5, b"a", 1), (None, 9, 5, b"a", 2)),
        ((float("-0.0"), 9, 5, b"a", 1), (float("nan"), 9, 5, b"a", 0)),
    ],
)
def test_preference(better: tuple, worse: tuple) -> None:  # type: ignore[type-arg]
    for rows, winner in (([better, worse], 0), ([worse, better], 1)):
        best, size = first_of_groups([np.zeros(2)], preference(rows))
        assert best.tolist() == [winner, winner]
        assert size.tolist() == [2, 2]


def test_what_an_earlier_crawl_decided_comes_before_all_preferences() -> None:
    best_new, kept, removed = (0.9, 9, 1, b"a", 1), (0.1, 1, None, b"z", 7), (0.95, 9, 0, b"a", 8)
    rows, owners = [best_new, removed, kept], [-1, 7, 7]
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        table = preference([rows[i] for i in order], [owners[i] for i in order])
        best, _ = first_of_groups([np.zeros(3)], table)
        assert {order[i] for i in best.tolist()} == {2}, "its survivor stays"
    best, _ = first_of_groups([np.zeros(2)], preference([best_new, removed], [-1, 7]))
    assert best.tolist() == [0, 0], "its removed row never comes back"


def hashes(texts: list[str | None]) -> pa.Array:
    return pa.array([None if t is None else xxhash.xxh3_128_digest(t.encode()) for t in texts], pa.binary(16))


def test_exact_groups() -> None:
    content = hashes(["a", "b", "a", None, "b"])
    table = preference([(None, 5, 9, bytes([i]), i) for i in range(5)])
    keep = pa.array([0, 1, 2, 4])
    best, size = exact_groups(content.take(keep), table.take(keep))
    assert best.tolist() == [0, 1, 0, 1]
    assert size.tolist() == [2, 2, 2, 2]
    with pytest.raises(ValueError, match="null"):
        exact_groups(content, table)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("가나다"), min_size=1, max_size=30), st.randoms())
def test_an_exact_copy_adds_no_survivor_and_order_does_not_matter(contents: list[str], random) -> None:  # type: ignore[no-untyped-def]
    def survivors(texts: list[str]) -> set[bytes]:
        table = preference([(None, len(t), 0, f"{i}".encode(), 0) for i, t in enumerate(texts)])
        order = list(range(len(texts)))
        random.shuffle(order)
        table = table.take(order)
        best, _ = exact_groups(hashes(list(texts)).take(pa.array(order)), table)
        return {table["doc_id"][int(i)].as_py() for i in best}

    assert survivors(contents) == survivors([*contents, contents[0]])
    assert len(survivors(contents)) == len(set(contents))
