"""Shards: readable by plain Arrow, checked, and read back in one global order."""

import io
import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from algok.errors import CorruptionError, InputError
from algok.tokenizer.packing import pack
from algok.tokenizer.reader import ShardReader
from algok.tokenizer.shards import ShardInfo, ShardReceipt, ShardWriter, checksum, write_shard

SIZE = 64


def _info(**changes: object) -> ShardInfo:
    values = {"tokenizer_sha256": "ab" * 32, "tokenizer_version": "v1", "vocab_size": 4000, "pad_id": 3, "eos_id": 2}
    return ShardInfo(**{"sequence_length": SIZE, **values, **changes})  # type: ignore[arg-type]


Documents = dict[bytes, list[int]]


def write_random_shard(
    path: Path, seed: int, documents: int = 300, **changes: object
) -> tuple[ShardReceipt, Documents]:
    """A shard of random documents, and their tokens by id."""
    rng = np.random.default_rng(seed)
    info = _info(**changes)
    lengths = rng.integers(1, 150, documents)
    tokens = rng.integers(4, info.vocab_size, lengths.sum()).astype(np.uint32)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    ids = rng.integers(0, 256, (documents, 16), np.uint8)
    buckets = pa.array(["ko/web" if i % 3 else "en/web" for i in range(documents)])
    receipt = write_shard(path, info, pack(lengths, SIZE, ids=ids), tokens, offsets, ids, buckets)
    return receipt, {ids[i].tobytes(): tokens[offsets[i] : offsets[i + 1]].tolist() for i in range(documents)}


