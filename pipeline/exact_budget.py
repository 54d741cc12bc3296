"""The budget in counted tokens: what each bucket is due, and where in its order of copies that is met.

``mix`` plans in estimated tokens and takes a reserve; when the tokens are counted, ``targets`` divides the recipe's
budget among the buckets by the plan's proportions and by what is really there, and ``meet`` finds the copies that
give each bucket its target to within one sequence. See ADR 12.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from algok.pipeline.budget import language_budgets, spread
from algok.pipeline.recipe import MixRecipe
from algok.transforms.pack_budget import DIGIT_BITS, DIGITS, Bucket, BucketRule, Copy

__all__ = ["FEW", "BucketBudget", "LanguageBudget", "compare", "languages_of", "meet", "targets"]

#: Copies at a boundary that are looked at one by one.
FEW = 4_096
#: Part of a sequence that a bucket may miss without a look for shorter documents.
SLACK = 1 / 64
_EVERYTHING = 2**63

#: {bucket: int64[2, bins]} for the digit after ``heads``; see ``transforms.pack_budget.SumDigits``.
Sum = Callable[[dict[Bucket, tuple[int, int]] | None], dict[Bucket, Any]]
#: The first copies at or after a place; see ``transforms.pack_budget.FirstCopies``.
First = Callable[[dict[Bucket, int]], dict[Bucket, list[Copy]]]


class BucketBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket's tokens: ``planned`` by mix from bytes, ``budget`` due in counted tokens, ``available`` in the mixture,
    ``packed``. ``met``: packed equals budget to within one sequence."""

    language: str
    source: str
    planned_tokens: int
    budget_tokens: int
    available_tokens: int
    packed_tokens: int
    met: bool


class LanguageBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A language's share of the recipe's budget in counted tokens. ``short_by``: empty, ``supply`` (the crawl has no
    more at ``max_copies``) or ``reserve`` (mix left documents out because its estimate was too high)."""

    language: str
    share: float
    budget_tokens: int
    available_tokens: int
    packed_tokens: int
    short_tokens: int
    short_by: str


def targets(recipe: MixRecipe, plan: dict[str, Any], available: dict[Bucket, int]) -> dict[Bucket, int]:
    """Tokens due to each bucket that the mixture has.

    A language is due its share of ``recipe.tokens`` as far as its tokens go (``shortage`` says what becomes of the
    rest); within a language buckets are due what ``plan`` (that of the manifest of mix) planned, or the same proportion
    of it, and what one cannot give comes from the others.
    """
    by_language: dict[str, float] = dict.fromkeys(recipe.shares, 0.0)
    for (language, _), count in available.items():
        by_language[language] += count
    planned = {(row["language"], row["source"]): float(row["planned_tokens"]) for row in plan["buckets"]}
    due: dict[Bucket, int] = {}
    for language, budget in language_budgets(recipe, by_language).items():
        mine = {bucket: float(tokens) for bucket, tokens in sorted(available.items()) if bucket[0] == language}
        shares = {bucket: planned.get(bucket, 0.0) for bucket in mine}
        for bucket, tokens in spread(budget, shares if sum(shares.values()) > 0 else mine, mine).items():
            due[bucket] = min(round(tokens), available[bucket])
    return due


def meet(
    first_digits: dict[Bucket, Any], due: dict[Bucket, int], sequence_length: int, sum_digits: Sum, first_copies: First
) -> dict[Bucket, BucketRule]:
    """The copies that give each bucket what it is due, in the order of copies.

    ``first_digits`` is ``sum_digits(None)``. A copy that would overshoot is passed over for later, shorter ones until
    less than ``SLACK`` of a sequence is missing, so that many buckets add up to the whole budget too.
    """
    rules: dict[Bucket, BucketRule] = {}
    #: bucket -> known digits, their value, tokens still due from there on.
    open_: dict[Bucket, tuple[int, int, int]] = {}
    for bucket, histogram in first_digits.items():
        if due.get(bucket, 0) >= int(histogram[0].sum()):
            rules[bucket] = BucketRule(below=_EVERYTHING)
        else:
            open_[bucket] = (0, 0, due.get(bucket, 0))
    found, begins, left = {b: first_digits[b] for b in open_}, {}, {}
    while open_:
        deeper: dict[Bucket, tuple[int, int, int]] = {}
        for bucket, (known, head, missing) in open_.items():
            tokens, copies = found[bucket]
            digit = int(np.searchsorted(np.cumsum(tokens), missing, side="right"))
            missing -= int(tokens[:digit].sum())
            known, head = known + 1, head << DIGIT_BITS | digit
            if int(copies[digit]) * 2 <= FEW or known == DIGITS:
                begins[bucket], left[bucket] = head << DIGIT_BITS * (DIGITS - known), missing
            else:
                deeper[bucket] = (known, head, missing)
        open_ = deeper
        found = sum_digits({bucket: (known, head) for bucket, (known, head, _) in open_.items()}) if open_ else {}
    near = first_copies(begins) if begins else {}
    for bucket, begin in begins.items():
        rules[bucket] = _boundary(begin, near.get(bucket, []), left[bucket], sequence_length)
    return rules


def _boundary(begin: int, copies: list[Copy], missing: int, sequence_length: int) -> BucketRule:
    taken: list[Copy] = []
    left_out = None
    for one in copies:
        place, _, _, tokens = one
        if tokens <= missing:
            missing -= tokens
            taken.append(one)
            continue
        left_out = place if left_out is None else left_out
        if missing < max(1, sequence_length * SLACK):
            break
    below = left_out if left_out is not None else copies[-1][0] if copies else begin
    # What is taken before ``below`` need not be named; everything there is.
    return BucketRule(below=below, extra=[(doc_id, copy) for place, doc_id, copy, _ in taken if place >= below])


def compare(
    plan: dict[str, Any], due: dict[Bucket, int], available: dict[Bucket, int], packed: dict[Bucket, int], length: int
) -> list[BucketBudget]:
    """Planned, due and packed tokens of every bucket; ``length`` is that of a sequence."""
    planned = {(row["language"], row["source"]): int(row["planned_tokens"]) for row in plan["buckets"]}
    return [
        BucketBudget(
            language=bucket[0],
            source=bucket[1],
            planned_tokens=planned.get(bucket, 0),
            budget_tokens=due.get(bucket, 0),
            available_tokens=available.get(bucket, 0),
            packed_tokens=packed.get(bucket, 0),
            met=abs(due.get(bucket, 0) - packed.get(bucket, 0)) < length,
        )
        for bucket in sorted(planned.keys() | available.keys())
    ]


def languages_of(
    recipe: MixRecipe, reserve: dict[str, Any], buckets: list[BucketBudget], length: int
) -> list[LanguageBudget]:
    """The same by language. ``reserve`` is the plan with the reserve, in the manifest of mix."""
    limited = {row["language"] for row in reserve["languages"] if row["short_tokens"] > 0}
    found = []
    for language, share in sorted(recipe.shares.items()):
        mine = [row for row in buckets if row.language == language]
        budget, packed = round(recipe.tokens * share), sum(row.packed_tokens for row in mine)
        short = max(0, budget - packed)
        enough = short < length * max(1, len(mine))
        why = "" if enough else "supply" if language in limited else "reserve"
        found.append(
            LanguageBudget(
                language=language,
                share=share,
                budget_tokens=budget,
                available_tokens=sum(row.available_tokens for row in mine),
                packed_tokens=packed,
                short_tokens=short,
                short_by=why,
            )
        )
    return found
