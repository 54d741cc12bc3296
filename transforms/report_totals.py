"""What the report sums over tables: ledger lines, curves of limits, cluster sizes, and rows chosen by hash.

``Totals`` of any parts of the data can be merged, and depend on no order: they are sums, and the rows of lowest hash.
Their size is bounded by the number of groups (languages shown x reasons) and bins, not by the number of documents.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from algok.errors import CorruptionError
from algok.filters.policy import Policies
from algok.schema import FAILED, KEPT, REJECTED
from algok.transforms.limits import PolicyCounts, add_counts, count_limits
from algok.transforms.sampling import slots
from algok.transforms.sinks import count_rows
from algok.transforms.sources import BATCH_ROWS, read_parquet
from algok.transforms.storage import open_read
from algok.transforms.units import Unit

__all__ = ["DUPLICATE", "REST", "SURVIVOR", "Pick", "ScanOptions", "Totals", "merge_totals", "scan_unit", "shorten"]

#: Name of the group of languages that are not shown one by one.
REST = "other"
#: Clusters are counted by size: one by one to here, then by powers of two.
EXACT_SIZES = 4
#: Survivors are looked for among this many more than are shown: some chosen clusters lie in other groups.
SURVIVOR_FACTOR = 8
#: Bytes of a cell of a rejected or failed row that go to the report.
CELL_BYTES = 2_000
PURPOSE = "report"
#: Outcomes of groups beside those of the schema: a removed duplicate, and what was kept in its place.
DUPLICATE, SURVIVOR = "duplicate", "survivor"
_DECIDED = ["policy", "outcome", "reason", "value", "threshold"]

Key = tuple[str, str, str, str]
Ints = np.ndarray[Any, Any]


class ScanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``languages`` have groups of their own; ``curves`` get histograms; ``samples`` rows are kept of each group, with
    the first ``chars`` characters of text."""

    policies: Policies
    languages: frozenset[str]
    curves: frozenset[str]
    samples: int
    chars: int
    seed: int


class Pick(msgspec.Struct, kw_only=True, array_like=True):
    """A chosen row. ``rank`` orders the group; ``pair`` names the cluster of a duplicate; ``unit``/``row`` address the
    text, ``cells`` hold what is known without it."""

    rank: int
    unit: str
    row: int
    doc_id: bytes
    pair: bytes
    cells: dict[str, Any]


class Totals(msgspec.Struct, kw_only=True):
    """Sums over tables. ``counts``: {(table, source, language, outcome, reason): [documents, bytes]}; ``groups``:
    {(stage, language, outcome, reason): documents}; ``picks`` of each group; ``sizes``: {first size of the bin:
    [clusters, documents]}; ``paths``: documents file of each unit that has picks."""

    counts: dict[tuple[str, str, str, str, str], list[int]] = msgspec.field(default_factory=dict)
    curves: dict[tuple[str, str], PolicyCounts] = msgspec.field(default_factory=dict)
    groups: dict[Key, int] = msgspec.field(default_factory=dict)
    picks: dict[Key, list[Pick]] = msgspec.field(default_factory=dict)
    sizes: dict[int, list[int]] = msgspec.field(default_factory=dict)
    largest: int = 0
    paths: dict[str, str] = msgspec.field(default_factory=dict)


def _lowest(picks: list[Pick], limit: int) -> list[Pick]:
    """The picks of the lowest rank, one of each rank (so one of each cluster), in order."""
    chosen: dict[int, Pick] = {}
    for pick in sorted(picks, key=lambda p: (p.rank, p.doc_id, p.unit, p.row)):
        chosen.setdefault(pick.rank, pick)
        if len(chosen) == limit:
            break
    return list(chosen.values())


def _limit(key: Key, options: ScanOptions) -> int:
    return options.samples * (SURVIVOR_FACTOR if key[2] == SURVIVOR else 1)


