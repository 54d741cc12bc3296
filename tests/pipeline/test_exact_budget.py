"""Meeting the budget by count: against a plain sort of all copies, whatever the batches."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.pipeline import exact_budget
from algok.pipeline.exact_budget import BucketBudget, compare, languages_of, meet, targets
from algok.pipeline.recipe import MixRecipe
from algok.schema import LENGTHS, PACKED
from algok.transforms.pack_budget import Bucket, BucketRule, CopyOrder, FirstCopies, SumDigits, TakeWithinBudget

ORDER = CopyOrder(seed=7, rehydrate=((1, 1.0), (2, 2.0), (5, 3.0)), max_copies=4.0)


def documents(count: int, seed: int, longest: int = 400) -> pa.RecordBatch:
    """Rows of LENGTHS in three buckets."""
    rng = np.random.default_rng(seed)
    made = {
        "unit": pa.array(["u"] * count),
        "row": pa.array(np.arange(count, dtype=np.int32)),
        "doc_id": pa.array([rng.bytes(16) for _ in range(count)], pa.binary(16)),
        "source": pa.array([("web", "news")[i % 5 == 0] for i in range(count)]),
        "language": pa.array([("ko", "en")[i % 3 == 0] for i in range(count)]),
        "bytes": pa.array(rng.integers(1, 2000, count), pa.int32()),
        "copies": pa.array(rng.integers(1, 5, count), pa.int32()),
        "cluster_size": pa.array(rng.choice([1, 2, 7], count), pa.int64()),
        "tokens": pa.array(rng.integers(1, longest, count), pa.int64()),
    }
    return pa.RecordBatch.from_arrays([made[name] for name in LENGTHS.names], schema=LENGTHS)


def all_copies(batch: pa.RecordBatch) -> dict[Bucket, list[tuple[int, str, int, int]]]:
    """(place, id, copy, tokens) of every copy in the order of its bucket, by plain Python."""
    found: dict[Bucket, list[tuple[int, str, int, int]]] = {}
    rows, copies, places = ORDER.places(batch)
    table = batch.to_pylist()
    for row, copy, place in zip(rows.tolist(), copies.tolist(), places.tolist(), strict=True):
        entry = table[row]
        copy_ = (place, entry["doc_id"].hex(), copy, entry["tokens"])
        found.setdefault((entry["language"], entry["source"]), []).append(copy_)
    return {bucket: sorted(copies) for bucket, copies in found.items()}


def run(batch: pa.RecordBatch, due: dict[Bucket, int], length: int, size: int) -> dict[Bucket, BucketRule]:
    """``meet`` over batches of ``size`` rows, each in an accumulator of its own."""
    batches = [batch.slice(at, size) for at in range(0, batch.num_rows, size)]

    def combined(combine: Any) -> Any:
        parts = [combine.add_input(combine.create_accumulator(), part) for part in batches]
        return combine.extract_output(combine.merge_accumulators(parts[::-1]))

    def sums(heads: Any) -> Any:
        return combined(SumDigits(ORDER, heads))

    def first(begins: Any) -> Any:
        return combined(FirstCopies(ORDER, begins, exact_budget.FEW))

    return meet(sums(None), due, length, sums, first)


def taken(batch: pa.RecordBatch, rules: dict[Bucket, BucketRule]) -> pa.RecordBatch:
    return TakeWithinBudget(order=ORDER, rules=rules).load()(batch)


@pytest.mark.parametrize("few", [4096, 300])
def test_a_budget_takes_what_a_plain_sort_gives(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact_budget, "FEW", few)
    batch = documents(3000, 1)
    copies = all_copies(batch)
    due = {bucket: sum(c[3] for c in held) * 3 // 5 for bucket, held in copies.items()}
    rules = run(batch, due, 500, 700)
    assert rules == run(batch, due, 500, 3000)
    rows = taken(batch, rules)
    assert rows.schema == PACKED
    expected = dict.fromkeys((value.hex() for value in batch["doc_id"].to_pylist()), 0)
    for bucket, held in copies.items():
        missing = due[bucket]
        for _, doc_id, _, tokens in held:
            if tokens <= missing:
                missing -= tokens
                expected[doc_id] += 1
            elif missing < 500 / 64:
                break
        assert 0 <= missing < 500 / 64
    assert {r["doc_id"].hex(): r["copies"] for r in rows.to_pylist()} == expected
    assert {(r["outcome"], r["reason"]) for r in rows.to_pylist() if not r["copies"]} == {("rejected", "budget")}
    assert {(r["outcome"], r["reason"]) for r in rows.to_pylist() if r["copies"]} == {("kept", None)}


@given(st.integers(1, 400), st.integers(0, 50), st.floats(0, 1.2), st.sampled_from([10, 100, 2000]), st.integers(1, 99))
@settings(max_examples=60, deadline=None)
def test_every_bucket_is_met_to_within_a_sequence(count: int, seed: int, share: float, length: int, size: int) -> None:
    batch = documents(count, seed, longest=3 * length)
    copies = all_copies(batch)
    due = {b: min(int(sum(c[3] for c in held) * share), sum(c[3] for c in held)) for b, held in copies.items()}
    rules = run(batch, due, length, size)
    rows = taken(batch, rules).to_pylist()
    for bucket, held in copies.items():
        got = sum(r["copies"] * r["tokens"] for r in rows if (r["language"], r["source"]) == bucket)
        assert got <= due[bucket]
        if due[bucket] == sum(c[3] for c in held):
            assert got == due[bucket]
        elif min(c[3] for c in held) <= length:
            # Only where nothing but documents longer than a sequence is left may more than one be missing.
            left = {r["doc_id"].hex() for r in rows if r["copies"] < 1}
            short = [c for c in held if c[1] in left and c[3] <= due[bucket] - got]
            assert due[bucket] - got < length or not short


def test_a_document_too_long_for_the_gap_is_passed_over() -> None:
    batch = documents(200, 3, longest=20)
    rows, _, places = ORDER.places(batch)
    row = int(rows[np.argmin(places)])
    tokens = np.full(200, 10)
    tokens[row] = 10_000
    batch = batch.set_column(LENGTHS.get_field_index("tokens"), LENGTHS.field("tokens"), pa.array(tokens))
    bucket = (batch["language"][row].as_py(), batch["source"][row].as_py())
    rules = run(batch, {bucket: 205}, 100, 50)
    kept = [r for r in taken(batch, rules).to_pylist() if r["copies"]]
    assert sum(r["copies"] * r["tokens"] for r in kept) == 200
    assert row not in {r["row"] for r in kept}


def _plan(**planned: int) -> dict[str, Any]:
    rows = [(*name.split("_"), tokens) for name, tokens in planned.items()]
    return {"buckets": [{"language": a, "source": b, "planned_tokens": n} for a, b, n in rows]}


def test_targets_are_those_of_the_plan_where_there_is_enough() -> None:
    recipe = MixRecipe(tokens=1000, shares={"ko": 0.8, "en": 0.2})
    plan = _plan(ko_web=600, ko_news=200, en_web=200)
    available = {("ko", "web"): 900, ("ko", "news"): 300, ("en", "web"): 500}
    assert targets(recipe, plan, available) == {("ko", "web"): 600, ("ko", "news"): 200, ("en", "web"): 200}
    # What one bucket lacks comes from the others of its language.
    available["ko", "news"] = 150
    assert targets(recipe, plan, available) == {("ko", "web"): 650, ("ko", "news"): 150, ("en", "web"): 200}


def test_targets_of_a_short_language() -> None:
    plan = _plan(ko_web=300, en_web=200)
    available = {("ko", "web"): 310, ("en", "web"): 900}
    keep = MixRecipe(tokens=1000, shares={"ko": 0.8, "en": 0.2}, shortage="keep")
    assert targets(keep, plan, available) == {("ko", "web"): 310, ("en", "web"): 200}
    fill = MixRecipe(tokens=1000, shares={"ko": 0.8, "en": 0.2}, shortage="fill")
    assert targets(fill, plan, available) == {("ko", "web"): 310, ("en", "web"): 690}


def test_shortages_are_told_apart() -> None:
    plan = _plan(ko_web=800, en_web=200)
    available = {("ko", "web"): 500, ("en", "web"): 150}
    recipe = MixRecipe(tokens=1000, shares={"ko": 0.8, "en": 0.2})
    due = targets(recipe, plan, available)
    buckets = compare(plan, due, available, {("ko", "web"): 500, ("en", "web"): 150}, 10)
    assert buckets[1] == BucketBudget(
        language="ko", source="web", planned_tokens=800, budget_tokens=500, available_tokens=500, packed_tokens=500,
        met=True,
    )  # fmt: skip
    reserve = {"languages": [{"language": "ko", "short_tokens": 400}, {"language": "en", "short_tokens": 0}]}
    rows = {row.language: row for row in languages_of(recipe, reserve, buckets, 10)}
    assert (rows["ko"].short_tokens, rows["ko"].short_by) == (300, "supply")
    assert (rows["en"].short_tokens, rows["en"].short_by) == (50, "reserve")
    assert languages_of(recipe, reserve, buckets, 60)[0].short_by == ""
