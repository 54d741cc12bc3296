"""Files of texts, and the balanced sample of them."""

import gzip
import json
import random
import string
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from algok.errors import InputError
from algok.tokenizer.sample import default_shares, files_sample
from algok.tokenizer.texts import read_parallel, read_texts, text_files

TEXTS = ["가 나\r\n다", "b\tc\n", "\u2028 한국어"]


def test_every_format_gives_the_same_texts(tmp_path: Path) -> None:
    plain = "\x1e".join(TEXTS).encode()
    lines = "".join(json.dumps({"text": t, "id": i}) + "\n" for i, t in enumerate(TEXTS)).encode()
    (tmp_path / "a.txt").write_bytes(plain)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "a.txt.zst").write_bytes(zstandard.compress(plain))
    (tmp_path / "a.jsonl").write_bytes(lines + b"\n" + json.dumps({"text": ""}).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "a.ndjson.zst").write_bytes(zstandard.compress(lines))
    pq.write_table(pa.table({"text": [TEXTS[0], None, *TEXTS[1:]]}), tmp_path / "a.parquet")
    (tmp_path / "other.csv").write_text("text\nx\n")
    files = text_files(tmp_path)
    assert len(files) == 7
    for path in files:
        assert list(read_texts(path)) == TEXTS, path


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder"):
        text_files(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no file"):
        text_files(tmp_path)
    cases = {
        "a.jsonl": (b'{"text": "x"}\n{"text": 3}\n', "line 2"),
        "b.jsonl": (b"not json\n", "line 1"),
        "c.jsonl": (b"[1]\n", "not a JSON object"),
        "d.txt": (b"\xff\xfe", "cannot be read"),
        "e.txt.gz": (gzip.compress(b"text" * 100)[:-10], "cannot be read"),
        "f.txt.zst": (b"no frame", "cannot be read"),
        "g.parquet": (b"PAR1", "Parquet"),
        "h.csv": (b"", "ends in"),
    }
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            list(read_texts(path))
        assert name in str(caught.value)
    pq.write_table(pa.table({"body": ["x"]}), tmp_path / "i.parquet")
    with pytest.raises(InputError, match="no column `text`"):
        list(read_texts(tmp_path / "i.parquet"))


def test_parallel_documents(tmp_path: Path) -> None:
    rows = [
        {"pair": "a", "lang": "ko", "text": "가"}, {"pair": "b", "lang": "ko", "text": "나"},
        {"pair": "a", "lang": "en", "text": "a"},
    ]  # fmt: skip
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_parallel(path) == [{"ko": "가", "en": "a"}, {"ko": "나"}]
    path.write_text('{"pair": "a", "text": "x"}\n')
    with pytest.raises(InputError, match=r"line 1: needs the strings"):
        read_parallel(path)


def _write(path: Path, prefix: str, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": f"{prefix} {i:06d}"}) + "\n" for i in range(count)))


def _random(path: Path, name: str, count: int) -> None:
    """Texts of 100 bytes that do not compress well, whatever their number."""
    rng = random.Random(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = (name + "".join(rng.choices(string.ascii_letters + string.digits, k=100 - len(name))) for _ in range(count))
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")


def test_shares_and_sources_are_balanced(tmp_path: Path) -> None:
    _random(tmp_path / "ko/huge.jsonl", "huge-", 16_000)
    _random(tmp_path / "ko/large.jsonl", "large-", 4_000)
    _random(tmp_path / "ko/small.jsonl", "small-", 160)
    _random(tmp_path / "en/one.jsonl", "one-", 4_000)
    named = [("ko", tmp_path / "ko"), ("en", tmp_path / "en")]
    shares = {"ko": 0.75, "en": 0.25}
    taken = list(files_sample(named, shares, max_bytes=5_120 * 100, seed=1))
    by_source = Counter(s.text.split("-")[0] for s in taken)
    # Korean has 3,840 texts' worth: as the square roots, 10 : 5 : 1. Small's part of 240 is more than it has.
    assert by_source["huge"] == pytest.approx(2_400, rel=0.08)
    assert by_source["large"] == pytest.approx(1_200, rel=0.08)
    assert by_source["small"] == 160
    assert by_source["one"] == pytest.approx(1_280, rel=0.08)
    assert {s.bucket for s in taken if s.text.startswith("one")} == {"en"}
    for sample in taken:
        assert sample.weight == (pytest.approx(1.5, rel=0.05) if sample.text.startswith("small") else 1.0)
    assert list(files_sample(named, shares, max_bytes=5_120 * 100, seed=1)) == taken
    assert list(files_sample(named, shares, max_bytes=5_120 * 100, seed=2)) != taken


def test_a_document_counts_at_most_twice(tmp_path: Path) -> None:
    _random(tmp_path / "ko/a.jsonl", "a-", 50)
    taken = list(files_sample([("ko", tmp_path / "ko")], {"ko": 1.0}, max_bytes=10**6, seed=1))
    assert [s.weight for s in taken] == [2.0] * 50


def test_sources_that_repeat_themselves_get_less(tmp_path: Path) -> None:
    _random(tmp_path / "ko/rich.jsonl", "rich-", 5_000)
    lines = [json.dumps({"text": f"template {i:091d}"}) + "\n" for i in range(5_000)]
    (tmp_path / "ko/poor.jsonl").write_text("".join(lines), "utf-8")
    taken = list(files_sample([("ko", tmp_path / "ko")], {}, max_bytes=3_000 * 100, seed=1))
    by_source = Counter(s.text[:4] for s in taken)
    assert by_source["rich"] > 2_800
    assert by_source["temp"] < 100
    # The order of the texts does not matter.
    (tmp_path / "ko/poor.jsonl").write_text("".join(lines[::-1]), "utf-8")
    again = list(files_sample([("ko", tmp_path / "ko")], {}, max_bytes=3_000 * 100, seed=1))
    assert sorted(again) == sorted(taken)


def test_weights_of_sources(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _random(tmp_path / f"ko/{name}.jsonl", f"{name}-", 5_000)
    named = [("ko", tmp_path / "ko")]
    taken = list(files_sample(named, {}, max_bytes=2_500 * 100, seed=1, weights={"a": 3.0}))
    by_source = Counter(s.text[0] for s in taken)
    assert by_source["a"] == pytest.approx(1_500, rel=0.08)
    assert by_source["b"] == pytest.approx(500, rel=0.12)
    with pytest.raises(InputError, match="no source has the name of a weight: none"):
        list(files_sample(named, {}, max_bytes=100, seed=1, weights={"none": 1.0}))


def test_default_shares() -> None:
    shares = default_shares(["ko", "en", "code", "ja", "zh", "ko"], 102_400)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["ko"] > 0.75
    assert default_shares(["ko", "en"], 204_800)["en"] < shares["en"] / 2
    assert default_shares(["ko"], 102_400) == {"ko": 1.0}
    assert default_shares(["en", "code"], 102_400) == {}
    assert default_shares(["ko", "de"], 102_400) == {}


def test_shares_must_name_the_buckets(tmp_path: Path) -> None:
    _write(tmp_path / "ko.jsonl", "x", 3)
    with pytest.raises(InputError, match="only in one of them: en, ko"):
        list(files_sample([("ko", tmp_path / "ko.jsonl")], {"en": 1.0}, max_bytes=100, seed=0))
    everything = files_sample([("ko", tmp_path / "ko.jsonl")], {}, max_bytes=10**6, seed=0)
    assert len(list(everything)) == 3
