"""The report's job: sums over all tables, the text of the few documents that are shown, and hosts with many duplicates.

Units (documents files with the tables that go with them) are read column-wise, without text, into one ``Totals`` a
bundle, and these are summed. Text is then read for the chosen rows only. Hosts are counted within a unit and summed by
a columnar shuffle, since there are too many of them for one machine.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from apache_beam.transforms.window import GlobalWindows

from algok.errors import CorruptionError
from algok.transforms.heartbeat import Heartbeat
from algok.transforms.limits import LimitCounts, PolicyCounts
from algok.transforms.receipts import CollectLines
from algok.transforms.report_totals import (
    DUPLICATE,
    SURVIVOR,
    Pick,
    ScanOptions,
    Totals,
    merge_totals,
    scan_unit,
    shorten,
)
from algok.transforms.shuffle import ReadPartition, ShuffleRows
from algok.transforms.sources import BATCH_ROWS, read_parquet
from algok.transforms.storage import open_read
from algok.transforms.units import Unit

__all__ = ["HostOptions", "HostRow", "Page", "ScanTables", "decode_lines"]


class _Scan(beam.DoFn):  # type: ignore[misc]
    def __init__(self, options: ScanOptions, folder: str) -> None:
        self._options = options
        self._folder = folder
        self._totals = Totals()
        self._heartbeat: Heartbeat | None = None

    def setup(self) -> None:
        self._heartbeat = Heartbeat(self._folder)

    def start_bundle(self) -> None:
        self._totals = Totals()

    def process(self, element: str) -> None:
        unit = msgspec.json.decode(element, type=Unit)
        rows = scan_unit(unit, self._options, self._totals)
        if self._heartbeat is not None:
            self._heartbeat.beat(unit.key, rows=rows, done=1.0, size=unit.size, last=True)

    def finish_bundle(self) -> Iterator[Any]:
        yield GlobalWindows.windowed_value(self._totals)


class _Sum(beam.CombineFn):  # type: ignore[misc]
    def __init__(self, options: ScanOptions) -> None:
        super().__init__()
        self._options = options

    def create_accumulator(self) -> Totals:
        return Totals()

    def add_input(self, accumulator: Totals, element: Totals) -> Totals:
        return merge_totals([accumulator, element], self._options)

    def merge_accumulators(self, accumulators: Iterable[Totals]) -> Totals:
        return merge_totals(accumulators, self._options)

    def extract_output(self, accumulator: Totals) -> Totals:
        return accumulator


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one documents file whose text is wanted."""

    unit: str
    path: str
    rows: list[int]
    ids: list[bytes]
    #: Rows that are compared with another document: more of their text is read.
    pairs: list[int] = []


def _requests(totals: Totals) -> Iterator[str]:
    wanted: dict[str, dict[int, bytes]] = {}
    pairs: dict[str, set[int]] = {}
    removed = {p.pair for key, picks in totals.picks.items() if key[2] == DUPLICATE for p in picks}
    for key, picks in totals.picks.items():
        if not key[1]:
            continue  # groups without a language are of records without text
        for pick in picks:
            if key[2] == SURVIVOR and pick.pair not in removed:
                continue
            wanted.setdefault(pick.unit, {})[pick.row] = pick.doc_id
            if pick.pair:
                pairs.setdefault(pick.unit, set()).add(pick.row)
    for unit, rows in sorted(wanted.items()):
        ordered = sorted(rows)
        request = _Request(
            unit=unit,
            path=totals.paths[unit],
            rows=ordered,
            ids=[rows[row] for row in ordered],
            pairs=sorted(pairs.get(unit, ())),
        )
        yield msgspec.json.encode(request).decode()


