"""Archives: formats, compressions, kinds, fields; oracles fastwarc and warcio."""

import datetime as dt
import gzip
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from algok.errors import InputError, RecipeError
from algok.filters.reading import HEAD_BYTES, ReadOptions, ReadTally, detect_format, plan_splits, read_split
from tests.filters.reading_cases import crawl, http, of_bytes, packed, read, record

PACKINGS = ["plain", "gz", "gz-whole", "gz-blocks", "zst", "zst-whole", "zst-dictionary"]


@pytest.mark.parametrize("how", PACKINGS)
def test_every_packing_gives_the_same_records(how: str) -> None:
    records = crawl(12)
    rows, tally = read(packed(records, how))
    plain, _ = read(packed(records, "plain"))
    drop = ("offset", "length")
    assert [{k: v for k, v in r.items() if k not in drop} for r in rows] == [
        {k: v for k, v in r.items() if k not in drop} for r in plain
    ]
    assert len(rows) == 12
    assert dict(tally.kinds) == {"warcinfo": 1, "request": 12, "response": 12}
    assert not tally.failed
    assert not tally.skipped
    assert tally.bytes_read == len(packed(records, how))


def test_row_holds_what_the_record_says() -> None:
    body = "<p>한국어</p>".encode("cp949")
    block = http(body, "Content-Type: Text/HTML; Charset=EUC-KR", "X-Other: 1", status="HTTP/1.1 404 Not Found")
    (row,), _ = read(packed([record("response", block, "http://a.kr/가?x=1")], "gz"))
    assert row["source"] == "s"
    assert row["file"] == "test"
    assert row["kind"] == "response"
    assert row["record_id"] == "<urn:test:response:http://a.kr/가?x=1>"
    assert row["url"] == "http://a.kr/가?x=1"
    assert row["captured"] == dt.datetime(2025, 8, 21, 10, 29, 40, tzinfo=dt.UTC)
    assert (row["http_status"], row["media_type"], row["http_charset"]) == (404, "text/html", "EUC-KR")
    assert row["payload"] == body
    assert row["text"] is None
    assert row["failed_step"] is None
    assert row["error"] is None


def test_offsets_and_lengths_cut_the_record_out_of_the_file() -> None:
    records = crawl(5)
    for how in ("gz", "plain"):
        data = packed(records, how)
        rows, _ = read(data)
        for row in rows:
            piece = data[row["offset"] : row["offset"] + row["length"]]
            content = gzip.decompress(piece) if how == "gz" else piece
            assert content.startswith(b"WARC/1.0\r\nWARC-Type: response")
            assert row["payload"] in content


def test_other_kinds_are_counted_and_conversions_carry_text() -> None:
    records = [
        record("warcinfo", b"x"),
        record("metadata", b"x", "http://a.kr/"),
        record("revisit", http(b""), "http://a.kr/"),
        record("continuation", b"x", "http://a.kr/"),
        record("resource", b"plain", "urn:x", Content_Type="text/plain; charset=utf-8"),
        record("response", b"20250821 1.2.3.4", "dns:a.kr", Content_Type="text/dns"),
        record("conversion", "본문\n둘째 줄".encode(), "http://a.kr/", WARC_Identified_Content_Language="kor,eng"),
    ]
    rows, tally = read(packed(records, "gz"))
    assert dict(tally.kinds) == dict.fromkeys(
        ("warcinfo", "metadata", "revisit", "continuation", "resource", "dns", "conversion"), 1
    )
    resource, conversion = rows
    assert (resource["kind"], resource["payload"], resource["http_charset"]) == ("resource", b"plain", "utf-8")
    assert resource["http_status"] is None
    assert (conversion["text"], conversion["payload"]) == ("본문\n둘째 줄", None)
    assert conversion["language_hint"] == "kor"


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2025-08-21T10:29:40Z", 1755772180),
        ("2025-08-21T10:29:40.999Z", 1755772180),
        ("2016-12-31T23:59:60Z", 1483228799),
        ("2016", 1451606400),
        ("2016-02", 1454284800),
        ("1969-12-31T23:59:59Z", -1),
        ("2025-13-21T10:29:40Z", None),
        ("gestern", None),
        ("-", None),
    ],
)
def test_dates_of_every_precision(date: str, expected: int | None) -> None:
    (row,), _ = read(record("response", http(b"x"), "http://a.kr/", WARC_Date=date))
    assert (row["captured"].timestamp() if row["captured"] else None) == expected


