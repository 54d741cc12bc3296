"""What deduplication finds and misses on real near-duplicates, beside datatrove and text-dedup on the same texts.

    python benchmarks/dedup_quality.py [--data FOLDER] [--datatrove PYTHON] [--text-dedup PYTHON] [--write]

Needs the development data (neardup_news, neardup_pairs and their texts). The Pythons are those of other environments:
datatrove's as in benchmarks/minhash.py, its four MinHash steps with 14 x 8 on word 5-grams for kor_Hang; text-dedup's
has the package text-dedup 0.4, its `minhash` command with its defaults (250 permutations, word 5-grams) at
`--threshold 0.8`. Each runs in a process of its own; algok runs its stage, from the files of ``extract`` to clusters.
Prints Markdown tables:

- *documents/s/core*: by CPU time of the whole process without imports; *peak*: its resident memory;
- *found*: share of the true pairs (character 5-gram Jaccard in the range) that end in one cluster;
- *removals right*: share of the removed documents whose cluster's survivor is at .75 or more (for news: the same
  article);
- B-cubed F1 and adjusted Rand index of the clusters of neardup_news.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.dedup.test_real_duplicates import b_cubed, read  # noqa: E402

DATA = HERE.parent.parent / "shared" / "data"
RANGES = ((0.7, 0.75), (0.75, 0.8), (0.8, 0.85), (0.85, 1.01))
SETS = ("ko_petitions", "ko_dotnet_docs", "ko_news")

#: Run by the other environment: texts in; which are kept, and the cluster of each, out.
DATATROVE = """
import json, resource, sys, tempfile, time
from datatrove.data import Document
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.hashing import HashConfig
texts, folder = json.load(open(sys.argv[1])), tempfile.mkdtemp()
start = time.process_time()
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
kept_of = {c: i for i, (d, c) in enumerate(zip(documents, clusters)) if d.id in kept and c != -1}
survivor = [i if c == -1 else kept_of.get(c, i) for i, c in enumerate(clusters)]
cpu, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump([survivor, cpu, peak], open(sys.argv[2], "w"))
"""

#: The same for text-dedup: its command, then the union-find that it dumps.
TEXT_DEDUP = """
import json, os, pickle, resource, sys, tempfile, time
import click
import text_dedup.minhash as minhash
texts, folder = json.load(open(sys.argv[1])), tempfile.mkdtemp()
start = time.process_time()
with open(folder + "/texts.jsonl", "w") as file:
    for text in texts:
        file.write(json.dumps({"text": text}) + chr(10))
