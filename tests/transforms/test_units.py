"""Units: marks in sequence, files that appear whole, receipts that resume."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algok.errors import CorruptionError, StageError
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.steps import OnTally, StepResult, run_units
from algok.transforms.sinks import Output, count_rows, receipt_of
from algok.transforms.sources import read_parquet
from algok.transforms.units import Mark, Unit, mark_batch, mark_of, unit_key

ROWS = pa.schema([("source", pa.string()), ("language", pa.string()), ("bytes", pa.int32()), ("value", pa.int64())])


class Numbers:
    """A unit of ``rows`` rows in batches of ``batch``; counts its calls in a file."""

    schema = ROWS

    def __init__(self, calls: Path, batch: int) -> None:
        self.calls = calls
        self.batch = batch

    def read(self, unit: Unit, tally: dict[str, Any]) -> Iterator[tuple[pa.RecordBatch, float]]:
        with self.calls.open("a") as file:
            file.write(f"{unit.key}\n")
        rows = unit.body["rows"]
        tally["read"] = {"s": {"ko": [rows, rows]}} if rows else {}
        for start in range(0, rows, self.batch):
            values = list(range(start, min(rows, start + self.batch)))
            n = len(values)
            yield pa.record_batch([["s"] * n, ["ko"] * n, [1] * n, values], schema=ROWS), start / rows


class Double:
    """A kernel that doubles the value and fails where it is told to."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.fail_at = fail_at

    def load(self):
        def call(batch: pa.RecordBatch) -> pa.RecordBatch:
            values = batch.column("value").to_pylist()
            if self.fail_at in values:
                raise StageError("the kernel gave up")
            return batch.set_column(3, "value", pa.array([2 * v for v in values], pa.int64()))

        return call


def everything(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def count_kept(batch: pa.RecordBatch):
    n = batch.num_rows
    return count_rows(
        pa.record_batch({**{c: batch[c] for c in ("source", "language", "bytes")}, "outcome": ["kept"] * n})
    )


OUTPUTS = (Output(table="t", schema=ROWS, select=everything, count=count_kept, required=True),)
UNITS = [Unit(key=unit_key("u", n), size=n + 1, body={"rows": n}) for n in (0, 1, 10, 250)]


def run(
    folder: Path,
    *,
    key: str = "k",
    batch: int = 7,
    fail_at: int | None = None,
    workers: int = 1,
    on_tally: OnTally | None = None,
) -> StepResult:
    return run_units(
        stage="test",
        step="t",
        key=key,
        folder=str(folder),
        units=UNITS,
        source=Numbers(folder.parent / "calls", batch),
        kernels=[Double(fail_at)],
        outputs=OUTPUTS,
        options=RunOptions(workers=workers),
        reporter=Quiet(),
        on_tally=on_tally,
    )


def calls(folder: Path) -> list[str]:
    return (folder.parent / "calls").read_text().split()


def values(folder: Path) -> dict[str, list[int]]:
    return {p.stem: pq.read_table(p)["value"].to_pylist() for p in sorted((folder / "t").glob("*.parquet"))}


EXPECTED = {unit.key: [2 * v for v in range(unit.body["rows"])] for unit in UNITS}


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_each_unit_is_one_file_with_all_its_rows_in_order(tmp_path: Path, batch: int) -> None:
    result = run(tmp_path / "s", batch=batch)
    assert values(tmp_path / "s") == EXPECTED
    assert sum(f.rows for f in result.files) == 261
    assert [(c.outcome, c.documents, c.bytes) for c in result.counts] == [("kept", 261, 261)]
    assert result.read == {"s": {"ko": [261, 261]}}


def test_finished_units_are_not_done_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    tallies: list[dict[str, Any]] = []
    first = run(folder, on_tally=tallies.append)
    again = run(folder, on_tally=tallies.append)
    assert sorted(calls(folder)) == sorted(u.key for u in UNITS)
    assert again == first
    assert first.units == len(UNITS)
    assert tallies[: len(UNITS)] == tallies[len(UNITS) :]  # each unit's, also of those that were done before
    read = [t.get("read", {}).get("s", {}).get("ko", [0])[0] for t in tallies[: len(UNITS)]]
    assert sorted(read) == [0, 1, 10, 250]


def test_another_configuration_does_all_units_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    run(folder)
    run(folder, key="other")
    assert len(calls(folder)) == 2 * len(UNITS)


def test_a_failure_keeps_finished_units_and_leaves_no_half_file(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    with pytest.raises(StageError, match=r"^the kernel gave up$"):
        run(folder, fail_at=5)
    done = values(folder)
    assert {key: EXPECTED[key] for key in done} == done
    assert not list(folder.rglob("*.tmp-*"))
    run(folder)
    assert values(folder) == EXPECTED
    assert sorted(set(calls(folder))) == sorted(u.key for u in UNITS)


@pytest.mark.slow
def test_an_error_in_a_worker_process_arrives_as_itself(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^the kernel gave up$"):
        run(tmp_path / "s", fail_at=5, workers=2)


@pytest.mark.slow
def test_two_workers_write_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    run(tmp_path / "one" / "s")
    run(tmp_path / "two" / "s", workers=2)
    one = {p.name: p.read_bytes() for p in (tmp_path / "one" / "s" / "t").iterdir()}
    two = {p.name: p.read_bytes() for p in (tmp_path / "two" / "s" / "t").iterdir()}
    assert values(tmp_path / "one" / "s") == values(tmp_path / "two" / "s") == EXPECTED
    assert one.keys() == two.keys()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_noticed_and_done_again(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "s"
    result = run(folder)
    path = Path(max(result.files, key=lambda f: f.bytes).path)
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 4] ^= 0xFF
    path.write_bytes({"cut": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    stamp = unit_key("k", [])
    if damage != "flip":
        assert receipt_of(str(path), "t", stamp) is None
        run(folder)
        assert values(folder) == EXPECTED
    path.write_bytes({"cut": data[: len(data) // 2], "flip": data, "empty": b""}[damage])
    with pytest.raises(CorruptionError, match="is damaged"):
        list(read_parquet(str(path)))


def test_marks_travel_in_the_schema() -> None:
    mark = Mark(unit="u", sequence=3, stamp="s", last=True, done=0.5, tally={"a": 1})
    assert mark_of(mark_batch(pa.record_batch({"a": [1]}), mark)) == mark
    with pytest.raises(ValueError, match="no unit mark"):
        mark_of(pa.record_batch({"a": [1]}))


def test_a_writer_refuses_batches_out_of_sequence(tmp_path: Path) -> None:
    from algok.transforms.sinks import _WriteUnits

    writer = _WriteUnits(str(tmp_path), OUTPUTS)
    writer.setup()
    writer.start_bundle()
    batch = pa.record_batch([["s"], ["ko"], [1], [1]], schema=ROWS)
    list(writer.process(mark_batch(batch, Mark(unit="u", sequence=0))))
    with pytest.raises(StageError, match="batch 2 arrived where batch 1 of u was due"):
        list(writer.process(mark_batch(batch, Mark(unit="u", sequence=2))))
    writer.teardown()
    assert not list(tmp_path.rglob("*.parquet*"))
