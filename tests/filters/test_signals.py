"""Text signals: equal to plain Python bit for bit, whatever the batch looks like."""

import gzip
import json
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algok.filters.characters import HANGUL, SPACE, class_table
from algok.filters.packs import builtin_packs
from algok.filters.signals import TEXT_SIGNALS, measure
from algok.schema import DOCUMENTS, SIGNALS
from tests.filters import signals_oracle
from tests.filters.batches import documents

PACKS = builtin_packs()
LANGUAGES = ("ko", "en", "ja", "zh", "th", "fr", "und")

# Fragments that make rules fire: repeated words, marks at line ends, URLs, terms, odd white space, odd Unicode.
PIECES = """
가 나 다라 마바 사아자 학교에서 하고 있다 되었다. 2019년 3월 the The of and cat dog ① x1 C++ # ## ... …
...... •점 - 목록 하다.” 말했다.) “인용” 끝! 뭐? 카지노사이트 온라인 카지노 토토사이트 online Casino Essex
st급 first급 1,234 3.14 -- === | --- ㆍ http://a.kr/길 https://B.com/?q=1&x=(y) HTTPS://c.d www.e.f xwww.g.h
Www.I.j. 日本語の文。 中文。 カタカナ ‣항목 *강조.* 「끝。」 가\u0301 e\u0301 é ﬁ Ａ１ ǅ İ 𝒜 😀
👨\u200d👩\u200d👧 \ud7a3 ㅋㅋㅋ ﾡ ๑ ไทย \u200b \ufeff \u1112\u1161\u11ab\u1100\u1173\u11af
"""
SPACING = (" ", "  ", "\t", "\n", "\n\n", "\n \n", "\r\n", "\u3000", "\x1c", "\x85", "\u2028", "\x00", "\x0b")
FRAGMENTS = (*PIECES.split(), "온라인\u3000카지노", "online\u00a0Casino", *SPACING)

fragment_texts = st.lists(st.sampled_from(FRAGMENTS), max_size=60).flatmap(
    lambda parts: st.sampled_from(["", " ", "\n"]).map(lambda joint: joint.join(parts))
)
repetitive_texts = st.lists(st.sampled_from(["a", "b", "가다", "나\n"]), max_size=80).map(" ".join)
any_texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)
texts = st.one_of(fragment_texts, repetitive_texts, any_texts)


def check_against_oracle(batch: pa.RecordBatch) -> None:
    measured = measure(batch, PACKS)
    assert measured.schema == DOCUMENTS
    rows = measured.select([*TEXT_SIGNALS, "content_hash"]).to_pylist()
    for text, language, row in zip(
        batch.column("text").to_pylist(), batch.column("language").to_pylist(), rows, strict=True
    ):
        if text is None:
            assert set(row.values()) == {None}
            continue
        expected = signals_oracle.signals(text, PACKS[language]) | {"content_hash": signals_oracle.content_hash(text)}
        different = {name: (row[name], expected[name]) for name in row if row[name] != expected[name]}
        assert not different, f"{language}: {text!r}"


def test_every_text_signal_of_the_schema_is_measured() -> None:
    structural = {
        *("html_bytes", "boilerplate_ratio", "link_char_share", "headings", "tables", "code_blocks", "formulas"),
        *("no_ai", "licence"),
    }
    assert set(TEXT_SIGNALS) == set(SIGNALS.names) - structural


@given(st.lists(st.tuples(st.one_of(st.none(), texts), st.sampled_from(LANGUAGES)), min_size=1, max_size=8))
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_signals_equal_plain_python(rows: list[tuple[str | None, str]]) -> None:
    check_against_oracle(documents([text for text, _ in rows], language=[language for _, language in rows]))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_every_fragment_alone_and_doubled(fragment: str, language: str) -> None:
    variants = [fragment, fragment * 2, f"{fragment} {fragment}", f"{fragment}\n{fragment}", f"가{fragment}a"]
    check_against_oracle(documents(variants, language=[language] * len(variants)))


