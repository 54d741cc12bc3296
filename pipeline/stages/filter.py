"""Stage 2, filter: signals to decisions by the policy of each language."""

from typing import Any, Literal

import msgspec

from algok.filters.policy import Policies, load_policies
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.transforms.filter import DecisionSource, filter_outputs

__all__ = ["Filter"]


class Filter:
    """Cheap: reads the signal columns only, so that a changed threshold takes seconds, not an extraction."""

    name = "filter"
    after = ("extract",)
    format = 1
    reads = "extract"
    balance: Literal["language"] = "language"

    def _policies(self, context: Context) -> Policies:
        section = context.recipe.filter
        return load_policies(section.policies, section.policy)

    def parts(self, context: Context) -> dict[str, Any]:
        return {"filter": msgspec.to_builtins(self._policies(context))}

    def run(self, context: Context, key: str) -> Result:
        policies = self._policies(context)
        step = digest(["filter", self.format, msgspec.to_builtins(policies)])
        units = document_units(context, decisions=False)
        result = context.units(
            self.name, "decisions", step, units, DecisionSource(policies=policies), [], filter_outputs()
        )
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        return Result(files=result.files, ledger=ledger)
