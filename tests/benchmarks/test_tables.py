"""Tables are well-formed, bars are judged, and results come back from JSON as they were."""

import json
import re
from pathlib import Path

import pytest
from benchmarks import machine
from benchmarks.tables import RESULTS, Bar, Result, Table, markdown, publish, spread


def assert_well_formed(page: str) -> int:
    """Every table has a rule line and as many cells in each row as in its header; returns the number of tables."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", page, re.MULTILINE)
    for block in blocks:
        lines = block.strip().splitlines()
        assert re.fullmatch(r"\|(-+:?\|)+", lines[1]), lines[1]
        assert len({line.count("|") for line in lines}) == 1, block
        assert len(lines) > 2
    return len(blocks)


def result(**changed: object) -> Result:
    fields: dict[str, object] = {
        "benchmark": "example",
        "title": "Example",
        "command": "python -m benchmarks.example",
        "date": "2026-01-01",
        "machine": machine.describe(),
        "tables": [Table(title="A", columns=["", "n"], rows=[["x", 1234567], ["y", 2]])],
        "bars": [Bar(name="tax", value=1.2, limit=1.1), Bar(name="memory", value=1.15, limit=1.15)],
        "notes": ["a note"],
        "measured": [{"cpu_s": 1.5}],
    }
    return Result(**{**fields, **changed})  # type: ignore[arg-type]


def test_page_has_tables_bars_and_the_machine() -> None:
    page = markdown(result())
    assert assert_well_formed(page) == 1
    assert "| x | 1,234,567 |" in page
    assert "tax: 1.2 (bar: at most 1.1): **MISSES its bar**" in page
    assert "memory: 1.15 (bar: at most 1.15): holds" in page
    assert "python -m benchmarks.example" in page
    assert f"{machine.describe()['cores']} cores" in page


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        Table(title="A", columns=["", "n"], rows=[["x"]])


def test_publish_writes_both_files(tmp_path: Path) -> None:
    page = publish(result(), tmp_path)
    assert (tmp_path / "example.md").read_text(encoding="utf-8") == page
    saved = json.loads((tmp_path / "example.json").read_text(encoding="utf-8"))
    assert saved["measured"] == [{"cpu_s": 1.5}]
    assert saved["bars"][0] == {"name": "tax", "value": 1.2, "limit": 1.1}


@pytest.mark.parametrize(
    ("values", "expected"),
    [([2.0], "2"), ([3.0, 1.0, 2.0], "2 (1-3)"), ([1.0, 2.0], "1.5 (1-2)")],
)
def test_spread(values: list[float], expected: str) -> None:
    assert spread(values) == expected


def test_machine_is_described_without_names_or_paths() -> None:
    text = machine.markdown_line(machine.describe())
    assert "Python 3." in text
    assert "pyarrow" in text
    assert str(Path.home()) not in text
    assert "/work" not in text


def test_committed_results_are_well_formed_and_name_no_path_of_a_machine() -> None:
    pages = sorted(RESULTS.glob("*.md"))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert assert_well_formed(text) >= 1, page.name
        saved = page.with_suffix(".json")
        if saved.is_file():
            assert "/home/" not in saved.read_text(encoding="utf-8")
            assert "/work/" not in saved.read_text(encoding="utf-8")