def test_missing_url_brackets_folded_and_repeated_fields() -> None:
    data = record("response", http(b"x"), WARC_Target_URI="<http://a.kr/>")
    data += record("response", http(b"x"))
    data += record("response", http(b"x"), "http://a.kr/\r\n b", warc_target_uri="http://second.kr/")
    rows, _ = read(data)
    assert [r["url"] for r in rows] == ["http://a.kr/", None, "http://a.kr/ b"]


def test_line_feeds_alone_end_lines() -> None:
    data = record("response", http(b"<p>\n\n</p>\r\n\r\nx"), "http://a.kr/")
    head, _, block = data.partition(b"\r\n\r\n")
    rows, tally = read(head.replace(b"\r\n", b"\n") + b"\n\n" + block)
    assert rows[0]["payload"] == b"<p>\n\n</p>\r\n\r\nx"
    assert not tally.skipped


def test_a_page_about_warc_files_is_one_record() -> None:
    inner = b"".join(crawl(3))
    for how in ("plain", "gz", "gz-whole"):
        rows, tally = read(packed([record("response", http(inner), "http://a.kr/"), *crawl(1)], how))
        assert [r["url"] for r in rows] == ["http://a.kr/", "http://example.kr/page/0"]
        assert rows[0]["payload"] == inner
        assert not tally.skipped


def test_record_over_the_limit_is_a_failed_row() -> None:
    records = crawl(3)
    big = record("response", http(b"x" * 5000), "http://big.kr/")
    for how in PACKINGS:
        data = packed([*records, big, *records], how)
        rows, tally = read(data, ReadOptions(max_record_bytes=4000))
        failed = [r for r in rows if r["failed_step"]]
        assert [(r["url"], r["failed_step"], r["payload"]) for r in failed] == [("http://big.kr/", "size", None)]
        assert "max_record_bytes = 4000" in failed[0]["error"]
        assert len(rows) == 7
        assert dict(tally.failed) == {"size": 1}


def test_no_length_takes_the_member() -> None:
    data = gzip.compress(record("response", http(b"body"), "http://a.kr/", Content_Length="-"))
    (row,), _ = read(data + packed(crawl(0), "gz"))
    assert row["payload"] == b"body"
    rows, _ = read(record("response", http(b"body"), "http://a.kr/", Content_Length="-") + b"".join(crawl(1)))
    assert [(r["kind"], r["failed_step"]) for r in rows] == [
        ("response", "header"),
        ("gap", "header"),
        ("response", None),
    ]


def test_batches_are_bounded_in_rows_and_bytes() -> None:
    data = packed(crawl(50, size=2000), "gz")
    options = ReadOptions(batch_rows=7)
    (split,) = plan_splits("s", "f", len(data), "warc.gz", of_bytes(data), options)
    sizes = [b.num_rows for b in read_split(split, of_bytes(data), options, ReadTally())]
    assert sizes == [7] * 7 + [1]
    options = ReadOptions(batch_bytes=10_000)
    payloads = [
        sum(map(len, b.column("payload").to_pylist())) for b in read_split(split, of_bytes(data), options, ReadTally())
    ]
    assert len(payloads) > 3
    assert max(payloads) < 10_000 + 3000


