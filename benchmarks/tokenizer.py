"""Encoding, packing and reading, each beside its peer on the same data.

    python benchmarks/tokenizer.py --model work/tokenizer.model --ranks o200k_base=path/o200k_base.tiktoken TEXT...

TEXT files are as for `algok tokenizer`: .txt (documents separated by U+001E), .jsonl, .parquet. Times are CPU time of
one thread, the best of ``--repeats``; ratios within one run are what to compare. Prints Markdown tables.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import sentencepiece
import tokenizers

from algok.tokenizer.codec import Codec
from algok.tokenizer.export import hf_tokenizer
from algok.tokenizer.packing import pack
from algok.tokenizer.ranks import load_ranks
from algok.tokenizer.reader import ShardReader
from algok.tokenizer.shards import ShardInfo, write_shard
from algok.tokenizer.texts import read_texts


def best(call: Callable[[], object], repeats: int) -> float:
    """Least CPU time of a call, in seconds, after one call to warm up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def encoding(model: Path, ranks: dict[str, Path], texts: list[Path], limit: int, repeats: int) -> None:
    """MB/s a core of algok, sentencepiece, tokenizers (all three the same model) and tiktoken, one thread each.

    The last column is algok's speed over that of the fastest of the others.
    """
    codec = Codec.load(model)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    hf = tokenizers.Tokenizer.from_str(json.dumps(hf_tokenizer(codec.vocabulary)))
    hf.encode_special_tokens = True
    others = {name: load_ranks(name, path) for name, path in ranks.items()}
    names = ["algok", "sentencepiece", "tokenizers", *(f"tiktoken {name}" for name in others)]
    print("| text | MB | " + " | ".join(f"{n}, MB/s" for n in names) + " | algok / best other |")
    print("|---|---:|" + "---:|" * (len(names) + 1))
    for path in texts:
        documents, size = [], 0
        for text in read_texts(path):
            documents.append(text)
            size += len(text.encode("utf-8", "surrogatepass"))
            if size >= limit:
                break
        array = pa.array(documents, pa.large_string())
        calls: list[Callable[[], object]] = [
            lambda a=array: codec.encode_batch(a),
            lambda d=documents: processor.encode(d, num_threads=1),
            # One text at a time: encode_batch would use every core.
            lambda d=documents: [hf.encode(text, add_special_tokens=False) for text in d],
            *(lambda o=other, d=documents: [o.encode_ordinary(text) for text in d] for other in others.values()),
        ]
        speeds = [size / 1e6 / best(call, repeats) for call in calls]
        ratio = speeds[0] / max(speeds[1:])
        print(f"| {path.stem} | {size / 1e6:.1f} | " + " | ".join(f"{s:.1f}" for s in speeds) + f" | {ratio:.2f} |")


def packing(repeats: int) -> None:
    """Waste and time of packing web-like lengths (log-normal, median 450 tokens)."""
    print("\n| documents | sequences | padding | cut | cut by concatenation | documents/s |")
    print("|---|---|---|---|---|---|")
    for count in (10_000, 100_000, 1_000_000):
        rng = np.random.default_rng(1)
        lengths = np.maximum(1, rng.lognormal(6.1, 1.3, count)).astype(np.int64)
        ids = rng.integers(0, 256, (count, 16), np.uint8)
        packed = pack(lengths, ids=ids)
        seconds = best(lambda n=lengths, i=ids: pack(n, ids=i), min(repeats, 2))
        print(
            f"| {count} | {packed.sequences} | {100 * packed.waste:.3f} % | {packed.cut_documents} "
            f"| {packed.concatenation_cuts} | {count / seconds:,.0f} |"
        )


def reading(repeats: int) -> None:
    """GB/s of the shuffled reader and of plain pyarrow over the same cached file, summing all tokens."""
    rng = np.random.default_rng(1)
    lengths = np.maximum(1, rng.lognormal(6.1, 1.3, 60_000)).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    tokens = rng.integers(4, 102_400, offsets[-1]).astype(np.uint32)
    info = ShardInfo(tokenizer_sha256="00" * 32, vocab_size=102_400, pad_id=3, eos_id=2)
    ids = rng.integers(0, 256, (len(lengths), 16), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.arrow")
        write_shard(path, info, pack(lengths, ids=ids), tokens, offsets, ids, pa.array(["ko"] * len(lengths)))
        gigabytes = path.stat().st_size / 1e9

        def shuffled() -> int:
            return sum(int(item.tokens.sum()) for item in ShardReader([path], seed=1))

        def plain() -> int:
            with pa.memory_map(str(path)) as source:
                file = pa.ipc.open_file(source)
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
                return sum(int(batch.column(0).values.to_numpy().sum()) for batch in batches)

        assert shuffled() == plain()
        print(f"\n| reader, {gigabytes:.2f} GB in the page cache | GB/s |\n|---|---|")
        print(f"| ShardReader, global shuffle | {gigabytes / best(shuffled, repeats):.2f} |")
        print(f"| pyarrow in file order | {gigabytes / best(plain, repeats):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--ranks", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--limit", type=int, default=4_000_000, help="bytes of each text")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("texts", nargs="*", type=Path)
    given = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, sentencepiece {sentencepiece.__version__}\n")
    ranks = {name: Path(path) for name, path in (r.split("=", 1) for r in given.ranks)}
    encoding(given.model, ranks, given.texts, given.limit, given.repeats)
    packing(given.repeats)
    reading(given.repeats)


if __name__ == "__main__":
    main()
