"""Repeated lines of a host, and explanations of clusters."""

import unicodedata
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.dedup.explain import differences, explain_pairs
from algok.dedup.lines import LineOptions, line_rows, repeated, without_lines
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
def test_repeated_equals_plain_counting(rows: list[tuple[int, int, int]]) -> None:
    options = LineOptions(pages=2, share=0.5)
    group, hashes, page = (np.array([r[i] for r in rows], dtype=np.int64) for i in range(3))
    pages = dict.fromkeys(range(3), 5)
    where = defaultdict(set)
    for g, h, p in rows:
        where[g, h].add(p)
    expected = {(g, h, len(p)) for (g, h), p in where.items() if len(p) >= 2 and len(p) >= 2.5}
    got = repeated(group, hashes.astype(np.uint64), page, pages, options)
    assert {(int(g), int(h), int(n)) for g, h, n in zip(*got, strict=True)} == expected


def test_boilerplate_of_a_host_goes_and_the_rest_stays() -> None:
    body = ["첫 기사 본문 {0} 내용이다 길게 쓴다.", "둘째 문단 {0} 이어진다 역시 길다."]
    texts = ["홈 | 뉴스\n" + "\n".join(b.format(i * 7) for b in body) + "\n무단전재 및 재배포 금지" for i in range(12)]
    texts.append("홈 | 뉴스\n무단전재 및 재배포 금지")
    lines = line_rows(large([*texts]))
    options = LineOptions()
    _, hot, _ = repeated(np.zeros(len(lines.text), dtype=np.int64), lines.hash, lines.text, {0: 13}, options)
    left, lost_lines, lost_bytes = without_lines(large([*texts]), lines, np.isin(lines.hash, hot), options)
    got = left.to_pylist()
    assert got[:12] == ["\n".join(b.format(i * 7) for b in body) for i in range(12)]
    assert got[12] == texts[12], "all of it is boilerplate: left to the filters"
    assert lost_lines.tolist() == [2] * 12 + [0]
    assert lost_bytes.tolist() == [len("홈 | 뉴스무단전재 및 재배포 금지".encode())] * 12 + [0]


def test_line_options() -> None:
    with pytest.raises(RecipeError, match="pages"):
        LineOptions(pages=1)
    with pytest.raises(RecipeError, match="share"):
        LineOptions(share=2)


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
