"""URLs: one spelling, hosts, identity, block lists."""

import gzip
import json
import struct
from pathlib import Path

import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from algok.errors import InputError, RecipeError
from algok.filters.url import (
    UrlList,
    UrlPolicy,
    document_id,
    document_ids,
    host_of,
    hosts_of,
    normalise,
    normalise_array,
    payload_digest,
    payload_digests,
)

SPELLINGS = [
    ("http://example.com", "http://example.com/"),
    ("HTTP://EXAMPLE.com:80/Path", "http://example.com/Path"),
    ("https://example.com:443/", "https://example.com/"),
    ("https://example.com:80/", "https://example.com:80/"),
    ("http://example.com:08080/", "http://example.com:8080/"),
    ("http://example.com:/", "http://example.com/"),
    ("http://user:pw@example.com/", "http://example.com/"),
    ("http://example.com./", "http://example.com/"),
    ("  http://example.com/a\n b  ", "http://example.com/a%20b"),
    ("http://example.com/a#frag", "http://example.com/a"),
    ("http://example.com/#!/a", "http://example.com/"),
    ("http://example.com/a/./b/../c", "http://example.com/a/c"),
    ("http://example.com/../../a", "http://example.com/a"),
    ("http://example.com/a/..", "http://example.com/"),
    ("http://example.com/a/b/.", "http://example.com/a/b/"),
    ("http://example.com/.hidden", "http://example.com/.hidden"),
    ("http://example.com/%2e%2E/a", "http://example.com/a"),
    ("http://example.com/a//b/", "http://example.com/a//b/"),
    ("http:\\\\example.com\\a", "http://example.com/a"),
    ("http:///example.com/a", "http://example.com/a"),
    ("http://example.com/%7euser/%ea%b0%80", "http://example.com/~user/%EA%B0%80"),
    ("http://example.com/가?q=나", "http://example.com/%EA%B0%80?q=%EB%82%98"),
    ("http://example.com/100%", "http://example.com/100%25"),
    ("http://example.com/%2F%3f", "http://example.com/%2F%3F"),
    ('http://example.com/<a>"', "http://example.com/%3Ca%3E%22"),
    ("http://example.com/?", "http://example.com/"),
    ("http://example.com?a=1", "http://example.com/?a=1"),
    ("http://example.com/?b=2&a=1&b=1", "http://example.com/?b=2&a=1&b=1"),
    ("http://example.com/?utm_source=x&id=1&fbclid=y&UTM_Medium=z", "http://example.com/?id=1"),
    ("http://example.com/?gclid=1", "http://example.com/"),
    ("http://example.com/?n_media=1&n_query=%EA%B0%80&no=3", "http://example.com/?no=3"),
    ("http://example.com/?utm", "http://example.com/?utm"),
    ("http://example.com/?a=1&&b", "http://example.com/?a=1&&b"),
    ("http://example.com/?u=http://x.kr/?utm_source=1", "http://example.com/?u=http://x.kr/?utm_source=1"),
    ("http://한글.kr/", "http://xn--bj0bj06e.kr/"),
    ("http://XN--BJ0BJ06E.kr/", "http://xn--bj0bj06e.kr/"),
    ("http://%ED%95%9C%EA%B8%80.kr/", "http://xn--bj0bj06e.kr/"),
    ("http://Bücher.de/", "http://xn--bcher-kva.de/"),
    ("http://straße.de/", "http://xn--strae-oqa.de/"),
    ("http://한글。kr/", "http://xn--bj0bj06e.kr/"),
    ("http://a_b.example.com/", "http://a_b.example.com/"),
    ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
    ("http://[2001:DB8::1]:81", "http://[2001:db8::1]:81/"),
    ("dns:Example.com", "dns:Example.com"),
    ("URN:uuid:A#b", "urn:uuid:A"),
    ("ftp://Example.com/a b", "ftp://Example.com/a%20b"),
    ("//example.com/a", "//example.com/a"),
    ("no url", "no url"),
    ("", ""),
    ("http://", "http:///"),
]


@pytest.mark.parametrize(("url", "expected"), SPELLINGS)
def test_one_spelling(url: str, expected: str) -> None:
    assert normalise(url) == expected
    assert normalise(expected) == expected


