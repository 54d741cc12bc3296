"""PageExtractor: every row comes out, with the right outcome and reason."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from algok.errors import RecipeError, StageError
from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.schema import DOCUMENTS, RECORDS

DECODER = "tests.filters.plain_decoder:decode"
PARAGRAPH = "이 문단은 본문으로 남을 만큼 길고, 사람이 쓴 것처럼 마침표로 끝난다. 그래서 추출기가 버리지 않는다. "
PAGE = (
    f"<html><head><title>제목</title></head><body><article><h1>제목</h1><p>{PARAGRAPH * 5}</p></article></body></html>"
)


def identity(url: str, captured: int | None, digest: bytes) -> tuple[bytes, str]:
    return digest, url.split("/")[2] if "//" in url else ""


def record(payload: bytes | str | None = PAGE, **other: Any) -> dict[str, Any]:
    if isinstance(payload, str):
        payload = payload.encode("utf-8", "surrogatepass")
    row: dict[str, Any] = dict.fromkeys(RECORDS.names)
    return (
        row
        | {"source": "test", "file": "f", "offset": 0, "length": 1, "kind": "response", "url": "http://a.kr/b"}
        | {"captured": datetime(2020, 1, 2, tzinfo=UTC), "http_status": 200, "media_type": "text/html"}
        | {"payload": payload}
        | other
    )


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=RECORDS)


def extractor(**options: Any) -> PageExtractor:
    return PageExtractor(ExtractOptions(**options), decoder=DECODER, identity=identity)


@pytest.fixture(scope="module")
def shared_extractor():
    with extractor(time_limit_s=3) as one:
        yield one


def outcome(row: dict[str, Any]) -> tuple[str, str | None]:
    return row["outcome"], row["reason"]


CASES = {
    "page": (record(), ("kept", None)),
    "reader failure": (record(None, failed_step="gzip", error="crc"), ("failed", "gzip")),
    "not found": (record(http_status=404), ("rejected", "http_status")),
    "image": (record(b"\x89PNG", media_type="image/png"), ("rejected", "media_type")),
    "no media type, no HTML": (record(b"%PDF-1.4", media_type=None), ("rejected", "media_type")),
    "no media type, HTML": (record(media_type=None), ("kept", None)),
    "plain text": (record("한국어 글\r\n둘째 줄", media_type="text/plain"), ("kept", None)),
    "HTML served as plain text": (record(media_type="text/plain"), ("kept", None)),
    "text of a WET": (record(None, text="글", media_type=None, http_status=None), ("kept", None)),
    "blank text": (record(None, text=" \n", media_type=None, http_status=None), ("rejected", "empty")),
    "neither": (record(None), ("rejected", "empty")),
    "empty payload": (record(b""), ("rejected", "empty")),
    "only a script": (record("<html><body><script>var a=1</script></body></html>"), ("rejected", "empty")),
    "200k nested divs": (record("<div>" * 200_000 + "text"), ("failed", "depth")),
    "60k links": (record("<html><body>" + "<a href=x>y</a> " * 60_000), ("failed", "links")),
    "large": (record("<html><body><p>" + "x " * 7_000_000), ("failed", "size")),
    "1 MB attribute": (record(PAGE.replace("<p>", f"<p title='{'x' * 1_000_000}'>")), ("kept", None)),
    "NULs": (record(PAGE.replace("본문", "본\0문")), ("kept", None)),
    "lone surrogate": (record(PAGE.replace("본문", "본\ud800문")), ("kept", None)),
    "entity bomb": (
        record(
            "<!DOCTYPE html [<!ENTITY a 'aaaaaaaaaa'>"
            + "".join(f"<!ENTITY b{i} '{f'&b{i - 1};' * 10 if i else '&a;' * 10}'>" for i in range(12))
            + f"]><html><body><p>&b11; {PARAGRAPH * 5}</p></body></html>"
        ),
        ("kept", None),
    ),
    "endless script": (record(PAGE.replace("<p>", "<p>x</p><script>" + "<div>" * 50_000)), None),
    "unclosed comments": (record("<!--<script><!--" * 20_000 + PAGE), None),
}


@pytest.mark.parametrize("name", CASES)
def test_outcome(name: str, shared_extractor: PageExtractor) -> None:
    row, expected = CASES[name]
    (document,) = shared_extractor.extract(batch(row)).to_pylist()
    if expected is not None:
        assert outcome(document) == expected, document["detail"]
    assert (document["reason"] is None) == (document["outcome"] == "kept")
    assert (document["text"] is None) == (document["outcome"] != "kept")
    if document["outcome"] != "kept":
        assert document["detail"]
    else:
        assert "\0" not in document["text"]
        assert "\r" not in document["text"]


def test_one_row_per_row_in_order(shared_extractor: PageExtractor) -> None:
    rows = [row | {"record_id": name} for name, (row, _) in CASES.items()]
    out = shared_extractor.extract(batch(*rows))
    assert out.schema.equals(DOCUMENTS, check_metadata=True)
    assert out.column("record_id").to_pylist() == list(CASES)
    single = [shared_extractor.extract(batch(row)).to_pylist()[0] for row in rows]
    assert out.to_pylist() == single  # no dependence on batch borders
    assert shared_extractor.extract(batch()).num_rows == 0


def test_identity_and_passed_text(shared_extractor: PageExtractor) -> None:
    wet = record(None, text="a\r\nb\0c\n", media_type=None, http_status=None)
    (document,) = shared_extractor.extract(batch(wet)).to_pylist()
    assert document["text"] == "a\nbc"
    assert document["charset_source"] == "text"
    assert document["host"] == "a.kr"
    assert len(document["doc_id"]) == 16
    assert document["html_bytes"] is None
    assert document["boilerplate_ratio"] is None


def test_text_that_is_no_utf8_costs_no_batch(shared_extractor: PageExtractor) -> None:
    rows = batch(*[record(None, text="abcde", media_type=None, http_status=None)] * 2)
    broken = pa.Array.from_buffers(
        pa.large_string(), 2, [None, pa.array([0, 5, 10], pa.int64()).buffers()[1], pa.py_buffer(b"ab\xed\xa0cdefgh")]
    )
    columns = [broken if name == "text" else rows.column(name) for name in RECORDS.names]
    out = shared_extractor.extract(pa.RecordBatch.from_arrays(columns, schema=RECORDS)).to_pylist()
    assert [row["outcome"] for row in out] == ["kept", "kept"]
    assert out[0]["text"].startswith("ab\ufffd")
    assert out[0]["replaced"] >= 1
    assert out[1]["replaced"] == 0


class TestLimits:
    def test_time_limit_spares_the_mates(self) -> None:
        slow = record("<html><body>" + "<p><a href=x>y</a> z</p>" * 60_000)
        with extractor(time_limit_s=0.3, max_links=10**6) as one:
            out = one.extract(batch(record(), slow, record())).to_pylist()
        assert [outcome(row) for row in out] == [("kept", None), ("failed", "timeout"), ("kept", None)]
        assert "0.3" in out[1]["detail"]

    def test_c_call_that_never_returns_is_killed(self) -> None:
        with PageExtractor(
            ExtractOptions(time_limit_s=0.3), decoder="tests.filters.hostile_decoder:decode", identity=identity
        ) as one:
            rows = [
                record(),
                record(f"hang{PAGE}"),
                record(),
                record(f"crash{PAGE}"),
                record(f"memory{PAGE}"),
                record(),
            ]
            out = one.extract(batch(*rows)).to_pylist()
        assert [outcome(row) for row in out] == [
            ("kept", None),
            ("failed", "timeout"),
            ("kept", None),
            ("failed", "extract"),
            ("failed", "memory"),
            ("kept", None),
        ]
        assert "SIGSEGV" in out[3]["detail"]

    def test_memory_limit(self) -> None:
        large = record("<html><body>" + "<p>x <b>y</b></p>" * 600_000)
        with extractor(memory_limit_mb=96) as one:
            out = one.extract(batch(record(), large, record())).to_pylist()
        assert [outcome(row) for row in out] == [("kept", None), ("failed", "memory"), ("kept", None)]

    def test_child_killed_from_outside_costs_nothing(self) -> None:
        with extractor() as one:
            first = one.extract(batch(record())).to_pylist()
            os.kill(one.child_pid, signal.SIGKILL)
            assert one.extract(batch(record())).to_pylist() == first

    def test_child_is_replaced_after_its_share(self) -> None:
        with extractor(pages_per_child=2) as one:
            one.extract(batch(*[record()] * 2))
            before = one.child_pid
            one.extract(batch(record()))
            assert one.child_pid != before


def test_no_child_outlives_its_parent() -> None:
    code = (
        "import os\nfrom tests.filters.test_extraction import *\n"
        "one = extractor(); one.extract(batch(record())); print(one.child_pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    pid = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        stat = Path(f"/proc/{pid}/stat").read_text()  # an orphan that init has not reaped yet is dead as well
        if stat.rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child still runs")


def test_close_leaves_no_process_and_reopens() -> None:
    one = extractor()
    one.extract(batch(record()))
    pid = one.child_pid
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert one.extract(batch(record())).to_pylist()[0]["outcome"] == "kept"
    one.close()


def test_works_in_threads() -> None:
    results: list[pa.RecordBatch] = []

    def work() -> None:
        with extractor() as one:
            results.append(one.extract(batch(*[record()] * 5)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    assert all(result.equals(results[0]) for result in results)


def test_in_process_gives_the_same_rows(shared_extractor: PageExtractor) -> None:
    rows = batch(record(), record("<html><body></body></html>"), record(http_status=500))
    with extractor(sandbox=False) as one:
        assert one.extract(rows).equals(shared_extractor.extract(rows))


def test_blocks_cannot_tell_comments() -> None:
    with pytest.raises(RecipeError, match=r"extract\.comments.*cascade"):
        ExtractOptions(engine="blocks", comments=True)


def test_decoder_that_is_not_there_is_an_error_that_helps() -> None:
    one = PageExtractor(decoder="tests.filters.no_such:decode", identity=identity)
    with pytest.raises(StageError, match="no_such"):
        one.extract(batch(record()))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", "magic"),
        ("focus", "all"),
        ("time_limit_s", 0),
        ("memory_limit_mb", 1),
        ("max_depth", 100_000),
        ("sure", 85),
    ],
)
def test_bad_options_name_the_field(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=f"extract.{name}.*{value}"):
        ExtractOptions(**{name: value})  # type: ignore[arg-type]
