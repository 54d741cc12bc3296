"""Peers in a process of their own: algok's stand-ins inside trafilatura would make it faster there, too."""

import multiprocessing
import time
from collections.abc import Callable
from typing import Any, Self

__all__ = ["Apart"]


def _serve(pipe: Any, engines: Callable[[], dict[str, Callable[[], Callable[[bytes], str]]]]) -> None:
    import logging

    logging.disable(logging.CRITICAL)
    made: dict[str, Callable[[bytes], str]] = {}
    while (message := pipe.recv()) is not None:
        name, payload = message
        if name not in made:
            made[name] = engines()[name]()
        start = time.process_time()
        try:
            text = made[name](payload)
        except Exception:  # a crash is a full miss, as in trafilatura's own benchmark
            text = ""
        pipe.send((text, time.process_time() - start))


class Apart:
    """Runs engines, which ``engines`` makes by name, on one page at a time in a fresh interpreter."""

    def __init__(self, engines: Callable[[], dict[str, Callable[[], Callable[[bytes], str]]]]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, engines), daemon=True)
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()

    def run(self, name: str, payload: bytes) -> tuple[str, float]:
        """Text of a page and the CPU seconds that it took."""
        self._pipe.send((name, payload))
        answer: tuple[str, float] = self._pipe.recv()
        return answer