def test_plain_arrow_reads_every_document_back(tmp_path: Path) -> None:
    receipt, documents = write_random_shard(tmp_path / "a.arrow", 1)
    with pa.memory_map(str(tmp_path / "a.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema.field("tokens").type.list_size == SIZE
    assert table.schema.field("tokens").type.value_type == pa.uint16()
    assert table.schema.metadata[b"algok.pad_id"] == b"3"
    assert table.schema.metadata[b"algok.tokenizer_sha256"] == b"ab" * 32
    rebuilt: dict[bytes, dict[int, list[int]]] = {}
    for row in table.to_pylist():
        assert row["tokens"][row["length"] :] == [3] * (SIZE - row["length"])
        assert sum(row["doc_length"]) == row["length"]
        spans = zip(*(row[f"doc_{n}"] for n in ("id", "start", "length", "part", "parts")), strict=True)
        for doc_id, start, length, part, parts in spans:
            assert part < parts
            rebuilt.setdefault(doc_id, {})[part] = row["tokens"][start : start + length]
    assert {k: [t for p in sorted(v) for t in v[p]] for k, v in rebuilt.items()} == documents
    assert receipt.sequences == len(table)
    assert receipt.tokens == sum(map(len, documents.values()))
    assert receipt.padding == receipt.sequences * SIZE - receipt.tokens
    assert sum(receipt.tokens_by_bucket.values()) == receipt.tokens
    assert set(receipt.tokens_by_bucket) == {"ko/web", "en/web"}
    assert receipt.bytes == (tmp_path / "a.arrow").stat().st_size
    assert receipt.xxh3_128 == checksum(tmp_path / "a.arrow")
    # The index names the sequence of every part.
    rows = table.column("doc_id").to_pylist()
    assert receipt.index.num_rows == receipt.placements == sum(map(len, rows))
    for entry in receipt.index.to_pylist():
        assert entry["doc_id"] in rows[entry["sequence"]]
        assert entry["shard"] == "a.arrow"


def test_large_vocabularies_use_32_bits(tmp_path: Path) -> None:
    write_random_shard(tmp_path / "a.arrow", 1, vocab_size=102_400)
    schema = pa.ipc.open_file(str(tmp_path / "a.arrow")).schema
    assert schema.field("tokens").type.value_type == pa.uint32()


def test_same_bytes_for_same_input_and_for_a_file_object(tmp_path: Path) -> None:
    one, _ = write_random_shard(tmp_path / "a.arrow", 1)
    two, _ = write_random_shard(tmp_path / "b.arrow", 1)
    assert one.xxh3_128 == two.xxh3_128
    assert (tmp_path / "a.arrow").read_bytes() == (tmp_path / "b.arrow").read_bytes()
    sink = io.BytesIO()
    writer = ShardWriter(sink, _info(), name="x")
    assert writer.close() is writer.close()
    assert pa.ipc.open_file(io.BytesIO(sink.getvalue())).num_record_batches == 0


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[int]]:
    """A shard of about 40 MB, the sum of its ids, and the ids of its first document."""
    path = tmp_path_factory.mktemp("large") / "a.arrow"
    rng = np.random.default_rng(3)
    lengths = np.maximum(1, rng.lognormal(6.1, 1.0, 13_000)).astype(np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    tokens = rng.integers(4, 102_400, offsets[-1]).astype(np.uint32)
    ids = rng.integers(0, 256, (len(lengths), 16), np.uint8)
    info = _info(vocab_size=102_400, sequence_length=32_768)
    packing = pack(lengths, ids=ids)
    write_shard(path, info, packing, tokens, offsets, ids, pa.array(["ko"] * len(lengths)))
    first = int(packing.document[0])
    total = int(tokens.sum(dtype=np.uint64)) + 3 * packing.padding
    return path, total, tokens[offsets[first] : offsets[first + 1]].tolist()


@pytest.mark.parametrize("library", ["pyarrow", "polars", "polars_alone", "datasets"])
def test_other_libraries_read_a_shard_without_algok_and_without_a_copy(
    library: str, large: tuple[Path, int, list[int]], tmp_path: Path
) -> None:
    path, total, first = large
    write_random_shard(tmp_path / "small.arrow", 1)
    script = Path(__file__).with_name("other_readers.py")
    command = [sys.executable, str(script), library, str(tmp_path / "small.arrow"), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=path.parent)
    assert run.returncode == 0, run.stderr
    got, ids, grown = json.loads(run.stdout)
    assert (got, ids) == (total, first)
    assert grown < 0.75 * path.stat().st_size


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    for i in range(3):
        write_random_shard(folder / f"{i}.arrow", i, documents=120 + 40 * i)
    return sorted(folder.glob("*.arrow"))


def _order(readers: list[ShardReader]) -> dict[int, tuple[int, int]]:
    """What consumers read together: position to (shard, row)."""
    out: dict[int, tuple[int, int]] = {}
    for reader in readers:
        for item in reader:
            assert item.position not in out
            out[item.position] = (item.shard, item.row)
    return out


def test_an_epoch_reads_everything_once_in_shuffled_order(shards: list[Path]) -> None:
    reader = ShardReader(shards, seed=1)
    order = [(i.shard, i.row) for i in reader]
    tables = [pa.ipc.open_file(str(p)).read_all() for p in shards]
    assert sorted(order) == [(s, r) for s, t in enumerate(tables) for r in range(len(t))]
    assert order != sorted(order)
    assert order != [(i.shard, i.row) for i in ShardReader(shards, seed=2)]
    again = ShardReader(list(reversed(shards)), seed=1)
    for item in again:
        row = tables[item.shard].slice(item.row, 1).to_pylist()[0]
        assert item.tokens.tolist() == row["tokens"]
        assert (item.doc_start.tolist(), item.doc_length.tolist()) == (row["doc_start"], row["doc_length"])
        assert item.length == row["length"]
    two = [(i.shard, i.row) for i in ShardReader(shards, seed=1, epochs=2)]
    assert two[: len(order)] == order
    assert sorted(two[len(order) :]) == sorted(order)
    assert two[len(order) :] != order


@pytest.mark.parametrize(("world", "workers", "block"), [(1, 3, 1), (2, 1, 4), (4, 2, 1), (3, 2, 5)])
def test_ranks_and_workers_cut_one_global_order(shards: list[Path], world: int, workers: int, block: int) -> None:
    whole = _order([ShardReader(shards, seed=1)])

    def readers() -> list[ShardReader]:
        return [
            ShardReader(shards, seed=1, rank=r, world=world, worker=w, workers=workers, block=block)
            for r in range(world)
            for w in range(workers)
        ]

    assert sum(map(len, readers())) == len(whole)
    assert _order(readers()) == whole
    assert [len(r) for r in readers()] == [sum(1 for _ in r) for r in readers()]
    full = [ShardReader(shards, seed=1, rank=r, world=world, block=block, drop_last=True) for r in range(world)]
    assert [len(r) for r in full] == [sum(1 for _ in r) for r in full]
    assert len({len(r) for r in full}) == 1
    # Blocks taken from the workers in turn are the order of the rank, as a DataLoader takes batches.
    rank0 = [i.position for i in ShardReader(shards, seed=1, world=world, block=block)]
    parts = [[i.position for i in r] for r in readers()[:workers]]
    blocks = [[p[i : i + block] for i in range(0, len(p), block)] for p in parts]
    merged = [x for group in itertools.zip_longest(*blocks) for b in group if b for x in b]
    assert merged == rank0


def test_resume_with_another_world_size(shards: list[Path]) -> None:
    whole = _order([ShardReader(shards, seed=1, epochs=2)])
    # Four ranks take ten steps of two sequences, then three ranks with two workers go on from the state of rank 2.
    seen: dict[int, tuple[int, int]] = {}
    states = []
    for rank in range(4):
        reader = ShardReader(shards, seed=1, rank=rank, world=4, block=2, epochs=2)
        for item in itertools.islice(reader, 20):
            seen[item.position] = (item.shard, item.row)
        states.append(json.loads(json.dumps(reader.state())))
    assert all(s == states[0] for s in states)
    assert states[0]["position"] == 80 == len(seen)
    rest = _order(
        [
            ShardReader(shards, seed=1, rank=r, world=3, worker=w, workers=2, epochs=2, state=states[2])
            for r in range(3)
            for w in range(2)
        ]
    )
    assert not seen.keys() & rest.keys()
    assert seen | rest == whole
    assert ShardReader(shards, seed=1).state_at(80) == states[0]


def test_state_inside_a_block_repeats_the_block(shards: list[Path]) -> None:
    reader = ShardReader(shards, seed=1, block=4)
    for _ in itertools.islice(reader, 6):
        pass
    assert reader.state()["position"] == 4


def test_foreign_states_are_refused(shards: list[Path]) -> None:
    state = ShardReader(shards, seed=1).state()
    for other in (
        {"paths": shards[:2], "seed": 1},
        {"paths": shards, "seed": 2},
        {"paths": shards, "seed": 1, "weights": {"x": 2}},
    ):
        with pytest.raises(CorruptionError):
            ShardReader(**other, state=state)  # type: ignore[arg-type]
    with pytest.raises(CorruptionError, match="position"):
        ShardReader(shards, seed=1, state=state | {"position": -1})


def test_weights_repeat_and_drop(shards: list[Path]) -> None:
    assert ShardReader(shards, seed=1, weights={"ko/web": 1.0}).epoch_length == ShardReader(shards).sequences
    with pytest.raises(InputError, match="leave no sequence"):
        ShardReader(shards, weights={"ko/web": 0, "en/web": 0})
    reader = ShardReader(shards, seed=1, weights={"ko/web": 2.5, "en/web": 0.5})
    counts = Counter((i.shard, i.row) for i in reader)
    assert sum(counts.values()) == reader.epoch_length
    expected = total = 0.0
    for shard, path in enumerate(shards):
        for row, entry in enumerate(pa.ipc.open_file(str(path)).read_all().to_pylist()):
            spans = zip(entry["doc_length"], entry["doc_bucket"], strict=True)
            weight = sum(n * (2.5 if b == "ko/web" else 0.5) for n, b in spans) / entry["length"]
            assert int(weight) <= counts[shard, row] <= int(weight) + 1
            expected += weight
            total += 1
    assert abs(reader.epoch_length - expected) < 3 * (total / 4) ** 0.5


def test_bad_files_and_arguments(shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no shards"):
        ShardReader([])
    with pytest.raises(InputError, match="rank 2 of 2"):
        ShardReader(shards, rank=2, world=2)
    with pytest.raises(InputError, match=r"none\.arrow"):
        ShardReader([tmp_path / "none.arrow"])
    cut = tmp_path / "cut.arrow"
    cut.write_bytes(shards[0].read_bytes()[:-100])
    with pytest.raises(CorruptionError, match=r"cut\.arrow"):
        ShardReader([cut])
    plain = tmp_path / "plain.arrow"
    with pa.ipc.new_file(str(plain), pa.schema([("x", pa.int32())])) as writer:
        writer.write_batch(pa.record_batch({"x": pa.array([1], pa.int32())}))
    with pytest.raises(CorruptionError, match="no packed shard"):
        ShardReader([plain])
    write_random_shard(tmp_path / "other.arrow", 9, tokenizer_sha256="cd" * 32)
    with pytest.raises(InputError, match="differs"):
        ShardReader([shards[0], tmp_path / "other.arrow"])
    with pytest.raises(InputError, match="pad_id"):
        _info(pad_id=4000)