def test_arrays_agree_with_single_urls() -> None:
    urls = [u for pair in SPELLINGS for u in pair] + [None]
    array = normalise_array(pa.array(urls, pa.string()))
    assert array.to_pylist() == [None if u is None else normalise(u) for u in urls]
    assert hosts_of(array).to_pylist() == ["" if u is None else host_of(u) for u in urls]
    assert normalise_array(pa.array(urls, pa.large_string()).slice(5)).to_pylist() == array.to_pylist()[5:]
    assert normalise_array(pa.array([], pa.string())).to_pylist() == []


URL_TEXT = st.text(st.sampled_from("abZ09-._~%2FeE/?#&=:@[]\\ 가é\t\0\"<'.,;!utm_"), max_size=40)


@given(URL_TEXT, st.sampled_from(["http://", "https://", "", "HTTP:", "http://a.kr/", "dns:", "http://한글.kr/"]))
def test_normalise_is_stable_and_arrays_agree(text: str, start: str) -> None:
    url = start + text
    once = normalise(url)
    assert normalise(once) == once
    array = normalise_array(pa.array([url]))
    assert array.to_pylist() == [once]
    assert hosts_of(array).to_pylist() == [host_of(url)]


@given(st.text(max_size=60))
def test_normalise_takes_any_text(text: str) -> None:
    for url in (text, "http://" + text):
        once = normalise(url)
        assert normalise(once) == once


def test_normal_urls_come_back_as_they_are() -> None:
    urls = pa.array([f"https://www.example.co.kr/a/{i}/%EA%B0%80-x_y~z(1).html" for i in range(100)])
    assert normalise_array(urls) is urls


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Blog.Example.co.kr:8443/x", "blog.example.co.kr"),
        ("http://[::1]:80/", "[::1]"),
        ("http://u@h.kr", "h.kr"),
        ("dns:a.kr", ""),
        ("", ""),
        ("x", ""),
    ],
)
def test_host(url: str, host: str) -> None:
    assert host_of(url) == host


def test_document_id_is_xxh3_over_length_prefixed_parts() -> None:
    digest = payload_digest(b"page")
    assert digest == xxhash.xxh3_128_digest(b"page")
    url = "http://a.kr/"
    expected = xxhash.xxh3_128_digest(
        struct.pack("<I", len(url)) + url.encode() + struct.pack("<q", 1755772180) + struct.pack("<I", 16) + digest
    )
    assert document_id(url, 1755772180, digest) == expected
    # The value is stored in every table: it must never change.
    assert document_id(url, 1755772180, digest).hex() == "e01eb92054c4fd944923e068e5c71082"
    assert document_id(url, None, digest) != document_id(url, 0, digest)
    with pytest.raises(ValueError, match="16 bytes, not 3"):
        document_id(url, 0, b"abc")


def test_document_ids_agree_with_single_ones() -> None:
    urls = ["http://a.kr/", None, "http://나.kr/", ""]
    times = [1755772180, None, -5, 0]
    digests = [payload_digest(b"a"), payload_digest(b"b"), None, payload_digest(b"")]
    expected = [None if d is None else document_id(u or "", t, d) for u, t, d in zip(urls, times, digests, strict=True)]
    for unit in ("s", "ms"):
        stamps = pa.array(times, pa.timestamp("s", tz="UTC")).cast(pa.timestamp(unit, tz="UTC"))
        got = document_ids(pa.array(urls), stamps, pa.array(digests, pa.binary(16)))
        assert got.type == pa.binary(16)
        assert got.to_pylist() == expected
        part = document_ids(pa.array(urls)[1:], stamps[1:], pa.array(digests, pa.binary(16))[1:])
        assert part.to_pylist() == expected[1:]


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary(), pa.string(), pa.large_string()])
def test_payload_digests_agree_with_single_ones(kind: pa.DataType) -> None:
    values: list[bytes | None] = [b"a", None, b"", "가".encode()]
    array = pa.array(
        [v if v is None or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else v.decode() for v in values],
        kind,
    )
    expected = [None if v is None else payload_digest(v) for v in values]
    assert payload_digests(array).to_pylist() == expected
    assert payload_digests(array[2:]).to_pylist() == expected[2:]
    assert payload_digests(array[:0]).to_pylist() == []


def test_id_does_not_depend_on_the_spelling_or_the_batch() -> None:
    digest = pa.array([payload_digest(b"x")] * 2, pa.binary(16))
    ids = document_ids(
        normalise_array(pa.array(["HTTP://A.kr:80/%7Eb?utm_id=1#x", "http://a.kr/~b"])),
        pa.array([5, 5], pa.timestamp("s", tz="UTC")),
        digest,
    )
    assert ids[0] == ids[1]


