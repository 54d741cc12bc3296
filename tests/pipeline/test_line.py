"""The line from WARC files to shards: balanced, the same whatever the workers, resumed where it stopped."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import algok.transforms.extract as extract_transforms
from algok.errors import CorruptionError, InputError, LedgerError, StageError
from algok.pipeline.ledger import check_balance, check_handover, total
from algok.pipeline.manifest import damaged_files, load_manifest
from algok.pipeline.run import STAGES, plan_run
from algok.pipeline.stages.base import run_stage
from algok.schema import FAILED, KEPT, REJECTED
from tests.pipeline.line import assert_same, context, outcome, recipe_for, rows, run_to

Finished = tuple[Path, dict[str, Any]]
LINE = ["extract", "filter", "dedup", "mix", "train-tokenizer", "pack"]


def manifest(work: Path, stage: str):
    found = load_manifest(str(work / stage))
    assert found is not None
    return found


@pytest.mark.slow
class TestOutcome:
    def test_every_record_is_accounted_for(self, finished: Finished, crawl: list[str]) -> None:
        work, result = finished
        truth = pq.read_table(Path(crawl[0]).parent.parent / "truth.parquet")
        kept, lost = len(result["extract/documents"]), len(result["extract/rejected"]) + len(result["extract/failed"])
        kinds = manifest(work, "extract").details["records_by_kind"]
        assert kept + lost == sum(kinds.get(kind, 0) for kind in ("response", "gap"))
        # Every response of the truth is a row, or lies in a byte range that is in the dead-letter table.
        seen = {r["record_id"] for t in ("documents", "rejected", "failed") for r in result[f"extract/{t}"]}
        gaps = [(r["file"], r["offset"], r["offset"] + r["length"]) for r in result["extract/failed"]]
        for row in truth.to_pylist():
            if row["record_id"] in seen or row["page_class"] == "revisit":
                continue
            path = str(Path(crawl[0]).parent / row["file"])
            assert any(f == path and a <= row["offset"] < b for f, a, b in gaps), row["url"]

    def test_ledgers_balance_and_hand_over(self, finished: Finished) -> None:
        work, _ = finished
        before: dict[str, str] = {"filter": "extract", "dedup": "filter", "mix": "dedup", "pack": "mix"}
        for stage in LINE:
            ledger = manifest(work, stage).ledger
            check_balance(stage, ledger, by_language=stage != "extract")
            if stage in before:
                check_handover(stage, ledger, before[stage], manifest(work, before[stage]).ledger)

    def test_ledgers_count_the_rows_of_the_tables(self, finished: Finished) -> None:
        work, result = finished
        ledger = manifest(work, "extract").ledger
        for outcome_, table in ((KEPT, "documents"), (REJECTED, "rejected"), (FAILED, "failed")):
            assert sum(total(ledger, "out", (outcome_,)).values()) == len(result[f"extract/{table}"])
        for stage, table in (("filter", "decisions"), ("dedup", "clusters"), ("mix", "mixture"), ("pack", "packed")):
            kept = sum(total(manifest(work, stage).ledger, "out", (KEPT,)).values())
            assert kept == sum(r["outcome"] == KEPT for r in result[f"{stage}/{table}"])

    def test_every_reject_has_a_reason_and_every_failure_can_be_replayed(self, finished: Finished) -> None:
        _, result = finished
        assert all(r["reason"] and r["threshold"] is not None for r in result["filter/decisions"] if r["value"])
        assert all(r["reason"] for r in result["filter/decisions"] if r["outcome"] == REJECTED)
        assert result["extract/failed"]
        for row in result["extract/failed"]:
            assert row["stage"] == "extract"
            assert row["step"]
            assert row["error"]
            assert Path(row["file"]).is_file()
            assert row["offset"] >= 0

    def test_shards_hold_the_mixture(self, finished: Finished) -> None:
        work, result = finished
        packed: dict[bytes, int] = {}
        for path in sorted((work / "pack" / "shards").glob("*.arrow")):
            table = pa.ipc.open_file(path).read_all()
            assert table.schema.field("tokens").type.list_size == 2048
            for ids, parts in zip(table["doc_id"].to_pylist(), table["doc_part"].to_pylist(), strict=True):
                for doc_id, part in zip(ids, parts, strict=True):
                    packed[doc_id] = packed.get(doc_id, 0) + (part == 0)
        assert packed == {r["doc_id"]: r["copies"] for r in result["pack/packed"] if r["copies"]}
        mixture = {r["doc_id"]: r["copies"] for r in result["mix/mixture"] if r["copies"]}
        assert {r["doc_id"] for r in result["pack/packed"]} == mixture.keys()
        assert all(copies <= mixture[doc_id] for doc_id, copies in packed.items())

    def test_shards_decode_to_the_texts(self, finished: Finished) -> None:
        from algok.tokenizer.codec import Codec

        work, result = finished
        codec = Codec.load(work / "train-tokenizer" / "tokenizer.model")
        texts = {r["doc_id"]: r["text"] for r in result["extract/documents"]}
        checked = 0
        for path in (work / "pack" / "shards").glob("*.arrow"):
            for row in pa.ipc.open_file(path).read_all().to_pylist():
                for at, size, doc_id, parts in zip(
                    row["doc_start"], row["doc_length"], row["doc_id"], row["doc_parts"], strict=True
                ):
                    if parts == 1:
                        ids = row["tokens"][at : at + size]
                        assert ids[-1] == codec.eos
                        assert codec.decode(ids[:-1]) == texts[doc_id]
                        checked += 1
        assert checked > 50

    def test_manifests_name_files_by_checksum(self, finished: Finished) -> None:
        work, _ = finished
        for stage in LINE:
            assert damaged_files(str(work / stage), manifest(work, stage)) == []


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["two workers", "small batches", "small splits", "other file order"])
def test_the_same_rows_whatever_the_run(variant: str, finished: Finished, crawl: list[str], tmp_path: Path) -> None:
    recipe, workers = recipe_for(crawl), 1
    if variant == "two workers":
        workers = 2
    elif variant == "small batches":
        recipe = recipe_for(crawl, extract={"batch_rows": 7})
    elif variant == "small splits":
        recipe = recipe_for(crawl, extract={"split_mb": 0.05, "batch_mb": 1})
    else:
        recipe = recipe_for(crawl[::-1])
    run_to(recipe, tmp_path / "work", workers=workers)
    if variant == "small splits":
        assert len(list((tmp_path / "work" / "extract" / "documents").iterdir())) > 2 * len(crawl)
    assert_same(outcome(tmp_path / "work"), finished[1])


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    """A work folder of one's own that is finished."""
    shutil.copytree(finished[0], tmp_path / "work")
    for path in (tmp_path / "work").glob("*/files.parquet"):
        assert str(finished[0]) not in path.read_bytes().decode("latin-1"), "paths in manifests must be relative"
    return tmp_path / "work"


