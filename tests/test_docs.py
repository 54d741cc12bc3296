"""Documents that are made from code are current, name every command, and point at files that exist."""

import re
from pathlib import Path

import pytest
from docs.reference import FILES

from algok.pipeline.cli import cli
from tests.conftest import REPOSITORY

PAGES = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "benchmarks").glob("*.md")]


@pytest.mark.parametrize("name", FILES)
def test_reference_pages_are_current(name: str) -> None:
    written = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    assert written == FILES[name](), "run `python -m docs.reference`"


def test_every_command_has_help_and_is_in_the_documents() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name, command in cli.commands.items():
        assert command.help, name
        assert re.search(rf"\b{name}\b", text), f"command {name} is in no document"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_point_at_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_nothing_names_this_machine() -> None:
    here = str(REPOSITORY.parent) + "/"
    for path in REPOSITORY.rglob("*"):
        parts = path.relative_to(REPOSITORY).parts
        ours = not any(p.startswith(".") for p in parts) and parts[0] not in {"work", "build"}
        if ours and path.suffix in {".py", ".md", ".toml", ".html", ".txt"} and len(here) > 6:
            assert here not in path.read_text(encoding="utf-8", errors="replace"), path
