"""Encoding beside its peers on the same data.

    python benchmarks/tokenizer.py --model work/tokenizer.model --ranks o200k_base=path/o200k_base.tiktoken TEXT...

TEXT files are as for `algok tokenizer`: .txt (documents separated by U+001E), .jsonl, .parquet. Times are CPU time of
one thread, the best of ``--repeats``; ratios within one run are what to compare. Prints Markdown tables.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import sentencepiece
import tokenizers

from algok.tokenizer.codec import Codec
from algok.tokenizer.export import hf_tokenizer
from algok.tokenizer.ranks import load_ranks
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
