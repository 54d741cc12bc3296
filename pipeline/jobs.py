"""Running one Beam job: the runner, its options, progress while it runs, and errors in words."""

import contextlib
import logging
import re
import resource
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import apache_beam as beam
import msgspec
from apache_beam.options.pipeline_options import PipelineOptions

from algok import errors
from algok.pipeline.flink_runner import flink_pipeline, is_flink, load_profile, run_on_flink
from algok.pipeline.local_runner import local_pipeline, run_locally
from algok.transforms.heartbeat import Progress, clear_progress, read_progress

__all__ = ["Quiet", "Reporter", "RunOptions", "StepProgress", "cpu_seconds", "run_job"]

#: Names under which users ask for the local runner. Beam's own switch behind "DirectRunner" may try to download Prism.
LOCAL = {"", "direct", "directrunner", "fnapirunner"}


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``workers`` is for the local runner and Flink; ``beam_args`` are passed to Beam as they are. ``work`` is the
    folder of the run, by which Flink jobs of a killed run are found."""

    workers: int = 1
    runner: str = ""
    beam_args: tuple[str, ...] = ()
    work: str = ""

    @property
    def local(self) -> bool:
        return self.runner.lower() in LOCAL

    @property
    def name(self) -> str:
        return "local" if self.local else self.runner


class StepProgress(Protocol):
    """Shows one running step."""

    def update(self, progress: Progress) -> None: ...


class Reporter(Protocol):
    """Where progress and remarks go."""

    def step(self, stage: str, step: str, units: int, size: int) -> contextlib.AbstractContextManager[StepProgress]: ...

    def remark(self, text: str) -> None: ...


class Quiet:
    """A reporter that shows nothing."""

    @contextlib.contextmanager
    def step(self, stage: str, step: str, units: int, size: int) -> Iterator["Quiet"]:
        yield self

    def update(self, progress: Progress) -> None:
        pass

    def remark(self, text: str) -> None:
        pass


def cpu_seconds() -> float:
    """CPU time of this process and its ended children (worker processes)."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _pipeline(name: str, options: RunOptions) -> beam.Pipeline:
    args = [f"--job_name={name}", *options.beam_args]
    if options.local:
        return local_pipeline(args, options.workers)
    if is_flink(options.runner):
        profile = load_profile(options.runner)
        return flink_pipeline(name, profile, workers=options.workers, work=options.work, args=list(options.beam_args))
    return beam.Pipeline(options=PipelineOptions([f"--runner={options.runner}", *args]))


def run_job(
    name: str,
    build: Callable[[beam.Pipeline], Any],
    options: RunOptions,
    *,
    progress_folder: str | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> None:
    """Build and run a pipeline to its end; calls ``on_progress`` about twice a second.

    Raises the ``AlgokError`` that stopped a worker as itself, anything else as Beam gives it.
    """
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # errors arrive as exceptions, in full
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
            with contextlib.suppress(Exception):  # the display must not stop the work
                assert on_progress is not None
                assert progress_folder is not None
                on_progress(read_progress(progress_folder))

    watcher = threading.Thread(target=watch, daemon=True) if progress_folder and on_progress else None
    try:
        pipeline = _pipeline(name, options)
        build(pipeline)
        if watcher:
            watcher.start()
        if options.local:
            run_locally(pipeline, options.workers)
        elif is_flink(options.runner):
            run_on_flink(pipeline, load_profile(options.runner), options.work)
        else:
            pipeline.run().wait_until_finish()
    except errors.AlgokError as error:
        raise _cleaned(type(error), str(error)) from error
    except Exception as error:
        known = _known(str(error))
        if known is None:
            raise
        raise known from error
    finally:
        stop.set()
        if watcher and watcher.is_alive():
            watcher.join()
        if progress_folder:
            clear_progress(progress_folder)


def _cleaned(kind: type[errors.AlgokError], text: str) -> errors.AlgokError:
    """Without Beam's note on the transform in which it was raised."""
    return kind(re.sub(r"\s*\[while running '[^']*'(?: \(at [^)]*\))?\]", "", text))


def _known(text: str) -> errors.AlgokError | None:
    """The AlgokError inside the traceback text that a worker process sends."""
    matches = re.findall(r"^(?:algok\.errors\.)(\w+): (.*)$", text, re.MULTILINE)
    for name, message in reversed(matches):
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, errors.AlgokError):
            return _cleaned(kind, message)
    return None


def timed() -> Callable[[], tuple[float, float]]:
    """A clock: call the result for (wall seconds, CPU seconds) since now."""
    wall, cpu = time.monotonic(), cpu_seconds()
    return lambda: (time.monotonic() - wall, cpu_seconds() - cpu)
