"""The import arrows: algok (schema, errors) <- filters, dedup, tokenizer <- transforms <- pipeline."""

import ast
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

#: What modules of a folder may import of algok, and whether they may import Beam.
ALLOWED = {
    "src/algok": (set(), False),
    "filters": ({"filters"}, False),
    "dedup": ({"dedup"}, False),
    "tokenizer": ({"tokenizer"}, False),
    "transforms": ({"filters", "dedup", "tokenizer", "transforms"}, True),
    "pipeline": ({"filters", "dedup", "tokenizer", "transforms", "pipeline"}, True),
}
CONTRACT = {"schema", "errors", "__version__"}


def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def violations(folder: str, names: set[str]) -> list[str]:
    inside, beam = ALLOWED[folder]
    found = []
    for name in sorted(names):
        first, _, rest = name.partition(".")
        if first == "apache_beam" and not beam:
            found.append(name)
        if first in ALLOWED and first != "src/algok":
            found.append(f"{name} (import it as algok.{first})")
        if first == "algok" and rest and rest.split(".")[0] not in inside | CONTRACT:
            found.append(name)
    return found


@pytest.mark.parametrize("folder", ALLOWED)
def test_arrows_point_one_way(folder: str) -> None:
    modules = sorted((REPOSITORY / folder).rglob("*.py"))
    assert modules, f"no module in {folder}"
    wrong = {str(m.relative_to(REPOSITORY)): bad for m in modules if (bad := violations(folder, imports_of(m)))}
    assert not wrong


def test_the_check_finds_violations() -> None:
    assert violations("filters", {"apache_beam"}) == ["apache_beam"]
    assert violations("dedup", {"algok.filters.url"}) == ["algok.filters.url"]
    assert violations("transforms", {"algok.pipeline.jobs"}) == ["algok.pipeline.jobs"]
    assert violations("pipeline", {"filters.url"}) == ["filters.url (import it as algok.filters)"]
    assert violations("filters", {"algok.schema.DOCUMENTS", "algok.errors", "numpy", "algok.filters.url"}) == []


def test_modules_with_dofns_keep_their_annotations() -> None:
    """Beam silently loses the types of a DoFn in a module with postponed annotations (apache/beam#36383)."""
    for folder in ("transforms", "pipeline"):
        for module in (REPOSITORY / folder).rglob("*.py"):
            text = module.read_text(encoding="utf-8")
            if "beam" in text:
                assert "from __future__ import annotations" not in text, module


def test_every_package_is_in_the_distribution() -> None:
    """A folder without ``__init__.py`` would be missing from the wheel."""
    for folder in ("pipeline", "transforms", "filters", "dedup", "tokenizer"):
        for module in (REPOSITORY / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_public_names_exist() -> None:
    import importlib

    for folder in ("pipeline", "transforms", "filters", "dedup", "tokenizer"):
        for module in (REPOSITORY / folder).rglob("*.py"):
            dotted = ".".join(("algok", *module.relative_to(REPOSITORY).with_suffix("").parts)).removesuffix(
                ".__init__"
            )
            loaded = importlib.import_module(dotted)
            for name in getattr(loaded, "__all__", []):
                assert hasattr(loaded, name), f"{dotted}.__all__ names {name}"
