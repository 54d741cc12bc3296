"""Policies: limits on signals, per language, that turn measured documents into decisions.

A policy is data (TOML), so that a changed limit re-runs only this cheap stage. Policies are tried in order; the first
one that names the document's language, and whose ``when`` conditions all hold, decides. Its rules are tried in order
too; the first one that a document breaks is the reason.

The shipped policies, with the source of every value, are the files in ``filters/policies``. ``DEFAULT_POLICIES`` tries
two for kinds of pages first, in any language: a page of at least two ``pre`` elements is a code page, one of at least
five formulas a mathematics page (text sources have no structure and are neither). Then Korean as FineWeb2 does it,
English as FineWeb does, and permissive limits for Japanese and Chinese and for the rest. ``korean`` is an alternative
to ``fineweb2-kor_Hang`` for runs that Korean supply limits.
"""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from algok.errors import RecipeError
from algok.schema import DECISIONS, DOCUMENTS, FAILED, KEPT, REJECTED, SIGNALS

__all__ = [
    "ANY_LANGUAGE",
    "BUILT_IN",
    "DEFAULT_POLICIES",
    "NO_POLICY",
    "NO_TEXT",
    "SIGNAL_NAMES",
    "Policies",
    "Policy",
    "Rule",
    "built_in",
    "columns_read",
    "decide",
    "parse_policy",
    "select",
]

#: Reason of a document whose language no policy names.
NO_POLICY = "language"

#: Reason of a row that extract kept without a text.
NO_TEXT = "no-text"

#: In ``languages``: every language but ``und``.
ANY_LANGUAGE = "*"


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


#: Columns that a rule may limit: the numeric signals (``no_ai`` as 0 or 1) and some numbers of the document.
SIGNAL_NAMES = (
    *(field.name for field in SIGNALS if _is_number(field.type)),
    "language_score",
    "replaced",
    "http_status",
)

_Floats = NDArray[np.float64]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits on one signal: kept if ``min <= value <= max``; both ends inclusive, one may be absent.

    ``per``: divide the signal by this one first (``spam_terms`` per ``words``); 0 / 0 is 0. ``name``: how the rule is
    called in reasons instead of the signal. A null value breaks no limit. Shares are compared as float32, the type
    they are stored in, so that a limit of .374 keeps a stored .374. Raises ``RecipeError``.
    """

    signal: str
    min: float | None = None
    max: float | None = None
    per: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        _check_signal("signal", self.signal)
        if self.per is not None:
            _check_signal("per", self.per)
        if self.min is None and self.max is None:
            raise RecipeError(f"rule on {self.signal}: give min, max or both")
        for key, limit in (("min", self.min), ("max", self.max)):
            if limit is not None and not math.isfinite(limit):
                raise RecipeError(f"rule on {self.signal}: {key} is {limit}; leave it out for no limit")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise RecipeError(f"rule on {self.signal}: min {self.min} is above max {self.max}")

    @property
    def label(self) -> str:
        """``name``, or the signal (``spam_terms/words`` with ``per``)."""
        return self.name or (self.signal if self.per is None else f"{self.signal}/{self.per}")

    @property
    def signals(self) -> tuple[str, ...]:
        """Columns that the rule reads."""
        return (self.signal,) if self.per is None else (self.signal, self.per)


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rules for documents of some languages.

    ``languages``: ISO 639 codes of fastText lid.176, or ``*`` for all but ``und``. ``when``: conditions in the form of
    rules that a document must meet for this policy to be its own; a null signal does not meet one. ``extends``: name of
    a built-in policy whose rules come first; a rule here with the same label replaces that rule in place, and
    ``languages`` and ``when`` are inherited if empty. Raises ``RecipeError`` for duplicate labels or missing languages.
    """

    name: str
    languages: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    when: tuple[Rule, ...] = ()
    extends: str | None = None
    description: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise RecipeError("policy without a name: give name")
        if not self.languages and self.extends is None:
            raise RecipeError(f"policy {self.name}: languages is empty; name at least one, or '*' for all")
        labels = [rule.label for rule in self.rules]
        for label in labels:
            if labels.count(label) > 1:
                raise RecipeError(f"policy {self.name}: two rules are called {label!r}; give one of them a name")

    def resolved(self) -> "Policy":
        """This policy with the rules of the one it extends merged in; itself if it extends none."""
        if self.extends is None:
            return self
        base = built_in(self.extends).resolved()
        own = {rule.label: rule for rule in self.rules}
        known = {rule.label for rule in base.rules}
        merged = [own.get(rule.label, rule) for rule in base.rules]
        merged += [rule for rule in self.rules if rule.label not in known]
        return Policy(
            name=self.name,
            languages=self.languages or base.languages,
            rules=tuple(merged),
            when=self.when or base.when,
            description=self.description or base.description,
        )


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """Policies in the order in which they are tried; names are unique (``RecipeError``)."""

    policies: tuple[Policy, ...]

    def __post_init__(self) -> None:
        if not self.policies:
            raise RecipeError("no policy is given; every document would be rejected")
        names = [policy.name for policy in self.policies]
        for name in names:
            if names.count(name) > 1:
                raise RecipeError(f"two policies are called {name!r}; rename one")


