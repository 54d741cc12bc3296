"""The pack stage as PTransforms: texts to token ids, and partitions of documents to shards."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from algok.errors import CorruptionError
from algok.filters.url import normalise_array
from algok.schema import KEPT, LENGTHS, PACKED, TOKENS
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import Vocabulary
from algok.tokenizer.packing import pack
from algok.tokenizer.shards import ShardInfo, ShardReceipt, ShardWriter
from algok.transforms.sampling import slots
from algok.transforms.shuffle import ReadPartition
from algok.transforms.sinks import Count, FileReceipt, Output, count_rows
from algok.transforms.sources import read_parquet, read_whole
from algok.transforms.storage import AtomicFile, join, read_bytes

__all__ = ["PURPOSE", "EncodeText", "PackPartition", "ReadTokens", "ShardResult", "lookup_hash", "token_outputs"]

#: What is shuffled: a row for each copy of a document; ``slot`` decides its partition and its place.
_COPIES = pa.schema(
    [
        pa.field("slot", pa.uint64()),
        pa.field("copy", pa.int32()),
        *(PACKED.field(name) for name in ("source", "language", "bytes")),
        *(TOKENS.field(name) for name in TOKENS.names),
    ]
)
#: Purpose of the hash that places copies in shards.
PURPOSE = "pack"
#: Rows of a row group of the index and the look-up table: what a look-up reads of a file.
INDEX_ROWS = 8_192


class EncodeText(msgspec.Struct, frozen=True, kw_only=True):
    """Documents of the mixture (ADDRESS, source, language, bytes, url, record_id, text, copies, cluster_size) to rows
    with all columns of LENGTHS (``tokens``: their number) and of TOKENS (the ids as ``ids``)."""

    model: str

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        codec = Codec(Vocabulary.from_bytes(read_bytes(self.model)))

        def encode(batch: pa.RecordBatch) -> pa.RecordBatch:
            ids = codec.encode_batch(batch.column("text"), eos=True)
            made = {
                "tokens": pc.list_value_length(ids).cast(pa.int64()),
                "ids": ids,
                "lookup": lookup_hashes(batch.column("url"), batch.column("record_id")),
            }
            columns = [made[name] if name in made else batch.column(name) for name in _ENCODED.names]
            return pa.RecordBatch.from_arrays(columns, schema=_ENCODED)

        return encode


_ENCODED = pa.schema([*LENGTHS, TOKENS.field("lookup"), pa.field("ids", TOKENS.field("tokens").type)])


def lookup_hashes(urls: pa.Array, record_ids: pa.Array) -> pa.Array:
    """XXH3-64 of each normalised URL, of the record id where there is none, of nothing where there is neither."""
    names = zip(normalise_array(urls).to_pylist(), record_ids.to_pylist(), strict=True)
    return pa.array([lookup_hash(url or record_id or "") for url, record_id in names], pa.uint64())


def lookup_hash(name: str) -> int:
    """The hash under which a normalised URL or a record id is looked up."""
    return xxhash.xxh3_64_intdigest(name.encode("utf-8", "surrogatepass"))


def token_outputs() -> tuple[Output, ...]:
    """Sizes and token ids of every document of the unit, in two tables of the same rows."""
    return (
        Output(table="lengths", schema=LENGTHS, select=_lengths, sums=_sizes, required=True),
        Output(table="tokens", schema=TOKENS, select=_ids, required=True),
    )


def _sizes(batch: pa.RecordBatch) -> dict[str, int]:
    """Bytes and tokens of one copy of each document by language."""
    table = pa.table({name: batch.column(name) for name in ("language", "bytes", "tokens")})
    rows = table.group_by("language").aggregate([("bytes", "sum"), ("tokens", "sum")]).to_pylist()
    return {f"{name} {row['language']}": row[f"{name}_sum"] for row in rows for name in ("bytes", "tokens")}


def _lengths(batch: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(name) for name in LENGTHS.names], schema=LENGTHS)


def _ids(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [batch.column("ids" if name == "tokens" else name) for name in TOKENS.names]
    return pa.RecordBatch.from_arrays(columns, schema=TOKENS)


class ReadTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A unit's tokens and what was taken of them (``packed``) to batches with one row per copy, for the shuffle.

    Raises ``CorruptionError`` when the two files do not name the same documents.
    """

    seed: int

    def __call__(self, tokens: str, packed: str) -> Iterator[pa.RecordBatch]:
        chosen = read_whole(packed, ["doc_id", "source", "language", "bytes", "copies"])
        start = 0
        for batch in read_parquet(tokens, TOKENS.names, 256):
            part = chosen.slice(start, batch.num_rows).combine_chunks()
            start += batch.num_rows
            if part.num_rows != batch.num_rows or not pa.chunked_array([batch["doc_id"]]).equals(part["doc_id"]):
                raise CorruptionError(f"{packed} does not match {tokens}: run the pack stage again with --force")
            copies = part["copies"].to_numpy()
            rows = np.repeat(np.arange(batch.num_rows), copies)
            copy = (np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)).astype(np.int32)
            made = {name: batch.column(name).take(pa.array(rows)) for name in TOKENS.names}
            made |= {n: part[n].combine_chunks().take(pa.array(rows)) for n in ("source", "language", "bytes")}
            made["slot"] = pa.array(slots(made["doc_id"], self.seed, PURPOSE, copy))
            made["copy"] = pa.array(copy)
            yield pa.RecordBatch.from_arrays([made[name] for name in _COPIES.names], schema=_COPIES)
        if start != chosen.num_rows:
            raise CorruptionError(f"{packed} does not match {tokens}: run the pack stage again with --force")


class ShardResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one partition."""

    files: list[FileReceipt]
    counts: list[Count]
    sequences: int
    tokens: int
    padding: int
    copies: int
    cut_documents: int
    cut_tokens: int
    scattered_documents: int
    concatenation_cuts: int
    tokens_by_bucket: dict[str, int]


class PackPartition(beam.DoFn):  # type: ignore[misc]
    """A partition of documents to one shard, its index and its look-up table.

    Memory: the tokens of the shard, once, a quarter for growing, and about 250 bytes a document.
    """

    def __init__(self, folder: str, info: ShardInfo, seed: int) -> None:
        self._folder = folder
        self._info = info
        self._seed = seed
        self._read = ReadPartition(_COPIES)

    def process(self, element: tuple[int, Iterable[str]]) -> Iterator[str]:
        partition, references = element
        rows, tokens = self._load(references)
        # The order of arrival is the runner's; from here on it is that of the hashes. The tokens stay where they are.
        rows = rows.sort_by([("slot", "ascending"), ("doc_id", "ascending"), ("copy", "ascending")]).combine_chunks()
        starts = rows["start"].to_numpy()
        packing = pack(rows["length"].to_numpy(), self._info.sequence_length, seed=self._seed + partition)
        ids = np.frombuffer(b"".join(rows["doc_id"].to_pylist()), dtype=np.uint8).reshape(-1, 16)
        buckets = pa.array(
            [f"{a}/{b}" for a, b in zip(rows["language"].to_pylist(), rows["source"].to_pylist(), strict=True)],
            pa.string(),
        )
        name = f"shard-{partition:05d}"
        shard = AtomicFile(join(self._folder, "shards", f"{name}.arrow"))
        with ShardWriter(shard, self._info, name=f"{name}.arrow") as writer:  # type: ignore[arg-type]
            writer.write_packing(packing, tokens, starts, ids, buckets)
            receipt = writer.close()
        shard.commit()
        index = _write_sorted(join(self._folder, "index", f"{name}.parquet"), receipt.index, "doc_id")
        first = rows.filter(pc.equal(rows["copy"], 0))
        known = pa.table({"lookup": first["lookup"], "doc_id": first["doc_id"]})
        lookup = _write_sorted(join(self._folder, "lookup", f"{name}.parquet"), known, "lookup")
        placed = np.zeros(rows.num_rows, dtype=bool)
        placed[packing.document] = True
        placed &= rows["copy"].to_numpy() == 0
        kept = rows.filter(pa.array(placed)).select(["source", "language", "bytes"]).combine_chunks()
        counted = [count for batch in kept.to_batches() for count in count_rows(batch)]
        result = ShardResult(
            files=[
                _file("shards", shard, receipt.sequences),
                _file("index", index, receipt.index.num_rows),
                _file("lookup", lookup, known.num_rows),
            ],
            counts=[msgspec.structs.replace(count, outcome=KEPT) for count in counted],
            copies=rows.num_rows,
            cut_documents=packing.cut_documents,
            cut_tokens=packing.cut_tokens,
            scattered_documents=packing.scattered_documents,
            concatenation_cuts=packing.concatenation_cuts,
            **_totals(receipt),
        )
        yield msgspec.json.encode(result).decode()

    def _load(self, references: Iterable[str]) -> tuple[pa.Table, Any]:
        """The rows with ``start`` and ``length`` of their tokens in the array that comes with them, in any order."""
        tokens = np.empty(1 << 20, np.uint16 if self._info.token_type == pa.uint16() else np.uint32)
        small: list[pa.RecordBatch] = []
        end = 0
        for batch in self._read.batches(references):
            column = batch.column("tokens")
            ends = column.offsets.to_numpy().astype(np.int64)
            values = column.values.to_numpy()[ends[0] : ends[-1]]
            while end + len(values) > len(tokens):
                tokens.resize(len(tokens) + len(tokens) // 4 + len(values), refcheck=False)  # in place: no second copy
            tokens[end : end + len(values)] = values
            columns = {name: batch.column(name) for name in _COPIES.names if name != "tokens"}
            columns["start"] = pa.array(ends[:-1] - ends[0] + end)
            columns["length"] = pa.array(np.diff(ends))
            small.append(pa.RecordBatch.from_pydict(columns))
            end += len(values)
        return pa.Table.from_batches(small), tokens


def _totals(receipt: ShardReceipt) -> dict[str, Any]:
    names = ("sequences", "tokens", "padding", "tokens_by_bucket")
    return {name: getattr(receipt, name) for name in names}


def _write_sorted(path: str, table: pa.Table, by: str) -> AtomicFile:
    """A small table sorted by a column, in row groups that a look-up can tell apart by their statistics."""
    file = AtomicFile(path)
    keys = [(by, "ascending"), *((n, "ascending") for n in ("doc_id", "sequence", "part") if n in table.column_names)]
    pq.write_table(
        table.sort_by(list(dict(keys).items())), file, compression="zstd", row_group_size=INDEX_ROWS,
        write_page_checksum=True,
    )  # fmt: skip
    file.commit()
    return file


def _file(table: str, file: AtomicFile, rows: int) -> FileReceipt:
    return FileReceipt(table=table, path=file.path, rows=rows, bytes=file.bytes, checksum=file.checksum)
