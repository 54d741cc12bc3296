"""Input and work folder on an S3-compatible store: the bytes of a local run, and never half an object."""

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.run import STAGES, plan_run, run_line
from algok.pipeline.stages.base import Context
from algok.transforms.storage import (
    AtomicFile,
    delete,
    exists,
    list_files,
    list_tree,
    read_bytes,
    remove_leftovers,
    remove_tree,
    write_json,
)
from tests.pipeline.line import assert_same, outcome, recipe_for
from tests.pipeline.s3_server import BUCKET, Store, s3_store


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_store() as started:
        yield started


@pytest.fixture
def folder(store: Store, request: pytest.FixtureRequest) -> str:
    FileSystems.set_options(PipelineOptions(list(store.args)))
    return f"s3://{BUCKET}/{request.node.name}"


class TestFiles:
    def test_a_file_appears_when_it_is_committed_and_not_before(self, folder: str) -> None:
        file = AtomicFile(f"{folder}/a")
        file.write(b"x" * 11_000_000)  # more than a part of an upload, and more than is kept in memory
        assert not exists(f"{folder}/a")
        file.commit()
        assert read_bytes(f"{folder}/a") == b"x" * 11_000_000

    @pytest.mark.parametrize("end", ["abort", "collect"])
    def test_a_file_that_is_given_up_never_appears(self, end: str, folder: str) -> None:
        file = AtomicFile(f"{folder}/a")
        file.write(b"x" * 6_000_000)
        if end == "abort":
            file.abort()
        del file
        gc.collect()
        assert not exists(f"{folder}/a")

    def test_an_upload_that_breaks_off_leaves_nothing(self, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(source: Any, target: Any, length: int = 0) -> None:
            target.write(source.read(100))
            raise KeyboardInterrupt

        file = AtomicFile(f"{folder}/a")
        file.write(b"x" * 1000)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copyfileobj", broken)
            with pytest.raises(KeyboardInterrupt):
                file.commit()
        file.abort()
        assert not exists(f"{folder}/a")

    def test_listing_and_deleting(self, folder: str) -> None:
        for name in ("a.json", "b/c.json", "b/d/e.json", "b2/f.json"):
            write_json(f"{folder}/{name}", {})
        names = [found.path.removeprefix(folder) for found in list_tree(folder)]
        assert names == ["/a.json", "/b/c.json", "/b/d/e.json", "/b2/f.json"]
        assert [found.path.removeprefix(folder) for found in list_files(f"{folder}/b/*.json")] == ["/b/c.json"]
        remove_tree(f"{folder}/b")  # not b2
        assert [found.path.removeprefix(folder) for found in list_tree(folder)] == ["/a.json", "/b2/f.json"]
        delete([f"{folder}/a.json", f"{folder}/absent"])
        assert not exists(f"{folder}/a.json")
        assert remove_leftovers(folder) == 0
        remove_tree(f"{folder}/nothing")


@pytest.mark.slow
def test_the_whole_line(store: Store, crawl: list[str], finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    pattern = store.put(crawl, "in")
    options = RunOptions(workers=1, beam_args=store.args)
    work = f"s3://{BUCKET}/work"
    context = Context(recipe=recipe_for([pattern]), work=work, options=options, reporter=Quiet())
    run_line(context)
    assert not any(runs for _, runs, _ in plan_run(context))
    local = store.get("work", tmp_path / "work")
    assert (local / "report" / "index.html").stat().st_size > 10_000
    left = [key for key in store.keys("work") if "/." in key or ".tmp-" in key]
    assert left == []
    # A file of the input has another name here; everything else is the same.
    found, wanted = outcome(local), dict(finished[1])
    for result in (found, wanted):
        for key, rows in result.items():
            if isinstance(rows, list):
                result[key] = [{**row, "file": Path(row["file"]).name} if "file" in row else row for row in rows]
    assert_same(found, wanted)
    # A stage whose file was lost is run again, and nothing else.
    victim = next(key for key in store.keys("work/mix/mixture"))
    store.client.delete_object(Bucket=BUCKET, Key=victim)
    assert {stage for stage, done in run_line(context, STAGES[:4]) if done.fresh} == {"mix"}
