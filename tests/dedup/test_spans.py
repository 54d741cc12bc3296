"""Content-defined chunks, and the long spans that are made of them."""

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.dedup.spans import LEAST_BYTES, MOST_BYTES, SpanOptions, chunk_rows, span_ranges
from algok.errors import RecipeError


def large(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def prose(seed: int, chars: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice("가나다라마바사아자차카타파하거너더러머버서 .\n") for _ in range(chars))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.sampled_from("가나 a.\n😀"), max_size=900), max_size=4))
def test_chunks_are_the_texts(texts: list[str]) -> None:
    chunks = chunk_rows(large([*texts, None]))
    raw = [t.encode() for t in texts]
    for i, text in enumerate(raw):
        mine = chunks.text == i
        parts = [text[a:b] for a, b in zip(chunks.start[mine], chunks.end[mine], strict=True)]
        assert b"".join(parts) == text
        assert [len(p.decode()) for p in parts] == chunks.chars[mine].tolist(), "cut between characters"
        assert all(len(p) <= MOST_BYTES + 3 for p in parts)
        assert all(len(p) >= LEAST_BYTES for p in parts[:-1])
    assert not (chunks.text == len(texts)).any()


def test_shared_text_is_cut_alike_wherever_it_stands() -> None:
    shared = prose(1, 3000)
    texts = [prose(2, 731) + shared + prose(3, 200), shared, "앞 " + shared + " 뒤", prose(4, 3000)]
    chunks = chunk_rows(large([*texts]))
    sets = [set(chunks.hash[chunks.text == i].tolist()) for i in range(4)]
    for other in (0, 2):
        assert len(sets[1] & sets[other]) >= 0.8 * len(sets[1])
    assert not sets[1] & sets[3]


def test_a_shared_span_is_found_to_within_a_chunk_at_either_end() -> None:
    shared = prose(5, 1500)
    a, b = prose(6, 400) + shared + prose(7, 400), prose(8, 90) + shared + prose(9, 1000)
    chunks = chunk_rows(large([a, b]))
    first = set(chunks.hash[chunks.text == 0].tolist())
    foreign = (chunks.text == 1) & np.isin(chunks.hash, list(first))
    row, start, end, _ = span_ranges(chunks, foreign, SpanOptions())
    assert row.tolist() == [1]
    begin = len(prose(8, 90).encode())
    finish = begin + len(shared.encode())
    assert begin <= start[0] <= begin + 64 + MOST_BYTES
    assert finish - MOST_BYTES <= end[0] <= finish
    assert len(span_ranges(chunks, foreign, SpanOptions(chars=2000))[0]) == 0, "shorter than asked for"
    assert len(span_ranges(chunks, np.zeros(len(foreign), dtype=bool), SpanOptions())[0]) == 0


def test_short_spans_are_refused() -> None:
    with pytest.raises(RecipeError, match="chars"):
        SpanOptions(chars=10)
