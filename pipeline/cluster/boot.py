"""Entry point of Python workers on a Flink cluster (Beam's environment type PROCESS).

A TaskManager starts the worker with ``--id`` and the address of a provision service, which knows the pipeline options
and the other services. Beam's own boot program is a Go binary in its container images; this does what is needed of it.
"""

import argparse
import os
import sys
import threading

import grpc
from apache_beam.portability.api.org.apache.beam.model.fn_execution.v1 import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
)
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

import algok.transforms  # noqa: F401  registers the coders
from algok.transforms.worker import _end_with

__all__ = ["main", "worker_environment"]

#: Seconds to wait for the provision service.
_TIMEOUT_S = 60


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


def main() -> None:
    """Run Beam's SDK worker; ends when the TaskManager that started it is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    parser.add_argument("--control_endpoint", default="")
    arguments, _ = parser.parse_known_args()
    # A worker without its TaskManager must not go on writing beside the one that takes over.
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    with grpc.insecure_channel(arguments.provision_endpoint) as channel:
        call = grpc.intercept_channel(channel, _WorkerId(arguments.id))
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(call)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = service.GetProvisionInfo(request, timeout=_TIMEOUT_S, wait_for_ready=True).info
    os.environ.update(worker_environment(arguments.id, info, arguments.control_endpoint))
    sdk_worker_main.main(sys.argv[:1])


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
