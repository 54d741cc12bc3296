"""A shard that is not what it says is found out; a sound one is counted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algok.errors import CorruptionError, InputError
from algok.tokenizer.lookup import Placement, find_documents, find_placements, open_shard, read_document
from algok.tokenizer.packing import pack
from algok.tokenizer.shards import ShardInfo, ShardReceipt, write_shard
from algok.tokenizer.verify import check_shard

SIZE, PAD, EOS = 32, 3, 2
INFO = ShardInfo(tokenizer_sha256="ab" * 32, vocab_size=500, pad_id=PAD, eos_id=EOS, sequence_length=SIZE)


def _shard(path: Path, documents: int = 200) -> tuple[ShardReceipt, dict[bytes, list[int]]]:
    rng = np.random.default_rng(1)
    lengths = rng.choice([14, 15, 40, 75], documents)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    tokens = rng.integers(4, 500, offsets[-1]).astype(np.uint32)
    tokens[offsets[1:] - 1] = EOS
    ids = rng.integers(0, 256, (documents, 16), np.uint8)
    buckets = pa.array(["ko/web" if i % 3 else "en/web" for i in range(documents)])
    receipt = write_shard(path, INFO, pack(lengths, SIZE, ids=ids), tokens, offsets, ids, buckets)
    return receipt, {ids[i].tobytes(): tokens[offsets[i] : offsets[i + 1]].tolist() for i in range(documents)}


def test_a_sound_shard_is_counted(tmp_path: Path) -> None:
    receipt, documents = _shard(tmp_path / "a.arrow")
    found = check_shard(tmp_path / "a.arrow")
    assert found.problems == []
    assert (found.sequences, found.tokens) == (receipt.sequences, sum(map(len, documents.values())))
    assert (found.spans, found.tokens_by_bucket) == (receipt.placements, receipt.tokens_by_bucket)


def _tokens(row: dict[str, Any]) -> None:
    row["tokens"][0] = 500


def _padding(row: dict[str, Any]) -> None:
    row["tokens"][-1] = 7


def _length(row: dict[str, Any]) -> None:
    row["length"] += 1


def _start(row: dict[str, Any]) -> None:
    row["doc_start"][-1] += 1


def _part(row: dict[str, Any]) -> None:
    row["doc_part"][0] = row["doc_parts"][0]


def _end(row: dict[str, Any]) -> None:
    row["tokens"][row["doc_start"][0] + row["doc_length"][0] - 1] = 9


def _lists(row: dict[str, Any]) -> None:
    row["doc_id"].append(b"x" * 16)


def _lengths(row: dict[str, Any]) -> None:
    row["doc_length"].append(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_lengths, "doc_length has another number of entries"),
        (_tokens, "a token id outside the vocabulary of 500"),
        (_padding, "something else than padding behind its end"),
        (_length, "its spans do not add up to its length"),
        (_start, "its spans do not follow each other from 0 on"),
        (_part, "a part outside its document"),
        (_end, "a document does not end with the end-of-document id"),
        (_lists, "doc_id has another number of entries"),
    ],
)
def test_each_kind_of_damage_is_named_with_its_sequence(
    change: Callable[[dict[str, Any]], None], said: str, tmp_path: Path
) -> None:
    _shard(tmp_path / "a.arrow")
    table = pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all()
    rows = table.to_pylist()
    whole = [r["length"] < SIZE and len(r["doc_id"]) > 1 and r["doc_parts"][0] == 1 for r in rows]
    at = whole.index(True, 65)  # in the second record batch
    change(rows[at])
    with pa.ipc.new_file(str(tmp_path / "b.arrow"), table.schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=table.schema), max_chunksize=64)
    problems = check_shard(tmp_path / "b.arrow").problems
    assert any(problem.startswith(f"sequence {at}: ") and said in problem for problem in problems), problems


def test_documents_are_found_and_put_together(tmp_path: Path) -> None:
    receipt, documents = _shard(tmp_path / "a.arrow")
    index = tmp_path / "a.parquet"
    pq.write_table(receipt.index.sort_by("doc_id"), index, row_group_size=20)
    cut = 0
    for doc_id, tokens in documents.items():
        places = find_placements([index], doc_id)
        assert read_document(tmp_path, places, doc_id).tolist() == tokens
        cut += len(places) > 1
    assert cut > 50
    assert find_placements([index], bytes(16)) == []
    doc_id = next(d for d, t in documents.items() if len(t) > SIZE)
    places = find_placements([index], doc_id)
    with pytest.raises(CorruptionError, match=r"names parts \[\d\] of"):
        read_document(tmp_path, places[:1], doc_id)
    moved = [Placement(shard=p.shard, sequence=(p.sequence + 5) % 100, part=p.part, parts=p.parts) for p in places]
    with pytest.raises(CorruptionError, match="which lacks it"):
        read_document(tmp_path, moved, doc_id)


def test_look_ups_read_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.sort(np.random.default_rng(2).integers(0, 2**64, 1000, np.uint64))
    ids = [i.to_bytes(16) for i in range(1000)]
    path = tmp_path / "lookup.parquet"
    pq.write_table(pa.table({"lookup": hashes, "doc_id": pa.array(ids, pa.binary(16))}), path, row_group_size=100)
    read: list[list[int]] = []
    plain = pq.ParquetFile.read_row_groups

    def watched(self: Any, groups: list[int], *args: Any, **more: Any) -> Any:
        read.append(groups)
        return plain(self, groups, *args, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", watched)
    assert find_documents([path], int(hashes[555])) == [ids[555]]
    assert read == [[5]]
    assert find_documents([path], int(hashes[0])) == [ids[0]]


def test_indexes_and_shards_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the index .* is missing"):
        find_placements([tmp_path / "none.parquet"], bytes(16))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(CorruptionError, match=r"bad\.parquet is damaged"):
        find_placements([tmp_path / "bad.parquet"], bytes(16))
    with pytest.raises(InputError, match=r"none\.arrow cannot be read"):
        open_shard(tmp_path / "none.arrow")
    _shard(tmp_path / "a.arrow")
    with pytest.raises(InputError, match="there is no 9999"):
        open_shard(tmp_path / "a.arrow").sequence(9999)
    table = pa.ipc.open_file(str(tmp_path / "a.arrow")).read_all().drop_columns("doc_id")
    with pa.ipc.new_file(str(tmp_path / "c.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(CorruptionError, match=r"c\.arrow has other columns than a shard"):
        open_shard(tmp_path / "c.arrow")
