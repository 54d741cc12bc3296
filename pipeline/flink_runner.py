"""Jobs on a Flink cluster: a short profile instead of ten Beam options, and no job of a killed client left running."""

import contextlib
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import grpc
import msgspec
import xxhash
from apache_beam.options.pipeline_options import PipelineOptions

from algok.errors import RecipeError, StageError
from algok.pipeline.cluster.boot import SILENT, STUCK
from algok.pipeline.cluster.control import rest_get
from algok.pipeline.cluster.layout import default_home

__all__ = ["FlinkProfile", "flink_pipeline", "is_flink", "load_profile", "root_cause", "run_on_flink"]

#: How long a cancelled job may take to end.
_CANCEL_S = 60.0
_ENDED = {"FINISHED", "CANCELED", "FAILED"}


class FlinkProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach a cluster and how to run on it.

    ``flink_master`` is the JobManager's REST address, ``job_server`` Beam's job server, both host:port.
    ``worker_command`` starts a Python worker on every node (see docs/cluster.md). ``parallelism`` 0 means
    ``--workers``. ``workers_per_task_manager`` is the number of Python processes that serve the slots of one
    TaskManager. A worker that is at one batch in one step for ``stuck_minutes`` (0: never) or gives no sign of life for
    ``silent_seconds`` is ended; Flink then restarts the job.
    """

    flink_master: str
    job_server: str
    worker_command: str
    parallelism: int = 0
    workers_per_task_manager: int = 1
    stuck_minutes: float = 60.0
    silent_seconds: float = 300.0
    beam_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, least in (("parallelism", 0), ("workers_per_task_manager", 1), ("stuck_minutes", 0.0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.silent_seconds < 5:
            raise ValueError(
                f"silent_seconds must be at least 5, not {self.silent_seconds}: workers need time to start"
            )
        host, _, port = self.job_server.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"job_server must be host:port, not {self.job_server!r}")


def is_flink(runner: str) -> bool:
    """Whether ``--runner`` names a profile: ``flink`` (the cluster of `algok cluster up`) or ``flink:profile.toml``."""
    return runner == "flink" or runner.startswith("flink:")


def load_profile(runner: str) -> FlinkProfile:
    """The profile that ``--runner`` names.

    Raises ``StageError`` when no cluster was started here, ``RecipeError`` for a file that is missing or wrong.
    """
    _, _, path = runner.partition(":")
    if not path:
        found = default_home().read_addresses()
        return FlinkProfile(flink_master=found.rest, job_server=found.job_server, worker_command=found.boot)
    try:
        return msgspec.toml.decode(Path(path).read_bytes(), type=FlinkProfile)
    except (OSError, msgspec.MsgspecError) as error:
        raise RecipeError(f"Flink profile {path}: {error}") from error


def _options(profile: FlinkProfile, workers: int, args: list[str]) -> PipelineOptions:
    limits = {STUCK: f"{profile.stuck_minutes * 60:g}", SILENT: f"{profile.silent_seconds:g}"}
    environment = msgspec.json.encode({"command": profile.worker_command, "env": limits}).decode()
    options = [
        "--runner=PortableRunner",
        f"--job_endpoint={profile.job_server}",
        "--environment_type=PROCESS",
        f"--environment_config={environment}",
        f"--parallelism={profile.parallelism or workers}",
        f"--sdk_worker_parallelism={profile.workers_per_task_manager}",
        # Otherwise `pip freeze` runs before each job, for seconds, to log what is installed here.
        "--experiments=disable_logging_submission_environment",
    ]
    return PipelineOptions([*options, *profile.beam_args, *args])


def _tag(work: str) -> str:
    """Marks the jobs of a work folder in their names."""
    return xxhash.xxh3_64_hexdigest(work.encode())[:8]


def flink_pipeline(name: str, profile: FlinkProfile, *, workers: int, work: str, args: list[str]) -> beam.Pipeline:
    """A pipeline for the cluster. Jobs that a killed client left at work in the same folder are cancelled first.

    Raises ``StageError`` when the cluster does not answer.
    """
    _check(profile)
    tag = _tag(work)
    cancel_jobs(profile, tag)
    return beam.Pipeline(options=_options(profile, workers, [f"--job_name={name}-{tag}", *args]))


def _check(profile: FlinkProfile) -> None:
    host, _, port = profile.job_server.rpartition(":")
    try:
        rest_get(profile.flink_master, "/overview")
        with socket.create_connection((host, int(port)), timeout=10):
            pass
    except OSError as error:
        raise StageError(
            f"the Flink cluster does not answer (JobManager {profile.flink_master}, job server {profile.job_server}: "
            f"{error}); start it (`algok cluster up` for one on this machine) and run the same command again"
        ) from error


def cancel_jobs(profile: FlinkProfile, tag: str) -> int:
    """Cancel the jobs whose names end with ``tag`` and wait until they have ended; their number.

    Raises ``StageError`` when one does not end.
    """
    deadline = time.monotonic() + _CANCEL_S
    cancelled: set[str] = set()
    while True:
        jobs = rest_get(profile.flink_master, "/jobs/overview")["jobs"]
        running = {job["jid"] for job in jobs if job["name"].endswith(f"-{tag}") and job["state"] not in _ENDED}
        if not running:
            return len(cancelled)
        for job in sorted(running - cancelled):
            with contextlib.suppress(OSError):  # it may have ended by now
                rest_get(profile.flink_master, f"/jobs/{job}?mode=cancel", method="PATCH")
        cancelled |= running
        if time.monotonic() > deadline:
            raise StageError(
                f"Flink job {min(running)} of an earlier run in this work folder does not end: cancel it in the "
                f"dashboard (http://{profile.flink_master}), then run the same command again"
            )
        time.sleep(0.3)


def run_on_flink(pipeline: beam.Pipeline, profile: FlinkProfile, work: str) -> None:
    """Run to the end. The job is cancelled when the client is interrupted.

    Raises ``StageError`` when the cluster is lost in mid-job or the job fails, but for errors of algok inside of a
    worker: those come as Beam gives them, and ``run_job`` finds them.
    """
    with _quiet_threads():
        try:
            pipeline.run().wait_until_finish()
        except BaseException as error:
            with contextlib.suppress(OSError, StageError):
                cancel_jobs(profile, _tag(work))
            if isinstance(error, grpc.RpcError):
                raise StageError(
                    f"the connection to Beam's job server at {profile.job_server} was lost; finished work is kept: "
                    "see that the cluster runs, then run the same command again"
                ) from error
            if isinstance(error, RuntimeError) and "algok.errors." not in str(error):
                raise StageError(
                    f"the Flink job failed: {root_cause(str(error))}; finished work is kept: see the dashboard at "
                    f"{profile.flink_master}, then run the same command again"
                ) from error
            raise


def root_cause(text: str) -> str:
    """The line of a Java or Python traceback that says what happened.

    >>> root_cause("Job failed\\n\\tat a.B\\nCaused by: java.lang.Exception: lost\\n\\tat a.C")
    'java.lang.Exception: lost'
    """
    python = re.findall(r"^(?!java|org|Caused)[\w.]+(?:Error|Exception): .*$", text, re.MULTILINE)
    java = re.findall(r"Caused by: (.*)$", text, re.MULTILINE)
    lines = python or java or text.strip().splitlines() or ["for a reason that Flink does not tell"]
    return str(lines[-1])[:500]


@contextlib.contextmanager
def _quiet_threads() -> Iterator[None]:
    """Beam reads job messages in a thread that dies with a traceback when the job server is gone. It also logs errors
    of the job, tracebacks and all, which come as exceptions as well."""
    report = threading.excepthook
    root = logging.getLogger()

    def not_of_beam(record: logging.LogRecord) -> bool:
        return not record.pathname.endswith("portable_runner.py")

    def on_thread_error(args: Any) -> None:
        if not isinstance(args.exc_value, grpc.RpcError):
            report(args)

    threading.excepthook = on_thread_error
    root.addFilter(not_of_beam)
    try:
        yield
    finally:
        root.removeFilter(not_of_beam)
        threading.excepthook = report
