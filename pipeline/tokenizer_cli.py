"""`algok tokenizer`: train, evaluate, export, encode, check, on files and without a recipe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from algok.errors import InputError
from algok.pipeline.console import reported, terminal

__all__ = ["tokenizer"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def _named(values: tuple[str, ...], option: str) -> list[tuple[str, Path]]:
    """NAME=PATH pairs; a name may come more than once."""
    pairs = []
    for value in values:
        name, sign, path = value.partition("=")
        if not sign or not name or not path:
            raise InputError(f"{option} {value!r} is not NAME=PATH")
        pairs.append((name, Path(path)))
    return pairs


@click.group()
def tokenizer() -> None:
    """Train, measure and export tokenizers, on files and without a recipe.

    Texts are .txt (documents separated by U+001E), .jsonl or .parquet (`text`), also .gz and .zst, or folders of them.
    """


@tokenizer.command()
@click.argument("texts", nargs=-1, required=True, metavar="BUCKET=PATH...")
@click.option("--out", type=_FOLDER, required=True, help="Folder for the model, the vocabulary and training.json.")
@click.option("--vocab-size", type=int, default=102_400, show_default=True, help="Pieces in all.")
@click.option("--prune-from", type=int, help="Candidates; default: twice the vocabulary.")
@click.option("--digits", type=click.Choice(["joined", "triples", "single", "free"]), default="joined",
              show_default=True, help="How numbers are cut; docs/tokenizer.md says what each costs.")  # fmt: skip
@click.option("--spaces", type=click.Choice(["script", "first"]), default="script", show_default=True,
              help="Last in pieces of lines with Hangul and first in others, or always first.")  # fmt: skip
@click.option("--superwords/--no-superwords", default=True, show_default=True, help="Pieces may cross spaces.")
@click.option(
    "--share",
    "shares",
    multiple=True,
    metavar="BUCKET=SHARE",
    help="Share of the bucket; else shares for Korean-first if the buckets are among ko, en, code, ja, zh.",
)
@click.option("--weight", "weights", multiple=True, metavar="SOURCE=WEIGHT",
              help="Multiplies the part of a source in its bucket, by file name without endings.")  # fmt: skip
@click.option("--words", multiple=True, metavar="BUCKET=FILE",
              help="Frequency list, lines `word<TAB>frequency`, or `wordfreq`: that package's list.")  # fmt: skip
@click.option("--words-part", type=float, default=0.3, show_default=True,
              help="What such a list counts, as a part of its bucket's text.")  # fmt: skip
@click.option("--sample-mb", type=float, default=90.0, show_default=True, help="Text to train on, in 10^6 bytes.")
@click.option("--allow-smaller", is_flag=True, help="Too little text gives fewer pieces instead of an error.")
@click.option("--threads", type=click.IntRange(1, 512), default=1, show_default=True, help="Of the trainer.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the sample.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
def train(
    texts: tuple[str, ...],
    out: Path,
    shares: tuple[str, ...],
    weights: tuple[str, ...],
    words: tuple[str, ...],
    sample_mb: float,
    quiet: bool,
    **given: Any,
) -> None:
    """Train on files.

    \b
    Examples:
      algok tokenizer train ko=text/ko en=text/en code=text/code ja=text/ja zh=text/zh --out work/tok
      algok tokenizer train ko=text/ko en=text/en --words ko=ko-words.tsv --words en=wordfreq --out work/tok

    Lists of words help where the texts of a language come from few sources (docs/tokenizer.md).
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from algok.tokenizer.sample import default_shares, files_sample
    from algok.tokenizer.train import TrainOptions
    from algok.tokenizer.train import train as run
    from algok.tokenizer.words import read_words

    with reported():
        wanted = _numbers(shares, "--share", 1.0)
        if wanted and abs(sum(wanted.values()) - 1) > 1e-3:
            raise InputError(f"the shares sum to {sum(wanted.values()):g}, not 1")
        heavy = _numbers(weights, "--weight", 1e6)
        sources = _named(words, "--words")
        lists = {bucket: read_words(str(path), bucket) for bucket, path in sources}
        if len(lists) < len(sources):
            raise InputError(f"--words {' --words '.join(words)}: one list for a bucket")
        most = int(sample_mb * 1_000_000)
        options = TrainOptions(**given, max_sample_bytes=max(1_000, most + most // 4))
        named = _named(texts, "texts")
        wanted = wanted or default_shares((bucket for bucket, _ in named), options.vocab_size)
        documents = files_sample(named, wanted, max_bytes=most, seed=options.seed, weights=heavy)
        columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        with Progress(*columns, TimeElapsedColumn(), console=terminal(), disable=quiet) as progress:
            task = progress.add_task("sample", total=1.0)

            def tell(step: str, share: float) -> None:
                progress.update(task, description=step, completed=share)

            trained = run(documents, out, options, tell, lists)
    click.echo(f"{trained.pieces:,} pieces, SHA-256 {trained.sha256}\n{'model:':<12}{trained.model}")
    if wanted:
        click.echo(f"{'shares:':<12}" + ", ".join(f"{name} {share:.3f}" for name, share in sorted(wanted.items())))


def _numbers(values: tuple[str, ...], option: str, most: float) -> dict[str, float]:
    """NAME=NUMBER options, each above 0 and at most ``most``."""
    out = {}
    for value in values:
        name, _, number = value.partition("=")
        try:
            out[name] = float(number)
        except ValueError as error:
            raise InputError(f"{option} {value!r} is not NAME=NUMBER") from error
        if not 0 < out[name] <= most:
            raise InputError(f"{option} {value!r}: the number must be above 0 and at most {most:g}")
    return out


@tokenizer.command()
@click.argument("model", type=_FILE)
@click.option("--domain", "domains", multiple=True, required=True, metavar="NAME=PATH",
              help="Held-out texts. Korean ones are named ko or ko/NAME; the mean is over them.")  # fmt: skip
@click.option("--ranks", multiple=True, metavar="NAME=FILE", help="Rank file of o200k_base or cl100k_base.")
@click.option("--parallel", type=_FILE, help=".jsonl(.gz) with pair, lang, text: the same documents by language.")
@click.option("--morphemes", is_flag=True, help="Compare with Kiwi's morphemes (needs kiwipiepy).")
@click.option("--out", type=_FOLDER, required=True, help="Folder for evaluation.json and evaluation.html.")
@click.option("--max-mb", type=float, default=0.0, help="Text of each domain, in 10^6 bytes; 0: all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
def evaluate(
    model: Path,
    domains: tuple[str, ...],
    ranks: tuple[str, ...],
    parallel: Path | None,
    morphemes: bool,
    out: Path,
    max_mb: float,
    seed: int,
) -> None:
    """Measure MODEL by domain, beside OpenAI's encodings, into JSON and HTML.

    \b
    Example:
      algok tokenizer evaluate work/tok/tokenizer.model --domain ko/news=held/news.jsonl --domain en=held/en \\
          --ranks o200k_base=models/o200k_base.tiktoken --out work/evaluation
    """
    from algok.pipeline.report.tokenizer import korean_means, render_evaluation
    from algok.tokenizer.codec import Codec
    from algok.tokenizer.evaluate import evaluate as run
    from algok.tokenizer.pieces import kiwi_boundaries
    from algok.tokenizer.texts import read_parallel, read_texts, text_files

    with reported():
        files: dict[str, list[Path]] = {}
        for name, path in _named(domains, "--domain"):
            files.setdefault(name, []).extend(text_files(path))
        limit = int(max_mb * 1_000_000)

        def texts(paths: list[Path]) -> Iterator[str]:
            size = 0
            for path in paths:
                for text in read_texts(path):
                    size += len(text.encode("utf-8", "surrogatepass"))
                    yield text
                    if limit and size >= limit:
                        return

        result = run(
            Codec.load(model),
            dict(_named(ranks, "--ranks")),
            {name: texts(paths) for name, paths in sorted(files.items())},
            seed=seed,
            parallel=read_parallel(parallel) if parallel else (),
            morphemes=kiwi_boundaries() if morphemes else None,
            shown=True,
        )
        out.mkdir(parents=True, exist_ok=True)
        means = korean_means(result)
        content = {**result.as_dict(), "korean_mean_reduction": means}
        (out / "evaluation.json").write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", "utf-8")
        (out / "evaluation.html").write_text(render_evaluation(result, model.name), "utf-8")
    names = sorted(next(iter(result.domains.values())).against)
    click.echo("".join(f"{title:>14}" for title in ("bytes/token", *names)) + "  domain")
    for label, domain in result.domains.items():
        numbers = [f"{domain.bytes_per_token:14.2f}", *(f"{100 * domain.against[n].reduction:13.1f}%" for n in names)]
        click.echo("".join(numbers) + f"  {label}" + ("" if domain.lossless else "  NOT LOSSLESS"))
    if means:
        click.echo(" " * 14 + "".join(f"{100 * means[n]:13.1f}%" for n in names) + "  mean of the Korean domains")
    click.echo(f"{'report:':<12}{out / 'evaluation.html'}")


@tokenizer.command()
@click.argument("model", type=_FILE)
@click.argument("folder", type=_FOLDER)
def export(model: Path, folder: Path) -> None:
    """Write MODEL to FOLDER as Hugging Face's tokenizer.json and tokenizer_config.json, with the same ids."""
    from algok.tokenizer.codec import Codec
    from algok.tokenizer.export import write_hf

    with reported():
        for path in write_hf(Codec.load(model).vocabulary, folder):
            click.echo(path)


@tokenizer.command()
@click.argument("model", type=_FILE)
@click.argument("texts", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--raw", multiple=True, type=click.Path(path_type=Path, exists=True),
              help="Any file or folder: the round trip of its bytes.")  # fmt: skip
def check(model: Path, texts: tuple[Path, ...], raw: tuple[Path, ...]) -> None:
    """Encode and decode every text, and compare the ids with sentencepiece's and, if it is installed, tokenizers'.

    Ends with status 1 if a text does not come back, or ids differ where docs/tokenizer.md says that they are equal.
    """
    from algok.tokenizer.check import check_files
    from algok.tokenizer.texts import text_files

    with reported():
        anything = [p for path in raw for p in ([path] if path.is_file() else sorted(path.rglob("*"))) if p.is_file()]
        result = check_files(model, [file for path in texts for file in text_files(path)], anything)
    for line in result.lines():
        click.echo(line)
    if not result.ok:
        raise click.ClickException("the tokenizer is not what the documentation says; see the differences above")


@tokenizer.command()
@click.argument("models", nargs=-1, required=True, type=_FILE)
@click.option("--train", "train_texts", type=click.Path(path_type=Path, exists=True), multiple=True, required=True)
@click.option("--valid", multiple=True, required=True, metavar="NAME=PATH", help="Held-out texts; each name by itself.")
@click.option("--ranks", multiple=True, metavar="NAME=FILE", help="Compare with o200k_base or cl100k_base too.")
@click.option("--sentencepiece", "others", multiple=True, metavar="NAME=FILE", help="And with any SentencePiece model.")
@click.option("--flops", type=float, default=2e12, show_default=True, help="Compute of each training.")
@click.option("--width", type=int, default=64, show_default=True, help="Width of the model.")
@click.option("--layers", type=int, default=2, show_default=True, help="Its layers.")
@click.option("--heads", type=int, default=4, show_default=True, help="Heads of its attention.")
@click.option("--context", type=int, default=256, show_default=True, help="Bytes of text in a sequence, about.")
@click.option("--batch", type=int, default=16, show_default=True, help="Sequences of a step.")
@click.option("--rate", type=float, default=3e-3, show_default=True, help="Peak learning rate.")
@click.option("--seed", type=int, default=0, show_default=True)
def proxy(
    models: tuple[Path, ...],
    train_texts: tuple[Path, ...],
    valid: tuple[str, ...],
    ranks: tuple[str, ...],
    others: tuple[str, ...],
    **given: Any,
) -> None:
    """Bits per byte of a small language model with each tokenizer, at equal compute: do fewer tokens hurt learning?

    Needs PyTorch (not a dependency of algok); uses a GPU if there is one. The defaults are a tiny run for a CPU.

    \b
    Example, a GPU:
      algok tokenizer proxy work/tok/tokenizer.model --train train/ko --valid ko=held/ko --valid en=held/en \\
          --ranks o200k_base=models/o200k_base.tiktoken --flops 2e16 --width 512 --layers 8 --heads 8 \\
          --context 2048 --batch 64 --rate 1e-3
    """
    from algok.tokenizer.codec import Codec
    from algok.tokenizer.proxy import ProxyOptions, SentencePieceModel, bits_per_byte
    from algok.tokenizer.ranks import load_ranks
    from algok.tokenizer.texts import read_all

    with reported():
        options = ProxyOptions(**given)
        texts = [text for path in train_texts for text in read_all(path)]
        held: dict[str, list[str]] = {}
        for name, path in _named(valid, "--valid"):
            held.setdefault(name, []).extend(read_all(path))
        encoders: dict[str, Any] = {str(path): Codec.load(path) for path in models}
        encoders |= {name: load_ranks(name, path) for name, path in _named(ranks, "--ranks")}
        encoders |= {name: SentencePieceModel(path) for name, path in _named(others, "--sentencepiece")}
        click.echo("bits per byte of:")
        titles = "".join(f"{name[-12:]:>13}" for name in held)
        click.echo(f"{titles}{'steps':>8}{'MB read':>9}{'M tokens':>9}{'vocabulary':>12}  tokenizer")
        for name, encoder in encoders.items():
            got = bits_per_byte(encoder, texts, held, options)
            bits = "".join(f"{bits:13.4f}" for bits in got.bits_per_byte.values())
            sizes = f"{got.steps:8d}{got.bytes_read / 1e6:9.2f}{got.tokens / 1e6:9.2f}{got.vocabulary:12,}"
            click.echo(f"{bits}{sizes}  {name}")
