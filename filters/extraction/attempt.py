"""Work on one page with every exception, and in the child the CPU time, under control."""

import signal
from types import FrameType
from typing import Protocol

from algok.filters.extraction.messages import Page, PageResult

__all__ = ["HARD_FACTOR", "PageTimeoutError", "attempt", "interrupt"]

#: CPU time after which the kernel kills, over the time limit at which Python is interrupted: a C call that does not
#: come back to the interpreter lasts that long.
HARD_FACTOR = 1.25


class Kernel(Protocol):
    """What is attempted; ``PageKernel`` is one."""

    def extract(self, page: Page) -> PageResult: ...


class PageTimeoutError(BaseException):
    """Raised by the timer; no ``except Exception`` of a library may swallow it."""


def interrupt(number: int, frame: FrameType | None) -> None:
    """Signal handler of the soft limit."""
    raise PageTimeoutError


def attempt(kernel: Kernel, page: Page, *, limit: float | None = None) -> PageResult:
    """The kernel's result for a page, or a failed result; nothing but the end of the process gets out of here.

    ``limit`` is CPU seconds; it needs the main thread with ``interrupt`` on SIGPROF and the default on SIGVTALRM.
    """
    try:
        if limit is None:
            return kernel.extract(page)
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, limit * HARD_FACTOR)
            signal.setitimer(signal.ITIMER_PROF, limit)
            return kernel.extract(page)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    except PageTimeoutError:
        return PageResult(failed="timeout", detail=f"more than {limit:g} s of CPU time")
    except MemoryError:
        return PageResult(failed="memory", detail="the memory limit of the extracting process was reached", spent=True)
    except RecursionError:
        return PageResult(failed="depth", detail="nested too deeply for the extractor")
    except Exception as error:
        return PageResult(failed="extract", detail=f"{type(error).__name__}: {error}"[:500])
