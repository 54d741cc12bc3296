"""HTTP responses: headers as servers write them, bodies as crawlers store them."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from algok.filters.reading.http import HttpError, parse_content_type, parse_response
from tests.filters.reading_cases import http, packed, read, record

BODY = "<html><p>본문 본문 본문</p></html>".encode() * 20
MOST = 1 << 20


def chunked(body: bytes, size: int = 100, ending: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(p), p) for p in parts) + ending


def deflate_raw(body: bytes) -> bytes:
    inner = zlib.compressobj(wbits=-15)
    return inner.compress(body) + inner.flush()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (http(BODY), BODY),
        (http(b""), b""),
        (http(chunked(BODY), "Transfer-Encoding: chunked"), BODY),
        (http(chunked(BODY, ending=b""), "transfer-encoding:Chunked"), BODY),
        (http(BODY, "Transfer-Encoding: chunked"), BODY),
        (http(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"), BODY),
        (http(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), "Content-Encoding: x-gzip"), BODY),
        (http(gzip.compress(BODY, mtime=0) + b"\0\0 tail", "Content-Encoding: GZIP"), BODY),
        (http(BODY, "Content-Encoding: gzip"), BODY),
        (http(zlib.compress(BODY), "Content-Encoding: deflate"), BODY),
        (http(deflate_raw(BODY), "Content-Encoding: deflate"), BODY),
        (http(BODY, "Content-Encoding: deflate"), BODY),
        (http(brotli.compress(BODY), "Content-Encoding: br"), BODY),
        (http(BODY, "Content-Encoding: br"), BODY),
        (http(zstandard.ZstdCompressor().compress(BODY), "Content-Encoding: zstd"), BODY),
        (http(BODY, "Content-Encoding: identity"), BODY),
        (http(BODY, "Content-Encoding: UTF-8"), BODY),
        (http(brotli.compress(gzip.compress(BODY, mtime=0)), "Content-Encoding: gzip, br"), BODY),
        (http(brotli.compress(gzip.compress(BODY, mtime=0)), "Content-Encoding: gzip", "Content-Encoding: br"), BODY),
        (http(chunked(gzip.compress(BODY, mtime=0)), "Content-Encoding: gzip", "Transfer-Encoding: chunked"), BODY),
        (b"HTTP/1.0 200\n\n" + BODY, BODY),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n: none\r\n\r\n" + BODY, BODY),
        (b"HTTP/1.1 200 OK\r\nX: a\r\n folded: b\r\n\r\n" + BODY, BODY),
        (b"<html>HTTP/0.9", b"<html>HTTP/0.9"),
        (b"HTTP/1.1 200 OK\r\nX: no end", b""),
        (b"", b""),
    ],
)
def test_body(block: bytes, expected: bytes) -> None:
    # Layers of repeated fields are undone from the last.
    assert parse_response(block, MOST).body == expected


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/2 404", 404),
        (b"HTTP/1.0  302 Found", 302),
        (b"HTTP/1.1 99999 x", None),
        (b"HTTP/1.1 abc", None),
    ],
)
def test_status(line: bytes, status: int | None) -> None:
    assert parse_response(line + b"\r\n\r\nx", MOST).status == status


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text/html", ("text/html", None)),
        ("text/html; charset=EUC-KR", ("text/html", "EUC-KR")),
        ('TEXT/HTML;charset="utf-8"', ("text/html", "utf-8")),
        ("text/html;charset='euc-kr';x=y", ("text/html", "euc-kr")),
        ("text/html; CharSet = ks_c_5601-1987 ; a=b", ("text/html", "ks_c_5601-1987")),
        ("text/html; charset=", ("text/html", None)),
        ("html", (None, None)),
        ("; charset=utf-8", (None, "utf-8")),
        ("", (None, None)),
    ],
)
def test_content_type(value: str, expected: tuple[str | None, str | None]) -> None:
    assert parse_content_type(value) == expected


def test_the_last_usable_content_type_holds() -> None:
    block = http(b"", "Content-Type: text/plain", "content-type: text/html; charset=euc-kr", "Content-Type: ")
    assert parse_response(block, MOST)[1:3] == ("text/html", "euc-kr")


@pytest.mark.parametrize("pack", [gzip.compress, brotli.compress, zlib.compress, zstandard.ZstdCompressor().compress])
def test_bombs_and_truncated_bodies(pack: object) -> None:
    encodings = {id(gzip.compress): "gzip", id(brotli.compress): "br", id(zlib.compress): "deflate"}
    name = encodings.get(id(pack), "zstd")
    bomb = pack(b"a" * 50_000_000)  # type: ignore[operator]
    with pytest.raises(HttpError, match="max_decoded_bytes = 1048576") as caught:
        parse_response(http(bomb, f"Content-Encoding: {name}", "Content-Type: text/html"), MOST)
    assert (caught.value.step, caught.value.status, caught.value.media_type) == ("decode", 200, "text/html")
    text = b"".join(b"%d " % (i * 7919 % 100_003) for i in range(60_000))
    cut = pack(text)  # type: ignore[operator]
    got = parse_response(http(cut[: len(cut) * 3 // 4], f"Content-Encoding: {name}"), MOST).body
    assert text.startswith(got)
    # What came before the cut is kept; Zstandard gives whole blocks of 128 KiB.
    assert len(got) > len(text) // 4


def test_bodies_that_cannot_be_undone_are_failed_rows() -> None:
    cases = [
        http(b"\x1f\x8b\x08\0broken", "Content-Encoding: gzip"),
        http(b"\x00\x01\x02\xff" * 9, "Content-Encoding: br"),
        http(b"\x00\x01\x02\xff" * 9, "Content-Encoding: sdch"),
        http(b"x", "Content-Encoding: gzip, gzip, gzip, gzip, gzip, gzip"),
    ]
    rows, tally = read(packed([record("response", c, f"http://a.kr/{i}") for i, c in enumerate(cases)], "gz"))
    assert [r["failed_step"] for r in rows] == ["decode"] * 4
    assert all(r["http_status"] == 200 and r["payload"] is None and r["error"] for r in rows)
    assert dict(tally.failed) == {"decode": 4}


@given(st.binary(max_size=500), st.sampled_from(["gzip", "br", "deflate", "zstd", "chunked"]))
def test_any_body_is_taken_or_refused(body: bytes, encoding: str) -> None:
    field = "Transfer-Encoding" if encoding == "chunked" else "Content-Encoding"
    try:
        got = parse_response(http(body, f"{field}: {encoding}"), MOST).body
    except HttpError:
        got = b""
    assert len(got) <= MOST


@given(st.binary(max_size=300))
def test_any_header_is_taken(block: bytes) -> None:
    parse_response(b"HTTP/1.1 " + block, MOST)
