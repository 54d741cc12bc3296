"""A small synthetic crawl and one undisturbed run over it."""

from pathlib import Path
from typing import Any

import pytest

from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl
from tests.pipeline.line import outcome, recipe_for, run_to


@pytest.fixture(scope="session")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of three WARC files with all that the generator knows, broken records included."""
    folder = tmp_path_factory.mktemp("crawl")
    write_demo_crawl(folder, DemoCrawlOptions(pages=240, seed=5, pages_per_file=80, broken_share=0.04))
    return [str(path) for path in sorted((folder / "crawl").glob("*.warc.gz"))]


@pytest.fixture(scope="session")
def finished(crawl: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The work folder of an undisturbed run with one worker up to pack, and its outcome. Read only."""
    work = tmp_path_factory.mktemp("finished")
    run_to(recipe_for(crawl), work)
    return work, outcome(work)
