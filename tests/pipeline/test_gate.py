"""The language gate in the line: rows, ledger, report words, and when the stage runs again."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from algok.errors import RecipeError
from algok.filters.gate import GateOptions
from algok.pipeline.manifest import load_manifest
from algok.pipeline.recipe import parse_recipe
from algok.pipeline.report.text import reason_words
from tests.pipeline.line import recipe_for, recipe_text, rows, run_to

TEXTS = {
    "ko": "어제 저녁에는 오랜 친구들과 함께 시장 골목에서 국수를 먹고 늦게까지 이야기를 나누었다. ",
    "en": "Yesterday evening we had noodles in a narrow street behind the market and talked until late. ",
    "de": "Gestern Abend haben wir in einer engen Gasse hinter dem Markt Nudeln gegessen und lange geredet. ",
}
PAGES = 40


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("gate") / "a.warc.gz"
    with path.open("wb") as file:
        for n in range(PAGES):
            for language, text in TEXTS.items():
                page = f"<html><body><article><h1>{n}</h1><p>{text * 6}</p></article></body></html>"
                http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page.encode()
                head = (
                    "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\n"
                    f"WARC-Target-URI: https://{language}.example/{n}\r\nContent-Length: {len(http)}\r\n\r\n"
                )
                file.write(gzip.compress(head.encode() + http + b"\r\n\r\n", mtime=0))
    return str(path)


def extract(crawl: str, work: Path, gate: GateOptions, **options: Any) -> dict[tuple[str, str, str], int]:
    """(language, outcome, reason) to documents, from the ledger."""
    recipe = recipe_for([crawl], extract={"gate": gate, **options})
    run_to(recipe, work, "extract")
    manifest = load_manifest(str(work / "extract"))
    assert manifest is not None
    lines = [line for line in manifest.ledger if line.direction == "out"]
    assert sum(line.documents for line in lines) == 3 * PAGES
    return {(line.language, line.outcome, line.reason): line.documents for line in lines}


def test_gated_pages_are_lines_of_the_ledger_and_rows(crawl: str, tmp_path: Path) -> None:
    found = extract(crawl, tmp_path / "a", GateOptions(languages={"ko": 1.0, "en": 0.3}))
    sampled = found["en", "rejected", "gate:sampled"]
    assert 20 <= sampled <= 36  # of 40 with a share of .3: 28 +- 2.9
    assert found == {
        ("ko", "kept", ""): PAGES,
        ("en", "kept", ""): PAGES - sampled,
        ("en", "rejected", "gate:sampled"): sampled,
        ("de", "rejected", "gate:language"): PAGES,
    }
    gated = rows(tmp_path / "a", "extract", "rejected")
    assert len(gated) == PAGES + sampled
    assert all("share extracted: 0" in row["detail"] and row["offset"] >= 0 for row in gated)
    assert all(reason_words(row["reason"]) for row in gated)

    # Batches and splits draw the same pages; another seed draws others.
    again = extract(crawl, tmp_path / "b", GateOptions(languages={"ko": 1.0, "en": 0.3}), batch_rows=7, split_mb=0.003)
    assert again == found
    assert rows(tmp_path / "b", "extract", "rejected") == gated

    # A wider gate keeps what the narrow one kept.
    wider = extract(crawl, tmp_path / "b", GateOptions(languages={"ko": 1.0, "en": 0.6}))  # runs again: another key
    assert wider["en", "kept", ""] > found["en", "kept", ""]
    kept = {row["doc_id"] for row in rows(tmp_path / "a", "extract", "documents")}
    assert kept < {row["doc_id"] for row in rows(tmp_path / "b", "extract", "documents")}


def test_gate_keys_of_a_recipe_are_checked() -> None:
    text = recipe_text(["a.warc.gz"])
    recipe = parse_recipe(text + "[extract.gate]\nlanguages = {ko = 1.0, en = 0.03}\n", where="r", base=Path("/"))
    assert recipe.extract.gate.rate("en") == 0.03
    with pytest.raises(RecipeError, match=r"extract\.gate\.language; did you mean languages"):
        parse_recipe(text + "[extract.gate]\nlanguage = {ko = 1.0}\n", where="r", base=Path("/"))
    with pytest.raises(RecipeError, match=r"extract\.gate\.languages\.ko: 2\.0"):
        parse_recipe(text + "[extract.gate.languages]\nko = 2.0\n", where="r", base=Path("/"))
