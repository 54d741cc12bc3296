"""Microseconds a document of the measuring kernels, beside the same rules in plain Python.

    python benchmarks/signals.py [--texts FILE.jsonl[.gz] ...] [--documents 2000]

The baseline is what datatrove's Gopher and FineWeb filters compute (words by ``str.split``), written here in plain
Python. Both sides run on the same texts in one process; compare the ratios, for the times are those of a shared
machine.
"""

import argparse
import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from algok.filters.language import LanguageIdentifier, hangul_shares
from algok.filters.packs import builtin_packs
from algok.filters.policy import DEFAULT_POLICIES, decide, select
from algok.filters.signals import measure
from algok.schema import DOCUMENTS

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
STOP_WORDS = {"의", "다", "이", "는", "에", "을", "한", "년", "하", "은", "를", "했", "고", "에서", "가", "있"}


def read_texts(paths: list[Path], limit: int) -> list[str]:
    """Texts of JSONL files, taken in turn from each so that their mean length is near 1,700 characters."""
    columns = []
    for path in paths:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            columns.append([json.loads(line)["text"] for line, _ in zip(lines, range(limit), strict=False)])
    return [text for row in zip(*columns, strict=False) for text in row][:limit]


def as_documents(texts: list[str]) -> pa.RecordBatch:
    """A DOCUMENTS batch of kept rows."""
    given: dict[str, Any] = {"text": texts, "outcome": ["kept"] * len(texts)}
    arrays = [pa.array(given.get(field.name, [None] * len(texts)), field.type) for field in DOCUMENTS]
    return pa.RecordBatch.from_arrays(arrays, schema=DOCUMENTS)


def duplicates(items: list[str]) -> tuple[int, int]:
    seen: set[str] = set()
    count = chars = 0
    for item in items:
        if item in seen:
            count += 1
            chars += len(item)
        else:
            seen.add(item)
    return count, chars


def repetition(text: str, words: list[str]) -> list[float]:
    """Gopher's repetition rules."""
    lines = re.split("\n+", text)
    paragraphs = re.split("\n{2,}", text.strip())
    out = [value / len(items) for items in (lines, paragraphs) for value in duplicates(items)]
    for n in (2, 3, 4):
        grams = [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
        if grams:
            gram, times = Counter(grams).most_common(1)[0]
            out.append(len(gram) * times / len(text))
    for n in range(5, 11):
        seen: set[str] = set()
        at = repeated = 0
        while at < len(words) - n + 1:
            gram = "".join(words[at : at + n])
            if gram in seen:
                repeated += len(gram)
                at += n
            else:
                seen.add(gram)
                at += 1
        out.append(repeated / len(text))
    return out


def quality(text: str, words: list[str]) -> list[float]:
    """Gopher's quality rules and FineWeb's line rules."""
    lines = [line for line in text.split("\n") if line.strip()]
    count = max(1, len(words))
    return [
        count,
        sum(len(word) for word in words) / count,
        text.count("#") / count,
        (text.count("...") + text.count("…")) / count,
        sum(line.lstrip().startswith(("•", "-")) for line in lines) / max(1, len(lines)),
        sum(line.rstrip().endswith(("...", "…")) for line in lines) / max(1, len(lines)),
        sum(any(char.isalpha() for char in word) for word in words) / count,
        len(STOP_WORDS.intersection(words)),
        sum(line.endswith((".", "'", '"', "!", "?")) for line in lines) / max(1, len(lines)),
        sum(len(line) <= 30 for line in lines) / max(1, len(lines)),
        duplicates(lines)[1] / max(1, len(text)),
        text.count("\n") / count,
    ]


def clock(work: Callable[[], object], documents: int, repeats: int = 5) -> float:
    """Least CPU time of a few runs, in microseconds a document."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times) / documents * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [SHARED / name / "data.jsonl.gz" for name in ("ko_news", "ko_petitions", "ko_nsmc")]
    parser.add_argument("--texts", nargs="+", type=Path, default=default, help="JSONL files with a field text")
    parser.add_argument("--documents", type=int, default=2000)
    options = parser.parse_args()
    texts = read_texts(options.texts, options.documents)
    packs, policies, identifier = builtin_packs(), select(DEFAULT_POLICIES), LanguageIdentifier()
    batch = as_documents(texts)
    labelled = identifier.annotate(batch)
    measured = measure(labelled, packs)  # compiles
    split = [text.split() for text in texts]
    plain = {
        "repetition": lambda: [repetition(text, words) for text, words in zip(texts, split, strict=True)],
        "quality and line rules": lambda: [quality(text, words) for text, words in zip(texts, split, strict=True)],
        "word splitting": lambda: [text.split() for text in texts],
    }
    count = len(texts)
    baseline = {name: clock(work, count, repeats=2) for name, work in plain.items()}
    total = sum(baseline.values())
    ours = {
        "measure: all signals and content_hash": clock(lambda: measure(labelled, packs), count),
        "annotate: language and Hangul share": clock(lambda: identifier.annotate(batch), count, repeats=2),
        "of which Hangul share": clock(lambda: hangul_shares(batch.column("text")), count),
        "decide: six policies": clock(lambda: decide(measured, policies, "unit", 0), count),
    }
    chars = sum(map(len, texts)) / count
    print(f"{count} documents, {chars:.0f} characters on average; CPU microseconds a document\n")
    print("| | µs | times faster than plain Python |\n|---|---:|---:|")
    for name, value in baseline.items():
        print(f"| plain Python: {name} | {value:.1f} | |")
    for name, value in ours.items():
        ratio = f"{total / value:.1f}" if name.startswith("measure") else ""
        print(f"| {name} | {value:.1f} | {ratio} |")


if __name__ == "__main__":
    main()
