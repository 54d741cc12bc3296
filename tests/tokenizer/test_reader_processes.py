"""Readers in processes of their own: killed and resumed with another world size; as a PyTorch dataset."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from algok.errors import InputError
from algok.tokenizer.reader import ShardReader, torch_dataset
from tests.conftest import REPOSITORY
from tests.tokenizer.test_shards import write_random_shard

Order = dict[int, tuple[int, int]]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("shards")
    for i in range(3):
        write_random_shard(folder / f"{i}.arrow", i, documents=150)
    return sorted(folder.glob("*.arrow"))


def _start(log: Path, rank: int, world: int, state: str, shards: list[Path]) -> Any:
    command = [sys.executable, "-m", "tests.tokenizer.reader_process", str(log), str(rank), str(world), "2", state]
    command += map(str, shards)
    return subprocess.Popen(command, cwd=REPOSITORY)


def _logged(logs: list[Path]) -> Order:
    """Whole lines of the logs; a killed process may leave half a line."""
    found: Order = {}
    for log in logs:
        text = log.read_text() if log.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines():
            position, shard, row = map(int, line.split())
            assert found.setdefault(position, (shard, row)) == (shard, row)
    return found


@pytest.mark.slow
def test_killed_readers_go_on_in_the_same_order_with_other_world_sizes(shards: list[Path], tmp_path: Path) -> None:
    whole = {item.position: (item.shard, item.row) for item in ShardReader(shards, seed=1)}
    random_ = random.Random(3)
    done: Order = {}
    state, kills = "null", 0
    for attempt, world in enumerate((3, 2, 4, 1)):
        logs = [tmp_path / f"{attempt}-{rank}.log" for rank in range(world)]
        states = [Path(f"{log}.state") for log in logs]
        running = [_start(log, rank, world, state, shards) for rank, log in enumerate(logs)]
        if world > 1:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and not all(path.exists() for path in states):
                time.sleep(0.01)
            time.sleep(random_.uniform(0.0, 0.1))
            for process in running:
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                    kills += 1
        assert {process.wait(60) for process in running} <= {0, -signal.SIGKILL}
        # The last step that all ranks finished is where training goes on.
        state = min((path.read_text() for path in states), key=lambda text: json.loads(text)["position"])
        # What was read after it is read again, and must be the same.
        assert all(done.setdefault(position, place) == place for position, place in _logged(logs).items())
    assert kills >= 6
    assert done == whole


def _fake_torch(worker: tuple[int, int] | None) -> dict[str, types.ModuleType]:
    """As much of torch as ``torch_dataset`` uses; for environments without it."""
    torch, utils, data = (types.ModuleType(name) for name in ("torch", "torch.utils", "torch.utils.data"))
    torch.from_numpy = np.asarray  # type: ignore[attr-defined]
    data.IterableDataset = object  # type: ignore[attr-defined]
    info = types.SimpleNamespace(id=worker[0], num_workers=worker[1]) if worker else None
    data.get_worker_info = lambda: info  # type: ignore[attr-defined]
    return {"torch": torch, "torch.utils": utils, "torch.utils.data": data}


def _loader(make: Callable[[int, int], ShardReader], workers: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Positions of the batches of two that a DataLoader gives: PyTorch's own, or a copy of its rule without it."""
    try:
        from torch.utils.data import DataLoader
    except ImportError:
        parts = []
        for worker in range(max(1, workers)):
            for name, module in _fake_torch((worker, workers) if workers else None).items():
                monkeypatch.setitem(sys.modules, name, module)
            parts.append(list(itertools.batched(torch_dataset(make), 2)) if hasattr(itertools, "batched")
                         else _pairs(list(torch_dataset(make))))  # fmt: skip
        rounds = itertools.zip_longest(*parts)
        return [[item["position"] for item in batch] for group in rounds for batch in group if batch]
    loader = DataLoader(torch_dataset(make), batch_size=2, num_workers=workers)
    return [batch["position"].tolist() for batch in loader]


def _pairs(items: list[Any]) -> list[list[Any]]:
    return [items[at : at + 2] for at in range(0, len(items), 2)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_the_global_order(
    workers: int, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ShardReader(shards, seed=1, world=2, block=2).state_at(40)

    def make(worker: int, count: int) -> ShardReader:
        return ShardReader(shards, seed=1, rank=1, world=2, block=2, worker=worker, workers=count, state=state)

    expected = [item.position for item in ShardReader(shards, seed=1, rank=1, world=2, block=2, state=state)]
    batches = _loader(make, workers, monkeypatch)
    assert [position for batch in batches for position in batch] == expected
    assert all(len(batch) == 2 for batch in batches[:-1])


def test_without_torch_the_dataset_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="torch is not installed"):
        torch_dataset(lambda worker, workers: ShardReader([]))
