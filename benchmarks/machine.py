"""The machine that a benchmark ran on, in the words that a reader needs to judge its numbers.

No host name, user or path: results are committed.
"""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

import psutil

__all__ = ["PACKAGES", "describe", "markdown_line", "package_versions"]

#: What the measured work is done by, and so what a reader who repeats it has to compare.
PACKAGES = (
    "apache-beam",
    "datasketch",
    "fasttext",
    "fastwarc",
    "lxml",
    "numba",
    "numpy",
    "pyarrow",
    "resiliparse",
    "sentencepiece",
    "trafilatura",
)


def package_versions(names: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Installed versions by distribution name; those that are not installed are left out."""
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The CPU's model name (Linux), else what Python knows of it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def describe() -> dict[str, object]:
    """CPU, cores that this process may use, memory in GB (10^9 bytes), system, Python and package versions.

    ``load`` is the one-minute load average when asked: near 0 on an idle machine. Wall-clock times taken at a load
    above the number of cores say little; CPU times suffer less.
    """
    return {
        "cpu": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "load": round(os.getloadavg()[0], 2),
        "packages": package_versions(),
    }


def markdown_line(machine: dict[str, object]) -> str:
    """The description as one line of Markdown."""
    packages = machine["packages"]
    assert isinstance(packages, dict)
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; load {machine['load']} at the start; {listed}."
    )
