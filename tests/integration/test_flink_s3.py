"""Flink with input and work folder on an S3-compatible store, shuffles included."""

from pathlib import Path

import pytest

from algok.pipeline.cluster.layout import Home
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Context
from tests.integration.conftest import Reference
from tests.integration.flink_run import only
from tests.pipeline.line import assert_same, outcome, recipe_for
from tests.pipeline.s3_server import BUCKET, s3_store

pytestmark = [pytest.mark.slow, pytest.mark.flink, pytest.mark.timeout(1500)]
LAST = "dedup"


def test_the_bytes_of_the_local_runner_on_an_object_store(cluster: Home, reference: Reference, tmp_path: Path) -> None:
    with s3_store() as store:
        pattern = store.put(reference.paths, "in")
        options = RunOptions(workers=2, runner="flink", beam_args=store.args)
        recipe = recipe_for([pattern], extract={"split_mb": 0.5, "batch_rows": 50})
        context = Context(recipe=recipe, work=f"s3://{BUCKET}/work", options=options, reporter=Quiet())
        names = [stage.name for stage in STAGES]
        run_line(context, STAGES[: names.index(LAST) + 1])
        assert [key for key in store.keys("work") if "/." in key] == []
        local = store.get("work", tmp_path)
    found, wanted = outcome(local, LAST), only(reference.outcome, LAST)
    for result in (found, wanted):
        for key, rows in result.items():  # a file of the input has another name here
            result[key] = [{**row, "file": Path(row["file"]).name} if "file" in row else row for row in rows]
    assert_same(found, wanted)
