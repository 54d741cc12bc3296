"""Standing a cluster up and down: JobManager, TaskManagers, Beam's job server; all on 127.0.0.1."""

import contextlib
import json
import shutil
import socket
import stat
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import msgspec

from algok.errors import StageError
from algok.pipeline.cluster.boot import FORKS, LOG
from algok.pipeline.cluster.layout import Addresses, ClusterOptions, Home
from algok.pipeline.cluster.parts import install_parts, java
from algok.pipeline.cluster.processes import end_all, find_started, start_process

__all__ = [
    "cluster_down",
    "cluster_status",
    "cluster_up",
    "job_server_command",
    "rest_get",
    "start_job_manager",
    "start_job_server",
    "start_task_manager",
    "wait_until_ready",
]

JOB_MANAGER, JOB_SERVER, FORK_SERVER = "job-manager", "job-server", "fork-server"
#: Seconds until all parts must answer.
_START_S = 120.0
#: What Flink 1.19 needs opened on Java 17: `env.java.opts.all` of its own default configuration, less the compiler.
_OPENED = (
    *("--add-exports=java.base/sun.net.util=ALL-UNNAMED", "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED"),
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text"),
            *("java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic"),
            "java.util.concurrent.locks",
        )
    ),
)
_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
logger.beam.name = org.apache.beam
logger.beam.level = WARN
logger.configuration.name = org.apache.flink.configuration.GlobalConfiguration
logger.configuration.level = WARN
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %-60c %x - %m%n
"""


def _free_port(wanted: int) -> int:
    """``wanted`` if it is free, else any."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StageError("no free port on 127.0.0.1")


