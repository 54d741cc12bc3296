"""Growth of the dedup stage: CPU time a document, peak memory and bytes shuffled at several sizes.

    python benchmarks/dedup_growth.py [--sizes 100000,1000000] [--signed 100000,1000000,10000000] [--write]

Documents are made up: 60 % of their own, 20 % near copies at several distances, 10 % exact copies, 10 % that share
half their text (boilerplate), so that clusters, chains and hot bands grow with the size. Each size runs in a process
of its own, in one local worker, from the files of ``extract`` and ``filter`` to ``counts``; making the documents is
not counted. ``--signed`` are sizes at which signatures are drawn instead of computed (25 us a text; the cost
of its signature cannot depend on the other texts): 80 % of their own, 10 % copies that differ in 3 % of the values,
10 % exact copies; no pair is left to shingles. Only ratios within a run are solid.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from algok.dedup.verify import VerifyOptions
from algok.pipeline.jobs import RunOptions, run_job
from algok.schema import DECISIONS, DOCUMENTS
from algok.transforms import dedup_pairs
from algok.transforms.dedup import DedupOptions, indexed_units, run_dedup
from algok.transforms.dedup_tables import Plan
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import list_files
from algok.transforms.units import Unit

HERE = Path(__file__).resolve().parent
UNIT_ROWS = 12_500
WORDS = 120
VOCABULARY = 50_000
KINDS = {"texts": "computed", "signed": "drawn"}


def vocabulary() -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    letters = np.array(list("가나다라마바사아자차카타파하고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후"))
    return np.array(["".join(rng.choice(letters, rng.integers(2, 5))) for _ in range(VOCABULARY)], dtype=object)


def numbers(start: int, count: int, total: int) -> np.ndarray[Any, Any]:
    """Word numbers of the documents (count x WORDS); any document can be made without the others."""
    rows = np.empty((count, WORDS), dtype=np.int64)
    for i in range(count):
        number = start + i
        kind = number % 10
        rng = np.random.default_rng(number)
        if kind < 6:
            rows[i] = rng.integers(0, VOCABULARY, WORDS)
        elif kind < 9:  # a copy of a document of its own: near (6, 7) or exact (8)
            model = int(rng.integers(0, total // 10)) * 10 + int(rng.integers(0, 6))
            rows[i] = np.random.default_rng(model).integers(0, VOCABULARY, WORDS)
            if kind < 8:
                changed = rng.integers(0, WORDS, rng.choice([1, 3, 8, 30]))
                rows[i, changed] = rng.integers(0, VOCABULARY, len(changed))
        else:
            rows[i] = rng.integers(0, VOCABULARY, WORDS)
            rows[i, : WORDS // 2] = np.arange(WORDS // 2)
    return rows


def write_unit(folder: Path, number: int, total: int, words: np.ndarray[Any, Any]) -> Unit:
    start = number * UNIT_ROWS
    n = min(UNIT_ROWS, total - start)
    texts = [" ".join(row) for row in words[numbers(start, n, total)]]
    sizes = [len(t.encode()) for t in texts]
    ids = [xxhash.xxh3_128_digest(f"{start + i}".encode()) for i in range(n)]
    columns: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in DOCUMENTS}
    columns |= {
        "doc_id": pa.array(ids, pa.binary(16)),
        "source": pa.array(["made"] * n),
        "text": pa.array(texts, pa.large_string()),
        "language": pa.array(["ko"] * n),
        "chars": pa.array([len(t) for t in texts], pa.int32()),
        "bytes": pa.array(sizes, pa.int32()),
        "content_hash": pa.array([xxhash.xxh3_128_digest(t.encode()) for t in texts], pa.binary(16)),
    }
    return write_files(folder, number, columns)


def write_files(folder: Path, number: int, columns: dict[str, pa.Array]) -> Unit:
    n = len(columns["doc_id"])
    key = f"{number:016x}"
    path, decisions = folder / f"{key}.parquet", folder / f"{key}.decisions.parquet"
    pq.write_table(pa.table(columns, schema=DOCUMENTS), path, row_group_size=8192, write_page_checksum=True)
    decided: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in DECISIONS}
    decided |= {"doc_id": columns["doc_id"], "outcome": pa.array(["kept"] * n)}
    pq.write_table(pa.table(decided, schema=DECISIONS), decisions, write_page_checksum=True)
    return Unit(key=key, size=n, body={"documents": str(path), "decisions": str(decisions), "rows": n})


def draw(model: np.ndarray[Any, Any], number: np.ndarray[Any, Any], width: int) -> np.ndarray[Any, Any]:
    """Signatures: values of the model, 3 % of them replaced by the document's own where it is another."""
    place = np.arange(width, dtype=np.uint64)

    def values(key: np.ndarray[Any, Any], salt: int) -> np.ndarray[Any, Any]:
        x = (key.astype(np.uint64)[:, None] * np.uint64(width) + place + np.uint64(salt << 48)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        x = (x ^ (x >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
        return (x >> np.uint64(32)).astype(np.uint32)

    made = values(model, 1)
    changed = (values(number, 2) < np.uint32(0.03 * 2**32)) & (model != number)[:, None]
    made[changed] = values(number, 3)[changed]
    return made


def models(start: int, count: int, total: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Numbers of documents, and of the document that each is a copy of (itself, if of its own)."""
    number = np.arange(start, start + count)
    rng = np.random.default_rng(start)
    copied = rng.integers(0, max(1, total // 10), count) * 10 + rng.integers(0, 6, count)
    return number, np.where(number % 10 < 8, number, np.minimum(copied, total - 1))


def write_signed_unit(folder: Path, number: int, total: int) -> Unit:
    """A unit whose texts are "number model", for ``signed``; content hashes are those of what they stand for."""
    start = number * UNIT_ROWS
    n = min(UNIT_ROWS, total - start)
    numbers_, model = models(start, n, total)
    exact = numbers_ % 10 == 9
    texts = [f"{m if e else i} {m}" for i, m, e in zip(numbers_.tolist(), model.tolist(), exact.tolist(), strict=True)]
    sizes = pa.array(np.full(n, 1000, dtype=np.int32))
    columns: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in DOCUMENTS}
    columns |= {
        "doc_id": pa.array([xxhash.xxh3_128_digest(f"{start + i}".encode()) for i in range(n)], pa.binary(16)),
        "source": pa.array(["made"] * n),
        "text": pa.array(texts, pa.large_string()),
        "language": pa.array(["ko"] * n),
        "chars": sizes,
        "bytes": sizes,
        "content_hash": pa.array([xxhash.xxh3_128_digest(t.encode()) for t in texts], pa.binary(16)),
    }
    return write_files(folder, number, columns)


def signed(texts: Any, languages: Any, options: Any) -> tuple[Any, Any]:
    """In place of ``signature_matrix``."""
    number, model = np.array([t.split() for t in texts.to_pylist()], dtype=np.int64).T
    return draw(model, number, options.permutations), np.ones(len(texts), dtype=bool)


def measure(total: int, generated: bool) -> dict[str, Any]:
    """Run the steps on ``total`` documents in this process."""
    options = DedupOptions(verify=VerifyOptions(margin=0.0)) if generated else DedupOptions()
    if generated:
        dedup_pairs.signature_matrix = signed  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = -(-total // UNIT_ROWS)
        if generated:
            units = [write_signed_unit(folder, i, total) for i in range(count)]
        else:
            words = vocabulary()
            units = [write_unit(folder, i, total, words) for i in range(count)]
        plan = Plan(
            units=str(folder / "units.jsonl"),
            folder=str(folder / "tables"),
            spill=str(folder / "spill"),
            partitions=partitions_for(total * 32 * options.bands.bands, 16 << 20),
            rows=total,
        )
        seconds: dict[str, float] = {}
        shuffled = 0

        def run(name: str, build: Any) -> None:
            nonlocal shuffled
            start = time.process_time()
            run_job(name, build, RunOptions())
            seconds[name] = time.process_time() - start
            shuffled += sum(found.size for found in list_files(f"{plan.spill}/*.arrow"))

        import algok.dedup.minhash as kernels

        kernels.signature_matrix(pa.array(["하나 둘"], pa.large_string()))  # compiled before the clock starts
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        run_dedup(run, plan, indexed_units(units), options)
        cpu = time.process_time() - start
    return {
        "documents": total,
        "microseconds": cpu / total * 1e6,
        "steps": {name: value / total * 1e6 for name, value in seconds.items()},
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "before_mb": before / 1024,
        "shuffled": shuffled / total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--signed", default="100000,1000000,10000000", help="sizes with drawn signatures")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="write benchmarks/dedup_growth.md")
    args = parser.parse_args()
    if args.one:
        print("RESULT", json.dumps(measure(int(args.one[0]), args.one[1] == "signed")))
        return
    results = []
    wanted = [(size, "signed") for size in args.signed.split(",") if size]
    wanted += [(size, "texts") for size in args.sizes.split(",") if size]
    for size, kind in wanted:
        run = subprocess.run(
            [sys.executable, __file__, "--one", size, kind], capture_output=True, text=True, check=False
        )
        lines = [line for line in run.stdout.splitlines() if line.startswith("RESULT")]
        if not lines:
            raise SystemExit(run.stderr[-3000:])
        results.append({"kind": kind, **json.loads(lines[0].removeprefix("RESULT "))})
        print(results[-1], file=sys.stderr, flush=True)
        report(results, args.write)  # after every size: the largest takes long


def report(results: list[dict[str, Any]], write: bool) -> None:
    """Print the table; write it too if asked."""
    steps = list(dict.fromkeys(name for r in results for name in r["steps"]))
    table = [
        f"| documents | signatures | µs a document | {' | '.join(steps)} | peak MB | bytes shuffled a document |",
        "|---:|---|---:|" + "---:|" * (len(steps) + 2),
    ]
    for r in results:
        parts = " | ".join(f"{r['steps'].get(s, 0):.0f}" for s in steps)
        table.append(
            f"| {r['documents']:,} | {KINDS[r['kind']]} | {r['microseconds']:.0f} | {parts} | {r['peak_mb']:.0f} "
            f"| {r['shuffled']:.0f} |"
        )
    table += ["", f"{platform.machine()}, Python {platform.python_version()}, one worker, {time.strftime('%Y-%m-%d')}."]
    print("\n".join(table))
    if write:
        title = "# Growth of the dedup stage\n\nWritten by `python benchmarks/dedup_growth.py --write`.\n\n"
        (HERE / "dedup_growth.md").write_text(title + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
