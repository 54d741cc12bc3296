"""The Flink benchmark's ratios, and the watch that counts the CPU time of ended processes."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from benchmarks import flink
from benchmarks.flink import FLINK, LOCAL, Cost, Side
from benchmarks.processes import kind_of

_BURN = "import time\nend = time.process_time() + 0.6\nwhile time.process_time() < end: pass"
#: A child that burns CPU and a grandchild that burns as much and is never waited for by its parent.
_PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {_BURN!r}])\n{_BURN}"


def side(name: str, number: int, cpu: float, digest: str = "a", start: float = 1.0) -> Side:
    cost = Cost(cpu_s=cpu, wall_s=cpu, documents=100, network=2_000_000, spilled=0, digest=digest)
    begun = Cost(cpu_s=start, wall_s=1.0, documents=20)
    return Side(side=name, round=number, stages={"extract": cost}, memory={"TaskManager": 500.0}, start=begun)


def test_the_bars_are_on_the_medians_of_the_rounds() -> None:
    sides = [side(LOCAL, n, 11.0) for n in range(3)]
    sides += [side(FLINK, n, cpu, start=2.0) for n, cpu in enumerate((12.1, 16.5, 13.2))]
    tables, bars = flink.summarize_extract(sides)
    assert tables[1].rows[0] == ["whole stage", "1.100", "1.500", "1.200", "1.200"]
    assert tables[1].rows[1] == ["pages after the first 20", "1.010", "1.450", "1.120", "1.120"]
    assert [bar.value for bar in bars] == [pytest.approx(1.2), pytest.approx(1.12)]
    assert all(bar.held for bar in bars)


def test_the_line_is_told_by_stage_and_kind_of_process() -> None:
    stages, memory = flink.summarize_line([side(LOCAL, 0, 10.0), side(FLINK, 0, 20.0)])
    assert stages.rows[0][:5] == ["extract", "100", 10.0, 20.0, "2.00"]
    assert memory.rows == [["TaskManager", 500, 500]]


@pytest.mark.parametrize("summarize", [flink.summarize_extract, flink.summarize_line])
def test_other_output_is_an_error(summarize: Callable[[list[Side]], object]) -> None:
    with pytest.raises(ValueError, match="did not write the same files"):
        summarize([side(LOCAL, 0, 1.0), side(FLINK, 0, 1.0, "b")])


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
