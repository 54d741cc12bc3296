"""Where a cluster lives on disk, how big it is, and what is written down of it for the commands that come later."""

import os
from pathlib import Path

import msgspec

from algok.errors import StageError

__all__ = ["HOME_VARIABLE", "Addresses", "ClusterOptions", "Home", "default_home"]

#: Environment variable that names the folder, for those who do not work in the repository.
HOME_VARIABLE = "ALGOK_HOME"


class ClusterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Size of a cluster on one machine. Memory is in MB and is the JVMs' own; Python workers come on top of it.

    ``slots`` is the number of parallel tasks of a TaskManager; their sum over the TaskManagers bounds the parallelism
    of a job. ``rest_port`` is the dashboard's; when it is taken, a free one is chosen.
    """

    task_managers: int = 2
    slots: int = 2
    job_manager_mb: int = 600
    task_manager_mb: int = 1024
    rest_port: int = 8081

    def __post_init__(self) -> None:
        for name, low, high in (
            ("task_managers", 1, 64),
            ("slots", 1, 64),
            ("job_manager_mb", 256, 65_536),
            ("task_manager_mb", 768, 262_144),
            ("rest_port", 0, 65_535),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise StageError(f"{name} of a cluster must be between {low} and {high}, not {value}")


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to know of a running cluster; host:port each."""

    rest: str
    job_server: str
    boot: str
    task_managers: int
    slots: int


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one cluster below ``root``."""

    root: Path

    @property
    def jars(self) -> Path:
        # Beam's job server uploads every jar on its class path with each job, except below a folder of this name (it
        # means Gradle's own jar). The jars are on the cluster's class path already.
        return self.root / "flink" / "lib" / "gradle" / "wrapper"

    @property
    def patched(self) -> Path:
        """Changed classes, which come first on the class path."""
        return self.jars / "patched"

    @property
    def conf(self) -> Path:
        return self.root / "flink" / "conf"

    @property
    def logs(self) -> Path:
        return self.root / "flink" / "log"

    @property
    def run(self) -> Path:
        """Process files."""
        return self.root / "flink" / "run"

    @property
    def temporary(self) -> Path:
        return self.root / "flink" / "tmp"

    @property
    def boot(self) -> Path:
        return self.root / "flink" / "boot"

    @property
    def forks(self) -> Path:
        """The socket of the fork server."""
        return self.run / "forks"

    @property
    def forks_fit(self) -> bool:
        """Whether the system can have a socket there: its path may have 107 bytes. Without one, workers are started."""
        return len(os.fsencode(self.forks)) < 108

    @property
    def addresses(self) -> Path:
        return self.run / "addresses.json"

    def read_addresses(self) -> Addresses:
        """Those of the running cluster. Raises ``StageError`` when none was started from this folder."""
        try:
            return msgspec.json.decode(self.addresses.read_bytes(), type=Addresses)
        except FileNotFoundError as error:
            raise StageError(
                f"no Flink cluster was started in {self.root}: run `algok cluster up`, or name a profile of your own "
                "cluster with --runner flink:profile.toml"
            ) from error


def default_home() -> Home:
    """``$ALGOK_HOME``, else ``.algok`` in the current folder."""
    return Home(root=Path(os.environ.get(HOME_VARIABLE) or ".algok").absolute())
