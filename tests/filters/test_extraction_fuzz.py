"""Mutated pages, real ones where they are at hand: no crash, no hang, no lost row."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.schema import OUTCOMES
from tests.filters.test_extraction import DECODER, PAGE, batch, identity, record
from tests.filters.test_extraction_text import HEXO, KOREAN_BLOG, ROUGE

CONTROLS = ("&#1;", "&#xD800;", "&#xFFFE;", "&#65535;", "\x01", "\ufffe", "\uffff", "&#x0;", "&#11;")
REASONS = {None, "empty", "timeout", "memory", "depth", "links", "size"}
SEEDS = [page.encode() for page in (PAGE, KOREAN_BLOG, HEXO, ROUGE)]
JUNK = [
    b"\0", b"<", b">", b"</html>", b"</body>", b"<!--", b"-->", b"<script>", b"</script>", b"<table>", b"<tr><td>",
    b"<pre>", b"<div>" * 60, b"<a href=x>" * 40, b"<math>", b"<svg><title>x</title>", b"&#0;", b"&#xd800;",
    b"\xff\xfe", b"\xed\xa0\x80", b"<![CDATA[", b"<?php", b"<p class='" + b"a " * 500 + b"'>",
    b"\xea\xb0\x80" * 300, b"<form>", b"<frameset>", b"<plaintext>", b"<template>", b"<noscript>", b"```\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def one() -> Iterator[PageExtractor]:
    with PageExtractor(ExtractOptions(time_limit_s=5), decoder=DECODER, identity=identity) as extractor:
        yield extractor


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes] = SEEDS) -> bytes:
    page = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(page)))
        end = min(len(page), start + draw(st.integers(0, 400)))
        kind = draw(st.sampled_from(("cut", "repeat", "insert", "noise", "swap")))
        if kind == "cut":
            page = page[:start] + page[end:]
        elif kind == "repeat":
            page = page[:end] + page[start:end] * draw(st.integers(1, 30)) + page[end:]
        elif kind == "insert":
            page = page[:start] + draw(st.sampled_from(JUNK)) + page[start:]
        elif kind == "noise":
            page = page[:start] + draw(st.binary(max_size=20)) + page[end:]
        else:
            page = page[end:] + page[start:end] + page[:start]
    return page


def check(one: PageExtractor, pages: list[bytes]) -> None:
    out = one.extract(batch(*(record(page, record_id=str(i)) for i, page in enumerate(pages)))).to_pylist()
    assert [row["record_id"] for row in out] == [str(i) for i in range(len(pages))]
    for row, page in zip(out, pages, strict=True):
        assert row["outcome"] in OUTCOMES
        assert row["reason"] in REASONS, (row["reason"], row["detail"], page[:2000])
        if row["outcome"] == "kept":
            assert row["text"]
            row["text"].encode("utf-8")


@pytest.mark.parametrize("where", ["<p>", "<title>", 'class="', "</p>"])
def test_characters_that_xml_cannot_carry(one: PageExtractor, where: str) -> None:
    pages = [seed.replace(where.encode(), where.encode() + c.encode()) for seed in SEEDS for c in CONTROLS]
    check(one, pages)


@given(st.lists(mutations(), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_mutated_pages(one: PageExtractor, pages: list[bytes]) -> None:
    check(one, pages)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_random_bytes(one: PageExtractor, pages: list[bytes]) -> None:
    check(one, [b"<html>" + page for page in pages])


@pytest.mark.slow
@pytest.mark.shared
def test_mutated_real_pages(one: PageExtractor, shared_data: Path) -> None:
    from fastwarc.warc import ArchiveIterator

    seeds = []
    with gzip.open(shared_data / "mini_crawl" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in list(map(json.loads, lines))[::60]:
            with (shared_data / "mini_crawl" / row["file"]).open("rb") as stream:
                stream.seek(row["offset"])
                seeds.append(next(iter(ArchiveIterator(stream))).reader.read())

    @given(st.lists(mutations(seeds), min_size=1, max_size=5))
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def run(pages: list[bytes]) -> None:
        check(one, pages)

    run()