def _check_signal(key: str, name: str) -> None:
    if name in SIGNAL_NAMES:
        return
    near = get_close_matches(name, SIGNAL_NAMES, n=3)
    hint = f"did you mean {', '.join(near)}?" if near else f"the signals are {', '.join(SIGNAL_NAMES)}"
    raise RecipeError(f"rule: {key} = {name!r} is no signal; {hint}")


def parse_policy(text: str, origin: str) -> Policy:
    """Decode a policy from TOML; ``RecipeError`` names ``origin`` and the key."""
    try:
        return msgspec.toml.decode(text, type=Policy)
    except (msgspec.DecodeError, RecipeError) as error:
        raise RecipeError(f"policy {origin}: {error}") from error


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Policy]:
    folder = files("algok.filters") / "policies"
    paths = sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name)
    policies = [parse_policy(path.read_text(encoding="utf-8"), path.name) for path in paths]
    return {policy.name: policy for policy in policies}


def built_in(name: str) -> Policy:
    """A shipped policy by name; ``RecipeError`` with the near matches for another."""
    shipped = _shipped()
    if name not in shipped:
        near = get_close_matches(name, shipped, n=3) or sorted(shipped)
        raise RecipeError(f"no built-in policy is called {name!r}; there are {', '.join(near)}")
    return shipped[name]


#: Names of the shipped policies.
BUILT_IN = tuple(_shipped())

#: The order in which the shipped policies are tried where a recipe names none: pages of code and formulas first.
DEFAULT_POLICIES = ("code-pages", "math-pages", "fineweb2-kor_Hang", "fineweb-eng_Latn", "permissive-cjk", "permissive")


def select(chosen: Iterable[str | Policy]) -> Policies:
    """Policies from built-in names and the recipe's own, in the given order, ``extends`` resolved."""
    return Policies(
        policies=tuple(built_in(item).resolved() if isinstance(item, str) else item.resolved() for item in chosen)
    )


def columns_read(policies: Policies) -> list[str]:
    """Columns of ``documents`` that ``decide`` reads under these policies, in the order of the schema."""
    read = {"doc_id", "source", "language", "outcome", "reason", "chars", "bytes"}
    for policy in policies.policies:
        for rule in (*policy.when, *policy.rules):
            read.update(rule.signals)
    return [name for name in DOCUMENTS.names if name in read]


def _column(documents: pa.RecordBatch, name: str) -> _Floats:
    """A signal as float64, NaN where null."""
    array = documents.column(name)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


class _Signals:
    """The signals of one batch, converted once each."""

    def __init__(self, documents: pa.RecordBatch) -> None:
        self.documents = documents
        self._cache: dict[str, _Floats] = {}

    def column(self, name: str) -> _Floats:
        if name not in self._cache:
            self._cache[name] = _column(self.documents, name)
        return self._cache[name]

    def of(self, rule: Rule) -> _Floats:
        """Value of a rule's signal for every row, at the precision at which it is compared."""
        value = self.column(rule.signal)
        if rule.per is None:
            return value
        whole = self.column(rule.per)
        ratio = np.divide(value, whole, out=np.zeros(len(value)), where=whole != 0)
        ratio[np.isnan(value) | np.isnan(whole)] = np.nan
        return ratio.astype(np.float32).astype(np.float64)


