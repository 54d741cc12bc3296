"""Beam's local runner made fit for use: worker processes of our own, ports on loopback only, and no hang when a worker
is killed."""

import contextlib
import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import apache_beam as beam
import grpc
import psutil
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from algok.errors import StageError

__all__ = ["local_pipeline", "run_locally"]

_LOG = logging.getLogger(__name__)
_WORKER = "algok.transforms.worker"


def local_pipeline(args: list[str], workers: int) -> beam.Pipeline:
    """A pipeline for ``workers`` processes; with one, in this process."""
    environment = None
    if workers > 1:
        # exec: no shell in between, so that the worker sees when this process is gone.
        command = f"exec {shlex.quote(sys.executable)} -m {_WORKER} {os.getpid()}"
        environment = SubprocessSDKEnvironment.from_command_string(command)
    options = PipelineOptions([*args, f"--direct_num_workers={workers}"])
    return beam.Pipeline(runner=FnApiRunner(default_environment=environment), options=options)


def run_locally(pipeline: beam.Pipeline, workers: int) -> None:
    """Run to the end. Raises ``StageError`` when a worker process is killed, for which Beam would wait for ever."""
    with _loopback_only():
        if workers == 1:
            pipeline.run().wait_until_finish()
        else:
            _supervised(lambda: pipeline.run().wait_until_finish())


def _supervised(call: Callable[[], Any]) -> None:
    """Call in a thread, until it returns or a worker process dies."""
    ended = threading.Event()
    failures: list[BaseException] = []
    deaths: list[BaseException] = []
    others: list[Any] = []
    report = threading.excepthook

    def body() -> None:
        try:
            call()
        except BaseException as error:
            failures.append(error)
        ended.set()

    def on_thread_error(args: Any) -> None:
        if "Worker subprocess exited" not in str(args.exc_value):
            others.append(args)  # the channels of a dead worker fail as well: told only where nothing else explains it
        elif not ended.is_set():
            deaths.append(args.exc_value)
            ended.set()

    threading.excepthook = on_thread_error
    try:
        threading.Thread(target=body, daemon=True).start()
        ended.wait()
    finally:
        threading.excepthook = _without_leftovers(report) if deaths else report
    for args in others if not deaths else ():
        report(args)
    if failures:
        raise failures[0]
    if deaths:
        _end_workers()
        raise StageError(
            f"a worker process was killed ({deaths[0]}), perhaps for want of memory; finished work is kept: "
            "run the same command again, with fewer --workers if it happens again"
        )


def _without_leftovers(report: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A thread hook for what is left of a job that was given up: its threads fail one after the other, which is no
    news beside the error that ended it. Threads that did not belong to it are reported as before."""
    leftovers = set(threading.enumerate())

    def on_thread_error(args: Any) -> None:
        if args.thread in leftovers or isinstance(args.exc_value, grpc.RpcError):
            _LOG.debug("a thread of the abandoned job ended", exc_info=args.exc_value)
        else:
            report(args)

    return on_thread_error


def _end_workers() -> None:
    """End the other workers of a job that cannot go on."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if _WORKER in child.cmdline():
                child.kill()


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Beam's local runner opens its control ports on all interfaces; whoever reaches them can run code. Bind them to
    127.0.0.1 instead."""
    make_server = grpc.server

    def loopback_server(*args: Any, **kwargs: Any) -> Any:
        server = make_server(*args, **kwargs)
        add_port = server.add_insecure_port
        server.add_insecure_port = lambda address: add_port(address.replace("[::]:", "127.0.0.1:"))
        return server

    grpc.server = loopback_server
    try:
        yield
    finally:
        grpc.server = make_server
