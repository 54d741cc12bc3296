"""Streaming packed shards for training.

The order of an epoch is a pseudo-random permutation of all its sequences, computed position by position (a Feistel
network with cycle walking), so it costs no memory and any position can be started from. Consumers are cut out of that
one global order: with ``world`` ranks and blocks of ``block`` sequences (the batch size of a rank), step s consists of
the positions from ``s * world * block`` on, and rank r takes the r-th block of them; ``workers`` loader processes of a
rank take its steps in turn. So the order of the whole does not depend on ranks, workers or interruptions, and a state
is the number of positions consumed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from algok.errors import CorruptionError, InputError
from algok.tokenizer.shards import read_info

__all__ = ["PackedSequence", "ShardReader", "torch_dataset"]

#: Record batches whose views are kept: 2,048 of 64 sequences are 17 GB of mapped, not of resident, memory.
HELD_BATCHES = 2_048


@dataclass(frozen=True, kw_only=True)
class PackedSequence:
    """One training sequence.

    ``tokens``: uint16/uint32[sequence_length], read-only view of the file. ``length``: tokens before the padding.
    ``doc_start``, ``doc_length``: int32 spans of documents, for attention masks and position ids. ``position``: place
    in the global order, over epochs; ``shard`` and ``row``: where it lies.
    """

    tokens: npt.NDArray[np.unsignedinteger]
    length: int
    doc_start: npt.NDArray[np.int32]
    doc_length: npt.NDArray[np.int32]
    position: int
    shard: int
    row: int


class ShardReader:
    """Iterates over the sequences of shards; see the module for the order.

    ``paths``: all shards, on every rank; they are put into the order of their names. ``epochs``: None for no end.
    ``weights``: factor for each bucket: a sequence comes up as often, per epoch, as the mean weight of its tokens, with
    the fraction decided by hash. Buckets that are not named have weight 1. ``drop_last``: leave out the last step if it
    is not full for all ranks.

    ``state()`` tells how far the *global* order has been consumed when all ranks have yielded as much as this one; any
    number of ranks and workers can go on from it. Files are memory-mapped and opened when first needed.

    Raises InputError for bad arguments or shards that differ in tokenizer or length, CorruptionError for files that
    are no shards or a state of other data.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        worker: int = 0,
        workers: int = 1,
        block: int = 1,
        epochs: int | None = 1,
        drop_last: bool = False,
        weights: dict[str, float] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        if not paths:
            raise InputError("no shards to read")
        if not (0 <= rank < world and 0 <= worker < workers and block >= 1 and (epochs is None or epochs >= 1)):
            raise InputError(
                f"rank {rank} of {world}, worker {worker} of {workers}, block {block}, epochs {epochs}: out of range"
            )
        self.paths = sorted((Path(p) for p in paths), key=lambda p: (p.name, str(p)))
        self.seed, self.rank, self.world, self.worker, self.workers = seed, rank, world, worker, workers
        self.block, self.epochs, self.drop_last = block, epochs, drop_last
        self._files: dict[int, pa.ipc.RecordBatchFileReader] = {}
        self._batches: dict[tuple[int, int], _Batch] = {}
        self._layout: list[npt.NDArray[np.int64]] = []
        infos = []
        for index, path in enumerate(self.paths):
            file = self._open(index)
            infos.append(read_info(file.schema, str(path)))
            if infos[-1] != infos[0]:
                raise InputError(f"{path} differs from {self.paths[0]} in tokenizer or sequence length")
            self._layout.append(_batch_ends(file))
        self.info = infos[0]
        self._ends = np.cumsum([int(ends[-1]) for ends in self._layout])
        #: Sequences in the shards.
        self.sequences = int(self._ends[-1])
        if not self.sequences:
            raise InputError("the shards hold no sequence")
        self.weights = dict(sorted((weights or {}).items()))
        if any(not 0 <= w <= 255 for w in self.weights.values()):
            raise InputError(f"weights must lie in 0..255: {self.weights}")
        self._fingerprint = xxhash.xxh3_64_hexdigest(
            repr([(p.name, ends.tolist()[-1]) for p, ends in zip(self.paths, self._layout, strict=True)]
                 + [self.info, self.weights]).encode()
        )  # fmt: skip
        self._repeats = self._weighted() if self.weights else None
        #: Positions of an epoch: sequences, or their weighted number.
        self.epoch_length = int(self._repeats[-1]) if self._repeats is not None else self.sequences
        if not self.epoch_length:
            raise InputError(f"the weights {self.weights} leave no sequence")
        self.position = 0
        if state is not None:
            self.load_state(state)

    def __len__(self) -> int:
        """Sequences that this consumer yields in all from the start on. TypeError if there is no end."""
        if self.epochs is None:
            raise TypeError("a reader without end has no length")
        stride, total = self.world * self.block, self.epochs * self.epoch_length
        steps, rest = divmod(total, stride)
        mine = len(range(self.worker, steps, self.workers)) * self.block
        if rest and not self.drop_last and steps % self.workers == self.worker:
            mine += min(self.block, max(0, rest - self.rank * self.block))
        return mine

    def state(self) -> dict[str, Any]:
        """A small JSON-able state: {seed, position, data}. Take it between steps, from any rank."""
        return {"seed": self.seed, "position": self.position, "data": self._fingerprint}

    def state_at(self, position: int) -> dict[str, Any]:
        """The state after ``position`` sequences of the global order: steps times world times block."""
        return self.state() | {"position": position}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises CorruptionError if it belongs to other shards, weights or another seed."""
        if state.get("data") != self._fingerprint or state.get("seed") != self.seed:
            raise CorruptionError("the reader's state belongs to other shards, other weights or another seed")
        position = state.get("position")
        if not isinstance(position, int) or position < 0:
            raise CorruptionError(f"the reader's state has position {position!r}")
        self.position = position

    def __iter__(self) -> Iterator[PackedSequence]:
        for position, step_end in self._positions(self.position):
            sequence = self._read(position)
            # Before the yield: what has been handed over counts as consumed.
            self.position = step_end
            yield sequence

    def global_index(self, position: int) -> int:
        """Index, in the shards in order, of the sequence at a position of the global order."""
        epoch, place = divmod(position, self.epoch_length)
        index = _permute(place, self.epoch_length, self.seed, epoch)
        if self._repeats is None:
            return index
        return int(np.searchsorted(self._repeats, index, side="right"))

    def _positions(self, start: int) -> Iterator[tuple[int, int]]:
        """(position, position up to which the whole world has then consumed) of this consumer, from ``start`` on."""
        stride = self.world * self.block
        end = None if self.epochs is None else self.epochs * self.epoch_length
        step = self.worker
        while True:
            base = start + step * stride
            if end is not None and (base >= end or (self.drop_last and base + stride > end)):
                return
            first = base + self.rank * self.block
            for position in range(first, first + self.block):
                if end is not None and position >= end:
                    return
                last = position == first + self.block - 1
                yield position, base + stride if last else base
            step += self.workers

    def _open(self, index: int) -> pa.ipc.RecordBatchFileReader:
        if index not in self._files:
            path = self.paths[index]
            try:
                self._files[index] = pa.ipc.open_file(pa.memory_map(str(path)))
            except OSError as error:
                raise InputError(f"shard {path} cannot be read: {error}") from error
            except pa.ArrowInvalid as error:
                raise CorruptionError(f"{path} is no Arrow file, or was not closed: {error}") from error
        return self._files[index]

    def _read(self, position: int) -> PackedSequence:
        index = self.global_index(position)
        shard = int(np.searchsorted(self._ends, index, side="right"))
        row = index - (int(self._ends[shard - 1]) if shard else 0)
        ends = self._layout[shard]
        number = int(np.searchsorted(ends, row, side="right"))
        inside = row - (int(ends[number - 1]) if number else 0)
        batch = self._batch(shard, number)
        a, b = batch.bounds[inside], batch.bounds[inside + 1]
        return PackedSequence(
            tokens=batch.tokens[inside],
            length=int(batch.length[inside]),
            doc_start=batch.doc_start[a:b],
            doc_length=batch.doc_length[a:b],
            position=position,
            shard=shard,
            row=row,
        )

    def _batch(self, shard: int, number: int) -> "_Batch":
        """A record batch; memory-mapped, so holding it costs little more than its schema."""
        key = (shard, number)
        batch = self._batches.get(key)
        if batch is None:
            if len(self._batches) >= HELD_BATCHES:
                self._batches.pop(next(iter(self._batches)))
            batch = self._batches[key] = _Batch(self._open(shard).get_batch(number), self.info.sequence_length)
        return batch

    def _weighted(self) -> npt.NDArray[np.int64]:
        """Cumulated repeats of every sequence: int64[sequences]."""
        repeats = np.zeros(self.sequences, np.int64)
        at = 0
        for shard, ends in enumerate(self._layout):
            for number in range(len(ends)):
                batch = self._open(shard).get_batch(number)
                rows = np.arange(at, at + batch.num_rows)
                chance = _mix_array(rows.astype(np.uint64), self.seed ^ 0x5EED) / 2.0**64
                repeats[rows] = np.floor(_mean_weights(batch, self.weights) + chance)
                at += batch.num_rows
        return np.cumsum(repeats)


class _Batch:
    """NumPy views of a record batch: what ``PackedSequence`` is cut from."""

    __slots__ = ("bounds", "doc_length", "doc_start", "length", "tokens")

    def __init__(self, batch: pa.RecordBatch, width: int) -> None:
        column, rows = batch.column("tokens"), batch.num_rows
        values = column.values.to_numpy()
        self.tokens = values[column.offset * width : (column.offset + rows) * width].reshape(rows, width)
        self.length = batch.column("length").to_numpy()
        starts, lengths = batch.column("doc_start"), batch.column("doc_length")
        bounds = starts.offsets.to_numpy()
        self.bounds = (bounds - bounds[0]).tolist()
        self.doc_start, self.doc_length = starts.flatten().to_numpy(), lengths.flatten().to_numpy()


def _mean_weights(batch: pa.RecordBatch, weights: dict[str, float]) -> npt.NDArray[np.float64]:
    """Mean weight of the tokens of every row; buckets without a weight count 1."""
    spans = batch.column("doc_bucket")
    lengths = batch.column("doc_length").flatten().to_numpy().astype(np.float64)
    encoded = spans.flatten().dictionary_encode()
    factor = np.array([weights.get(b, 1.0) for b in encoded.dictionary.to_pylist()])
    bounds = (spans.offsets.to_numpy() - spans.offsets[0].as_py()).astype(np.int64)
    sums = np.concatenate([np.zeros(1), np.cumsum(lengths * factor[encoded.indices.to_numpy()])])
    sizes = np.concatenate([np.zeros(1), np.cumsum(lengths)])
    mean: npt.NDArray[np.float64] = (sums[bounds[1:]] - sums[bounds[:-1]]) / np.maximum(
        1, sizes[bounds[1:]] - sizes[bounds[:-1]]
    )
    return mean


def torch_dataset(make: Callable[[int, int], ShardReader]) -> Any:
    """A ``torch.utils.data.IterableDataset`` over readers that ``make(worker, workers)`` builds in each loader process.

    Items are dicts of tensors: ``tokens`` (int64[sequence_length]), ``length``, ``position``. With a DataLoader of
    ``batch_size=block`` and any ``num_workers`` the batches come in the global order. Raises InputError without torch.
    """
    try:
        import torch
        from torch.utils.data import IterableDataset, get_worker_info
    except ImportError as error:
        raise InputError("torch is not installed; ShardReader itself works without it") from error

    class Dataset(IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Iterator[dict[str, Any]]:
            worker = get_worker_info()
            reader = make(worker.id, worker.num_workers) if worker is not None else make(0, 1)
            for item in reader:
                yield {
                    "tokens": torch.from_numpy(item.tokens.astype(np.int64)),
                    "length": item.length,
                    "position": item.position,
                }

    return Dataset()


def _batch_ends(file: pa.ipc.RecordBatchFileReader) -> npt.NDArray[np.int64]:
    """Cumulated rows of the record batches of a file."""
    sizes = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]
    return np.cumsum([*sizes] or [0], dtype=np.int64)


_MASK = 2**64 - 1


def _mix(value: int, key: int) -> int:
    """SplitMix64's finaliser."""
    z = (value * 0x9E3779B97F4A7C15 + key * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _mix_array(values: npt.NDArray[np.uint64], key: int) -> npt.NDArray[np.uint64]:
    """``_mix`` of every value."""
    with np.errstate(over="ignore"):
        z = values * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.uint64((key * 0xD1342543DE82EF95 + 0x9E3779B97F4A7C15) & _MASK)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _permute(index: int, size: int, seed: int, epoch: int) -> int:
    """A pseudo-random permutation of 0..size-1 (Black and Rogaway 2002: Feistel rounds with cycle walking).

    >>> sorted(_permute(i, 5, 1, 0) for i in range(5))
    [0, 1, 2, 3, 4]
    """
    half = max(1, (max(2, size) - 1).bit_length() + 1 >> 1)
    low = (1 << half) - 1
    while True:
        left, right = index >> half, index & low
        for turn in range(6):
            left, right = right, left ^ (_mix(right, seed * 1_000_003 + epoch * 64 + turn) & low)
        index = left << half | right
        if index < size:
            return index
