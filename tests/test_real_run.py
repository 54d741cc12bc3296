"""The real run: recipes/mini-crawl.toml from real WARC files and Korean text to packed shards and a report."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from algok.pipeline.ledger import check_balance, check_handover, total
from algok.pipeline.manifest import damaged_files, load_manifest
from algok.schema import KEPT
from tests.conftest import REPOSITORY

BEFORE = {"filter": "extract", "dedup": "filter", "mix": "dedup", "train-tokenizer": "mix", "pack": "mix"}


@pytest.fixture(scope="module")
def work(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mini-crawl")
    recipe = REPOSITORY / "recipes" / "mini-crawl.toml"
    command = [sys.executable, "-m", "algok.pipeline.cli", "run", str(recipe), "--work", str(folder), "-q"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith("report/index.html")
    return folder


def manifest(work: Path, stage: str):
    found = load_manifest(str(work / stage))
    assert found is not None, stage
    return found


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.timeout(1500)
class TestMiniCrawl:
    def test_all_pages_are_read_and_all_ledgers_balance(self, work: Path) -> None:
        kinds = manifest(work, "extract").details["records_by_kind"]
        assert kinds["response"] == 6_005
        read = total(manifest(work, "extract").ledger, "in", by_language=False)
        assert read["mini-crawl", ""] == 6_005
        assert read["ko-news", ""] == 12_000
        for stage in ("extract", *BEFORE):
            check_balance(stage, manifest(work, stage).ledger, by_language=stage != "extract")
        for stage, before in BEFORE.items():
            check_handover(stage, manifest(work, stage).ledger, before, manifest(work, before).ledger)

    def test_nearly_all_pages_give_text(self, work: Path) -> None:
        kept = total(manifest(work, "extract").ledger, "out", (KEPT,), by_language=False)
        assert kept["mini-crawl", ""] > 0.98 * 6_005

    def test_every_bucket_meets_the_plan_of_the_mixture_to_within_a_sequence(self, work: Path) -> None:
        packed = manifest(work, "pack").details["tokens_by_bucket"]
        plan = manifest(work, "mix").details["plan"]
        for row in plan["buckets"]:
            assert abs(row["planned_tokens"] - packed.get(f"{row['language']}/{row['source']}", 0)) < 32_768, row
        for language, share in (("ko", 0.85), ("en", 0.15)):
            tokens = sum(n for bucket, n in packed.items() if bucket.startswith(f"{language}/"))
            assert abs(tokens - 8_000_000 * share) < 32_768

    def test_the_tokenizer_beats_o200k_on_korean(self, work: Path) -> None:
        domains = manifest(work, "train-tokenizer").details["evaluation"]["domains"]
        assert domains["ko"]["lossless"]
        assert domains["ko"]["against"]["o200k_base"]["reduction"] > 0.2

    def test_shards_are_whole(self, work: Path) -> None:
        details = manifest(work, "pack").details
        assert details["waste"] < 0.005
        assert details["cut_documents"] < details["concatenation_cuts"]
        sequences = tokens = 0
        for path in (work / "pack" / "shards").glob("*.arrow"):
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            assert table.schema.field("tokens").type.list_size == 32_768
            sequences += table.num_rows
            tokens += sum(table["length"].to_pylist())
        assert (sequences, tokens) == (details["sequences"], details["tokens"])

    def test_files_are_what_the_manifests_say(self, work: Path) -> None:
        for stage in ("extract", *BEFORE, "report"):
            assert damaged_files(str(work / stage), manifest(work, stage)) == []

    def test_the_report_is_self_contained(self, work: Path) -> None:
        page = (work / "report" / "index.html").read_text(encoding="utf-8")
        assert "mini-crawl" in page
        assert 'src="http' not in page
        assert "Content-Security-Policy" in page
