"""The dedup stage in the line: edits that mix and pack see, stores of earlier crawls, alarms, and the commands."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from algok.errors import RecipeError, StageError
from algok.pipeline.cli import cli
from algok.pipeline.console import print_summary, terminal
from algok.pipeline.manifest import load_manifest
from algok.pipeline.recipe import Recipe, parse_recipe
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Done, document_units
from algok.schema import MIXTURE
from algok.transforms.sources import DocumentRows
from tests.pipeline.line import context, rows, run_to

FOOTER = "무단전재 및 재배포 금지"
RECIPE = """
name = "crawl"
[[sources]]
name = "{name}"
paths = ["{path}"]
url_column = "url"
id_column = "id"
language = "ko"
[filter]
policies = ["permissive-cjk", "permissive"]
[dedup]
alarm_share = 0.3
{dedup}
[mix]
tokens = 1_000_000
[mix.shares]
ko = 1.0
"""


def sentences(rng: random.Random, count: int) -> str:
    letters = "가나다라마바사아자차카타파하고노도로모보소오"
    made = ("".join(rng.choice(letters) for _ in range(rng.randint(2, 5))) for _ in range(count * 8))
    words = list(made)
    return " ".join(" ".join(words[i : i + 8]) + "다." for i in range(0, len(words), 8))


def write_crawl(path: Path, name: str, pages: list[tuple[str, str]], **dedup: Any) -> Recipe:
    lines = [{"id": f"{i}", "url": url, "text": text} for i, (url, text) in enumerate(pages)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    given = "\n".join(f"{key} = {json.dumps(value)}" for key, value in dedup.items())
    return parse_recipe(RECIPE.format(name=name, path=path, dedup=given), where="test", base=path.parent)


def site(seed: int, host: str, pages: int) -> list[tuple[str, str]]:
    rng = random.Random(seed)
    return [(f"http://{host}/{i}", f"{sentences(rng, 8)}\n{sentences(rng, 8)}\n{FOOTER}") for i in range(pages)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, str]]]:
    """A crawl through mix: a site with a footer, and a host that is nothing but copies of one page."""
    folder = tmp_path_factory.mktemp("first")
    pages = site(1, "news.kr", 30)
    copies = [(f"http://copies.kr/{i}", pages[0][1]) for i in range(25)]
    near = [("http://near.kr/1", pages[1][1].replace("다. ", "다, ", 1))]
    recipe = write_crawl(folder / "in.jsonl", "first", [*pages, *copies, *near], **{"store.write": True})
    run_to(recipe, folder / "work", "mix")
    return folder / "work", pages


def invoke(*args: str) -> Result:
    return CliRunner().invoke(cli, list(args))


def test_later_stages_read_the_texts_without_their_edits(first: tuple[Path, list[tuple[str, str]]]) -> None:
    work, pages = first
    manifest = load_manifest(str(work / "dedup"))
    assert manifest is not None
    assert manifest.details["edits"]["lines"] == len(rows(work, "dedup", "edits")) >= 28
    lost = len(f"\n{FOOTER}".encode())
    mixture = {row["doc_id"]: row for row in rows(work, "mix", "mixture")}
    documents = {row["doc_id"]: row for row in rows(work, "extract", "documents")}
    edited = {row["doc_id"] for row in rows(work, "dedup", "edits")}
    for doc_id, row in mixture.items():
        assert row["bytes"] == documents[doc_id]["bytes"] - lost * (doc_id in edited)
    for row in rows(work, "dedup", "clusters"):
        assert row["removed_bytes"] == lost * (row["doc_id"] in edited)
    recipe = write_crawl(work.parent / "in2.jsonl", "first", [("", "")])
    units = document_units(context(recipe, work), decisions=False, selection=("mix", "mixture"))
    source = DocumentRows(columns=("bytes", "text"), selected=("copies",), selection_schema=MIXTURE, chosen="copies")
    texts = [text for unit in units for batch, _ in source.read(unit, {}) for text in batch["text"].to_pylist()]
    assert len(texts) == len(mixture)
    assert sum(FOOTER not in text for text in texts) == len(edited)
    assert {text + f"\n{FOOTER}" for text in texts} >= {text for _, text in pages[2:]}
    ledger = [line for line in load_manifest(str(work / "mix")).ledger if line.direction == "in"]
    assert sum(line.bytes for line in ledger) == sum(row["bytes"] for row in mixture.values())


def test_the_curve_of_the_bands_is_told(first: tuple[Path, list[tuple[str, str]]]) -> None:
    manifest = load_manifest(str(first[0] / "dedup"))
    assert manifest is not None
    bands = manifest.details["bands"]
    curve = dict(map(tuple, bands["recall"]))
    assert curve[0.8] == pytest.approx(1 - (1 - 0.8 ** bands["rows"]) ** bands["bands"], abs=1e-4)
    assert sorted(curve.values()) == list(curve.values())


def test_a_host_that_loses_nearly_everything_raises_an_alarm(
    first: tuple[Path, list[tuple[str, str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = load_manifest(str(first[0] / "dedup"))
    assert manifest is not None
    (alarm,) = manifest.details["alarms"]
    assert (alarm["kind"], alarm["name"], alarm["documents"]) == ("host", "copies.kr", 25)
    assert alarm["removed"] >= 24
    assert len(alarm["examples"]) == 3
    assert all("exact_duplicate" in e and "http://copies.kr/" in e for e in alarm["examples"])
    print_summary(terminal(), [("dedup", Done(manifest=manifest, fresh=False, why=""))])
    shown = " ".join(capsys.readouterr().err.split())
    assert "ALARM dedup: host copies.kr loses" in shown
    assert alarm["examples"][0].split(",")[0] in shown


def test_explain_shows_cluster_edges_and_texts(first: tuple[Path, list[tuple[str, str]]]) -> None:
    work, _ = first
    (near,) = (r for r in rows(work, "dedup", "clusters") if r["reason"] == "near_duplicate")
    result = invoke("dedup", "explain", near["doc_id"].hex(), "--work", str(work))
    assert result.exit_code == 0, result.output
    for part in (near["doc_id"].hex(), near["cluster_id"].hex(), "rejected: near_duplicate", "edge, with survivor"):
        assert part in result.output
    assert f"{near['similarity']:.3f}" in result.output
    copies = next(r for r in rows(work, "dedup", "clusters") if r["cluster_size"] > 20)
    result = invoke("dedup", "explain", copies["doc_id"].hex(), "--work", str(work), "--members", "3")
    assert f"{copies['cluster_size']} documents" in result.output
    assert "3 shown" in result.output


def test_explain_says_what_became_of_other_documents(first: tuple[Path, list[tuple[str, str]]], tmp_path: Path) -> None:
    work, _ = first
    unknown = invoke("dedup", "explain", "00" * 16, "--work", str(work))
    assert unknown.exit_code == 1
    assert "none of the 56 documents that dedup read" in unknown.output
    assert "32" in invoke("dedup", "explain", "abc", "--work", str(work)).output
    assert "is not finished" in invoke("dedup", "explain", "00" * 16, "--work", str(tmp_path)).output


def test_edits_are_counted_for_people(first: tuple[Path, list[tuple[str, str]]]) -> None:
    work, _ = first
    result = invoke("dedup", "edits", "--work", str(work))
    assert result.exit_code == 0, result.output
    assert f"{len(rows(work, 'dedup', 'edits'))} edits take" in result.output
    assert FOOTER in result.output
    assert "news.kr" in result.output
    assert "0 edits take 0 bytes" in invoke("dedup", "edits", "--work", str(work), "--host", "x.kr").output


def test_a_later_crawl_is_compared_with_the_store(first: tuple[Path, list[tuple[str, str]]], tmp_path: Path) -> None:
    work, pages = first
    again = [(url.replace("news", "mirror"), text) for url, text in pages[:20]]
    new = site(9, "new.kr", 12)
    recipe = write_crawl(tmp_path / "in.jsonl", "second", [*again, *new], earlier=[str(work)], **{"store.write": True})
    run_to(recipe, tmp_path / "work", "mix")
    found = rows(tmp_path / "work", "dedup", "clusters")
    assert len(found) == 32
    assert sum(row["earlier"] for row in found) == 20
    assert {row["reason"] for row in found if row["earlier"]} == {"exact_duplicate"}
    assert all(row["cluster_sources"] == 2 for row in found if row["earlier"])
    manifest = load_manifest(str(tmp_path / "work" / "dedup"))
    assert manifest is not None
    old = load_manifest(str(work / "dedup"))
    assert old is not None
    assert manifest.details["store"]["documents"] == old.details["store"]["documents"] + 12
    # A document whose survivor is in the store is explained without it.
    one = next(row for row in found if row["earlier"])
    result = invoke("dedup", "explain", one["doc_id"].hex(), "--work", str(tmp_path / "work"))
    assert result.exit_code == 0, result.output
    assert "in the store of an earlier crawl" in result.output


def test_stores_that_cannot_be_used_are_refused(first: tuple[Path, list[tuple[str, str]]], tmp_path: Path) -> None:
    work, _ = first
    pages = site(5, "x.kr", 3)
    plain = write_crawl(tmp_path / "a.jsonl", "plain", pages)
    run_to(plain, tmp_path / "a", "dedup")
    dedup = STAGES[:3]
    for earlier, error, message in (
        (str(tmp_path / "a"), StageError, "no signature store"),
        (str(tmp_path / "gone"), StageError, "no finished dedup stage"),
    ):
        recipe = write_crawl(tmp_path / "a.jsonl", "plain", pages, earlier=[earlier])
        with pytest.raises(error, match=message):
            run_line(context(recipe, tmp_path / "a"), dedup)
    other = write_crawl(tmp_path / "a.jsonl", "plain", pages, earlier=[str(work)], **{"minhash.seed": 7})
    with pytest.raises(RecipeError, match="signatures of different kinds"):
        run_line(context(other, tmp_path / "a"), dedup)
    # Cut short.
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in sorted((work / "dedup").rglob("*")):
        if path.is_file():
            target = copied / "dedup" / path.relative_to(work / "dedup")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    victim = sorted((copied / "dedup" / "store").glob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:-9])
    cut = write_crawl(tmp_path / "a.jsonl", "plain", pages, earlier=[str(copied)])
    with pytest.raises(StageError, match="missing or cut short"):
        run_line(context(cut, tmp_path / "a"), dedup)
