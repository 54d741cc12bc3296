import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algok.pipeline.budget import BINS, Supply, solve, weight_class
from algok.pipeline.recipe import MixRecipe

RATES = {"default": 1.0}


def even(total: int) -> tuple[np.ndarray, np.ndarray]:
    """A class whose bytes are spread evenly over the hash."""
    return np.full(BINS, total // BINS, dtype=np.int64), np.ones(BINS, dtype=np.int64)


def recipe(tokens: int, shares: dict[str, float], **more: object) -> MixRecipe:
    return MixRecipe(tokens=tokens, shares=shares, tokens_per_byte=RATES, **more)


def test_more_than_enough_is_sampled_down_to_the_share() -> None:
    supply: Supply = {("ko", "a", 0): even(BINS * 100), ("en", "a", 0): even(BINS * 1000)}
    plan = solve(recipe(BINS * 100, {"ko": 0.6, "en": 0.4}), supply)
    assert [(p.language, p.planned_tokens, p.short_tokens) for p in plan.languages] == [
        ("en", BINS * 40, 0),
        ("ko", BINS * 60, 0),
    ]
    korean = next(c for c in plan.choices if c.language == "ko")
    assert (korean.whole, korean.threshold) == (0, pytest.approx(0.6, abs=1e-9))


def test_too_little_is_repeated_up_to_the_limit_and_the_rest_is_said_to_be_short() -> None:
    supply: Supply = {("ko", "a", 0): even(BINS * 10), ("en", "a", 0): even(BINS * 1000)}
    plan = solve(recipe(BINS * 100, {"ko": 0.6, "en": 0.4}, max_copies=4.0), supply)
    korean = next(p for p in plan.languages if p.language == "ko")
    assert (korean.planned_tokens, korean.copies, korean.short_tokens) == (BINS * 40, 4.0, BINS * 20)
    assert plan.planned_tokens == BINS * 80


def test_fill_gives_the_shortage_to_languages_that_have_more() -> None:
    supply: Supply = {("ko", "a", 0): even(BINS * 10), ("en", "a", 0): even(BINS * 1000)}
    plan = solve(recipe(BINS * 100, {"ko": 0.6, "en": 0.4}, max_copies=4.0, shortage="fill"), supply)
    assert plan.planned_tokens == BINS * 100
    assert next(p for p in plan.languages if p.language == "en").planned_tokens == BINS * 60


def test_clusters_are_rehydrated_by_their_weight() -> None:
    rules = ((1, 1.0), (2, 2.0))
    supply: Supply = {("ko", "a", 0): even(BINS * 100), ("ko", "a", 1): even(BINS * 100)}
    plan = solve(recipe(BINS * 150, {"ko": 1.0}, rehydrate=rules), supply)
    assert [(c.weight_class, c.whole, round(c.threshold, 6)) for c in plan.choices] == [(0, 0, 0.5), (1, 1, 0.0)]


def test_a_language_without_a_document_is_short_of_its_whole_share() -> None:
    plan = solve(recipe(1000, {"ko": 0.5, "ja": 0.5}), {("ko", "a", 0): even(BINS * 10)})
    japanese = next(p for p in plan.languages if p.language == "ja")
    assert (japanese.planned_tokens, japanese.short_tokens, japanese.copies) == (0, 500, 0.0)


def test_weight_classes() -> None:
    assert weight_class(np.array([1, 2, 4, 5, 99]), ((1, 1.0), (2, 2.0), (5, 3.0))).tolist() == [0, 1, 1, 2, 2]


@given(
    st.lists(st.integers(1, 10**6), min_size=1, max_size=4),
    st.integers(1, 10**7),
    st.floats(1.0, 8.0),
    st.sampled_from(["keep", "fill"]),
)
def test_a_plan_never_exceeds_budget_or_copies(supplies: list[int], tokens: int, limit: float, shortage: str) -> None:
    names = ["ko", "en", "ja", "zh"][: len(supplies)]
    shares = {name: 1 / len(names) for name in names}
    supply: Supply = {(n, "a", 0): even(BINS * s) for n, s in zip(names, supplies, strict=True)}
    options = recipe(tokens, shares, max_copies=limit, shortage=shortage)
    plan = solve(options, supply)
    assert plan.planned_tokens <= tokens + len(names)
    for choice in plan.choices:
        assert choice.whole + (choice.threshold > 0) <= math.ceil(limit)
        assert 0.0 <= choice.threshold <= 1.0
    if shortage == "fill" and sum(s * BINS * limit for s in supplies) >= tokens:
        assert plan.planned_tokens == pytest.approx(tokens, rel=1e-6, abs=len(names))
    assert msgspec.json.decode(msgspec.json.encode(plan), type=type(plan)) == plan
