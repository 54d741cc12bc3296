"""Flink beside the local runner: what the cluster costs, what it moves, and how little memory it needs.

    python -m benchmarks.flink [--only extract|line] [--pages N] [--synthetic N] [--rounds N] [--quick]

Two questions, with two workers on both sides (parallelism 2 on two TaskManagers; two worker processes):
- CPU time of the extract stage on real pages over that of the local runner: the bar is 1.25. The clock starts when the
  cluster is up and has run a job once, as one that stays up for days has; starting a job and its workers counts.
- The whole line on a synthetic crawl with deliberately small TaskManagers: does it pass, which memory does each kind
  of process need, what does each stage cost over the local runner, and how many bytes go through Flink's network and
  how many through the files of the columnar shuffle?

CPU time is that of all processes: JobManager, job server, TaskManagers, Python workers and their extracting children,
ended ones included. The output of both sides must be equal.
"""

import argparse
import datetime
import json
import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from algok.pipeline.cluster.control import cluster_down, cluster_up, rest_get
from algok.pipeline.cluster.layout import HOME_VARIABLE, ClusterOptions, Home
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.recipe import Recipe, parse_recipe
from algok.pipeline.run import STAGES
from algok.pipeline.stages.base import Context, Stage, run_stage
from algok.transforms import storage
from benchmarks import growth
from benchmarks.machine import describe
from benchmarks.measure import measure
from benchmarks.pages import copy_pages
from benchmarks.processes import Watch
from benchmarks.tables import RESULTS, Bar, Result, Table, publish, spread

__all__ = ["Cost", "Side", "main", "summarize_extract", "summarize_line"]

