"""The budget step of pack: sums over the counted tokens, the choice of copies, and what is said about it."""

from typing import Any

import apache_beam as beam
import msgspec
import numpy as np

from algok.pipeline.exact_budget import FEW, compare, languages_of, meet, targets
from algok.pipeline.jobs import run_job
from algok.pipeline.manifest import require_manifest
from algok.pipeline.stages.base import Context, digest
from algok.pipeline.steps import StepResult
from algok.transforms.annotate import ReadBatches
from algok.transforms.pack_budget import (
    Bucket,
    Copy,
    CopyOrder,
    FirstCopies,
    ReadLengths,
    SumDigits,
    TakeWithinBudget,
    packed_outputs,
)
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.storage import join, remove_tree
from algok.transforms.units import ReadUnits, Unit, unit_of, write_units

__all__ = ["Taken", "take_budget"]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """``taken``: the step that wrote the table ``packed``; ``packed``: tokens by bucket as ``language/source``;
    ``details`` for the manifest."""

    taken: StepResult
    packed: dict[str, int]
    details: dict[str, Any]


def take_budget(context: Context, stage: str, encoded: StepResult, sequence_length: int) -> Taken:
    """Choose the copies of the mixture that meet the budget in counted tokens; ``encoded`` wrote the ``lengths``."""
    recipe = context.recipe.mix
    order = CopyOrder(seed=context.recipe.seed, rehydrate=recipe.rehydrate, max_copies=recipe.max_copies)
    files = [f for f in encoded.files if f.table == "lengths"]
    units = [
        Unit(key=unit_of(f.path), size=f.bytes, body={"lengths": f.path, "rows": f.rows}, inputs=[f.checksum])
        for f in files
    ]
    passes = _Passes(context, stage, units, order)
    first = passes.sums(None)
    available = {bucket: int(histogram[0].sum()) for bucket, histogram in first.items()}
    details = require_manifest(context.work, "mix", stage).details
    due = targets(recipe, details["plan"], available)
    rules = meet(first, due, sequence_length, passes.sums, passes.first)
    choose = TakeWithinBudget(order=order, rules=rules)
    encodable = [[*bucket, msgspec.to_builtins(rule)] for bucket, rule in sorted(rules.items())]
    step = digest([stage, "budget", msgspec.to_builtins(order), encodable])
    taken = context.units(stage, "budget", step, units, ReadLengths(), [choose], packed_outputs())
    packed = {bucket: taken.sums.get(f"tokens {bucket[0]}/{bucket[1]}", 0) for bucket in available}
    buckets = compare(details["plan"], due, available, packed, sequence_length)
    languages = languages_of(recipe, details["reserve"], buckets, sequence_length)
    for row in languages:
        if row.short_by:
            context.reporter.remark(f"{stage}: {_shortage(row.language, row.short_tokens, row.short_by)}")
    return Taken(
        taken=taken,
        packed={f"{bucket[0]}/{bucket[1]}": tokens for bucket, tokens in packed.items()},
        details={
            "budget": {
                "tokens": recipe.tokens,
                "languages": msgspec.to_builtins(languages),
                "buckets": msgspec.to_builtins(buckets),
                # What mix.tokens_per_byte should have been.
                "tokens_per_byte": {
                    language: round(encoded.sums[f"tokens {language}"] / max(1, encoded.sums[f"bytes {language}"]), 4)
                    for language in sorted({bucket[0] for bucket in available})
                },
            }
        },
    )


def _shortage(language: str, tokens: int, why: str) -> str:
    if why == "supply":
        return f"{language} is {tokens:,} tokens short of its budget: all there is, at max_copies, is packed"
    return (
        f"{language} is {tokens:,} tokens short of its budget because mix left documents out: raise mix.reserve, or "
        f"set mix.tokens_per_byte.{language} to the value in the report"
    )


class _Passes:
    """Beam jobs that combine over the lengths."""

    def __init__(self, context: Context, stage: str, units: list[Unit], order: CopyOrder) -> None:
        self._context = context
        self._stage = stage
        self._units = units
        self._order = order
        self._size = sum(unit.size for unit in units)
        self._list = join(context.folder(stage), ".plan", "budget-sums.jsonl")
        write_units(self._list, units, "budget-sums")

    def sums(self, heads: dict[Bucket, tuple[int, int]] | None) -> dict[Bucket, Any]:
        lines = self._run(SumDigits(self._order, heads), _encode_sums)
        return {(a, b): np.array(sums, dtype=np.int64) for a, b, sums in lines}

    def first(self, begins: dict[Bucket, int]) -> dict[Bucket, list[Copy]]:
        lines = self._run(FirstCopies(self._order, begins, FEW), _encode_copies)
        return {(a, b): [(p, d, c, t) for p, d, c, t in copies] for a, b, copies in lines}

    def _run(self, combine: beam.CombineFn, encode: Any) -> list[Any]:
        folder = join(self._context.folder(self._stage), ".receipts", "budget-sums")
        remove_tree(folder)

        def build(pipeline: beam.Pipeline) -> None:
            batches = pipeline | "ReadUnits" >> ReadUnits(self._list) | "ReadBatches" >> ReadBatches(ReadLengths())
            sums = batches | "Combine" >> beam.CombineGlobally(combine)
            _ = sums | "Encode" >> beam.FlatMap(encode).with_output_types(str) | CollectLines(folder)

        with self._context.reporter.step(self._stage, "budget", len(self._units), self._size):
            run_job("algok-pack-budget", build, self._context.light(self._size))
        return [msgspec.json.decode(line) for line in read_lines(folder)]


def _encode_sums(sums: dict[Bucket, Any]) -> list[str]:
    return [msgspec.json.encode([*bucket, value.tolist()]).decode() for bucket, value in sorted(sums.items())]


def _encode_copies(found: dict[Bucket, list[Copy]]) -> list[str]:
    return [msgspec.json.encode([*bucket, copies]).decode() for bucket, copies in sorted(found.items())]
