"""Every kind of death in mid-job on a real Flink cluster: the same bytes by itself, or by the same command again."""

import contextlib
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import apache_beam as beam
import psutil
import pytest

from algok.pipeline.cluster.control import (
    cluster_up,
    rest_get,
    start_job_manager,
    start_job_server,
    start_task_manager,
    wait_until_ready,
)
from algok.pipeline.cluster.layout import Home
from algok.pipeline.cluster.processes import find_started
from algok.pipeline.jobs import RunOptions, run_job
from algok.transforms.receipts import CollectLines, read_lines
from tests.integration.conftest import OPTIONS, Reference, small_disk
from tests.integration.flink_run import AT_WORK_S, Run, flink_jobs, newest_job, only, process, profile, python_workers
from tests.integration.steps import hang_once
from tests.pipeline.line import assert_same, outcome, recipe_text

pytestmark = [pytest.mark.slow, pytest.mark.flink, pytest.mark.timeout(1500)]


@pytest.fixture
def recipe(reference: Reference, tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_text(reference.paths) + "[extract]\nsplit_mb = 0.5\nbatch_rows = 50\n")
    return path


@pytest.fixture
def run(cluster: Home, recipe: Path, tmp_path: Path) -> Run:
    """`algok extract` when a worker has begun to write and before any unit is finished by all."""
    started = Run("extract", recipe, tmp_path / "work", "documents/*")
    started.wait_for_work()
    return started


def restarts(home: Home, job: str) -> list[dict[str, str]]:
    """What Flink has noted of failures of a job; Flink has recovered from them if the job is finished."""
    found = rest_get(home.read_addresses().rest, f"/jobs/{job}/exceptions")
    return found["exceptionHistory"]["entries"]


def check(run: Run, reference: Reference, last: str = "extract") -> None:
    """The whole output, ledger included, is that of an undisturbed run, and nothing else lies there."""
    assert_same(outcome(run.work, last), only(reference.outcome, last))
    assert ledger(run.work, last) == ledger(reference.work, last)
    assert not list(run.work.rglob("*.tmp-*"))


def ledger(work: Path, stage: str) -> list[object]:
    from algok.pipeline.manifest import load_manifest

    manifest = load_manifest(str(work / stage))
    assert manifest is not None
    return sorted(manifest.ledger)


def state(home: Home, job: str) -> str:
    return next(found["state"] for found in flink_jobs(home) if found["jid"] == job)


