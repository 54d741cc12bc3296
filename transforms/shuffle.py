"""The columnar shuffle: rows travel in files by partition, only references to them travel through Beam.

``ShuffleRows`` splits every batch into P partitions by a stable hash of a key column, collects the pieces of a bundle
in one Arrow IPC file (a record batch for a partition), and groups the references by partition. A worker then reads
its partition as one table and sorts or joins it in Arrow. Memory: ``flush_bytes`` in the writer and one partition
in the reader, on every runner; the in-process runner and Flink would otherwise keep or copy the whole payload.
A bundle that is retried writes a new file; the references of the failed try are dropped by the runner with it.
"""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import xxhash
from apache_beam.transforms.window import GlobalWindows

from algok.transforms.storage import AtomicFile, join, open_read

__all__ = ["ReadPartition", "ShuffleRows", "partition_ids", "partitions_for"]

#: Buffered bytes at which a bundle's pieces are written out.
FLUSH_BYTES = 64 << 20
#: Bytes of rows that one partition should hold, so that sorting and joining it stays well under a gigabyte.
PARTITION_BYTES = 128 << 20
_IPC = pa.ipc.IpcWriteOptions(compression="lz4")
#: The two multipliers of MurmurHash3's 64-bit finaliser, and an odd one (xxHash's PRIME64_2) to join two words.
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_JOIN = np.uint64(0xC2B2AE3D27D4EB4F)


def partitions_for(total_bytes: int, limit: int = PARTITION_BYTES) -> int:
    """How many partitions keep one of them near ``limit`` bytes: at least 1.

    >>> partitions_for(0), partitions_for(10 * PARTITION_BYTES)
    (1, 10)
    """
    return max(1, -(-total_bytes // limit))


def partition_ids(key: pa.Array, partitions: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Partition of every row, by a hash that depends on the value alone.

    Keys: fixed-size binary(16), any integer, or string. Raises ``TypeError`` for others, ``ValueError`` on nulls.
    """
    if key.null_count:
        raise ValueError("a shuffle key must not be null")
    if pa.types.is_fixed_size_binary(key.type) and key.type.byte_width == 16:
        width = key.type.byte_width
        raw = np.frombuffer(key.buffers()[1] or b"", dtype=np.uint8)
        words = raw[key.offset * width : (key.offset + len(key)) * width].view(np.uint64).reshape(-1, 2)
        hashed = words[:, 0] + words[:, 1] * _JOIN
    elif pa.types.is_integer(key.type):
        hashed = key.to_numpy(zero_copy_only=False).astype(np.uint64)
    elif pa.types.is_string(key.type) or pa.types.is_large_string(key.type):
        encoded = key.dictionary_encode()
        uniques = np.array(
            [xxhash.xxh3_64_intdigest(v.encode()) for v in encoded.dictionary.to_pylist()], dtype=np.uint64
        )
        hashed = uniques[encoded.indices.to_numpy(zero_copy_only=False)]
    else:
        raise TypeError(f"cannot shuffle by a key of type {key.type}")
    shift = np.uint64(33)
    mixed = (hashed ^ (hashed >> shift)) * _MIX_1
    mixed = (mixed ^ (mixed >> shift)) * _MIX_2
    ids: np.ndarray[Any, np.dtype[np.int64]] = ((mixed ^ (mixed >> shift)) % np.uint64(partitions)).astype(np.int64)
    return ids


class _Spill(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str, key: str, partitions: int, flush_bytes: int) -> None:
        self._folder = folder
        self._key = key
        self._partitions = partitions
        self._flush_bytes = flush_bytes

    def start_bundle(self) -> None:
        self._pending: list[pa.RecordBatch] = []
        self._buffered = 0
        self._file: AtomicFile | None = None
        self._writer: Any = None
        self._written: list[tuple[int, int]] = []
        self._batches = 0

    def process(self, element: pa.RecordBatch) -> None:
        if element.num_rows == 0:
            return
        self._pending.append(element.replace_schema_metadata(None))
        self._buffered += element.nbytes
        if self._buffered >= self._flush_bytes:
            self._flush()

    def _flush(self) -> None:
        """Split what is buffered, all at once: a thousand rows over hundreds of partitions would be as many slices of
        a few rows, each with an object and buffers of its own."""
        if not self._pending:
            return
        table = pa.Table.from_batches(self._pending).combine_chunks()
        self._pending, self._buffered = [], 0
        if self._writer is None:
            self._file = AtomicFile(join(self._folder, f"spill-{uuid.uuid4().hex}.arrow"))
            self._writer = pa.ipc.new_file(self._file, table.schema, options=_IPC)
        for batch in table.to_batches():
            ids = partition_ids(batch.column(self._key), self._partitions)
            order = np.argsort(ids, kind="stable")
            rows = batch.take(pa.array(order))
            values, starts = np.unique(ids[order], return_index=True)
            ends = np.append(starts[1:], len(order))
            for value, start, end in zip(values.tolist(), starts.tolist(), ends.tolist(), strict=True):
                self._writer.write_batch(rows.slice(start, end - start))
                self._written.append((value, self._batches))
                self._batches += 1

    def finish_bundle(self) -> Iterator[Any]:
        self._flush()
        if self._file is None:
            return
        self._writer.close()
        self._file.commit()
        for partition, index in self._written:
            yield GlobalWindows.windowed_value((partition, f"{index}:{self._file.path}"))


class ReadPartition:
    """Reads the pieces of one partition; ``schema`` is that of the rows that were shuffled."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def __call__(self, references: Iterable[str]) -> pa.Table:
        """All rows of the partition, in no particular order: whoever reads sorts by a key that is unique."""
        return pa.Table.from_batches(self.batches(references), self._schema)

    def batches(self, references: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """The same, piece by piece, for rows too large to be held twice."""
        by_file: dict[str, list[int]] = {}
        for reference in references:
            index, path = reference.split(":", 1)
            by_file.setdefault(path, []).append(int(index))
        for path in sorted(by_file):
            with open_read(path) as file, pa.ipc.open_file(file) as reader:
                for number in sorted(by_file[path]):
                    yield reader.get_batch(number)


class ShuffleRows(beam.PTransform):  # type: ignore[misc]
    """Batches to (partition, references), grouped by partition; give the references to ``ReadPartition``.

    Takes a PCollection of batches, or a tuple of several of one schema to be shuffled as one. A Flatten before a
    shuffle keeps batches in the memory of the local runner (1.0 GB instead of 0.8 GB for dedup of 3 million documents):
    here each PCollection spills for itself, and only references are put together. ``folder`` must be reachable by all
    workers and is removed by whoever runs the job, after the job.
    """

    def __init__(self, folder: str, *, key: str, partitions: int, flush_bytes: int = FLUSH_BYTES) -> None:
        super().__init__()
        self._fn = _Spill(folder, key, partitions, flush_bytes)

    def expand(self, pcoll: Any) -> Any:
        if isinstance(pcoll, tuple):
            spilled = tuple(
                one | f"Spill{i}" >> beam.ParDo(self._fn).with_output_types(tuple[int, str])
                for i, one in enumerate(pcoll, 1)
            )
            references = spilled | "References" >> beam.Flatten()
        else:
            references = pcoll | "Spill" >> beam.ParDo(self._fn).with_output_types(tuple[int, str])
        return references | "ByPartition" >> beam.GroupByKey()
