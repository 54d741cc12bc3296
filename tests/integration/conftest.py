"""A real Flink cluster on this machine: JobManager, two TaskManagers, Beam's job server, Python workers."""

import os
import shutil
from collections.abc import Iterator

import pytest

from algok.pipeline.cluster.control import cluster_down, cluster_up
from algok.pipeline.cluster.layout import HOME_VARIABLE, ClusterOptions, Home
from algok.pipeline.cluster.parts import expected_jars
from tests.conftest import REPOSITORY
from tests.pipeline.conftest import crawl, finished

__all__ = ["crawl", "finished"]

#: The smallest that the tests of the whole line pass on, so that they say something of memory as well.
OPTIONS = ClusterOptions(task_managers=2, slots=2, task_manager_mb=1024, rest_port=0)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Home]:
    """The home of a running cluster, in a folder of its own that keeps the jars from one session to the next."""
    home = Home(root=REPOSITORY / ".algok" / "test")
    if shutil.which("java") is None:
        pytest.skip("a Flink cluster needs Java, which is not on this machine")
    if shutil.which("mvn") is None and len(list(home.jars.glob("*.jar"))) != len(expected_jars()):
        pytest.skip("the parts of Flink are not here and Maven, which fetches them, is not on this machine")
    before = os.environ.get(HOME_VARIABLE)
    os.environ[HOME_VARIABLE] = str(home.root)
    cluster_down(home)  # of a session that was killed
    cluster_up(home, OPTIONS)
    try:
        yield home
    finally:
        cluster_down(home)
        if before is None:
            del os.environ[HOME_VARIABLE]
        else:
            os.environ[HOME_VARIABLE] = before
