"""Beam's tax: CPU time of the extract job over that of the same kernels called in a plain loop.

    python -m benchmarks.beam_tax [--crawl FOLDER] [--pages N] [--rounds N] [--quick]

Both sides read the same splits with the same reader, call the same three kernels (pages in a child process with limits,
language, signals) and write the same three Parquet tables; the job adds Beam (in-process runner, one worker), marks and
receipts. Each run is a process of its own with everything imported before the clock starts; the clock takes CPU time of
the process and of its children, and a run that leaves a child behind is an error. The two outputs must be equal.
"""

import argparse
import datetime
import json
import logging
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import psutil
import pyarrow.parquet as pq
import xxhash

from algok.filters.extraction import ExtractOptions
from algok.filters.language import find_model
from algok.filters.reading import HEAD_BYTES, ReadOptions, detect_format, plan_splits
from algok.pipeline.jobs import Quiet, RunOptions, timed
from algok.pipeline.steps import run_units
from algok.transforms.extract import ExtractPages, IdentifyLanguage, MeasureSignals, RecordSource, extract_outputs
from algok.transforms.sinks import Count, Output, _OpenFile, merge_counts
from algok.transforms.storage import open_read
from algok.transforms.units import Unit, unit_key
from benchmarks.machine import describe
from benchmarks.measure import measure
from benchmarks.pages import copy_pages
from benchmarks.tables import RESULTS, Bar, Result, Table, publish, spread

__all__ = ["Side", "main", "run_job_side", "run_loop_side", "summarize"]

