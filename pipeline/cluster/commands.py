"""``algok cluster``: a Flink cluster on this machine."""

import time
from pathlib import Path
from typing import Any

import click

from algok.pipeline.console import reported

__all__ = ["cluster"]


def _home(folder: Path | None) -> Any:
    from algok.pipeline.cluster.layout import Home, default_home

    return Home(root=folder.absolute()) if folder else default_home()


_HOME = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the cluster; default: $ALGOK_HOME, else .algok in the current folder.",
)


@click.group()
def cluster() -> None:
    """Start and stop a Flink cluster on this machine.

    JobManager, TaskManagers and Beam's job server as separate processes on 127.0.0.1, without Docker. Their jars come
    from Maven Central once; after that no network is needed.
    """


@cluster.command()
@_HOME
@click.option("--task-managers", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--slots", type=click.IntRange(1, 64), default=2, show_default=True, help="Tasks of a TaskManager.")
@click.option("--task-manager-mb", type=click.IntRange(768), default=1024, show_default=True, help="Memory of one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="Dashboard; 0: any free.")
def up(home: Path | None, task_managers: int, slots: int, task_manager_mb: int, port: int) -> None:
    """Start the cluster; nothing happens when it runs already.

    \b
    Example:
      algok cluster up && algok run my.toml --runner flink --workers 4
    """
    from algok.pipeline.cluster.control import cluster_up
    from algok.pipeline.cluster.layout import ClusterOptions

    begin = time.monotonic()
    with reported():
        options = ClusterOptions(
            task_managers=task_managers, slots=slots, task_manager_mb=task_manager_mb, rest_port=port
        )
        addresses, fresh = cluster_up(_home(home), options, click.echo)
    took = f"started in {time.monotonic() - begin:.0f} s" if fresh else "already running"
    slots_text = f"{addresses.task_managers} TaskManagers with {addresses.slots} slots each"
    click.echo(f"Flink cluster {took}: {slots_text}\n{'dashboard:':<12}http://{addresses.rest}")
    click.echo(f"{'job server:':<12}{addresses.job_server}")


@cluster.command()
@_HOME
def down(home: Path | None) -> None:
    """Stop the processes that `algok cluster up` started from the same folder, and nothing else."""
    from algok.pipeline.cluster.control import cluster_down

    ended = cluster_down(_home(home))
    click.echo(f"stopped: {', '.join(ended)}" if ended else "no cluster was running")


@cluster.command()
@_HOME
def status(home: Path | None) -> None:
    """Show which processes are alive, and the dashboard's address."""
    from algok.pipeline.cluster.control import cluster_status

    where = _home(home)
    found = cluster_status(where)
    if not found:
        click.echo(f"no cluster was started in {where.root}")
        return
    for name, alive in found.items():
        click.echo(f"{name:<16}{'running' if alive else 'DEAD'}")
    if where.addresses.exists():
        click.echo(f"{'dashboard:':<16}http://{where.read_addresses().rest}")


@cluster.command()
@_HOME
def install(home: Path | None) -> None:
    """Fetch the jars of Flink and Beam's runner, check them, and print their folder; starts nothing.

    For a cluster of your own: its lib folder must hold these jars (docs/cluster.md).
    """
    from algok.pipeline.cluster.parts import install_parts

    where = _home(home)
    with reported():
        install_parts(where)
    click.echo(where.jars)


@cluster.command("job-server")
@_HOME
@click.option("--flink-master", required=True, metavar="HOST:PORT", help="REST address of the JobManager.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address that clients of this server use.")
@click.option("--port", type=click.IntRange(1, 65535), default=8099, show_default=True)
def job_server(home: Path | None, flink_master: str, host: str, port: int) -> None:
    """Run Beam's job server for a cluster of your own, in the foreground.

    \b
    Example:
      algok cluster job-server --flink-master flink.example:8081
    """
    import os

    from algok.pipeline.cluster.control import job_server_command

    with reported():
        command = job_server_command(_home(home), flink_master, host, port)
    os.execv(command[0], command)  # noqa: S606
