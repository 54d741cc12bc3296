"""Beam's S3 filesystem makes a client of boto3 for every single call, at about 0.1 s of CPU each; one is enough."""

import os
import threading
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions, S3Options

__all__ = ["share_clients"]

_SETTINGS = (
    *("s3_access_key_id", "s3_secret_access_key", "s3_session_token", "s3_endpoint_url", "s3_region_name"),
    *("s3_api_version", "s3_verify", "s3_disable_ssl"),
)


def share_clients() -> None:
    """From now on, Beam's S3 clients of one process with the same options share connections. Without boto3 (which
    comes with ``algok[s3]``) nothing happens."""
    try:
        from apache_beam.io.aws.clients.s3 import boto3_client
    except ImportError:
        return
    made = boto3_client.Client
    if boto3_client.boto3 is None or getattr(made, "shared", False):
        return
    lock = threading.Lock()
    clients: dict[tuple[Any, ...], Any] = {}

    class Client(made):  # type: ignore[misc,valid-type]
        """As Beam's, but for the low-level client, which boto3 allows all threads to use at once."""

        shared = True

        def __init__(self, options: Any) -> None:
            settings = options.view_as(S3Options) if isinstance(options, PipelineOptions) else None
            values = [options.get(name) if settings is None else getattr(settings, name) for name in _SETTINGS]
            key = (os.getpid(), *values)
            with lock:
                if key not in clients:
                    clients[key] = made(options).client
            self.client = clients[key]
            self._download_request: Any = None
            self._download_stream: Any = None
            self._download_pos = 0

    boto3_client.Client = Client
