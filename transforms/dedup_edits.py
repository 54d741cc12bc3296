"""Step 7: what is taken out of the survivors' texts: lines that many pages of a host repeat, long shared spans.

Two jobs and a writer. ``hosts`` counts the pages of every host and language, and tells each unit about its own.
``repeats`` counts lines and chunks: a unit sends one row for each different one, with its number of pages there, so
that a key has at most as many rows as there are units, however hot it is; what is frequent enough comes back to the
units that have it. ``EditRows`` is the source of EDITS: it reads the texts once more and finds the places.
"""

from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from algok.dedup.edits import joined_ranges
from algok.dedup.lines import count_pages, line_ranges, line_rows, prose_lines
from algok.dedup.options import DedupOptions
from algok.dedup.spans import chunk_rows, span_ranges
from algok.dedup.survivor import doc_words
from algok.schema import EDITS
from algok.transforms.dedup_exact import UnitFiles
from algok.transforms.dedup_tables import (
    ForUnits,
    OnPartitions,
    Plan,
    nodes_of,
    read_table,
    table_path,
    to_batches,
)
from algok.transforms.shuffle import partitions_for
from algok.transforms.sinks import Output
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit

__all__ = ["EditRows", "build_hosts", "build_repeats", "edit_outputs", "removed_nodes"]

I64 = npt.NDArray[np.int64]
Batches = Callable[[], Iterator[pa.RecordBatch]]

LINE, SPAN = 0, 1
#: Characters of a removed range that are kept to be looked at.
SHOWN = 200
#: Pages of hosts (a hash of host and language) in a unit, or in all.
HOSTS = pa.schema([pa.field("unit", pa.int32()), pa.field("group", pa.int64()), pa.field("pages", pa.int64())])
#: A line or chunk: ``pages`` of the unit (or in all) that have it, ``need`` from which it counts as repeated;
#: ``rank`` and ``node`` are those of the document that keeps a chunk.
REPEATS = pa.schema(
    [
        pa.field("key", pa.int64()),
        pa.field("kind", pa.int8()),
        pa.field("group", pa.int64()),
        pa.field("hash", pa.int64()),
        pa.field("unit", pa.int32()),
        pa.field("pages", pa.int64()),
        pa.field("need", pa.int64()),
        pa.field("rank", pa.int64()),
        pa.field("node", pa.int64()),
    ]
)


def removed_nodes(folder: str, index: int) -> I64:
    """Rows of a unit (as nodes, sorted) that deduplication removes, from ``assigned``."""
    schema = pa.schema([pa.field("node", pa.int64()), pa.field("survivor", pa.bool_())])
    known = read_table(table_path(f"{folder}/assigned", index), schema, required=False).combine_chunks()
    return known["node"].to_numpy()[~known["survivor"].to_numpy(zero_copy_only=False)]  # type: ignore[no-any-return]


def _survivors(folder: str, unit: Unit, *columns: str) -> Iterator[tuple[pa.RecordBatch, float]]:
    """The survivors of a unit with a text, in batches, and the part of the unit read."""
    removed = removed_nodes(folder, unit.body["index"])
    source = DocumentRows(columns=(*columns, "bytes"))
    for batch, done in source.read(unit, {}):
        nodes = nodes_of(unit.body["index"], batch.column("row").to_numpy(zero_copy_only=False))
        mask = pc.and_(pa.array(~np.isin(nodes, removed)), pc.greater(batch.column("bytes").fill_null(0), 0))
        yield batch.filter(mask), done


def _groups(batch: pa.RecordBatch) -> tuple[I64, list[tuple[str, str]]]:
    """A hash of (host, language) for each row, 0 without a host; and the pairs by row."""
    hosts, languages = (batch.column(name).fill_null("").to_pylist() for name in ("host", "language"))
    pairs = list(zip(hosts, languages, strict=True))
    known = {p: xxhash.xxh3_64_intdigest(f"{p[0]}\0{p[1]}".encode()) if p[0] else 0 for p in set(pairs)}
    return np.array([known[p] for p in pairs], dtype=np.uint64).view(np.int64), pairs


