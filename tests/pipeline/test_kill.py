"""kill -9 in every stage, then the same command: the output of an undisturbed run, and no finished stage repeated."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.pipeline.line import assert_same, outcome, recipe_text

pytestmark = pytest.mark.slow

STAGES = ["extract", "filter", "dedup", "mix", "train-tokenizer", "pack"]


def start(recipe: Path, work: Path, *more: str, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "algok.pipeline.cli", "run", str(recipe), "--work", str(work), "-q", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def published(work: Path) -> dict[str, int]:
    return {s: p.stat().st_mtime_ns for s in STAGES if (p := work / s / "manifest.json").exists()}


def wait_for_stage(process: subprocess.Popen[bytes], work: Path, stage: str) -> bool:
    """Until the stage is at work (its folder there, its manifest not); whether it came to that."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (work / stage).is_dir() and not (work / stage / "manifest.json").exists():
            return True
        time.sleep(0.005)
    return False


def kill(process: subprocess.Popen[bytes]) -> None:
    """The driver alone, as the kernel's memory killer would; its workers must notice by themselves."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, f"worker processes outlive their driver: {[p.cmdline() for p in alive]}"


def finish(recipe: Path, work: Path, *more: str) -> None:
    process = start(recipe, work, *more, errors=subprocess.PIPE)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


@pytest.fixture
def recipe(crawl: list[str], tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_text(crawl))
    return path


def test_killed_in_every_stage(recipe: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    work, random_ = tmp_path / "work", random.Random(7)
    hit = []
    for stage in STAGES:
        before = published(work)
        process = start(recipe, work, "--workers", "2")
        if wait_for_stage(process, work, stage):
            time.sleep(random_.uniform(0.0, 1.0))
            if process.poll() is None:
                hit.append(stage)
                kill(process)
        process.wait()
        after = published(work)
        assert {s: after[s] for s in before} == before, "a finished stage was run again"
    assert len(hit) >= 4, f"only {hit} were hit; the machine was too fast for this test"
    finish(recipe, work)
    assert_same(outcome(work), finished[1])
    assert not list(work.rglob("*.tmp-*"))


def test_killed_at_random_moments(recipe: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    work, random_ = tmp_path / "work", random.Random(11)
    for _ in range(6):
        process = start(recipe, work, "--workers", random_.choice(["1", "2"]))
        try:
            process.wait(timeout=random_.uniform(1.5, 8.0))
        except subprocess.TimeoutExpired:
            kill(process)
    finish(recipe, work)
    assert_same(outcome(work), finished[1])


def test_a_killed_worker_ends_in_an_error_and_the_same_command_repairs_it(
    recipe: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    process = start(recipe, work, "--workers", "2", errors=subprocess.PIPE)
    assert wait_for_stage(process, work, "extract")
    victim = None
    while process.poll() is None and victim is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            if "algok.transforms.worker" in " ".join(child.cmdline()):
                victim = child
        time.sleep(0.01)
    assert victim is not None
    time.sleep(3)
    victim.kill()
    _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert b"worker process" in errors
    assert b"Traceback" not in errors
    finish(recipe, work)
    assert_same(outcome(work), finished[1])
