"""``algok shards`` on the shards of a real (small) run: what it says is what the tables say, and damage is found."""

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import algok.pipeline.shards.folder as shard_folder
from algok.pipeline.cli import cli
from algok.pipeline.manifest import load_manifest
from algok.pipeline.shards.folder import open_pack
from algok.tokenizer.lookup import open_shard, read_document
from algok.transforms.storage import checksum

pytestmark = pytest.mark.slow

Finished = tuple[Path, dict[str, Any]]


def shards(*args: str | Path) -> Any:
    return CliRunner().invoke(cli, ["shards", *map(str, args)])


def shown(*args: str | Path) -> Any:
    result = shards(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    """A pack folder of one's own, with the tokenizer beside it."""
    for stage in ("pack", "train-tokenizer"):
        shutil.copytree(finished[0] / stage, tmp_path / stage)
    return tmp_path / "pack"


def scanned(work: Path) -> dict[bytes, list[tuple[str, int, int, int]]]:
    """Where every document is, from the shards themselves."""
    found: dict[bytes, list[tuple[str, int, int, int]]] = {}
    for path in sorted((work / "pack" / "shards").glob("*.arrow")):
        for number, row in enumerate(pa.ipc.open_file(path).read_all().to_pylist()):
            for doc_id, part, parts in zip(row["doc_id"], row["doc_part"], row["doc_parts"], strict=True):
                found.setdefault(doc_id, []).append((path.name, number, part, parts))
    return {doc_id: sorted(places) for doc_id, places in found.items()}


def test_list_shows_every_bucket_at_its_budget(finished: Finished) -> None:
    summary = shown("list", finished[0])
    manifest = load_manifest(str(finished[0] / "pack"))
    mix = load_manifest(str(finished[0] / "mix"))
    assert manifest is not None
    assert mix is not None
    assert summary["tokens"] == sum(summary["tokens_by_bucket"].values()) == manifest.details["tokens"]
    assert summary["padding"] == summary["sequences"] * 2048 - summary["tokens"]
    planned = {(r["language"], r["source"]): r["planned_tokens"] for r in mix.details["plan"]["buckets"]}
    for row in summary["budget"]["buckets"]:
        assert row["met"]
        assert abs(row["packed_tokens"] - row["budget_tokens"]) < 2048
        assert row["planned_tokens"] == planned[row["language"], row["source"]]
    for row in summary["budget"]["languages"]:
        # The recipe's budget itself, unless the crawl has no more.
        assert row["short_by"] == "supply" or abs(row["packed_tokens"] - 60_000 * row["share"]) < 2048
    text = shards("list", finished[0]).output
    assert f"{summary['tokens']:,} tokens in {summary['sequences']:,} sequences of 2,048" in text
    assert all(file["xxh3_128"] in text for file in summary["files"])


def test_packed_rows_add_up_to_the_shards(finished: Finished) -> None:
    rows = finished[1]["pack/packed"]
    sums: Counter[str] = Counter()
    for row in rows:
        sums[f"{row['language']}/{row['source']}"] += row["tokens"] * row["copies"]
    assert {b: n for b, n in sums.items() if n} == shown("list", finished[0])["tokens_by_bucket"]
    assert any(row["outcome"] == "rejected" and row["reason"] == "budget" for row in rows)


def test_every_document_is_found_where_it_is(finished: Finished) -> None:
    work, result = finished
    pack = open_pack(work)
    codec = pack.codec()
    texts = {row["doc_id"]: row["text"] for row in result["extract/documents"]}
    places = scanned(work)
    assert len(pack.shards) > 2
    assert max(parts for found in places.values() for *_, parts in found) > 1, "no document is longer than a sequence"
    for doc_id, expected in places.items():
        found = pack.placements(doc_id)
        assert [(p.shard, p.sequence, p.part, p.parts) for p in found] == expected
        first = [p for p in found if p.shard == found[0].shard]
        tokens = read_document(work / "pack" / "shards", first, doc_id)
        assert tokens[-1] == codec.eos
        assert codec.decode(tokens[:-1]) == texts[doc_id]


def test_a_look_up_reads_the_index_of_the_shards_that_count(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = open_pack(finished[0])
    asked: list[list[Path]] = []
    plain = shard_folder.find_placements

    def watched(indexes: Any, doc_id: bytes) -> Any:
        asked.append(list(indexes))
        return plain(asked[-1], doc_id)

    monkeypatch.setattr(shard_folder, "find_placements", watched)
    monkeypatch.setitem(pack.manifest.details, "placement", {**pack.manifest.details["placement"], "most_copies": 1})
    once = next(r["doc_id"] for r in finished[1]["pack/packed"] if r["copies"] == 1)
    assert pack.placements(once)
    assert [len(paths) for paths in asked] == [1]


def test_inspect_shows_borders_and_texts(finished: Finished) -> None:
    work, result = finished
    texts = {row["doc_id"]: row["text"] for row in result["extract/documents"]}
    found = shown("inspect", work, "--shard", "0", "--sequence", "2")
    table = pa.ipc.open_file(work / "pack" / "shards" / "shard-00000.arrow").read_all()
    row = table.slice(2, 1).to_pylist()[0]
    assert found["length"] == row["length"]
    assert found["padding"] == 2048 - row["length"]
    assert [bytes.fromhex(d["doc_id"]) for d in found["documents"]] == row["doc_id"]
    assert [(d["start"], d["length"], d["bucket"]) for d in found["documents"]] == list(
        zip(row["doc_start"], row["doc_length"], row["doc_bucket"], strict=True)
    )
    assert all(d["text"] == texts[bytes.fromhex(d["doc_id"])] for d in found["documents"] if d["parts"] == 1)
    text = shards("inspect", work, "--sequence", "2", "--chars", "40").output
    assert f"shard-00000.arrow, sequence 2 of {len(table):,}" in text
    assert text.count("── ") == len(row["doc_id"])


def test_inspect_finds_a_url_in_another_spelling(finished: Finished) -> None:
    work, result = finished
    urls = {row["doc_id"]: row["url"] for row in result["extract/documents"]}
    kept = [row["doc_id"] for row in result["pack/packed"] if row["copies"] and urls[row["doc_id"]]]
    for doc_id in kept[:20]:
        url = urls[doc_id]
        spelt = url.replace("https://", "HTTPS://").replace("http://", "HTTP://") + "#top"
        for name in (url, spelt):
            found = shown("inspect", work, "--url", name)["documents"]
            assert doc_id.hex() in [d["doc_id"] for d in found], name
    found = shown("inspect", work, "--document", kept[0].hex())["documents"][0]
    assert found["places"]
    assert found["copies"] == next(r["copies"] for r in result["pack/packed"] if r["doc_id"] == kept[0])
    assert f"copies: {found['copies']}" in shards("inspect", work, "--document", kept[0].hex()).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--document", "zz"], "--document takes a doc_id of 32 hex digits, not 'zz'"),
        (["--document", "00" * 16], f"document {'00' * 16} is not in the shards"),
        (["--url", "https://nowhere.example/x"], "no packed document has the URL https://nowhere.example/x"),
        (["--shard", "99"], "there is no shard 99"),
        (["--shard", "../shards/shard-00000.arrow"], "there is no shard ../shards"),
        (["--sequence", "99999"], "has sequences 0 to"),
        (["--model", "gone.model"], "there is no tokenizer gone.model"),
        (["--document", "00" * 16, "--url", "x"], "not both"),
    ],
)
def test_what_is_not_there_is_said(arguments: list[str], said: str, finished: Finished) -> None:
    result = shards("inspect", finished[0], *arguments)
    assert result.exit_code in (1, 2)
    assert said in " ".join(result.output.split())
    assert isinstance(result.exception, SystemExit)


