"""Receipts on their way from the workers to the driver, through a fixed number of files."""

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import xxhash

from algok.transforms.storage import atomic_bytes, join, list_files, open_read

__all__ = ["CollectLines", "read_lines"]

#: Files per step: the driver opens this many, whatever the size of the job.
SHARDS = 8


def _key(line: str) -> tuple[int, str]:
    return xxhash.xxh3_64_intdigest(line.encode()) % SHARDS, line


class _WriteShard(beam.DoFn):  # type: ignore[misc]
    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(self, element: tuple[int, Iterable[str]]) -> None:
        shard, lines = element
        data = "".join(f"{line}\n" for line in sorted(lines)).encode()
        atomic_bytes(join(self._folder, f"{shard:03d}.jsonl"), data)


class CollectLines(beam.PTransform):  # type: ignore[misc]
    """Lines (JSON) to up to ``SHARDS`` sorted files in ``folder``; a retry writes its file again."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    def expand(self, pcoll: Any) -> Any:
        return (
            pcoll
            | "Shard" >> beam.Map(_key).with_output_types(tuple[int, str])
            | "ByShard" >> beam.GroupByKey()
            | "WriteLines" >> beam.ParDo(_WriteShard(self._folder))
        )


def read_lines(folder: str) -> Iterator[str]:
    """The lines that ``CollectLines`` wrote."""
    for found in list_files(join(folder, "*.jsonl")):
        with open_read(found.path) as file:
            for line in file:
                yield line.decode().rstrip("\n")
