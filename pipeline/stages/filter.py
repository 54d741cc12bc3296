"""Stage 2, filter: signals to decisions by the policy of each language."""

from typing import Any, Literal

import msgspec

from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.recipe import policies_of
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.transforms.filter import DecisionSource, filter_outputs

__all__ = ["Filter"]


class Filter:
    """Cheap: reads the signal columns only, so that a changed threshold takes seconds, not an extraction."""

    name = "filter"
    after: tuple[str, ...] = ("extract",)
    format = 1
    packages: tuple[str, ...] = ()
    reads = "extract"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def parts(self, context: Context) -> dict[str, Any]:
        return {"filter": msgspec.to_builtins(policies_of(context.recipe))}

    def run(self, context: Context, key: str) -> Result:
        policies = policies_of(context.recipe)
        step = digest(["filter", self.format, msgspec.to_builtins(policies)])
        units = document_units(context, decisions=False)
        result = context.units(
            self.name, "decisions", step, units, DecisionSource(policies=policies), [], filter_outputs()
        )
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        return Result(files=result.files, ledger=ledger)
