"""Stage 6, pack: the mixture as token ids, best-fit packed into sequences, in Arrow shards."""

from typing import Any, Literal

import apache_beam as beam
import msgspec
import pyarrow as pa

from algok.errors import RecipeError, StageError
from algok.pipeline.jobs import run_job
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.manifest import require_manifest
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.pipeline.stages.train_tokenizer import MODEL
from algok.pipeline.steps import StepResult
from algok.schema import MIXTURE
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import Vocabulary
from algok.tokenizer.shards import ShardInfo
from algok.transforms.pack import EncodeText, PackPartition, ReadTokens, ShardResult, token_outputs
from algok.transforms.receipts import CollectLines, read_lines
from algok.transforms.shuffle import ShuffleRows, partitions_for
from algok.transforms.sinks import merge_counts
from algok.transforms.sources import DocumentRows
from algok.transforms.storage import join, read_bytes, remove_tree
from algok.transforms.units import ReadUnits, Unit, write_units

__all__ = ["Pack"]


class Pack:
    """Two jobs: texts to token files by unit (kept over a restart), then a shuffle by hash to one shard a partition."""

    name = "pack"
    after: tuple[str, ...] = ("mix", "train-tokenizer")
    format = 1
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
            columns=("source", "language", "bytes", "text"),
            selected=("copies",),
            selection_schema=MIXTURE,
            chosen="copies",
        )
        units = document_units(context, decisions=False, selection=("mix", "mixture"))
        step = digest([self.name, self.format, codec.sha256])
        encoded = context.units(self.name, "tokens", step, units, source, [EncodeText(model=model)], token_outputs())
        results = self._shards(context, encoded, info)
        if not results:
            raise StageError("the mixture is empty, so there is nothing to pack: see the ledger of stage mix")
        counts = merge_counts([count for result in results for count in result.counts])
        ledger = [*from_tally(self.name, encoded.read), *from_counts(self.name, counts)]
        return Result(
            files=[file for result in results for file in result.files], ledger=ledger, details=_details(info, results)
        )

    def _shards(self, context: Context, encoded: StepResult, info: ShardInfo) -> list[ShardResult]:
        folder = context.folder(self.name)
        list_path, lines = join(folder, ".plan", "shards.jsonl"), join(folder, ".receipts", "shards")
        spill = join(folder, ".spill", "shards")
        for path in (lines, spill):
            remove_tree(path)
        write_units(list_path, [Unit(key=f.path, size=f.bytes, body={}) for f in encoded.files], "shards")
        width = (info.token_type.bit_width // 8) * encoded.sums.get("tokens", 0)
        partitions = partitions_for(width, context.recipe.pack.shard_mb * 1_000_000)

        def build(pipeline: beam.Pipeline) -> None:
            batches = (
                pipeline
                | "ReadUnits" >> ReadUnits(list_path)
                | "Paths" >> beam.Map(_path).with_output_types(str)
                | "ReadTokens" >> beam.FlatMap(ReadTokens(seed=context.recipe.seed)).with_output_types(pa.RecordBatch)
            )
            shuffled = batches | "Shuffle" >> ShuffleRows(spill, key="slot", partitions=partitions)
            pack = beam.ParDo(PackPartition(folder, info, context.recipe.seed)).with_output_types(str)
            _ = shuffled | "PackPartition" >> pack | CollectLines(lines)

        with context.reporter.step(self.name, "shards", partitions, sum(f.bytes for f in encoded.files)):
            run_job("algok-pack-shards", build, context.light(sum(f.bytes for f in encoded.files)))
        return sorted(
            (msgspec.json.decode(line, type=ShardResult) for line in read_lines(lines)), key=lambda r: r.files[0].path
        )


def _path(line: str) -> str:
    return msgspec.json.decode(line, type=Unit).key


def _details(info: ShardInfo, results: list[ShardResult]) -> dict[str, Any]:
    buckets: dict[str, int] = {}
    for result in results:
        for bucket, tokens in result.tokens_by_bucket.items():
            buckets[bucket] = buckets.get(bucket, 0) + tokens
    sums = {
        name: sum(getattr(result, name) for result in results)
        for name in ("sequences", "tokens", "padding", "copies", "cut_documents", "concatenation_cuts")
    }
    return {
        **sums,
        "waste": sums["padding"] / max(1, sums["sequences"] * info.sequence_length),
        "sequence_length": info.sequence_length,
        "shards": len(results),
        "tokens_by_bucket": dict(sorted(buckets.items())),
        "tokenizer_sha256": info.tokenizer_sha256,
        "vocab_size": info.vocab_size,
    }
