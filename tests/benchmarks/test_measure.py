"""CPU time and memory of a whole tree of processes."""

import sys

import pytest
from benchmarks.measure import measure, phase

_BURN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass"


def test_counts_the_process_its_children_and_orphans() -> None:
    # The middle process ends without waiting for its child: only a subreaper still sees that one's time.
    orphan = _BURN.format(0.4)
    middle = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {orphan!r}])"
    program = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {middle!r}], check=True)\n"
        f"{_BURN.format(0.4)}\n"
        "print('{\"kept\": 3}')"
    )
    usage = measure([sys.executable, "-c", program])
    assert 0.8 <= usage.cpu_s < 2.0
    assert usage.output == {"kept": 3}


def test_peaks_are_kept_by_phase() -> None:
    program = (
        "import time\n"
        "from benchmarks.measure import phase\n"
        "phase('large'); data = b'x' * 150_000_000; time.sleep(0.5); del data\n"
        "phase('small'); time.sleep(0.5); print('done')"
    )
    usage = measure([sys.executable, "-c", program])
    assert usage.output == "done"
    assert list(usage.phases) == ["large", "small"]
    assert usage.phases["large"].process_mb > usage.phases["small"].process_mb + 100
    assert usage.peak.process_mb == usage.phases["large"].process_mb
    assert usage.peak.tree_mb >= usage.peak.process_mb


def test_a_failing_command_raises_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match=r"status 3[^\0]*no such thing"):
        measure([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])


def test_phase_does_nothing_when_nothing_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALGOK_BENCHMARK_PHASES", raising=False)
    phase("extract")
