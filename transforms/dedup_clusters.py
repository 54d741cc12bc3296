"""Source of CLUSTERS: the kept documents of a unit with what the steps of deduplication left of them."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.errors import CorruptionError
from algok.schema import CLUSTERS, KEPT, REJECTED
from algok.transforms.dedup_assign import ASSIGNED
from algok.transforms.dedup_counts import COUNTS
from algok.transforms.dedup_tables import nodes_of, read_table, table_path
from algok.transforms.sinks import Output, count_rows
from algok.transforms.sources import DocumentRows, read_parquet
from algok.transforms.units import Unit

__all__ = ["ClusterRows", "cluster_outputs"]

#: Flags of ASSIGNED, and what they are for a document that is not there.
_FLAGS = (("survivor", True), ("near", False), ("copy", False), ("url", False))


class ClusterRows(msgspec.Struct, frozen=True, kw_only=True):
    """Source of CLUSTERS: the kept documents of a unit with what ``run_dedup`` left of them in ``folder``.

    A document that is not in ``assigned`` is unique. ``unit.body["edits"]`` is the unit's file of EDITS, if there is
    one. Nodes from ``first_stored`` on are survivors in stores of earlier crawls. Raises ``CorruptionError`` when a row
    of a table is no kept document.
    """

    folder: str
    first_stored: int = 1 << 62

    @property
    def schema(self) -> pa.Schema:
        return CLUSTERS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        index = unit.body["index"]
        path = table_path(f"{self.folder}/assigned", index)
        known = read_table(path, ASSIGNED, required=False).combine_chunks()
        counts = read_table(table_path(f"{self.folder}/counts", index), COUNTS, required=False)
        known_nodes = known["node"].to_numpy()
        if not np.array_equal(known_nodes, counts["node"].to_numpy()):
            raise CorruptionError(f"{path} and the counts beside it differ: run dedup with --force")
        for name in ("snapshots", "source_count"):
            known = known.append_column(COUNTS.field(name), counts[name].combine_chunks())
        edited, lost = _lost(unit.body.get("edits"))
        plain = msgspec.structs.replace(unit, body={k: v for k, v in unit.body.items() if k != "edits"})
        used = 0
        source = DocumentRows(columns=("source", "language", "captured", "bytes"))
        for batch, done in source.read(plain, tally):
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            at = np.searchsorted(nodes, known_nodes[used:])
            inside = at < len(nodes)
            inside[inside] = nodes[at[inside]] == known_nodes[used:][inside]
            count = int(np.argmin(inside)) if not inside.all() else len(inside)
            part = known.slice(used, count)
            used += count
            removed = np.zeros(batch.num_rows, dtype=np.int32)
            rows = nodes & 0xFFFF_FFFF
            where = np.searchsorted(edited, rows)
            hit = where < len(edited)
            hit[hit] = edited[where[hit]] == rows[hit]
            removed[hit] = lost[where[hit]]
            yield _cluster_batch(batch, part, at[:count], removed, self.first_stored), done
        if used != len(known_nodes):
            raise CorruptionError(f"{path} does not match the documents of unit {unit.key}: run dedup with --force")


def _lost(path: str | None) -> tuple[Any, Any]:
    """Rows with edits, sorted, and the bytes that each loses."""
    if path is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    rows, sizes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for batch in read_parquet(path, ["row", "start", "end"], 1 << 16):
        row, start, end = (batch.column(name).to_numpy().astype(np.int64) for name in ("row", "start", "end"))
        rows.append(row)
        sizes.append(end - start)
    row, at = np.unique(np.concatenate(rows), return_inverse=True)
    return row, np.bincount(at, weights=np.concatenate(sizes), minlength=len(row)).astype(np.int64)


def _cluster_batch(batch: pa.RecordBatch, known: pa.Table, at: Any, removed: Any, first_stored: int) -> pa.RecordBatch:
    n = batch.num_rows

    def spread(name: str, default: Any, kind: Any) -> Any:
        out = np.full(n, default, dtype=kind)
        out[at] = known[name].to_numpy()
        return out

    survivor, near, copy, url = (spread(name, default, bool) for name, default in _FLAGS)
    where = np.arange(n, dtype=np.int64)
    where[at] = n + np.arange(len(at))
    ids = pa.concat_arrays([batch.column("doc_id"), *known["cluster_id"].chunks]).take(pa.array(where))
    size = spread("cluster_size", 1, np.int64)
    # A survivor belongs to its cluster as the others do: near if any is, exact if all are copies.
    others = np.where(near, "near", "exact")
    method = np.where(size == 1, "unique", np.where(url, "url", np.where(copy, "exact", others)))
    reason = np.where(url, "url_duplicate", np.where(copy, "exact_duplicate", "near_duplicate")).tolist()
    snapshots = batch.column("captured").is_valid().to_numpy(zero_copy_only=False).astype(np.int32)
    snapshots[at] = known["snapshots"].to_numpy()
    made = {
        "cluster_id": ids,
        "cluster_size": pa.array(size),
        "survivor": pa.array(survivor),
        "method": pa.array(method.tolist(), pa.string()),
        "similarity": pa.array(spread("similarity", 1.0, np.float32)),
        "exact_copies": pa.array(spread("exact_copies", 1, np.int64)),
        "cluster_snapshots": pa.array(snapshots),
        "cluster_sources": pa.array(spread("source_count", 1, np.int32)),
        "earlier": pa.array(spread("owner", 0, np.int64) >= first_stored),
        "outcome": pa.array(np.where(survivor, KEPT, REJECTED).tolist(), pa.string()),
        "reason": pa.array([None if s else r for s, r in zip(survivor.tolist(), reason, strict=True)], pa.string()),
        "bytes": pc.subtract(batch.column("bytes"), pa.array(removed)),
        "removed_bytes": pa.array(removed),
    }
    columns = [made[name] if name in made else batch.column(name) for name in CLUSTERS.names]
    return pa.RecordBatch.from_arrays(columns, schema=CLUSTERS)


def _sums(batch: pa.RecordBatch) -> dict[str, int]:
    kept = pc.and_(batch.column("survivor"), pc.greater(batch.column("cluster_size"), 1))
    return {
        "clusters": pc.sum(kept).as_py() or 0,
        "earlier": pc.sum(batch.column("earlier")).as_py() or 0,
        "removed_bytes": pc.sum(batch.column("removed_bytes")).as_py() or 0,
    }


def cluster_outputs() -> tuple[Output, ...]:
    """One row of CLUSTERS for each kept document, counted for the ledger."""
    return (Output(table="clusters", schema=CLUSTERS, count=count_rows, sums=_sums, required=True),)