def _memory(total_mb: int) -> dict[str, int]:
    """How a TaskManager's memory is divided, in MB.

    Heap and Flink's managed memory (sorting, in batch jobs) get most; what Beam sends between stages are references,
    so network buffers stay small. Metaspace is outside of ``total_mb``'s parts that grow: Beam's classes need 130 MB.
    """
    metaspace, framework_off, network = 192, 160, max(64, total_mb // 10)
    rest = total_mb - metaspace - framework_off - network
    heap = rest * 2 // 3
    return {
        "framework.heap.size": 128,
        "task.heap.size": heap - 128,
        "framework.off-heap.size": framework_off,
        "task.off-heap.size": 0,
        "network.min": network,
        "network.max": network,
        "managed.size": rest - heap,
        "jvm-metaspace.size": metaspace,
        "jvm-overhead.min": 128,
        "jvm-overhead.max": 128,
    }


def _config(home: Home, options: ClusterOptions, rpc_port: int, rest_port: int) -> dict[str, Any]:
    memory = {f"taskmanager.memory.{name}": f"{size}m" for name, size in _memory(options.task_manager_mb).items()}
    return {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": rpc_port,
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.numberOfTaskSlots": options.slots,
        # Spread a job over the TaskManagers instead of filling one after the other.
        "taskmanager.load-balance.mode": "SLOTS",
        **memory,
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.bind-port": str(rest_port),
        "rest.port": rest_port,
        "web.submit.enable": False,
        "blob.server.port": 0,
        "io.tmp.dirs": str(home.temporary),
        # Beam's classes are on the class path of the cluster; a copy for each job would fill the metaspace.
        "classloader.resolve-order": "parent-first",
        "classloader.check-leaked-classloader": False,
        # A dead TaskManager is noticed within seconds, when two heartbeats cannot be delivered. The time-out is for one
        # that hangs, and generous: on a machine that is busy with other things a live one may be late.
        "heartbeat.interval": 3000,
        "heartbeat.timeout": 60000,
        # Five tries in a row over half a minute: the first ones may still go to a TaskManager that is dead. Not a fixed
        # number for the whole job: one that runs for days outlives more deaths than that.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.backoff-multiplier": 2.0,
        "restart-strategy.exponential-delay.max-backoff": "16 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": 5,
        "restart-strategy.exponential-delay.jitter-factor": 0.0,
        "cluster.registration.error-delay": 1000,
        "slot.request.timeout": 60000,
        "slotmanager.redundant-taskmanager-num": 0,
        "execution.attached": True,
    }


def _write_files(home: Home, options: ClusterOptions, rpc_port: int, rest_port: int) -> None:
    for folder in (home.conf, home.logs, home.run, home.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    config = _config(home, options, rpc_port, rest_port)
    # JSON values are YAML values.
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in config.items()]
    (home.conf / "config.yaml").write_text("".join(lines))
    (home.conf / "log4j.properties").write_text(_LOG4J)
    settings = f'{LOG}="{home.logs / "workers.log"}" {FORKS}="{home.forks}"'
    home.boot.write_text(f'#!/bin/sh\n{settings} exec "{sys.executable}" -m algok.pipeline.cluster.boot "$@"\n')
    home.boot.chmod(home.boot.stat().st_mode | stat.S_IXUSR)


def _java(home: Home, memory: list[str], main: str, *arguments: str) -> list[str]:
    # References go through these processes, not rows: a second compiler would cost more than its code saves.
    command = [java(), *memory, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *_OPENED]
    command += [f"-Dlog4j.configurationFile={home.conf / 'log4j.properties'}", f"-Djava.io.tmpdir={home.temporary}"]
    return [*command, "-cp", f"{home.patched}:{home.jars}/*", main, *arguments]


def _start_java(home: Home, name: str, memory: list[str], main: str, *arguments: str) -> None:
    command = _java(home, memory, main, *arguments)
    start_process(name, command, folder=home.run, log=home.logs / f"{name}.log", cwd=home.temporary)


def start_job_manager(home: Home, options: ClusterOptions) -> None:
    """Start (or start again) the JobManager with the configuration of ``cluster_up``."""
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    memory = [f"-Xmx{options.job_manager_mb}m", "-XX:MaxMetaspaceSize=256m"]
    _start_java(home, JOB_MANAGER, memory, main, "--configDir", str(home.conf))


def start_task_manager(home: Home, options: ClusterOptions, name: str) -> None:
    """Start (or start again) one TaskManager."""
    parts = _memory(options.task_manager_mb)
    heap = parts["framework.heap.size"] + parts["task.heap.size"]
    direct = parts["framework.off-heap.size"] + parts["task.off-heap.size"] + parts["network.max"]
    memory = [f"-Xmx{heap}m", f"-XX:MaxDirectMemorySize={direct}m"]
    memory.append(f"-XX:MaxMetaspaceSize={parts['jvm-metaspace.size']}m")
    main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    _start_java(home, name, memory, main, "--configDir", str(home.conf))


def _start_fork_server(home: Home) -> None:
    """Start (or start again) the process that workers are forked from."""
    command = [sys.executable, "-m", "algok.pipeline.cluster.forks", str(home.forks)]
    start_process(FORK_SERVER, command, folder=home.run, log=home.logs / f"{FORK_SERVER}.log", cwd=home.temporary)


_JOB_SERVER_MAIN = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_JOB_SERVER_MEMORY = ["-Xmx400m", "-XX:MaxMetaspaceSize=256m"]


def _job_server_arguments(home: Home, rest: str, host: str, port: int) -> list[str]:
    arguments = [f"--job-host={host}", f"--job-port={port}", "--artifact-port=0", "--expansion-port=0"]
    return [*arguments, f"--artifacts-dir={home.temporary / 'artifacts'}", f"--flink-master={rest}"]


def start_job_server(home: Home, addresses: Addresses) -> None:
    """Start (or start again) Beam's job server at the address that clients know."""
    host, port = addresses.job_server.split(":")
    arguments = [*_job_server_arguments(home, addresses.rest, host, int(port)), f"--flink-conf-dir={home.conf}"]
    _start_java(home, JOB_SERVER, _JOB_SERVER_MEMORY, _JOB_SERVER_MAIN, *arguments)


def job_server_command(home: Home, flink_master: str, host: str, port: int) -> list[str]:
    """The command of a job server in the foreground, for a cluster of the user's own at ``flink_master`` (host:port).

    Installs the jars if they are missing.
    """
    install_parts(home)
    for folder in (home.conf, home.temporary):
        folder.mkdir(parents=True, exist_ok=True)
    (home.conf / "log4j.properties").write_text(_LOG4J)
    arguments = _job_server_arguments(home, flink_master, host, port)
    return _java(home, _JOB_SERVER_MEMORY, _JOB_SERVER_MAIN, *arguments)


def cluster_up(
    home: Home, options: ClusterOptions, say: Callable[[str], None] = lambda text: None
) -> tuple[Addresses, bool]:
    """Install what is missing, start what is not running, wait until all answer; the addresses, and whether anything
    was started.

    Raises ``StageError`` when a part does not start; nothing is left running then.
    """
    running = {started.name for started in find_started(home.run) if started.process()}
    managers = [f"task-manager-{i + 1}" for i in range(options.task_managers)]
    names = [JOB_MANAGER, *managers, JOB_SERVER, *([FORK_SERVER] if home.forks_fit else [])]
    if running == set(names):
        return home.read_addresses(), False
    if {*running, FORK_SERVER} == set(names):  # jobs go on without it
        _start_fork_server(home)
        return home.read_addresses(), False
    if running:
        cluster_down(home)
    java()
    say("installing the parts of Flink (first time only) ...") if not home.jars.is_dir() else None
    install_parts(home)
    for path in home.logs.glob("*.log"):
        path.unlink()
    rest, rpc, job = _free_port(options.rest_port), _free_port(6123), _free_port(8099)
    _write_files(home, options, rpc, rest)
    addresses = Addresses(
        rest=f"127.0.0.1:{rest}",
        job_server=f"127.0.0.1:{job}",
        boot=str(home.boot),
        task_managers=options.task_managers,
        slots=options.slots,
    )
    try:
        start_job_manager(home, options)
        for name in managers:
            start_task_manager(home, options, name)
        if home.forks_fit:
            _start_fork_server(home)
        start_job_server(home, addresses)
        wait_until_ready(home, addresses)
    except BaseException:
        cluster_down(home)
        raise
    home.addresses.write_bytes(msgspec.json.encode(addresses))
    return addresses, True


def wait_until_ready(home: Home, addresses: Addresses) -> None:
    """Until all TaskManagers have registered and the job server listens. Raises ``StageError`` that names the log."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        for started in find_started(home.run):
            if started.process() is None:
                log = home.logs / f"{started.name}.log"
                last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
                raise StageError(f"{started.name} ended at once: {' '.join(last)} (see {log})")
        with contextlib.suppress(OSError, ValueError):
            overview = rest_get(addresses.rest, "/overview")
            host, port = addresses.job_server.split(":")
            with socket.create_connection((host, int(port)), timeout=1):
                if overview["taskmanagers"] == addresses.task_managers:
                    return
        time.sleep(0.3)
    raise StageError(f"the Flink cluster did not answer within {_START_S:.0f} s; its logs are in {home.logs}")


def cluster_down(home: Home) -> list[str]:
    """End what ``cluster_up`` started from this folder; the names of what was running."""
    # The job server first, and TaskManagers before the JobManager: nothing is then lost sight of.
    order = sorted(find_started(home.run), key=lambda s: (s.name != JOB_SERVER, s.name == JOB_MANAGER))
    ended = end_all(home.run, [started.name for started in order])
    for path in (home.addresses, home.forks):
        path.unlink(missing_ok=True)
    shutil.rmtree(home.temporary, ignore_errors=True)
    return ended


def cluster_status(home: Home) -> dict[str, bool]:
    """Whether each process that was started is alive."""
    return {started.name: started.process() is not None for started in find_started(home.run)}


def rest_get(address: str, path: str, method: str = "GET") -> Any:
    """A call of Flink's REST interface. Raises ``OSError`` when nobody answers."""
    base = address if "://" in address else f"http://{address}"
    request = urllib.request.Request(f"{base.rstrip('/')}{path}", method=method)  # noqa: S310
    # No proxy: the cluster is on this machine or in this network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        data = answer.read()
    return json.loads(data) if data else None