#: Characters of a duplicate and of its survivor that are compared.
COMPARED_CHARS = 20_000


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of a chosen document, read with its text."""

    unit: str
    row: int
    url: str | None
    file: str | None
    record_id: str | None
    title: str | None
    captured: str | None
    chars: int | None
    text: str | None


class ReadPages(msgspec.Struct, frozen=True, kw_only=True):
    """A request to pages, as JSON. Reads only the row groups that hold a wanted row."""

    chars: int

    def __call__(self, request_json: str) -> Iterator[str]:
        request = msgspec.json.decode(request_json, type=_Request)
        ids = dict(zip(request.rows, request.ids, strict=True))
        columns = ["doc_id", "url", "file", "record_id", "title", "captured", "chars", "text"]
        with open_read(request.path) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
            start = 0
            for index in range(parquet.metadata.num_row_groups):
                end = start + parquet.metadata.row_group(index).num_rows
                if any(start <= row < end for row in ids):
                    at = start
                    for batch in parquet.iter_batches(100, row_groups=[index], columns=columns):
                        for row in sorted(r for r in ids if at <= r < at + batch.num_rows):
                            yield self._page(batch.slice(row - at, 1), request, row, ids[row])
                        at += batch.num_rows
                start = end

    def _page(self, batch: pa.RecordBatch, request: _Request, row: int, doc_id: bytes) -> str:
        (found,) = batch.to_pylist()
        if found["doc_id"] != doc_id:
            raise CorruptionError(f"{request.path} changed while the report was made: run it again")
        page = Page(
            unit=request.unit,
            row=row,
            url=shorten(found["url"]),
            file=shorten(found["file"]),
            record_id=shorten(found["record_id"]),
            title=shorten(found["title"]),
            captured=shorten(found["captured"]),
            chars=found["chars"],
            text=found["text"] and found["text"][: COMPARED_CHARS if row in request.pairs else self.chars],
        )
        return msgspec.json.encode(["page", page]).decode()


_HOSTS = pa.schema([("host", pa.string()), ("documents", pa.int64()), ("removed", pa.int64())])
#: Hosts that one partition gives to the report: those that lost most.
MOST_HOSTS = 50


class HostOptions(msgspec.Struct, frozen=True, kw_only=True):
    """A host with at least ``documents`` is named when it lost more than ``share`` (0..1) of them to deduplication."""

    share: float
    documents: int
    spill: str
    partitions: int


class HostRow(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of a host that deduplication read, and those that it removed."""

    host: str
    documents: int
    removed: int


def count_hosts(unit: Unit) -> pa.RecordBatch:
    """Documents and removed ones by host of a unit with clusters; schema ``_HOSTS``."""
    batches = list(read_parquet(unit.body["clusters"], ["row", "survivor"], BATCH_ROWS))
    if not batches:
        return _no_hosts()
    clusters = pa.Table.from_batches(batches)
    rows, removed = clusters["row"].to_numpy(), ~clusters["survivor"].to_numpy()
    counted, start = [], 0
    for batch in read_parquet(unit.body["documents"], ["host"], 16 * BATCH_ROWS):
        first, last = np.searchsorted(rows, [start, start + batch.num_rows])
        hosts = batch.column("host").fill_null("").take(pa.array(rows[first:last] - start))
        counted.append(pa.table({"host": hosts, "removed": removed[first:last].astype(np.int64)}))
        start += batch.num_rows
    if not counted:
        return _no_hosts()
    table = pa.concat_tables(counted).group_by("host").aggregate([([], "count_all"), ("removed", "sum")])
    columns = [table["host"], table["count_all"].cast(pa.int64()), table["removed_sum"].cast(pa.int64())]
    return pa.table(columns, schema=_HOSTS).combine_chunks().to_batches()[0] if table.num_rows else _no_hosts()


def _no_hosts() -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in _HOSTS], schema=_HOSTS)


def _hosts(element: str) -> pa.RecordBatch:
    return count_hosts(msgspec.json.decode(element, type=Unit))


class _FindHosts(beam.DoFn):  # type: ignore[misc]
    """A partition of host counts to the hosts over the limits, as JSON."""

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self._read = ReadPartition(_HOSTS)

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[str]:
        _, references = element
        table = self._read(references).group_by("host").aggregate([("documents", "sum"), ("removed", "sum")])
        documents, removed = table["documents_sum"], table["removed_sum"]
        over = pc.and_(
            pc.greater_equal(documents, self._options.documents),
            pc.greater(removed.cast(pa.float64()), pc.multiply(documents.cast(pa.float64()), self._options.share)),
        )
        found = table.filter(pc.and_(over, pc.not_equal(table["host"], "")))
        found = found.sort_by([("removed_sum", "descending"), ("host", "ascending")]).slice(0, MOST_HOSTS)
        for row in found.to_pylist():
            host = HostRow(host=row["host"], documents=row["documents_sum"], removed=row["removed_sum"])
            yield msgspec.json.encode(["host", host]).decode()


