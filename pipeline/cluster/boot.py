"""What a TaskManager starts as a Python worker (Beam's environment type PROCESS): the worker, and a watch over it.

The watch is this process. It imports nothing of Beam, so it stays small and cannot hang with the worker. The worker
(``algok.pipeline.cluster.worker``) writes a byte to a pipe every second while it is well. One that falls silent is
killed: Flink then restarts the job, which goes on from its finished units. A worker falls silent when it is
stopped, when a library call holds the interpreter for ever, or on purpose when it is at one element for too long.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

__all__ = ["LOG", "SIGN_OF_LIFE", "SILENT", "STUCK", "main", "supervise"]

#: Environment variables: seconds of silence; seconds at one element (0: never); a file for what the watch has to say;
#: the descriptor that the worker writes to.
SILENT, STUCK, LOG = "ALGOK_SILENT_SECONDS", "ALGOK_STUCK_SECONDS", "ALGOK_WORKER_LOG"
SIGN_OF_LIFE = "ALGOK_SIGN_OF_LIFE"
#: Seconds between two looks at the TaskManager, and for a worker to end when it is told to: it handles no signal, so
#: only one that is stopped needs longer, and Beam kills this process half a second after it has told it to end.
PERIOD_S, GRACE_S = 0.5, 0.2
DEFAULT_SILENT_S = 300.0


def _say(text: str) -> None:
    path = os.environ.get(LOG)
    if path:
        with contextlib.suppress(OSError), open(path, "a") as log:  # noqa: PTH123  (pathlib costs start-up)
            log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} worker watch {os.getpid()}: {text}\n")


def supervise(command: list[str], silent_s: float) -> int:
    """Run the worker until it ends, falls silent for ``silent_s`` seconds, or the parent of this process is gone.

    The status of the worker, or 1 when it had to be killed; nothing that it started is left.
    """
    parent = os.getppid()
    read, write = os.pipe()
    worker = subprocess.Popen(  # noqa: S603
        command, pass_fds=[write], env={**os.environ, SIGN_OF_LIFE: str(write)}, start_new_session=True
    )
    os.close(write)
    told = False

    def on_signal(number: int, frame: object) -> None:
        nonlocal told
        told = True
        worker.terminate()  # the pipe then closes, which ends the wait below

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    try:
        heard = time.monotonic()
        while worker.poll() is None:
            if os.getppid() != parent or told:
                _end(worker)
                return 1
            if select.select([read], [], [], PERIOD_S)[0] and os.read(read, 4096):
                heard = time.monotonic()
            elif time.monotonic() - heard > silent_s:
                _say(f"no sign of life of worker {worker.pid} for {silent_s:g} s: killed; Flink restarts the job")
                return 1
            elif worker.poll() is None:
                time.sleep(0.02)  # the pipe is closed but the process not yet gone
        return worker.returncode
    finally:
        # SIGKILL to the group: a stopped process gets nothing else, and the extractor's child may be stopped as well.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        os.close(read)


def _end(worker: "subprocess.Popen[bytes]") -> None:
    worker.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        worker.wait(timeout=GRACE_S)


def main() -> None:
    """Start the worker with the arguments of this process and watch over it."""
    silent = float(os.environ.get(SILENT) or DEFAULT_SILENT_S)
    sys.exit(supervise([sys.executable, "-m", "algok.pipeline.cluster.worker", *sys.argv[1:]], silent))


if __name__ == "__main__":
    main()
