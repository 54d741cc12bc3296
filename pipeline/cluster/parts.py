"""The jars of a cluster: Maven copies them into one folder once, checksums say that they are the tested ones."""

import hashlib
import shutil
import subprocess
import uuid
from importlib.resources import as_file, files

from algok.errors import CorruptionError, StageError
from algok.pipeline.cluster.layout import Home
from algok.pipeline.cluster.loopback import write_patched_class

__all__ = ["expected_jars", "install_parts", "java"]

#: Copies a project's dependencies; pinned like the parts themselves.
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
#: Holds the class that ``loopback`` changes.
_PATCHED_JAR = "beam-sdks-java-core-2.70.0.jar"
#: Seconds for all downloads (about 165 MB).
_TIMEOUT_S = 900


def expected_jars() -> dict[str, str]:
    """SHA-256 by file name, as in ``checksums.txt`` beside the pom."""
    text = (files("algok.pipeline.cluster") / "checksums.txt").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def java() -> str:
    """The path of the Java command. Raises ``StageError`` when there is none."""
    found = shutil.which("java")
    if found is None:
        raise StageError("a Flink cluster needs Java 11 or 17: install openjdk-17-jre-headless")
    return found


def install_parts(home: Home) -> bool:
    """Make sure that all jars are there; True when they had to be fetched.

    Files of the right name and size are taken as they are later on: they were checked when they were put there.
    Raises ``StageError`` without Maven or network, ``CorruptionError`` for a jar with another checksum.
    """
    expected = expected_jars()
    if home.jars.is_dir() and {path.name for path in home.jars.glob("*.jar")} == set(expected):
        write_patched_class(home.jars / _PATCHED_JAR, home.patched)
        return False
    maven = shutil.which("mvn")
    if maven is None:
        raise StageError("the parts of a Flink cluster come from Maven Central: install maven (only needed once)")
    fetched = home.jars.with_name(f"new-{uuid.uuid4().hex[:8]}")
    fetched.mkdir(parents=True)
    try:
        with as_file(files("algok.pipeline.cluster") / "pom.xml") as pom:
            command = [maven, "-q", "-B", "-f", str(pom), _PLUGIN]
            command += [f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"]
            done = subprocess.run(  # noqa: S603
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
            )
        if done.returncode != 0:
            lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
            raise StageError(f"Maven could not fetch the parts of Flink: {lines[0] if lines else done.stderr.strip()}")
        found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in fetched.iterdir()}
        wrong = sorted(set(found.items()) ^ set(expected.items()))
        if wrong:
            raise CorruptionError(f"{wrong[0][0]} is not the jar that was tested (see checksums.txt of the package)")
        shutil.rmtree(home.jars, ignore_errors=True)
        fetched.rename(home.jars)
        write_patched_class(home.jars / _PATCHED_JAR, home.patched)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    return True
