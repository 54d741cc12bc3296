"""The quality that the documentation claims, on the gold pages of the development data."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from algok.filters.charset import decode
from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "extraction_quality.py"


@pytest.fixture(scope="module")
def benchmark_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extraction_quality", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["extraction_quality"] = module
    spec.loader.exec_module(module)
    return module


def test_scorers_on_known_counts(benchmark_module: ModuleType) -> None:
    assert benchmark_module.count_snippets({"with": ["a  b", "c"], "without": ["d"]}, "x a\nb d") == (1, 1, 1)
    assert benchmark_module.count_shingles({"text": "a b c d"}, "a b c d") == (1.0, 0.0, 0.0)
    assert benchmark_module.count_shingles({"text": "a b c d e"}, "a b c d x") == (1 / 3, 1 / 3, 1 / 3)
    assert benchmark_module.count_shingles({"text": ""}, "") == (0.0, 0.0, 0.0)
    assert benchmark_module.snippet_score([(8, 2, 0), (0, 0, 2)]) == pytest.approx((0.8, 0.8, 0.8))


@pytest.mark.slow
@pytest.mark.shared
def test_goals(shared_data: Path, benchmark_module: ModuleType) -> None:
    pages = benchmark_module.load(shared_data)
    kernel = PageKernel(ExtractOptions(), decode)
    scores = benchmark_module.score(pages, [kernel.extract(Page(page.payload)).text or "" for page in pages])
    assert scores["trafilatura snippets"].f1 >= 0.93
    assert scores["scrapinghub"].f1 >= 0.963
    assert scores["Korean templates"].f1 >= 0.97
