"""Repeated lines of a host, and explanations of clusters."""

import unicodedata
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.dedup.edits import joined_ranges, without_ranges
from algok.dedup.explain import differences, explain_pairs
from algok.dedup.lines import LineLimits, LineOptions, count_pages, line_ranges, line_rows, prose_lines
from algok.dedup.normalise import normalise_text
from algok.dedup.shingles import shingles_of
from algok.errors import RecipeError


def large(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def test_lines_have_their_places_and_equal_forms_equal_hashes() -> None:
    texts = ["메뉴\n본문 하나\n\n***\n무단전재 금지", None, "메 뉴?\nＡＢＣ abc\nabc ABC!", ""]
    lines = line_rows(large(texts))
    raw = [t.encode() if t else b"" for t in texts]
    found = [raw[t][s:e].decode() for t, s, e in zip(lines.text, lines.start, lines.end, strict=True)]
    assert found == ["메뉴", "본문 하나", "무단전재 금지", "메 뉴?", "ＡＢＣ abc", "abc ABC!"]
    assert lines.text.tolist() == [0, 0, 0, 2, 2, 2]
    assert lines.hash[4] == lines.hash[5]
    assert len(set(lines.hash.tolist())) == 5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.sampled_from("가나 b.\nｶﾞ\u1100\u1161"), max_size=30), max_size=5))
def test_hashes_are_equal_where_the_normalised_lines_are(texts: list[str]) -> None:
    lines = line_rows(large([*texts]))
    seen: dict[int, str] = {}
    expected = [
        (i, normalise_text(line)) for i, text in enumerate(texts) for line in text.split("\n") if normalise_text(line)
    ]
    assert lines.text.tolist() == [i for i, _ in expected]
    for value, (_, form) in zip(lines.hash.tolist(), expected, strict=True):
        assert seen.setdefault(value, form) == form
    assert len(set(seen.values())) == len(seen)


def test_text_in_jamo_keeps_its_places() -> None:
    text = unicodedata.normalize("NFD", "한글 메뉴") + "\n본문"
    lines = line_rows(large(["한글 메뉴", text]))
    assert lines.hash[0] == lines.hash[1]
    assert text.encode()[lines.start[2] : lines.end[2]].decode() == "본문"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 6)), max_size=80))
def test_count_pages_equals_plain_counting(rows: list[tuple[int, int, int]]) -> None:
    group, hashes, page = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(3))
    where = defaultdict(set)
    for g, h, p in rows:
        where[g, h].add(p)
    got = count_pages(group, hashes.astype(np.uint64), page)
    assert [(int(g), int(h), int(n)) for g, h, n in zip(*got, strict=True)] == [
        (g, h, len(p)) for (g, h), p in sorted(where.items())
    ]


def test_chosen_lines_go_with_their_line_breaks() -> None:
    texts = ["홈 | 뉴스\n첫 기사 본문\n\n둘째 문단\n\n무단전재 금지", "본문\n무단전재 금지\n끝", "무단전재 금지"]
    lines = line_rows(large([*texts]))
    menu, notice = lines.hash[0], lines.hash[3]
    ranges = joined_ranges(*line_ranges(large([*texts]), lines, np.isin(lines.hash, [menu, notice])))
    left, lost = without_ranges(large([*texts]), *ranges[:3])
    assert left.to_pylist() == ["첫 기사 본문\n\n둘째 문단", "본문\n끝", ""]
    assert lost.tolist() == [len(t.encode()) - len(u.encode()) for t, u in zip(texts, left.to_pylist(), strict=True)]


def test_headings_tables_and_code_are_no_boilerplate() -> None:
    texts = [
        "앞글\n```clojure\n(defn solve [])\n```\n뒷글",
        "## 참고\n본문\n| 상태: | 확장 |\n    들여 쓴 코드\n끝 ``` 중간",
    ]
    texts += ["```\n코드", "다른 글"]
    lines = line_rows(large([*texts]))
    prose = prose_lines(large([*texts]), lines)
    raw = [t.encode() for t in texts]
    found = [
        raw[t][s:e].decode() for t, s, e in zip(*(x[prose] for x in (lines.text, lines.start, lines.end)), strict=True)
    ]
    assert found == ["앞글", "뒷글", "본문", "끝 ``` 중간", "다른 글"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)), max_size=12))
def test_joined_ranges_cover_the_same_bytes_once(ranges: list[tuple[int, int, int]]) -> None:
    ranges = [(r, min(a, b), max(a, b)) for r, a, b in ranges]
    row, start, end = (np.array([r[i] for r in ranges], dtype=np.int64) for i in range(3))
    covered = {(r, i) for r, a, b in ranges for i in range(a, b)}
    got = joined_ranges(row, start, end)
    bytes_ = [(int(r), i) for r, a, b in zip(*got[:3], strict=True) for i in range(a, b)]
    assert len(bytes_) == len(set(bytes_))
    assert set(bytes_) == covered
    texts = ["abcdefghijklm", "가나다라마", "xy가나다라마바"]
    if all(r == 0 for r, _, _ in ranges):
        left, _ = without_ranges(large(texts), *got[:3])
        assert left.to_pylist() == ["".join(c for i, c in enumerate(texts[0]) if (0, i) not in covered), *texts[1:]]


def test_edits_that_do_not_fit_are_refused() -> None:
    one = np.array([0])
    with pytest.raises(ValueError, match="ends at byte 9"):
        without_ranges(large(["가"]), one, one, np.array([9]))
    with pytest.raises(ValueError, match="overlap"):
        without_ranges(large(["가나다"]), np.array([0, 0]), np.array([0, 3]), np.array([6, 9]))


def test_line_options() -> None:
    with pytest.raises(RecipeError, match="pages"):
        LineOptions(pages=1)
    with pytest.raises(RecipeError, match="share"):
        LineOptions(share=2)
    with pytest.raises(RecipeError, match="most_of_text"):
        LineOptions(most_of_text=-1)
    options = LineOptions(
        languages={"ko": LineLimits(pages=5, share=0)}, hosts={"a.kr": LineLimits(pages=3, share=0.5)}
    )
    assert options.needed("x", "en", 1000) == 100
    assert options.needed("x", "ko", 1000) == 5
    assert options.needed("a.kr", "ko", 1000) == 500


def test_explanation_of_pairs() -> None:
    base = " ".join(f"낱말{i}" for i in range(200))
    texts = [base, base.replace("낱말77 ", "바뀐말 "), "전혀 다른 글이다", "..."]
    near, far, none = explain_pairs(texts, ["en"] * 4, [(0, 1), (0, 2), (2, 3)])
    a, b = (set(shingles_of(t, "en")) for t in texts[:2])
    assert near.jaccard == pytest.approx(len(a & b) / len(a | b), abs=1e-4)
    assert near.accepted
    assert near.shared_bands > 0
    assert near.found > 0.99
    assert (far.jaccard, far.accepted, far.shared_bands) == (0, False, 0)
    assert (none.similarity, none.shared_bands) == (0, 0)
    assert explain_pairs(texts, ["en"] * 4, []) == []
    changed = [d for d in differences(texts[0], texts[1]) if d.kind == "changed"]
    assert [(d.left, d.right) for d in changed] == [("낱말77", "바뀐말")]
    assert Counter(d.kind for d in differences("가", "가")) == {"same": 1}
