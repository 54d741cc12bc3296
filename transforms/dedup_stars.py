"""Connected components as Beam jobs: rounds of large-star and small-star over partitions until nothing changes."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.dedup.bands import distinct_pairs
from algok.dedup.components import contract, large_star, small_star
from algok.errors import StageError
from algok.transforms.dedup_tables import OnPartitions, Plan, ReadTables, table_path, to_batches, write_table
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.storage import remove_tree

__all__ = ["STEP", "RunJob", "star_rounds"]

I64 = npt.NDArray[np.int64]
Batches = Callable[[], Iterator[pa.RecordBatch]]
RunJob = Callable[[str, Callable[[beam.Pipeline], Any]], None]

#: An edge of a step of the components: (node, neighbour).
STEP = pa.schema([pa.field("node", pa.int64()), pa.field("neighbour", pa.int64())])
#: Rounds of large-star and small-star; O(log n) are expected (Kiveris et al. 2014), 10 to 20 in practice.
MAX_STAR_ROUNDS = 64


def _step_batches(node: I64, neighbour: I64) -> Iterator[pa.RecordBatch]:
    yield from to_batches(pa.table([pa.array(node), pa.array(neighbour)], schema=STEP))


def _contracted(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Both directions of a spanning forest of the batch's edges."""
    node, neighbour = contract(batch.column(0).to_numpy(), batch.column(1).to_numpy())
    yield from _step_batches(np.concatenate([node, neighbour]), np.concatenate([neighbour, node]))


def _large(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    table = pa.Table.from_batches(batches(), STEP).combine_chunks()
    yield from _step_batches(*large_star(table["node"].to_numpy(), table["neighbour"].to_numpy()))


class _Small(msgspec.Struct, frozen=True):
    """Writes the edges after a round and yields a fingerprint of them: rows and an order-free sum of hashes."""

    out: str

    def __call__(self, partition: int, batches: Batches) -> Iterator[str]:
        table = pa.Table.from_batches(batches(), STEP).combine_chunks()
        node, neighbour = distinct_pairs(*small_star(table["node"].to_numpy(), table["neighbour"].to_numpy()))
        write_table(table_path(self.out, partition), _step_batches(node, neighbour), STEP)
        mixed = (node.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ neighbour.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        total = int(np.sum(mixed ^ (mixed >> np.uint64(32)), dtype=np.uint64))
        yield msgspec.json.encode([partition, len(node), total]).decode()


def _build_round(pipeline: beam.Pipeline, plan: Plan, partitions: int, edges: tuple[str, ...], out: str) -> None:
    both = pipeline | "Edges" >> ReadTables(edges, _contracted)
    large = both | "LargeStar" >> OnPartitions(plan, "node", partitions, _large)
    small = large | "SmallStar" >> OnPartitions(plan, "node", partitions, _Small(out), kind=str)
    _ = small | "Fingerprints" >> CollectLines(f"{out}-fingerprints")


def star_rounds(run: RunJob, plan: Plan, name: str, edges: tuple[str, ...], partitions: int) -> str:
    """Folder of the labels (STEP: node, smallest of its component) of all nodes but the smallest of each component.

    Raises ``StageError`` when the rounds do not converge.
    """
    current = edges
    last: list[list[int]] = []
    for number in range(1, MAX_STAR_ROUNDS + 1):
        out = plan.table(f"{name}-{number % 2}")
        remove_tree(out)
        remove_tree(f"{out}-fingerprints")
        run(f"{name}-round-{number}", partial(_build_round, plan=plan, partitions=partitions, edges=current, out=out))
        found = sorted(msgspec.json.decode(line) for line in read_lines(f"{out}-fingerprints"))
        if found == last:
            return out
        current, last = (out,), found
    raise StageError(
        f"dedup: components did not converge in {MAX_STAR_ROUNDS} rounds; raise dedup.local_pairs if memory allows, "
        "or report this as a bug"
    )
