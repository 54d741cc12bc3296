"""Archives made by hand for the tests of the readers."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import zstandard

from algok.filters.reading import HEAD_BYTES, ReadOptions, ReadTally, detect_format, plan_splits, read_split
from algok.schema import RECORDS


def http(body: bytes, *headers: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    """An HTTP response."""
    return "\r\n".join([status, *headers]).encode() + b"\r\n\r\n" + body


def record(kind: str, block: bytes, url: str | None = None, **more: str) -> bytes:
    """A WARC record; ``more`` are header fields with _ for -."""
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:test:{kind}:{url}>",
        "WARC-Date": "2025-08-21T10:29:40Z",
        "Content-Type": "application/http; msgtype=response" if kind == "response" else "text/plain",
        "Content-Length": str(len(block)),
    }
    if url is not None:
        fields["WARC-Target-URI"] = url
    fields |= {key.replace("_", "-"): value for key, value in more.items()}
    lines = [f"{key}: {value}" for key, value in fields.items() if value != "-"]
    return "\r\n".join(["WARC/1.0", *lines]).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"


def crawl(pages: int, size: int = 300) -> list[bytes]:
    """Records of a small crawl: warcinfo, then a request and a response for each page."""
    records = [record("warcinfo", b"software: test\r\n")]
    for i in range(pages):
        url = f"http://example.kr/page/{i}"
        records.append(record("request", b"GET / HTTP/1.1\r\n\r\n", url))
        # Text that does not compress to nothing, different in length and content from page to page.
        body = b"<p>" + b" ".join(b"%d" % (i * 7919 * k % 100003) for k in range(size // 5 + i % 7)) + b"</p>"
        records.append(record("response", http(body, "Content-Type: text/html; charset=utf-8"), url))
    return records


def packed(records: list[bytes], how: str) -> bytes:
    """Records as a file: plain, gz, gz-whole, gz-blocks, zst, zst-whole, zst-dictionary."""
    whole = b"".join(records)
    if how == "plain":
        return whole
    if how == "gz":
        return b"".join(gzip.compress(r, mtime=0) for r in records)
    if how == "gz-whole":
        return gzip.compress(whole, mtime=0)
    if how == "gz-blocks":
        return b"".join(gzip.compress(whole[i : i + 777], mtime=0) for i in range(0, len(whole), 777))
    if how == "zst":
        return b"".join(zstandard.ZstdCompressor(write_checksum=True).compress(r) for r in records)
    if how == "zst-whole":
        return zstandard.ZstdCompressor().compress(whole)
    if how == "zst-dictionary":
        words = zstandard.train_dictionary(4096, [r[i : i + 200] for r in records for i in range(0, len(r), 100)])
        compressor = zstandard.ZstdCompressor(dict_data=words)
        head = zstandard.ZstdCompressor().compress(words.as_bytes())
        frame = b"\x5d\x2a\x4d\x18" + len(head).to_bytes(4, "little") + head
        return frame + b"".join(compressor.compress(r) for r in records)
    raise ValueError(how)


def of_bytes(data: bytes) -> Callable[[str], BinaryIO]:
    """An opener that knows one file."""
    return lambda _: io.BytesIO(data)


def of_disk(path: str) -> BinaryIO:
    """An opener of local files."""
    return Path(path).open("rb")


def read(
    data: bytes, options: ReadOptions | None = None, *, form: str | None = None
) -> tuple[list[dict[str, Any]], ReadTally]:
    """All rows of a file held in memory, and the account; split as the options say."""
    options = options or ReadOptions()
    form = form or detect_format("test", data[:HEAD_BYTES])
    rows: list[dict[str, Any]] = []
    tally = ReadTally()
    for split in plan_splits("s", "test", len(data), form, of_bytes(data), options):
        part = ReadTally()
        for batch in read_split(split, of_bytes(data), options, part):
            assert isinstance(batch, pa.RecordBatch)
            assert batch.schema.equals(RECORDS)
            batch.validate(full=True)
            assert 0 < batch.num_rows <= options.batch_rows
            rows += batch.to_pylist()
        tally.add(part)
    assert len(rows) == tally.rows
    return rows, tally
