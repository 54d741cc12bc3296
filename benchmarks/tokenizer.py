"""Encoding beside its peers on the same data.

    python benchmarks/tokenizer.py --model work/tokenizer.model --ranks o200k_base=path/o200k_base.tiktoken TEXT...

TEXT files are UTF-8; documents are separated by the character U+001E. Times are CPU time of one thread, the best of
``--repeats``; ratios within one run are what to compare. Prints Markdown tables.
"""

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import sentencepiece

from algok.tokenizer.codec import Codec
from algok.tokenizer.ranks import load_ranks


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
    """MB/s a core of algok, sentencepiece and tiktoken."""
    codec = Codec.load(model)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    others = {name: load_ranks(name, path) for name, path in ranks.items()}
    names = ["algok", "sentencepiece", *others]
    print("| text | MB | " + " | ".join(f"{n}, MB/s" for n in names) + " | ids equal sentencepiece's |")
    print("|---|---|" + "---|" * (len(names) + 1))
    for path in texts:
        documents = path.read_bytes()[:limit].decode("utf-8", "ignore").split("\x1e")
        array = pa.array(documents, pa.large_string())
        size = sum(len(d.encode()) for d in documents) / 1e6

        def ours(array: pa.Array = array) -> object:
            return codec.encode_batch(array)

        def theirs(documents: list[str] = documents) -> object:
            return processor.encode(documents, num_threads=1)

        speeds = [size / best(ours, repeats), size / best(theirs, repeats)]
        speeds += [
            size / best(lambda o=other, d=documents: [o.encode_ordinary(x) for x in d], repeats)
            for other in others.values()
        ]
        equal = codec.encode_batch(array).to_pylist() == processor.encode(documents)
        print(f"| {path.name} | {size:.1f} | " + " | ".join(f"{s:.1f}" for s in speeds) + f" | {equal} |")


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


if __name__ == "__main__":
    main()
