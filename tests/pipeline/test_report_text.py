"""Words, numbers and folding on the report's page."""

import pytest

from algok.pipeline.report import text
from algok.pipeline.report.charts import curve, kept_at
from algok.pipeline.report.compare import beside, differences
from algok.pipeline.report.summary import Flow, Limit, Sample
from algok.pipeline.report.view import alternatives, fold


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.5, "50.0 %"),
        (0.00001, "<0.01 %"),
        (0.0012, "0.12 %"),
        (0.9999, ">99.9 %"),
        (0.9990, "99.9 %"),
        (-0.05, "-5.0 %"),
    ],
)
def test_shares_never_round_to_none_or_all(number: float | None, shown: str) -> None:
    assert text.share(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.00 kB"), (999_999, "1.00 MB"), (12_345_678, "12.3 MB"), (5e15, "5.00 PB")],
)
def test_sizes(number: float, shown: str) -> None:
    assert text.size(number) == shown


@pytest.mark.parametrize(
    ("raw", "pieces"),
    [
        ("plain 한국어\n\ttext", [("plain 한국어\n\ttext", "")]),
        ("a\u202eb", [("a", ""), ("U+202E", "RIGHT-TO-LEFT OVERRIDE"), ("b", "")]),
        ("\u200b\u200b\u200b", [("U+200B ×3", "ZERO WIDTH SPACE")]),
        ("\x00\x1b", [("U+0000", "CONTROL"), ("U+001B", "CONTROL")]),
        ("\ud800", [("U+D800", "SURROGATE")]),
        ("a\r\nb", [("a\nb", "")]),
        ("\u2066x\u2069", [("U+2066", "LEFT-TO-RIGHT ISOLATE"), ("x", ""), ("U+2069", "POP DIRECTIONAL ISOLATE")]),
    ],
)
def test_unseen_characters_are_named(raw: str, pieces: list[tuple[str, str]]) -> None:
    assert text.visible(raw) == pieces


def test_folded_rows_add_up() -> None:
    flows = [Flow(name=f"l{i}", levels={"a": 10 - i, "b": None}, bytes={"a": i}) for i in range(10)]
    rows = fold(flows, 3, "languages")
    assert [row.name for row in rows] == ["l0", "l1", "l2", "7 other languages", "Total"]
    assert sum(row.levels["a"] or 0 for row in rows[:-1]) == rows[-1].levels["a"] == sum(10 - i for i in range(10))
    assert rows[-1].levels["b"] is None


def test_nothing_is_folded_for_one_row() -> None:
    flows = [Flow(name=f"l{i}", levels={"a": 1}, bytes={"a": 1}) for i in range(4)]
    assert [row.name for row in fold(flows, 3, "languages")] == ["l0", "l1", "l2", "l3", "Total"]


def _limit(end: str, **more: object) -> Limit:
    base: dict[str, object] = {
        "label": "words",
        "signal": "words",
        "per": None,
        "end": end,
        "limit": 2.0,
        "whole": True,
        "meaning": "",
        "unit": "word",
        "edges": [0.0, 1.0, 2.0, 3.0, 4.0],
        "counts": [1, 2, 3, 4],
        "open_counts": [1, 1, 1, 1],
        "unmeasured": 0,
        "open_unmeasured": 0,
        "broken": 3,
        "only": 2,
        "first": 3,
    }
    return Limit(**{**base, **more})  # type: ignore[arg-type]


def test_shares_kept_at_each_limit() -> None:
    # min = 2 keeps the values 2 and 3: 7 of 10 by itself, 2 of 10 with the other limits.
    assert kept_at(_limit("min"))[2] == (2.0, 0.2, 0.7)
    assert kept_at(_limit("min"))[0] == (0.0, 0.4, 1.0)
    # max = 1 keeps the values 0 and 1.
    assert (1.0, 0.2, 0.3) in kept_at(_limit("max"))


def test_unmeasured_documents_break_no_limit() -> None:
    rows = kept_at(_limit("min", counts=[1, 2, 3, 4], unmeasured=10, open_unmeasured=6))
    assert rows[4] == (4.0, 6 / 20, 10 / 20)


def test_alternatives_reach_the_share_asked_for() -> None:
    rows = alternatives(_limit("min"), kept_at(_limit("min")))
    assert rows[0] == (0.0, 0.4, 1.0)  # 99 %: only with no limit at all
    assert (1.0, 0.3, 0.9) in rows
    assert all(row[2] >= 0.5 for row in rows)


def test_a_curve_of_one_value_is_drawn() -> None:
    drawn = str(curve(_limit("max", limit=0.1, edges=[0.0, 1.0], counts=[5], open_counts=[5], whole=False)))
    assert drawn.startswith("<svg")
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("left", "right", "marked_left", "marked_right"),
    [
        ("a b c", "a b c", [], []),
        ("a b c", "a x c", ["b"], ["x"]),
        ("a b", "a b c d", [], ["c d"]),
        ("", "new words", [], ["new words"]),
        ("私は本を読む", "私は紙を読む", ["本"], ["紙"]),
        ("바다 마을", "바다 큰 마을", [], ["큰"]),
    ],
)
def test_differences(left: str, right: str, marked_left: list[str], marked_right: list[str]) -> None:
    a, b = differences(left, right)
    assert [left[start:end] for start, end in a] == marked_left
    assert [right[start:end] for start, end in b] == marked_right


def test_a_late_difference_is_shown() -> None:
    same = "word " * 400
    sample = Sample(doc_id="1", source="s", url=None, text=same + "mine end", chars=2_008)
    other = Sample(doc_id="2", source="s", url=None, text=same + "theirs end", chars=2_010)
    shown = beside(sample, other, 200)
    assert shown.text is not None
    assert shown.survivor is not None
    assert shown.skipped == shown.survivor.skipped == 2_000 - 120
    assert [shown.text[a:b] for a, b in shown.marks] == ["mine"]
    assert [(shown.survivor.text or "")[a:b] for a, b in shown.survivor.marks] == ["theirs"]


def test_without_a_survivor_the_beginning_is_shown() -> None:
    shown = beside(Sample(doc_id="1", source="s", url=None, text="x" * 500, chars=500), None, 100)
    assert (shown.text, shown.skipped, shown.survivor) == ("x" * 100, 0, None)
