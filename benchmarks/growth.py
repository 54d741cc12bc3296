"""Growth: the whole line on 1 x, 4 x and 16 x of a synthetic crawl; time per document and memory must stay flat.

    python -m benchmarks.growth [--pages N] [--factors 1,4,16] [--workers N] [--quick]

The smaller crawls are the first files of the largest one (a page of the synthetic crawl does not depend on the number
of pages). The token budget grows with the crawl, so that every stage has its share of documents; the tokenizer's
training sample does not, as in a real run. Time is CPU time, of all processes.

Three questions, each a bar at 15 %:
- time per document at the largest size over that at the smallest. Start-up (a Beam job per step, training the
  tokenizer) makes small runs dearer, so this number alone could hide growth. Therefore also
- time per *further* document: (16 x - 4 x) over (4 x - 1 x), in which all that is fixed cancels out;
- peak memory of the largest process, and of all, at the largest size over that at the middle one and the smallest one.
"""

import argparse
import datetime
import itertools
import json
import logging
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.recipe import Recipe, parse_recipe
from algok.pipeline.run import STAGES
from algok.pipeline.stages.base import Context, run_stage
from algok.transforms import dedup_tables, shuffle
from algok.transforms.storage import AtomicFile
from benchmarks.machine import describe
from benchmarks.measure import Peak, measure, phase
from benchmarks.tables import RESULTS, Bar, Result, Table, publish

__all__ = ["Size", "StageCost", "main", "summarize"]

_ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1.15
#: Pages of one file and so of about one split (3 MB): a unit of work is as large at every size.
PAGES_PER_FILE = 1_000
_RECIPE = """
name = "growth"
seed = 1
[[sources]]
name = "crawl"
paths = [{paths}]
[extract]
split_mb = 4
[mix]
tokens = {tokens}
[mix.shares]
ko = 0.65
en = 0.35
[tokenizer]
vocab_size = 8_000
sample_mb = {sample_mb}
held_out_share = 0.05
allow_smaller = true
[pack]
sequence_length = 32_768
shard_mb = 1
"""


class StageCost(msgspec.Struct, frozen=True, kw_only=True):
    """One stage at one size. ``shuffled`` is bytes of rows through the columnar shuffle; -1 where not measured."""

    cpu_s: float
    wall_s: float
    documents: int
    shuffled: int
    peak: Peak | None = None


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """The whole line at one size; ``cpu_s`` is the sum of the stages, ``process_s`` has imports too."""

    factor: int
    pages: int
    cpu_s: float
    wall_s: float
    process_s: float
    peak: Peak
    stages: dict[str, StageCost]


def _recipe(files: list[Path], tokens: int, sample_mb: float) -> Recipe:
    paths = ", ".join(json.dumps(str(path)) for path in files)
    return parse_recipe(_RECIPE.format(paths=paths, tokens=tokens, sample_mb=sample_mb), where="growth", base=_ROOT)


def _count_shuffled() -> list[int]:
    """From now on, bytes written by the columnar shuffle in this process add up in the list's only item."""
    total = [0]

    class Counted(AtomicFile):
        def commit(self) -> None:
            super().commit()
            total[0] += self.bytes

    shuffle.AtomicFile = Counted  # type: ignore[misc]
    return total


def _scale_limits(partition_mb: float) -> None:
    """Partitions of the shuffle of about this size in this process, and half of it buffered by its writer, twice of it
    held by the caches of deduplication: the proportions as shipped."""
    partition = int(partition_mb * 1_000_000)
    shuffle.partitions_for.__defaults__ = (partition,)
    shuffle.ShuffleRows.__init__.__kwdefaults__["flush_bytes"] = partition // 2
    dedup_tables.Cache.__init__.__defaults__ = (2 * partition,)


def _child(
    crawl: Path, work: Path, files: int, tokens: int, sample_mb: float, workers: int, partition_mb: float | None
) -> None:
    """Run all stages in this process and print what each cost as JSON."""
    logging.basicConfig(level=logging.ERROR)
    if partition_mb:
        _scale_limits(partition_mb)
    shutil.rmtree(work, ignore_errors=True)
    chosen = sorted(crawl.glob("crawl/*.warc.gz"))[:files]
    context = Context(
        recipe=_recipe(chosen, tokens, sample_mb),
        work=str(work),
        options=RunOptions(workers=workers),
        reporter=Quiet(),
    )
    shuffled = _count_shuffled()
    stages = {}
    for stage in STAGES:
        before = shuffled[0]
        phase(stage.name)
        manifest = run_stage(stage, context).manifest
        documents = sum(line.documents for line in manifest.ledger if line.direction == "in")
        stages[stage.name] = {
            "cpu_s": manifest.cpu_s,
            "wall_s": manifest.wall_s,
            "documents": documents,
            "shuffled": shuffled[0] - before if workers == 1 else -1,
        }
    print(json.dumps(stages))


