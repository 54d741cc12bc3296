"""What jobs of the tests do to their elements; imported by the workers."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hang_once", "parent_of_worker"]


def hang_once(note: str) -> Iterator[str]:
    """Note the try; for ever, unless it was tried before."""
    path = Path(note)
    tried = path.exists()
    with path.open("a") as file:
        file.write("tried\n")
    while not tried:
        time.sleep(1)
    yield "done"


def parent_of_worker(element: str) -> str:
    """Process id."""
    return str(os.getppid())
