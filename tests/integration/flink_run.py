"""One `algok` command on the cluster of the tests, its processes, and the moment at which it is at work."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from algok.pipeline.cluster.control import rest_get
from algok.pipeline.cluster.layout import Home
from algok.pipeline.cluster.processes import find_started
from algok.pipeline.run import STAGES

#: Seconds; far more than is needed, since other work may share the machine.
AT_WORK_S, END_S = 240, 500


def flink_jobs(home: Home) -> list[dict[str, Any]]:
    return rest_get(home.read_addresses().rest, "/jobs/overview")["jobs"]


def newest_job(home: Home) -> dict[str, Any]:
    return max(flink_jobs(home), key=lambda job: job["start-time"])


def process(home: Home, name: str) -> psutil.Process:
    found = next(started.process() for started in find_started(home.run) if started.name == name)
    assert found is not None
    return found


def python_workers(home: Home) -> list[psutil.Process]:
    """The workers themselves, neither their watches nor their extracting children."""
    return process(home, "fork-server").children()


def profile(home: Home, folder: Path, job_server: str = "", **limits: float) -> str:
    """A profile of one's own for the cluster of the tests, as users of another cluster write it."""
    found = home.read_addresses()
    lines = [
        f'flink_master = "{found.rest}"',
        f'job_server = "{job_server or found.job_server}"',
        f'worker_command = "{found.boot}"',
    ]
    lines += [f"{name} = {value}" for name, value in limits.items()]
    path = folder / "profile.toml"
    path.write_text("\n".join(lines))
    return f"flink:{path}"


def only(result: dict[str, Any], last: str) -> dict[str, Any]:
    """The part of a whole run's outcome that a run up to ``last`` has."""
    names = [stage.name for stage in STAGES]
    wanted = set(names[: names.index(last) + 1])
    return {key: value for key, value in result.items() if key.split("/")[0] in wanted}


class Run:
    """One stage in a process of its own. ``started`` are signs that it is at work: any of them matches a file."""

    def __init__(self, stage: str, recipe: Path, work: Path, started: str, runner: str = "flink") -> None:
        self.work, self.stage = work, stage
        self._signs = started
        self._command = [sys.executable, "-m", "algok.pipeline.cli", stage, str(recipe), "--work", str(work), "-q"]
        self._command += ["--workers", "2", "--runner", runner]
        self.client = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_for_work(self) -> None:
        deadline = time.monotonic() + AT_WORK_S
        while time.monotonic() < deadline and self.client.poll() is None:
            if list((self.work / self.stage).glob(self._signs)):
                return
            time.sleep(0.02)
        raise AssertionError(f"the job did not come to work: {self.client.communicate(timeout=30)}")

    def end(self) -> tuple[int, str]:
        _, errors = self.client.communicate(timeout=END_S)
        return self.client.returncode, errors

    def start_again(self) -> None:
        """The same command."""
        self.client = self._start()

    def again(self) -> None:
        self.start_again()
        status, errors = self.end()
        assert status == 0, errors
