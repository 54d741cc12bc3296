"""The watch over a Python worker on Flink: what falls silent is ended, with all that it started."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from algok.pipeline.cluster import boot
from algok.pipeline.cluster.boot import FORKS, LOG, SIGN_OF_LIFE, Forked, Started, supervise
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
print("said")
sys.exit(7)
"""
#: A fork server whose worker is the child above.
_SERVER = f"""
import pathlib, sys, types
from algok.pipeline.cluster import forks
from algok.pipeline.cluster.worker import die_with_parent
def main():
    exec({_CHILD!r}, {{}})
sys.modules["algok.pipeline.cluster.worker"] = types.SimpleNamespace(main=main, die_with_parent=die_with_parent)
forks._PRELOADED = ()
forks.serve(pathlib.Path(sys.argv[1]))
"""
#: Starts the watch in a process of its own, as a TaskManager does.
_WATCH = """
import sys
from algok.pipeline.cluster.boot import Forked, Started, supervise
server, *given = sys.argv[1:]
start = (lambda pipe: Forked(server, given, pipe)) if server else (lambda pipe: Started(given, pipe))
sys.exit(supervise(start, 60))
"""


def processes(note: Path) -> list[psutil.Process]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if note.exists() and len(ids := note.read_text().split()) == 2:
            return [psutil.Process(int(one)) for one in ids]
        time.sleep(0.05)
    raise AssertionError("the worker did not start")


def processes_of(note: Path) -> list[psutil.Process]:
    return [psutil.Process(int(one)) for one in note.read_text().split() if psutil.pid_exists(int(one))]


def gone(found: list[psutil.Process]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in found):
            return True
        time.sleep(0.1)
    return False


@contextlib.contextmanager
def fork_server() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A fork server that listens, and its socket in a folder with a short name."""
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder, "forks"))
        server = subprocess.Popen([sys.executable, "-c", _SERVER, address])
        deadline = time.monotonic() + 60
        with socket.socket(socket.AF_UNIX) as client:
            while client.connect_ex(address) != 0:
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield server, address
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def running() -> Iterator[str]:
    """The socket of a fork server."""
    with fork_server() as (_, address):
        yield address


@pytest.fixture(params=["started", "forked"])
def server(request: pytest.FixtureRequest) -> str:
    """The socket of a fork server, or nothing for workers that are started."""
    return request.getfixturevalue("running") if request.param == "forked" else ""


def child(note: Path, signs: int, then: str, server: str) -> list[str]:
    """Arguments for a forked one; the command of one that is started."""
    arguments = [str(note), str(signs), then]
    return arguments if server else [sys.executable, "-c", _CHILD, *arguments]


def watched(server: str, command: list[str], silent_s: float) -> int:
    return supervise(lambda pipe: Forked(server, command, pipe) if server else Started(command, pipe), silent_s)


def test_status_and_words_of_a_worker_are_passed_on(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert watched(server, child(tmp_path / "note", 6, "end", server), 60.0) == 7
    assert gone(processes_of(tmp_path / "note"))
    assert "said" in capfd.readouterr().out


def test_a_silent_worker_is_killed_with_all_that_it_started(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    assert watched(server, child(tmp_path / "note", 3, "hang", server), 2.0) == 1
    assert gone(processes_of(tmp_path / "note"))
    assert "no sign of life" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("how", ["told to end", "parent gone", "stopped"])
def test_a_worker_does_not_outlive_its_task_manager(how: str, server: str, tmp_path: Path) -> None:
    outlived_by_nothing(how, server, tmp_path / "note")


def test_a_forked_worker_does_not_outlive_its_watch(running: str, tmp_path: Path) -> None:
    outlived_by_nothing("watch gone", running, tmp_path / "note")


def outlived_by_nothing(how: str, server: str, note: Path) -> None:
    watch = [sys.executable, "-c", _WATCH, server, *child(note, 10_000, "hang", server)]
    # The middle process stands for the TaskManager.
    middle = subprocess.Popen([sys.executable, "-c", "import subprocess, sys; subprocess.call(sys.argv[1:])", *watch])
    found = processes(note)
    (watcher,) = psutil.Process(middle.pid).children()
    if how == "stopped":  # gets no other signal than SIGKILL
        found[0].suspend()
    if how == "parent gone":
        middle.kill()
    elif how == "watch gone":
        watcher.kill()
    else:
        watcher.terminate()
    assert gone([*found, watcher])
    middle.kill()
    middle.wait()


def test_workers_of_one_server_are_apart(running: str, tmp_path: Path) -> None:
    """The end of one says nothing to the watch of the other, which holds none of its descriptors."""
    with ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(short, running, tmp_path / str(signs), signs) for signs in (2, 8)]
        assert [end.result() for end in ends] == [7, 7]


def short(server: str, note: Path, signs: int) -> int:
    read, write = os.pipe()
    worker = Forked(server, child(note, signs, "end", server), write)
    os.close(write)
    signs_seen = b""
    while part := os.read(read, 100):
        signs_seen += part
    while (status := worker.poll()) is None:
        time.sleep(0.02)
    os.close(read)
    worker.kill()
    assert len(signs_seen) == signs
    return status


@pytest.mark.parametrize("said", [b"", b"\2\0\0\0\0\0\0\0[]", b"\xff" * 8, b"\5\0\0\0\0\0\0\0what?"])
def test_nonsense_is_nobodys_but_its_clients(said: bytes, running: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(running)
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b""
    assert short(running, tmp_path / "note", 1) == 7


def test_a_worker_of_a_server_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "ANSWER_S", 0.5)
    with fork_server() as (server, address):
        read, write = os.pipe()
        worker = Forked(address, child(tmp_path / "note", 10_000, "hang", address), write)
        found = processes(tmp_path / "note")
        server.send_signal(signal.SIGSTOP)
        worker.kill()
        assert gone(found)
        os.close(read)
        os.close(write)


def test_the_stamp_changes_with_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_package"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/table.toml"):
        (package / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(boot, "_CODE", ("some_package",))
    stamps = {boot.code_stamp()}
    os.utime(package / "inner/table.toml", (1, 1))  # older than it was
    stamps.add(boot.code_stamp())
    (package / "inner/more.py").touch()
    stamps.add(boot.code_stamp())
    assert len(stamps) == 3
    assert boot.code_stamp() in stamps


def test_other_code_on_disk_is_not_forked(running: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with pytest.raises(ValueError, match="code has changed"):
        Forked(running, [], 1)


def test_without_a_server_a_worker_is_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    watch = [sys.executable, "-m", "algok.pipeline.cluster.boot", "--nonsense"]
    environment = {**os.environ, FORKS: str(tmp_path / "none"), LOG: str(log)}
    done = subprocess.run(watch, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "required: --id" in done.stderr  # the worker's own words
    assert "started instead" in log.read_text()


def test_nothing_is_left_when_the_server_is_killed(tmp_path: Path) -> None:
    with fork_server() as (server, address):
        read, write = os.pipe()
        worker = Forked(address, child(tmp_path / "note", 10_000, "hang", address), write)
        found = processes(tmp_path / "note")
        server.kill()
        server.wait()
        assert gone(found[:1])
        deadline = time.monotonic() + 10
        while worker.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert worker.poll() == 1
        worker.kill()
        assert gone(found)
        os.close(read)
        os.close(write)


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
