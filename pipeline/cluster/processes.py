"""Processes that outlive the command that started them, and that are ended only when they are certainly ours."""

import contextlib
import os
import subprocess
from pathlib import Path

import msgspec
import psutil

__all__ = ["Started", "end_all", "find_started", "start_process"]

#: Seconds that a process has to end by itself before it is killed.
GRACE_S = 10.0


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A process file: ids are used again, so the time of the start goes with the id."""

    name: str
    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process, if it is still the one that was started and not a zombie."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            if process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None


def start_process(name: str, command: list[str], *, folder: Path, log: Path, cwd: Path) -> Started:
    """Start a process in a session of its own and note it in ``folder/<name>.json``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    started = Started(name=name, pid=process.pid, created=psutil.Process(process.pid).create_time())
    (folder / f"{name}.json").write_bytes(msgspec.json.encode(started))
    return started


def find_started(folder: Path) -> list[Started]:
    """All process files of a folder, by name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(msgspec.MsgspecError):  # other files of the folder
            found.append(msgspec.json.decode(path.read_bytes(), type=Started))
    return found


def end_all(folder: Path, names: list[str] | None = None) -> list[str]:
    """End the processes of a folder (or those named) and all that they started; the names of those that were alive."""
    ended, waiting = [], []
    for started in find_started(folder):
        if names is not None and started.name not in names:
            continue
        process = started.process()
        if process is not None:
            ended.append(started.name)
            for one in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.Error):
                    one.terminate()
                    waiting.append(one)
        (folder / f"{started.name}.json").unlink(missing_ok=True)
    _, alive = psutil.wait_procs(waiting, timeout=GRACE_S)
    for one in alive:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(alive, timeout=GRACE_S)
    return ended
