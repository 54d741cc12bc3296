"""The line on a real Flink cluster: the local runner's bytes at any parallelism, readable names, loopback only."""

import contextlib
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from algok.errors import StageError
from algok.pipeline.cluster.control import cluster_status, cluster_up, rest_get
from algok.pipeline.cluster.layout import Home
from algok.pipeline.cluster.processes import find_started
from algok.pipeline.jobs import Quiet, RunOptions, run_job
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Context
from algok.transforms.receipts import CollectLines, read_lines
from tests.integration.conftest import MINI_PAGES, OPTIONS, Reference
from tests.integration.flink_run import AT_WORK_S, flink_jobs, newest_job, process, profile
from tests.integration.steps import parent_of_worker
from tests.pipeline.line import assert_same, outcome, recipe_for

pytestmark = [pytest.mark.slow, pytest.mark.flink, pytest.mark.timeout(1500)]


def test_pages_of_the_mini_crawl_are_compared(reference: Reference, shared_data: Path) -> None:
    """Where the development data is absent, the tests below compare the synthetic crawl alone, and this one says so."""
    files = {row["file"] for row in reference.outcome["extract/documents"]}
    assert any(path.endswith("mini.warc.gz") for path in files)
    own = [row for row in reference.outcome["extract/documents"] if row["file"].endswith("mini.warc.gz")]
    assert len(own) > 0.95 * MINI_PAGES


@pytest.mark.parametrize("parallelism", [1, 2, 4])
def test_all_stages_give_the_bytes_of_the_local_runner(
    parallelism: int, cluster: Home, reference: Reference, tmp_path: Path
) -> None:
    before = {job["jid"] for job in flink_jobs(cluster)}
    options = RunOptions(workers=parallelism, runner="flink")
    context = Context(recipe=reference.recipe, work=str(tmp_path), options=options, reporter=Quiet())
    done = run_line(context)
    assert {stage.manifest.runner for _, stage in done} == {"flink"}
    assert_same(outcome(tmp_path), reference.outcome)
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
    own = [job for job in flink_jobs(cluster) if job["jid"] not in before]
    assert {job["state"] for job in own} == {"FINISHED"}
    # Every stage but the training itself ran there, at the parallelism asked for, under names that can be read.
    stages = {stage.name for stage in STAGES}
    assert {name for name in stages if any(job["name"].startswith(f"algok-{name}-") for job in own)} == stages
    rest = cluster.read_addresses().rest
    extract = next(job for job in own if job["name"].startswith("algok-extract-documents-"))
    vertices = rest_get(rest, f"/jobs/{extract['jid']}")["vertices"]
    assert {vertex["parallelism"] for vertex in vertices} == {parallelism}
    names = " ".join(vertex["name"] for vertex in vertices)
    for step in ("ReadUnits", "SkipDone", "ReadBatches", "ExtractPages", "MeasureSignals", "WriteUnits", "Receipts"):
        assert step in names


def test_a_job_server_for_a_cluster_of_ones_own(cluster: Home, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "algok.pipeline.cli", "cluster", "job-server", "--home", str(cluster.root)]
    command += ["--flink-master", cluster.read_addresses().rest, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + AT_WORK_S
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.2)
        lines = tmp_path / "lines"
        options = RunOptions(runner=profile(cluster, tmp_path, f"127.0.0.1:{port}"), work=str(tmp_path))

        def build(pipeline: beam.Pipeline) -> None:
            _ = pipeline | "Words" >> beam.Create(["쌀", "겨"]) | CollectLines(str(lines))

        run_job("algok-test-server", build, options)
        assert sorted(read_lines(str(lines))) == ["겨", "쌀"]
        assert newest_job(cluster)["name"].startswith("algok-test-server-")
    finally:
        server.kill()
        server.wait()


def test_workers_are_forked(cluster: Home, tmp_path: Path) -> None:
    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "One" >> beam.Create([""])
            | "Parent" >> beam.Map(parent_of_worker).with_output_types(str)
            | CollectLines(str(tmp_path / "lines"))
        )

    run_job("algok-test-forks", build, RunOptions(workers=1, runner="flink", work=str(tmp_path)))
    assert list(read_lines(str(tmp_path / "lines"))) == [str(process(cluster, "fork-server").pid)]


def test_everything_listens_on_loopback_only(cluster: Home) -> None:
    assert stat.S_IMODE(cluster.forks.stat().st_mode) == 0o600
    for started in find_started(cluster.run):
        found = started.process()
        assert found is not None
        listening = [c.laddr.ip for c in found.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        ips = {ip.removeprefix("::ffff:") for ip in listening}
        # The fork server has a Unix socket, which no other user can open.
        assert ips == (set() if started.name == "fork-server" else {"127.0.0.1"}), started.name


def test_the_dashboard_is_there(cluster: Home) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{cluster.read_addresses().rest}/", timeout=60) as page:
        assert b"<title>Apache Flink Web Dashboard</title>" in page.read()


def test_without_a_cluster_the_error_says_what_to_do(
    crawl: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGOK_HOME", str(tmp_path))
    options = RunOptions(runner="flink")
    context = Context(recipe=recipe_for(crawl), work=str(tmp_path / "w"), options=options, reporter=Quiet())
    with pytest.raises(StageError, match="algok cluster up"):
        run_line(context, STAGES[:1])


def test_a_cluster_that_runs_is_left_alone(cluster: Home) -> None:
    before = {started.name: started.pid for started in find_started(cluster.run)}
    assert cluster_up(cluster, OPTIONS) == (cluster.read_addresses(), False)
    assert {started.name: started.pid for started in find_started(cluster.run)} == before
    assert cluster_status(cluster) == {
        "fork-server": True,
        "job-manager": True,
        "job-server": True,
        "task-manager-1": True,
        "task-manager-2": True,
    }
