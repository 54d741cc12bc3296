"""The pack stage as PTransforms: texts to token ids, and partitions of documents to shards."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from algok.schema import KEPT, TOKENS
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import Vocabulary
from algok.tokenizer.packing import pack
from algok.tokenizer.shards import ShardInfo, ShardReceipt, ShardWriter
from algok.transforms.sampling import slots
from algok.transforms.shuffle import ReadPartition
from algok.transforms.sinks import Count, FileReceipt, Output, count_rows
from algok.transforms.sources import read_parquet
from algok.transforms.storage import AtomicFile, join, read_bytes

__all__ = ["EncodeText", "PackPartition", "ReadTokens", "ShardResult", "token_outputs"]

#: What is shuffled: a row for each copy of a document; ``slot`` decides its partition and its place.
_COPIES = pa.schema(
    [
        pa.field("slot", pa.uint64()),
        pa.field("copy", pa.int32()),
        *(TOKENS.field(name) for name in ("doc_id", "source", "language", "bytes", "tokens")),
    ]
)


class EncodeText(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with doc_id, source, language, bytes, text and copies to rows of TOKENS."""

    model: str

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        codec = Codec(Vocabulary.from_bytes(read_bytes(self.model)))

        def encode(batch: pa.RecordBatch) -> pa.RecordBatch:
            tokens = codec.encode_batch(batch.column("text"), eos=True)
            columns = [tokens if name == "tokens" else batch.column(name) for name in TOKENS.names]
            return pa.RecordBatch.from_arrays(columns, schema=TOKENS)

        return encode


def _all(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def token_outputs() -> tuple[Output, ...]:
    """Token ids of every document of the unit."""
    return (Output(table="tokens", schema=TOKENS, select=_all, count=count_rows, sums=_tokens, required=True),)


def _tokens(batch: pa.RecordBatch) -> dict[str, int]:
    """Tokens that will be packed: copies included."""
    lengths = pc.multiply(pc.list_value_length(batch.column("tokens")), batch.column("copies").cast(pa.int64()))
    return {"tokens": pc.sum(lengths).as_py() or 0}


class ReadTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A tokens file to batches with one row per copy, ready for the shuffle."""

    seed: int

    def __call__(self, path: str) -> Iterator[pa.RecordBatch]:
        for batch in read_parquet(path, TOKENS.names, 256):
            copies = batch.column("copies").to_numpy(zero_copy_only=False)
            rows = np.repeat(np.arange(batch.num_rows), copies)
            starts = np.repeat(np.cumsum(copies) - copies, copies)
            copy = (np.arange(len(rows)) - starts).astype(np.int32)
            taken = batch.take(pa.array(rows))
            made = {
                "slot": pa.array(slots(taken.column("doc_id"), self.seed, "pack", copy)),
                "copy": pa.array(copy),
            }
            columns = [made[name] if name in made else taken.column(name) for name in _COPIES.names]
            yield pa.RecordBatch.from_arrays(columns, schema=_COPIES)


class ShardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one partition."""

    files: list[FileReceipt]
    counts: list[Count]
    sequences: int
    tokens: int
    padding: int
    copies: int
    cut_documents: int
    concatenation_cuts: int
    tokens_by_bucket: dict[str, int]


class PackPartition(beam.DoFn):  # type: ignore[misc]
    """A partition of documents to one shard and its index. Memory: the partition's tokens twice."""

    def __init__(self, folder: str, info: ShardInfo, seed: int) -> None:
        self._folder = folder
        self._info = info
        self._seed = seed
        self._read = ReadPartition(_COPIES)

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[str]:
        partition, references = element
        table = self._read(references)
        # The order of arrival is the runner's; from here on it is that of the hashes.
        table = table.sort_by([("slot", "ascending"), ("doc_id", "ascending"), ("copy", "ascending")])
        rows = table.combine_chunks().to_batches()[0]
        tokens = rows.column("tokens")
        offsets = tokens.offsets.to_numpy().astype(np.int64)
        packing = pack(np.diff(offsets), self._info.sequence_length, seed=self._seed + partition)
        ids = np.frombuffer(b"".join(rows.column("doc_id").to_pylist()), dtype=np.uint8).reshape(-1, 16)
        buckets = pa.array(
            [f"{a}/{b}" for a, b in zip(rows["language"].to_pylist(), rows["source"].to_pylist(), strict=True)],
            pa.string(),
        )
        name = f"shard-{partition:05d}"
        shard = AtomicFile(join(self._folder, "shards", f"{name}.arrow"))
        with ShardWriter(shard, self._info, name=f"{name}.arrow") as writer:  # type: ignore[arg-type]
            values = tokens.values.to_numpy(zero_copy_only=False)
            writer.write_packing(packing, values, offsets - offsets[0], ids, buckets)
            receipt = writer.close()
        shard.commit()
        index = AtomicFile(join(self._folder, "index", f"{name}.parquet"))
        pq.write_table(receipt.index, index, compression="zstd")
        index.commit()
        placed = np.zeros(rows.num_rows, dtype=bool)
        placed[packing.document] = True
        placed &= rows.column("copy").to_numpy(zero_copy_only=False) == 0
        counted = count_rows(rows.filter(pa.array(placed)).select(["source", "language", "bytes"]))
        result = ShardResult(
            files=[
                _file("shards", shard, receipt.sequences),
                _file("index", index, receipt.index.num_rows),
            ],
            counts=[msgspec.structs.replace(count, outcome=KEPT) for count in counted],
            copies=rows.num_rows,
            cut_documents=packing.cut_documents,
            concatenation_cuts=packing.concatenation_cuts,
            **_totals(receipt),
        )
        yield msgspec.json.encode(result).decode()


def _totals(receipt: ShardReceipt) -> dict[str, Any]:
    names = ("sequences", "tokens", "padding", "tokens_by_bucket")
    return {name: getattr(receipt, name) for name in names}


def _file(table: str, file: AtomicFile, rows: int) -> FileReceipt:
    return FileReceipt(table=table, path=file.path, rows=rows, bytes=file.bytes, checksum=file.checksum)