def _limit(rule: Rule, limit: float) -> float:
    """A limit at the precision at which its signal is stored."""
    stored_as_float = rule.per is not None or pa.types.is_float32(DOCUMENTS.field(rule.signal).type)
    return float(np.float32(limit)) if stored_as_float else limit


def _meets(rule: Rule, values: _Floats) -> NDArray[np.bool_]:
    meets = ~np.isnan(values)
    if rule.min is not None:
        meets &= values >= _limit(rule, rule.min)
    if rule.max is not None:
        meets &= values <= _limit(rule, rule.max)
    return meets


def decide(documents: pa.RecordBatch, policies: Policies, unit: str, first_row: int) -> pa.RecordBatch:
    """Decisions (``schema.DECISIONS``) on documents (``schema.DOCUMENTS``), row by row in the same order.

    Only the columns of ``columns_read`` are looked at; the text is none of them. ``unit``: key of the documents file;
    ``first_row``: position of the batch's first row in it. Rows that extract
    rejected or failed keep that outcome and reason, without policy, value or threshold. A language without a policy is
    rejected with reason ``language``, a kept row without text with ``no-text``. Otherwise the reason is the label of
    the broken rule and the end that broke it: ``words:min``, ``dup_line_share:max``.
    """
    rows = len(documents)
    signals = _Signals(documents)
    before = np.array(documents.column("outcome").to_pylist(), dtype=object)
    outcome = np.full(rows, KEPT, dtype=object)
    reason = np.full(rows, None, dtype=object)
    policy_name = np.full(rows, None, dtype=object)
    value = np.full(rows, np.nan)
    threshold = np.full(rows, np.nan)

    settled = np.isin(before, (REJECTED, FAILED)) if rows else np.zeros(0, dtype=np.bool_)
    outcome[settled] = before[settled]
    reason[settled] = np.array(documents.column("reason").to_pylist(), dtype=object)[settled]

    # `chars` is null exactly where there is no text; the text itself need not be read to decide.
    silent = ~settled & pc.is_null(documents.column("chars")).to_numpy(zero_copy_only=False)
    outcome[silent] = REJECTED
    reason[silent] = NO_TEXT

    languages = np.array(documents.column("language").fill_null("und").to_pylist(), dtype=object)
    open_rows = ~settled & ~silent
    for policy in policies.policies:
        mine = open_rows & _speaks(languages, policy)
        for condition in policy.when:
            if mine.any():
                mine &= _meets(condition, signals.of(condition))
        if not mine.any():
            continue
        open_rows &= ~mine
        policy_name[mine] = policy.name
        for rule in policy.rules:
            values = signals.of(rule)
            for end, limit in (("min", rule.min), ("max", rule.max)):
                if limit is None:
                    continue
                exact = _limit(rule, limit)
                # Comparisons with NaN (null) are false: a signal that was not measured breaks no limit.
                broken = mine & ((values < exact) if end == "min" else (values > exact))
                outcome[broken] = REJECTED
                reason[broken] = f"{rule.label}:{end}"
                value[broken] = values[broken]
                threshold[broken] = limit
                mine &= ~broken
    outcome[open_rows] = REJECTED
    reason[open_rows] = NO_POLICY

    columns: dict[str, Any] = {
        "unit": pa.array([unit] * rows, pa.string()),
        "row": pa.array(np.arange(first_row, first_row + rows, dtype=np.int32)),
        "doc_id": documents.column("doc_id"),
        "source": documents.column("source"),
        "language": documents.column("language"),
        "policy": pa.array(policy_name.tolist(), pa.string()),
        "outcome": pa.array(outcome.tolist(), pa.string()),
        "reason": pa.array(reason.tolist(), pa.string()),
        "value": pa.array(value.astype(np.float32), mask=np.isnan(value)),
        "threshold": pa.array(threshold.astype(np.float32), mask=np.isnan(threshold)),
        "bytes": documents.column("bytes"),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in DECISIONS.names], schema=DECISIONS)


def _speaks(languages: NDArray[Any], policy: Policy) -> NDArray[np.bool_]:
    """Rows whose language the policy names."""
    named = np.isin(languages, policy.languages) if len(languages) else np.zeros(0, dtype=np.bool_)
    if ANY_LANGUAGE in policy.languages:
        named |= languages != "und"
    return named
