"""Pieces of files: together they give what the whole gives, in whatever size."""

import gzip
import io
import pickle
import random
import tracemalloc
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algok.filters.reading import ReadOptions, ReadTally, Split, plan_splits, read_split
from tests.filters.reading_cases import crawl, http, of_bytes, of_disk, packed, read, record


@pytest.mark.parametrize("how", ["gz", "zst", "plain", "zst-dictionary", "gz-whole", "gz-blocks", "zst-whole"])
def test_union_of_pieces_is_the_whole_for_every_size(how: str) -> None:
    data = packed(crawl(6, size=60), how)
    whole, tally = read(data)
    sizes = [1, 2, 7, 50, 51, 52, 53, 99, *range(100, len(data) + 10, 61)]
    counts = set()
    for size in sizes:
        rows, parts = read(data, ReadOptions(split_bytes=size))
        assert rows == whole, size
        assert parts.kinds == tally.kinds
        form = "warc" + {"gz": ".gz", "zs": ".zst", "pl": ""}[how[:2]]
        counts.add(len(plan_splits("s", "f", len(data), form, of_bytes(data), ReadOptions(split_bytes=size))))
    assert (counts == {1}) == (how in ("gz-whole", "gz-blocks", "zst-whole"))


def test_pieces_of_a_file_with_padding_and_garbage() -> None:
    records = [gzip.compress(r, mtime=0) for r in crawl(6)]
    data = b"".join(
        r + (b"\0" * 100, b"junk", b"", gzip.compress(b"no record", mtime=0))[i % 4] for i, r in enumerate(records)
    )
    whole, tally = read(data)
    assert sum(r["failed_step"] is not None for r in whole) > 3
    for size in range(1, len(data), 97):
        rows, parts = read(data, ReadOptions(split_bytes=size))
        assert rows == whole, size
        assert parts.skipped == tally.skipped


def test_a_page_about_warc_files_does_not_move_the_borders_of_plain_pieces() -> None:
    inner = b"".join(crawl(20, size=50))
    data = b"".join([*crawl(2), record("response", http(inner), "http://a.kr/"), *crawl(2)])
    whole, _ = read(data)
    for size in range(50, len(data), 333):
        assert read(data, ReadOptions(split_bytes=size))[0] == whole


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_an_archive_within_a_page_does_not_move_the_borders(how: str) -> None:
    """The inner members do not compress and stand in the outer one as they are."""
    noise = random.Random(1)
    inner = packed([record("response", http(noise.randbytes(3000)), f"http://inner.kr/{i}") for i in range(200)], how)
    outer = record("response", http(inner, "Content-Type: application/warc"), "http://outer.kr/")
    stored = gzip.compress(outer, 0, mtime=0) if how == "gz" else packed([outer], how)
    data = packed(crawl(3), how) + stored + packed(crawl(30, size=40_000), how)
    assert any(inner[at : at + 1000] in data for at in range(100_000, 130_000, 5000))
    whole, _ = read(data)
    assert len(whole) == 34
    for size in range(60_000, len(data), 150_000):
        assert read(data, ReadOptions(split_bytes=size))[0] == whole, size


def test_splits_are_data() -> None:
    (split, *_) = plan_splits("s", "f", 10**9, "jsonl.gz", of_bytes(b""), ReadOptions(text_column="body"))
    assert pickle.loads(pickle.dumps(split)) == split
    assert msgspec.json.decode(msgspec.json.encode(split), type=Split) == split
    assert (split.start, split.end, split.size, split.text_column) == (0, 10**9, 10**9, "body")


LINES = "".join(f'{{"text": "줄 {i} {"x" * (i * 37 % 200)}"}}\n' + ("\n" if i % 7 == 0 else "") for i in range(60))


@pytest.mark.parametrize("text", [LINES, LINES.rstrip("\n"), LINES.replace("\n", "\r\n"), "\n\n" + LINES + "\n\n\n"])
def test_jsonl_line_numbers_do_not_depend_on_the_pieces(text: str) -> None:
    data = text.encode()
    whole, tally = read(data)
    assert len(whole) == 60
    lines = text.split("\n")
    assert all(lines[r["offset"]].startswith('{"text"') for r in whole)
    for size in [1, 2, *range(3, 300, 17), 1000, 5000, len(data) - 1, len(data)]:
        rows, parts = read(data, ReadOptions(split_bytes=size))
        assert rows == whole, size
        assert parts.bytes_read == tally.bytes_read == len(data)


def test_parquet_pieces_are_row_groups() -> None:
    sink = io.BytesIO()
    table = pa.table({"text": [f"문서 {i} " * (i % 50) for i in range(1000)]})
    pq.write_table(table, sink, row_group_size=90)
    data = sink.getvalue()
    whole, _ = read(data)
    assert [r["offset"] for r in whole] == list(range(1000))
    assert [r["text"] for r in whole] == table["text"].to_pylist()
    options = ReadOptions(split_bytes=800)
    assert len(plan_splits("s", "f", len(data), "parquet", of_bytes(data), options)) > 3
    assert read(data, options)[0] == whole


@pytest.mark.slow
def test_memory_is_bounded(tmp_path: Path) -> None:
    """A file of 300 MB (content: 300 MB of text in 10,000 records) is read in a few batches' worth of memory."""
    path = tmp_path / "big.warc"
    with path.open("wb") as file:
        for i in range(10_000):
            file.write(record("response", http(b"%010d" % i * 3000), f"http://example.kr/{i}"))
    size = path.stat().st_size
    options = ReadOptions(batch_bytes=4 << 20)
    (split, *_) = plan_splits("s", str(path), size, "warc", of_disk, ReadOptions(split_bytes=1 << 30))
    tracemalloc.start()
    rows = sum(b.num_rows for b in read_split(split, of_disk, options, ReadTally()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 10_000
    assert peak < 40 << 20


@pytest.mark.shared
def test_mini_crawl_in_pieces(shared_data: Path) -> None:
    path = shared_data / "mini_crawl" / "MINI-DEV-00001.warc.gz"
    size = path.stat().st_size
    ids: list[list[tuple[str, int]]] = []
    for split_bytes in (1 << 30, 3 << 20, 700_000):
        options = ReadOptions(split_bytes=split_bytes)
        tally = ReadTally()
        found = []
        for split in plan_splits("s", str(path), size, "warc.gz", of_disk, options):
            part = ReadTally()
            for batch in read_split(split, of_disk, options, part):
                found += list(zip(batch["record_id"].to_pylist(), batch["offset"].to_pylist(), strict=True))
            tally.add(part)
        ids.append(found)
        assert tally.bytes_read == size
        assert not tally.failed
    assert ids[0] == ids[1] == ids[2]
    assert len(ids[0]) > 900
