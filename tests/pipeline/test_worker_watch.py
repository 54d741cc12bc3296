"""The watch over a Python worker on Flink: what falls silent is ended, with all that it started."""

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from algok.pipeline.cluster.boot import LOG, SIGN_OF_LIFE, supervise
from algok.pipeline.cluster.worker import stuck_elements

_CHILD = f"""
import os, pathlib, subprocess, sys, time
pipe = int(os.environ[{SIGN_OF_LIFE!r}])
other = subprocess.Popen(["sleep", "600"])
pathlib.Path(sys.argv[1]).write_text(f"{{os.getpid()}} {{other.pid}}")
for _ in range(int(sys.argv[2])):
    os.write(pipe, b".")
    time.sleep(0.3)
if sys.argv[3] == "hang":
    time.sleep(600)
sys.exit(7)
"""
#: Starts the watch in a process of its own, as a TaskManager does.
_WATCH = "import sys; from algok.pipeline.cluster.boot import supervise; sys.exit(supervise(sys.argv[2:], 60))"


def processes(note: Path) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if note.exists() and len(ids := note.read_text().split()) == 2:
            return [psutil.Process(int(one)) for one in ids]
        time.sleep(0.05)
    raise AssertionError("the worker did not start")


def gone(found: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in found):
            return True
        time.sleep(0.1)
    return False


def child(note: Path, signs: int, then: str) -> list[str]:
    return [sys.executable, "-c", _CHILD, str(note), str(signs), then]


def test_the_status_of_a_worker_that_ends_by_itself_is_passed_on(tmp_path: Path) -> None:
    assert supervise(child(tmp_path / "note", 6, "end"), 60.0) == 7
    assert gone(processes_of(tmp_path / "note"))


def processes_of(note: Path) -> list[psutil.Process]:
    return [psutil.Process(int(one)) for one in note.read_text().split() if psutil.pid_exists(int(one))]


def test_a_silent_worker_is_killed_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    assert supervise(child(tmp_path / "note", 3, "hang"), 2.0) == 1
    assert gone(processes_of(tmp_path / "note"))
    assert "no sign of life" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("how", ["told to end", "parent gone", "stopped"])
def test_a_worker_does_not_outlive_its_task_manager(how: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    watch = [sys.executable, "-c", _WATCH, "", *child(note, 10_000, "hang")]
    # The middle process stands for the TaskManager.
    middle = subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.call(sys.argv[1:])", *watch])
    found = processes(note)
    watcher = found[0].parent()
    assert watcher is not None
    if how == "stopped":  # gets no other signal than SIGKILL
        found[0].suspend()
    if how == "parent gone":
        middle.kill()
    else:
        watcher.terminate()
    assert gone([*found, watcher])
    middle.kill()
    middle.wait()


def test_only_a_step_that_has_an_element_can_be_stuck() -> None:
    """Beam's own check takes a bundle that waits for input, in no step, for stuck."""

    def bundle(step: str | None, seconds: float) -> SimpleNamespace:
        info = SimpleNamespace(
            state_name=SimpleNamespace(step_name=step), time_since_transition=seconds * 1e9, tracked_thread=None
        )
        return SimpleNamespace(state_sampler=SimpleNamespace(get_info=lambda: info))

    bundles = {"a": bundle(None, 500), "b": bundle("Write", 5), "c": bundle("Read", 70), "d": None}
    cache = SimpleNamespace(active_bundle_processors=bundles, lookup=bundles.get)
    assert [line.splitlines()[0] for line in stuck_elements(cache, 60.0)] == ["Read is at one element for 70 s"]
