"""Cost of MinHash signatures beside datasketch and datatrove on the same texts, in one run.

    python benchmarks/minhash.py [--documents N] [--data FOLDER] [--datatrove PYTHON] [--write]

Prints a Markdown table of CPU time per document; ``--write`` also puts it into benchmarks/minhash.md. ``--datatrove``
is the Python of another virtual environment that has datatrove (its pins do not fit ours): ``pip install
"datatrove[processing]" kiwipiepy==0.20.4 spacy xxhash``. Only ratios within a run are solid.

- *algok*: Arrow array of texts to signatures, normalisation included, one core; compiled before the clock starts.
- *datasketch bulk*: ``MinHash.bulk`` with xxh32 over shingles that are ready as bytes; *with shingles* adds algok's
  normalisation and
  Python's slicing and encoding of the shingles.
- *datatrove*: ``MinhashDedupSignature.run`` for kor_Hang (14 buckets x 8 hashes, word 5-grams by Kiwi), on documents
  in memory.

The cost of a (shingle, permutation) is that of the inner loop alone, on 300 hashes.
"""

import argparse
import gzip
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash
from datasketch import MinHash

from algok.dedup.kernels import minima
from algok.dedup.minhash import MinHashOptions, permutations, signature_matrix
from algok.dedup.shingles import ShingleOptions, shingles_of

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "shared" / "data"
WORDS = ShingleOptions(char_languages=())

#: Run by the other environment: texts in, microseconds of CPU a document out.
DATATROVE = """
import json, sys, tempfile, time
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig
texts = json.load(open(sys.argv[1]))
config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
step = MinhashDedupSignature(output_folder=tempfile.mkdtemp(), config=config, language="kor_Hang")
documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
step.run(documents[:5], 0, 2)
start = time.process_time()
step.run(documents, 1, 2)
print("MICROSECONDS", (time.process_time() - start) / len(documents) * 1e6)
"""


def microseconds(call: Callable[[], Any], documents: int, repeats: int = 3) -> float:
    """Median CPU time a document."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return median(times) / documents * 1e6


def texts_of(data: Path, count: int) -> list[str]:
    """Korean news where the development data is, else made-up words of the same length."""
    path = data / "ko_news" / "data.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt") as file:
            return [json.loads(line)["text"] for _, line in zip(range(count), file, strict=False)]
    rng = np.random.default_rng(1)
    letters = np.array(list("가나다라마바사아자차카타파하고노도로모보소오조초코토포호"))
    return [" ".join("".join(rng.choice(letters, 3)) for _ in range(290)) for _ in range(count)]


def by_datatrove(python: str, texts: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "texts.json"
        path.write_text(json.dumps(texts))
        run = subprocess.run([python, "-c", DATATROVE, str(path)], capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        if line.startswith("MICROSECONDS"):
            return float(line.split()[1])
    raise SystemExit(f"datatrove did not run:\n{run.stderr[-2000:]}")


def inner_loop() -> float:
    """Nanoseconds for a (shingle, permutation)."""
    hashes = np.random.default_rng(1).integers(0, 2**32, 300, dtype=np.uint32)
    a, b = permutations(128, 1)
    out = np.empty(128, dtype=np.uint32)
    minima(hashes, 300, a, b, out)

    def many() -> None:
        for _ in range(2000):
            minima(hashes, 300, a, b, out)

    return microseconds(many, 2000) * 1000 / (300 * 128)


def rows_of(texts: list[str], datatrove: str | None) -> list[tuple[str, float]]:
    array = pa.array(texts, pa.large_string())
    korean, none = pa.array(["ko"] * len(texts)), pa.array([""] * len(texts))
    words = MinHashOptions(permutations=128, shingles=WORDS)
    signature_matrix(array[:2], none, words)
    rows = [
        (
            "algok, 128 permutations, word 5-shingles",
            microseconds(lambda: signature_matrix(array, none, words), len(texts)),
        ),
        (
            "algok, 112 permutations, character 5-shingles (the default for Korean)",
            microseconds(lambda: signature_matrix(array, korean, MinHashOptions()), len(texts)),
        ),
    ]
    few = texts[:500]

    def bulk(sets: list[list[bytes]]) -> None:
        MinHash.bulk(sets, num_perm=128, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")

    ready = [[s.encode() for s in shingles_of(text, None, WORDS)] for text in few]
    rows.append(("datasketch 2 bulk, 128, word shingles ready", microseconds(lambda: bulk(ready), len(few))))
    rows.append(
        (
            "datasketch 2 bulk, 128, with shingles",
            microseconds(lambda: bulk([[s.encode() for s in shingles_of(t, None, WORDS)] for t in few]), len(few)),
        )
    )
    if datatrove:
        rows.append(("datatrove signatures, 112, kor_Hang", by_datatrove(datatrove, texts[:500])))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--datatrove", help="Python of an environment with datatrove")
    parser.add_argument("--write", action="store_true", help="write benchmarks/minhash.md")
    args = parser.parse_args()
    texts = texts_of(args.data, args.documents)
    rows = rows_of(texts, args.datatrove)
    base = rows[0][1]
    shingles = sum(len(shingles_of(text, None, WORDS)) for text in texts[:500]) / min(500, len(texts))
    lines = [
        "| signatures | µs a document | times algok's first row |",
        "|---|---:|---:|",
        *(f"| {name} | {value:.1f} | {value / base:.1f} |" for name, value in rows),
        "",
        f"{len(texts):,} documents, {sum(map(len, texts)) / len(texts):,.0f} characters and {shingles:,.0f} word "
        f"5-shingles on average. Inner loop: {inner_loop():.3f} ns a (shingle, permutation).",
        f"{platform.machine()}, Python {platform.python_version()}, one core of a shared machine, "
        f"{time.strftime('%Y-%m-%d')}.",
    ]
    print("\n".join(lines))
    if args.write:
        title = "# MinHash signatures\n\nWritten by `python benchmarks/minhash.py --write`.\n\n"
        (HERE / "minhash.md").write_text(title + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