def merge_totals(parts: Iterable[Totals], options: ScanOptions) -> Totals:
    """The sum of parts."""
    total = Totals()
    for part in parts:
        for key, (documents, size) in part.counts.items():
            entry = total.counts.setdefault(key, [0, 0])
            entry[0] += documents
            entry[1] += size
        for curve, counted in part.curves.items():
            total.curves[curve] = add_counts(total.curves.get(curve), counted)
        for group, documents in part.groups.items():
            total.groups[group] = total.groups.get(group, 0) + documents
        for group, picks in part.picks.items():
            total.picks[group] = _lowest([*total.picks.get(group, []), *picks], _limit(group, options))
        for size, (clusters, documents) in part.sizes.items():
            entry = total.sizes.setdefault(size, [0, 0])
            entry[0] += clusters
            entry[1] += documents
        total.largest = max(total.largest, part.largest)
        total.paths.update(part.paths)
    named = {pick.unit for picks in total.picks.values() for pick in picks}
    total.paths = {unit: path for unit, path in total.paths.items() if unit in named}
    return total


class _Sink:
    """Adds batches of one unit to totals."""

    def __init__(self, unit: Unit, options: ScanOptions, totals: Totals) -> None:
        self._unit = unit
        self._options = options
        self._totals = totals

    def count(self, table: str, batch: pa.RecordBatch, outcome: str | None = None) -> None:
        """Ledger lines of the rows."""
        for c in count_rows(batch):
            entry = self._totals.counts.setdefault(
                (table, c.source, c.language, outcome or c.outcome, c.reason), [0, 0]
            )
            entry[0] += c.documents
            entry[1] += c.bytes

    def group(
        self,
        key: Key,
        rows: Ints,
        ranks: Ints,
        batch: pa.RecordBatch,
        positions: Ints,
        cells: tuple[str, ...],
        pair: str = "",
    ) -> None:
        """Count the rows (of the batch) of a group and keep those of the lowest rank, one of each.

        ``positions``: place of each row of the batch in the unit's documents file; ``cells``: columns to keep;
        ``pair``: the column of the cluster's id.
        """
        totals, limit = self._totals, _limit(key, self._options)
        totals.groups[key] = totals.groups.get(key, 0) + len(rows)
        if not limit or not len(rows):
            return
        words = np.frombuffer(b"".join(batch.column("doc_id").take(pa.array(rows)).to_pylist()), dtype=">u8")
        high, low = words.reshape(-1, 2).T
        order = rows[np.lexsort((low, high, ranks[rows]))]
        _, firsts = np.unique(ranks[order], return_index=True)
        found = [self._pick(batch, at, ranks, positions, cells, pair) for at in order[firsts[:limit]].tolist()]
        totals.picks[key] = _lowest([*totals.picks.get(key, []), *found], limit)

    def _pick(
        self, batch: pa.RecordBatch, at: int, ranks: Ints, positions: Ints, cells: tuple[str, ...], pair: str
    ) -> Pick:
        return Pick(
            rank=int(ranks[at]),
            unit=self._unit.key,
            row=int(positions[at]),
            doc_id=batch.column("doc_id")[at].as_py(),
            pair=batch.column(pair)[at].as_py() if pair else b"",
            cells={name: shorten(batch.column(name)[at].as_py()) for name in cells},
        )


