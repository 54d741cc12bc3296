"""Quality against speed of main-text extraction, beside trafilatura and resiliparse, on the gold of ../shared/data.

    python benchmarks/extraction_quality.py [--engines algok,trafilatura,...] [--limit N] [--data FOLDER]

Prints a Markdown table: F1 (precision/recall) on each gold set by that benchmark's own scorer, and pages per second of
CPU time relative to trafilatura's default in the same run. Every engine gets the bytes of the page, so decoding is
part of its time; all run in this process, since a child process costs the same for all.

Scorers
- trafilatura snippets: ``tests/eval_common.py`` of trafilatura: white-space normalised substrings, counts over all
pages. - scrapinghub: ``evaluate.py`` of article-extraction-benchmark: 4-shingles of words, mean over pages.
- Korean templates: the same shingle score, over the text of the template's own body container.
"""

import argparse
import gzip
import importlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SETS = {
    "trafilatura snippets": "trafilatura_snippets",
    "scrapinghub": "scrapinghub_fulltext",
    "Korean templates": "ko_template",
}


class Gold(NamedTuple):
    """A page and what its text should be: ``row`` is the gold file's own record."""

    group: str
    row: dict[str, Any]
    payload: bytes


class Score(NamedTuple):
    f1: float
    precision: float
    recall: float

    def __str__(self) -> str:
        return f"{self.f1:.3f} ({self.precision:.3f}/{self.recall:.3f})".replace("0.", ".")


def load(data: Path, limit: int | None = None) -> list[Gold]:
    """The gold pages with their HTML, in file order, at most ``limit`` per set."""
    from fastwarc.warc import ArchiveIterator

    pages = []
    for group, name in SETS.items():
        with gzip.open(data / "extraction_gold" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        for row in rows[:limit]:
            with (data / "mini_crawl" / row["warc"]).open("rb") as stream:
                stream.seek(row["offset"])
                pages.append(Gold(group, row, next(iter(ArchiveIterator(stream))).reader.read()))
    return pages


# --- scorers -----------------------------------------------------------------------------------------------------


def count_snippets(row: dict[str, Any], text: str) -> tuple[int, int, int]:
    """(true positives, false positives, false negatives) of a page."""
    flat = _flat(text)
    found = sum(_flat(part) in flat for part in row["with"])
    wrong = sum(_flat(part) in flat for part in row["without"])
    return found, wrong, len(row["with"]) - found


def snippet_score(counts: list[tuple[int, int, int]]) -> Score:
    found, wrong, missed = (sum(column) for column in zip(*counts, strict=True))
    return Score(2 * found / (2 * found + wrong + missed), found / (found + wrong), found / (found + missed))


def count_shingles(row: dict[str, Any], text: str) -> tuple[float, float, float]:
    """Shares of (true positive, false positive, false negative) 4-shingles of a page."""
    true, predicted = _shingles(row["text"]), _shingles(text)
    shared = (true & predicted).total()
    total = (true | predicted).total()
    if not total:
        return 0.0, 0.0, 0.0
    return shared / total, (predicted.total() - shared) / total, (true.total() - shared) / total


def shingle_score(counts: list[tuple[float, float, float]]) -> Score:
    precision = mean(hit / (hit + extra) for hit, extra, _ in counts if hit + extra > 0)
    recall = mean(hit / (hit + missed) for hit, _, missed in counts if hit + missed > 0)
    return Score(2 * precision * recall / (precision + recall) if precision + recall else 0.0, precision, recall)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _shingles(text: str) -> "Counter[tuple[str, ...]]":
    words = re.findall(r"\w+", text)
    return Counter(gram for i in range(max(1, len(words) - 3)) if (gram := tuple(words[i : i + 4])))


def score(pages: list[Gold], texts: list[str]) -> dict[str, Score]:
    """Score per gold set."""
    scores = {}
    for group in SETS:
        own = [(page.row, text) for page, text in zip(pages, texts, strict=True) if page.group == group]
        if not own:
            continue
        if group == "trafilatura snippets":
            scores[group] = snippet_score([count_snippets(*pair) for pair in own])
        else:
            scores[group] = shingle_score([count_shingles(*pair) for pair in own])
    return scores


# --- engines -----------------------------------------------------------------------------------------------------


def decoder() -> Callable[[bytes, str | None], Any]:
    """algok's charset detection."""
    decode: Callable[[bytes, str | None], Any] = importlib.import_module("algok.filters.charset").decode
    return decode


def engines() -> dict[str, Callable[[], Callable[[bytes], str]]]:
    """Name to a maker of a function from page bytes to text."""

    def algok(**options: Any) -> Callable[[], Callable[[bytes], str]]:
        def make() -> Callable[[bytes], str]:
            kernel = PageKernel(ExtractOptions(**options), decoder())
            return lambda payload: kernel.extract(Page(payload)).text or ""

        return make

    def trafilatura(fast: bool) -> Callable[[], Callable[[bytes], str]]:
        def make() -> Callable[[bytes], str]:
            from trafilatura import extract

            return lambda payload: extract(payload, fast=fast, include_comments=False, include_tables=True) or ""

        return make

    def resiliparse() -> Callable[[bytes], str]:
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.encoding import bytes_to_str, detect_encoding
        from resiliparse.parse.html import HTMLTree

        return lambda payload: extract_plain_text(
            HTMLTree.parse(bytes_to_str(payload, detect_encoding(payload))), main_content=True
        )

    return {
        "trafilatura default": trafilatura(fast=False),
        "trafilatura fast": trafilatura(fast=True),
        "resiliparse main content": lambda: resiliparse(),
        "algok": algok(),
        "algok without containers": algok(containers=False),
    }


def run(make: Callable[[], Callable[[bytes], str]], pages: list[Gold]) -> tuple[list[str], float]:
    """Texts of all pages and the CPU seconds that they took, start-up left out."""
    engine = make()
    for page in pages[:3]:
        engine(page.payload)
    texts, spent = [], 0.0
    for page in pages:
        start = time.process_time()
        try:
            text = engine(page.payload)
        except Exception as error:  # a crash is a full miss, as in trafilatura's own benchmark
            print(f"{type(error).__name__}: {error} in {page.row['id']}", file=sys.stderr)
            text = ""
        spent += time.process_time() - start
        texts.append(text)
    return texts, spent


def table(rows: Iterator[list[str]], head: list[str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    import logging

    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with mini_crawl and extraction_gold")
    parser.add_argument("--engines", default=",".join(engines()), help="names, joined by commas; default: all")
    parser.add_argument("--limit", type=int, help="pages per set")
    arguments = parser.parse_args()
    pages = load(arguments.data, arguments.limit)
    chosen = {name: make for name, make in engines().items() if name in arguments.engines.split(",")}
    results = {}
    for name, make in chosen.items():
        texts, spent = run(make, pages)
        results[name] = score(pages, texts), spent
    reference = results.get("trafilatura default", next(iter(results.values())))[1]
    rows = (
        [name, *(str(scores[group]) for group in SETS), f"{reference / spent:.1f}", f"{len(pages) / spent:.0f}"]
        for name, (scores, spent) in results.items()
    )
    print(table(rows, ["engine", *(f"{group}, F1 (P/R)" for group in SETS), "speed", "pages/s/core"]))


if __name__ == "__main__":
    main()
