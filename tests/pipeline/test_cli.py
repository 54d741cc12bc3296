"""The command line as a user meets it: help, errors with exit status, dry runs, the summary."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from algok.pipeline.cli import cli
from tests.pipeline.line import recipe_text


def invoke(*args: str):
    return CliRunner().invoke(cli, list(args))


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_explains_itself(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.output
    assert len(result.output) > 200


def test_dedup_is_a_stage_and_a_group() -> None:
    missing = invoke("dedup", "--force").output
    assert "Missing argument 'RECIPE'" in missing
    assert "dedup dedup" not in missing
    assert "cannot read the recipe gone.toml" in invoke("dedup", "--workers", "2", "gone.toml").output
    assert "DOC_ID" in invoke("dedup", "explain", "--help").output
    listed = invoke("dedup", "--help").output
    assert all(word in listed for word in ("RECIPE", "--force", "explain", "edits"))


def test_top_level_help_has_examples() -> None:
    assert "Examples:" in invoke("--help").output


def test_a_missing_recipe_ends_with_status_1_and_no_traceback() -> None:
    result = invoke("run", "gone.toml")
    assert result.exit_code == 1
    assert "cannot read the recipe gone.toml" in result.output
    assert isinstance(result.exception, SystemExit)


def test_an_unknown_option_is_an_error(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text(["/no/such"]))
    result = invoke("run", str(recipe), "--work", str(tmp_path / "w"), "--flinkmaster", "x")
    assert result.exit_code == 1
    assert "unknown option --flinkmaster" in result.output


def test_beam_options_pass(tmp_path: Path) -> None:
    from algok.pipeline.cli import _checked

    assert _checked(("--flink_master=localhost:1", "--parallelism=2", "--environment_type=PROCESS"))


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text(["in/*.warc.gz"]))
    result = invoke("run", str(recipe), "--work", str(tmp_path / "w"))
    assert result.exit_code == 1
    assert f"no file matches {tmp_path}/in/*.warc.gz" in result.output


def test_a_dry_run_says_what_would_run_and_does_nothing(tmp_path: Path, crawl: list[str]) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text(crawl))
    result = invoke("run", str(recipe), "--work", str(tmp_path / "w"), "--dry-run")
    assert result.exit_code == 0, result.output
    for stage in ("extract", "filter", "dedup", "mix", "train-tokenizer", "pack", "report"):
        assert f"{stage:<16} run   not finished before" in result.output
    assert not (tmp_path / "w").exists()


def test_a_stage_alone_needs_its_predecessor(tmp_path: Path, crawl: list[str]) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe_text(crawl))
    result = invoke("filter", str(recipe), "--work", str(tmp_path / "w"))
    assert result.exit_code == 1
    assert "stage filter needs stage extract, which is not finished" in result.output
    assert "run `algok extract` with the same recipe first" in result.output


@pytest.mark.slow
def test_the_demo_from_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "algok.pipeline.cli", "demo", "--work", str(tmp_path / "demo"), "--pages", "300"]
    environment = {**os.environ, "COLUMNS": "160"}
    first = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, env=environment)
    assert first.returncode == 0, first.stderr
    assert first.stdout.splitlines()[-1].split() == ["report:", str(tmp_path / "demo" / "report" / "index.html")]
    assert (tmp_path / "demo" / "report" / "index.html").stat().st_size > 10_000
    row = next(line for line in first.stderr.splitlines() if line.startswith("extract ") and "│" in line)
    read, kept, rejected, failed = (int(c.replace(",", "")) for c in row.split("│")[1:5])
    assert read == kept + rejected + failed > 250
    again = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)
    assert again.returncode == 0
    assert again.stderr.count("up to date") == 7
