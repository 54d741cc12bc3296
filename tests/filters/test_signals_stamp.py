"""The stamp that keeps numba's cache from serving machine code of older sources."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from algok.filters.signals.stamp import source_stamp


def imported(module: str) -> set[str]:
    """Modules of algok.filters that a module imports, directly or through another."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    found = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("algok.filters"):
            found |= {str(node.module)} | imported(str(node.module))
    return found


def test_the_stamp_of_the_kernel_covers_all_modules_it_is_compiled_from() -> None:
    kernels = {"algok.filters.signals.scan", "algok.filters.signals.repetition"}
    spec = importlib.util.find_spec("algok.filters.signals.measure")
    assert spec is not None
    assert spec.origin is not None
    call = re.search(r"source_stamp\(([^)]*)\)", Path(spec.origin).read_text(encoding="utf-8"))
    assert call is not None
    stamped = set(re.findall(r'"([^"]+)"', call.group(1)))
    assert stamped == kernels.union(*(imported(name) for name in kernels))


def test_a_changed_source_changes_the_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    source = tmp_path / "stamped_module.py"
    source.write_text("A = 1\n")
    before = source_stamp("stamped_module")
    source.write_text("A = 2\n")
    assert 0 < before != source_stamp("stamped_module") > 0
    assert "stamped_module" not in sys.modules
    assert source_stamp("no_such_module_at_all") == 0
