"""Packing beside concatenation and beside next fit on the same lengths: documents cut, padding, speed, memory.

    python -m benchmarks.packing                            # web-like lengths (log-normal, median 450 tokens)
    python -m benchmarks.packing --work work/mini-crawl     # and the lengths of a run's documents

Each way packs the same documents. *Concatenation* joins them in the order of their ids and cuts every sequence_length
tokens; *next fit* keeps documents whole but takes them in that order, opening a sequence when one does not fit. CPU
time of one thread, the best of ``--repeats``. Prints a Markdown table.
"""

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numba import njit

from algok.tokenizer.packing import SEQUENCE_LENGTH, pack
from benchmarks.machine import describe, markdown_line

Int64s = np.ndarray[Any, np.dtype[np.int64]]


def web_lengths(count: int) -> Int64s:
    """Log-normal token counts with a heavy tail, like those of web pages."""
    return np.maximum(1, np.random.default_rng(1).lognormal(6.1, 1.3, count)).astype(np.int64)


def run_lengths(work: Path) -> Int64s:
    """Token counts of the documents that a run packed."""
    tables = [pq.read_table(path, columns=["tokens", "copies"]) for path in sorted(work.glob("pack/packed/*.parquet"))]
    return np.concatenate([np.repeat(t["tokens"].to_numpy(), t["copies"].to_numpy()) for t in tables])


@njit(cache=True)  # type: ignore[untyped-decorator]
def next_fit(lengths: Int64s, size: int) -> int:
    """Sequences that it takes to keep documents whole in the order in which they come."""
    sequences, room = 0, 0
    for length in lengths:
        if length > size:
            sequences += length // size
            length %= size
        if length > room:
            sequences += 1
            room = size
        room -= length
    return sequences


def best(call: Any, repeats: int) -> float:
    """Least CPU time of a call in seconds, after one call to warm up."""
    call()
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


def row(name: str, lengths: Int64s, size: int, repeats: int) -> str:
    ids = np.random.default_rng(2).integers(0, 256, (len(lengths), 16), np.uint8)
    packed = pack(lengths, size, ids=ids)
    seconds = best(lambda: pack(lengths, size, ids=ids), repeats)
    sequences = next_fit(lengths, size)
    wasted = 1 - int(lengths.sum()) / (sequences * size)
    share = packed.cut_tokens / max(1, packed.tokens)
    return (
        f"| {name} | {len(lengths):,} | {size:,} | {packed.sequences:,} | {100 * packed.waste:.3f} % "
        f"| {100 * wasted:.2f} % | {packed.cut_documents:,} | {packed.concatenation_cuts:,} "
        f"| {100 * share:.1f} % | {packed.cut_documents - packed.scattered_documents:,} "
        f"| {len(lengths) / seconds / 1e6:.1f} M |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="work folder of a run")
    parser.add_argument("--counts", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--lengths", type=int, nargs="*", default=[SEQUENCE_LENGTH, 8_192, 2_048])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(markdown_line(describe()), "\n")
    print(
        "| documents | number | sequence | sequences | padding | padding of next fit | cut | cut by concatenation "
        "| tokens in cut ones | of these adjacent | documents/s |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for count in given.counts:
        for size in given.lengths:
            print(row("log-normal", web_lengths(count), size, given.repeats))
    if given.work:
        for size in given.lengths:
            print(row("of the run", run_lengths(given.work), size, given.repeats))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"\nPeak memory of the process: {peak:,.0f} MB.")


if __name__ == "__main__":
    main()
