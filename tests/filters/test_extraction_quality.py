"""The quality that the documentation claims, on the gold pages of the development data."""

from pathlib import Path

import pytest
from benchmarks import extraction_quality

from algok.filters.charset import decode
from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel


def test_scorers_on_known_counts() -> None:
    assert extraction_quality.count_snippets({"with": ["a  b", "c"], "without": ["d"]}, "x a\nb d") == (1, 1, 1)
    assert extraction_quality.count_shingles({"text": "a b c d"}, "a b c d") == (1.0, 0.0, 0.0)
    assert extraction_quality.count_shingles({"text": "a b c d e"}, "a b c d x") == (1 / 3, 1 / 3, 1 / 3)
    assert extraction_quality.count_shingles({"text": ""}, "") == (0.0, 0.0, 0.0)
    assert extraction_quality.snippet_score([(8, 2, 0), (0, 0, 2)]) == pytest.approx((0.8, 0.8, 0.8))


@pytest.mark.slow
@pytest.mark.shared
def test_goals(shared_data: Path) -> None:
    pages = extraction_quality.load(shared_data)
    kernel = PageKernel(ExtractOptions(), decode)
    scores = extraction_quality.score(pages, [kernel.extract(Page(page.payload)).text or "" for page in pages])
    assert scores["trafilatura snippets"].f1 >= 0.93
    assert scores["scrapinghub"].f1 >= 0.963
    assert scores["Korean templates"].f1 >= 0.97