def kill_task_manager(home: Home) -> None:
    """kill -9; its workers must end with it, and the cluster gets another one afterwards."""
    manager = process(home, "task-manager-1")
    orphans, workers = manager.children(recursive=True), python_workers(home)
    assert orphans
    manager.kill()
    _, alive = psutil.wait_procs(orphans, timeout=60)
    assert not alive, f"watches outlive their TaskManager: {[p.cmdline() for p in alive]}"
    # Which worker belongs to which TaskManager nobody says, and those of the other one may live on.
    deadline = time.monotonic() + 60
    while len(living(workers)) == len(workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(living(workers)) < len(workers), "workers outlive their TaskManager"


def living(found: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def replace_task_manager(home: Home) -> None:
    start_task_manager(home, OPTIONS, "task-manager-1")
    wait_until_ready(home, home.read_addresses())


def test_a_killed_worker_is_recovered_from(run: Run, cluster: Home, reference: Reference) -> None:
    job = newest_job(cluster)
    workers = python_workers(cluster)
    assert workers
    for worker in workers:
        worker.kill()
    status, errors = run.end()
    assert status == 0, errors
    assert restarts(cluster, job["jid"]), "the job ended before the kill was felt"
    check(run, reference)


def test_a_killed_fork_server_is_recovered_from(run: Run, cluster: Home, reference: Reference) -> None:
    """Its workers die with it; the next ones are started instead of forked. `cluster up` starts it and nothing else."""
    job, forked = newest_job(cluster), python_workers(cluster)
    process(cluster, "fork-server").kill()
    try:
        status, errors = run.end()
        assert status == 0, errors
        assert restarts(cluster, job["jid"]), "the job ended before the kill was felt"
        assert not living(forked)
        assert "started instead" in (cluster.logs / "workers.log").read_text()
    finally:
        others = {started.name: started.pid for started in find_started(cluster.run) if started.name != "fork-server"}
        assert cluster_up(cluster, OPTIONS) == (cluster.read_addresses(), False)
    assert process(cluster, "fork-server").is_running()
    assert others.items() < {started.name: started.pid for started in find_started(cluster.run)}.items()
    check(run, reference)


def test_a_killed_task_manager_is_recovered_from(run: Run, cluster: Home, reference: Reference) -> None:
    job = newest_job(cluster)
    kill_task_manager(cluster)
    status, errors = run.end()
    replace_task_manager(cluster)
    assert status == 0, errors
    assert restarts(cluster, job["jid"]), "the job ended before the kill was felt"
    check(run, reference)


def test_a_task_manager_killed_during_a_shuffle_is_recovered_from(
    recipe: Path, cluster: Home, reference: Reference, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    for stage in ("extract", "filter"):
        shutil.copytree(reference.work / stage, work / stage)
    # The units of a copied folder name files of the other one, which are the same; only dedup is run here.
    run = Run("dedup", recipe, work, ".spill/**/*.arrow")
    run.wait_for_work()
    job = newest_job(cluster)
    kill_task_manager(cluster)
    status, errors = run.end()
    replace_task_manager(cluster)
    assert status == 0, errors
    assert any(
        restarts(cluster, other["jid"]) for other in flink_jobs(cluster) if other["start-time"] >= job["start-time"]
    )
    check(run, reference, "dedup")


def _restart_server(home: Home) -> None:
    process(home, "job-server").kill()
    start_job_server(home, home.read_addresses())


def _restart_manager(home: Home) -> None:
    process(home, "job-manager").terminate()
    process(home, "job-manager").wait(60)
    start_job_manager(home, OPTIONS)


@pytest.mark.parametrize("restart", [_restart_server, _restart_manager])
def test_a_lost_service_is_an_error_and_the_same_command_repairs_it(
    restart: Callable[[Home], None], run: Run, cluster: Home, reference: Reference
) -> None:
    restart(cluster)
    status, errors = run.end()
    assert status != 0
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert not (run.work / "extract" / "manifest.json").exists()
    wait_until_ready(cluster, cluster.read_addresses())
    run.again()
    check(run, reference)


def test_the_job_of_a_killed_client_is_cancelled_by_the_same_command(
    run: Run, cluster: Home, reference: Reference
) -> None:
    left = newest_job(cluster)["jid"]
    held = python_workers(cluster)  # so that the job does not end by itself before the command comes
    for worker in held:
        worker.suspend()
    run.client.send_signal(signal.SIGKILL)
    run.client.communicate()
    run.start_again()
    deadline = time.monotonic() + AT_WORK_S
    while state(cluster, left) == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.05)
    for worker in held:
        with contextlib.suppress(psutil.Error):
            worker.resume()
    status, errors = run.end()
    assert status == 0, errors
    assert state(cluster, left) == "CANCELED"
    check(run, reference)


def test_a_full_disk_under_the_work_folder_is_an_error_and_the_same_command_repairs_it(
    recipe: Path, cluster: Home, reference: Reference, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", 64 * 1024) as disk:
        filler = disk / "filler"
        # Room for the plan, the lock and some of the output.
        whole = sum(path.stat().st_size for path in (reference.work / "extract" / "documents").glob("*.parquet"))
        filler.write_bytes(b"\0" * (64 * 1024 * 1024 - whole // 2 - 100_000))
        run = Run("extract", recipe, disk / "work", "documents/*")
        status, errors = run.end()
        assert status != 0
        assert "no space left" in errors
        assert "run the same command again" in errors
        assert "Traceback" not in errors
        assert not (run.work / "extract" / "manifest.json").exists()
        filler.unlink()
        run.again()
        check(run, reference)


def test_a_full_temporary_disk_of_flink_loses_nothing(run: Run, cluster: Home, reference: Reference) -> None:
    """References, not rows, go through Flink, so a job may well end without its disk; one that does not says so."""
    if not cluster.temporary.is_mount():
        pytest.skip("only root may mount the small disk that this test fills")
    filler = cluster.temporary / "filler"
    try:
        with filler.open("wb") as file:
            while True:
                file.write(b"\0" * (1 << 20))
    except OSError:
        pass
    try:
        assert shutil.disk_usage(cluster.temporary).free < 1 << 20
        status, errors = run.end()
        if status != 0:
            assert "run the same command again" in errors
            assert not (run.work / "extract" / "manifest.json").exists()
        (run.work / "extract" / "manifest.json").unlink(missing_ok=True)
        full = Run("extract", recipe_of(run), run.work, "documents/*")  # a job that starts with a full disk
        status, errors = full.end()
        if status != 0:
            assert "run the same command again" in errors
            assert "Traceback" not in errors
            assert not (run.work / "extract" / "manifest.json").exists()
    finally:
        filler.unlink()
    run.again()
    check(run, reference)


def recipe_of(run: Run) -> Path:
    return run.work.parent / "recipe.toml"


def test_a_worker_that_is_stopped_is_noticed_and_ended(
    recipe: Path, cluster: Home, reference: Reference, tmp_path: Path
) -> None:
    begin = time.time()
    run = Run("extract", recipe, tmp_path / "work", "documents/*", profile(cluster, tmp_path, silent_seconds=20))
    run.wait_for_work()
    job = newest_job(cluster)
    # Not those of earlier jobs that Beam may have left idle in a TaskManager (docs/cluster.md).
    stopped = [worker for worker in python_workers(cluster) if worker.create_time() > begin]
    assert stopped
    for worker in stopped:
        worker.suspend()
    status, errors = run.end()
    assert status == 0, errors
    assert restarts(cluster, job["jid"])
    assert "no sign of life" in (cluster.logs / "workers.log").read_text()
    _, alive = psutil.wait_procs(stopped, timeout=30)
    assert not alive, "a stopped worker is still there"
    check(run, reference)


def test_a_worker_that_hangs_at_an_element_is_noticed_and_ended(cluster: Home, tmp_path: Path) -> None:
    note, lines = tmp_path / "note", tmp_path / "lines"
    options = RunOptions(workers=1, runner=profile(cluster, tmp_path, stuck_minutes=0.25), work=str(tmp_path))

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Notes" >> beam.Create([str(note)])
            | "HangOnce" >> beam.FlatMap(hang_once).with_output_types(str)
            | CollectLines(str(lines))
        )

    begin = time.monotonic()
    run_job("algok-test-hang", build, options)
    assert time.monotonic() - begin > 15
    assert note.read_text() == "tried\ntried\n"
    assert list(read_lines(str(lines))) == ["done"]
    log = "".join(path.read_text(errors="replace") for path in cluster.logs.glob("task-manager-*.log"))
    assert "HangOnce is at one element for" in log
