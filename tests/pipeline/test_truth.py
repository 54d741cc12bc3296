"""What the line decides on the synthetic crawl against what its generator knows."""

from collections import defaultdict
from typing import Any

import pyarrow.parquet as pq
import pytest

from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl
from tests.pipeline.line import recipe_for, rows, run_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Truth rows, and by record id what became of each record: the tables of extract, filter and dedup joined."""
    folder = tmp_path_factory.mktemp("truth")
    write_demo_crawl(folder, DemoCrawlOptions(pages=1_200, seed=9, pages_per_file=600))
    paths = [str(path) for path in sorted((folder / "crawl").glob("*.warc.gz"))]
    work = folder / "work"
    run_to(recipe_for(paths), work, "dedup", workers=2)
    ends: dict[str, dict[str, Any]] = {}
    by_id: dict[bytes, list[dict[str, Any]]] = defaultdict(list)
    for table in ("failed", "rejected", "documents"):
        for row in rows(work, "extract", table):
            end = {"table": table, "reason": row.get("reason") or row.get("step"), **row}
            ends[row["record_id"]] = end
            if table == "documents":
                by_id[row["doc_id"]].append(end)
    for stage, table in (("filter", "decisions"), ("dedup", "clusters")):
        for row in rows(work, stage, table):
            for end in by_id[row["doc_id"]]:
                end[stage] = row
    truth = [row for row in pq.read_table(folder / "truth.parquet").to_pylist() if row["kind"] == "response"]
    return truth, ends


def share(hits: list[bool]) -> float:
    assert len(hits) >= 20, "too few pages for a share"
    return sum(hits) / len(hits)


def test_pages_that_must_fail_fail_and_others_do_not(judged: Any) -> None:
    truth, ends = judged
    for row in truth:
        end = ends.get(row["record_id"])
        if row["expected"] != "failed" and row["failed_step"] is None:
            assert end is None or end["table"] != "failed", (row["breakage"], end and end["reason"])


def test_languages_are_found(judged: Any) -> None:
    truth, ends = judged
    good = [
        ends[row["record_id"]]["language"] == row["language"]
        for row in truth
        if row["expected"] == "good"
        and row["language"] in ("ko", "en", "ja", "zh")
        and row["record_id"] in ends
        and ends[row["record_id"]]["table"] == "documents"
        and (ends[row["record_id"]]["chars"] or 0) >= 200
    ]
    assert share(good) >= 0.97


def test_good_documents_are_kept(judged: Any) -> None:
    truth, ends = judged
    kept = [
        ends[row["record_id"]].get("filter", {}).get("outcome") == "kept"
        for row in truth
        if row["expected"] == "good" and row["language"] in ("ko", "en") and row["record_id"] in ends
    ]
    assert share(kept) >= 0.80


def test_junk_is_not_kept(judged: Any) -> None:
    truth, ends = judged
    junk = [row for row in truth if row["expected"] not in ("good", "failed") and row["record_id"] in ends]
    kept = [ends[row["record_id"]].get("filter", {}).get("outcome") == "kept" for row in junk]
    assert share(kept) <= 0.35


def test_exact_copies_end_in_one_cluster(judged: Any) -> None:
    truth, ends = judged
    groups: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for row in truth:
        end = ends.get(row["record_id"], {})
        if end.get("content_hash") and "dedup" in end:
            groups[end["content_hash"]].append(end["dedup"])
    several = [group for group in groups.values() if len({g["doc_id"] for g in group}) > 1]
    assert len(several) >= 10
    for group in several:
        assert len({g["cluster_id"] for g in group}) == 1


def test_only_similar_documents_share_a_cluster(judged: Any) -> None:
    """Word 5-gram Jaccard of every removed near duplicate with its survivor, recomputed from the texts."""
    _, ends = judged
    texts = {end["doc_id"]: end for end in ends.values() if "dedup" in end}
    near = [end for end in texts.values() if end["dedup"]["reason"] == "near_duplicate"]
    assert len(near) >= 20

    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}

    def jaccard(a: set[Any], b: set[Any]) -> float:
        return len(a & b) / len(a | b)

    spaced = [end for end in near if end["language"] in ("ko", "en")]
    values = [jaccard(shingles(end["text"]), shingles(texts[end["dedup"]["cluster_id"]]["text"])) for end in spaced]
    assert share([value >= 0.5 for value in values]) >= 0.95
