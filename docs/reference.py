"""Writes docs/recipes.md and docs/tables.md from the code: ``python -m docs.reference``. A test keeps them current."""

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

from algok import schema
from algok.pipeline import recipe

HERE = Path(__file__).parent
TABLES = {
    "RECORDS": "what a reader gives the extractor; not stored",
    "DOCUMENTS": "`extract/documents`",
    "REJECTED_ROWS": "`extract/rejected`",
    "DEAD_LETTER": "`extract/failed`",
    "DECISIONS": "`filter/decisions`, row-aligned with the documents of the unit",
    "CLUSTERS": "`dedup/clusters`",
    "EDITS": "`dedup/edits`",
    "MIXTURE": "`mix/mixture`",
    "SAMPLE": "`train-tokenizer/sample`",
    "PACKED": "`pack/packed`",
    "LEDGER": "the `ledger` of every `manifest.json`",
}


def tables() -> str:
    """Markdown of all Arrow schemas."""
    lines = ["# Tables", "", "Written by `python -m docs.reference`; the source is `src/algok/schema.py`.", ""]
    for name, where in TABLES.items():
        lines += [
            f"## {name}",
            "",
            f"{where[0].upper()}{where[1:]}.",
            "",
            "| column | type | unit | meaning |",
            "|---|---|---|---|",
        ]
        for column, kind, unit, meaning in schema.describe(getattr(schema, name)):
            lines.append(f"| `{column}` | {kind} | {unit} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def _comments(kind: type) -> dict[str, str]:
    """The ``#:`` comment in front of each field, of the class and those it derives from."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.split(".")[0] != "algok" or not issubclass(base, msgspec.Struct):
            continue
        text = Path(inspect.getfile(base)).read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(text))):
            if isinstance(node, ast.ClassDef) and node.name == base.__name__:
                for item in node.body:
                    if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                        row, said = item.lineno - 2, []
                        while text[row].strip().startswith("#:"):
                            said.insert(0, text[row].strip()[2:].strip())
                            row -= 1
                        found[item.target.id] = " ".join(said)
    return found


def _default(field: Any) -> str:
    if field.default is not msgspec.NODEFAULT:
        value = field.default
    elif field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    else:
        return "required"
    if isinstance(value, msgspec.Struct):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`" if value not in (None, "") else "none"


def _markdown(text: str) -> str:
    """Double back quotes of reStructuredText as single ones, fences left alone; pipes escaped for table cells."""
    return re.sub(r"(?<!`)``(?!`)", "`", text).replace(" | ", " \\| ")


def _section(path: str, kind: Any, lines: list[str]) -> None:
    document = re.split(r"\n\n(?:Raises|>>>)", inspect.cleandoc(kind.__doc__ or ""))[0]
    lines += [f"## {path}", "", _markdown(document), "", "| key | default | meaning |", "|---|---|---|"]
    comments, nested = _comments(kind), []
    for field in msgspec.structs.fields(kind):
        inner = field.type
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            nested.append((field.name, inner))
            continue
        lines.append(f"| `{field.name}` | {_default(field)} | {_markdown(comments.get(field.name, ''))} |")
    lines.append("")
    for name, inner in nested:
        _section(f"{path.rstrip(']')}.{name}]" if path != "Top level" else f"[{name}]", inner, lines)


def recipes() -> str:
    """Markdown of all recipe keys."""
    lines = ["# Recipes", "", "Written by `python -m docs.reference` from the typed sections in the code.", ""]
    _section("Top level", recipe.Recipe, lines)
    _section("[[sources]]", recipe.SourceRecipe, lines)
    _section("[[filter.policy]]", recipe.Policy, lines)
    _section("rules of a policy", recipe.Rule, lines)
    return "\n".join(lines)


FILES = {"tables.md": tables, "recipes.md": recipes}

if __name__ == "__main__":
    for name, make in FILES.items():
        (HERE / name).write_text(make(), encoding="utf-8")
    sys.stdout.write(f"wrote {', '.join(FILES)}\n")
