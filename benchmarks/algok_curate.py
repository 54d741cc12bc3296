"""algok from WARC files to decisions, in one process: the stages extract and filter with their defaults.

python -m benchmarks.algok_curate CRAWL_FOLDER WORK_FOLDER
"""

import argparse
import json
import logging
import shutil
from collections import Counter
from pathlib import Path

from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.recipe import parse_recipe
from algok.pipeline.stages.base import Context, run_stage
from algok.pipeline.stages.extract import Extract
from algok.pipeline.stages.filter import Filter
from algok.schema import FAILED, KEPT
from benchmarks.measure import phase

__all__ = ["main"]


def main() -> None:
    """Run both stages afresh and print what became of the pages as JSON."""
    parser = argparse.ArgumentParser(description="algok, extract and filter")
    parser.add_argument("crawl", type=Path)
    parser.add_argument("work", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    shutil.rmtree(given.work, ignore_errors=True)
    text = 'name = "benchmark"\n[[sources]]\nname = "crawl"\npaths = ["*.warc.gz"]\n'
    context = Context(
        recipe=parse_recipe(text, where="benchmark", base=given.crawl.resolve()),
        work=str(given.work.resolve()),
        options=RunOptions(workers=1),
        reporter=Quiet(),
    )
    phase("extract")
    extracted = run_stage(Extract(), context).manifest
    phase("filter")
    filtered = run_stage(Filter(), context).manifest
    languages: Counter[str] = Counter()
    for line in filtered.ledger:
        if line.direction == "out" and line.outcome == KEPT:
            languages[line.language] += line.documents
    outcomes: Counter[str] = Counter()
    for manifest in (extracted, filtered):
        for line in manifest.ledger:
            if line.direction == "out" and line.outcome != KEPT:
                outcomes[f"{manifest.stage}/{line.outcome}/{line.reason}"] += line.documents
    failed = sum(n for name, n in outcomes.items() if f"/{FAILED}/" in name)
    print(
        json.dumps(
            {
                "kept": sum(languages.values()),
                "languages": dict(languages),
                "failed": failed,
                "stages_cpu_s": {"extract": extracted.cpu_s, "filter": filtered.cpu_s},
                "outcomes": dict(sorted(outcomes.items())),
            }
        )
    )


if __name__ == "__main__":
    main()
