"""CPU time and memory of a running tree of processes, at any moment, ended processes included (Linux).

``measure`` knows what a command cost when all is over; a benchmark of a cluster wants to know what one job cost while
the cluster goes on. The process that watches becomes the *subreaper* of its tree, so that nothing that ends gets lost.
"""

import contextlib
import ctypes
import os
import resource
import threading
import time
from collections.abc import Callable

import psutil

__all__ = ["Watch", "kind_of"]

_PR_SET_CHILD_SUBREAPER = 36
#: Seconds between two samples of memory; what they cost is not counted.
PERIOD_S = 1.0
#: What a command line has in it, by kind of process; the first match counts.
_KINDS = (
    ("StandaloneSessionClusterEntrypoint", "JobManager"),
    ("TaskManagerRunner", "TaskManager"),
    ("FlinkJobServerDriver", "job server"),
    ("algok.filters.extraction.child", "extracting child"),
    ("algok.pipeline.cluster.worker", "Python worker"),
    ("algok.pipeline.cluster.forks", "Python worker"),  # forked ones keep the command line of their server
    ("algok.transforms.worker", "Python worker"),
    ("algok.pipeline.cluster.boot", "watch of a worker"),
)


def kind_of(command: str) -> str:
    """The kind of a process by its command line; ``other`` for what is not known.

    >>> kind_of("python -m algok.transforms.worker 17")
    'Python worker'
    """
    return next((kind for mark, kind in _KINDS if mark in command), "other")


class Watch:
    """Watches the tree below this process from its making on."""

    def __init__(self) -> None:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._own = psutil.Process()
        self._peaks: dict[str, float] = {}
        self._sampling_s = 0.0
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        while True:
            for process in [self._own, *self._own.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    kind = "driver" if process == self._own else kind_of(" ".join(process.cmdline()))
                    self._peaks[kind] = max(self._peaks.get(kind, 0.0), process.memory_info().rss / 1e6)
            self._sampling_s = time.thread_time()
            time.sleep(PERIOD_S)

    def peaks(self) -> dict[str, float]:
        """Largest resident size so far of one process of each kind, in MB."""
        return {kind: round(size, 1) for kind, size in sorted(self._peaks.items())}

    def cpu_s(self) -> float:
        """User and system seconds so far, of this process (but for its samples) and all that it ever started."""
        known = {process.pid for process in self._own.children()}
        for pid in known:
            with contextlib.suppress(psutil.Error, ChildProcessError):
                if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(pid, os.WNOHANG)
        total = -self._sampling_s
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(who)
            total += used.ru_utime + used.ru_stime
        for process in self._own.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += sum(process.cpu_times()[:4])  # user, system, and both of its ended children
        return total

    def clock(self) -> Callable[[], tuple[float, float]]:
        """Call the result for (wall seconds, CPU seconds) since now."""
        wall, cpu = time.monotonic(), self.cpu_s()
        return lambda: (time.monotonic() - wall, self.cpu_s() - cpu)
