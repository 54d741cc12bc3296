"""Quality against speed of main-text extraction, beside trafilatura and resiliparse, on the gold of ../shared/data.

    python -m benchmarks.extraction_quality [--engines algok,trafilatura,...] [--limit N] [--data FOLDER] [--quick]

The curve of quality against speed of our own choices and the others': F1 (precision/recall) on each gold set by that
benchmark's own scorer, and pages per second of CPU time relative to trafilatura's default in the same run. Every
engine gets the bytes of the page, so decoding is part of its time. algok runs without its sandbox, the peers in a
process of their own, without algok's stand-ins inside trafilatura.

Scorers
- trafilatura snippets: ``tests/eval_common.py`` of trafilatura: white-space normalised substrings, counts over all
  pages.
- scrapinghub: ``evaluate.py`` of article-extraction-benchmark: 4-shingles of words, mean over pages.
- Korean templates: the same shingle score, over the text of the template's own body container.
"""

import argparse
import datetime
import gc
import gzip
import importlib
import json
import logging
import re
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from algok.filters.extraction.blocks.forest import load as load_models
from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel
from benchmarks.apart import Apart
from benchmarks.folds import FOLDS, fold_of
from benchmarks.machine import describe
from benchmarks.tables import RESULTS, Bar, Result, Table, publish

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SETS = {
    "trafilatura snippets": "trafilatura_snippets",
    "scrapinghub": "scrapinghub_fulltext",
    "Korean templates": "ko_template",
}


REFERENCE, ALGOK = "trafilatura default", "algok"
#: Models of the block engine by fold of hosts, as ``train_blocks --install`` puts them there.
FOLD_MODELS = Path(__file__).resolve().parent / "blocks"


class Gold(NamedTuple):
    """A page and what its text should be: ``row`` is the gold file's own record."""

    group: str
    row: dict[str, Any]
    payload: bytes
    host: str


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
                payload = next(iter(ArchiveIterator(stream))).reader.read()
            pages.append(Gold(group, row, payload, urlsplit(row["url"]).netloc))
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


def own_engines(models: Path | None) -> dict[str, Callable[[], Callable[[Gold], str]]]:
    """Name of a choice of ours to a maker of a function from page to text.

    With ``models``, a folder that ``train_blocks`` wrote, a page goes to the models of its fold; else to those of the
    package.
    """

    def algok(**options: Any) -> Callable[[], Callable[[Gold], str]]:
        def make() -> Callable[[Gold], str]:
            given = ExtractOptions(**options)
            if models is None or given.engine not in ("cascade", "blocks"):
                kernel = PageKernel(given, decoder())
                return lambda page: kernel.extract(Page(page.payload)).text or ""
            kernels = [PageKernel(given, decoder(), load_models(models / f"fold-{fold}.npz")) for fold in range(FOLDS)]
            return lambda page: kernels[fold_of(page.host)].extract(Page(page.payload)).text or ""

        return make

    return {
        ALGOK: algok(),
        "algok, sure = 0.95": algok(sure=0.95),
        "algok, sure = 0.7": algok(sure=0.7),
        "algok, engine = blocks": algok(engine="blocks"),
        "algok, engine = trafilatura": algok(engine="trafilatura"),
        "algok, focus = recall": algok(focus="recall"),
        "algok, focus = precision": algok(focus="precision"),
        "algok, containers = false": algok(containers=False),
        "algok, engine = trafilatura-fast": algok(engine="trafilatura-fast"),
        "algok, engine = resiliparse": algok(engine="resiliparse"),
    }


def engines() -> dict[str, Callable[[], Callable[[bytes], str]]]:
    """Name of a peer to a maker of a function from page bytes to text."""

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
        REFERENCE: trafilatura(fast=False),
        "trafilatura fast": trafilatura(fast=True),
        "resiliparse main content": lambda: resiliparse(),
    }


