"""The table of docs/tokenizer.md: vocabularies of several sizes and rules, measured on sources never seen.

    python benchmarks/tokenizer_holdout.py ../shared/data work/holdout
    python benchmarks/tokenizer_table.py work/holdout work/table --ranks ../shared/data/models/o200k_base.tiktoken \\
        --row 102400 --row 128000 --row 102400:plain

A row is SIZE, SIZE:words (with the lists of words of the package wordfreq, but for code), SIZE:plain (no superwords),
SIZE:triples or SIZE:single (digits). Each is what `algok tokenizer train` with the same options trains, its defaults
where the row says nothing. Models, candidates and evaluations are kept in the second folder, so a row that is there is
not trained again: other shares need another folder.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from statistics import fmean

from algok.tokenizer.codec import Codec
from algok.tokenizer.evaluate import evaluate
from algok.tokenizer.sample import default_shares, files_sample, spool
from algok.tokenizer.texts import read_texts
from algok.tokenizer.train import TrainOptions, add_words, choose, propose, write_lines
from algok.tokenizer.words import WORDFREQ, read_words

LANGUAGES = ("ko", "en", "code", "ja", "zh")


def options_of(row: str, candidates: int | None) -> TrainOptions:
    """Training options of a row's name."""
    size, _, rule = row.partition(":")
    digits = rule if rule in ("triples", "single") else "joined"
    return TrainOptions(vocab_size=int(size), prune_from=candidates, superwords=rule != "plain", digits=digits)


def trained(row: str, holdout: Path, out: Path, given: argparse.Namespace) -> Path:
    """The model of a row, trained unless it is there."""
    path = out / f"{row.replace(':', '-')}.model"
    if path.exists():
        return path
    options = options_of(row, given.candidates)
    with tempfile.TemporaryDirectory() as folder:
        named = [(language, holdout / "train" / language) for language in LANGUAGES]
        most = int(given.sample_mb * 1_000_000)
        shares = given.share or default_shares(LANGUAGES, options.vocab_size)
        documents = files_sample(named, shares, max_bytes=most, seed=0)
        spooled = spool(documents, Path(folder, "sample"), max_bytes=most * 5 // 4, seed=0)
        lines = write_lines(spooled, Path(folder), options.max_line_bytes)
        with_list = [language for language in LANGUAGES if language != "code" and row.endswith(":words")]
        lists = {language: read_words(WORDFREQ, language) for language in with_list}
        lines, listed = add_words(lines, lists, spooled, options)
        rule = f"{row.split(':')[0]}-{options.superwords}-{options.digits in ('joined', 'free')}-{given.sample_mb:g}"
        cache = out / f"candidates-{rule}.json"
        if not cache.exists():
            pieces = propose(Path(folder), options, lambda step, share: None)
            cache.write_text(json.dumps(pieces), "utf-8")
        vocabulary, _ = choose(json.loads(cache.read_text("utf-8")), lines, options, lambda step, share: None, listed)
    vocabulary.save(path)
    return path


def held_out(folder: Path, limit: int) -> dict[str, list[str]]:
    """Texts of every domain, up to ``limit`` bytes; the files are in the order of a hash."""
    domains = {}
    for path in sorted(folder.rglob("*.jsonl")):
        texts, size = [], 0
        for text in read_texts(path):
            texts.append(text)
            size += len(text.encode("utf-8", "replace"))
            if size >= limit:
                break
        domains[f"{path.parent.name}/{path.stem}"] = texts
    return domains


def _shares(text: str) -> dict[str, float]:
    return {name: float(part) for name, part in (item.split("=") for item in text.split(","))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("holdout", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--ranks", type=Path, required=True, help="o200k_base.tiktoken")
    parser.add_argument("--row", action="append", required=True)
    parser.add_argument("--candidates", type=int, help="default: twice the vocabulary")
    parser.add_argument("--share", type=_shares, metavar="ko=PART,en=PART,...", help="default: those of the CLI")
    parser.add_argument("--sample-mb", type=float, default=90.0)
    parser.add_argument("--max-mb", type=float, default=0.8, help="text of each domain")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    domains = held_out(given.holdout / "held", int(given.max_mb * 1_000_000))
    columns: dict[str, dict[str, float]] = {}
    for row in given.row:
        path = trained(row, given.holdout, given.out, given)
        result = evaluate(Codec.load(path), {"o200k_base": given.ranks}, domains)
        assert all(domain.lossless for domain in result.domains.values())
        columns[row] = {k: 100 * d.against["o200k_base"].reduction for k, d in result.domains.items()}
        (given.out / f"{path.stem}.json").write_text(json.dumps(dataclasses.asdict(result), indent=1), "utf-8")
        means = {
            language: fmean(v for k, v in columns[row].items() if k.split("/")[0] == language)
            for language in dict.fromkeys(k.split("/")[0] for k in domains)
        }
        print(row, " ".join(f"{language} {mean:.1f}" for language, mean in means.items()), flush=True)
    print("\n| domain | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for domain in domains:
        print(f"| {domain} | " + " | ".join(f"{columns[row][domain]:.1f}" for row in columns) + " |")


if __name__ == "__main__":
    main()
