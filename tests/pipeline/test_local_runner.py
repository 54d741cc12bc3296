"""What is left of a job whose worker was killed: one error in words, and no noise from its dying threads."""

import threading
from typing import Any

import pytest

from algok.errors import StageError
from algok.pipeline.local_runner import _supervised

Reported = list[type[BaseException]]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    """The errors of threads that reach the user."""
    found: Reported = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(args.exc_type))
    return found


def fail(error: BaseException, when: threading.Event | None = None) -> threading.Thread:
    def body() -> None:
        if when is not None:
            when.wait()
        raise error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread


def test_a_killed_worker_is_one_error_and_the_threads_it_leaves_are_silent(reported: Reported) -> None:
    later, never = threading.Event(), threading.Event()
    leftovers: list[threading.Thread] = []

    def job() -> None:
        leftovers.append(fail(ValueError("Cannot invoke RPC on closed channel!"), later))
        fail(RuntimeError("Worker subprocess exited with return code -9"))
        never.wait()

    with pytest.raises(StageError, match=r"a worker process was killed .*return code -9.*run the same command again"):
        _supervised(job)
    later.set()
    leftovers[0].join()
    assert reported == []
    fail(KeyError("a thread of the user's own")).join()
    assert reported == [KeyError]
    never.set()


def test_errors_of_a_job_that_lives_are_told(reported: Reported) -> None:
    def job() -> Any:
        fail(ValueError("odd")).join()
        raise StageError("what the job says")

    with pytest.raises(StageError, match="what the job says"):
        _supervised(job)
    assert reported == [ValueError]
