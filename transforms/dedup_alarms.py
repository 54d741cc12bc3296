"""Sources and hosts that lose more to deduplication than a limit, with examples: peers lost whole sources unseen."""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from algok.schema import CLUSTERS
from algok.transforms.dedup_tables import ForUnits, OnPartitions, Plan
from algok.transforms.receipts import CollectLines
from algok.transforms.shuffle import partitions_for
from algok.transforms.sources import read_parquet
from algok.transforms.units import Unit

__all__ = ["Alarm", "AlarmLimits", "build_alarms"]

Batches = Callable[[], Iterator[pa.RecordBatch]]

#: Removed documents that are shown of a source or host: those of the smallest ids, so always the same.
EXAMPLES = 3
#: A URL is shown up to here.
URL_CHARS = 200
#: Sources and hosts of a unit, or in all.
LOST = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("documents", pa.int64()),
        pa.field("removed", pa.int64()),
        pa.field("examples", pa.list_(pa.string())),
    ]
)
#: Names that one partition reports: those that lost most.
_MOST = 50


class AlarmLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What has at least this many documents and lost more than ``share`` (0..1) of them raises an alarm."""

    share: float
    source_documents: int
    host_documents: int


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """``examples``: removed documents as "id, why, survivor's id, URL"."""

    kind: str
    name: str
    documents: int
    removed: int
    examples: list[str]


def _count(unit: Unit) -> Iterator[pa.RecordBatch]:
    """LOST for the sources and hosts of a unit; names carry their kind in front."""
    if not unit.body.get("clusters"):
        return
    found: dict[str, list[Any]] = {}
    columns = ["row", "doc_id", "source", "survivor", "cluster_id", "reason"]
    clusters = pa.Table.from_batches(list(read_parquet(unit.body["clusters"], columns, 1 << 16)) or [_none(columns)])
    rows, start = clusters["row"].to_numpy(), 0
    for batch in read_parquet(unit.body["documents"], ["host", "url"], 1 << 14):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        part = clusters.slice(first, last - first)
        at = pa.array(rows[first:last] - start)
        start += batch.num_rows
        hosts, urls = batch.column("host").fill_null("").take(at), batch.column("url").take(at)
        removed = pc.invert(part["survivor"])
        for kind, names in (("source", part["source"].combine_chunks()), ("host", hosts)):
            table = pa.table({"name": names, "removed": removed.combine_chunks().cast(pa.int64())})
            for row in table.group_by("name").aggregate([([], "count_all"), ("removed", "sum")]).to_pylist():
                if row["name"]:
                    entry = found.setdefault(f"{kind} {row['name']}", [0, 0, []])
                    entry[0] += row["count_all"]
                    entry[1] += row["removed_sum"]
        lost = part.append_column("host", hosts).append_column("url", urls).filter(removed)
        for row in lost.sort_by("doc_id").to_pylist():
            text = ", ".join(
                (
                    row["doc_id"].hex(),
                    row["reason"],
                    f"survivor {row['cluster_id'].hex()}",
                    (row["url"] or "")[:URL_CHARS],
                )
            )
            for kind in ("source", "host"):
                entry = found.get(f"{kind} {row[kind]}", [0, 0, []])
                if len(entry[2]) < EXAMPLES or text < entry[2][-1]:
                    entry[2] = sorted([*entry[2], text])[:EXAMPLES]
    names = sorted(found)
    arrays = [names, *([found[n][i] for n in names] for i in range(3))]
    yield pa.RecordBatch.from_arrays([pa.array(x, f.type) for x, f in zip(arrays, LOST, strict=True)], schema=LOST)


def _none(columns: list[str]) -> pa.RecordBatch:
    schema = pa.schema([CLUSTERS.field(name) for name in columns])
    return pa.RecordBatch.from_arrays([pa.nulls(0, f.type) for f in schema], schema=schema)


class _Over(msgspec.Struct, frozen=True):
    limits: AlarmLimits

    def __call__(self, partition: int, batches: Batches) -> Iterator[str]:
        sums: dict[str, list[Any]] = {}
        for batch in batches():
            for row in batch.to_pylist():
                entry = sums.setdefault(row["name"], [0, 0, []])
                entry[0] += row["documents"]
                entry[1] += row["removed"]
                entry[2] = sorted([*entry[2], *row["examples"]])[:EXAMPLES]
        over = []
        for name, (documents, removed, examples) in sums.items():
            kind, _, rest = name.partition(" ")
            least = self.limits.source_documents if kind == "source" else self.limits.host_documents
            if documents >= least and removed > self.limits.share * documents:
                over.append(Alarm(kind=kind, name=rest, documents=documents, removed=removed, examples=examples))
        for alarm in sorted(over, key=lambda a: (-a.removed, a.kind, a.name))[:_MOST]:
            yield msgspec.json.encode(alarm).decode()


def build_alarms(pipeline: beam.Pipeline, plan: Plan, limits: AlarmLimits, out: str) -> None:
    """Write the alarms as lines of JSON to ``out``; units name their ``documents`` and ``clusters``."""
    counted = pipeline | "CountLost" >> ForUnits(plan, _count)
    over = counted | "ByName" >> OnPartitions(plan, "name", partitions_for(plan.rows * 8), _Over(limits), kind=str)
    _ = over | "Alarms" >> CollectLines(out)
