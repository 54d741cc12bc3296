"""Listings in Python, Java, C, SQL and JavaScript: names, nesting, constants and comments vary."""

from collections.abc import Callable

from algok.pipeline.demo_crawl.draw import Draw

__all__ = ["CODE_LANGUAGES", "listing"]

#: Programming languages, as page titles write them.
CODE_LANGUAGES = ("Python", "Java", "C", "SQL", "JavaScript")

_NOUN_TEXT = """
    account index buffer record queue node user order price token graph matrix cache event session packet image
    label weight score window batch route signal bucket header folder worker schedule ledger sensor balance
    invoice vector range region profile message stock frame chunk digest parser segment sample timer device
    target limit entry field group row column key
"""
_NOUNS = tuple(_NOUN_TEXT.split())
_VERB_TEXT = """
    load parse update merge filter count find compute send store build check split encode decode sort scan
    remove append validate render apply collect reduce fetch flush reset allocate convert normalize compare
    visit
"""
_VERBS = tuple(_VERB_TEXT.split())
_TYPES_JAVA = ("int", "long", "double", "String", "boolean")
_TYPES_C = ("int", "long", "double", "size_t", "uint32_t")


class _Names:
    """Names drawn for one listing."""

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def noun(self) -> str:
        return self.draw.pick(_NOUNS)

    def snake(self) -> str:
        return f"{self.draw.pick(_VERBS)}_{self.noun()}" + (f"_{self.noun()}" if self.draw.chance(0.3) else "")

    def camel(self) -> str:
        tail = self.noun().title() + (self.noun().title() if self.draw.chance(0.3) else "")
        return self.draw.pick(_VERBS) + tail

    def upper(self) -> str:
        return f"{self.noun()}_{self.noun()}".upper()

    def type_name(self) -> str:
        return self.noun().title() + self.draw.pick(
            ("Manager", "Reader", "Store", "Parser", "Service", "Pool", "Index", "Task")
        )


def _python(draw: Draw, names: _Names, comment: Callable[[], str]) -> list[str]:
    lines = [
        f"import {m}"
        for m in draw.sample(("json", "re", "math", "sys", "random", "heapq", "itertools"), draw.between(1, 3))
    ]
    lines += ["", f"{names.upper()} = {draw.between(2, 4096)}", "", ""]
    for _ in range(draw.between(1, 4)):
        function, first, second, total = names.snake(), names.noun(), names.noun(), names.noun()
        lines.append(f"def {function}({first}s, {second}={draw.between(0, 99)}):")
        lines.append(f'    """{comment()}"""')
        lines.append(f"    {total}_map = {{}}")
        lines.append(f"    for i, {first} in enumerate({first}s):")
        lines.append(f"        if {first}.{names.noun()} {draw.pick(('>', '<', '==', '!='))} {second}:")
        if draw.chance(0.5):
            lines.append(f"            # {comment()}")
        step = draw.pick(("continue", "break", f"raise ValueError({first!r})", f"{second} += {draw.between(1, 9)}"))
        lines.append(f"            {step}")
        lines.append(f"        {total}_map.setdefault({first}.{names.noun()}, []).append({first})")
        if draw.chance(0.5):
            lines.append(f"    return sorted({total}_map.items(), key=lambda pair: pair[{draw.below(2)}])")
        else:
            lines.append(f"    return [{names.snake()}(x) for x in {total}_map if x % {draw.between(2, 97)} == 0]")
        lines += ["", ""]
    lines.append('if __name__ == "__main__":')
    lines.append(f"    print({names.snake()}({draw.between(1, 1000)}, {draw.between(1, 1000)}))")
    return lines


def _java(draw: Draw, names: _Names, comment: Callable[[], str]) -> list[str]:
    lines = [
        f"package com.example.{names.noun()};",
        "",
        "import java.util.*;",
        "",
        f"public class {names.type_name()} {{",
    ]
    for _ in range(draw.between(1, 3)):
        lines += [f"    private final {draw.pick(_TYPES_JAVA)} {names.noun()}{names.noun().title()};"]
    for _ in range(draw.between(1, 4)):
        kind, first = draw.pick(_TYPES_JAVA[:3]), names.noun()
        lines += [
            "",
            f"    // {comment()}",
            f"    public {kind} {names.camel()}(List<{names.type_name()}> {first}s, int {names.noun()}Limit) {{",
        ]
        lines.append(f"        {kind} result = {draw.between(0, 99)};")
        lines.append(f"        for (var {first} : {first}s) {{")
        lines.append(f"            if ({first}.get{names.noun().title()}() > {draw.between(1, 512)}) {{")
        lines.append(f"                result += {first}.{names.camel()}({draw.between(1, 64)});")
        lines.append("            }")
        lines.append("        }")
        value = draw.pick(("result", f"Math.max(result, {draw.between(1, 99)})", f"result * {draw.between(2, 9)}"))
        lines.append(f"        return {value};")
        lines.append("    }")
    return [*lines, "}"]


