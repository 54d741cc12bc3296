"""Finding documents in packed shards through their index, and reading sequences and whole documents back.

The index of a shard is a Parquet file with a row for every part of a document (doc_id, shard, sequence, part, parts),
sorted by doc_id; the look-up table has a row for every document (lookup, doc_id), sorted by ``lookup``, the hash of its
URL. Both have small row groups, and the statistics in the footer tell which one can hold a value.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from algok.errors import CorruptionError, InputError
from algok.tokenizer.shards import ShardInfo, read_info, shard_schema

__all__ = ["Placement", "Sequence", "Span", "find_documents", "find_placements", "open_shard", "read_document"]


@dataclass(frozen=True, kw_only=True, order=True)
class Placement:
    """A part of a document: ``shard`` is the name of the file, ``sequence`` its row there."""

    shard: str
    sequence: int
    part: int
    parts: int


@dataclass(frozen=True, kw_only=True)
class Span:
    """A document, or a part of one, in a sequence; ``start`` and ``length`` in tokens."""

    doc_id: bytes
    start: int
    length: int
    part: int
    parts: int
    bucket: str


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """One row of a shard: ``tokens`` is a view of the file, uint16/uint32[sequence_length], of which ``length`` are no
    padding."""

    tokens: npt.NDArray[np.unsignedinteger]
    length: int
    spans: tuple[Span, ...]


class open_shard:  # noqa: N801
    """A shard, memory-mapped: ``info``, ``sequences`` (their number) and ``sequence(row)``.

    Raises InputError for a file that cannot be opened, CorruptionError for one that is no shard.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        except OSError as error:
            raise InputError(f"shard {path} cannot be read: {error}") from error
        except pa.ArrowInvalid as error:
            raise CorruptionError(f"{path} is no Arrow file, or was not closed: {error}") from error
        self.info: ShardInfo = read_info(self._file.schema, str(path))
        wanted = shard_schema(self.info)
        if self._file.schema.names != wanted.names or self._file.schema.types != wanted.types:
            raise CorruptionError(f"{path} has other columns than a shard: {', '.join(self._file.schema.names)}")
        sizes = [self._file.get_batch(i).num_rows for i in range(self._file.num_record_batches)]
        self._ends = np.cumsum(sizes or [0])
        self.sequences = int(self._ends[-1])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The record batches in order."""
        for number in range(self._file.num_record_batches):
            yield self._file.get_batch(number)

    def sequence(self, row: int) -> Sequence:
        """A row of the shard. Raises InputError for a row that it has not."""
        if not 0 <= row < self.sequences:
            raise InputError(f"{self.path.name} has sequences 0 to {self.sequences - 1}; there is no {row}")
        number = int(np.searchsorted(self._ends, row, side="right"))
        batch = self._file.get_batch(number).slice(row - (int(self._ends[number - 1]) if number else 0), 1)
        width = self.info.sequence_length
        tokens = batch.column("tokens")
        names = ("doc_id", "doc_start", "doc_length", "doc_part", "doc_parts", "doc_bucket")
        lists = (batch.column(name)[0].as_py() for name in names)
        return Sequence(
            tokens=tokens.values.to_numpy()[tokens.offset * width : (tokens.offset + 1) * width],
            length=batch.column("length")[0].as_py(),
            spans=tuple(
                Span(doc_id=i, start=a, length=n, part=p, parts=of, bucket=b)
                for i, a, n, p, of, b in zip(*lists, strict=True)
            ),
        )


def _rows_with(path: Path, column: str, value: bytes | int) -> pa.Table:
    """Rows of a sorted Parquet file with a value, from the row groups whose statistics allow it."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            at = file.schema_arrow.get_field_index(column)
            groups = []
            for number in range(file.num_row_groups):
                statistics = file.metadata.row_group(number).column(at).statistics
                if statistics is None or not statistics.has_min_max or statistics.min <= value <= statistics.max:
                    groups.append(number)
            table = file.read_row_groups(groups)
    except FileNotFoundError as error:
        raise InputError(f"the index {path} is missing; copy the whole pack folder, or run the pack stage") from error
    except (pa.ArrowException, OSError) as error:
        raise CorruptionError(f"the index {path} is damaged: {error}") from error
    return table.filter(pc.equal(table[column], pa.scalar(value, table.schema.field(column).type)))


def find_placements(indexes: Iterable[Path], doc_id: bytes) -> list[Placement]:
    """Where the parts of all copies of a document are, by the given index files, in order."""
    rows = (row for path in indexes for row in _rows_with(path, "doc_id", doc_id).to_pylist())
    return sorted(Placement(**{name: row[name] for name in ("shard", "sequence", "part", "parts")}) for row in rows)


def find_documents(tables: Iterable[Path], lookup: int) -> list[bytes]:
    """doc_ids with a look-up hash, by the given look-up tables, in order."""
    return sorted({row["doc_id"] for path in tables for row in _rows_with(path, "lookup", lookup).to_pylist()})


def read_document(shards: Path, placements: list[Placement], doc_id: bytes) -> npt.NDArray[np.unsignedinteger]:
    """Tokens of a document that may be cut, put together from the placements of one copy in one shard.

    Raises CorruptionError when a part is missing or lies elsewhere than the index says.
    """
    by_part = {p.part: p for p in sorted(placements, reverse=True)}
    parts = placements[0].parts if placements else 0
    if not parts or sorted(by_part) != list(range(parts)):
        raise CorruptionError(f"document {doc_id.hex()}: the index names parts {sorted(by_part)} of {parts}")
    pieces = []
    for part in range(parts):
        where = by_part[part]
        sequence = open_shard(shards / where.shard).sequence(where.sequence)
        spans = [s for s in sequence.spans if s.doc_id == doc_id and s.part == part]
        if not spans:
            raise CorruptionError(
                f"document {doc_id.hex()}: the index names {where.shard}, sequence {where.sequence}, which lacks it"
            )
        pieces.append(sequence.tokens[spans[0].start : spans[0].start + spans[0].length])
    return np.concatenate(pieces)
