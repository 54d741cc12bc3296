"""JSONL and Parquet: columns, bad lines, nested text, null text."""

import datetime as dt
import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from algok.errors import InputError
from algok.filters.reading import ReadOptions, plan_splits
from tests.filters.reading_cases import of_bytes, read

NAMED = ReadOptions(
    id_column="id", url_column="meta.url", language_column="lang", date_column="date", language="ko", batch_rows=2
)


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_jsonl_columns_and_bad_lines(pack: object) -> None:
    lines = [
        '\ufeff{"id": 7, "text": "첫째", "meta": {"url": "http://a.kr/"}, "lang": "en", "date": "2024-05-01"}',
        "not json",
        "",
        '{"id": "x", "text": null}',
        '{"id": "x"}',
        '{"text": 12}',
        "[1]",
        '{"text": ["a", null, "b"], "meta": 3, "date": 86400}',
        '{"text": ""}',
        '{"text": "lone \\ud800 surrogate"}',
        '{"text": "cut',
    ]
    rows, tally = read(pack("\n".join(lines).encode("utf-8", "surrogatepass")), NAMED)  # type: ignore[operator]
    assert [r["offset"] for r in rows] == [0, 1, 3, 4, 5, 6, 7, 8, 9, 10]
    first = rows[0]
    assert (first["record_id"], first["text"], first["url"], first["language_hint"]) == (
        "7",
        "첫째",
        "http://a.kr/",
        "en",
    )
    assert first["captured"] == dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    assert (first["kind"], first["length"], first["payload"], first["http_status"]) == ("row", 1, None, None)
    assert [r["failed_step"] for r in rows] == [
        *(None, "json", "text", "text", "text", "json"),
        *(None, None, None if rows[8]["failed_step"] is None else "json", "json"),
    ]
    assert rows[1]["error"].startswith("line 2: ")
    assert rows[6]["text"] == "a\nb"
    assert rows[6]["language_hint"] == "ko"
    assert rows[6]["captured"] == dt.datetime(1970, 1, 2, tzinfo=dt.UTC)
    assert rows[7]["text"] == ""
    assert tally.kinds == {"row": 10}


def test_long_lines_cost_one_row() -> None:
    line = '{"text": "' + "가" * 3_000_000 + '"}'
    data = f'{{"text": "a"}}\n{line}\n{{"text": "b"}}\n'.encode()
    rows, _ = read(data, ReadOptions(max_record_bytes=1 << 20))
    assert [(r["text"], r["failed_step"]) for r in rows] == [("a", None), (None, "size"), ("b", None)]
    rows, _ = read(gzip.compress(data))
    assert len(rows[1]["text"]) == 3_000_000


def test_deep_nesting_is_a_bad_line() -> None:
    rows, _ = read(b'{"text": "a", "x": ' + b"[" * 200_000 + b"}\n" + b'{"text": "b"}\n')
    assert [r["failed_step"] for r in rows] == ["json", None]


def test_damaged_jsonl_gz_keeps_the_lines_before_and_accounts_for_the_rest() -> None:
    text = "".join(f'{{"text": "{i * 7919 % 100_003} {i}"}}\n' for i in range(20_000)).encode()
    data = bytearray(gzip.compress(text))
    data[len(data) // 2] ^= 0xFF
    rows, tally = read(bytes(data))
    gap = [r for r in rows if r["kind"] == "gap"]
    assert len(gap) == 1
    assert gap[0]["failed_step"] == "gzip"
    sound = [r for r in rows if r["failed_step"] is None]
    assert 8_000 < len(sound) < 20_000
    assert tally.skipped[0][1] == len(data)
    rows, _ = read(gzip.compress(text)[:-1000])
    assert {r["failed_step"] for r in rows} >= {None, "gzip"}


def test_parquet_columns() -> None:
    stamp = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)
    table = pa.table(
        {
            "id": [1, 2, 3],
            "text": pa.array(["가", None, "나"], pa.large_string()),
            "meta": [{"url": "http://a.kr/"}, None, {"url": None}],
            "lang": pa.array(["en", None, ""]).dictionary_encode(),
            "date": [stamp, None, stamp],
            "unused": [b"x", b"y", b"z"],
        }
    )
    rows, tally = read(parquet(table), NAMED)
    assert [r["text"] for r in rows] == ["가", None, "나"]
    assert [r["failed_step"] for r in rows] == [None, "text", None]
    assert [r["record_id"] for r in rows] == ["1", "2", "3"]
    assert [r["url"] for r in rows] == ["http://a.kr/", None, None]
    assert [r["language_hint"] for r in rows] == ["en", "ko", "ko"]
    assert [r["captured"] for r in rows] == [stamp, None, stamp]
    assert dict(tally.failed) == {"text": 1}


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (pa.array(["가", "나"]), "text"),
        (pa.array(["가", "나"]).dictionary_encode(), "text"),
        (pa.array(["가", "나"], pa.string_view()), "text"),
        (pa.array(["가".encode(), "나".encode()]), "text"),
        (pa.array([["가"], ["나"]]), "text"),
        (pa.array([{"body": {"value": "가"}}, {"body": {"value": "나"}}]), "text.body.value"),
        (pa.array(["가", "나"]), "a.b"),
    ],
)
def test_text_types(column: pa.Array, name: str) -> None:
    table = pa.table({"a.b" if name == "a.b" else "text": column})
    rows, _ = read(parquet(table), ReadOptions(text_column=name))
    assert [r["text"] for r in rows] == ["가", "나"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReadOptions(text_column="body"), r"no column 'body' \(set by text_column\); the file has text, n, s, s\.x"),
        (ReadOptions(url_column="s.y"), r"no column 's\.y' \(set by url_column\)"),
        (ReadOptions(text_column="n"), r"column 'n' \(set by text_column\) holds int64"),
    ],
)
def test_missing_columns_are_named(options: ReadOptions, message: str) -> None:
    data = parquet(pa.table({"text": ["a"], "n": [1], "s": [{"x": 1}]}))
    with pytest.raises(InputError, match="test: " + message):
        plan_splits("s", "test", len(data), "parquet", of_bytes(data), options)


def test_broken_parquet() -> None:
    with pytest.raises(InputError, match="unreadable Parquet"):
        read(b"PAR1" + b"x" * 100)
    noise = [f"{i * 7919 % 100_003}" * 5 for i in range(50_000)]
    data = bytearray(parquet(pa.table({"text": noise})))
    for i in range(2000, 60_000):
        data[i] ^= 0x55
    rows, tally = read(bytes(data))
    failed = [r for r in rows if r["failed_step"]]
    assert failed
    assert failed[0]["kind"] == "gap"
    assert failed[0]["failed_step"] == "parquet"
    assert sum(r["length"] for r in rows) == 50_000
    assert tally.failed["parquet"] == len(failed)


def test_empty_parquet() -> None:
    rows, tally = read(parquet(pa.table({"text": pa.array([], pa.string())})))
    assert rows == []
    assert tally.rows == 0