@pytest.mark.parametrize("language", ["ko", "zh"])
def test_long_degenerate_texts(language: str) -> None:
    pieces = ("가", "a ", "\n", "中文", "a\n\n", "http", "카지노사이트", "...", "1 2 3 ", "가나 다라 ", "\0")
    batch = documents([piece * 900 for piece in pieces], language=[language] * len(pieces))
    check_against_oracle(batch)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("folder", "language"),
    [
        ("ko_news", "ko"),
        ("ko_nsmc", "ko"),
        ("ko_dotnet_docs", "ko"),
        ("ko_johngrib_wiki", "en"),
        ("ko_petitions", "ja"),
    ],
)
def test_real_text_equals_plain_python(shared_data: Path, folder: str, language: str) -> None:
    with gzip.open(shared_data / folder / "data.jsonl.gz", "rt", encoding="utf-8") as lines:
        sample = [json.loads(line)["text"] for line, _ in zip(lines, range(10), strict=False)]
    check_against_oracle(documents(sample, language=[language] * len(sample)))


ROWS = [
    ("한국어 문장이다.\n둘째 줄은 길다…\n둘째 줄은 길다…\n", "ko"),
    (None, "ko"),
    ("", None),
    ("The cat and the dog of the house.\n\nThe cat and the dog of the house.", "en"),
    ("日本語の文。日本語の文。", "ja"),
    (None, None),
    ("a b c d e f " * 30, "fr"),
]


def test_slices_and_rebatching_change_no_bit() -> None:
    batch = documents([text for text, _ in ROWS], language=[language for _, language in ROWS])
    whole = measure(batch, PACKS)
    for start in range(len(ROWS)):
        for size in range(1, len(ROWS) - start + 1):
            assert measure(batch.slice(start, size), PACKS).equals(whole.slice(start, size))


def test_an_empty_batch_stays_empty() -> None:
    assert measure(documents([]), PACKS).num_rows == 0


def test_structural_columns_are_left_alone() -> None:
    batch = documents(["가"], html_bytes=[7], code_blocks=[3], licence=["by-4.0"], no_ai=[True])
    row = measure(batch, PACKS).to_pylist()[0]
    assert (row["html_bytes"], row["code_blocks"], row["licence"], row["no_ai"]) == (7, 3, "by-4.0", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff",
        b"abc\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xc0\x80x",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\x80 \xbf",
    ],
)
def test_malformed_utf8_is_counted_and_never_raises(raw: bytes) -> None:
    # Arrow does not check the bytes of a string that it is handed.
    offsets = np.array([0, len(raw), len(raw) + 2], dtype=np.int64)
    text = pa.Array.from_buffers(pa.large_string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(raw + b"ok")])
    batch = documents(["", ""])
    batch = batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), text)
    measured = measure(batch, PACKS)
    assert measured.column("bytes").to_pylist() == [len(raw), 2]
    assert 1 <= measured.column("chars").to_pylist()[0] <= len(raw)
    assert measured.column("content_hash")[1].as_py() == signals_oracle.content_hash("ok")


def test_content_hash_ignores_composition_and_white_space_only() -> None:
    same = ["한국어 두 줄", " 한국어\n\n두\u3000줄\n", unicodedata.normalize("NFD", "한국어 두 줄")]
    other = ["한국어 두줄", "한국어 두 줄.", "ＡＢ", "AB", "ab"]
    hashes = measure(documents([*same, *other]), PACKS).column("content_hash").to_pylist()
    assert len(set(hashes[:3])) == 1
    assert len(set(hashes)) == 1 + len(other)


def test_class_table_agrees_with_unicodedata_samples() -> None:
    table = class_table()
    for code in (*range(0x3000), 0xAC00, 0xD7A3, 0xFFA1, 0x3000, 0x205F):
        assert bool(table[code] & SPACE) == chr(code).isspace()
    assert all(table[code] & HANGUL for code in range(0xAC00, 0xD7A4))
    assert not table[0x3164 - 0x100] & HANGUL
