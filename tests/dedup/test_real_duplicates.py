"""Issue 5, point 3, on real Korean near-duplicates: recall by similarity, precision of removals, cluster quality."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from algok.dedup.bands import band_keys, candidate_pairs
from algok.dedup.clusters import cluster
from algok.dedup.minhash import signature_matrix
from algok.dedup.options import DedupOptions
from algok.dedup.shingles import shingle_hashes
from algok.dedup.verify import accept, estimates, jaccards, undecided

pytestmark = pytest.mark.shared

#: Strict truth is J >= .8; a removal at .75 to .8 is a near miss that the floor (.74) allows on purpose.
BORDERLINE = 0.75
Pair = tuple[int, int]


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file]


class Found(NamedTuple):
    pairs: set[Pair]
    survivor: list[int]


def find(texts: list[str], options: DedupOptions) -> Found:
    """The stage's kernels in a row: candidates, verified pairs, and each text's survivor (the longest)."""
    n = len(texts)
    array, languages = pa.array(texts, pa.large_string()), pa.array(["ko"] * n)
    matrix, made = signature_matrix(array, languages, options.minhash)
    assert made.all()
    keys, sketches = band_keys(matrix, options.bands)
    nodes = np.arange(n)
    repeated = nodes.repeat(options.bands.bands)
    a, b = candidate_pairs(keys.reshape(-1), sketches.reshape(-1), repeated.astype(np.uint64), repeated, options.bands)
    sets = shingle_hashes(array, languages, options.minhash.shingles, limit=options.verify.shingles)

    def similarity(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        estimate = estimates(matrix, matrix, x, y)
        near = undecided(estimate, options.verify)
        exact = np.full(len(x), np.nan, dtype=np.float32)
        exact[near] = jaccards(sets, sets, x[near], y[near], limit=options.verify.shingles)
        return accept(estimate, exact, options.verify.threshold)[1]

    score = similarity(a, b)
    good = score >= np.float32(options.verify.threshold)
    a, b, score = a[good], b[good], score[good]
    rank = np.empty(n, dtype=np.int64)
    rank[np.lexsort((nodes, [-len(t) for t in texts]))] = nodes
    active = np.unique(np.concatenate([a, b]))
    survivor, _ = cluster(
        a, b, score, active, rank[active], similarity, floor=options.verify.floor, rounds=options.verify.rounds
    )
    whole = nodes.copy()
    whole[active] = survivor
    return Found(set(zip(a.tolist(), b.tolist(), strict=True)), whole.tolist())


class Truth(NamedTuple):
    jaccard: dict[Pair, float]
    found: Found


@pytest.fixture(scope="module")
def pairs(shared_data: Path) -> Truth:
    texts: list[str] = []
    jaccard: dict[Pair, float] = {}
    for name in ("ko_petitions", "ko_dotnet_docs", "ko_news"):
        rows = read(shared_data / name / "data.jsonl.gz")
        at = {row["id"]: len(texts) + i for i, row in enumerate(rows)}
        texts += [row["text"] for row in rows]
        for pair in read(shared_data / "neardup_pairs" / f"{name}.jsonl.gz"):
            x, y = sorted((at[pair["a"]], at[pair["b"]]))
            jaccard[x, y] = pair["jaccard"]
    return Truth(jaccard, find(texts, DedupOptions()))


@pytest.mark.slow
@pytest.mark.parametrize(("low", "high", "bar"), [(0.85, 1.01, 0.97), (0.8, 0.85, 0.9)])
def test_pairs_are_found_and_end_in_one_cluster(pairs: Truth, low: float, high: float, bar: float) -> None:
    wanted = [pair for pair, j in pairs.jaccard.items() if low <= j < high]
    assert len(wanted) > 50
    assert np.mean([pair in pairs.found.pairs for pair in wanted]) >= bar
    survivor = pairs.found.survivor
    assert np.mean([survivor[x] == survivor[y] for x, y in wanted]) >= bar


@pytest.mark.slow
def test_accepted_pairs_and_removals_are_right(pairs: Truth) -> None:
    accepted = [pairs.jaccard.get(pair, 0.0) for pair in pairs.found.pairs]
    assert np.mean([j >= 0.8 for j in accepted]) >= 0.98, "two are at .796 and .7995: case is folded here, not there"
    assert min(accepted) >= 0.79
    removals = [pairs.jaccard.get((min(x, y), max(x, y)), 0.0) for x, y in enumerate(pairs.found.survivor) if x != y]
    assert np.mean([j >= BORDERLINE for j in removals]) >= 0.99


def b_cubed(found: list[int], truth: list[str]) -> float:
    """F1 of Bagga & Baldwin 1998."""
    sizes, classes, both = Counter(found), Counter(truth), Counter(zip(found, truth, strict=True))
    precision = np.mean([both[f, t] / sizes[f] for f, t in zip(found, truth, strict=True)])
    recall = np.mean([both[f, t] / classes[t] for f, t in zip(found, truth, strict=True)])
    return float(2 * precision * recall / (precision + recall))


@pytest.mark.slow
def test_revisions_of_an_article_are_one_cluster(shared_data: Path) -> None:
    rows = read(shared_data / "neardup_news" / "data.jsonl.gz")
    found = find([row["text"] for row in rows], DedupOptions())
    labels = [row["cluster"] for row in rows]
    first = {row["cluster"]: i for i, row in enumerate(rows) if row["revision"] == 0}
    for low, high, bar in ((0.85, 1.01, 0.97), (0.8, 0.85, 0.9)):
        wanted = [
            (first[row["cluster"]], i)
            for i, row in enumerate(rows)
            if row["revision"] and low <= row["jaccard5_to_first"] < high
        ]
        assert np.mean([found.survivor[x] == found.survivor[y] for x, y in wanted]) >= bar
    removed = [(x, y) for x, y in enumerate(found.survivor) if x != y]
    assert np.mean([labels[x] == labels[y] for x, y in removed]) >= 0.99
    assert b_cubed(found.survivor, labels) >= 0.97
