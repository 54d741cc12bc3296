"""Damaged files: what is lost is what was hit, and everything is accounted for."""

import gzip
import io
import random
import time
from pathlib import Path
from typing import Any

import pytest
from fastwarc.warc import ArchiveIterator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algok.filters.reading import ReadOptions, ReadTally
from tests.filters.reading_cases import crawl, http, packed, read, record

RECORDS = crawl(20)


def members(records: list[bytes], how: str = "gz") -> list[tuple[int, int]]:
    """(start, end) of each member of a file packed per record."""
    ends, position = [], 0
    for item in records:
        size = len(packed([item], how))
        ends.append((position, position + size))
        position += size
    return ends


def flipped(data: bytes, position: int, count: int = 1) -> bytes:
    """The data with ``count`` bytes inverted."""
    piece = bytes(byte ^ 0xFF for byte in data[position : position + count])
    return data[:position] + piece + data[position + count :]


def good(rows: list[dict[str, Any]]) -> list[str]:
    return [r["url"] for r in rows if r["failed_step"] is None]


ALL = good(read(packed(RECORDS, "gz"))[0])


@pytest.mark.parametrize("how", ["gz", "zst"])
@pytest.mark.parametrize("count", [1, 20])
def test_damage_in_a_member_costs_that_record(how: str, count: int) -> None:
    data = packed(RECORDS, how)
    places = members(RECORDS, how)
    start, end = places[10]
    assert RECORDS[10].startswith(b"WARC/1.0\r\nWARC-Type: response")
    lost = RECORDS[10].split(b"WARC-Target-URI: ")[1].split(b"\r\n")[0].decode()
    for position in range(start, end - count + 1, 7):
        rows, tally = read(flipped(data, position, count))
        # A byte of the gzip header that no one reads, or of Zstandard's frame flags, may be changed without harm.
        missing = [url for url in ALL if url not in good(rows)]
        assert missing in ([], [lost]), position
        if missing:
            (bad,) = [r for r in rows if r["failed_step"]]
            assert (bad["offset"], bad["length"]) == (start, end - start)
            assert bad["error"]
            assert tally.skipped[0][:2] == (start, end)


def test_damaged_record_keeps_its_name_when_its_header_is_whole() -> None:
    # Incompressible, so that the header comes out before the damage.
    noise = random.Random(5).randbytes(20_000)
    records = [*crawl(2), record("response", http(noise), "http://noise.kr/"), *crawl(2)]
    start, end = members(records)[5]
    rows, _ = read(flipped(packed(records, "gz"), end - 100))
    (bad,) = [r for r in rows if r["failed_step"]]
    assert (bad["kind"], bad["url"], bad["failed_step"]) == ("response", "http://noise.kr/", "gzip")
    assert (bad["offset"], bad["length"]) == (start, end - start)
    assert bad["payload"] is None
    assert len(good(rows)) == 4


def test_wrong_checksum_is_damage() -> None:
    start, end = members(RECORDS)[10]
    rows, tally = read(flipped(packed(RECORDS, "gz"), end - 6))
    (bad,) = [r for r in rows if r["failed_step"]]
    assert bad["url"] == "http://example.kr/page/4"
    assert bad["failed_step"] == "gzip"
    assert "checksum" in bad["error"]
    assert dict(tally.failed) == {"gzip": 1}
    assert start == bad["offset"]


def test_damage_in_a_request_leaves_a_gap() -> None:
    start, end = members(RECORDS)[9]
    rows, tally = read(flipped(packed(RECORDS, "gz"), start + 40, 20))
    assert good(rows) == ALL
    (bad,) = [r for r in rows if r["failed_step"]]
    assert (bad["kind"], bad["offset"], bad["length"]) == ("gap", start, end - start)
    assert tally.kinds["request"] == 19


