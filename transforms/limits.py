"""The limits of policies over documents: histograms of a signal, and who breaks a limit and nothing else.

Pure functions over batches; ``transforms.report`` runs them. Bins have fixed borders that depend on the signal and
its limits alone, so that counts of any two batches can be added.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from algok.filters.policy import Policy, Rule
from algok.schema import DOCUMENTS

__all__ = [
    "LimitCounts",
    "PolicyCounts",
    "PolicyLimit",
    "borders",
    "count_limits",
    "limits_of",
    "rule_values",
    "stored",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Shares are binned by half a per cent: finer than anyone sets a limit.
_STEP = 0.005
#: Counts are binned one by one to here, then eight bins to the double.
_EXACT = 64
_PER_DOUBLE = 8
#: The last border: no value is beyond.
_TOP = 2.0**40


class PolicyLimit(NamedTuple):
    """One end of a rule; ``limit`` in the precision in which its signal is stored."""

    rule: Rule
    end: Literal["min", "max"]
    limit: float


class LimitCounts(msgspec.Struct, kw_only=True):
    """Counts of one limit: all documents and those that break no other limit, by bin; the last is for nulls."""

    counts: Ints
    open_counts: Ints
    broken: int = 0
    only: int = 0
    first: int = 0


class PolicyCounts(msgspec.Struct, kw_only=True):
    """The limits of one policy over the documents of one language."""

    documents: int
    kept: int
    limits: list[LimitCounts]


def is_whole(rule: Rule) -> bool:
    """Whether the rule's values are whole numbers."""
    return rule.per is None and not pa.types.is_floating(DOCUMENTS.field(rule.signal).type)


def stored(rule: Rule, limit: float) -> float:
    """A limit in the precision in which ``decide`` compares it.

    >>> stored(Rule(signal="dup_line_share", max=0.374), 0.374) == 0.374
    False
    """
    return limit if is_whole(rule) else float(np.float32(limit))


def limits_of(policy: Policy) -> list[PolicyLimit]:
    """The ends of the policy's rules, in the order in which they are tried."""
    found = []
    for rule in policy.rules:
        if rule.min is not None:
            found.append(PolicyLimit(rule, "min", stored(rule, rule.min)))
        if rule.max is not None:
            found.append(PolicyLimit(rule, "max", stored(rule, rule.max)))
    return found


def _grid(rule: Rule) -> Floats:
    unit = (DOCUMENTS.field(rule.signal).metadata or {}).get(b"unit", b"").decode()
    steps = round(1 / _STEP)
    if is_whole(rule):
        powers = np.arange(_PER_DOUBLE * 6, _PER_DOUBLE * 31 + 1) / _PER_DOUBLE
        return np.unique(np.concatenate([np.arange(_EXACT), np.floor(2.0**powers)]))
    shares = np.arange(steps + 1) / steps
    if unit == "0..1" and rule.per is None:
        return shares
    tens = np.arange(1, 20.01, 0.1)
    powers = np.arange(_PER_DOUBLE * 4.33, _PER_DOUBLE * 31) / _PER_DOUBLE
    return np.unique(np.concatenate([shares, tens, 2.0**powers]))


@lru_cache(maxsize=1_000)
def borders(rule: Rule) -> tuple[float, ...]:
    """Borders of the bins: bin i holds values in [borders[i], borders[i + 1]).

    Every round value and every limit of the rule has a bin of its own (for shares: one float32 wide), so that what a
    limit there keeps is exact, whether it is a min or a max.
    """
    limits = [stored(rule, limit) for limit in (rule.min, rule.max) if limit is not None]
    values = np.concatenate([_grid(rule), limits])
    if is_whole(rule):
        edges = np.concatenate([values, [limit + 1 for limit in limits]])
    else:
        exact = values.astype(np.float32)
        edges = np.concatenate([exact, np.nextafter(exact, np.float32(np.inf))]).astype(np.float64)
    return tuple(np.unique(np.append(edges, _TOP)).tolist())


def rule_values(batch: pa.RecordBatch, rule: Rule) -> Floats:
    """The rule's value for every row as ``decide`` computes it; NaN where the signal is null."""

    def column(name: str) -> Floats:
        array = batch.column(name)
        if pa.types.is_boolean(array.type):
            array = array.cast(pa.int8())
        return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

    value = column(rule.signal)
    if rule.per is None:
        return value
    whole = column(rule.per)
    ratio = np.divide(value, whole, out=np.zeros(len(value)), where=whole != 0)
    ratio[np.isnan(value) | np.isnan(whole)] = np.nan
    return ratio.astype(np.float32).astype(np.float64)


def count_limits(batch: pa.RecordBatch, reasons: NDArray[Any], policy: Policy) -> PolicyCounts:
    """Counts over documents that this policy judged. ``reasons`` are the decisions' (None: kept)."""
    limits = limits_of(policy)
    by_rule = {rule: rule_values(batch, rule) for rule in dict.fromkeys(limit.rule for limit in limits)}
    broken = np.zeros((len(limits), batch.num_rows), dtype=bool)
    for i, (rule, end, limit) in enumerate(limits):
        # Comparisons with NaN are false: what was not measured breaks no limit.
        broken[i] = by_rule[rule] < limit if end == "min" else by_rule[rule] > limit
    times = broken.sum(axis=0)
    counted = []
    for i, (rule, end, _) in enumerate(limits):
        edges = np.array(borders(rule))
        bins = np.clip(np.searchsorted(edges, by_rule[rule], side="right") - 1, 0, len(edges) - 2)
        bins[np.isnan(by_rule[rule])] = len(edges) - 1
        free = times - broken[i] == 0
        counted.append(
            LimitCounts(
                counts=np.bincount(bins, minlength=len(edges)),
                open_counts=np.bincount(bins[free], minlength=len(edges)),
                broken=int(broken[i].sum()),
                only=int((broken[i] & (times == 1)).sum()),
                first=int((reasons == f"{rule.label}:{end}").sum()),
            )
        )
    return PolicyCounts(documents=batch.num_rows, kept=int((times == 0).sum()), limits=counted)


def add_counts(left: PolicyCounts | None, right: PolicyCounts) -> PolicyCounts:
    """Sums of two counts over the same limits."""
    if left is None:
        return right
    return PolicyCounts(
        documents=left.documents + right.documents,
        kept=left.kept + right.kept,
        limits=[
            LimitCounts(
                counts=a.counts + b.counts,
                open_counts=a.open_counts + b.open_counts,
                broken=a.broken + b.broken,
                only=a.only + b.only,
                first=a.first + b.first,
            )
            for a, b in zip(left.limits, right.limits, strict=True)
        ],
    )