def plan(crawl: list[str], work: Path, **sections: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    found = plan_run(context(recipe_for(crawl, **sections), work), STAGES[:6])
    return {name: (runs, why) for name, runs, why in found}


@pytest.mark.slow
class TestResume:
    def test_a_finished_run_has_nothing_to_do(self, crawl: list[str], copied: Path) -> None:
        assert {runs for runs, _ in plan(crawl, copied).values()} == {False}

    @pytest.mark.parametrize(
        ("section", "values", "first", "why"),
        [
            ("pack", {"sequence_length": 512}, "pack", "pack.sequence_length: 2048 -> 512"),
            ("tokenizer", {"vocab_size": 3100}, "train-tokenizer", "tokenizer.vocab_size: 3000 -> 3100"),
            ("mix", {"max_copies": 2.0}, "mix", "mix.max_copies: 4.0 -> 2.0"),
            ("dedup", {"near": False}, "dedup", "dedup.near: true -> false"),
            ("filter", {"policies": ("permissive",)}, "filter", "filter.policies"),
            ("extract", {"max_record_mb": 8}, "extract", "extract.max_record_mb: 16 -> 8"),
            ("extract", {"batch_rows": 5}, None, ""),
            ("report", {"samples": 1}, None, ""),
        ],
    )
    def test_a_changed_recipe_runs_what_depends_on_it(
        self, crawl: list[str], copied: Path, section: str, values: dict[str, Any], first: str | None, why: str
    ) -> None:
        found = plan(crawl, copied, **{section: values})
        running = [name for name, (runs, _) in found.items() if runs]
        after = {"train-tokenizer": LINE[4:], "mix": LINE[3:]}
        assert running == ([] if first is None else after.get(first, LINE[LINE.index(first) :]))
        if first:
            assert why in found[first][1]

    def test_a_list_of_words_is_trained_with_and_its_content_counts(
        self, crawl: list[str], copied: Path, tmp_path: Path
    ) -> None:
        words = tmp_path / "words.tsv"
        words.write_text("쿠스쿠스\t9\n뷁뷁뷁\t8\n", "utf-8")
        recipe = recipe_for(crawl, tokenizer={"words": {"ko": str(words)}})
        done = run_to(recipe, copied, "train-tokenizer")
        assert [name for name, stage in done.items() if stage.fresh] == ["train-tokenizer"]
        assert done["train-tokenizer"].manifest.details["training"]["words"] == {"ko": 2}
        assert "뷁뷁뷁" in (copied / "train-tokenizer/tokenizer.vocab").read_text("utf-8")
        assert not plan_run(context(recipe, copied), STAGES[:5])[4][1]
        words.write_text("쿠스쿠스\t9\n", "utf-8")
        assert plan_run(context(recipe, copied), STAGES[:5])[4][1]
        words.unlink()
        with pytest.raises(InputError, match=r"words\.tsv"):
            plan_run(context(recipe, copied), STAGES[:5])

    def test_a_changed_threshold_gives_what_a_fresh_run_gives(
        self, crawl: list[str], copied: Path, tmp_path: Path
    ) -> None:
        recipe = recipe_for(crawl, filter={"policies": ("permissive-cjk", "permissive")})
        extracted = (copied / "extract" / "manifest.json").stat().st_mtime_ns
        done = run_to(recipe, copied, "mix")
        assert [name for name, stage in done.items() if stage.fresh] == ["filter", "dedup", "mix"]
        assert (copied / "extract" / "manifest.json").stat().st_mtime_ns == extracted
        run_to(recipe, tmp_path / "fresh", "mix")
        assert_same(outcome(copied, "mix"), outcome(tmp_path / "fresh", "mix"))

    def test_a_new_file_leaves_the_units_of_the_others_done(self, crawl: list[str], tmp_path: Path) -> None:
        run_to(recipe_for(crawl[:2]), tmp_path / "work", "filter")
        before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work/extract/documents").iterdir()}
        run_to(recipe_for(crawl), tmp_path / "work", "filter")
        after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "work/extract/documents").iterdir()}
        assert len(after) == len(before) + 1
        assert {name: after[name] for name in before} == before

    def test_a_missing_file_is_noticed(self, crawl: list[str], copied: Path, finished: Finished) -> None:
        next((copied / "filter" / "decisions").iterdir()).unlink()
        found = plan(crawl, copied)
        assert found["filter"][0]
        assert "1 of its files are missing" in found["filter"][1]
        run_to(recipe_for(crawl), copied)
        assert_same(outcome(copied), finished[1])

    def test_half_a_manifest_is_no_manifest(self, crawl: list[str], copied: Path) -> None:
        path = copied / "dedup" / "manifest.json"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(CorruptionError, match=r"manifest\.json is damaged"):
            plan(crawl, copied)

    def test_a_damaged_page_stops_the_next_stage(self, crawl: list[str], copied: Path) -> None:
        path = max((copied / "extract" / "documents").iterdir(), key=lambda p: p.stat().st_size)
        data = bytearray(path.read_bytes())
        data[len(data) // 3] ^= 0x55
        path.write_bytes(data)
        (copied / "pack" / "manifest.json").unlink()
        shutil.rmtree(copied / "pack")
        with pytest.raises(CorruptionError, match="is damaged"):
            run_to(recipe_for(crawl), copied)


@pytest.mark.slow
class TestErrors:
    def test_a_lost_document_stops_the_run(
        self, crawl: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        measure = extract_transforms.measure

        def lossy(batch: pa.RecordBatch, packs: Any) -> pa.RecordBatch:
            return measure(batch, packs).slice(0, max(0, batch.num_rows - 1))

        monkeypatch.setattr(extract_transforms, "measure", lossy)
        with pytest.raises(LedgerError, match="stage extract does not balance: source crawl: in"):
            run_to(recipe_for(crawl), tmp_path, "extract")
        assert load_manifest(str(tmp_path / "extract")) is None

    def test_a_doubled_document_stops_the_run(
        self, crawl: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import algok.transforms.filter as filter_transforms

        run_to(recipe_for(crawl), tmp_path, "extract")
        decide = filter_transforms.decide

        def doubling(*args: Any) -> pa.RecordBatch:
            batch = decide(*args)
            return batch.take(pa.array(np.append(np.arange(batch.num_rows), 0)))

        monkeypatch.setattr(filter_transforms, "decide", doubling)
        with pytest.raises(LedgerError, match="stage filter does not balance"):
            run_to(recipe_for(crawl), tmp_path, "filter")
        assert load_manifest(str(tmp_path / "filter")) is None

    def test_a_stage_without_its_predecessor(self, crawl: list[str], tmp_path: Path) -> None:
        with pytest.raises(StageError, match="stage mix needs stage dedup, which is not finished"):
            run_stage(STAGES[3], context(recipe_for(crawl), tmp_path))

    def test_missing_and_empty_input(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"source crawl: there is no file /no/such\.warc"):
            run_to(recipe_for(["/no/such.warc"]), tmp_path, "extract")
        with pytest.raises(InputError, match=r"source crawl: no file matches /no/\*"):
            run_to(recipe_for(["/no/*"]), tmp_path, "extract")
        (tmp_path / "empty.warc.gz").touch()
        with pytest.raises(InputError, match="all its files are empty"):
            run_to(recipe_for([str(tmp_path / "empty.warc.gz")]), tmp_path, "extract")
        (tmp_path / "noise.warc.gz").write_bytes(b"\x00\x01 no archive \xff" * 50)
        with pytest.raises(InputError, match=r"noise\.warc\.gz"):
            run_to(recipe_for([str(tmp_path / "noise.warc.gz")]), tmp_path, "extract")

    def test_two_runs_in_one_folder(self, crawl: list[str], tmp_path: Path) -> None:
        from filelock import FileLock

        with FileLock(tmp_path / ".lock"), pytest.raises(StageError, match="another algok run is using"):
            run_to(recipe_for(crawl), tmp_path, "extract")

    def test_a_full_disk_is_said_and_loses_nothing(
        self, crawl: list[str], tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import errno

        import algok.transforms.storage as storage

        write = storage.AtomicFile.write
        left = [40_000]

        def limited(file: Any, data: Any) -> int:
            left[0] -= memoryview(data).nbytes
            with storage._disk_errors(file.path):
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
            return write(file, data)

        with monkeypatch.context() as patch:
            patch.setattr(storage.AtomicFile, "write", limited)
            with pytest.raises(StageError, match=r"no space left while writing .*: free some space"):
                run_to(recipe_for(crawl), tmp_path, "filter")
        run_to(recipe_for(crawl), tmp_path, "filter")
        assert rows(tmp_path, "filter", "decisions") == finished[1]["filter/decisions"]
