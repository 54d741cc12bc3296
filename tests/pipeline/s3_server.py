"""An S3-compatible store on this machine (moto's server, on loopback), and what tests do with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Store", "s3_store"]

BUCKET = "crawl"


class Store(NamedTuple):
    """``args`` are the options by which Beam finds the store; ``client`` is boto3's."""

    args: tuple[str, ...]
    client: Any

    def put(self, paths: list[str], prefix: str) -> str:
        """Upload files; the pattern that names them."""
        for path in paths:
            self.client.upload_file(path, BUCKET, f"{prefix}/{Path(path).name}")
        return f"s3://{BUCKET}/{prefix}/*.warc.gz"

    def keys(self, prefix: str) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def get(self, prefix: str, folder: Path) -> Path:
        """Copy all objects below a prefix to a folder."""
        for key in self.keys(prefix):
            target = folder / key[len(prefix) :].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            self.client.download_file(BUCKET, key, str(target))
        return folder


@contextmanager
def s3_store() -> Iterator[Store]:
    """An empty store with one bucket."""
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # not a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
        client.create_bucket(Bucket=BUCKET)
        args = (f"--s3_endpoint_url=http://{host}:{port}", "--s3_region_name=us-east-1")
        yield Store((*args, "--s3_access_key_id=any", "--s3_secret_access_key=any"), client)
    finally:
        server.stop()