def shorten(value: Any) -> Any:
    """A cell for the report: text of at most CELL_BYTES, times in ISO 8601, numbers as they are."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace")[:CELL_BYTES].decode("utf-8", "ignore")
    return value.isoformat() if hasattr(value, "isoformat") else value


def _groups_of(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[tuple[str, ...], np.ndarray[Any, Any]]]:
    """Distinct values of the columns (null as '') and the positions of their rows."""
    if not batch.num_rows:
        return
    encoded = [batch.column(name).fill_null("").dictionary_encode() for name in names]
    keys = np.stack([e.indices.to_numpy(zero_copy_only=False) for e in encoded], axis=1)
    distinct, inverse = np.unique(keys, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    for i, row in enumerate(distinct.tolist()):
        values = tuple(e.dictionary[j].as_py() for e, j in zip(encoded, row, strict=True))
        yield values, np.flatnonzero(inverse == i)


def scan_unit(unit: Unit, options: ScanOptions, totals: Totals) -> int:
    """Add the tables of a unit to ``totals``; the number of rows read.

    The unit's body names the files: ``documents``, and where they exist ``decisions`` (row-aligned), ``clusters`` and
    ``mixture`` (sorted by row), ``rejected`` and ``failed``. Raises ``CorruptionError`` when files of a unit disagree.
    """
    sink = _Sink(unit, options, totals)
    totals.paths[unit.key] = unit.body["documents"]
    rows = _scan_documents(unit, options, totals, sink)
    for outcome, cells in (
        (REJECTED, ("source", "url", "detail", "captured")),
        (FAILED, ("source", "file", "offset", "length", "url", "error")),
    ):
        if unit.body.get(outcome):
            rows += _scan_refused(unit, options, sink, outcome, cells)
    for table in ("clusters", "mixture"):
        if unit.body.get(table):
            rows += _scan_selection(unit, options, totals, sink, table)
    return rows


def _scan_documents(unit: Unit, options: ScanOptions, totals: Totals, sink: _Sink) -> int:
    path, decided = unit.body["documents"], unit.body.get("decisions")
    rules = [rule for policy in options.policies.policies for rule in policy.rules] if decided else []
    signals = {name for rule in rules for name in rule.signals}
    columns = list(dict.fromkeys(["doc_id", "source", "language", "bytes", *sorted(signals)]))
    decisions = _rows_of(decided, ["doc_id", *_DECIDED]) if decided else None
    survivors = _survivors(unit.body["clusters"]) if unit.body.get("clusters") else None
    start = 0
    for batch in read_parquet(path, columns, BATCH_ROWS):
        sink.count("documents", batch.select(["source", "language", "bytes"]), KEPT)
        ranks = slots(batch.column("doc_id"), options.seed, PURPOSE)
        positions = np.arange(start, start + batch.num_rows)
        start += batch.num_rows
        if decisions is None:
            _kept(batch, "extract", np.ones(batch.num_rows, dtype=bool), sink, options, ranks, positions)
            continue
        decision = decisions.slice(int(positions[0]) if len(positions) else 0, batch.num_rows)
        if not decision["doc_id"].equals(pa.chunked_array([batch.column("doc_id")])):
            raise CorruptionError(f"{decided} does not match {path}: run the filter stage again")
        joined = pa.RecordBatch.from_arrays(
            [*batch.columns, *(_chunk(decision[name]) for name in _DECIDED)], names=[*batch.schema.names, *_DECIDED]
        )
        sink.count("decisions", joined.select(["source", "language", "outcome", "reason", "bytes"]))
        _rejected(joined, sink, options, ranks, positions)
        _curves(joined, options, totals)
        kept = pc.equal(joined.column("outcome"), KEPT).to_numpy(zero_copy_only=False)
        if survivors is not None:
            kept &= np.isin(positions, survivors, assume_unique=True)
        _kept(joined, "filter" if survivors is None else "dedup", kept, sink, options, ranks, positions)
    if decisions is not None and decisions.num_rows != start:
        raise CorruptionError(f"{decided} does not match {path}: run the filter stage again")
    return start


def _chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _shown(language: str, options: ScanOptions) -> str:
    language = language or "und"
    return language if language in options.languages else REST


def _kept(
    batch: pa.RecordBatch,
    stage: str,
    kept: Ints,
    sink: _Sink,
    options: ScanOptions,
    ranks: Ints,
    positions: Ints,
) -> None:
    cells = ("source", "policy") if "policy" in batch.schema.names else ("source",)
    for (language,), rows in _groups_of(batch, "language"):
        key = (stage, _shown(language, options), KEPT, "")
        sink.group(key, rows[kept[rows]], ranks, batch, positions, cells)


def _rejected(joined: pa.RecordBatch, sink: _Sink, options: ScanOptions, ranks: Ints, positions: Ints) -> None:
    for (language, outcome, reason), rows in _groups_of(joined, "language", "outcome", "reason"):
        if outcome == REJECTED:
            key = ("filter", _shown(language, options), REJECTED, reason)
            sink.group(key, rows, ranks, joined, positions, ("source", "policy", "value", "threshold"))


def _curves(joined: pa.RecordBatch, options: ScanOptions, totals: Totals) -> None:
    policies = {policy.name: policy for policy in options.policies.policies}
    reasons = np.array(joined.column("reason").to_pylist(), dtype=object)
    for (language, name), rows in _groups_of(joined, "language", "policy"):
        if name in policies and language in options.curves:
            counted = count_limits(joined.take(pa.array(rows)), reasons[rows], policies[name])
            totals.curves[name, language] = add_counts(totals.curves.get((name, language)), counted)


def _rows_of(path: str, columns: list[str]) -> pa.Table:
    batches = list(read_parquet(path, columns))
    if batches:
        return pa.Table.from_batches(batches)
    with open_read(path) as file:
        return pq.read_schema(file).empty_table().select(columns)


def _survivors(path: str) -> Ints:
    """Rows of the unit's survivors, ascending."""
    table = _rows_of(path, ["row", "survivor"])
    return table.filter(table["survivor"])["row"].to_numpy()  # type: ignore[no-any-return]


