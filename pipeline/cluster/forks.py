"""The fork server of a cluster on one machine: Python workers without their start.

A line is some twenty Beam jobs, and each starts a Python worker on every TaskManager, which takes two to three seconds
of CPU to import Beam and algok: more than most jobs of a small crawl have to do. This process has imported them, and
forks itself for a watch (``boot``) that asks on a Unix socket. The connection is the worker's life: the server tells
the watch its status when it ends, and kills it with all that it started when the watch goes away. When the server is
gone, the kernel kills its workers (they ask for that), and watches start workers in the ordinary way; so they do when
the code on disk is no longer what this process has in memory. It has one Python thread, since it forks; the native ones
of OpenBLAS and jemalloc have handlers for forks.
"""

import argparse
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from algok.pipeline.cluster.boot import SIGN_OF_LIFE, code_stamp

__all__ = ["main", "serve"]

#: What workers need: Beam's harness, and the code of all stages.
_PRELOADED = ("algok.pipeline.cluster.worker", "algok.pipeline.run")
#: Standard output, standard error, and the pipe of the signs of life.
_DESCRIPTORS = 3
#: Seconds that a watch may take to say what it has ready, and bytes of it; nobody else is served meanwhile.
_REQUEST_S, _REQUEST_BYTES = 1.0, 1 << 24


class _Server:
    def __init__(self, address: Path, stamp: str) -> None:
        self._stamp = stamp
        self._workers: dict[int, socket.socket] = {}
        address.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)  # whoever reaches the socket can run code as this user
        self._listener.bind(str(address))
        os.umask(previous)
        self._listener.listen(64)
        self._wake, self._woken = socket.socketpair()
        for one in (self._listener, self._wake, self._woken):
            one.setblocking(False)
        signal.set_wakeup_fd(self._woken.fileno())
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    with contextlib.suppress(Exception):
                        self._accept(self._listener.accept()[0])
                elif key.fileobj is self._wake:
                    with contextlib.suppress(BlockingIOError):
                        self._wake.recv(4096)
                elif key.data in self._workers:  # its watch has told it to end, or is gone
                    self._selector.unregister(key.fileobj)
                    _end(key.data)
            self._reap()

    def _accept(self, asking: socket.socket) -> None:
        """One request; whatever is wrong with it is the watch's to see from a closed connection."""
        with contextlib.ExitStack() as stack:
            stack.callback(asking.close)
            asking.settimeout(_REQUEST_S)
            head, descriptors, _, _ = socket.recv_fds(asking, 8, _DESCRIPTORS)
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
            with asking.makefile("rb") as file:
                request = json.loads(file.read(min(_REQUEST_BYTES, int.from_bytes(head, "little"))))
            if request["code"] != self._stamp:
                asking.sendall(b"that the code has changed since the cluster was started\n")
                return
            server = os.getpid()
            pid = os.fork()
            if pid == 0:
                try:
                    self._forget(asking)
                    _work(request, descriptors, server)
                finally:
                    os._exit(1)
            self._workers[pid] = asking
            self._selector.register(asking, selectors.EVENT_READ, pid)
            stack.pop_all()
            for descriptor in descriptors:
                os.close(descriptor)
            asking.sendall(b"worker %d\n" % pid)  # to a watch that is gone by now: the selector says so next

    def _forget(self, asking: socket.socket) -> None:
        """In the worker: nothing of the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._selector.close()
        for one in (self._listener, self._wake, self._woken, asking, *self._workers.values()):
            one.close()

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self._workers.pop(pid, None)
            if connection is None:
                continue
            _end_group(pid)  # what it started
            with contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            with contextlib.suppress(KeyError):
                self._selector.unregister(connection)
            connection.close()


def _end(pid: int) -> None:
    """Kill a worker and all that it started; it is not yet reaped, so the id is its own."""
    os.kill(pid, signal.SIGKILL)  # it may not have made its group yet
    _end_group(pid)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _work(request: dict[str, Any], descriptors: list[int], server: int) -> None:
    """The life of a worker, from the fork to its end."""
    from algok.pipeline.cluster.worker import die_with_parent
    from algok.pipeline.cluster.worker import main as work

    status = 1
    try:
        os.setsid()
        die_with_parent()
        if os.getppid() != server:  # it was gone before the kernel knew
            return
        with open(os.devnull) as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 0)
        out, err, pipe = descriptors
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.close(out)
        os.close(err)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        os.environ[SIGN_OF_LIFE] = str(pipe)
        tempfile.tempdir = None  # of the environment in which something has asked for it
        sys.argv[1:] = request["arguments"]
        work()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def serve(address: Path) -> None:
    """Import what workers need, then fork one for whoever asks at ``address``, until this process is ended."""
    stamp = code_stamp()  # before the imports: a change between them must not go unseen
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is loaded stays shared with the workers
    _Server(address, stamp).run()


def main() -> None:
    """``python -m algok.pipeline.cluster.forks SOCKET``."""
    parser = argparse.ArgumentParser(description="The fork server of a cluster on this machine.")
    parser.add_argument("socket", type=Path)
    serve(parser.parse_args().socket)


if __name__ == "__main__":
    main()