minhash.main.main(
    ["--path", "json", "--data_files", folder + "/texts.jsonl", "--split", "train", "--cache_dir", folder + "/cache",
     "--output", folder + "/out", "--column", "text", "--num_proc", "1", "--threshold", "0.8", "--debug"],
    standalone_mode=False,
)
cpu = time.process_time() - start
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
cpu += used[1].ru_utime + used[1].ru_stime
uf = pickle.load(open(folder + "/out/uf.pkl", "rb"))
roots = [uf.find(i) for i in range(len(texts))]
json.dump([roots, cpu, max(u.ru_maxrss for u in used)], open(sys.argv[2], "w"))
"""

Truth = dict[tuple[int, int], float]


class Made(NamedTuple):
    """Survivor of each text, CPU seconds, peak resident memory in MB."""

    survivor: list[int]
    cpu: float
    peak: float

    def cost(self) -> str:
        return f"{len(self.survivor) / self.cpu:,.0f} | {self.peak:,.0f}"


def run_algok(given: Path, made: Path) -> None:
    """The stage in this process: texts in, as the other engines have it out."""
    import random

    from tests.transforms.test_dedup import write_unit_files

    from algok.dedup.lines import LineOptions
    from algok.dedup.minhash import signature_matrix
    from algok.dedup.options import DedupOptions
    from algok.pipeline.jobs import RunOptions, run_job
    from algok.transforms.dedup import indexed_units, run_dedup
    from algok.transforms.dedup_clusters import ClusterRows
    from algok.transforms.dedup_tables import Plan

    texts = json.loads(given.read_text())
    with tempfile.TemporaryDirectory() as name:
        rng = random.Random(1)
        documents = [
            {
                "doc_id": rng.randbytes(16), "source": "s", "text": text, "language": "ko", "captured": 0,
                "chars": len(text), "bytes": len(text.encode()), "kept": True,
            }
            for text in texts
        ]  # fmt: skip
        unit = write_unit_files(Path(name), "00000000000000aa", documents, group=8192)
        signature_matrix(_one())  # kernels are loaded before the clock starts
        start = time.process_time()
        (numbered,) = indexed_units([unit])
        plan = Plan(units=f"{name}/u", folder=f"{name}/tables", spill=f"{name}/spill", partitions=1, rows=len(texts))
        options = DedupOptions(lines=LineOptions(on=False))
        run_dedup(lambda job, build: run_job(job, build, RunOptions()), plan, [numbered], options)
        at = {d["doc_id"]: i for i, d in enumerate(documents)}
        survivor = [0] * len(texts)
        for batch, _ in ClusterRows(folder=plan.folder).read(numbered, {}):
            for row in batch.to_pylist():
                survivor[row["row"]] = at[row["cluster_id"]]
        cpu = time.process_time() - start
    made.write_text(json.dumps([survivor, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))


def _one() -> object:
    import pyarrow as pa

    return pa.array(["하나 둘"], pa.large_string())


def in_process(command: list[str], texts: list[str]) -> Made:
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "texts.json", Path(folder) / "made.json"
        given.write_text(json.dumps(texts))
        run = subprocess.run([*command, given, made], capture_output=True, text=True, check=False, cwd=folder)
        if not made.exists():
            raise SystemExit(f"{command[0]} did not run:\n{run.stderr[-2000:]}")
        survivor, cpu, peak = json.loads(made.read_text())
    return Made(survivor, cpu, peak / 1024)


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
    parser.add_argument("--text-dedup", help="Python of an environment with text-dedup")
    parser.add_argument("--write", action="store_true", help="write benchmarks/dedup_quality.md")
    parser.add_argument("--engine", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.engine:
        run_algok(*args.engine)
        return
    engines = {"algok": [sys.executable, str(Path(__file__).resolve()), "--engine"]}
    if args.datatrove:
        engines["datatrove"] = [args.datatrove, "-c", DATATROVE]
    if args.text_dedup:
        engines["text-dedup"] = [args.text_dedup, "-c", TEXT_DEDUP]

    texts, truth = pairs_of(args.data)
    heads = " | ".join(f"found at J {low:g}-{min(high, 1):g}" for low, high in RANGES)
    costs = "documents/s/core | peak MB"
    lines = [
        f"| neardup_pairs ({len(texts):,} texts) | removed | {heads} | removals right | {costs} |",
        "|---|---:|" + "---:|" * (len(RANGES) + 3),
    ]
    for name, engine in engines.items():
        made = in_process(engine, texts)
        survivor = made.survivor
        removed = [(min(x, y), max(x, y)) for x, y in enumerate(survivor) if x != y]
        right = np.mean([truth.get(pair, 0.0) >= 0.75 for pair in removed])
        lines.append(
            f"| {name} | {len(removed)} | {' | '.join(found(survivor, truth))} | {right:.3f} | {made.cost()} |"
        )

    rows = read(args.data / "neardup_news" / "data.jsonl.gz")
    labels = [row["cluster"] for row in rows]
    first = {row["cluster"]: i for i, row in enumerate(rows) if row["revision"] == 0}
    truth = {(first[r["cluster"]], i): r["jaccard5_to_first"] for i, r in enumerate(rows) if r["revision"]}
    title = f"neardup_news ({len(rows):,} texts)"
    lines += ["", f"| {title} | removed | {heads} | removals right | B-cubed F1 | ARI | {costs} |"]
    lines.append("|---|---:|" + "---:|" * (len(RANGES) + 5))
    for name, engine in engines.items():
        made = in_process(engine, [row["text"] for row in rows])
        survivor = made.survivor
        removed = [(x, y) for x, y in enumerate(survivor) if x != y]
        right = np.mean([labels[x] == labels[y] for x, y in removed])
        quality = f"{b_cubed(survivor, labels):.3f} | {rand_index(survivor, labels):.3f}"
        recall = " | ".join(found(survivor, truth))
        lines.append(f"| {name} | {len(removed)} | {recall} | {right:.3f} | {quality} | {made.cost()} |")
    lines += ["", f"{platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}."]
    print("\n".join(lines))
    if args.write:
        title = "# Quality of deduplication\n\nWritten by `python benchmarks/dedup_quality.py --write`.\n\n"
        (HERE / "dedup_quality.md").write_text(title + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
