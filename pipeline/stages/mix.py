"""Stage 4, mix: survivors to a mixture that meets the token budget of each language as far as the supply goes."""

from typing import Any, Literal

import apache_beam as beam
import msgspec
import numpy as np

from algok.pipeline.budget import BINS, Supply, solve
from algok.pipeline.jobs import run_job
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.schema import CLUSTERS
from algok.transforms.annotate import ReadBatches
from algok.transforms.mix import ChooseCopies, CopyRule, SumSupply, mix_outputs
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.sources import DocumentRows
from algok.transforms.storage import join, remove_tree
from algok.transforms.units import ReadUnits, Unit, write_units

__all__ = ["Mix"]


def _encode(sums: dict[tuple[str, str, int], Any]) -> list[str]:
    return [msgspec.json.encode([key, value.tolist()]).decode() for key, value in sorted(sums.items())]


class Mix:
    """Two passes over addresses and sizes: sum the supply, then choose copies by the solved plan. No text is read."""

    name = "mix"
    after: tuple[str, ...] = ("dedup",)
    format = 2
    packages: tuple[str, ...] = ()
    reads = "dedup"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def parts(self, context: Context) -> dict[str, Any]:
        return {"mix": msgspec.to_builtins(context.recipe.mix), "seed": context.recipe.seed}

    def run(self, context: Context, key: str) -> Result:
        recipe = context.recipe.mix
        units = document_units(context, decisions=False, selection=("dedup", "clusters"))
        starts = tuple(size for size, _ in recipe.rehydrate)
        languages = frozenset(recipe.shares)
        source = DocumentRows(
            columns=("source", "language", "bytes"),
            selected=("cluster_size",),
            selection_schema=CLUSTERS,
            chosen="survivor",
        )
        supply = self._supply(context, units, source, starts, languages)
        plan = solve(recipe, supply)
        # More than the budget is taken, by estimate, for pack to meet it by count.
        wide = solve(msgspec.structs.replace(recipe, tokens=round(recipe.tokens * (1 + recipe.reserve))), supply)
        rules = {
            (c.language, c.source, c.weight_class): CopyRule(whole=c.whole, threshold=c.threshold) for c in wide.choices
        }
        choose = ChooseCopies(rules=rules, starts=starts, languages=languages, seed=context.recipe.seed)
        step = digest(["mix", self.format, context.recipe.seed, starts, msgspec.to_builtins(wide)])
        result = context.units(self.name, "mixture", step, units, source, [choose], mix_outputs())
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        details = {"plan": msgspec.to_builtins(plan), "reserve": msgspec.to_builtins(wide)}
        for solved in details.values():
            del solved["choices"]
        return Result(files=result.files, ledger=ledger, details=details)

    def _supply(
        self,
        context: Context,
        units: list[Unit],
        source: DocumentRows,
        starts: tuple[int, ...],
        languages: frozenset[str],
    ) -> Supply:
        folder = context.folder(self.name)
        list_path, sums_folder = join(folder, ".plan", "supply.jsonl"), join(folder, ".receipts", "supply")
        write_units(list_path, units, "supply")
        remove_tree(sums_folder)
        combine = SumSupply(seed=context.recipe.seed, bins=BINS, starts=starts, languages=languages)

        def build(pipeline: beam.Pipeline) -> None:
            batches = pipeline | "ReadUnits" >> ReadUnits(list_path) | "ReadBatches" >> ReadBatches(source)
            sums = batches | "SumSupply" >> beam.CombineGlobally(combine)
            _ = sums | "Encode" >> beam.FlatMap(_encode).with_output_types(str) | CollectLines(sums_folder)

        with context.reporter.step(self.name, "supply", len(units), sum(u.size for u in units)):
            run_job("algok-mix-supply", build, context.light(sum(u.size for u in units)))
        supply: Supply = {}
        for line in read_lines(sums_folder):
            (language, name, weight_class), sums = msgspec.json.decode(line)
            size, documents = np.array(sums, dtype=np.int64)
            supply[language, name, weight_class] = (size, documents)
        return supply