_ROOT = Path(__file__).resolve().parent.parent
LOCAL, FLINK = "local runner", "Flink"
LIMIT = 1.25
#: Pages whose cost is that of starting: a job, its workers, their imports and models.
FEW = 20
WORKERS = 2
_EXTRACT = """
name = "extract"
[[sources]]
name = "crawl"
paths = [{paths}]
[extract]
split_mb = {split_mb}
"""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """One stage on one side. ``network`` is bytes that Flink's tasks sent, ``spilled`` those of the shuffle's files."""

    cpu_s: float
    wall_s: float
    documents: int
    network: int = 0
    spilled: int = 0
    digest: str = ""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``start`` is the extract stage on ``FEW`` pages, in a warm cluster; ``memory`` is the peak of the
    largest process of each kind, in MB."""

    side: str
    round: int
    stages: dict[str, Cost]
    memory: dict[str, float]
    start: Cost | None = None


def _recipe(kind: str, crawl: Path, pages: int) -> Recipe:
    if kind == "synthetic":
        return growth._recipe(sorted(crawl.glob("crawl/*.warc.gz")), 500 * pages, 1.0)
    files = sorted(crawl.glob("*.warc.gz"))
    size = sum(path.stat().st_size for path in files) / 1e6
    paths = ", ".join(json.dumps(str(path)) for path in files)
    return parse_recipe(_EXTRACT.format(paths=paths, split_mb=max(1.0, size / 6)), where="flink", base=_ROOT)


def _network(home: Home, known: set[str]) -> int:
    """Bytes that the tasks of new jobs sent; adds the jobs to ``known``."""
    rest, total = home.read_addresses().rest, 0
    for job in rest_get(rest, "/jobs/overview")["jobs"]:
        if job["jid"] not in known:
            known.add(job["jid"])
            total += sum(v["metrics"]["write-bytes"] for v in rest_get(rest, f"/jobs/{job['jid']}")["vertices"])
    return total


def _count_spilled() -> list[int]:
    """From now on, bytes of the shuffle's files add up in the list's only item, when the driver removes them."""
    total, remove = [0], shutil.rmtree

    def counted(folder: Any, *args: Any, **kwargs: Any) -> None:
        if ".spill" in str(folder):
            total[0] += sum(path.stat().st_size for path in Path(folder).rglob("*.arrow"))
        remove(folder, *args, **kwargs)

    storage.shutil.rmtree = counted  # type: ignore[assignment]
    return total


def _child(kind: str, side: str, crawl: Path, work: Path, pages: int, task_manager_mb: int) -> None:
    """Run the stages in this process and print what each cost as JSON."""
    logging.basicConfig(level=logging.ERROR)
    shutil.rmtree(work, ignore_errors=True)
    home = Home(root=Path(os.environ[HOME_VARIABLE]))
    watch = Watch()
    try:
        known: set[str] = set()
        if side == FLINK:
            options = ClusterOptions(task_managers=2, slots=1, task_manager_mb=task_manager_mb, rest_port=0)
            cluster_up(home, options)
        run_options = RunOptions(workers=WORKERS, runner="flink" if side == FLINK else "")
        spilled = _count_spilled()

        def run(stage: Stage, context: Context) -> Cost:
            clock, before = watch.clock(), spilled[0]
            manifest = run_stage(stage, context).manifest
            wall, cpu = clock()
            return Cost(
                cpu_s=round(cpu, 3),
                wall_s=round(wall, 3),
                documents=sum(line.documents for line in manifest.ledger if line.direction == "in"),
                network=_network(home, known) if side == FLINK else 0,
                spilled=spilled[0] - before,
                digest=manifest.outputs.checksum if stage.name == "extract" else "",
            )

        def context(recipe: Recipe, folder: Path) -> Context:
            shutil.rmtree(folder, ignore_errors=True)
            return Context(recipe=recipe, work=str(folder), options=run_options, reporter=Quiet())

        few = _recipe("real", crawl.parent / "few", 0)
        start = [run(STAGES[0], context(few, work.with_name("few-run"))) for _ in range(2)][1]
        line = context(_recipe(kind, crawl, pages), work)
        stages = {stage.name: run(stage, line) for stage in (STAGES if kind == "synthetic" else STAGES[:1])}
        print(json.dumps(msgspec.to_builtins({"stages": stages, "memory": watch.peaks(), "start": start})))
    finally:
        if side == FLINK:
            cluster_down(home)
        shutil.rmtree(work, ignore_errors=True)


def _run(kind: str, side: str, number: int, given: argparse.Namespace, crawl: Path, pages: int) -> Side:
    work: Path = given.work / "run"
    command = [sys.executable, "-m", "benchmarks.flink", "--kind", kind, "--side", side, "--crawl", str(crawl)]
    command += ["--work", str(work), "--synthetic", str(pages), "--task-manager-mb", str(given.task_manager_mb)]
    usage = measure(command, environment={HOME_VARIABLE: str(given.home)})
    stage = usage.output["stages"]["extract"]["cpu_s"]
    print(
        f"{kind} pages, round {number + 1}: {side}: {usage.cpu_s:.1f} CPU s, of it extract {stage:.1f}",
        file=sys.stderr,
        flush=True,
    )
    return msgspec.convert({**usage.output, "side": side, "round": number}, Side)


def summarize_extract(sides: list[Side]) -> tuple[list[Table], list[Bar]]:
    """Tables of the extract stage by round; the bars are on the medians of the rounds.

    Raises ``ValueError`` when the two sides of a round did not write the same files.
    """
    by_key = {(side.side, side.round): side.stages["extract"] for side in sides}
    starts = {(side.side, side.round): side.start for side in sides if side.start}
    rounds = sorted({side.round for side in sides})
    ratios, further = [], []
    for number in rounds:
        local, flink = by_key[LOCAL, number], by_key[FLINK, number]
        if (local.digest, local.documents) != (flink.digest, flink.documents):
            raise ValueError(f"round {number + 1}: the two runners did not write the same files")
        ratios.append(flink.cpu_s / local.cpu_s)
        begun = [starts[name, number].cpu_s for name in (FLINK, LOCAL)]
        further.append((flink.cpu_s - begun[0]) / (local.cpu_s - begun[1]))
    extract = Table(
        title="The extract stage on real pages, two workers",
        columns=["", "CPU s", "CPU ms/page", f"CPU s of the first {FEW} pages", "wall s", "pages", "network MB"],
        rows=[
            [
                name,
                spread([by_key[name, n].cpu_s for n in rounds]),
                spread([1e3 * by_key[name, n].cpu_s / by_key[name, n].documents for n in rounds]),
                spread([starts[name, n].cpu_s for n in rounds]),
                spread([by_key[name, n].wall_s for n in rounds]),
                by_key[name, rounds[0]].documents,
                f"{by_key[name, rounds[0]].network / 1e6:.2f}",
            ]
            for name in (LOCAL, FLINK)
        ],
    )
    over = Table(
        title="Flink's CPU time over the local runner's, extract stage",
        columns=["", *(f"round {number + 1}" for number in rounds), "median"],
        rows=[
            [name, *(f"{ratio:.3f}" for ratio in values), f"{median(values):.3f}"]
            for name, values in (("whole stage", ratios), (f"pages after the first {FEW}", further))
        ],
    )
    name = "Flink over the local runner, CPU time of extract"
    bars = [
        Bar(name=f"{name}, whole stage", value=median(ratios), limit=LIMIT),
        Bar(name=f"{name}, each further page", value=median(further), limit=LIMIT),
    ]
    return [extract, over], bars


def summarize_line(measured: list[Side]) -> list[Table]:
    """Tables of all stages and of memory. Raises ``ValueError`` when the sides did not write the same documents."""
    sides = {side.side: side for side in measured}
    rows: list[list[str | int | float]] = []
    for name, flink in sides[FLINK].stages.items():
        local = sides[LOCAL].stages[name]
        if local.digest != flink.digest:
            raise ValueError(f"stage {name} of the synthetic crawl: the two runners did not write the same files")
        rows.append(
            [
                name,
                f"{flink.documents:,}",
                round(local.cpu_s, 1),
                round(flink.cpu_s, 1),
                f"{flink.cpu_s / local.cpu_s:.2f}",
                round(local.wall_s, 1),
                round(flink.wall_s, 1),
                f"{flink.network / 1e6:.2f}",
                f"{flink.spilled / 1e6:.2f}",
            ]
        )
    columns = ["stage", "documents in", "CPU s, local", "CPU s, Flink", "ratio", "wall s, local", "wall s, Flink"]
    memory = [[kind, *(round(sides[n].memory.get(kind, 0)) or "-" for n in (LOCAL, FLINK))] for kind in _kinds(sides)]
    return [
        Table(
            title="All stages on the synthetic crawl, two workers, small TaskManagers",
            columns=[*columns, "MB through Flink's network", "MB in shuffle files"],
            rows=rows,
        ),
        Table(title="Peak memory of the largest process of a kind, MB", columns=["kind", LOCAL, FLINK], rows=memory),
    ]


def _kinds(sides: dict[str, Side]) -> list[str]:
    return sorted({kind for side in sides.values() for kind in side.memory})


def _settings(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Flink beside the local runner")
    parser.add_argument("--crawl", type=Path, default=_ROOT.parent / "shared" / "data" / "mini_crawl")
    parser.add_argument("--pages", type=int, default=6_000, help="real pages; default: %(default)s")
    parser.add_argument("--synthetic", type=int, default=32_000, help="16 x the demo's crawl; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=2, help="on the real pages; default: %(default)s")
    parser.add_argument(
        "--task-manager-mb", type=int, default=768, help="memory of a TaskManager; default: %(default)s"
    )
    parser.add_argument("--home", type=Path, default=_ROOT / ".algok" / "benchmark", help="of the cluster")
    parser.add_argument("--work", type=Path, default=_ROOT / "work" / "benchmarks" / "flink")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--only", choices=("extract", "line"), help="one of the two questions; default: both")
    parser.add_argument("--quick", action="store_true", help="300 real pages, 1,000 synthetic ones, one round")
    for name in ("--side", "--kind"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.quick:
        given.pages, given.synthetic, given.rounds = 300, 1_000, 1
    return given


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write the results."""
    given = _settings(arguments)
    crawl = given.crawl.resolve()
    given.work, given.home = given.work.resolve(), given.home.resolve()
    if given.side:
        _child(given.kind, given.side, crawl, given.work, given.synthetic, given.task_manager_mb)
        return
    files = sorted(crawl.glob("*.warc.gz"))
    if not files:
        raise SystemExit(f"flink: no *.warc.gz in {given.crawl}; name a folder of WARC files with --crawl")
    machine = describe()
    copy_pages(files, given.work / "pages" / "pages.warc.gz", given.pages)
    copy_pages(files, given.work / "few" / "pages.warc.gz", FEW)
    if given.only != "line":
        sides = [
            _run("real", side, number, given, given.work / "pages", 0)
            for number in range(given.rounds)
            for side in ((LOCAL, FLINK) if number % 2 == 0 else (FLINK, LOCAL))
        ]
        tables, bars = summarize_extract(sides)
        told = ["--only", "extract", "--rounds", str(given.rounds), "--pages", str(given.pages)]
        _publish("flink_extract", "Flink beside the local runner: extract", told, given, machine, tables, bars, sides)
    if given.only != "extract":
        growth._crawl(given.work / "synthetic", given.synthetic, min(1_000, given.synthetic))
        folder = given.work / "synthetic"
        sides = [_run("synthetic", side, 0, given, folder, given.synthetic) for side in (LOCAL, FLINK)]
        told = ["--only", "line", "--synthetic", str(given.synthetic)]
        title = "Flink beside the local runner: the whole line"
        _publish("flink_line", title, told, given, machine, summarize_line(sides), [], sides)


def _publish(
    name: str,
    title: str,
    told: list[str],
    given: argparse.Namespace,
    machine: dict[str, object],
    tables: list[Table],
    bars: list[Bar],
    sides: list[Side],
) -> None:
    result = Result(
        benchmark=name,
        title=title,
        command=shlex.join(["python", "-m", "benchmarks.flink", *told]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=tables,
        bars=bars,
        notes=[
            f"Two TaskManagers of {given.task_manager_mb} MB with one slot each, parallelism 2; the local runner with "
            "two worker processes (one, for steps with little input: it skips starting workers where they do not pay).",
            "CPU time of all processes of a side, from a warm cluster on; each Flink job has Python workers of "
            "its own, forked (ADR 20). Both sides wrote the same documents (checked).",
            "Rows of a shuffle travel in files of the work folder (LZ4), references to them through Flink's network.",
        ],
        measured=[msgspec.to_builtins(side) for side in sides],
    )
    print(publish(result, given.results))


if __name__ == "__main__":
    main()
