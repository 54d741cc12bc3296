"""What a TaskManager starts as a Python worker (Beam's environment type PROCESS): the worker, and a watch over it.

The watch is this process. It imports nothing of Beam, so it stays small and cannot hang with the worker. The worker
(``algok.pipeline.cluster.worker``) is forked by the fork server of the cluster, where there is one (``forks``), or
started. It writes a byte to a pipe every second while it is well. One that falls silent is killed: Flink then restarts
the job, which goes on from its finished units. A worker falls silent when it is stopped, when a library call holds the
interpreter for ever, or on purpose when it is at one element for too long.
"""

import contextlib
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

__all__ = ["FORKS", "LOG", "SIGN_OF_LIFE", "SILENT", "STUCK", "Forked", "Started", "code_stamp", "main", "supervise"]

#: Environment variables: seconds of silence; seconds at one element (0: never); a file for what the watch has to say;
#: the descriptor that the worker writes to; the socket of the fork server.
SILENT, STUCK, LOG = "ALGOK_SILENT_SECONDS", "ALGOK_STUCK_SECONDS", "ALGOK_WORKER_LOG"
SIGN_OF_LIFE, FORKS = "ALGOK_SIGN_OF_LIFE", "ALGOK_FORK_SERVER"
#: Seconds between two looks at the TaskManager, and for a worker to end when it is told to: it handles no signal, so
#: only one that is stopped needs longer, and Beam kills this process half a second after it has told it to end.
PERIOD_S, GRACE_S = 0.5, 0.2
#: Seconds for the fork server to answer.
ANSWER_S = 10.0
DEFAULT_SILENT_S = 300.0
#: Packages that a worker loads code and data from, with all below them, and those whose own files stand for them.
_CODE = tuple(f"algok.{name}" for name in ("pipeline", "transforms", "filters", "dedup", "tokenizer"))
_TOPS = ("algok", "apache_beam", "pyarrow")


class Worker(Protocol):
    """A worker as its watch sees it."""

    name: str

    def poll(self) -> int | None:
        """Its status, or None while it is there."""

    def end(self) -> None:
        """Tell it to end; does not wait. May be called at any moment, from a signal handler too."""

    def kill(self) -> None:
        """End it and all that it started, and wait."""


class Started:
    """A worker that is a child of the watch."""

    def __init__(self, command: list[str], pipe: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603
            command, pass_fds=[pipe], env={**os.environ, SIGN_OF_LIFE: str(pipe)}, start_new_session=True
        )
        self.name = str(self._process.pid)

    def poll(self) -> int | None:
        return self._process.poll()

    def end(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GRACE_S)
        # SIGKILL to the group: a stopped process gets nothing else, and the extractor's child may be stopped as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Forked:
    """A worker that the fork server at ``address`` forks; it lives as long as the connection.

    Raises ``OSError`` or ``ValueError`` when there is no server there, or one that has other code in memory.
    """

    def __init__(self, address: str, arguments: list[str], pipe: int) -> None:
        self._status: int | None = None
        self._answer = b""
        here = os.getcwd()  # noqa: PTH109  (pathlib costs start-up)
        request = {"arguments": arguments, "environment": dict(os.environ), "folder": here, "code": code_stamp()}
        body = json.dumps(request).encode()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(ANSWER_S)
            self._socket.connect(address)
            socket.send_fds(self._socket, [len(body).to_bytes(8, "little")], [1, 2, pipe])
            self._socket.sendall(body)
            answer = self._socket.makefile("rb", buffering=0).readline()
            if not answer.startswith(b"worker "):
                raise ValueError(f"the fork server says {answer.decode(errors='replace').strip() or 'nothing'}")
        except BaseException:
            self._socket.close()
            raise
        self.name = answer.split()[1].decode()
        self._socket.settimeout(0.0)

    def poll(self) -> int | None:
        while self._status is None:
            try:
                part = self._socket.recv(64)
            except BlockingIOError:
                return None
            except OSError:
                part = b""
            self._answer += part
            if not part or part.endswith(b"\n"):
                # Without a word the server is gone, and the kernel kills its workers.
                self._status = int(self._answer or b"1")
        return self._status

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)  # the server then kills the worker's group

    def kill(self) -> None:
        self.end()
        deadline = time.monotonic() + ANSWER_S
        while self.poll() is None and time.monotonic() < deadline:
            select.select([self._socket], [], [], PERIOD_S)
        if not self._answer:  # the server is gone, or hangs: nobody else ends what the worker has started
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(self.name), signal.SIGKILL)
        self._socket.close()


def code_stamp() -> str:
    """What a worker would load: the interpreter, its path, and a digest of names, times and sizes of files."""
    folders = [folder for root in _roots(_CODE) for folder, _, _ in os.walk(root) if not folder.endswith("__pycache__")]
    found = []
    for folder in (*folders, *_roots(_TOPS)):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            states = [(entry.path, entry.stat()) for entry in entries if entry.is_file()]
            found += [f"{path} {state.st_mtime_ns} {state.st_size}" for path, state in states]
    digest = hashlib.blake2b("\n".join(sorted(found)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return f"{sys.executable} {os.environ.get('PYTHONPATH', '')} {digest}"


def _roots(packages: tuple[str, ...]) -> list[str]:
    """Folders of packages, which are not imported for it."""
    specs = [find_spec(name) for name in packages]
    return [root for spec in specs if spec is not None for root in spec.submodule_search_locations or ()]


def _say(text: str) -> None:
    path = os.environ.get(LOG)
    if path:
        with contextlib.suppress(OSError), open(path, "a") as log:  # noqa: PTH123  (pathlib costs start-up)
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} worker watch {os.getpid()}: {text}\n")


def supervise(start: Callable[[int], Worker], silent_s: float) -> int:
    """Start a worker with the descriptor that it writes to, and wait until it ends, falls silent for ``silent_s``
    seconds, or the parent of this process is gone.

    The status of the worker, or 1 when it had to be killed; nothing that it started is left.
    """
    parent = os.getppid()
    read, write = os.pipe()
    worker = start(write)
    os.close(write)
    told = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal told
        told = True
        worker.end()  # the pipe then closes, which ends the wait below

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        heard = time.monotonic()
        while (status := worker.poll()) is None:
            if os.getppid() != parent or told:
                return 1
            if select.select([read], [], [], PERIOD_S)[0] and os.read(read, 4096):
                heard = time.monotonic()
            elif time.monotonic() - heard > silent_s:
                _say(f"no sign of life of worker {worker.name} for {silent_s:g} s: killed; Flink restarts the job")
                return 1
            elif worker.poll() is None:
                time.sleep(0.02)  # the pipe is closed but the process not yet gone
        return status
    finally:
        worker.kill()
        os.close(read)


def _start(pipe: int) -> Worker:
    address = os.environ.get(FORKS)
    if address:
        try:
            return Forked(address, sys.argv[1:], pipe)
        except (OSError, ValueError) as error:
            _say(f"no fork of a worker ({error}): started instead")
    return Started([sys.executable, "-m", "algok.pipeline.cluster.worker", *sys.argv[1:]], pipe)


def main() -> None:
    """Start the worker with the arguments of this process and watch over it."""
    sys.exit(supervise(_start, float(os.environ.get(SILENT) or DEFAULT_SILENT_S)))


if __name__ == "__main__":
    main()
