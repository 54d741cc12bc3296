"""The mixture's budget: how many copies of which documents give each language its share of the tokens.

A *bucket* is (language, source); a *class* of a bucket holds its documents of one weight (from the cluster size, see
``MixRecipe.rehydrate``). Every document of a class is taken ``copies`` times on average: ``floor(copies)`` times for
sure and once more for those whose sampling hash lies under a threshold. The thresholds come from histograms of bytes
over the hash, so that the tokens planned, not just the expected ones, meet the budget to within one histogram bin.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
import numpy as np

from algok.pipeline.recipe import MixRecipe

__all__ = [
    "BINS",
    "BucketPlan",
    "Choice",
    "LanguagePlan",
    "Plan",
    "Supply",
    "language_budgets",
    "solve",
    "spread",
    "weight_class",
]

K = TypeVar("K")

#: Histogram bins over the sampling hash: thresholds are exact to 1/4096 of a class before interpolation.
BINS = 4_096

Histogram = np.ndarray[Any, np.dtype[np.int64]]
#: (language, source, weight class) -> [bytes by bin (BINS,), documents by bin (BINS,)].
Supply = dict[tuple[str, str, int], tuple[Histogram, Histogram]]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with the documents of a class: ``whole`` copies, and one more when the hash is under ``threshold``."""

    language: str
    source: str
    weight_class: int
    whole: int
    threshold: float


class BucketPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket's supply and what is taken of it; tokens are estimates by ``tokens_per_byte``."""

    language: str
    source: str
    documents: int
    supply_tokens: int
    planned_tokens: int


class LanguagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A language's budget against what the crawl can give. ``copies`` is the mean number of copies."""

    language: str
    share: float
    budget_tokens: int
    supply_tokens: int
    planned_tokens: int
    copies: float
    short_tokens: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole mixture; ``tokens`` is the recipe's budget."""

    tokens: int
    planned_tokens: int
    languages: list[LanguagePlan]
    buckets: list[BucketPlan]
    choices: list[Choice]


def weight_class(cluster_sizes: Histogram, rehydrate: tuple[tuple[int, float], ...]) -> Histogram:
    """Index into ``rehydrate`` for each cluster size.

    >>> weight_class(np.array([1, 2, 7]), [(1, 1.0), (2, 2.0), (5, 3.0)]).tolist()
    [0, 1, 2]
    """
    starts = np.array([size for size, _ in rehydrate])
    return (np.searchsorted(starts, cluster_sizes, side="right") - 1).astype(np.int64)


def _scale(tokens: list[float], weights: list[float], budget: float, limit: float) -> float:
    """The factor f for which sum(tokens_i * min(weights_i * f, limit)) = budget, or infinity when even ``limit`` copies
    of all are less."""
    if sum(tokens) * limit <= budget:
        return float("inf")
    order = sorted(range(len(tokens)), key=lambda i: -weights[i])
    capped = 0.0
    free = sum(t * w for t, w in zip(tokens, weights, strict=True))
    for i in order:
        factor = (budget - capped) / free
        if factor * weights[i] <= limit:
            return factor
        capped += tokens[i] * limit
        free -= tokens[i] * weights[i]
    return (budget - capped) / free if free > 0 else float("inf")


def _threshold(histogram: Histogram, fraction: float) -> float:
    """The hash below which ``fraction`` of the bytes lie; linear within a bin."""
    if fraction <= 0.0:
        return 0.0
    if fraction >= 1.0:
        return 1.0
    sums = np.cumsum(histogram)
    target = fraction * float(sums[-1])
    index = int(np.searchsorted(sums, target))
    before = float(sums[index - 1]) if index else 0.0
    inside = (target - before) / float(histogram[index]) if histogram[index] else 0.0
    return (index + inside) / BINS


def solve(recipe: MixRecipe, supply: Supply) -> Plan:
    """The plan that meets the shares as far as the supply goes.

    With ``shortage = "fill"`` what a language cannot give is spread over the others in proportion to their shares,
    until all is placed or all are short.
    """
    rates = recipe.tokens_per_byte
    rate = {language: rates.get(language, rates["default"]) for language in recipe.shares}
    classes = sorted(key for key in supply if key[0] in recipe.shares)
    tokens = {key: float(supply[key][0].sum()) * rate[key[0]] for key in classes}
    weight = {key: recipe.rehydrate[key[2]][1] for key in classes}
    available = {
        language: sum(tokens[key] for key in classes if key[0] == language) * recipe.max_copies
        for language in recipe.shares
    }
    budgets = language_budgets(recipe, available)
    choices, planned = [], {}
    for language in sorted(recipe.shares):
        keys = [key for key in classes if key[0] == language]
        factor = _scale([tokens[k] for k in keys], [weight[k] for k in keys], budgets[language], recipe.max_copies)
        for key in keys:
            copies = min(weight[key] * factor, recipe.max_copies)
            whole = int(copies)
            choices.append(
                Choice(
                    language=key[0],
                    source=key[1],
                    weight_class=key[2],
                    whole=whole,
                    threshold=_threshold(supply[key][0], copies - whole),
                )
            )
            planned[key] = tokens[key] * copies
    languages = []
    for language, share in sorted(recipe.shares.items()):
        got = sum(planned.get(key, 0.0) for key in classes if key[0] == language)
        have = sum(tokens[key] for key in classes if key[0] == language)
        budget = recipe.tokens * share
        languages.append(
            LanguagePlan(
                language=language,
                share=share,
                budget_tokens=round(budget),
                supply_tokens=round(have),
                planned_tokens=round(got),
                copies=round(got / have, 4) if have else 0.0,
                short_tokens=max(0, round(budget - got)),
            )
        )
    buckets = []
    for language, source in sorted({(key[0], key[1]) for key in classes}):
        keys = [key for key in classes if key[:2] == (language, source)]
        buckets.append(
            BucketPlan(
                language=language,
                source=source,
                documents=int(sum(supply[key][1].sum() for key in keys)),
                supply_tokens=round(sum(tokens[key] for key in keys)),
                planned_tokens=round(sum(planned[key] for key in keys)),
            )
        )
    return Plan(
        tokens=recipe.tokens,
        planned_tokens=sum(plan.planned_tokens for plan in languages),
        languages=languages,
        buckets=buckets,
        choices=choices,
    )


def language_budgets(recipe: MixRecipe, available: dict[str, float]) -> dict[str, float]:
    """Tokens due to each language: its share as far as what is ``available`` goes; ``shortage`` says whether the others
    are given the rest."""
    wanted = {language: recipe.tokens * share for language, share in recipe.shares.items()}
    if recipe.shortage == "keep":
        return {language: min(wanted[language], available[language]) for language in wanted}
    return spread(recipe.tokens, recipe.shares, available)


def spread(budget: float, shares: Mapping[K, float], available: Mapping[K, float]) -> dict[K, float]:
    """A budget divided in proportion to ``shares``; what is more than ``available`` goes to the others, in proportion,
    until all is placed or all are short.

    >>> spread(10.0, {"a": 0.5, "b": 0.5}, {"a": 2.0, "b": 20.0})
    {'a': 2.0, 'b': 8.0}
    """
    whole = sum(shares.values())
    given = {key: min(budget * share / whole, available[key]) for key, share in shares.items()} if whole else {}
    while True:
        left = budget - sum(given.values())
        open_ = {k: s for k, s in shares.items() if s > 0 and given[k] < available[k] * (1 - 1e-12)}
        if left < 1.0 or not open_:
            return given
        for key, share in open_.items():
            given[key] = min(given[key] + left * share / sum(open_.values()), available[key])