_ROOT = Path(__file__).resolve().parent.parent
JOB, LOOP = "Beam job", "plain loop"
TAX_LIMIT = 1.10
#: Splits per run, so that opening and closing units is part of what is measured.
SPLITS = 6


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one side. ``children_s`` is the part of ``cpu_s`` that the extracting child took."""

    side: str
    round: int
    cpu_s: float
    children_s: float
    wall_s: float
    process_s: float
    pages: int
    batches: int
    digest: str


class _Work(NamedTuple):
    units: list[Unit]
    source: RecordSource
    kernels: list[Any]
    outputs: tuple[Output, ...]


def _plan(crawl: Path) -> _Work:
    """The units and steps of the extract stage with its defaults, but for smaller splits."""
    paths = sorted(crawl.glob("*.warc.gz"))
    size = sum(path.stat().st_size for path in paths)
    options = ReadOptions(split_bytes=max(1_000_000, size // SPLITS))
    units = []
    for path in paths:
        with open_read(str(path)) as file:
            found = detect_format(str(path), file.read(HEAD_BYTES))
        for split in plan_splits("crawl", str(path), path.stat().st_size, found, open_read, options):
            body = msgspec.to_builtins(split)
            units.append(Unit(key=unit_key(body), size=split.end - split.start, body=body))
    kernels: list[Any] = [
        ExtractPages(options=ExtractOptions()),
        IdentifyLanguage(model=find_model(None)),
        MeasureSignals(),
    ]
    return _Work(units, RecordSource(options=options), kernels, extract_outputs())


def run_loop_side(work: _Work, folder: Path) -> int:
    """The plain loop; returns the number of batches. No Beam, no marks, no receipts; the ledger is counted.

    The writer is the class that the job's writer uses itself, so both compress, checksum and rename alike.
    """
    calls: list[Callable[[Any], Any]] = [kernel.load() for kernel in work.kernels]
    batches = 0
    for unit in work.units:
        files: dict[str, _OpenFile] = {}
        counts: list[Count] = []
        for batch, _ in work.source.read(unit, {}):
            batches += 1
            for call in calls:
                batch = call(batch)
            for output in work.outputs:
                rows = output.select(batch)
                if not rows.num_rows:
                    continue
                if output.table not in files:
                    files[output.table] = _OpenFile(output, str(folder / output.table / f"{unit.key}.parquet"))
                files[output.table].write(rows)
                if output.count is not None:
                    counts = merge_counts([*counts, *output.count(rows)])
        for file in files.values():
            file.commit({})
    for call in calls:
        close = getattr(call, "close", None)
        if close is not None:
            close()
    return batches


def run_job_side(work: _Work, folder: Path) -> None:
    """The same as the job that the extract stage runs."""
    run_units(
        stage="extract",
        step="documents",
        key="benchmark",
        folder=str(folder),
        units=work.units,
        source=work.source,
        kernels=work.kernels,
        outputs=work.outputs,
        options=RunOptions(workers=1),
        reporter=Quiet(),
    )


def _digest(folder: Path) -> tuple[str, int]:
    """Hash of all rows that were written, by table, and their number; no part of what is measured."""
    state = xxhash.xxh3_128()
    rows = 0
    for path in sorted(folder.glob("*/*.parquet")):
        table = pq.read_table(path)
        rows += table.num_rows
        state.update(f"{path.parent.name}/{path.name}".encode())
        for batch in table.combine_chunks().to_batches(max_chunksize=1_000):
            state.update(repr(batch.to_pylist()).encode("utf-8", "backslashreplace"))
    return state.hexdigest(), rows


def _child(side: str, crawl: Path, folder: Path) -> None:
    """Run one side in this process and print what it cost as JSON."""
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    shutil.rmtree(folder, ignore_errors=True)
    work = _plan(crawl)
    from benchmarks.measure import cpu_of_children

    children, clock = cpu_of_children(), timed()
    batches = run_loop_side(work, folder) if side == LOOP else 0
    if side == JOB:
        run_job_side(work, folder)
    wall, cpu = clock()
    children = cpu_of_children() - children
    left = psutil.Process().children(recursive=True)
    if left or children <= 0:
        raise SystemExit(f"beam_tax: the extracting child is not in the numbers ({len(left)} processes still run)")
    digest, rows = _digest(folder)
    print(
        json.dumps(
            {
                "cpu_s": cpu,
                "wall_s": wall,
                "children_s": children,
                "batches": batches,
                "pages": rows,
                "digest": digest,
            }
        )
    )


def _run(side: str, number: int, crawl: Path, work: Path) -> Side:
    folder = work / side.replace(" ", "-")
    usage = measure(
        [sys.executable, "-m", "benchmarks.beam_tax", "--side", side, "--crawl", str(crawl), "--work", str(folder)]
    )
    return msgspec.convert({**usage.output, "side": side, "round": number, "process_s": usage.cpu_s}, Side)


def summarize(sides: list[Side]) -> tuple[list[Table], list[Bar]]:
    """Table of both sides, table of the tax by round, and the bar on its median. Raises ``ValueError`` when the two
    sides of a round did not write the same rows."""
    rounds = sorted({side.round for side in sides})
    by_key = {(side.side, side.round): side for side in sides}
    taxes = []
    for number in rounds:
        job, loop = by_key[JOB, number], by_key[LOOP, number]
        if (job.digest, job.pages) != (loop.digest, loop.pages):
            raise ValueError(f"round {number + 1}: the job wrote {job.pages} rows, the loop {loop.pages}, or others")
        taxes.append(job.cpu_s / loop.cpu_s)
    rows: list[list[str | int | float]] = []
    for name in (LOOP, JOB):
        own = [side for side in sides if side.side == name]
        rows.append(
            [
                name,
                spread([side.cpu_s for side in own]),
                spread([side.children_s for side in own]),
                spread([1e3 * side.cpu_s / side.pages for side in own]),
                spread([side.wall_s for side in own]),
                spread([side.process_s for side in own]),
                own[-1].pages,
            ]
        )
    columns = ["", "CPU s", "of it the extracting child", "CPU ms/page", "wall s", "whole process, CPU s", "pages"]
    tables = [
        Table(title="The same work as a Beam job and as a plain loop", columns=columns, rows=rows),
        Table(
            title="Tax: CPU time of the job over that of the loop",
            columns=[*(f"round {number + 1}" for number in rounds), "median"],
            rows=[[*(f"{tax:.3f}" for tax in taxes), f"{median(taxes):.3f}"]],
        ),
    ]
    return tables, [Bar(name="Beam's tax on extract (median)", value=median(taxes), limit=TAX_LIMIT)]


def _settings(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU time of the extract job over that of a plain loop")
    parser.add_argument("--crawl", type=Path, default=_ROOT.parent / "shared" / "data" / "mini_crawl")
    parser.add_argument("--work", type=Path, default=_ROOT / "work" / "benchmarks" / "beam_tax")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--pages", type=int, default=3000, help="pages, evenly spread over the crawl; 0: all; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="300 pages at most, one round")
    parser.add_argument("--side", choices=(JOB, LOOP), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.quick:
        given.pages, given.rounds = min(given.pages or 300, 300), 1
    return given


def main(arguments: list[str] | None = None) -> Result | None:
    """Measure, print and write the result."""
    given = _settings(arguments)
    crawl, work = given.crawl.resolve(), given.work.resolve()
    if given.side:
        _child(given.side, crawl, work)
        return None
    files = sorted(crawl.glob("*.warc.gz"))
    if not files:
        raise SystemExit(f"beam_tax: no *.warc.gz in {given.crawl}; name a folder of WARC files with --crawl")
    machine = describe()
    copy_pages(files, work / "pages" / "pages.warc.gz", given.pages or None)
    copy_pages(files, work / "few" / "pages.warc.gz", 10)
    for side in (LOOP, JOB):  # compiled kernels are cached on disk by the first run
        _run(side, 0, work / "few", work / "run")
    sides = []
    for number in range(given.rounds):
        for side in (LOOP, JOB) if number % 2 == 0 else (JOB, LOOP):
            sides.append(_run(side, number, work / "pages", work / "run"))
            print(f"round {number + 1}: {side}: {sides[-1].cpu_s:.2f} CPU s", file=sys.stderr, flush=True)
    tables, bars = summarize(sides)
    chosen = ["--quick"] if given.quick else ["--rounds", str(given.rounds)]
    chosen += ["--pages", str(given.pages)]
    result = Result(
        benchmark="beam_tax",
        title="Beam's tax",
        command=shlex.join(["python", "-m", "benchmarks.beam_tax", *chosen]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=tables,
        bars=bars,
        notes=[
            "In-process runner, one worker. The sides alternate and take turns in being first; imports are not in the "
            "first four columns, and are in the column of the whole process. Both wrote equal rows (checked).",
            f"{SPLITS} splits. The loop has no marks, counters, receipts, progress files or progress display.",
        ],
        measured=[msgspec.to_builtins(side) for side in sides],
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