def _scan_refused(unit: Unit, options: ScanOptions, sink: _Sink, outcome: str, cells: tuple[str, ...]) -> int:
    """Rows without text: rejected records and dead letters; they bring along what is shown of them."""
    start = 0
    for batch in read_parquet(unit.body[outcome], None, BATCH_ROWS):
        batch = batch.rename_columns(["reason" if name == "step" else name for name in batch.schema.names])
        sink.count(outcome, batch, outcome)
        # A record that could not be read has no id: its place stands for it.
        places = zip(batch.column("file").to_pylist(), batch.column("offset").to_pylist(), strict=True)
        ids = pa.array([xxhash.xxh3_128_digest(f"{file}\n{at}".encode("utf-8", "replace")) for file, at in places])
        if "doc_id" in batch.schema.names:
            ids = pc.coalesce(batch.column("doc_id"), ids.cast(pa.binary(16)))
            batch = batch.drop_columns(["doc_id"])
        batch = batch.append_column("doc_id", ids.cast(pa.binary(16)))
        ranks = slots(batch.column("doc_id"), options.seed, PURPOSE)
        positions = np.arange(start, start + batch.num_rows)
        for (reason,), rows in _groups_of(batch, "reason"):
            sink.group(("extract", "", outcome, reason), rows, ranks, batch, positions, cells)
        start += batch.num_rows
    return start


def _scan_selection(unit: Unit, options: ScanOptions, totals: Totals, sink: _Sink, table: str) -> int:
    """Clusters (sizes, removed documents, survivors) and the mixture (counts only)."""
    rows = 0
    for batch in read_parquet(unit.body[table], None, BATCH_ROWS):
        rows += batch.num_rows
        sink.count(table, batch.select(["source", "language", "outcome", "reason", "bytes"]))
        if table == "clusters":
            _clusters(batch, options, totals, sink)
    return rows


def _clusters(batch: pa.RecordBatch, options: ScanOptions, totals: Totals, sink: _Sink) -> None:
    columns = ("survivor", "cluster_size", "exact_copies", "row")
    survivor, sizes, copies, positions = (batch.column(name).to_numpy(zero_copy_only=False) for name in columns)
    bins = np.where(sizes <= EXACT_SIZES, sizes, 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64) // 2 + 1)
    for first in np.unique(bins[survivor]).tolist():
        mine = survivor & (bins == first)
        entry = totals.sizes.setdefault(first, [0, 0])
        entry[0] += int(mine.sum())
        entry[1] += int(sizes[mine].sum())
    totals.largest = max(totals.largest, int(sizes.max(initial=0)))
    # All documents of a cluster have the cluster's rank, so that the removed ones that are picked meet their survivors.
    ranks = slots(batch.column("cluster_id"), options.seed, PURPOSE)
    cells = ("source", "similarity")
    for (language, outcome, reason), rows in _groups_of(batch, "language", "outcome", "reason"):
        if outcome == REJECTED:
            key = ("dedup", _shown(language, options), DUPLICATE, reason)
            sink.group(key, rows, ranks, batch, positions, cells, pair="cluster_id")
    for reason, has in (("near_duplicate", sizes > copies), ("exact_duplicate", copies > 1)):
        for (language,), rows in _groups_of(batch, "language"):
            key = ("dedup", _shown(language, options), SURVIVOR, reason)
            sink.group(key, rows[(survivor & has)[rows]], ranks, batch, positions, cells, pair="cluster_id")
