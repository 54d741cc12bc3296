"""A process that extracts and may be killed, as seen from the worker that owns it.

The child is a fresh interpreter started with ``subprocess``: no fork of a process with threads, so it is safe in
Beam's in-process runner, in its multi-process workers and in Flink's. It holds no file of ours but its two pipes.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO, cast

import msgspec

from algok.errors import StageError
from algok.filters.extraction.attempt import HARD_FACTOR
from algok.filters.extraction.child import Setup
from algok.filters.extraction.messages import LENGTH, Chunk, Page, PageResult
from algok.filters.extraction.options import ExtractOptions

__all__ = ["DECODER", "Sandbox"]

DECODER = "algok.filters.charset:decode"
#: Wall-clock seconds for the child to start: imports take 0.6 s on an idle machine.
_START_S = 120.0
#: Wall clock over the CPU limit before the parent gives up on a child that is stopped or starved, and the least of it.
_WALL_FACTOR, _WALL_LEAST_S = 20.0, 120.0
#: How often a page is tried when the child dies for a reason that is not known to be the page's.
_TRIES = 2


class Sandbox:
    """One child, replaced whenever it dies. Not safe for threads: one per extractor."""

    def __init__(self, options: ExtractOptions, decoder: str = DECODER) -> None:
        self._options = options
        self._setup = msgspec.msgpack.encode(Setup(options, decoder))
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0
        self._wall = max(_WALL_LEAST_S, _WALL_FACTOR * options.time_limit_s)
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(PageResult).decode
        self._log: IO[bytes] | None = None
        #: Children started so far.
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id of the child, if one is alive."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def run(self, pages: Sequence[Page]) -> list[PageResult]:
        """One result per page, in order; a page that ends the child is one failed result and the rest goes on.

        Raises ``StageError`` only when no child can be started at all.
        """
        results: list[PageResult] = []
        tries = 0
        while len(results) < len(pages):
            if self._served >= self._options.pages_per_child:
                self.close()
            process = self._start()
            before = len(results)
            cause = ""
            try:
                self._write(process, self._encode(Chunk(list(pages[before:]))))
                for result in self._answers(process, len(pages) - before):
                    results.append(result)
                    self._served += 1
                    if result.spent:
                        break
                if len(results) == len(pages) and not results[-1].spent:
                    break
            except TimeoutError:
                cause = "timeout"
            except OSError:
                pass
            if results[before:] and results[-1].spent:
                self.close()
                tries = 0
                continue
            if len(results) > before:
                tries = 0
            tries += 1
            failed = self._autopsy(cause)
            if failed.failed == "timeout" or tries >= _TRIES:
                results.append(failed)
                tries = 0
        return results

    def close(self) -> None:
        """End the child and wait for it; the sandbox can be used again afterwards."""
        process, self._process = self._process, None
        self._served = 0
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.kill()
            process.wait()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (a pipe that nobody reads would block the child)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "algok.filters.extraction.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            close_fds=True,
            env=environment,
        )
        self.starts += 1
        try:
            self._write(process, self._setup)
            ready = self._receive(process, time.monotonic() + _START_S)
        except OSError as error:
            self._fail_start(f"{type(error).__name__}: {error}")
        if ready != b"ready":
            self._fail_start("it answered something else")
        return process

    def _fail_start(self, why: str) -> None:
        log = self._said()
        self.close()
        raise StageError(
            f"extract: the extracting process ({sys.executable} -m algok.filters.extraction.child) does not start: "
            f"{why}. Its last words: {log or 'none'}. Check that algok is installed for this interpreter everywhere."
        )

    def _said(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, self._log.tell() - 2000))
        return self._log.read().decode("utf-8", "replace").strip()

    def _autopsy(self, cause: str) -> PageResult:
        """Why the child died, as the result of the page that it was working on; the child is reaped."""
        process = self._process
        assert process is not None
        if cause != "timeout":
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
        code = process.poll()
        said = self._said()
        self.close()
        limit = self._options.time_limit_s
        if cause == "timeout":
            return PageResult(failed="timeout", detail=f"no answer within {self._wall:g} s")
        if code in (-signal.SIGVTALRM, -signal.SIGPROF, -signal.SIGXCPU):
            return PageResult(
                failed="timeout", detail=f"more than {limit * HARD_FACTOR:g} s of CPU time in one library call"
            )
        if code == -signal.SIGKILL:
            return PageResult(
                failed="memory", detail="the extracting process was killed, most likely for want of memory"
            )
        if "MemoryError" in said or "memory" in said.lower():
            return PageResult(failed="memory", detail=f"the extracting process ended: {said[-300:]}")
        name = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
        return PageResult(
            failed="extract", detail=f"the extracting process ended with {name}: {said[-300:]}".rstrip(": ")
        )

    def _answers(self, process: subprocess.Popen[bytes], count: int) -> Iterator[PageResult]:
        for _ in range(count):
            yield self._decode(self._receive(process, time.monotonic() + self._wall))

    def _write(self, process: subprocess.Popen[bytes], body: bytes) -> None:
        """The child reads a whole message before it answers, so writing cannot deadlock with its answers."""
        pipe = cast(IO[bytes], process.stdin)
        for part in (len(body).to_bytes(LENGTH, "little"), body):
            data = memoryview(part)
            while data:
                data = data[pipe.write(data) :]

    def _receive(self, process: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Body of the next message. Raises ``TimeoutError`` at the deadline, ``ConnectionResetError`` at the end."""
        head = self._exactly(process, LENGTH, deadline)
        return self._exactly(process, int.from_bytes(head, "little"), deadline)

    def _exactly(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        descriptor = cast(IO[bytes], process.stdout).fileno()
        parts = bytearray()
        while len(parts) < size:
            if not _readable(descriptor, deadline - time.monotonic()):
                raise TimeoutError
            part = os.read(descriptor, min(size - len(parts), 1 << 20))
            if not part:
                raise ConnectionResetError("the extracting process closed its pipe")
            parts += part
        return bytes(parts)


def _readable(descriptor: int, seconds: float) -> bool:
    """Wait with poll: select cannot watch descriptors above 1023, and a Beam worker can have many."""
    with selectors.PollSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(max(0.0, seconds)))
