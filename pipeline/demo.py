"""The demo: a synthetic crawl and a recipe for it, made once and used again."""

import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec

from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl

__all__ = ["prepare_demo"]


def prepare_demo(work: Path, pages: int, seed: int, progress: Callable[[int], None] | None = None) -> Path:
    """Write ``work/crawl`` and ``work/recipe.toml`` unless they are there; the path of the recipe.

    The crawl folder appears whole: it is written under another name first.
    """
    work.mkdir(parents=True, exist_ok=True)
    crawl, made = work / "crawl", work / "crawl" / "made.json"
    options = DemoCrawlOptions(pages=pages, seed=seed)
    wanted = msgspec.json.encode(msgspec.to_builtins(options), order="sorted")
    if not made.is_file() or made.read_bytes() != wanted:
        unfinished = work / ".crawl.unfinished"
        for folder in (unfinished, crawl):
            shutil.rmtree(folder, ignore_errors=True)
        write_demo_crawl(unfinished, options, progress)
        (unfinished / made.name).write_bytes(wanted)
        unfinished.rename(crawl)
    recipe = work / "recipe.toml"
    if not recipe.exists():
        recipe.write_text(resources.files("algok.pipeline").joinpath("demo.toml").read_text(encoding="utf-8"))
    return recipe
