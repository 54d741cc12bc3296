"""The line on a real Flink cluster: the local runner's bytes at any parallelism, and after every kind of death."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from algok.errors import StageError
from algok.pipeline.cluster.control import (
    cluster_status,
    rest_get,
    start_job_manager,
    start_job_server,
    start_task_manager,
    wait_until_ready,
)
from algok.pipeline.cluster.layout import Home
from algok.pipeline.cluster.processes import find_started
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Context
from tests.integration.conftest import OPTIONS
from tests.pipeline.line import assert_same, outcome, recipe_for, recipe_text

pytestmark = [pytest.mark.slow, pytest.mark.flink]

Finished = tuple[Path, dict[str, Any]]


def flink_jobs(home: Home) -> list[dict[str, Any]]:
    return rest_get(home.read_addresses().rest, "/jobs/overview")["jobs"]


def process(home: Home, name: str) -> psutil.Process:
    found = next(started.process() for started in find_started(home.run) if started.name == name)
    assert found is not None
    return found


def python_workers(home: Home) -> list[psutil.Process]:
    children = [c for i in (1, 2) for c in process(home, f"task-manager-{i}").children(recursive=True)]
    return [child for child in children if "algok.pipeline.cluster.boot" in " ".join(child.cmdline())]


def only(result: dict[str, Any], last: str) -> dict[str, Any]:
    """The part of a whole run's outcome that a run up to ``last`` has."""
    names = [stage.name for stage in STAGES]
    wanted = set(names[: names.index(last) + 1])
    return {key: value for key, value in result.items() if key.split("/")[0] in wanted}


@pytest.mark.parametrize(("parallelism", "last"), [(2, "report"), (1, "filter"), (4, "dedup")])
def test_the_same_bytes_as_the_local_runner(
    parallelism: int, last: str, cluster: Home, finished: Finished, crawl: list[str], tmp_path: Path
) -> None:
    options = RunOptions(workers=parallelism, runner="flink")
    context = Context(recipe=recipe_for(crawl), work=str(tmp_path), options=options, reporter=Quiet())
    names = [stage.name for stage in STAGES]
    done = run_line(context, STAGES[: names.index(last) + 1])
    assert {stage.manifest.runner for _, stage in done} == {"flink"}
    if last == "report":
        assert_same(outcome(tmp_path), finished[1])
        assert (tmp_path / "report" / "index.html").stat().st_size > 10_000
    else:
        assert_same(outcome(tmp_path, last), only(finished[1], last))
    own = [job for job in flink_jobs(cluster) if job["state"] == "FINISHED"]
    plan = rest_get(cluster.read_addresses().rest, f"/jobs/{max(own, key=lambda j: j['start-time'])['jid']}")
    assert max(vertex["parallelism"] for vertex in plan["vertices"]) == parallelism
    assert any("Receipts" in v["name"] or "Spill" in v["name"] or "Read" in v["name"] for v in plan["vertices"])


def test_everything_listens_on_loopback_only(cluster: Home) -> None:
    for started in find_started(cluster.run):
        found = started.process()
        assert found is not None
        listening = [c.laddr.ip for c in found.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}, started.name


class Run:
    """One `algok extract` on the cluster, and the moment at which it is at work."""

    def __init__(self, recipe: Path, work: Path) -> None:
        self.work = work
        self._command = [sys.executable, "-m", "algok.pipeline.cli", "extract", str(recipe), "--work", str(work), "-q"]
        self._command += ["--workers", "2", "--runner", "flink"]
        self.client = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_for_work(self) -> None:
        """Until a worker has begun a file and none is finished by all."""
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and self.client.poll() is None:
            if list((self.work / "extract" / "documents").glob("*")):
                return
            time.sleep(0.02)
        raise AssertionError(f"the job did not come to work: {self.client.communicate(timeout=10)}")

    def end(self) -> tuple[int, str]:
        _, errors = self.client.communicate(timeout=150)
        return self.client.returncode, errors

    def again(self) -> None:
        self.client = self._start()
        status, errors = self.end()
        assert status == 0, errors


@pytest.fixture
def run(cluster: Home, crawl: list[str], tmp_path: Path) -> Run:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe_text(crawl))
    started = Run(recipe, tmp_path / "work")
    started.wait_for_work()
    return started


@pytest.mark.parametrize("victim", ["worker", "task-manager"])
def test_a_death_in_the_cluster_is_recovered_from(victim: str, run: Run, cluster: Home, finished: Finished) -> None:
    job = max(flink_jobs(cluster), key=lambda j: j["start-time"])
    assert job["state"] == "RUNNING"
    orphans: list[psutil.Process] = []
    if victim == "worker":
        for worker in python_workers(cluster):
            worker.kill()
    else:
        manager = process(cluster, "task-manager-1")
        orphans = manager.children(recursive=True)
        manager.kill()
    status, errors = run.end()
    if victim == "task-manager":
        _, alive = psutil.wait_procs(orphans, timeout=20)
        assert not alive, "Python workers outlive their TaskManager"
        start_task_manager(cluster, OPTIONS, "task-manager-1")
        wait_until_ready(cluster, cluster.read_addresses())
    assert status == 0, errors
    happened = rest_get(cluster.read_addresses().rest, f"/jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
    assert happened, "the job ended before the kill was felt"
    assert_same(outcome(run.work, "extract"), only(finished[1], "extract"))


def _restart_server(home: Home) -> None:
    process(home, "job-server").kill()
    start_job_server(home, home.read_addresses())


def _restart_manager(home: Home) -> None:
    process(home, "job-manager").kill()
    start_job_manager(home, OPTIONS)


@pytest.mark.parametrize("kill", [_restart_server, _restart_manager])
def test_a_lost_service_is_an_error_and_the_same_command_repairs_it(
    kill: Callable[[Home], None], run: Run, cluster: Home, finished: Finished
) -> None:
    kill(cluster)
    status, errors = run.end()
    assert status != 0
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert not (run.work / "extract" / "manifest.json").exists()
    wait_until_ready(cluster, cluster.read_addresses())
    run.again()
    assert_same(outcome(run.work, "extract"), only(finished[1], "extract"))


def test_the_job_of_a_killed_client_is_cancelled_by_the_same_command(
    run: Run, cluster: Home, finished: Finished
) -> None:
    left = max(flink_jobs(cluster), key=lambda j: j["start-time"])
    run.client.send_signal(signal.SIGKILL)
    run.client.communicate()
    run.again()
    states = {job["jid"]: job["state"] for job in flink_jobs(cluster)}
    assert states[left["jid"]] in {"CANCELED", "FINISHED"}
    assert_same(outcome(run.work, "extract"), only(finished[1], "extract"))


def test_without_a_cluster_the_error_says_what_to_do(
    crawl: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALGOK_HOME", str(tmp_path))
    options = RunOptions(runner="flink")
    context = Context(recipe=recipe_for(crawl), work=str(tmp_path / "w"), options=options, reporter=Quiet())
    with pytest.raises(StageError, match="algok cluster up"):
        run_line(context, STAGES[:1])


def test_status_tells_dead_from_alive(cluster: Home) -> None:
    assert cluster_status(cluster) == {
        "job-manager": True,
        "job-server": True,
        "task-manager-1": True,
        "task-manager-2": True,
    }
