"""A job whose element hangs the first time that it is tried; imported by the workers."""

import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hang_once"]


def hang_once(note: str) -> Iterator[str]:
    """Note the try; for ever, unless it was tried before."""
    path = Path(note)
    tried = path.exists()
    with path.open("a") as file:
        file.write("tried\n")
    while not tried:
        time.sleep(1)
    yield "done"
