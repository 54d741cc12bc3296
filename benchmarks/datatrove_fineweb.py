"""datatrove's FineWeb pipeline, from WARC files to the quality filters, in one process.

Runs in datatrove's own environment:

    python datatrove_fineweb.py CRAWL_FOLDER OUTPUT_FOLDER --model lid.176.ftz [--languages en|all]

The steps and options are those of ``examples/fineweb.py`` of datatrove 0.10.1, up to its first JSONL output; what is
removed is not written (the example writes it), which favours datatrove. What had to be changed to run it offline:
- its language model is the file given here (the example downloads lid.176.bin; the .ftz is the same model, quantised);
- the public suffix list is the copy inside ``tldextract`` (its default is to download it);
- a page has 10 s, as in algok, not 1 s of wall-clock time: on a busy machine that loses honest pages.
- trafilatura is imported before the extracting process is forked, which has that time to be ready.
With ``--languages all`` every language that is identified with a score above 0.65 goes on to the quality filters, where
the example lets only English through.
"""

import argparse
import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import tldextract
import trafilatura  # noqa: F401  see above
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
    URLFilter,
)
from datatrove.pipeline.readers import WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils import lid


def build(crawl: Path, output: Path, languages: str) -> list[Any]:
    """The steps."""
    urls = URLFilter()
    urls.tldextractor = tldextract.TLDExtract(suffix_list_urls=())
    # The example's LanguageFilter() dates from when its default was English; today's default is any language.
    allowed = None if languages == "all" else [languages]
    return [
        WarcReader(str(crawl), glob_pattern="*.warc.gz", default_metadata={"dump": "benchmark"}),
        urls,
        Trafilatura(favour_precision=True, timeout=10),
        LanguageFilter(languages=allowed),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(str(output)),
    ]


def steps(stats: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Name and counts of each step, from datatrove's own statistics."""
    found = []
    for step in stats:
        counts = {name: value["total"] if isinstance(value, dict) else value for name, value in step["stats"].items()}
        name = step["name"].encode("ascii", "ignore").decode().strip(" -")
        found.append({"step": " ".join(name.split()), **counts})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("crawl", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--languages", choices=("en", "all"), default="en")
    given = parser.parse_args()
    shutil.rmtree(given.output, ignore_errors=True)
    lid.FT176LID.MODEL_URL = str(given.model.resolve())
    pipeline = build(given.crawl, given.output / "data", given.languages)
    executor = LocalPipelineExecutor(pipeline=pipeline, tasks=1, workers=1, logging_dir=str(given.output / "logs"))
    executor.run()
    languages: Counter[str] = Counter()
    for path in sorted((given.output / "data").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            languages.update(json.loads(line)["metadata"]["language"] for line in file)
    saved = json.loads((given.output / "logs" / "stats.json").read_text(encoding="utf-8"))
    print(json.dumps({"kept": sum(languages.values()), "languages": dict(languages), "steps": steps(saved)}))


if __name__ == "__main__":
    main()