@pytest.fixture
def lists(tmp_path: Path) -> list[UrlList]:
    (tmp_path / "domains").write_text("# comment\nbad.com\nCasino.Example.org\n10.0.0.1\n도박.kr\n\n")
    with gzip.open(tmp_path / "urls.gz", "wt") as file:
        file.write("host.net/ads/\nwww.other.net/x?y=1\nhttp://third.net/Deep/Path\n")
    (tmp_path / "words").write_text("viagra\n바카라\n")
    (tmp_path / "expressions").write_text("(/banner/|/sponsor/)\n^[0-9.]+/search\n")
    return [
        UrlList(category="gambling", kind="domains", path=str(tmp_path / "domains")),
        UrlList(category="ads", kind="urls", path=str(tmp_path / "urls.gz")),
        UrlList(category="spam", kind="words", path=str(tmp_path / "words")),
        UrlList(category="ads", kind="expressions", path=str(tmp_path / "expressions")),
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://bad.com/", "url_domains:gambling"),
        ("https://www.bad.com:8443/x", "url_domains:gambling"),
        ("http://notbad.com/", None),
        ("http://bad.com.kr/", None),
        ("http://casino.example.org/", "url_domains:gambling"),
        ("http://example.org/", None),
        ("http://10.0.0.1/x", "url_domains:gambling"),
        ("http://10.0.0.12/x", None),
        ("http://도박.kr/", "url_domains:gambling"),
        ("http://host.net/ads", "url_urls:ads"),
        ("http://www.host.net/ads/1?x", "url_urls:ads"),
        ("http://host.net/adsense", None),
        ("http://host.net/", None),
        ("http://other.net/x?y=1", "url_urls:ads"),
        ("http://other.net/x", None),
        ("http://third.net/deep/path/more", "url_urls:ads"),
        ("http://a.kr/buy-viagra.html", "url_words:spam"),
        ("http://a.kr/viagrafree", None),
        ("http://a.kr/%EB%B0%94%EC%B9%B4%EB%9D%BC", "url_words:spam"),
        ("http://a.kr/banner/1.gif", "url_expressions:ads"),
        ("http://1.2.3.4/search?q=1", "url_expressions:ads"),
        ("", None),
        (None, None),
    ],
)
def test_policy(lists: list[UrlList], url: str | None, reason: str | None) -> None:
    policy = UrlPolicy(lists)
    assert policy.entries == 4 + 3 + 2 + 2
    array = normalise_array(pa.array(["http://fine.kr/", url, "http://fine.kr/"], pa.string()))
    assert policy.reasons(array).to_pylist() == [None, reason, None]


def test_policy_without_lists_blocks_nothing() -> None:
    assert UrlPolicy([]).reasons(pa.array(["http://a.kr/"])).to_pylist() == [None]


def test_policy_names_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"URL list .*absent"):
        UrlPolicy([UrlList(category="x", kind="domains", path=str(tmp_path / "absent"))])
    (tmp_path / "e").write_text("(open\n")
    with pytest.raises(RecipeError, match=r"category 'x'.*open"):
        UrlPolicy([UrlList(category="x", kind="expressions", path=str(tmp_path / "e"))])
    with pytest.raises(RecipeError, match="not 'hosts'"):
        UrlList(category="x", kind="hosts", path="p")  # type: ignore[arg-type]


@pytest.mark.shared
def test_ut1_lists(shared_data: Path) -> None:
    lists = [
        UrlList(category=folder.name, kind=kind, path=str(folder / f"{kind}.gz"))  # type: ignore[arg-type]
        for folder in sorted((shared_data / "ut1_blacklists").iterdir())
        if folder.name in ("gambling", "warez", "publicite", "adult", "malware")
        for kind in ("domains", "urls", "expressions")
        if (folder / f"{kind}.gz").exists()
    ]
    policy = UrlPolicy(lists)
    assert policy.entries > 30_000
    for item in lists:
        if item.kind == "expressions":
            continue
        with gzip.open(item.path, "rt", errors="replace") as file:
            entries = [line.strip() for line in file][:200]
        urls = normalise_array(pa.array([f"http://{entry}" for entry in entries]))
        # An entry may stand in another list too, which is then the reason.
        assert policy.reasons(urls).null_count == 0, item.path
    with gzip.open(shared_data / "mini_crawl" / "manifest.jsonl.gz", "rt") as file:
        crawl = normalise_array(pa.array([json.loads(line)["url"] for line in file]))
    assert policy.reasons(crawl).null_count > 0.97 * len(crawl)
