"""The Python worker on a Flink cluster, below the watch of ``boot``.

It is called with ``--id`` and the address of a provision service, which knows the pipeline options and the other
services. Beam's own boot program is a Go binary in its container images; this does what is needed of it. Beam's limit
for one element (``element_processing_timeout_minutes``) needs a status service that Flink's runner does not have: so
the sign of life that the watch waits for stops when an element takes too long.
"""

import argparse
import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import traceback
from typing import Any

import grpc
from apache_beam.portability.api.org.apache.beam.model.fn_execution.v1 import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

import algok.transforms  # noqa: F401  registers the coders
from algok.pipeline.cluster.boot import SIGN_OF_LIFE, STUCK
from algok.transforms.worker import _end_with

__all__ = ["die_with_parent", "main", "stuck_elements", "worker_environment"]

_LOG = logging.getLogger(__name__)
#: Seconds to wait for the provision service.
_TIMEOUT_S = 60
#: Seconds between two signs of life.
_PERIOD_S = 1.0


def die_with_parent() -> None:
    """The kernel kills this process when its parent is gone (Linux)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def worker_environment(worker_id: str, info: "beam_provision_api_pb2.ProvisionInfo", control: str) -> dict[str, str]:
    """The environment variables that Beam's SDK worker reads, from what the provision service says."""
    values = {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    endpoints = {
        "CONTROL": info.control_endpoint,
        "LOGGING": info.logging_endpoint,
        "STATUS": info.status_endpoint,
    }
    for name, endpoint in endpoints.items():
        if endpoint.url:
            values[f"{name}_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(endpoint)
    if control:
        values["CONTROL_API_SERVICE_DESCRIPTOR"] = f'url: "{control}"'
    return values


def stuck_elements(processors: Any, limit_s: float) -> list[str]:
    """What the bundles in work (Beam's ``BundleProcessorCache``) are at for longer than ``limit_s`` seconds without
    any batch going on to the next step: step and stack of each. Waiting for input is not being stuck."""
    found = []
    for instruction in list(processors.active_bundle_processors):
        processor = processors.lookup(instruction)
        if processor is None:
            continue
        info = processor.state_sampler.get_info()
        step = getattr(info.state_name, "step_name", None)
        if not step or info.time_since_transition < limit_s * 1e9:
            continue
        frame = sys._current_frames().get(info.tracked_thread.ident) if info.tracked_thread else None
        stack = "".join(traceback.format_stack(frame)) if frame else ""
        found.append(f"{step} is at one element for {info.time_since_transition / 1e9:.0f} s\n{stack}")
    return found


def _live(harness: Any, pipe: int, limit_s: float) -> None:
    """Write a byte every second, until an element takes too long."""
    while True:
        stuck = stuck_elements(harness._bundle_processor_cache, limit_s) if limit_s else []
        if stuck:
            _LOG.error("this worker is ended by its watch, and Flink restarts the job: %s", "\n".join(stuck))
            time.sleep(_PERIOD_S)  # for the log to reach the TaskManager
            os._exit(1)
        with contextlib.suppress(OSError):
            os.write(pipe, b".")
        time.sleep(_PERIOD_S)


def main() -> None:
    """Run Beam's SDK worker; ends when the process that started or forked it is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    parser.add_argument("--control_endpoint", default="")
    arguments, _ = parser.parse_known_args()
    # A worker without its TaskManager must not go on writing beside the one that takes over. The kernel ends it, even
    # when it is stopped (Linux); the thread is for a watch that was gone before this line, and for other systems.
    die_with_parent()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with grpc.insecure_channel(arguments.provision_endpoint) as channel:
        call = grpc.intercept_channel(channel, _WorkerId(arguments.id))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(call)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = service.GetProvisionInfo(request, timeout=_TIMEOUT_S, wait_for_ready=True).info
    os.environ.update(worker_environment(arguments.id, info, arguments.control_endpoint))
    handler, harness, _ = sdk_worker_main.create_harness(os.environ)
    pipe, limit = os.environ.get(SIGN_OF_LIFE), float(os.environ.get(STUCK) or 0)
    if pipe is not None:
        threading.Thread(target=_live, args=(harness, int(pipe), limit), daemon=True).start()
    try:
        harness.run()
    finally:
        if handler is not None:
            handler.close()


class _WorkerId(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Beam's services tell workers apart by this header."""

    def __init__(self, worker_id: str) -> None:
        self._worker_id = worker_id

    def intercept_unary_unary(self, continuation, client_call_details, request):  # type: ignore[no-untyped-def]
        details = client_call_details._replace(
            metadata=[*(client_call_details.metadata or ()), ("worker_id", self._worker_id)]
        )
        return continuation(details, request)


if __name__ == "__main__":
    main()
