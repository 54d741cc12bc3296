"""A real Flink cluster on this machine: JobManager, two TaskManagers, Beam's job server, Python workers."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from benchmarks.pages import copy_pages

from algok.pipeline.cluster.control import cluster_down, cluster_up
from algok.pipeline.cluster.layout import HOME_VARIABLE, ClusterOptions, Home
from algok.pipeline.cluster.parts import expected_jars
from algok.pipeline.recipe import Recipe
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import crawl
from tests.pipeline.line import outcome, recipe_for, run_to

__all__ = ["crawl"]

#: The smallest that the tests of the whole line pass on, so that they say something of memory as well.
OPTIONS = ClusterOptions(task_managers=2, slots=2, task_manager_mb=1024, rest_port=0)
#: Size of the temporary disk of Flink, which a test fills.
TEMPORARY_MB = 256
MINI_PAGES = 240


class Reference(NamedTuple):
    """Input files, the recipe over them, and what one worker of the local runner makes of it."""

    paths: list[str]
    recipe: Recipe
    work: Path
    outcome: dict[str, Any]


@contextlib.contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """A file system of its own at ``folder``; skips where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount the small disk that this test fills")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Home]:
    """The home of a running cluster, in a folder of its own that keeps the jars from one session to the next."""
    home = Home(root=REPOSITORY / ".algok" / "test")
    if shutil.which("java") is None:
        pytest.skip("a Flink cluster needs Java, which is not on this machine")
    if shutil.which("mvn") is None and len(list(home.jars.glob("*.jar"))) != len(expected_jars()):
        pytest.skip("the parts of Flink are not here and Maven, which fetches them, is not on this machine")
    before = {name: os.environ.get(name) for name in (HOME_VARIABLE, "PYTHONPATH")}
    os.environ[HOME_VARIABLE] = str(home.root)
    os.environ["PYTHONPATH"] = str(REPOSITORY)  # workers load DoFns of the tests
    cluster_down(home)  # of a session that was killed
    while home.temporary.is_mount():
        subprocess.run(["umount", "--lazy", str(home.temporary)], check=True)
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            with contextlib.suppress(pytest.skip.Exception):  # one test needs it; that one says so
                stack.enter_context(small_disk(home.temporary, TEMPORARY_MB * 1024))
        cluster_up(home, OPTIONS)
        try:
            yield home
        finally:
            cluster_down(home)
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="session")
def mini_pages(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """One WARC file with real pages, evenly spread over the mini crawl; empty where that is absent."""
    files = sorted((REPOSITORY.parent / "shared" / "data" / "mini_crawl").glob("*.warc.gz"))
    if not files:
        return []
    target = tmp_path_factory.mktemp("mini") / "mini.warc.gz"
    assert copy_pages(files, target, MINI_PAGES) == MINI_PAGES
    return [str(target)]


@pytest.fixture(scope="session")
def reference(crawl: list[str], mini_pages: list[str], tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """The synthetic crawl and real pages, through the line with one worker. Read only."""
    paths = [*crawl, *mini_pages]
    recipe = recipe_for(paths, extract={"split_mb": 0.5, "batch_rows": 50})
    work = tmp_path_factory.mktemp("reference")
    run_to(recipe, work)
    return Reference(paths, recipe, work, outcome(work))
