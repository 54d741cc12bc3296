"""The shuffled reader beside plain pyarrow in file order, and beside reading the bytes, on the same shards.

    python -m benchmarks.reader [--folder DIR] [--shards 4] [--mb 250]

Writes shards of random documents to DIR (a temporary folder by default), reads them in several ways, and adds up a
token of every page, so that all are read. *Cold*: the files are dropped from the page cache first (``posix_fadvise``),
so the disk is read; wall-clock time less the time spent waiting for a core, which other programs decide. *Warm*: from
the page cache; CPU time. The ways alternate; the median of ``--repeats``. Prints a Markdown table.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from algok.tokenizer.packing import pack
from algok.tokenizer.reader import ShardReader
from algok.tokenizer.shards import ShardInfo, write_shard
from benchmarks.machine import describe, markdown_line

#: Tokens of 4 bytes in a page of memory: one of each page is looked at.
PAGE = 1024


def make_shards(folder: Path, count: int, megabytes: int) -> list[Path]:
    """Shards of about ``megabytes`` each with documents of web-like lengths."""
    paths = []
    for number in range(count):
        path = folder / f"shard-{number:05d}.arrow"
        paths.append(path)
        if path.exists():
            continue
        rng = np.random.default_rng(number)
        lengths = np.maximum(1, rng.lognormal(6.1, 1.3, megabytes * 240)).astype(np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        tokens = rng.integers(4, 102_400, offsets[-1]).astype(np.uint32)
        ids = rng.integers(0, 256, (len(lengths), 16), np.uint8)
        info = ShardInfo(tokenizer_sha256="00" * 32, vocab_size=102_400, pad_id=3, eos_id=2)
        write_shard(path, info, pack(lengths, ids=ids), tokens, offsets, ids, pa.array(["ko"] * len(lengths)))
    return paths


def drop(paths: list[Path]) -> None:
    """Write the files out and drop them from the page cache."""
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def shuffled(paths: list[Path]) -> int:
    return sum(int(item.tokens[::PAGE].sum(dtype=np.uint64)) for item in ShardReader(paths, seed=1))


def in_order(paths: list[Path]) -> int:
    total = 0
    for path in paths:
        with pa.memory_map(str(path)) as source:
            file = pa.ipc.open_file(source)
            for number in range(file.num_record_batches):
                total += int(file.get_batch(number).column(0).values.to_numpy()[::PAGE].sum(dtype=np.uint64))
    return total


def plain_bytes(paths: list[Path]) -> int:
    block = bytearray(1 << 20)
    total = 0
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(block):
                total += size
    return total


def waited_for_a_core() -> float:
    """Seconds that this thread was ready to run and was not, as the kernel counts them (0 where it does not)."""
    counts = Path("/proc/thread-self/schedstat")
    return int(counts.read_text().split()[1]) / 1e9 if counts.exists() else 0.0


def timed(call: Callable[[list[Path]], int], paths: list[Path], *, cold: bool) -> float:
    if cold:
        drop(paths)
        begin, waited = time.monotonic(), waited_for_a_core()
        call(paths)
        return time.monotonic() - begin - (waited_for_a_core() - waited)
    begin = time.process_time()
    call(paths)
    return time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--mb", type=int, default=250)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = make_shards(folder, given.shards, given.mb)
        size = sum(path.stat().st_size for path in paths) / 1e9
        assert shuffled(paths) == in_order(paths)
        ways = {
            "reading the bytes": plain_bytes,
            "pyarrow in file order": in_order,
            "ShardReader, shuffled": shuffled,
        }
        print(markdown_line(describe()), "\n")
        print(f"{len(paths)} shards, {size:.2f} GB.\n")
        print("| | cold, GB/s | of reading the bytes | warm, GB/s of CPU time |\n|---|---:|---:|---:|")
        rounds = [
            {(name, cold): timed(way, paths, cold=cold) for cold in (True, False) for name, way in ways.items()}
            for _ in range(given.repeats)
        ]
        for name in ways:
            cold = statistics.median(r[name, True] for r in rounds)
            ratio = statistics.median(r["reading the bytes", True] / r[name, True] for r in rounds)
            warm = statistics.median(r[name, False] for r in rounds)
            print(f"| {name} | {size / cold:.2f} | {ratio:.2f} | {size / warm:.2f} |")


if __name__ == "__main__":
    main()
