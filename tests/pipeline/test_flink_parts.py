"""What of a Flink cluster can be tested without one: profiles, options, errors in words, processes, checked jars."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PortableOptions

from algok.errors import CorruptionError, RecipeError, StageError
from algok.pipeline.cluster import parts
from algok.pipeline.cluster.layout import ClusterOptions, Home
from algok.pipeline.cluster.loopback import bind_to_address
from algok.pipeline.cluster.processes import end_all, find_started, start_process
from algok.pipeline.flink_runner import FlinkProfile, _options, is_flink, load_profile, root_cause

PROFILE = 'flink_master = "a:8081"\njob_server = "a:8099"\nworker_command = "/w"\n'


class TestProfile:
    def test_a_profile_is_what_its_file_says(self, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        path.write_text(PROFILE + "parallelism = 8\nstuck_minutes = 1.5\n")
        assert is_flink(f"flink:{path}")
        profile = load_profile(f"flink:{path}")
        assert profile == FlinkProfile(
            flink_master="a:8081", job_server="a:8099", worker_command="/w", parallelism=8, stuck_minutes=1.5
        )
        options = _options(profile, 2, ["--s3_endpoint_url=http://s"])
        assert options.get_all_options()["parallelism"] == 8
        environment = json.loads(options.view_as(PortableOptions).environment_config)
        assert environment["command"] == "/w"
        assert environment["env"] == {"ALGOK_STUCK_SECONDS": "90", "ALGOK_SILENT_SECONDS": "300"}

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("paralelism = 2", "paralelism"),
            ("parallelism = -1", "parallelism must be at least 0"),
            ("workers_per_task_manager = 0", "workers_per_task_manager must be at least 1"),
            ("silent_seconds = 1", "silent_seconds must be at least 5"),
            ('job_server = "a"', "job_server"),
        ],
    )
    def test_a_wrong_key_is_named(self, text: str, named: str, tmp_path: Path) -> None:
        path = tmp_path / "p.toml"
        key = text.split(" ")[0]
        path.write_text("".join(line + "\n" for line in PROFILE.splitlines() if not line.startswith(key)) + text)
        with pytest.raises(RecipeError, match=named):
            load_profile(f"flink:{path}")

    def test_a_missing_file_is_named(self) -> None:
        with pytest.raises(RecipeError, match=r"absent\.toml"):
            load_profile("flink:absent.toml")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Job failed\n\tat a.B\nCaused by: java.io.IOException: one\nCaused by: x.Y: two\n\tat c", "x.Y: two"),
        (
            "java.lang.RuntimeException: r\nTraceback (most\n  File\nValueError: bad value\n\tat a.B",
            "ValueError: bad value",
        ),
        ("", "for a reason that Flink does not tell"),
    ],
)
def test_the_root_cause_is_one_line(text: str, cause: str) -> None:
    assert root_cause(text) == cause


@pytest.mark.parametrize(
    "wrong", [{"task_managers": 0}, {"slots": 65}, {"task_manager_mb": 100}, {"rest_port": 70_000}]
)
def test_sizes_out_of_range_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(StageError, match=next(iter(wrong))):
        ClusterOptions(**wrong)


class TestProcesses:
    def test_only_what_was_started_here_is_ended(self, tmp_path: Path) -> None:
        other = subprocess.Popen(["sleep", "600"])
        try:
            code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
            command = [sys.executable, "-c", code]
            started = start_process("a", command, folder=tmp_path, log=tmp_path / "log" / "a.log", cwd=tmp_path)
            # A process file whose process id now belongs to another process.
            (tmp_path / "b.json").write_text(json.dumps({"name": "b", "pid": other.pid, "created": 1.0}))
            (tmp_path / "addresses.json").write_text("{}")
            assert [found.name for found in find_started(tmp_path)] == ["a", "b"]
            assert end_all(tmp_path) == ["a"]
            assert started.process() is None
            assert other.poll() is None
            assert find_started(tmp_path) == []
        finally:
            other.kill()
            other.wait()


class TestParts:
    def test_checksums_are_of_the_versions_in_the_pom(self) -> None:
        expected = parts.expected_jars()
        assert all(len(digest) == 64 for digest in expected.values())
        pom = (Path(parts.__file__).parent / "pom.xml").read_text()
        for jar in ("flink-runtime-1.19.3.jar", "beam-runners-flink-1.19-2.70.0.jar", parts._PATCHED_JAR):
            assert jar in expected
            assert jar.removesuffix(".jar").rsplit("-", 1)[1] in pom

    def test_a_jar_that_is_not_the_tested_one_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A Maven that fetches another file of the right name."""
        maven = tmp_path / "mvn"
        maven.write_text(
            '#!/bin/sh\nfor a in "$@"; do\n'
            "case $a in -DoutputDirectory=*) echo x > ${a#*=}/gson-2.11.0.jar;; esac\ndone\n"
        )
        maven.chmod(0o755)
        monkeypatch.setattr(parts.shutil, "which", lambda name: str(maven))
        monkeypatch.setattr(parts, "expected_jars", lambda: {"gson-2.11.0.jar": "0" * 64})
        home = Home(root=tmp_path / "home")
        with pytest.raises(CorruptionError, match=r"gson-2\.11\.0\.jar is not the jar that was tested"):
            parts.install_parts(home)
        assert not home.jars.exists()
        assert list(home.jars.parent.glob("new-*")) == []

    def test_without_maven_the_error_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parts.shutil, "which", lambda name: None)
        with pytest.raises(StageError, match="install maven"):
            parts.install_parts(Home(root=tmp_path))
        with pytest.raises(StageError, match="install openjdk"):
            parts.java()

    def test_another_class_file_is_refused(self) -> None:
        with pytest.raises(CorruptionError, match="another version of Beam"):
            bind_to_address(b"\xca\xfe\xba\xbe" + struct.pack(">HHH", 0, 52, 1) + b"\0" * 20)