def test_empty_files_give_nothing() -> None:
    for data, form in ((b"", "empty"), (gzip.compress(b"", mtime=0), "empty.gz"), (b"\n\n", "empty")):
        assert detect_format("f", data) == form
        rows, tally = read(data)
        assert rows == []
        assert tally.bytes_read == len(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"WARC/1.1\r\n", "warc"),
        (record("warcinfo", b"x") + record("conversion", b"x", "u:"), "wet"),
        (gzip.compress(record("warcinfo", b"x")) + gzip.compress(record("conversion", b"x", "u:")), "wet.gz"),
        (packed(crawl(2), "zst"), "warc.zst"),
        (packed(crawl(9), "zst-dictionary"), "warc.zst"),
        (b"filedesc://x 0.0.0.0 20140102000000 text/plain 10\n", "arc"),
        (b'\xef\xbb\xbf{"text": "x"}\n', "jsonl"),
        (gzip.compress(b'{"text": "x"}\n', mtime=0), "jsonl.gz"),
        (b"PAR1....", "parquet"),
    ],
)
def test_format_is_told_by_content(data: bytes, expected: str) -> None:
    assert detect_format("misleading.txt", data[:HEAD_BYTES]) == expected


@pytest.mark.parametrize(
    "data", [b"%PDF-1.4", b"[1, 2]", gzip.compress(b"id,text\n", mtime=0), b"\0" * 100, b"\x1f\x8b\x08"]
)
def test_unknown_format_names_the_file(data: bytes) -> None:
    if data == b"\x1f\x8b\x08":
        assert detect_format("x", data) == "empty.gz"
        return
    with pytest.raises(InputError, match=r"^in/x\.bin: unknown format"):
        detect_format("in/x.bin", data)


def test_options_name_the_bad_value() -> None:
    for key, value in (("batch_rows", 0), ("split_bytes", -1), ("max_record_bytes", 1 << 40), ("text_column", "")):
        with pytest.raises(RecipeError, match=key):
            ReadOptions(**{key: value})


@pytest.mark.shared
def test_mini_crawl_equals_fastwarc(shared_data: Path) -> None:
    path = shared_data / "mini_crawl" / "MINI-DEV-00006.warc.gz"
    rows, _ = read(path.read_bytes())
    with path.open("rb") as file:
        expected = [
            (r.record_id, r.headers["WARC-Target-URI"], r.stream_pos, r.http_headers.status_code, r.reader.read())
            for r in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True)
        ]
    got = [(r["record_id"], r["url"], r["offset"], r["http_status"], r["payload"]) for r in rows]
    assert len(got) > 4
    assert got == expected


#: What the samples hold beyond their sound records: (rows, failed rows by step).
SAMPLES = {
    "badexample.arc.gz": (3, {"header": 1, "truncated": 1}),
    "bad.arc": (3, {"header": 2}),
    "example-space-in-url.arc": (1, {"truncated": 1}),
    "example-trunc.warc": (2, {"header": 1}),
}


@pytest.mark.shared
def test_samples_of_real_tools(shared_data: Path) -> None:
    """Every record that warcio sees in the samples is seen, with the same payload where both decode it."""
    paths = [p for p in sorted((shared_data / "warc_samples").glob("*/*")) if p.is_file()]
    assert len(paths) > 25
    for path in paths:
        rows, tally = read(path.read_bytes())
        failed = SAMPLES.get(path.name, (None, {}))[1]
        assert dict(tally.failed) == failed, path.name
        good = {
            r["url"].replace("%20", " "): r["payload"]
            for r in rows
            if r["failed_step"] is None and r["payload"] is not None
        }
        theirs = {}
        try:
            with path.open("rb") as file:
                for r in WarcioIterator(file, arc2warc=True):
                    if r.rec_type in ("response", "resource") and not r.rec_headers["WARC-Target-URI"].startswith(
                        "dns:"
                    ):
                        url = r.rec_headers["WARC-Target-URI"].strip("<>").replace("%20", " ")
                        theirs[url] = r.content_stream().read()
        except Exception:  # warcio stops at the damage of some samples
            pass
        if path.name == "bad.arc":
            # warcio takes a record whose length is "abc" for an empty one of the same URL.
            theirs.clear()
        for url, payload in theirs.items():
            if url in good:
                assert payload in (good[url], b""), (path.name, url)
            else:
                assert failed, (path.name, url)
