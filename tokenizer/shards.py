"""Packed shards: Arrow IPC files that pyarrow, Polars and datasets read without this package.

One row is one training sequence. Columns:

- ``tokens``: fixed_size_list<uint16 or uint32>[sequence_length], filled up with the pad id;
- ``length``: int32, tokens that are no padding;
- ``doc_start``, ``doc_length``: list<int32>, span of each document in the sequence, in tokens;
- ``doc_id``: list<binary>, its 16-byte id;
- ``doc_part``, ``doc_parts``: list<int32>, which part of how many (0 of 1 unless the document was cut);
- ``doc_bucket``: list<string>, its bucket of the mixture.

Schema metadata (all text): ``algok.tokenizer_sha256``, ``algok.tokenizer_version``, ``algok.sequence_length``,
``algok.pad_id``, ``algok.eos_id``, ``algok.vocab_size``, ``algok.format``. Files are not compressed, so that a memory
map is read without a copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from algok.errors import CorruptionError, InputError
from algok.tokenizer.packing import SEQUENCE_LENGTH, Packing, fill_sequences

__all__ = ["FORMAT", "ShardInfo", "ShardReceipt", "ShardWriter", "checksum", "read_info", "shard_schema", "write_shard"]

#: Version of the layout above.
FORMAT = "1"

#: Sequences of one Arrow record batch: 8 MiB of uint32 tokens at the default length.
BATCH_SEQUENCES = 64

_INDEX = pa.schema(
    [
        pa.field("doc_id", pa.binary(16)),
        pa.field("shard", pa.string()),
        pa.field("sequence", pa.int32()),
        pa.field("part", pa.int32()),
        pa.field("parts", pa.int32()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class ShardInfo:
    """What every sequence of a shard has in common; goes into the schema metadata."""

    tokenizer_sha256: str
    vocab_size: int
    pad_id: int
    eos_id: int
    tokenizer_version: str = ""
    sequence_length: int = SEQUENCE_LENGTH

    def __post_init__(self) -> None:
        for name in ("pad_id", "eos_id"):
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise InputError(f"{name} = {getattr(self, name)} lies outside the vocabulary of {self.vocab_size}")

    @property
    def token_type(self) -> pa.DataType:
        """uint16 where every id fits."""
        return pa.uint16() if self.vocab_size <= 2**16 else pa.uint32()

    def metadata(self) -> dict[str, str]:
        """The schema metadata."""
        return {
            "algok.format": FORMAT,
            "algok.tokenizer_sha256": self.tokenizer_sha256,
            "algok.tokenizer_version": self.tokenizer_version,
            "algok.sequence_length": str(self.sequence_length),
            "algok.pad_id": str(self.pad_id),
            "algok.eos_id": str(self.eos_id),
            "algok.vocab_size": str(self.vocab_size),
        }


def shard_schema(info: ShardInfo) -> pa.Schema:
    """The Arrow schema of shards."""
    return pa.schema(
        [
            pa.field("tokens", pa.list_(pa.field("item", info.token_type, nullable=False), info.sequence_length)),
            pa.field("length", pa.int32()),
            pa.field("doc_start", pa.list_(pa.int32())),
            pa.field("doc_length", pa.list_(pa.int32())),
            pa.field("doc_id", pa.list_(pa.binary())),
            pa.field("doc_part", pa.list_(pa.int32())),
            pa.field("doc_parts", pa.list_(pa.int32())),
            pa.field("doc_bucket", pa.list_(pa.string())),
        ],
        metadata=info.metadata(),
    )


def read_info(schema: pa.Schema, name: str = "shard") -> ShardInfo:
    """The ShardInfo of a shard's schema. Raises CorruptionError if it is no shard of this format."""
    meta = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    try:
        if meta["algok.format"] != FORMAT:
            raise CorruptionError(f"{name} has format {meta['algok.format']}; this version of algok reads {FORMAT}")
        return ShardInfo(
            tokenizer_sha256=meta["algok.tokenizer_sha256"],
            tokenizer_version=meta["algok.tokenizer_version"],
            sequence_length=int(meta["algok.sequence_length"]),
            pad_id=int(meta["algok.pad_id"]),
            eos_id=int(meta["algok.eos_id"]),
            vocab_size=int(meta["algok.vocab_size"]),
        )
    except (KeyError, ValueError) as error:
        raise CorruptionError(f"{name} is no packed shard of algok: {error!r}") from error