def _run(given: argparse.Namespace, crawl: Path, factor: int) -> Size:
    pages = given.pages * factor
    work = given.work / f"run-{factor}"
    files = -(-pages // min(PAGES_PER_FILE, given.pages))
    command = [sys.executable, "-m", "benchmarks.growth", "--child", str(files), "--work", str(work)]
    command += ["--crawl", str(crawl), "--tokens", str(pages * given.tokens_per_page)]
    command += ["--sample-mb", str(given.sample_mb), "--workers", str(given.workers)]
    command += ["--partition-mb", str(given.partition_mb)] if given.partition_mb else []
    usage = measure(command)
    shutil.rmtree(work, ignore_errors=True)
    stages = {
        name: StageCost(**cost, peak=usage.phases.get(name)) for name, cost in sorted_stages(usage.output).items()
    }
    return Size(
        factor=factor,
        pages=pages,
        cpu_s=round(sum(cost.cpu_s for cost in stages.values()), 3),
        wall_s=round(sum(cost.wall_s for cost in stages.values()), 3),
        process_s=usage.cpu_s,
        peak=usage.peak,
        stages=stages,
    )


def sorted_stages(output: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The stages in the order in which they run."""
    return {stage.name: output[stage.name] for stage in STAGES if stage.name in output}


def summarize(sizes: list[Size]) -> tuple[list[Table], list[Bar]]:
    """Tables by size and by stage, and the bars. Sizes are in increasing order; two or more."""
    if len(sizes) < 2:
        raise ValueError("growth needs two sizes or more")
    whole = Table(
        title="The whole line",
        columns=[
            "size",
            "pages",
            "CPU s",
            "wall s",
            "CPU ms/page",
            "over the smallest",
            "CPU ms/further page",
            "peak MB, largest process",
            "peak MB, all processes",
        ],
        rows=[
            [
                f"{size.factor} x",
                size.pages,
                round(size.cpu_s, 1),
                round(size.wall_s, 1),
                round(_per_page(size), 3),
                f"{_per_page(size) / _per_page(sizes[0]):.2f}",
                f"{_further(sizes[i - 1], size):.3g}" if i else "-",
                round(size.peak.process_mb),
                round(size.peak.tree_mb),
            ]
            for i, size in enumerate(sizes)
        ],
    )
    last = sizes[-1]
    factors = [f"{size.factor} x" for size in sizes]
    rows: list[list[str | int | float]] = []
    for name in last.stages:
        costs = [size.stages[name] for size in sizes]
        further = [_stage_further(name, a, b) for a, b in itertools.pairwise(sizes)]
        shuffled = costs[-1].shuffled
        rows.append(
            [
                name,
                *(f"{1e3 * cost.cpu_s / size.pages:.3g}" for cost, size in zip(costs, sizes, strict=True)),
                *(f"{value:.3g}" for value in further),
                *(f"{cost.peak.process_mb:.0f}" if cost.peak else "-" for cost in costs),
                f"{costs[-1].documents:,}",
                f"{shuffled / last.pages:,.0f}" if shuffled >= 0 else "-",
            ]
        )
    stages = Table(
        title="By stage",
        columns=[
            "stage",
            *(f"CPU ms/page at {factor}" for factor in factors),
            *(f"ms/further page to {factor}" for factor in factors[1:]),
            *(f"peak MB at {factor}" for factor in factors),
            f"documents in at {factors[-1]}",
            "bytes shuffled per page",
        ],
        rows=rows,
    )
    return [whole, stages], _bars(sizes)


def _per_page(size: Size) -> float:
    """CPU milliseconds."""
    return 1e3 * size.cpu_s / size.pages


def _further(small: Size, large: Size) -> float:
    """CPU milliseconds for each page that the larger size has more."""
    return 1e3 * (large.cpu_s - small.cpu_s) / (large.pages - small.pages)


def _stage_further(name: str, small: Size, large: Size) -> float:
    return 1e3 * (large.stages[name].cpu_s - small.stages[name].cpu_s) / (large.pages - small.pages)


def _bars(sizes: list[Size]) -> list[Bar]:
    first, last = sizes[0], sizes[-1]
    span = f"{last.factor} x over {first.factor} x"
    bars = [Bar(name=f"CPU time a page, {span}", value=_per_page(last) / _per_page(first), limit=LIMIT)]
    if len(sizes) > 2:
        bars.append(
            Bar(
                name=f"CPU time a further page, {sizes[-2].factor} x to {last.factor} x over {first.factor} x to "
                f"{sizes[1].factor} x",
                value=_further(sizes[-2], last) / _further(first, sizes[1]),
                limit=LIMIT,
            )
        )
    smaller = dict.fromkeys(size.factor for size in (first, sizes[-2]))
    for size in sizes:
        if size.factor in smaller:
            over = f"{last.factor} x over {size.factor} x"
            bars += [
                Bar(
                    name=f"peak memory of the largest process, {over}",
                    value=last.peak.process_mb / size.peak.process_mb,
                    limit=LIMIT,
                ),
                Bar(
                    name=f"peak memory of all processes, {over}",
                    value=last.peak.tree_mb / size.peak.tree_mb,
                    limit=LIMIT,
                ),
            ]
    return bars


def _limits(partition_mb: float | None) -> str:
    if partition_mb is None:
        return (
            "Limits as shipped: 134 MB a partition of the shuffle, 67 MB buffered, 268 MB cached by deduplication. No "
            "size here reaches them, and memory rises until it does; `--partition-mb` scales them down to the crawl."
        )
    return (
        f"Limits scaled down to the crawl: {partition_mb:g} MB a partition of the shuffle, half of it buffered, twice "
        "of it cached by deduplication, which are the proportions as shipped (134 MB a partition)."
    )


def _settings(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="time per document and memory as the crawl grows")
    parser.add_argument("--pages", type=int, default=2_000, help="pages at 1 x; default: %(default)s")
    parser.add_argument("--factors", default="1,4,16", help="sizes, increasing; default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="worker processes; default: %(default)s")
    parser.add_argument("--tokens-per-page", type=int, default=500, help="token budget; default: %(default)s")
    parser.add_argument("--sample-mb", type=float, default=1.0, help="tokenizer's sample; default: %(default)s")
    parser.add_argument("--partition-mb", type=float, help="size of a partition of the shuffle; default: as shipped")
    parser.add_argument("--work", type=Path, default=_ROOT / "work" / "benchmarks" / "growth")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="500 pages at 1 x; 1, 2 and 4 x")
    for name, kind in (("--child", int), ("--crawl", Path), ("--tokens", int)):
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.quick:
        given.pages, given.factors = 500, "1,2,4"
    return given


def _crawl(folder: Path, pages: int, per_file: int) -> None:
    """Write the largest crawl, unless it is there."""
    options = DemoCrawlOptions(pages=pages, pages_per_file=per_file, seed=1, truncate_last=False)
    done = folder / "made.json"
    wanted = msgspec.json.encode(msgspec.to_builtins(options), order="sorted")
    if done.is_file() and done.read_bytes() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    print(f"writing a crawl of {pages:,} pages", file=sys.stderr, flush=True)
    write_demo_crawl(folder, options)
    done.write_bytes(wanted)


def main(arguments: list[str] | None = None) -> Result | None:
    """Measure, print and write the result."""
    given = _settings(arguments)
    given.work = given.work.resolve()
    if given.child:
        _child(
            given.crawl,
            given.work,
            given.child,
            given.tokens,
            given.sample_mb,
            given.workers,
            given.partition_mb,
        )
        return None
    factors = [int(factor) for factor in given.factors.split(",")]
    if factors != sorted(set(factors)) or factors[0] < 1 or len(factors) < 2:
        raise SystemExit(f"growth: --factors must be two increasing whole numbers or more, not {given.factors}")
    machine = describe()
    crawl = given.work / "crawl"
    _crawl(crawl, given.pages * factors[-1], min(PAGES_PER_FILE, given.pages))
    _run(given, crawl, 1)  # compiled kernels are cached on disk by the first run
    sizes = []
    for factor in factors:
        sizes.append(_run(given, crawl, factor))
        print(f"{factor} x: {sizes[-1].cpu_s:.1f} CPU s", file=sys.stderr, flush=True)
    tables, bars = summarize(sizes)
    chosen = ["--quick"] if given.quick else ["--pages", str(given.pages), "--factors", given.factors]
    chosen += ["--workers", str(given.workers)] if given.workers != 1 else []
    chosen += ["--partition-mb", f"{given.partition_mb:g}"] if given.partition_mb else []
    result = Result(
        benchmark="growth_limits" if given.partition_mb else "growth",
        title="Growth: the whole line on ever larger crawls"
        + (f", shuffle partitions of {given.partition_mb:g} MB" if given.partition_mb else ""),
        command=shlex.join(["python", "-m", "benchmarks.growth", *chosen]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=tables,
        bars=bars,
        notes=[
            f"Synthetic crawl (`algok demo-crawl`, seed 1), {given.pages:,} pages at 1 x, split at 4 MB; "
            f"{given.workers} worker(s) of the local runner. Token budget {given.tokens_per_page} a page; tokenizer "
            f"sample at most {given.sample_mb:g} MB and shards of 1 MB at every size.",
            "A further page is what the next size has more: start-up and the tokenizer's training cancel out.",
            "Memory: resident sizes sampled ten times a second. One process runs all stages and Beam's in-process "
            "runner, so a stage's peak includes what earlier ones left.",
            _limits(given.partition_mb),
            "Bytes shuffled: rows written by the columnar shuffle (LZ4) over all pages of the crawl.",
        ],
        measured=[msgspec.to_builtins(size) for size in sizes],
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
