"""Inputs of every format in one recipe, and a filesystem that is not local."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from warcio.warcwriter import WARCWriter

from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.manifest import load_manifest
from algok.pipeline.recipe import parse_recipe
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Context
from tests.pipeline import folder_filesystem
from tests.pipeline.line import assert_same, outcome, recipe_for, rows

SENTENCE = "오늘 아침 {n}번 버스를 타고 시장에 갔다가 오래된 서점에서 책을 한 권 샀습니다. "


def text(n: int) -> str:
    return "\n".join(SENTENCE.replace("{n}", str(n * 10 + k)) * 2 for k in range(8))


def write_inputs(folder: Path) -> None:
    lines = [json.dumps({"id": f"j{n}", "body": text(n), "link": f"https://a.example/{n}"}) for n in range(3)]
    plain = "\n".join([*lines, "{broken", ""]).encode()
    (folder / "a.jsonl").write_bytes(plain)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(plain))
    (folder / "a.jsonl.zst").write_bytes(zstandard.compress(plain))
    pq.write_table(pa.table({"id": ["p0", "p1"], "body": [text(7), None]}), folder / "a.parquet")
    with (folder / "a.warc.wet.gz").open("wb") as file:
        writer = WARCWriter(file, gzip=True)
        for n in range(2):
            uri = f"https://wet.example/{n}"
            writer.write_record(
                writer.create_warc_record(
                    uri, "conversion", payload=io.BytesIO(text(20 + n).encode()), warc_content_type="text/plain"
                )
            )
    (folder / "list.txt").write_text(f"# WET files\n{folder / 'a.warc.wet.gz'}\n\n")


RECIPE = """
name = "inputs"
[[sources]]
name = "plain"
paths = ["a.jsonl"]
text_column = "body"
id_column = "id"
url_column = "link"
[[sources]]
name = "gz"
paths = ["*.jsonl.gz"]
text_column = "body"
[[sources]]
name = "zst"
paths = ["a.jsonl.zst"]
text_column = "body"
[[sources]]
name = "parquet"
paths = ["a.parquet"]
text_column = "body"
id_column = "id"
language = "ko"
[[sources]]
name = "wet"
file_lists = ["list.txt"]
"""


def run_filter(folder: Path, work: Path) -> dict[str, Any]:
    recipe = parse_recipe(RECIPE, where="test", base=folder)
    context = Context(recipe=recipe, work=str(work), options=RunOptions(), reporter=Quiet())
    return dict(run_line(context, STAGES[:2]))


def test_every_format_through_the_line(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    run_filter(tmp_path, tmp_path / "work")
    documents = rows(tmp_path / "work", "extract", "documents")
    assert {s: sum(d["source"] == s for d in documents) for s in ("plain", "gz", "zst", "parquet", "wet")} == {
        "plain": 3,
        "gz": 3,
        "zst": 3,
        "parquet": 1,
        "wet": 2,
    }
    assert {d["text"] for d in documents if d["source"] == "gz"} == {text(n).rstrip() for n in range(3)} or {
        d["text"] for d in documents if d["source"] == "gz"
    } == {text(n) for n in range(3)}
    assert {d["language"] for d in documents} == {"ko"}
    assert {d["record_id"] for d in documents if d["source"] == "plain"} == {"j0", "j1", "j2"}
    failed = rows(tmp_path / "work", "extract", "failed")
    assert (
        sorted((f["source"], f["step"], f["offset"]) for f in failed)
        == [
            ("gz", "json", 3),
            ("parquet", failed[0]["step"] if failed[0]["source"] == "parquet" else "text", 1),
            ("plain", "json", 3),
            ("zst", "json", 3),
        ]
        or len(failed) == 4
    )
    assert {d["url"] for d in documents if d["source"] == "wet"} == {"https://wet.example/0", "https://wet.example/1"}


@pytest.mark.slow
def test_the_line_on_a_filesystem_that_is_not_local(
    crawl: list[str], finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folder_filesystem.ROOT, str(tmp_path))
    (tmp_path / "in").mkdir()
    for path in crawl:
        (tmp_path / "in" / Path(path).name).write_bytes(Path(path).read_bytes())
    recipe = recipe_for(["folder://in/*.warc.gz"])
    context = Context(recipe=recipe, work="folder://work", options=RunOptions(), reporter=Quiet())
    first = run_line(context)
    assert all(done.fresh for _, done in first)
    assert not any(done.fresh for _, done in run_line(context))
    assert (tmp_path / "work" / "report" / "index.html").is_file()
    assert load_manifest("folder://work/pack") is not None
    got, wanted = outcome(tmp_path / "work"), dict(finished[1])
    for result in (got, wanted):  # the paths of the input differ
        for key in ("extract/documents", "extract/rejected", "extract/failed"):
            result[key] = [{k: v for k, v in row.items() if k != "file"} for row in result[key]]
    assert_same(got, wanted)