class _CountHosts(msgspec.Struct, frozen=True):
    folder: str

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        if "documents" not in unit.body:
            return
        found: list[I64] = []
        for batch, _ in _survivors(self.folder, unit, "host", "language"):
            found.append(_groups(batch)[0])
        groups, pages = np.unique(np.concatenate(found or [np.zeros(0, np.int64)]), return_counts=True)
        groups, pages = groups[groups != 0], pages[groups != 0]
        units = np.full(len(groups), unit.body["index"], dtype=np.int32)
        yield from to_batches(pa.table([pa.array(units), pa.array(groups), pa.array(pages)], schema=HOSTS))


class _SumHosts(msgspec.Struct, frozen=True):
    """Every unit of a host gets the host's pages, if they are enough for any line to be repeated."""

    least: int

    def __call__(self, partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
        table = pa.Table.from_batches(batches(), HOSTS).combine_chunks()
        _, at = np.unique(table["group"].to_numpy(), return_inverse=True)
        totals = np.bincount(at, weights=table["pages"].to_numpy()).astype(np.int64)[at]
        table = table.set_column(2, HOSTS.field("pages"), pa.array(totals))
        yield from to_batches(table.filter(pa.array(totals >= self.least)))


def build_hosts(pipeline: beam.Pipeline, plan: Plan, options: DedupOptions) -> None:
    """Write ``hosts/<unit>.arrow``: pages of the unit's hosts and languages in all units, sorted by group."""
    lines = options.lines
    least = min([lines.pages, *(x.pages for x in (*lines.languages.values(), *lines.hosts.values()))])
    partitions = partitions_for(plan.rows * 4)
    counted = pipeline | "CountHosts" >> ForUnits(plan, _CountHosts(plan.folder))
    summed = counted | "ByHost" >> OnPartitions(plan, "group", partitions, _SumHosts(least))
    files = UnitFiles(plan.table("hosts"), HOSTS, ("group",))
    _ = summed | "ByUnit" >> OnPartitions(plan, "unit", partitions, files, kind=str)


class _CountRepeats(msgspec.Struct, frozen=True):
    """A row for every different line of a unit's larger hosts, and for every different chunk."""

    folder: str
    options: DedupOptions

    def __call__(self, unit: Unit) -> Iterator[pa.RecordBatch]:
        if "documents" not in unit.body:
            return
        index = unit.body["index"]
        hosts = read_table(table_path(f"{self.folder}/hosts", index), HOSTS, required=False).combine_chunks()
        totals = dict(zip(hosts["group"].to_pylist(), hosts["pages"].to_pylist(), strict=True))
        need: dict[int, int] = {}
        lines: list[tuple[Any, ...]] = []
        chunks: list[tuple[Any, ...]] = []
        for batch, _ in _survivors(self.folder, unit, "text", "host", "language"):
            groups, pairs = _groups(batch)
            nodes = nodes_of(index, batch.column("row").to_numpy(zero_copy_only=False))
            for group, (host, language) in zip(groups.tolist(), pairs, strict=True):
                if group in totals and group not in need:
                    need[group] = self.options.lines.needed(host, language, totals[group])
            if self.options.lines.on and need:
                found = line_rows(batch.column("text"))
                mine = np.isin(groups, np.array(list(need), dtype=np.int64))[found.text]
                mine &= prose_lines(batch.column("text"), found)
                lines.append((groups[found.text][mine], found.hash[mine], nodes[found.text][mine]))
            if self.options.spans.on:
                cut = chunk_rows(batch.column("text"))
                scope = groups[cut.text] if self.options.spans.scope == "host" else np.zeros(len(cut.text), np.int64)
                ranks = doc_words(batch.column("doc_id"))[0]
                chunks.append((scope, cut.hash, nodes[cut.text], ranks[cut.text]))
        if lines:
            group, hashes, pages = count_pages(*(np.concatenate(x) for x in zip(*lines, strict=True)))
            needed = np.array([need[g] for g in group.tolist()], dtype=np.int64)
            nothing = np.full(len(group), -1, dtype=np.int64)
            yield from _repeats(LINE, index, group, hashes, pages, needed, nothing, nothing)
        if chunks:
            yield from _chunks(index, *(np.concatenate(x) for x in zip(*chunks, strict=True)))


def _chunks(index: int, group: I64, hashes: Any, nodes: I64, ranks: Any) -> Iterator[pa.RecordBatch]:
    order = np.lexsort((nodes, ranks, hashes, group))
    group, hashes, nodes, ranks = group[order], hashes[order], nodes[order], ranks[order]
    first = np.ones(len(group), dtype=bool)
    first[1:] = (group[1:] != group[:-1]) | (hashes[1:] != hashes[:-1])
    other = first.copy()
    other[1:] |= nodes[1:] != nodes[:-1]
    starts = np.flatnonzero(first)
    pages = np.add.reduceat(other.astype(np.int64), starts)
    two = np.full(len(starts), 2, dtype=np.int64)
    rank = ranks[starts].view(np.int64)
    yield from _repeats(SPAN, index, group[starts], hashes[starts], pages, two, rank, nodes[starts])


def _repeats(
    kind: int, index: int, group: I64, hashes: Any, pages: I64, need: I64, rank: I64, node: I64
) -> Iterator[pa.RecordBatch]:
    value = hashes.view(np.int64)
    with np.errstate(over="ignore"):
        key = value ^ (group * np.int64(0x1E3779B97F4A7C15) + np.int64(kind))
    n = len(value)
    arrays = [
        key, np.full(n, kind, np.int8), group, value, np.full(n, index, np.int32), pages, need, rank, node
    ]  # fmt: skip
    yield from to_batches(pa.table([pa.array(x) for x in arrays], schema=REPEATS))


def _frequent(partition: int, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Lines and chunks on enough pages, to every unit that has them, with the document that keeps a chunk."""
    table = pa.Table.from_batches(batches(), REPEATS).combine_chunks()
    kind, group, value, unit, pages, need, rank, node = (
        table[name].to_numpy() for name in ("kind", "group", "hash", "unit", "pages", "need", "rank", "node")
    )
    order = np.lexsort((unit, node, rank.view(np.uint64), value, group, kind))
    kind, group, value = kind[order], group[order], value[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (kind[1:] != kind[:-1]) | (group[1:] != group[:-1]) | (value[1:] != value[:-1])
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, len(order)))
    total = np.repeat(np.add.reduceat(pages[order], starts), sizes)
    first = order[np.repeat(starts, sizes)]
    chosen = total >= need[order]
    picked = order[chosen]
    made = table.take(pa.array(picked))
    for name, column in (("pages", total[chosen]), ("rank", rank[first][chosen]), ("node", node[first][chosen])):
        made = made.set_column(REPEATS.get_field_index(name), REPEATS.field(name), pa.array(column))
    yield from to_batches(made)


def build_repeats(pipeline: beam.Pipeline, plan: Plan, options: DedupOptions) -> None:
    """Write ``repeats/<unit>.arrow`` (REPEATS, sorted by kind, group, hash): what is repeated often enough."""
    # About 30 lines and 16 chunks a document, before repeats within a unit are put together.
    partitions = partitions_for(plan.rows * (30 * options.lines.on + 16 * options.spans.on) * 60)
    counted = pipeline | "CountRepeats" >> ForUnits(plan, _CountRepeats(plan.folder, options))
    frequent = counted | "ByKey" >> OnPartitions(plan, "key", partitions, _frequent)
    files = UnitFiles(plan.table("repeats"), REPEATS, ("kind", "group", "hash"))
    _ = frequent | "ByUnit" >> OnPartitions(plan, "unit", partitions_for(plan.rows * 60), files, kind=str)


class EditRows(msgspec.Struct, frozen=True, kw_only=True):
    """Source of EDITS for a unit, from the tables of ``folder``.

    A text that would lose more than ``lines.most_of_text`` of its bytes is left whole.
    """

    folder: str
    options: DedupOptions

    @property
    def schema(self) -> pa.Schema:
        return EDITS

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        path = table_path(f"{self.folder}/repeats", unit.body["index"])
        known = read_table(path, REPEATS, required=False).combine_chunks()
        if known.num_rows == 0:
            return
        tables = [known.filter(pc.equal(known["kind"], kind)).combine_chunks() for kind in (LINE, SPAN)]
        for batch, done in _survivors(self.folder, unit, "source", "language", "host", "text"):
            groups, _ = _groups(batch)
            yield self._edits(unit, batch, groups, *tables), done

    def _edits(
        self, unit: Unit, batch: pa.RecordBatch, groups: I64, lines: pa.Table, chunks: pa.Table
    ) -> pa.RecordBatch:
        parts: list[tuple[I64, ...]] = []
        if lines.num_rows and self.options.lines.on:
            found = line_rows(batch.column("text"))
            at = _positions(lines, groups[found.text], found.hash.view(np.int64))
            chosen = (at >= 0) & prose_lines(batch.column("text"), found)
            where = line_ranges(batch.column("text"), found, chosen)
            parts.append((*where, lines["pages"].to_numpy()[at[chosen]], np.full(int(chosen.sum()), LINE)))
        if chunks.num_rows and self.options.spans.on:
            cut = chunk_rows(batch.column("text"))
            scope = groups[cut.text] if self.options.spans.scope == "host" else np.zeros(len(cut.text), np.int64)
            at = _positions(chunks, scope, cut.hash.view(np.int64))
            nodes = nodes_of(unit.body["index"], batch.column("row").to_numpy(zero_copy_only=False))
            foreign = (at >= 0) & (chunks["node"].to_numpy()[np.maximum(at, 0)] != nodes[cut.text])
            row, start, end, first = span_ranges(cut, foreign, self.options.spans)
            pages = chunks["pages"].to_numpy()[at[first]]
            parts.append((row, start, end, pages, np.full(len(row), SPAN)))
        columns = [np.concatenate(x) for x in zip(*parts, strict=True)] if parts else [np.zeros(0, np.int64)] * 5
        row, start, end, order = joined_ranges(*columns[:3])
        pages, kind = columns[3][order], columns[4][order]
        lost = np.zeros(batch.num_rows, dtype=np.int64)
        np.add.at(lost, row, end - start)
        whole = lost <= self.options.lines.most_of_text * batch.column("bytes").to_numpy(zero_copy_only=False)
        keep = whole[row]
        return _edit_batch(batch, row[keep], start[keep], end[keep], pages[keep], kind[keep])


def _positions(table: pa.Table, group: I64, value: I64) -> I64:
    """Row of ``table`` (sorted by group and hash) for each (group, hash), -1 where there is none."""
    groups, values = table["group"].to_numpy(), table["hash"].to_numpy()
    both = np.concatenate([groups, group]), np.concatenate([values, value])
    # Equal pairs get equal numbers; those of the table are distinct.
    order = np.lexsort((np.arange(len(both[0])), both[1], both[0]))
    new = np.ones(len(order), dtype=bool)
    new[1:] = (both[0][order][1:] != both[0][order][:-1]) | (both[1][order][1:] != both[1][order][:-1])
    head = order[np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))]
    out = np.empty(len(order), dtype=np.int64)
    out[order] = np.where(head < len(groups), head, -1)
    return out[len(groups) :]


def _edit_batch(batch: pa.RecordBatch, row: I64, start: I64, end: I64, pages: I64, kind: I64) -> pa.RecordBatch:
    taken = pa.array(row)
    texts = []
    column = batch.column("text")
    for r, s, e in zip(row.tolist(), start.tolist(), end.tolist(), strict=True):
        # Cut in bytes first: a text can be long, and what is shown is short.
        raw = column[r].as_buffer()[s : min(e, s + 4 * SHOWN)]
        texts.append(bytes(raw).decode("utf-8", "ignore")[:SHOWN])
    made = {
        "kind": pa.array(np.where(kind == LINE, "line", "span").tolist(), pa.string()),
        "start": pa.array(start.astype(np.int32)),
        "end": pa.array(end.astype(np.int32)),
        "pages": pa.array(pages.astype(np.int64)),
        "text": pa.array(texts, pa.string()),
    }
    columns = [made[name] if name in made else batch.column(name).take(taken) for name in EDITS.names]
    columns[EDITS.get_field_index("host")] = batch.column("host").fill_null("").take(taken)
    return pa.RecordBatch.from_arrays(columns, schema=EDITS)


def _sums(batch: pa.RecordBatch) -> dict[str, int]:
    """Ranges and bytes by kind; documents with edits (those of one batch are whole)."""
    sizes = pc.subtract(batch.column("end"), batch.column("start"))
    sums = {"edited_documents": len(batch.column("row").unique())}
    for kind in ("line", "span"):
        mask = pc.equal(batch.column("kind"), kind)
        sums[f"{kind}s"] = pc.sum(mask).as_py() or 0
        sums[f"{kind}_bytes"] = pc.sum(sizes.filter(mask)).as_py() or 0
    return sums


def edit_outputs() -> tuple[Output, ...]:
    """All edits of the unit; a unit without any has an empty file."""
    return (Output(table="edits", schema=EDITS, sums=_sums, required=True),)