def _encode(totals: Totals) -> str:
    return msgspec.json.encode(["totals", _listed(totals)]).decode()


def _listed(totals: Totals) -> dict[str, Any]:
    """Totals with keys and arrays as lists: JSON has no tuples as keys. Texts and paths stay out."""
    curves = [
        [
            *key,
            c.documents,
            c.kept,
            [[x.counts.tolist(), x.open_counts.tolist(), x.broken, x.only, x.first] for x in c.limits],
        ]
        for key, c in sorted(totals.curves.items())
    ]
    return {
        "counts": [[*key, *value] for key, value in sorted(totals.counts.items())],
        "curves": curves,
        "groups": [[*key, value] for key, value in sorted(totals.groups.items())],
        "picks": [[*key, value] for key, value in sorted(totals.picks.items())],
        "sizes": [[key, *value] for key, value in sorted(totals.sizes.items())],
        "largest": totals.largest,
    }


def decode_lines(lines: Iterable[str]) -> tuple[Totals, list[Page], list[HostRow]]:
    """What ``ScanTables`` wrote."""
    totals, pages, hosts = Totals(), [], []
    for line in lines:
        kind, body = msgspec.json.decode(line, type=tuple[str, msgspec.Raw])
        if kind == "totals":
            totals = _unlisted(msgspec.json.decode(body))
        elif kind == "page":
            pages.append(msgspec.json.decode(body, type=Page))
        else:
            hosts.append(msgspec.json.decode(body, type=HostRow))
    return totals, pages, hosts


def _unlisted(body: dict[str, Any]) -> Totals:
    totals = Totals(largest=body["largest"])
    for *key, documents, size in body["counts"]:
        totals.counts[tuple(key)] = [documents, size]
    for policy, language, documents, kept, limits in body["curves"]:
        counted = [
            LimitCounts(counts=np.array(a, np.int64), open_counts=np.array(b, np.int64), broken=c, only=d, first=e)
            for a, b, c, d, e in limits
        ]
        totals.curves[policy, language] = PolicyCounts(documents=documents, kept=kept, limits=counted)
    for *key, documents in body["groups"]:
        totals.groups[tuple(key)] = documents
    for *key, picks in body["picks"]:
        totals.picks[tuple(key)] = msgspec.convert(picks, list[Pick])
    totals.sizes = {size: [clusters, documents] for size, clusters, documents in body["sizes"]}
    return totals


class ScanTables(beam.PTransform):  # type: ignore[misc]
    """Units to the files in ``folder`` that ``decode_lines`` reads. ``progress``: folder of the heartbeat; without
    ``hosts`` no host is counted."""

    def __init__(self, options: ScanOptions, folder: str, progress: str, hosts: HostOptions | None) -> None:
        super().__init__()
        self._options = options
        self._folder = folder
        self._progress = progress
        self._hosts = hosts

    def expand(self, units: Any) -> Any:
        totals = (
            units
            | "ScanUnits" >> beam.ParDo(_Scan(self._options, self._progress)).with_output_types(Totals)
            | "SumTotals" >> beam.CombineGlobally(_Sum(self._options))
        )
        pages = (
            totals
            | "Request" >> beam.FlatMap(_requests).with_output_types(str)
            | "SpreadRequests" >> beam.Reshuffle()
            | "ReadPages" >> beam.FlatMap(ReadPages(chars=self._options.chars)).with_output_types(str)
        )
        lines = [totals | "EncodeTotals" >> beam.Map(_encode).with_output_types(str), pages]
        if self._hosts is not None:
            options = self._hosts
            lines.append(
                units
                | "CountHosts" >> beam.Map(_hosts).with_output_types(pa.RecordBatch)
                | "HostsByName" >> ShuffleRows(options.spill, key="host", partitions=options.partitions)
                | "FindHosts" >> beam.ParDo(_FindHosts(options)).with_output_types(str)
            )
        return lines | "Results" >> beam.Flatten() | "Collect" >> CollectLines(self._folder)
