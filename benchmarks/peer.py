"""The peer's own environment: made by the benchmark, git-ignored, from pinned versions; nothing of it is ours."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from algok.filters.language import find_model
from benchmarks.measure import Usage, measure

__all__ = ["PEER", "peer_python", "run_peer"]

_HERE = Path(__file__).resolve().parent
_REQUIREMENTS = _HERE / "datatrove-requirements.txt"
#: Git-ignored (``.venv-*/``).
_FOLDER = _HERE.parent / ".venv-datatrove"
PEER = "datatrove 0.10.1"


def peer_python(folder: Path = _FOLDER) -> Path:
    """The interpreter of datatrove's environment, made first (a minute, 600 MB) where it is not there."""
    python = folder / "bin" / "python"
    stamp = folder / ".requirements.sha256"
    wanted = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()
    if python.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    subprocess.run([getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(_REQUIREMENTS)], check=True)
    stamp.write_text(wanted)
    return python


def run_peer(crawl: Path, work: Path, languages: str) -> Usage:
    """Measure datatrove's FineWeb pipeline on the WARC files of ``crawl``; ``languages`` is en or all.

    Its language model is the one that algok uses by default.
    """
    script = [str(_HERE / "datatrove_fineweb.py"), str(crawl), str(work / "output")]
    # Its caches (unpacked URL lists) are the same for all runs; HF_HUB_OFFLINE: no step may ask the network.
    environment = {"HF_HOME": str(_FOLDER / "cache"), "HF_HUB_OFFLINE": "1", "LOGURU_LEVEL": "ERROR"}
    # Python on the PATH of algok's environment must not lend it packages.
    environment |= {"PYTHONPATH": "", "PATH": os.environ.get("PATH", "")}
    return measure(
        [str(peer_python()), *script, "--model", find_model(None), "--languages", languages],
        environment=environment,
    )