def test_another_tokenizer_is_refused(finished: Finished, copied: Path) -> None:
    model = copied.parent / "train-tokenizer" / "tokenizer.model"
    data = model.read_bytes()
    at = data.index("다".encode())
    model.write_bytes(data[:at] + "닦".encode() + data[at + 3 :])
    result = shards("inspect", copied)
    assert result.exit_code == 1
    assert "the shards were made with" in result.output
    shutil.rmtree(copied.parent / "train-tokenizer")
    assert "name the model of these shards with --model" in shards("inspect", copied).output
    right = finished[0] / "train-tokenizer" / "tokenizer.model"
    assert shards("inspect", copied, "--model", right).exit_code == 0


def test_verify_finds_damage(copied: Path) -> None:
    whole = shards("verify", copied)
    assert whole.exit_code == 0, whole.output
    assert "shards/shard-00000.arrow: ok, " in whole.output
    assert shown("verify", copied)["damaged"] == {}
    shard = copied / "shards" / "shard-00000.arrow"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    result = shards("verify", copied, "--quick")
    assert result.exit_code == 1
    assert "shards/shard-00000.arrow: has another checksum" in result.output
    shard.write_bytes(data[:-1])
    (copied / "index" / "shard-00000.parquet").unlink()
    result = shards("verify", copied)
    assert f"has {len(data) - 1:,} bytes, not {len(data):,}" in result.output
    assert "index/shard-00000.parquet: is missing" in result.output
    assert "2 of " in result.output


def test_the_list_of_checksums_names_every_file(finished: Finished) -> None:
    """In the format of ``xxhsum -H128 --check``: checksum, two spaces, path."""
    folder = finished[0] / "pack"
    lines = [line.split("  ", 1) for line in (folder / "XXH128SUMS").read_text().splitlines()]
    assert all(checksum(str(folder / path)) == value for value, path in lines)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {path for _, path in lines} | {"XXH128SUMS", "manifest.json", "files.parquet"}


def test_verify_counts_the_tokens_of_the_manifest(copied: Path) -> None:
    path = copied / "manifest.json"
    manifest = json.loads(path.read_text())
    bucket = next(iter(manifest["details"]["tokens_by_bucket"]))
    manifest["details"]["tokens_by_bucket"][bucket] += 1
    path.write_text(json.dumps(manifest))
    result = shards("verify", copied)
    assert result.exit_code == 1
    assert f"manifest.json: does not count the tokens of the shards ({bucket}: " in result.output
    assert shards("verify", copied, "--quick").exit_code == 0


def test_folders_without_shards(tmp_path: Path) -> None:
    result = shards("list", tmp_path)
    assert result.exit_code == 1
    assert "holds no packed shards; give the work folder of a run" in " ".join(result.output.split())
    (tmp_path / "pack" / "shards").mkdir(parents=True)
    assert "the pack stage did not finish" in " ".join(shards("list", tmp_path).output.split())


def test_long_documents_lie_in_adjacent_sequences(finished: Finished) -> None:
    details = shown("list", finished[0])
    cut = {d: [p for p in places if p[3] > 1] for d, places in scanned(finished[0]).items()}
    adjacent = sum(
        all(b[1] == a[1] + 1 for a, b in itertools.pairwise(one))
        for places in cut.values()
        for shard in {p[0] for p in places}
        if (one := sorted((p for p in places if p[0] == shard), key=lambda p: (p[2], p[1])))
    )
    assert details["cut_documents"] >= adjacent >= details["cut_documents"] - details["scattered_documents"] > 0
    assert open_shard(next((finished[0] / "pack" / "shards").iterdir())).info.sequence_length == 2048
