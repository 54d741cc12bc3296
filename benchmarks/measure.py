"""What a command costs: CPU time, wall-clock time and memory of its whole tree of processes.

The command runs below a supervisor (this module as a program) that is the *subreaper* of the tree (Linux,
``prctl(2)``): a process whose parent ends without waiting for it falls to the supervisor, which waits for it. So
``RUSAGE_CHILDREN`` of the supervisor has the CPU time of every process of the tree, killed ones included, exactly.
Memory is sampled (``PERIOD_S``): the resident size of the largest process and the sum over the tree. The sum counts
a page that two processes share twice.

A measured program can say what it is doing with ``phase``; peaks are then kept for each phase.
"""

import argparse
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

__all__ = ["Peak", "Usage", "cpu_of_children", "measure", "phase"]

#: Seconds between two samples of memory. A sample costs the supervisor about 3 ms; its own time is not counted.
PERIOD_S = 0.1
#: Seconds that processes left over after the command may take to end before they are killed.
GRACE_S = 10.0
#: Environment variable that names the file of phases.
PHASES = "ALGOK_BENCHMARK_PHASES"
_PR_SET_CHILD_SUBREAPER = 36
_ROOT = Path(__file__).resolve().parent.parent


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """Largest values seen, in MB (10^6 bytes): of the sum over all processes, and of one process."""

    tree_mb: float
    process_mb: float
    processes: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of one command: ``cpu_s`` is user + system time of all processes, ``output`` the last line it printed."""

    wall_s: float
    cpu_s: float
    peak: Peak
    phases: dict[str, Peak] = {}
    output: Any = None


def phase(name: str) -> None:
    """Called by a measured program: from now on, it is doing ``name``. Does nothing when it is not measured."""
    path = os.environ.get(PHASES)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{time.monotonic()} {name}\n")


def cpu_of_children() -> float:
    """CPU seconds of ended and awaited children of this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(command: Sequence[str], *, timeout_s: float = 7200, environment: dict[str, str] | None = None) -> Usage:
    """Run a command and measure it. Its last line of standard output, if it is JSON, is returned with the numbers.

    The command runs in the repository's root. Raises ``RuntimeError`` with the end of its output when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="algok-benchmark-") as folder:
        result = Path(folder) / "usage.json"
        supervisor = [sys.executable, "-m", "benchmarks.measure", str(result), "--", *command]
        done = subprocess.run(
            supervisor,
            cwd=_ROOT,
            env={**os.environ, **(environment or {}), PHASES: str(Path(folder) / "phases")},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if done.returncode != 0 or not result.is_file():
            said = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
            raise RuntimeError(
                f"the measured command failed with status {done.returncode}: {' '.join(command)}\n{said}"
            )
        usage = msgspec.json.decode(result.read_bytes(), type=Usage)
        lines = done.stdout.strip().splitlines()
        try:
            output = json.loads(lines[-1]) if lines else None
        except json.JSONDecodeError:
            output = lines[-1]
        return msgspec.structs.replace(usage, output=output)


class _Samples:
    """Resident sizes over time; kept whole, a sample is three numbers."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self._taken: list[tuple[float, float, float, int]] = []

    def take(self) -> None:
        sizes = []
        for process in self._own.children(recursive=True):
            try:
                sizes.append(process.memory_info().rss)
            except psutil.Error:
                continue
        if sizes:
            self._taken.append((time.monotonic(), sum(sizes) / 1e6, max(sizes) / 1e6, len(sizes)))

    def peak(self, start: float = 0.0, end: float = float("inf")) -> Peak:
        taken = [sample for sample in self._taken if start <= sample[0] < end]
        if not taken:
            return Peak(tree_mb=0.0, process_mb=0.0, processes=0)
        return Peak(
            tree_mb=round(max(sample[1] for sample in taken), 1),
            process_mb=round(max(sample[2] for sample in taken), 1),
            processes=max(sample[3] for sample in taken),
        )


def _wait_for_all(samples: _Samples) -> None:
    """Wait for what the command left behind; end what does not end by itself."""
    end = time.monotonic() + GRACE_S
    killed = False
    while True:
        try:
            reaped, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if reaped:
            continue
        if time.monotonic() > end and not killed:
            for child in psutil.Process().children(recursive=True):
                child.kill()
            killed = True
        samples.take()
        time.sleep(PERIOD_S)


def _phases(path: Path, samples: _Samples) -> dict[str, Peak]:
    if not path.is_file():
        return {}
    marks = [line.split(" ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
    starts = [float(at) for at, _ in marks]
    ends = [*starts[1:], float("inf")]
    return {name: samples.peak(start, end) for (_, name), start, end in zip(marks, starts, ends, strict=True)}


def main(arguments: Sequence[str] | None = None) -> int:
    """The supervisor."""
    parser = argparse.ArgumentParser(description="run a command and measure its tree of processes")
    parser.add_argument("result", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    samples = _Samples()
    start = time.monotonic()
    process = subprocess.Popen(command)
    while process.poll() is None:
        samples.take()
        time.sleep(PERIOD_S)
    wall = time.monotonic() - start
    _wait_for_all(samples)
    usage = Usage(
        wall_s=round(wall, 3),
        cpu_s=round(cpu_of_children(), 3),
        peak=samples.peak(),
        phases=_phases(Path(os.environ.get(PHASES, "")), samples),
    )
    given.result.write_bytes(msgspec.json.encode(usage))
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
