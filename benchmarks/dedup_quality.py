"""What deduplication finds and misses on real near-duplicates, beside datatrove on the same texts.

    python benchmarks/dedup_quality.py [--data FOLDER] [--datatrove PYTHON] [--write]

Needs the development data (neardup_news, neardup_pairs and their texts). ``--datatrove`` is the Python of another
environment, as in benchmarks/minhash.py; its four MinHash steps run with 14 x 8 on word 5-grams for kor_Hang. Prints
Markdown tables:

- *found*: share of the true pairs (character 5-gram Jaccard in the range) that end in one cluster;
- *removals right*: share of the removed documents whose cluster's survivor is at .75 or more (for news: the same
  article);
- B-cubed F1 and adjusted Rand index of the clusters of neardup_news.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.dedup.test_real_duplicates import b_cubed, find, read  # noqa: E402

from algok.dedup.options import DedupOptions  # noqa: E402

DATA = HERE.parent.parent / "shared" / "data"
RANGES = ((0.7, 0.75), (0.75, 0.8), (0.8, 0.85), (0.85, 1.01))
SETS = ("ko_petitions", "ko_dotnet_docs", "ko_news")

#: Run by the other environment: texts in; which are kept, and the cluster of each, out.
DATATROVE = """
import json, sys, tempfile
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig
texts, folder = json.load(open(sys.argv[1])), tempfile.mkdtemp()
config = MinhashConfig(hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5)
documents = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
MinhashDedupSignature(output_folder=folder + "/s", config=config, language="kor_Hang").run(documents, 0, 1)
for bucket in range(14):
    MinhashDedupBuckets(input_folder=folder + "/s", output_folder=folder + "/b", config=config).run(None, bucket, 14)
MinhashDedupCluster(
    input_folder=folder + "/b", output_folder=folder + "/c", config=config, save_cluster_id=True
).run(None, 0, 1)
kept = MinhashDedupFilter(input_folder=folder + "/c", load_cluster_ids=True)
kept = {d.id for d in kept.run(iter(documents), 0, 1)}
clusters = [d.metadata.get("minhash_cluster_id", -1) for d in documents]
json.dump([clusters, [d.id in kept for d in documents]], open(sys.argv[2], "w"))
"""

Truth = dict[tuple[int, int], float]


def by_algok(texts: list[str]) -> list[int]:
    """Survivor of each text."""
    return find(texts, DedupOptions()).survivor


def by_datatrove(python: str, texts: list[str]) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "texts.json", Path(folder) / "made.json"
        given.write_text(json.dumps(texts))
        run = subprocess.run([python, "-c", DATATROVE, given, made], capture_output=True, text=True, check=False)
        if not made.exists():
            raise SystemExit(f"datatrove did not run:\n{run.stderr[-2000:]}")
        clusters, kept = json.loads(made.read_text())
    survivor_of = {c: i for i, (c, k) in enumerate(zip(clusters, kept, strict=True)) if k and c != -1}
    return [i if c == -1 else survivor_of.get(c, i) for i, c in enumerate(clusters)]


def found(survivor: list[int], truth: Truth) -> list[str]:
    cells = []
    for low, high in RANGES:
        pairs = [p for p, j in truth.items() if low <= j < high]
        cells.append(f"{np.mean([survivor[x] == survivor[y] for x, y in pairs]):.3f} ({len(pairs)})")
    return cells


def rand_index(left: list[int], right: list[str]) -> float:
    """Adjusted Rand index (Hubert & Arabie 1985)."""

    def choose(counts: Counter[object]) -> float:
        return sum(n * (n - 1) / 2 for n in counts.values())

    both, a, b = choose(Counter(zip(left, right, strict=True))), choose(Counter(left)), choose(Counter(right))
    expected = a * b / (len(left) * (len(left) - 1) / 2)
    return (both - expected) / ((a + b) / 2 - expected)


def pairs_of(data: Path) -> tuple[list[str], Truth]:
    texts: list[str] = []
    truth: Truth = {}
    for name in SETS:
        rows = read(data / name / "data.jsonl.gz")
        at = {row["id"]: len(texts) + i for i, row in enumerate(rows)}
        texts += [row["text"] for row in rows]
        for pair in read(data / "neardup_pairs" / f"{name}.jsonl.gz"):
            x, y = sorted((at[pair["a"]], at[pair["b"]]))
            truth[x, y] = pair["jaccard"]
    return texts, truth


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--datatrove", help="Python of an environment with datatrove")
    parser.add_argument("--write", action="store_true", help="write benchmarks/dedup_quality.md")
    args = parser.parse_args()
    engines = {"algok": by_algok}
    if args.datatrove:
        engines["datatrove"] = lambda texts: by_datatrove(args.datatrove, texts)

    texts, truth = pairs_of(args.data)
    heads = " | ".join(f"found at J {low:g}-{min(high, 1):g}" for low, high in RANGES)
    lines = [f"| neardup_pairs | removed | {heads} | removals right |", "|---|---:|" + "---:|" * (len(RANGES) + 1)]
    for name, engine in engines.items():
        survivor = engine(texts)
        removed = [(min(x, y), max(x, y)) for x, y in enumerate(survivor) if x != y]
        right = np.mean([truth.get(pair, 0.0) >= 0.75 for pair in removed])
        lines.append(f"| {name} | {len(removed)} | {' | '.join(found(survivor, truth))} | {right:.3f} |")

    rows = read(args.data / "neardup_news" / "data.jsonl.gz")
    labels = [row["cluster"] for row in rows]
    first = {row["cluster"]: i for i, row in enumerate(rows) if row["revision"] == 0}
    truth = {(first[r["cluster"]], i): r["jaccard5_to_first"] for i, r in enumerate(rows) if r["revision"]}
    lines += ["", f"| neardup_news | removed | {heads} | removals right | B-cubed F1 | ARI |"]
    lines.append("|---|---:|" + "---:|" * (len(RANGES) + 3))
    for name, engine in engines.items():
        survivor = engine([row["text"] for row in rows])
        removed = [(x, y) for x, y in enumerate(survivor) if x != y]
        right = np.mean([labels[x] == labels[y] for x, y in removed])
        quality = f"{b_cubed(survivor, labels):.3f} | {rand_index(survivor, labels):.3f}"
        lines.append(f"| {name} | {len(removed)} | {' | '.join(found(survivor, truth))} | {right:.3f} | {quality} |")
    lines += ["", f"{platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}."]
    print("\n".join(lines))
    if args.write:
        title = "# Quality of deduplication\n\nWritten by `python benchmarks/dedup_quality.py --write`.\n\n"
        (HERE / "dedup_quality.md").write_text(title + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
