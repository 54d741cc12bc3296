"""Stage 6, pack: the mixture as token ids, best-fit packed into sequences, in Arrow shards."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import apache_beam as beam
import msgspec
import pyarrow as pa

from algok.errors import LedgerError, RecipeError, StageError
from algok.pipeline.jobs import run_job
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.manifest import require_manifest
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.pipeline.stages.pack_budget import take_budget
from algok.pipeline.stages.train_tokenizer import MODEL
from algok.pipeline.steps import StepResult
from algok.schema import KEPT, MIXTURE
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import Vocabulary
from algok.tokenizer.shards import ShardInfo
from algok.transforms.pack import EncodeText, PackPartition, ReadTokens, ShardResult, token_outputs
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.shuffle import ShuffleRows, partitions_for
from algok.transforms.sinks import FileReceipt, merge_counts
from algok.transforms.sources import DocumentRows
from algok.transforms.storage import AtomicFile, join, read_bytes, remove_tree
from algok.transforms.units import ReadUnits, Unit, unit_of, write_units

__all__ = ["CHECKSUMS", "Pack"]

#: The list of all files with their XXH3-128, in the format of ``xxhsum -H128``.
CHECKSUMS = "XXH128SUMS"


class Pack:
    """Texts to token files by unit (kept over a restart); copies chosen so that counted tokens meet the budget; then a
    shuffle by hash to one shard a partition."""

    name = "pack"
    after: tuple[str, ...] = ("mix", "train-tokenizer")
    format = 2
    packages: tuple[str, ...] = ()
    reads = "mix"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def parts(self, context: Context) -> dict[str, Any]:
        return {"pack": msgspec.to_builtins(context.recipe.pack), "seed": context.recipe.seed}

    def run(self, context: Context, key: str) -> Result:
        model = join(context.folder("train-tokenizer"), MODEL)
        codec = Codec(Vocabulary.from_bytes(read_bytes(model)))
        if codec.pad < 0:
            raise RecipeError("the tokenizer has no <pad> piece, which packing needs; train one or add the piece")
        info = ShardInfo(
            tokenizer_sha256=codec.sha256,
            vocab_size=len(codec),
            pad_id=codec.pad,
            eos_id=codec.eos,
            tokenizer_version=require_manifest(context.work, "train-tokenizer", self.name).key,
            sequence_length=context.recipe.pack.sequence_length,
        )
        source = DocumentRows(
            columns=("source", "language", "bytes", "url", "record_id", "text"),
            selected=("copies", "cluster_size"),
            selection_schema=MIXTURE,
            chosen="copies",
        )
        units = document_units(context, decisions=False, selection=("mix", "mixture"))
        step = digest([self.name, self.format, codec.sha256])
        encoded = context.units(self.name, "tokens", step, units, source, [EncodeText(model=model)], token_outputs())
        budget = take_budget(context, self.name, encoded, info.sequence_length)
        taken = budget.taken
        if not taken.sums.get("copies"):
            raise StageError("the mixture is empty, so there is nothing to pack: see the ledger of stage mix")
        results = self._shards(context, encoded, taken, info)
        ledger = [*from_tally(self.name, encoded.read), *from_counts(self.name, taken.counts)]
        details = _details(context, info, results, _partitions(context, info, taken))
        _check(results, taken, details["tokens_by_bucket"], budget.packed)
        files = [*taken.files, *(file for result in results for file in result.files)]
        files.append(_checksums(context.folder(self.name), files))
        return Result(files=files, ledger=ledger, details=details | budget.details)

    def _shards(self, context: Context, encoded: StepResult, taken: StepResult, info: ShardInfo) -> list[ShardResult]:
        folder = context.folder(self.name)
        list_path, lines = join(folder, ".plan", "shards.jsonl"), join(folder, ".receipts", "shards")
        spill = join(folder, ".spill", "shards")
        for path in (lines, spill):
            remove_tree(path)
        packed = {unit_of(f.path): f.path for f in taken.files}
        tokens = [f for f in encoded.files if f.table == "tokens"]
        units = [
            Unit(key=unit_of(f.path), size=f.bytes, body={"tokens": f.path, "packed": packed[unit_of(f.path)]})
            for f in tokens
        ]
        write_units(list_path, units, "shards")
        size = sum(f.bytes for f in tokens)
        partitions = _partitions(context, info, taken)

        def build(pipeline: beam.Pipeline) -> None:
            batches = (
                pipeline
                | "ReadUnits" >> ReadUnits(list_path)
                | "ReadTokens"
                >> beam.FlatMap(_read, ReadTokens(seed=context.recipe.seed)).with_output_types(pa.RecordBatch)
            )
            shuffled = batches | "Shuffle" >> ShuffleRows(spill, key="slot", partitions=partitions)
            pack = beam.ParDo(PackPartition(folder, info, context.recipe.seed)).with_output_types(str)
            _ = shuffled | "PackPartition" >> pack | CollectLines(lines)

        with context.reporter.step(self.name, "shards", partitions, size):
            run_job("algok-pack-shards", build, context.light(size))
        return sorted(
            (msgspec.json.decode(line, type=ShardResult) for line in read_lines(lines)), key=lambda r: r.files[0].path
        )


def _checksums(folder: str, files: list[FileReceipt]) -> FileReceipt:
    """The checksums as a list that the tool xxhsum checks, for those who have no algok."""
    lines = sorted(f"{f.checksum}  {f.path[len(folder) :].lstrip('/')}\n" for f in files)
    file = AtomicFile(join(folder, CHECKSUMS))
    file.write("".join(lines).encode())
    file.commit()
    return FileReceipt(table="checksums", path=file.path, rows=len(lines), bytes=file.bytes, checksum=file.checksum)


def _partitions(context: Context, info: ShardInfo, taken: StepResult) -> int:
    width = info.token_type.bit_width // 8
    tokens = sum(count for name, count in taken.sums.items() if name.startswith("tokens "))
    return partitions_for(width * tokens, round(context.recipe.pack.shard_mb * 1_000_000))


def _read(line: str, read: ReadTokens) -> Iterator[pa.RecordBatch]:
    body = msgspec.json.decode(line, type=Unit).body
    return read(body["tokens"], body["packed"])


def _check(results: list[ShardResult], taken: StepResult, packed: dict[str, int], wanted: dict[str, int]) -> None:
    """Raise ``LedgerError`` unless the shards hold what the budget took, in documents and in tokens."""
    placed = merge_counts([count for result in results for count in result.counts])
    kept = [c for c in merge_counts(taken.counts) if c.outcome == KEPT]
    if placed != kept or packed != {bucket: tokens for bucket, tokens in wanted.items() if tokens}:
        raise LedgerError(
            f"stage pack: the shards hold {sum(c.documents for c in placed):,} documents and "
            f"{sum(packed.values()):,} tokens where {sum(c.documents for c in kept):,} and "
            f"{sum(wanted.values()):,} were taken; the stage is not published: run it again with --force, and report it"
        )


def _details(context: Context, info: ShardInfo, results: list[ShardResult], partitions: int) -> dict[str, Any]:
    buckets: dict[str, int] = {}
    for result in results:
        for bucket, tokens in result.tokens_by_bucket.items():
            buckets[bucket] = buckets.get(bucket, 0) + tokens
    sums = {
        name: sum(getattr(result, name) for result in results)
        for name in (
            "sequences",
            "tokens",
            "padding",
            "copies",
            "cut_documents",
            "cut_tokens",
            "scattered_documents",
            "concatenation_cuts",
        )
    }
    return {
        **sums,
        "waste": sums["padding"] / max(1, sums["sequences"] * info.sequence_length),
        "sequence_length": info.sequence_length,
        "shards": len(results),
        # From these a look-up computes the shards that can hold a document; see pipeline.shards.folder.
        "placement": {
            "seed": context.recipe.seed,
            "partitions": partitions,
            "most_copies": math.ceil(context.recipe.mix.max_copies),
        },
        "tokens_by_bucket": dict(sorted(buckets.items())),
        "tokenizer_sha256": info.tokenizer_sha256,
        "vocab_size": info.vocab_size,
    }