@pytest.mark.parametrize("how", ["gz", "zst", "plain", "gz-whole", "zst-whole", "gz-blocks"])
def test_truncation_at_every_place(how: str) -> None:
    data = packed(crawl(4), how)
    whole = good(read(data)[0])
    for size in range(1, len(data), max(1, len(data) // 150)):
        rows, tally = read(data[:size], form="warc" + {"gz": ".gz", "zs": ".zst", "pl": ""}[how[:2]])
        assert good(rows) == whole[: len(good(rows))]
        failed = [r for r in rows if r["failed_step"]]
        assert len(failed) <= 2
        assert tally.bytes_read == size


def test_damage_in_a_file_compressed_as_a_whole_keeps_what_came_before() -> None:
    data = packed(RECORDS, "gz-whole")
    rows, tally = read(flipped(data, len(data) * 3 // 4, 20))
    assert good(rows)[:10] == ALL[:10]
    assert tally.failed
    assert tally.skipped[-1][1] == len(data)


def test_garbage_between_members_is_one_gap_and_zeros_are_padding() -> None:
    places = members(RECORDS)
    data = packed(RECORDS, "gz")
    cut = places[7][0]
    rows, tally = read(data[:cut] + b"garbage" * 10 + data[cut:] + b"\0" * 512)
    assert good(rows) == ALL
    (gap,) = [r for r in rows if r["failed_step"]]
    assert (gap["kind"], gap["offset"], gap["length"]) == ("gap", cut, 70)
    assert tally.skipped == [
        (cut, cut + 70, "no compressed member"),
        (len(data) + 70, len(data) + 70 + 512, "padding"),
    ]


def test_a_wrong_length_in_a_plain_file_costs_little() -> None:
    for wrong in ("10", "100000000"):
        bad = record("response", http(b"<p>bad</p>"), "http://bad.kr/", Content_Length=wrong)
        rows, _ = read(b"".join([*crawl(2), bad, *crawl(3)]))
        names = good(rows)
        assert names[:2] == ["http://example.kr/page/0", "http://example.kr/page/1"]
        assert any(r["failed_step"] for r in rows)
        if wrong == "10":
            assert names[2:] == [f"http://example.kr/page/{i}" for i in range(3)]
            (bad_row,) = [r for r in rows if r["failed_step"]]
            assert (bad_row["url"], bad_row["failed_step"]) == ("http://bad.kr/", "header")


def test_long_garbage_is_searched_in_bounded_time() -> None:
    data = b"".join(crawl(1)) + b"\r\n" * 200_000 + b"x" * 3_000_000 + b"".join(crawl(1))
    begin = time.process_time()
    rows, _ = read(data)
    assert time.process_time() - begin < 5
    assert len(good(rows)) == 2
    hostile = gzip.compress(b"WARC/1.0\r\n" + b"a: b\r\n" * 500_000) + packed(crawl(1), "gz")
    begin = time.process_time()
    rows, _ = read(hostile)
    assert time.process_time() - begin < 5
    assert len(good(rows)) == 1


def test_decompression_bomb_costs_one_row_and_little_memory() -> None:
    bomb = record("response", http(b"\0" * 200_000_000), "http://bomb.kr/")
    rows, _ = read(packed([*crawl(1), bomb, *crawl(1)], "gz"))
    assert [(r["url"], r["failed_step"]) for r in rows] == [
        ("http://example.kr/page/0", None),
        ("http://bomb.kr/", "size"),
        ("http://example.kr/page/0", None),
    ]


def accounted(data: bytes, rows: list[dict[str, Any]], tally: ReadTally) -> None:
    """Whatever was read: the counts agree, ranges lie in the file, offsets ascend."""
    assert tally.rows == len(rows)
    assert sum(tally.failed.values()) == sum(r["failed_step"] is not None for r in rows)
    assert all((r["failed_step"] is None) == (r["error"] is None) for r in rows)
    assert all((r["payload"] is not None) == (r["failed_step"] is None) for r in rows)
    assert all(0 <= start < end <= len(data) for start, end, _ in tally.skipped)
    kinds = sum(tally.kinds[k] for k in ("response", "resource", "conversion", "gap"))
    assert kinds == len(rows)
    assert tally.bytes_read == len(data)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_archives_never_crash_and_nothing_vanishes(data: st.DataObject) -> None:
    how = data.draw(st.sampled_from(["gz", "plain", "zst", "gz-whole", "gz-blocks"]))
    content = bytearray(packed(crawl(4), how))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        what = data.draw(st.sampled_from(["flip", "delete", "insert", "copy"]))
        count = data.draw(st.integers(1, 60))
        if what == "flip":
            content[at] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "delete":
            del content[at : at + count]
        elif what == "insert":
            content[at:at] = data.draw(st.binary(max_size=60))
        else:
            content[at:at] = content[:count]
        if not content:
            content.append(0)
    form = "warc" + {"gz": ".gz", "zs": ".zst", "pl": ""}[how[:2]]
    rows, tally = read(bytes(content), form=form)
    accounted(bytes(content), rows, tally)
    if how in ("gz", "zst", "plain"):
        # In however many pieces: the same rows.
        again, other = read(bytes(content), ReadOptions(split_bytes=data.draw(st.integers(100, 3000))), form=form)
        if how != "plain":
            assert again == rows
            assert other.skipped == tally.skipped


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_as_any_format(content: bytes) -> None:
    content = content or b"\0"
    for form in ("warc", "warc.gz", "warc.zst", "arc", "arc.gz"):
        rows, tally = read(b"WARC/1.0\r\n" + content if form == "warc" else content, form=form)
        assert tally.rows == len(rows)
    for form in ("jsonl", "jsonl.gz", "jsonl.zst"):
        read(content, form=form)


@pytest.mark.shared
def test_mini_crawl_damaged(shared_data: Path) -> None:
    """One byte, 20 bytes and truncation in a real file, beside fastwarc, which stops at the damage."""
    data = (shared_data / "mini_crawl" / "MINI-DEV-00006.warc.gz").read_bytes()
    whole = good(read(data)[0])
    rng = random.Random(0)
    for count in (1, 20):
        for _ in range(20):
            broken = flipped(data, rng.randrange(1000, len(data) - count), count)
            rows, tally = read(broken)
            assert len(good(rows)) >= len(whole) - 2
            assert len(rows) <= len(whole) + 1
            accounted(broken, rows, tally)
    middle = flipped(data, len(data) // 2, 20)
    theirs = 0
    try:
        for _ in ArchiveIterator(io.BytesIO(middle)):
            theirs += 1
    except Exception:
        pass
    assert sum(read(middle)[1].kinds.values()) > theirs