@dataclass(kw_only=True)
class ShardReceipt:
    """What was written, for the manifest: name, sequences, tokens (without padding) in all and by bucket, padding,
    documents and parts of documents, bytes, XXH3-128 of the file in hex, and the index (doc_id, shard, sequence, part,
    parts; one row per placement)."""

    name: str
    sequences: int = 0
    tokens: int = 0
    padding: int = 0
    placements: int = 0
    bytes: int = 0
    xxh3_128: str = ""
    tokens_by_bucket: dict[str, int] = field(default_factory=dict)
    index: pa.Table = field(default_factory=_INDEX.empty_table)


class ShardWriter:
    """Streams sequences into one shard. Use as a context manager; ``close`` returns the receipt.

    ``sink``: a path, or a binary file object, which stays open (for Beam's file systems and atomic renames).
    """

    def __init__(self, sink: Path | str | IO[bytes], info: ShardInfo, *, name: str | None = None) -> None:
        self.info = info
        self.schema = shard_schema(info)
        path = Path(sink) if isinstance(sink, str | Path) else None
        self._own = path.open("wb") if path is not None else None
        self._sink = _HashingSink(self._own if self._own is not None else sink)  # type: ignore[arg-type]
        self._file = pa.PythonFile(self._sink, mode="w")
        self._writer = pa.ipc.new_file(self._file, self.schema)
        self.receipt = ShardReceipt(name=name or (path.name if path is not None else "shard"))
        self._index: list[pa.RecordBatch] = []
        self._closed = False

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            self.close()
        elif self._own is not None:
            self._own.close()

    @property
    def bytes_written(self) -> int:
        """Size of the file so far."""
        return self._sink.bytes

    def write(
        self,
        tokens: npt.NDArray[np.unsignedinteger],
        first: npt.NDArray[np.int64],
        start: npt.NDArray[np.int32],
        length: npt.NDArray[np.int32],
        doc_ids: npt.NDArray[np.uint8],
        part: npt.NDArray[np.int32],
        parts: npt.NDArray[np.int32],
        buckets: Sequence[str] | pa.Array,
    ) -> None:
        """Append sequences. ``tokens``: [n, sequence_length]; the spans of row i are entries ``first[i]`` to
        ``first[i + 1]`` of the other arrays (``doc_ids``: uint8[m, 16])."""
        rows, spans = len(tokens), len(start)
        if tokens.shape != (rows, self.info.sequence_length) or len(first) != rows + 1:
            raise ValueError(f"tokens has shape {tokens.shape} for {len(first) - 1} sequences of {self.info}")
        if doc_ids.shape != (spans, 16) or not len(length) == len(part) == len(parts) == len(buckets) == spans:
            raise ValueError("span arrays differ in length")
        ends = pa.array(first - first[0], pa.int32())
        flat = np.ascontiguousarray(tokens, np.uint16 if self.info.vocab_size <= 2**16 else np.uint32).reshape(-1)
        ids = pa.Array.from_buffers(pa.binary(16), spans, [None, pa.py_buffer(np.ascontiguousarray(doc_ids))])
        bucket = buckets if isinstance(buckets, pa.Array) else pa.array(buckets, pa.string())
        held = np.zeros(rows + 1, np.int64)
        np.cumsum(length, out=(sums := np.zeros(spans + 1, np.int64))[1:])
        held = sums[first[1:] - first[0]] - sums[first[:-1] - first[0]]
        for at in range(0, rows, BATCH_SEQUENCES):
            size = min(BATCH_SEQUENCES, rows - at)
            columns = [
                pa.FixedSizeListArray.from_arrays(
                    pa.array(flat[at * tokens.shape[1] : (at + size) * tokens.shape[1]]),
                    type=self.schema.field("tokens").type,
                ),
                pa.array(held[at : at + size], pa.int32()),
                *(
                    pa.ListArray.from_arrays(ends, values).slice(at, size)
                    for values in (
                        pa.array(start, pa.int32()), pa.array(length, pa.int32()), ids.cast(pa.binary()),
                        pa.array(part, pa.int32()), pa.array(parts, pa.int32()), bucket,
                    )
                ),
            ]  # fmt: skip
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self.schema))
        base = self.receipt.sequences
        row_of = np.repeat(np.arange(base, base + rows, dtype=np.int32), np.diff(first))
        self._index.append(
            pa.RecordBatch.from_arrays(
                [ids, pa.array([self.receipt.name] * spans, pa.string()), pa.array(row_of), pa.array(part, pa.int32()),
                 pa.array(parts, pa.int32())],
                schema=_INDEX,
            )
        )  # fmt: skip
        self.receipt.sequences += rows
        self.receipt.tokens += int(held.sum())
        self.receipt.placements += spans
        encoded = bucket.dictionary_encode()
        sums = np.bincount(
            encoded.indices.to_numpy(zero_copy_only=False), weights=length, minlength=len(encoded.dictionary)
        )
        counts = self.receipt.tokens_by_bucket
        for label, amount in zip(encoded.dictionary.to_pylist(), sums.tolist(), strict=True):
            counts[label] = counts.get(label, 0) + int(amount)

    def write_packing(
        self,
        packing: Packing,
        tokens: npt.NDArray[np.unsignedinteger],
        offsets: npt.NDArray[np.int64],
        doc_ids: npt.NDArray[np.uint8],
        buckets: pa.Array,
        *,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        """Append the sequences ``first`` to ``last`` of a packing; ``doc_ids`` (uint8[n, 16]) and ``buckets`` are those
        of the documents, ``tokens`` and ``offsets`` as for ``fill_sequences``."""
        last = packing.sequences if last is None else last
        for at in range(first, last, BATCH_SEQUENCES):
            end = min(last, at + BATCH_SEQUENCES)
            a, b = packing.first[at], packing.first[end]
            document = packing.document[a:b]
            self.write(
                fill_sequences(packing, tokens, offsets, pad=self.info.pad_id, first=at, last=end),
                packing.first[at : end + 1], packing.start[a:b], packing.length[a:b], doc_ids[document],
                packing.part[a:b], packing.parts[a:b], buckets.take(pa.array(document)),
            )  # fmt: skip

    def close(self) -> ShardReceipt:
        """Finish the file; a second call returns the same receipt."""
        if not self._closed:
            self._closed = True
            self._writer.close()
            self._sink.flush()
            if self._own is not None:
                self._own.close()
            receipt = self.receipt
            receipt.padding = receipt.sequences * self.info.sequence_length - receipt.tokens
            receipt.bytes = self._sink.bytes
            receipt.xxh3_128 = self._sink.hash.hexdigest()
            receipt.tokens_by_bucket = dict(sorted(receipt.tokens_by_bucket.items()))
            receipt.index = pa.Table.from_batches(self._index, schema=_INDEX)
        return self.receipt


def write_shard(
    sink: Path | str | IO[bytes],
    info: ShardInfo,
    packing: Packing,
    tokens: npt.NDArray[np.unsignedinteger],
    offsets: npt.NDArray[np.int64],
    doc_ids: npt.NDArray[np.uint8],
    buckets: pa.Array,
    *,
    name: str | None = None,
    first: int = 0,
    last: int | None = None,
) -> ShardReceipt:
    """Write the sequences ``first`` to ``last`` of a packing as one shard. Arguments as for ``ShardWriter``."""
    with ShardWriter(sink, info, name=name) as writer:
        writer.write_packing(packing, tokens, offsets, doc_ids, buckets, first=first, last=last)
        return writer.close()


def checksum(path: Path | str) -> str:
    """XXH3-128 of a file in hex, as in the receipt."""
    state = xxhash.xxh3_128()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            state.update(block)
    return state.hexdigest()


class _HashingSink:
    """A writable file that counts and hashes what passes; Arrow's file format never seeks back."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.bytes = 0
        self.hash = xxhash.xxh3_128()

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data)
        self._file.write(view)
        self.hash.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self.bytes

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        pass
