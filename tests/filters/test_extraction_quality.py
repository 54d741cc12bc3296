"""The quality that the documentation claims, on the gold pages of the development data."""

from pathlib import Path

import pytest
from benchmarks import extraction_quality


def test_scorers_on_known_counts() -> None:
    assert extraction_quality.count_snippets({"with": ["a  b", "c"], "without": ["d"]}, "x a\nb d") == (1, 1, 1)
    assert extraction_quality.count_shingles({"text": "a b c d"}, "a b c d") == (1.0, 0.0, 0.0)
    assert extraction_quality.count_shingles({"text": "a b c d e"}, "a b c d x") == (1 / 3, 1 / 3, 1 / 3)
    assert extraction_quality.count_shingles({"text": ""}, "") == (0.0, 0.0, 0.0)
    assert extraction_quality.snippet_score([(8, 2, 0), (0, 0, 2)]) == pytest.approx((0.8, 0.8, 0.8))


@pytest.mark.slow
@pytest.mark.shared
def test_goals(shared_data: Path) -> None:
    """By models that did not see the host of the page."""
    pages = extraction_quality.load(shared_data)
    engine = extraction_quality.own_engines(extraction_quality.FOLD_MODELS)[extraction_quality.ALGOK]()
    scores = extraction_quality.score(pages, [engine(page) for page in pages])
    assert scores["trafilatura snippets"].f1 >= 0.935
    assert scores["scrapinghub"].f1 >= 0.965
    assert scores["Korean templates"].f1 >= 0.98
