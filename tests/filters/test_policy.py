"""Policies: which document is kept, why not, and that a recipe's mistakes are named."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.errors import RecipeError
from algok.filters.policy import (
    BUILT_IN,
    DEFAULT_POLICIES,
    SIGNAL_NAMES,
    Policies,
    Policy,
    Rule,
    built_in,
    columns_read,
    decide,
    parse_policy,
    select,
)
from algok.schema import DECISIONS
from tests.filters.batches import documents

KOREAN = Policy(
    name="k",
    languages=("ko",),
    rules=(
        Rule(signal="words", min=50, max=1000),
        Rule(signal="dup_line_share", max=0.374),
        Rule(signal="spam_terms", per="words", max=0.02),
        Rule(signal="no_ai", max=0, name="opt-out"),
    ),
)


def single(value: float) -> float:
    """A number as a float32 column holds it."""
    return float(np.float32(value))


def outcomes(policies: Policies, texts: list[str | None], **columns: Any) -> list[tuple[Any, ...]]:
    batch = documents(texts, **{"chars": [None if text is None else len(text) for text in texts]} | columns)
    decisions = decide(batch, policies, "unit", 0)
    assert decisions.schema == DECISIONS
    # Nothing else is read, so that the filter stage never loads a text.
    assert decide(batch.select(columns_read(policies)), policies, "unit", 0).equals(decisions)
    names = ("policy", "outcome", "reason", "value", "threshold")
    return [tuple(row[name] for name in names) for row in decisions.to_pylist()]


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ({"words": 50}, ("k", "kept", None, None, None)),
        ({"words": 1000}, ("k", "kept", None, None, None)),
        ({"words": 49}, ("k", "rejected", "words:min", 49.0, 50.0)),
        ({"words": 1001}, ("k", "rejected", "words:max", 1001.0, 1000.0)),
        ({"words": 60, "dup_line_share": 0.374}, ("k", "kept", None, None, None)),
        ({"words": 60, "dup_line_share": 0.5}, ("k", "rejected", "dup_line_share:max", 0.5, single(0.374))),
        ({"words": 1, "dup_line_share": 0.9}, ("k", "rejected", "words:min", 1.0, 50.0)),
        ({"words": 100, "spam_terms": 2}, ("k", "kept", None, None, None)),
        ({"words": 100, "spam_terms": 4}, ("k", "rejected", "spam_terms/words:max", single(0.04), single(0.02))),
        ({"words": 60, "no_ai": True}, ("k", "rejected", "opt-out:max", 1.0, 0.0)),
        ({"words": 60, "no_ai": False}, ("k", "kept", None, None, None)),
        ({}, ("k", "kept", None, None, None)),
    ],
)
def test_first_broken_rule_is_the_reason(signals: dict[str, Any], expected: tuple[Any, ...]) -> None:
    columns = {name: [value] for name, value in signals.items()}
    assert outcomes(Policies(policies=(KOREAN,)), ["글"], language=["ko"], **columns) == [expected]


def test_rows_settled_in_extract_keep_their_reason() -> None:
    rows = outcomes(
        Policies(policies=(KOREAN,)),
        [None, "글", None, "글", "text", None],
        language=["und", "ko", "ko", "ko", "en", None],
        words=[None, 3, None, 70, 70, None],
        outcome=["failed", "rejected", "kept", "kept", "kept", "rejected"],
        reason=["extract", "language-gate", None, None, None, "url"],
    )
    assert rows == [
        (None, "failed", "extract", None, None),
        (None, "rejected", "language-gate", None, None),
        (None, "rejected", "no-text", None, None),
        ("k", "kept", None, None, None),
        (None, "rejected", "language", None, None),
        (None, "rejected", "url", None, None),
    ]


def test_decisions_carry_the_address_of_the_row() -> None:
    batch = documents(["가", "나", "다"], language=["ko"] * 3, bytes=[3, 3, 3])
    decisions = decide(batch.slice(1), Policies(policies=(KOREAN,)), "0123456789abcdef", 41)
    assert decisions.column("row").to_pylist() == [41, 42]
    assert decisions.column("unit").to_pylist() == ["0123456789abcdef"] * 2
    assert decisions.column("doc_id").to_pylist() == batch.column("doc_id").to_pylist()[1:]
    assert decisions.column("bytes").to_pylist() == [3, 3]
    assert decide(batch.slice(0, 0), Policies(policies=(KOREAN,)), "u", 0).num_rows == 0


def test_policies_are_tried_in_order_and_by_condition() -> None:
    code = Policy(name="code", languages=("*", "und"), when=(Rule(signal="code_blocks", min=2),))
    other = Policy(name="other", languages=("*",))
    rows = outcomes(
        Policies(policies=(code, KOREAN, other)),
        ["a"] * 6,
        language=["ko", "ko", "fr", "und", "und", "ko"],
        code_blocks=[2, 1, 0, 5, 0, None],
        words=[1] * 6,
    )
    assert [row[0] for row in rows] == ["code", "k", "other", "code", None, "k"]
    assert rows[4][1:3] == ("rejected", "language")


signal_values = st.floats(0, 1, width=32)


@given(
    st.lists(st.tuples(signal_values, signal_values, st.sampled_from(["ko", "en"])), max_size=30),
    signal_values,
    signal_values,
)
@settings(deadline=None)
def test_a_tighter_limit_keeps_a_subset(rows: list[tuple[float, float, str]], one: float, two: float) -> None:
    def kept(limit: float) -> set[int]:
        policy = Policy(
            name="p",
            languages=("ko",),
            rules=(Rule(signal="line_punct_share", min=limit), Rule(signal="dup_line_share", max=1 - limit)),
        )
        decided = outcomes(
            Policies(policies=(policy,)),
            ["x"] * len(rows),
            line_punct_share=[row[0] for row in rows],
            dup_line_share=[row[1] for row in rows],
            language=[row[2] for row in rows],
        )
        return {at for at, row in enumerate(decided) if row[1] == "kept"}

    assert kept(max(one, two)) <= kept(min(one, two))


@given(st.lists(st.tuples(signal_values, st.integers(0, 200)), min_size=1, max_size=20), st.data())
@settings(deadline=None)
def test_batch_borders_change_no_decision(rows: list[tuple[float, int]], data: st.DataObject) -> None:
    batch = documents(
        ["x"] * len(rows), language=["ko"] * len(rows), dup_line_share=[r[0] for r in rows], words=[r[1] for r in rows]
    )
    policies = Policies(policies=(KOREAN,))
    whole = decide(batch, policies, "u", 0)
    cut = data.draw(st.integers(0, len(rows)))
    assert decide(batch.slice(0, cut), policies, "u", 0).equals(whole.slice(0, cut))
    assert decide(batch.slice(cut), policies, "u", cut).equals(whole.slice(cut))


@pytest.mark.parametrize("limit", [0.374, 0.282, 0.062, 0.1, 0.2, 1 / 3])
def test_a_value_at_the_limit_is_kept(limit: float) -> None:
    policy = Policy(name="p", languages=("ko",), rules=(Rule(signal="dup_line_share", min=limit, max=limit),))
    assert outcomes(Policies(policies=(policy,)), ["x"], language=["ko"], dup_line_share=[limit])[0][1] == "kept"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "word", min = 1 }]', "did you mean words"),
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "qqqq", min = 1 }]', "the signals are hangul_share"),
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words", per = "line", min = 1 }]', "per = 'line'"),
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words" }]', "give min, max or both"),
        (
            'name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words", min = 3, max = 2 }]',
            "min 3.0 is above max 2.0",
        ),
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words", min = nan }]', "min is nan"),
        ('name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words", minimum = 3 }]', "minimum"),
        ('name = "p"\nlanguages = ["ko"]\nrulez = []', "rulez"),
        ('name = "p"\nrules = []', "languages is empty"),
        (
            'name = "p"\nlanguages = ["ko"]\nrules = [{ signal = "words", min = 1 }, { signal = "words", max = 2 }]',
            "two rules",
        ),
        ('languages = ["ko"]', "name"),
        ("name = [", "policy my.toml"),
    ],
)
def test_mistakes_in_a_policy_are_named(toml: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_policy(toml, "my.toml")
    assert message in str(caught.value)
    assert "my.toml" in str(caught.value)


def test_unknown_and_double_policies_are_refused() -> None:
    with pytest.raises(RecipeError, match="fineweb2-kor_Hang"):
        built_in("fineweb2-kor")
    with pytest.raises(RecipeError, match="two policies"):
        select(["permissive", "permissive"])
    with pytest.raises(RecipeError, match="no policy"):
        select([])


def test_extending_replaces_rules_in_place() -> None:
    mine = Policy(
        name="mine",
        extends="fineweb2-kor_Hang",
        rules=(Rule(signal="line_punct_share", min=0), Rule(signal="spam_terms", max=3)),
    )
    (policy,) = select([mine]).policies
    base = built_in("fineweb2-kor_Hang")
    assert policy.languages == ("ko",)
    assert [rule.label for rule in policy.rules] == [*(rule.label for rule in base.rules), "spam_terms"]
    changed = [rule for rule, old in zip(policy.rules, base.rules, strict=False) if rule != old]
    assert changed == [Rule(signal="line_punct_share", min=0)]


def test_built_in_policies_load_and_the_korean_one_has_the_published_limits() -> None:
    assert set(DEFAULT_POLICIES) <= set(BUILT_IN)
    assert select(DEFAULT_POLICIES).policies
    rules = {rule.signal: rule for rule in built_in("fineweb2-kor_Hang").rules}
    published = {
        "dup_line_share": 0.374,
        "dup_line_char_share": 0.1,
        "non_alpha_word_share": 1 - 0.791,
        **{f"top_{n}gram_char_share": limit for n, limit in ((2, 0.282), (3, 0.228), (4, 0.185))},
        **dict(
            zip(
                (f"dup_{n}gram_char_share" for n in range(5, 11)),
                (0.201, 0.184, 0.168, 0.154, 0.14, 0.127),
                strict=True,
            )
        ),
    }
    for signal, limit in published.items():
        assert rules[signal].max is not None
        assert math.isclose(rules[signal].max or 0, limit, abs_tol=1e-9), signal
    assert (rules["language_score"].min, rules["line_punct_share"].min, rules["stop_words"].min) == (0.842, 0.062, 2)


def test_every_signal_name_can_be_used() -> None:
    policy = Policy(name="p", languages=("*",), rules=tuple(Rule(signal=name, min=0) for name in SIGNAL_NAMES))
    values = {name: [1] for name in SIGNAL_NAMES if name != "no_ai"} | {"no_ai": [True]}
    assert outcomes(Policies(policies=(policy,)), ["x"], language=["ko"], **values) == [("p", "kept", None, None, None)]
