"""Components as Beam jobs on the shapes that are worst for them, against union-find."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from algok.dedup.components import components
from algok.errors import StageError
from algok.transforms import dedup_stars
from algok.transforms.dedup_stars import star_rounds
from algok.transforms.dedup_tables import Plan, batches_of, table_path, write_table
from algok.transforms.dedup_verify import EDGES
from algok.transforms.storage import list_files
from tests.transforms.test_dedup import run_with

Edges = tuple[np.ndarray, np.ndarray]


def shuffled(edges: Edges, seed: int = 1) -> Edges:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(edges[0]))
    swap = rng.random(len(order)) < 0.5
    a, b = edges[0][order], edges[1][order]
    return np.where(swap, a, b), np.where(swap, b, a)


def labels_of(folder: Path, edges: Edges, partitions: int, files: int = 5) -> dict[int, int]:
    for i, rows in enumerate(np.array_split(np.arange(len(edges[0])), files)):
        arrays = [pa.array(x[rows]) for x in edges]
        batch = pa.RecordBatch.from_arrays([*arrays, pa.array(np.ones(len(rows), np.float32))], schema=EDGES)
        write_table(table_path(str(folder / "edges"), i), [batch], EDGES)
    plan = Plan(
        units="", folder=str(folder / "tables"), spill=str(folder / "spill"), partitions=partitions, rows=len(edges[0])
    )
    out = star_rounds(run_with(1), plan, "test", (str(folder / "edges"),), partitions)
    found: dict[int, int] = {}
    for file in list_files(f"{out}/*.arrow"):
        for batch in batches_of(file.path):
            for node, label in zip(*(c.to_pylist() for c in batch.columns), strict=True):
                assert node not in found
                found[node] = label
    return found


def chain(n: int) -> Edges:
    ids = np.random.default_rng(5).permutation(n)
    return ids[:-1], ids[1:]


def star(n: int) -> Edges:
    return np.full(n - 1, n // 2), np.delete(np.arange(n), n // 2)


def small_ones(n: int) -> Edges:
    rng = np.random.default_rng(6)
    start = np.arange(0, n, 4)
    return np.repeat(start, 3), np.repeat(start, 3) + rng.integers(1, 4, 3 * len(start))


def random_graph(n: int) -> Edges:
    rng = np.random.default_rng(7)
    return rng.integers(0, n, n // 2), rng.integers(0, n, n // 2)


@pytest.mark.parametrize(
    ("edges", "partitions"),
    [
        pytest.param(random_graph(5_000), 3, id="random"),
        pytest.param(small_ones(20_000), 4, id="small"),
        pytest.param(chain(2_000), 3, id="chain"),
        pytest.param(chain(100_000), 8, id="chain of 100,000", marks=pytest.mark.slow),
        pytest.param(star(1_000_000), 4, id="star of 1,000,000", marks=pytest.mark.slow),
        pytest.param(small_ones(1_000_000), 4, id="250,000 small ones", marks=pytest.mark.slow),
    ],
)
def test_components_equal_union_find(edges: Edges, partitions: int, tmp_path: Path) -> None:
    a, b = (x.astype(np.int64) for x in shuffled(edges))
    nodes, labels = components(a, b)
    found = labels_of(tmp_path, (a, b), partitions)
    expected = {int(x): int(y) for x, y in zip(nodes, labels, strict=True) if x != y}
    assert found == expected


def test_no_convergence_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup_stars, "MAX_STAR_ROUNDS", 1)
    a, b = (x.astype(np.int64) for x in shuffled(chain(500)))
    with pytest.raises(StageError, match="converge"):
        labels_of(tmp_path, (a, b), 3)
