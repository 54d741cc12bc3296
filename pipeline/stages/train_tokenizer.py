"""Stage 5, train-tokenizer: a sample of the mixture, a SentencePiece model, and its evaluation."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from algok.errors import InputError, StageError
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.manifest import require_manifest
from algok.pipeline.report.tokenizer import render_evaluation
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.schema import KEPT, MIXTURE
from algok.tokenizer.codec import Codec
from algok.tokenizer.evaluate import evaluate
from algok.tokenizer.sample import Sample
from algok.tokenizer.train import TrainOptions, train
from algok.tokenizer.words import WORDFREQ, read_words, wordfreq_version
from algok.transforms.heartbeat import Progress
from algok.transforms.sample import SampleText, sample_outputs
from algok.transforms.sinks import FileReceipt
from algok.transforms.sources import DocumentRows, read_parquet
from algok.transforms.storage import AtomicFile, checksum, join, read_bytes, write_json

__all__ = ["MODEL", "TrainTokenizer"]

MODEL = "tokenizer.model"
#: The sample is trained on in one process on one machine: a limit guards it (about 30 bytes of memory a byte).
MOST_SAMPLE_MB = 2_000
#: Text of each language that is evaluated; more changes the third digit only.
EVALUATED_BYTES = 2_000_000


class TrainTokenizer:
    """Samples in a Beam job, trains in one process; ``tokenizer.model`` of a recipe is taken as it is."""

    name = "train-tokenizer"
    after: tuple[str, ...] = ("mix",)
    format = 2
    packages: tuple[str, ...] = ("sentencepiece",)
    reads = "mix"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def parts(self, context: Context) -> dict[str, Any]:
        section = context.recipe.tokenizer
        given = {"model": checksum(section.model)} if section.model else {}
        lists = {at: wordfreq_version() if at == WORDFREQ else checksum(at) for at in section.words.values()}
        return {"tokenizer": {**msgspec.to_builtins(section), **given}, "words": lists, "seed": context.recipe.seed}

    def run(self, context: Context, key: str) -> Result:
        section = context.recipe.tokenizer
        if section.sample_mb > MOST_SAMPLE_MB:
            raise StageError(
                f"tokenizer.sample_mb is {section.sample_mb:g}; the most that one trainer takes is {MOST_SAMPLE_MB}"
            )
        rates = self._rates(context)
        kernel = SampleText(rates=rates, held_out=section.held_out_share, seed=context.recipe.seed)
        source = DocumentRows(
            columns=("source", "language", "bytes", "text"),
            selected=("copies",),
            selection_schema=MIXTURE,
            chosen="copies",
        )
        units = document_units(context, decisions=False, selection=("mix", "mixture"))
        step = digest([self.name, self.format, context.recipe.seed, section.held_out_share, rates])
        result = context.units(self.name, "sample", step, units, source, [kernel], sample_outputs())
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        samples = [f.path for f in result.files if f.table == "sample"]
        files, details = self._train(context, samples)
        return Result(files=[*result.files, *files], ledger=ledger, details=details)

    def _rates(self, context: Context) -> dict[str, float]:
        """The share of each language's documents that gives its share of the sample's bytes."""
        section = context.recipe.tokenizer
        shares = section.sample_shares or context.recipe.mix.shares
        available: dict[str, int] = {}
        for line in require_manifest(context.work, "mix", self.name).ledger:
            if line.direction == "out" and line.outcome == KEPT:
                available[line.language] = available.get(line.language, 0) + line.bytes
        wanted = section.sample_mb * 1_000_000
        return {
            language: round(min(1.0, wanted * share / available[language]), 9)
            for language, share in sorted(shares.items())
            if available.get(language)
        }

    def _train(self, context: Context, samples: list[str]) -> tuple[list[FileReceipt], dict[str, Any]]:
        section = context.recipe.tokenizer
        folder = context.folder(self.name)
        scratch = Path(tempfile.mkdtemp(prefix="algok-train-"))  # the trainer writes local files
        details: dict[str, Any] = {}
        try:
            if section.model:
                shutil.copyfile(section.model, scratch / MODEL)
                details["training"] = {"model": section.model}
            else:
                details["training"] = self._train_model(context, samples, scratch)
            codec = Codec.load(scratch / MODEL)
            ranks = {name: Path(path) for name, path in section.compare.items()}
            for name, path in ranks.items():
                if not path.is_file():
                    raise InputError(f"tokenizer.compare.{name}: there is no file {path}")
            domains = {language: _texts(samples, language) for language in _evaluated(samples)}
            evaluation = evaluate(codec, ranks, domains, shown=True)
            page = render_evaluation(evaluation, context.recipe.name)
            (scratch / "evaluation.html").write_text(page, "utf-8", errors="replace")
            details["evaluation"] = msgspec.to_builtins(replace(evaluation, examples=[]))
            details["pieces"] = len(codec)
            details["sha256"] = codec.sha256
            write_json(join(folder, "evaluation.json"), details["evaluation"])
            receipts = [_publish(path, join(folder, path.name)) for path in sorted(scratch.iterdir()) if path.is_file()]
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        numbers = join(folder, "evaluation.json")
        size = len(read_bytes(numbers))
        receipts.append(FileReceipt(table="evaluation", path=numbers, rows=0, bytes=size, checksum=checksum(numbers)))
        return receipts, details

    def _train_model(self, context: Context, samples: list[str], scratch: Path) -> dict[str, Any]:
        section = context.recipe.tokenizer
        options = TrainOptions(
            vocab_size=section.vocab_size,
            prune_from=section.prune_from,
            superwords=section.superwords,
            digits=section.digits,
            spaces=section.spaces,
            max_sample_bytes=int(section.sample_mb * 1_000_000 * 1.25),
            allow_smaller=section.allow_smaller,
            threads=context.options.workers,
            seed=context.recipe.seed % 2**31,
        )
        lists = {language: read_words(source, language) for language, source in section.words.items()}
        with context.reporter.step(self.name, "train", 1, 100) as display:
            order = {"sample": 0, "candidates": 1, "prune": 2, "write": 3}

            def show(step: str, share: float) -> None:
                display.update(Progress(0, 0, int(25 * (order.get(step, 3) + share))))

            trained = train(_training(samples), scratch, options, show, lists)
        return dict(trained.manifest)


def _publish(path: Path, target: str) -> FileReceipt:
    file = AtomicFile(target)
    with path.open("rb") as source:
        while block := source.read(1 << 20):
            file.write(block)
    file.commit()
    return FileReceipt(table="tokenizer", path=target, rows=0, bytes=file.bytes, checksum=file.checksum)


def _training(samples: list[str]) -> Iterator[Sample]:
    for path in samples:
        for batch in read_parquet(path, ["language", "held_out", "text"]):
            for row in batch.to_pylist():
                if not row["held_out"]:
                    yield Sample(row["text"], row["language"])


def _evaluated(samples: list[str]) -> list[str]:
    """Languages that have held-out documents; a small sample of a rare language may have none."""
    found: set[str] = set()
    for path in samples:
        for batch in read_parquet(path, ["language", "held_out"]):
            found.update(batch.filter(batch.column("held_out")).column("language").unique().to_pylist())
    return sorted(found)


def _texts(samples: list[str], language: str) -> Iterator[str]:
    """Held-out texts of a language, up to EVALUATED_BYTES; files come sorted, so always the same ones."""
    size = 0
    for path in samples:
        for batch in read_parquet(path, ["language", "held_out", "text"]):
            for row in batch.to_pylist():
                if row["language"] == language and row["held_out"]:
                    size += len(row["text"].encode())
                    yield row["text"]
                    if size >= EVALUATED_BYTES:
                        return