def run(chosen: list[str], pages: list[Gold], models: Path | None = None) -> dict[str, tuple[list[str], float]]:
    """Texts of all pages and the CPU seconds that they took, by engine; start-up left out.

    Every page goes through all engines, in an order that rotates, before the next: what else the machine does, and what
    it holds in its caches, is then the same for all.
    """
    own = {name: make() for name, make in own_engines(models).items() if name in chosen}
    texts: dict[str, list[str]] = {name: [] for name in chosen}
    spent = dict.fromkeys(chosen, 0.0)
    with Apart(engines) as peers:
        for page in pages[:: max(1, len(pages) // 20)]:
            for name in chosen:
                _text(own[name], page) if name in own else peers.run(name, page.payload)
        # What the engines hold is no work of the collector, who would visit the many sets of models at random moments.
        gc.collect()
        gc.freeze()
        for number, page in enumerate(pages):
            turn = number % len(chosen)
            for name in chosen[turn:] + chosen[:turn]:
                if name in own:
                    start = time.process_time()
                    text = _text(own[name], page)
                    cost = time.process_time() - start
                else:
                    text, cost = peers.run(name, page.payload)
                spent[name] += cost
                texts[name].append(text)
    return {name: (texts[name], spent[name]) for name in chosen}


def _text(engine: Callable[[Gold], str], page: Gold) -> str:
    try:
        return engine(page)
    except Exception as error:  # a crash is a full miss, as in trafilatura's own benchmark
        print(f"{type(error).__name__}: {error} in {page.row['id']}", file=sys.stderr)
        return ""


def bars(results: dict[str, tuple[dict[str, Score], float]]) -> list[Bar]:
    """The goals: F1 on each set, and the time beside trafilatura's default."""
    if ALGOK not in results or REFERENCE not in results:
        return []
    (ours, spent), (theirs, reference) = results[ALGOK], results[REFERENCE]
    goals = {
        "trafilatura snippets": 0.93,
        "scrapinghub": 0.965,
        "Korean templates": theirs["Korean templates"].f1 + 0.03,
    }
    return [
        *(Bar(name=f"1 - F1, {group}", value=1 - ours[group].f1, limit=1 - goal) for group, goal in goals.items()),
        Bar(name=f"CPU time over that of {REFERENCE}", value=spent / reference, limit=1 / 2.5),
    ]


def main(arguments: list[str] | None = None) -> Result:
    """Measure, print and write the result."""
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with mini_crawl and extraction_gold")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--engines", help="names, joined by semicolons; default: all")
    parser.add_argument("--limit", type=int, help="pages per set")
    parser.add_argument("--models", type=Path, default=FOLD_MODELS, help="models of the block engine by fold of hosts")
    parser.add_argument("--shipped", action="store_true", help="those of the package, which saw the pages, instead")
    parser.add_argument("--quick", action="store_true", help="60 pages per set")
    given = parser.parse_args(arguments)
    machine = describe()
    models = None if given.shipped else given.models
    pages = load(given.data, 60 if given.quick else given.limit)
    wanted = given.engines.split(";") if given.engines else [*engines(), *own_engines(None)]
    results = {name: (score(pages, texts), spent) for name, (texts, spent) in run(wanted, pages, models).items()}
    reference = results.get(REFERENCE, next(iter(results.values())))[1]
    rows: list[list[Any]] = [
        [name, *(str(scores[group]) for group in SETS), f"{reference / spent:.1f}", f"{len(pages) / spent:.0f}"]
        for name, (scores, spent) in results.items()
    ]
    counts = ", ".join(f"{group} {sum(page.group == group for page in pages):,}" for group in SETS)
    options = ["--quick"] if given.quick else ["--limit", str(given.limit)] if given.limit else []
    options += ["--engines", given.engines] if given.engines else []
    options += ["--shipped"] if given.shipped else []
    result = Result(
        benchmark="extraction_quality",
        title="Main text: quality against speed",
        command=shlex.join(["python", "-m", "benchmarks.extraction_quality", *options]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[
            Table(
                title="F1 (precision/recall) by each benchmark's own scorer",
                columns=["engine", *SETS, "speed", "pages/s/core"],
                rows=rows,
            )
        ],
        bars=bars(results),
        notes=[
            f"Pages: {counts}. Speed: CPU time of trafilatura's default over that of the engine, all pages together.",
            "The default engine of `[extract.pages]` is the row `algok`; rows `algok, ...` differ in one option.",
            "The models of the block engine did not see the host of the page that they are measured on."
            if models
            else "The models of the block engine are those of the package, which saw these pages.",
            "trafilatura gives plain text here; algok's text has Markdown marks, which the scorers do not see or count "
            "as words that are not in the gold.",
        ],
        measured={
            name: {"cpu_s": spent, **{group: value._asdict() for group, value in scores.items()}}
            for name, (scores, spent) in results.items()
        },
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
