"""Lays the shared development data out for measuring tokenizers on sources that they never saw.

    python benchmarks/tokenizer_holdout.py ../shared/data work/holdout

writes ``train/<language>/<source>.jsonl`` and ``held/<language>/<domain>.jsonl``. A source is on one side only, whole:
no site, data set or repository is split. Folds:

- ``first``: learns Korean from nine sources, holds out all others.
- a Korean domain (``law``, ``reviews``, ``news`` ...): holds out that one alone and learns from all other Korean text.
  The documentation of the parallel sites and what is not Korean are held out as in the first.

Then:

    algok tokenizer train ko=work/holdout/train/ko en=work/holdout/train/en code=work/holdout/train/code \\
        ja=work/holdout/train/ja zh=work/holdout/train/zh --out work/tok
    algok tokenizer evaluate work/tok/tokenizer.model --out work/evaluation --max-mb 0.8 \\
        --ranks o200k_base=../shared/data/models/o200k_base.tiktoken \\
        $(for f in work/holdout/held/*/*.jsonl; do n=${f#work/holdout/held/}; echo --domain ${n%.jsonl}=$f; done)
"""

import argparse
import gzip
import hashlib
import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zstandard

#: Domain in the first fold -> set of the shared data.
HELD = {
    "ko/petitions": "ko_petitions/data.jsonl.gz",
    "ko/wiki": "ko_namuwiki_sample/data.jsonl.gz",
    "ko/techwiki": "ko_johngrib_wiki/data.jsonl.gz",
    "ko/chat": "ko_chatbot/data.jsonl.gz",
    "ko/qa": "bench_decontam/click.jsonl.gz",
    "ko/inference-klue": "bench_decontam/klue_nli_sts.jsonl.gz",
    "ko/inference-kornli": "bench_decontam/kornli_korsts.jsonl.gz",
    "ko/community": "ko_toxic/curse.jsonl.gz",
    "math/gsm8k": "bench_decontam/gsm8k.jsonl.gz",
    "en/scrapinghub": "extraction_gold/scrapinghub_fulltext.jsonl.gz",
    "en/newspaper": "extraction_gold/newspaper_silver.jsonl.gz",
    "en/readability": "extraction_gold/readability.jsonl.gz",
}
TRAIN = {"ko_news": "ko/news", "ko_docs": "ko/dotnet", "ko_review": "ko/reviews", "en_docs": "en/docs",
         "en_gen": "en/general", "en_kernel": "en/kernel", "en_pod": "en/pod", "code": "code/code", "ja": "ja/help",
         "zh": "zh/help"}  # fmt: skip
#: Sites of the mini crawl (gold text) that are held out; the others train.
#: The splogs of one owner share their templates, so they are on one side.
HELD_SITES = {
    "cclfree/pororo": "ko/blogteaser",
    "cclfree/poli": "ko/blogteaser",
    "HomoEfficio/homoefficio.github.io": "ko/techblog",
}
#: Has the templates of a held-out site, its sister: 8 points of ko/blogteaser if it is trained on.
LEFT_OUT = {"cclfree/poli"}
#: Folds of a single Korean domain.
DOMAINS = (
    "blogteaser", "chat", "community", "inference-klue", "inference-kornli", "law", "magazine", "news", "petitions",
    "qa", "reviews", "techblog", "techwiki", "wiki",
)  # fmt: skip


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a .jsonl.gz file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def raw(path: Path) -> list[str]:
    """Documents of a .txt.zst file, separated by U+001E."""
    with zstandard.open(path, "rt", encoding="utf-8", newline="") as file:
        return [text for text in file.read().split("\x1e") if text.strip()]


def latin(text: str) -> bool:
    """Mostly Latin script: two of the English sets hold pages in other languages."""
    return sum(c < "\u0250" for c in text) > 0.98 * len(text)


def installed_code() -> dict[str, list[str]]:
    """Source files that come with a Linux system; they differ a little between machines."""
    found = {}
    library = Path(json.__file__).parents[1]
    for name, folder, pattern in (
        ("code/python", library, "*.py"),
        ("code/c", Path("/usr/include"), "*.h"),
        ("code/perl", Path("/usr/share/perl"), "*.pm"),
    ):
        paths = sorted(folder.rglob(pattern))
        random.Random(1).shuffle(paths)
        texts = []
        for path in paths[:300]:
            try:
                texts.append(path.read_text("utf-8"))
            except (OSError, UnicodeDecodeError):
                continue
        if texts:
            found[name] = texts
        else:
            print(f"no {pattern} files in {folder}: {name} is left out", file=sys.stderr)
    return found


def sets(shared: Path, fold: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """(training sources, held-out domains), each with its texts."""
    train: dict[str, list[str]] = {}
    held: dict[str, list[str]] = {}
    for name, label in TRAIN.items():
        train[label] = raw(shared / "tokenizer_text" / f"{name}.txt.zst")
    misc = raw(shared / "tokenizer_text" / "ko_misc.txt.zst")
    # One file of two data sets: comments, then columns of a law weekly, whose titles read "column : title".
    first = next(i for i, text in enumerate(misc) if " : " in text[:60] and not text.startswith("comments\t"))
    train["ko/comments"], train["ko/law"] = misc[:first], misc[first:]
    for label, path in HELD.items():
        texts = [row["text"] for row in rows(shared / path) if row.get("text")]
        held[label] = [t for t in texts if latin(t)] if label.startswith("en/") else texts
    for row in rows(shared / "ko_ud/data.jsonl.gz"):
        held.setdefault("ko/news" if "gsd" in row["id"] else "ko/magazine", []).append(row["text"])
    for row in rows(shared / "parallel_docs/data.jsonl.gz"):
        language = {"zh-Hans": "zh", "zh-Hant": "zh"}.get(row["lang"], row["lang"])
        suffix = "-traditional" if row["lang"] == "zh-Hant" else ""
        held.setdefault(f"{language}/docs-{row['id'].split(':')[0]}{suffix}", []).append(row["text"])
    for row in rows(shared / "extraction_gold/ko_template.jsonl.gz"):
        site = row["id"].split(":")[1]
        if site in LEFT_OUT:
            continue
        target, label = (held, HELD_SITES[site]) if site in HELD_SITES else (train, "ko/web-" + site.split("/")[-1])
        target.setdefault(label, []).append(row["text"])
    held.update(installed_code())
    if fold == "first":
        return train, held
    name = f"ko/{fold}"
    for label in [label for label in held if label.startswith("ko/") and not label.startswith("ko/docs-")]:
        if label != name:
            # The training set of news and the held-out one have the same label.
            train[f"{label}-more" if label in train else label] = held.pop(label)
    if name not in held:
        held[name] = train.pop(name)
    return train, held


def write(folder: Path, content: dict[str, list[str]]) -> None:
    for label, texts in sorted(content.items()):
        path = folder / f"{label}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        # By hash, so that a prefix of the file is a fair sample of it; each text once.
        order = sorted(dict.fromkeys(texts), key=lambda t: hashlib.sha256(t.encode("utf-8", "replace")).digest())
        with path.open("w", encoding="utf-8", errors="replace") as file:
            file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in order)
        size = sum(len(text.encode("utf-8", "replace")) for text in order)
        print(f"{len(order):>8,} texts {size / 1e6:>8.2f} MB  {path}")


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder of shared data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--fold", choices=("first", *DOMAINS), default="first")
    given = parser.parse_args(None if arguments is None else list(arguments))
    train, held = sets(given.shared, given.fold)
    write(given.out / "train", train)
    write(given.out / "held", held)


if __name__ == "__main__":
    main()