def _c(draw: Draw, names: _Names, comment: Callable[[], str]) -> list[str]:
    lines = ["#include <stdio.h>", "#include <stdlib.h>", "", f"#define {names.upper()} {1 << draw.between(2, 16)}", ""]
    struct = names.noun()
    lines += [f"struct {struct} {{"]
    lines += [f"    {draw.pick(_TYPES_C)} {names.noun()}_{names.noun()};" for _ in range(draw.between(2, 5))]
    lines += ["};", ""]
    for _ in range(draw.between(1, 3)):
        first = names.noun()
        lines += [
            f"/* {comment()} */",
            f"static {draw.pick(_TYPES_C)} {names.snake()}(struct {struct} *{first}, size_t n)",
            "{",
        ]
        lines += [f"    size_t i, total = {draw.between(0, 64)};", "    for (i = 0; i < n; i++) {"]
        sign = draw.pick((">=", "<", "=="))
        lines.append(f"        if ({first}[i].{names.noun()}_{names.noun()} {sign} {draw.between(1, 999)})")
        lines.append(f"            total {draw.pick(('+=', '^=', '-='))} {first}[i].{names.noun()}_{names.noun()};")
        lines += ["    }", "    return total;", "}", ""]
    lines += ["int main(void)", "{", f'    printf("%d\\n", {draw.between(1, 9999)});', "    return 0;", "}"]
    return lines


def _sql(draw: Draw, names: _Names, comment: Callable[[], str]) -> list[str]:
    lines: list[str] = []
    for _ in range(draw.between(2, 4)):
        table, other = names.noun() + "s", names.noun() + "_log"
        one, two, three = names.noun(), names.noun(), names.noun()
        lines += [f"-- {comment()}", f"SELECT t.{one}_id, COUNT(*) AS {two}_count, AVG(o.{three}_total) AS avg_{three}"]
        lines += [f"FROM {table} AS t", f"LEFT JOIN {other} AS o ON o.{one}_id = t.{one}_id"]
        lines += [f"WHERE t.{two}_status = '{names.noun()}' AND o.{three}_total > {draw.between(1, 9999)}"]
        lines += [
            f"GROUP BY t.{one}_id",
            f"HAVING COUNT(*) >= {draw.between(1, 50)}",
            f"ORDER BY {two}_count DESC LIMIT {draw.between(5, 500)};",
            "",
        ]
    return lines[:-1]


def _javascript(draw: Draw, names: _Names, comment: Callable[[], str]) -> list[str]:
    lines = [f"const {names.upper()} = {draw.between(1, 9999)};", ""]
    for _ in range(draw.between(1, 4)):
        first, second = names.noun(), names.noun()
        lines += [
            f"// {comment()}",
            f"export async function {names.camel()}({first}, {{ {second} = {draw.between(1, 99)} }} = {{}}) {{",
        ]
        lines.append(f"  const response = await fetch(`/api/{names.noun()}s/${{{first}.id}}`);")
        lines.append(f"  if (!response.ok) throw new Error('{names.snake()}');")
        lines.append("  const items = await response.json();")
        sign = draw.pick((">", "<", "==="))
        lines.append(
            f"  return items.filter((item) => item.{names.noun()} {sign} {second}).map((x) => x.{names.camel()}());"
        )
        lines += ["}", ""]
    return lines[:-1]


_WRITERS = {"Python": _python, "Java": _java, "C": _c, "SQL": _sql, "JavaScript": _javascript}


def listing(draw: Draw, language: str, comment: Callable[[], str]) -> tuple[str, ...]:
    """Lines of a listing; ``comment`` draws the text of a comment."""
    return tuple(_WRITERS[language](draw, _Names(draw), comment))
