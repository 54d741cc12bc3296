"""A step: units in, one file per unit and table out, receipts back. Most stages are one or two of these."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
import msgspec

from algok.errors import StageError
from algok.pipeline.jobs import Reporter, RunOptions, run_job
from algok.transforms.annotate import Annotate, Kernel, ReadBatches, Source
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.sinks import Count, FileReceipt, Output, Receipt, SkipDone, WriteUnits, merge_counts
from algok.transforms.storage import delete, join, remove_tree
from algok.transforms.units import ReadUnits, Unit, write_units

__all__ = ["StepResult", "run_units"]

#: Takes what one reader counted.
OnTally = Callable[[dict[str, Any]], None]


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """All receipts of a step, summed. ``units`` is how many there are."""

    files: list[FileReceipt]
    counts: list[Count]
    read: dict[str, dict[str, list[int]]]
    sums: dict[str, int]
    units: int


def run_units(
    *,
    stage: str,
    step: str,
    key: str,
    folder: str,
    units: Sequence[Unit],
    source: Source,
    kernels: Sequence[Kernel],
    outputs: tuple[Output, ...],
    options: RunOptions,
    reporter: Reporter,
    on_tally: OnTally | None = None,
) -> StepResult:
    """Run a step to its end. Units that an earlier run of the same ``key`` finished are not done again.

    ``on_tally`` is given what the reader of each unit counted, once a unit, in the same order in any run.

    Raises ``StageError`` when a unit gave no receipt.
    """
    list_path = join(folder, ".plan", f"{step}.jsonl")
    receipts_folder = join(folder, ".receipts", step)
    write_units(list_path, list(units), key)
    remove_tree(receipts_folder)

    def build(pipeline: beam.Pipeline) -> None:
        split = pipeline | "ReadUnits" >> ReadUnits(list_path) | SkipDone(folder, outputs[-1].table)
        batches = split.todo | "Balance" >> beam.Reshuffle() | "ReadBatches" >> ReadBatches(source)
        for kernel in kernels:
            batches = batches | type(kernel).__name__ >> Annotate(kernel)
        written = batches | "WriteUnits" >> WriteUnits(folder, outputs)
        _ = (written, split.done) | "Receipts" >> beam.Flatten() | CollectLines(receipts_folder)

    with reporter.step(stage, step, len(units), sum(unit.size for unit in units)) as display:
        run_job(f"algok-{stage}-{step}", build, options, progress_folder=folder, on_progress=display.update)
    result = _collect(stage, {unit.key for unit in units}, read_lines(receipts_folder), on_tally)
    remove_tree(receipts_folder)
    delete([list_path])
    return result


def _collect(stage: str, absent: set[str], lines: Iterable[str], on_tally: OnTally | None) -> StepResult:
    """Sum the receipts of the units in ``absent``, which is used up."""
    wanted = len(absent)
    files: list[FileReceipt] = []
    counts: list[Count] = []
    read: dict[str, dict[str, list[int]]] = {}
    sums: dict[str, int] = {}
    for line in lines:
        receipt = msgspec.json.decode(line, type=Receipt)
        if receipt.unit not in absent:
            continue  # a runner may run a unit twice; both wrote the same file
        absent.remove(receipt.unit)
        files += receipt.files
        counts = merge_counts([*counts, *receipt.counts])
        if on_tally is not None:
            on_tally(receipt.tally)
        for name, value in receipt.sums.items():
            sums[name] = sums.get(name, 0) + value
        for source, languages in receipt.tally.get("read", {}).items():
            for language, (documents, size) in languages.items():
                entry = read.setdefault(source, {}).setdefault(language, [0, 0])
                entry[0] += documents
                entry[1] += size
    if absent:
        raise StageError(
            f"stage {stage}: {len(absent)} of {wanted} units gave no receipt (first: {min(absent)}); "
            "run the same command again"
        )
    return StepResult(files=sorted(files, key=lambda f: f.path), counts=counts, read=read, sums=sums, units=wanted)
