"""The speed-ups of trafilatura change nothing: the same text on every real page, and the same nodes per expression."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from algok.filters.extraction import speedups
from algok.filters.extraction.attribute_scan import AttributeScan, Vocabulary
from algok.filters.extraction.checks import repair_early_end
from algok.filters.extraction.xpath_translation import replacement, translate
from tests.filters.plain_decoder import decode


@pytest.fixture
def stock() -> Iterator[None]:
    """trafilatura as it comes, whatever other tests have installed."""
    speedups.uninstall()
    yield
    speedups.uninstall()


def test_the_pinned_trafilatura_is_supported() -> None:
    assert speedups.supported()


def test_other_versions_take_the_stock_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from algok.filters.extraction import ExtractOptions
    from algok.filters.extraction.cascade import Cascade
    from algok.filters.extraction.engine import make_engine

    assert isinstance(make_engine(ExtractOptions()), Cascade)
    monkeypatch.setattr(speedups, "version", lambda name: "2.9.0")
    assert not speedups.supported()
    engine = make_engine(ExtractOptions())
    assert not isinstance(engine, Cascade)
    page = f"<html><body><article><p>{'A sentence that is long enough to be kept. ' * 9}</p></article></body></html>"
    assert engine(None, page, "", 0).startswith("A sentence")


def pages(folder: Path, step: int) -> list[str]:
    from fastwarc.warc import ArchiveIterator

    found = []
    for name in ("trafilatura_snippets", "scrapinghub_fulltext", "ko_template"):
        with gzip.open(folder / "extraction_gold" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in list(map(json.loads, lines))[::step]:
                with (folder / "mini_crawl" / row["warc"]).open("rb") as stream:
                    stream.seek(row["offset"])
                    payload = next(iter(ArchiveIterator(stream))).reader.read()
                found.append(repair_early_end(decode(payload, None).text))
    return found


def compare(texts: list[str]) -> None:
    from trafilatura import extract, load_html

    speedups.uninstall()
    modes = ({"fast": True}, {"fast": True, "favor_precision": True}, {"fast": True, "favor_recall": True})
    before = [[extract(page, include_comments=False, **mode) for page in texts] for mode in modes]
    words = speedups.install()
    for mode, expected in zip(modes, before, strict=True):
        for page, text in zip(texts, expected, strict=True):
            tree = load_html(page)
            if tree is not None:
                words.load(tree)
            try:
                assert extract(page, include_comments=False, **mode) == text
            finally:
                words.clear()


@pytest.mark.shared
def test_same_output_on_a_sample_of_real_pages(shared_data: Path, stock: None) -> None:
    compare(pages(shared_data, 60))


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_same_output_on_many_gold_pages(shared_data: Path, stock: None) -> None:
    """Every 20th page in CI; with ALGOK_EXHAUSTIVE=1 all 1,881, which takes some ten minutes."""
    compare(pages(shared_data, 1 if os.environ.get("ALGOK_EXHAUSTIVE") else 20))


WORDS = [
    "nav",
    "Comment",
    "Commentary",
    "share-x",
    "related",
    " ad ",
    "post-content",
    "meta",
    "hidden",
    "x",
    "article ",
    "barn",
]
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["class", "id", "style", "role", "aria-hidden", "data-component"]),
    st.lists(st.sampled_from([*WORDS, "display:none", "navigation", "true", "MostPopularStories"]), max_size=3).map(
        " ".join
    ),
    max_size=3,
)
ELEMENTS = st.lists(
    st.tuples(st.sampled_from(["div", "p", "span", "section", "article", "ul", "a", "h1"]), ATTRIBUTES), max_size=12
)


def grow(elements: list[tuple[str, dict[str, str]]]) -> etree._Element:
    root = node = etree.Element("body")
    for i, (tag, attributes) in enumerate(elements):
        child = etree.SubElement(node, tag)
        for name, value in attributes.items():
            child.set(name, value)
        node = child if i % 3 else root
    return root


@given(ELEMENTS)
@settings(max_examples=300, deadline=None)
def test_scans_select_what_the_expressions_select(elements: list[tuple[str, dict[str, str]]]) -> None:
    from trafilatura import xpaths

    speedups.uninstall()
    root = grow(elements)
    for loaded in (False, True):
        words = Vocabulary()
        scans = [(x, replacement(x, words)) for name in speedups._LISTS for x in getattr(xpaths, name)]
        if loaded:
            words.load(root)
        for expression, scan in scans:
            if scan is None:
                continue
            found, expected = scan(root), expression(root)
            if isinstance(scan, AttributeScan) and expression.path.strip().endswith("[1]"):
                expected = expected[:1]  # only the first in document order is ever used
            assert found == expected, expression.path


@pytest.mark.parametrize("path", [".//p", ".//*[position()=1]", ".//*[@a or not(@b)]", ".//*[re:test(@class, 'x*')]"])
def test_other_expressions_stay_as_they_are(path: str) -> None:
    assert translate(path, Vocabulary()) is None
