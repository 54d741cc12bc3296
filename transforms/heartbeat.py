"""Progress of running units, as small files that the driver reads.

Runners report counters late or not at all while a job runs; a file per worker process works on all of them and costs a
write every two seconds. Nothing but the progress display depends on it.
"""

import contextlib
import os
import socket
import time
import uuid
from typing import NamedTuple

import msgspec

from algok.transforms.storage import atomic_bytes, delete, join, list_files, read_bytes

__all__ = ["Heartbeat", "Progress", "read_progress"]

#: Seconds between two writes of one worker.
PERIOD_S = 2.0
_FOLDER = ".progress"


class Progress(NamedTuple):
    """Rows written, units finished, and bytes of input behind them (units in work count by the part read)."""

    rows: int
    units: int
    bytes: int


class Heartbeat:
    """One worker's running totals."""

    def __init__(self, folder: str) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.json"
        self._path = join(folder, _FOLDER, name)
        self._rows = 0
        self._units = 0
        self._bytes = 0
        self._written = 0.0

    def beat(self, unit: str, *, rows: int, done: float, size: int, last: bool) -> None:
        """Count a batch; write when the last write is old enough."""
        self._rows += rows
        partial = 0 if last else int(size * done)
        if last:
            self._units += 1
            self._bytes += size
        now = time.monotonic()
        if last or now - self._written >= PERIOD_S:
            self._written = now
            value = {"rows": self._rows, "units": self._units, "bytes": self._bytes + partial, "unit": unit}
            with contextlib.suppress(Exception):  # telemetry must not stop the work
                atomic_bytes(self._path, msgspec.json.encode(value))

    def close(self) -> None:
        """Nothing: the driver removes the files when the step ends."""


def read_progress(folder: str) -> Progress:
    """The sum over all workers of a step."""
    rows = units = size = 0
    for found in list_files(join(folder, _FOLDER, "*.json")):
        with contextlib.suppress(Exception):
            value = msgspec.json.decode(read_bytes(found.path))
            rows, units, size = rows + value["rows"], units + value["units"], size + value["bytes"]
    return Progress(rows, units, size)


def clear_progress(folder: str) -> None:
    """Remove the progress files of a step."""
    delete([found.path for found in list_files(join(folder, _FOLDER, "*.json"))])
