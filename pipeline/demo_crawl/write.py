"""Writing the crawl: WARC files, truth and pairs, a file at a time."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from algok.pipeline.demo_crawl.draw import Draw, derive
from algok.pipeline.demo_crawl.options import DemoCrawlOptions
from algok.pipeline.demo_crawl.page import Pages, captured_at
from algok.pipeline.demo_crawl.truth import PAIRS, TRUTH, readme
from algok.pipeline.demo_crawl.wire import gzip_member, record_id, warc_record

__all__ = ["DemoCrawlSummary", "write_demo_crawl"]


class DemoCrawlSummary(NamedTuple):
    """What was written. ``expected``, ``languages`` and ``breakage`` count pages; ``bytes``: size of the WARC files."""

    folder: Path
    pages: int
    files: int
    bytes: int
    pairs: int
    expected: dict[str, int]
    languages: dict[str, int]
    breakage: dict[str, int]


def _warcinfo(options: DemoCrawlOptions, name: str, first: int) -> bytes:
    block = b"software: algok demo-crawl\r\nformat: WARC File Format 1.1\r\n"
    number = derive(options.seed, "warcinfo", first, 0) << 64 | derive(options.seed, "warcinfo", first, 1)
    headers = [
        ("WARC-Type", "warcinfo"),
        ("WARC-Record-ID", record_id(number)),
        ("WARC-Date", captured_at(first)),
        ("WARC-Filename", name),
        ("Content-Type", "application/warc-fields"),
    ]
    return warc_record(headers, block)


def _flipped(member: bytes, *seed: int | str) -> bytes:
    """The member with one byte changed in its middle third: CRC-32 finds every such change."""
    draw = Draw(*seed)
    at = draw.between(len(member) // 3, 2 * len(member) // 3)
    return member[:at] + bytes([member[at] ^ 1 << draw.below(8)]) + member[at + 1 :]


#: Pages between two calls of the progress function.
_REPORT_EVERY = 100
#: Rows of a row group of the tables. A file has a thousand rows; the footer of a Parquet file grows with its groups.
_GROUP_ROWS = 16_384


class _Table:
    """A Parquet file of few large row groups."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._out = pq.ParquetWriter(path, schema, compression="zstd")
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self.rows = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Append rows."""
        self._waiting.append(pa.Table.from_pylist(rows, schema=self._schema))
        self.rows += len(rows)
        if sum(table.num_rows for table in self._waiting) >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._out.write_table(pa.concat_tables(self._waiting), row_group_size=_GROUP_ROWS)
            self._waiting = []

    def close(self) -> None:
        """Write what waits and the footer."""
        self._flush()
        self._out.close()


def _write_file(
    out: IO[bytes],
    pages: Pages,
    options: DemoCrawlOptions,
    name: str,
    span: range,
    cut: bool,
    report: Callable[[int], None],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """One WARC file; returns its truth rows, its pairs and its size."""
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    offset = out.write(gzip_member(_warcinfo(options, name, span.start), options.compression))
    for index in span:
        page = pages.page(index)
        if page.request is not None:
            offset += out.write(gzip_member(page.request, options.compression))
        member = gzip_member(page.response, options.compression)
        truth = page.truth
        if page.flip:
            member = _flipped(member, options.seed, "flip", index)
        if cut and index == span.stop - 1:
            member = member[: len(member) * 6 // 10]
            truth.update(breakage="truncated", failed_step="gzip", expected="failed")
        rows.append(truth | {"file": name, "offset": offset, "length": len(member)})
        offset += out.write(member)
        pairs.extend(page.pairs)
        if len(rows) % _REPORT_EVERY == 0 or index == span.stop - 1:
            report(index + 1)
    return rows, pairs, offset


def write_demo_crawl(
    folder: Path, options: DemoCrawlOptions, progress: Callable[[int], None] | None = None
) -> DemoCrawlSummary:
    """Write ``crawl/DEMO-*.warc.gz``, ``truth.parquet``, ``pairs.parquet`` and ``README.txt`` below ``folder``.

    A crawl that was there before is replaced. README.txt is written last: a folder with it is whole. Memory holds the
    rows of one file and a bounded number of documents, whatever ``options.pages`` is. ``progress`` is called now and
    then with the number of pages written so far.
    """
    crawl = folder / "crawl"
    crawl.mkdir(parents=True, exist_ok=True)
    for stale in (folder / "README.txt", *sorted(crawl.glob("DEMO-*.warc.gz"))):
        stale.unlink(missing_ok=True)
    pages = Pages(options)
    stop = options.start + options.pages
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("expected", "language", "breakage")}
    size = 0

    def report(end: int) -> None:
        if progress is not None:
            progress(end - options.start)

    truth, pairs = _Table(folder / "truth.parquet", TRUTH), _Table(folder / "pairs.parquet", PAIRS)
    with closing(truth), closing(pairs):
        for first in range(options.start, stop, options.pages_per_file):
            span = range(first, min(first + options.pages_per_file, stop))
            name = f"DEMO-{first // options.pages_per_file:05d}.warc.gz"
            cut = options.truncate_last and options.files > 1 and span.stop == stop
            with (crawl / name).open("wb") as out:
                rows, found, written = _write_file(out, pages, options, name, span, cut, report)
            truth.add(rows)
            pairs.add(found)
            size += written
            for column, counter in counts.items():
                counter.update(row[column] for row in rows if row[column] is not None)
    (folder / "README.txt").write_text(readme(options.seed, options.start, stop - 1, options.files), encoding="utf-8")
    ordered = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    return DemoCrawlSummary(
        folder,
        options.pages,
        options.files,
        size,
        pairs.rows,
        ordered["expected"],
        ordered["language"],
        ordered["breakage"],
    )
