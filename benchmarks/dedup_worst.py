"""Dedup's worst cases through the whole stage: one text copied, and one boilerplate shared.

    python -m benchmarks.dedup_worst [--copies 1000000] [--shared 200000] [--write]

*copies*: the same text in every document; one survivor must be left. *shared*: three quarters of every document are
the same, so that they meet in most bands though none is a duplicate (Jaccard about .6); none may be removed. Each case
runs in a process of its own, in one local worker; what must be left is checked, memory is reported.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from algok.pipeline.jobs import RunOptions, run_job
from algok.transforms.dedup import DedupOptions, indexed_units, run_dedup
from algok.transforms.dedup_tables import Plan
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import list_files
from benchmarks import dedup_growth as growth

HERE = Path(__file__).resolve().parent
#: Words of a document that differ in the case *shared*.
OWN_WORDS = growth.WORDS // 4


def numbers(kind: str, start: int, count: int) -> np.ndarray[Any, Any]:
    """Word numbers of the documents (count x WORDS)."""
    rows = np.tile(np.arange(growth.WORDS), (count, 1))
    if kind == "shared":
        rng = np.random.default_rng(start)
        rows[:, -OWN_WORDS:] = rng.integers(0, growth.VOCABULARY, (count, OWN_WORDS))
    return rows


def removed(folder: Path) -> int:
    """Documents that are not survivors."""
    tables = [pa.ipc.open_file(found.path).read_all() for found in list_files(f"{folder}/*.arrow")]
    return sum(table.num_rows - sum(table["survivor"].to_pylist()) for table in tables)


def measure(kind: str, total: int) -> dict[str, Any]:
    """Run the stage in this process. Raises ``SystemExit`` when the wrong number of documents is left."""
    growth.numbers = lambda start, count, _: numbers(kind, start, count)
    options = DedupOptions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = growth.vocabulary()
        units = [growth.write_unit(folder, i, total, words) for i in range(-(-total // growth.UNIT_ROWS))]
        plan = Plan(
            units=str(folder / "units.jsonl"),
            folder=str(folder / "tables"),
            spill=str(folder / "spill"),
            partitions=partitions_for(total * 32 * options.bands.bands, 16 << 20),
            rows=total,
        )
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        run_dedup(lambda step, build: run_job(step, build, RunOptions()), plan, indexed_units(units), options)
        cpu = time.process_time() - start
        lost = removed(folder / "tables" / "assigned")
    expected = total - 1 if kind == "copies" else 0
    if lost != expected:
        raise SystemExit(f"dedup_worst: {kind}: {lost:,} of {total:,} documents were removed, not {expected:,}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "case": kind,
        "documents": total,
        "removed": lost,
        "microseconds": cpu / total * 1e6,
        "before_mb": before / 1024,
        "peak_mb": peak / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=1_000_000, help="documents; default: %(default)s")
    parser.add_argument("--shared", type=int, default=200_000, help="documents; default: %(default)s")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write benchmarks/dedup_worst.md")
    args = parser.parse_args()
    if args.one:
        print("RESULT", json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    table = ["| case | documents | removed | µs a document | MB before | peak MB |", "|---|---:|---:|---:|---:|---:|"]
    for kind, total in (("copies", args.copies), ("shared", args.shared)):
        command = [sys.executable, "-m", "benchmarks.dedup_worst", "--one", kind, str(total)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parent)
        lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT")]
        if not lines:
            raise SystemExit(run.stderr[-3000:])
        r = json.loads(lines[0].removeprefix("RESULT "))
        table.append(
            f"| {r['case']} | {r['documents']:,} | {r['removed']:,} | {r['microseconds']:.0f} "
            f"| {r['before_mb']:.0f} | {r['peak_mb']:.0f} |"
        )
    machine = f"{platform.machine()}, Python {platform.python_version()}, one worker, {time.strftime('%Y-%m-%d')}."
    text = "\n".join([*table, "", machine])
    print(text)
    if args.write:
        title = "# Worst cases of dedup\n\nWritten by `python -m benchmarks.dedup_worst --write`.\n\n"
        (HERE / "dedup_worst.md").write_text(f"{title}{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
