from collections.abc import Iterable

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from algok.transforms.coders import RecordBatchCoder, decode_batch, encode_batch
from algok.transforms.shuffle import ReadPartition, ShuffleRows, partition_ids

SCHEMA = pa.schema([("key", pa.int64()), ("value", pa.string())])


class WritePartition:
    """Ends a shuffle in a test: one file a partition."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._read = ReadPartition(SCHEMA)

    def __call__(self, element: tuple[int, Iterable[str]]) -> int:
        partition, references = element
        table = self._read(references).sort_by([("key", "ascending"), ("value", "ascending")])
        with pa.OSFile(f"{self._folder}/{partition}.arrow", "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            writer.write_table(table)
        return partition


def test_a_slice_travels_without_its_parent() -> None:
    batch = pa.record_batch({"a": np.arange(1_000_000)}).slice(10, 3)
    data = encode_batch(batch)
    assert len(data) < 1_000
    assert decode_batch(data).to_pydict() == {"a": [10, 11, 12]}


def test_the_coder_is_registered_and_keeps_metadata() -> None:
    import algok.transforms  # noqa: F401

    assert isinstance(beam.coders.registry.get_coder(pa.RecordBatch), RecordBatchCoder)
    batch = pa.record_batch({"a": [1]}).replace_schema_metadata({b"k": b"v"})
    assert decode_batch(encode_batch(batch)).schema.metadata == {b"k": b"v"}


@pytest.mark.parametrize(
    "key",
    [
        pa.array([b"a" * 16, b"b" * 16, b"a" * 16, b"c" * 16], pa.binary(16)),
        pa.array([7, 1 << 60, 7, -4], pa.int64()),
        pa.array(["가", "b", "가", ""], pa.string()),
    ],
)
def test_partitions_depend_on_the_value_alone(key: pa.Array) -> None:
    ids = partition_ids(key, 1000)
    assert ids[0] == ids[2]
    assert len({*ids.tolist()}) == 3
    assert ids.tolist()[1:] == partition_ids(key.slice(1), 1000).tolist()
    assert all(0 <= i < 1000 for i in ids)


def test_keys_that_cannot_be_hashed_are_refused() -> None:
    with pytest.raises(ValueError, match="null"):
        partition_ids(pa.array([1, None]), 2)
    with pytest.raises(TypeError, match="double"):
        partition_ids(pa.array([1.0]), 2)


def run_shuffle(
    folder, rows: int, batch: int, workers: int, flush: int, inputs: int = 1
) -> dict[int, list[tuple[int, str]]]:
    """Shuffle made-up rows, in one PCollection or spread over several."""
    folder.mkdir()
    table = pa.table({"key": [i % 97 for i in range(rows)], "value": [f"v{i}" for i in range(rows)]}, schema=SCHEMA)
    mode = "multi_processing" if workers > 1 else "in_memory"
    options = PipelineOptions([f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"])
    with beam.Pipeline(runner=FnApiRunner(), options=options) as p:
        batches = table.to_batches(max_chunksize=batch)
        parts = tuple(
            p | f"Make{i}" >> beam.Create(batches[i::inputs]) | f"Spread{i}" >> beam.Reshuffle() for i in range(inputs)
        )
        _ = (
            (parts if inputs > 1 else parts[0])
            | ShuffleRows(str(folder / "spill"), key="key", partitions=5, flush_bytes=flush)
            | beam.Map(WritePartition(str(folder)))
        )
    result = {}
    for path in folder.glob("*.arrow"):
        got = pa.ipc.open_file(path).read_all()
        result[int(path.stem)] = list(zip(got["key"].to_pylist(), got["value"].to_pylist(), strict=True))
    return result


def test_every_row_arrives_once_whatever_the_batches(tmp_path) -> None:
    whole = run_shuffle(tmp_path / "a", 5_000, 5_000, 1, 1 << 20)
    pieces = run_shuffle(tmp_path / "b", 5_000, 7, 1, 2_000)
    assert whole == pieces
    rows = [row for partition in whole.values() for row in partition]
    assert sorted(rows) == sorted((i % 97, f"v{i}") for i in range(5_000))


def test_several_collections_are_shuffled_as_one(tmp_path) -> None:
    one = run_shuffle(tmp_path / "a", 999, 10, 1, 2_000)
    assert run_shuffle(tmp_path / "b", 999, 10, 1, 2_000, inputs=3) == one


@pytest.mark.slow
def test_two_worker_processes_give_the_same_partitions(tmp_path) -> None:
    assert run_shuffle(tmp_path / "a", 999, 10, 1, 1 << 20) == run_shuffle(tmp_path / "b", 999, 10, 2, 1 << 20)
