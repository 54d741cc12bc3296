"""The Flink benchmark's ratios, and the watch that counts the CPU time of ended processes."""

import subprocess
import sys

import pytest
from benchmarks import flink
from benchmarks.flink import FLINK, LOCAL, Cost, Side
from benchmarks.processes import kind_of

_BURN = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
#: A child that burns CPU and a grandchild that burns as much and is never waited for by its parent.
_PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_BURN!r}])\n{_BURN}"


def side(name: str, number: int, cpu: float, digest: str = "a") -> Side:
    cost = Cost(cpu_s=cpu, wall_s=cpu, documents=100, network=2_000_000, spilled=0, digest=digest)
    return Side(side=name, round=number, stages={"extract": cost}, memory={"TaskManager": 500.0})


def test_the_bar_is_on_the_median_of_the_rounds() -> None:
    real = [side(LOCAL, n, 10.0) for n in range(3)] + [side(FLINK, n, cpu) for n, cpu in enumerate((11.0, 15.0, 12.0))]
    tables, bars = flink.summarize(real, [side(LOCAL, 0, 10.0), side(FLINK, 0, 20.0)])
    assert tables[1].rows == [["1.100", "1.500", "1.200", "1.200"]]
    assert bars[0].value == pytest.approx(1.2)
    assert bars[0].held
    assert tables[2].rows[0][4] == "2.00"
    assert tables[3].rows == [["TaskManager", 500, 500]]


@pytest.mark.parametrize("kind", ["real", "synthetic"])
def test_other_output_is_an_error(kind: str) -> None:
    same, other = [side(LOCAL, 0, 1.0), side(FLINK, 0, 1.0)], [side(LOCAL, 0, 1.0), side(FLINK, 0, 1.0, "b")]
    with pytest.raises(ValueError, match="did not write the same files"):
        flink.summarize(*((other, same) if kind == "real" else (same, other)))


def test_the_watch_counts_what_ended_and_what_nobody_waited_for() -> None:
    program = (
        "import subprocess, sys, time\n"
        "from benchmarks.processes import Watch\n"
        "watch = Watch(); clock = watch.clock()\n"
        f"subprocess.run([sys.executable, '-c', {_PARENT!r}], check=True)\n"
        "time.sleep(3)\n"
        "print(clock()[1])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 1.1 < float(done.stdout) < 5.0


def test_kinds_of_processes() -> None:
    assert kind_of("java -cp x org.apache.flink.runtime.taskexecutor.TaskManagerRunner") == "TaskManager"
    assert kind_of("python -m something.else") == "other"
