"""Small repairs on a parsed page before any extractor sees it: code blocks and formulas in a form that survives."""

from typing import Any

from lxml import etree

from algok.filters.extraction.markdown import code_text

__all__ = ["drop_scripts", "prepare"]

#: Class tokens of the column with line numbers: Hexo, Rouge (Jekyll), Pygments, Chroma (Hugo), highlight.js.
_GUTTERS = frozenset(
    """
    gutter gl rouge-gutter linenos lineno linenodiv line-numbers lnt ln hljs-ln-numbers line-numbers-rows blob-num
    """.split()  # noqa: SIM905
)
#: Class tokens of the other column.
_CODE_CELLS = frozenset(("code", "rouge-code", "highlight", "hljs-ln-code", "blob-code"))
_TEX = etree.XPath('.//*[local-name()="annotation"][contains(@encoding, "tex") or contains(@encoding, "TeX")]')


def drop_scripts(tree: Any) -> None:
    """Remove scripts and styles in place, but for those that hold text: JSON-LD and TeX.

    They are half of the bytes of a page, and every later step would copy or read them.
    """
    for element in list(tree.iter("script", "style")):
        kind = element.get("type") or ""
        if element.tag == "style" or not (kind == "application/ld+json" or kind.startswith("math/tex")):
            _replace_by_text(element, "")


def prepare(tree: Any, *, formulas: bool = True) -> None:
    """Change the tree in place.

    - a table of line numbers and code becomes one ``pre``;
    - every ``pre`` holds nothing but its text with line breaks, and is marked as code for trafilatura;
    - MathML becomes its TeX source where it carries one, and the TeX scripts of MathJax 2 become text.
    """
    found: dict[str, list[Any]] = {"pre": [], "math": [], "script": [], "svg": [], "td": []}
    for element in tree.iter(*found):
        found[element.tag].append(element)
    if found["pre"] or any("code" in (cell.get("class") or "") for cell in found["td"]):
        _join_gutters(tree)
        _flatten(tree)
    if not formulas:
        return
    scripts = [script for script in found["script"] if script.get("type", "").startswith("math/tex")]
    for element in found["math"]:
        _tex_of_math(element)
    for script in scripts:
        _replace_by_text(script, _delimited(script.text or "", display="display" in script.get("type", "")))
    for svg in found["svg"]:
        _tex_of_svg(svg)
    if found["math"] or scripts:
        _drop_renderings(tree)


def _tokens(element: Any) -> set[str]:
    return set((element.get("class") or "").split())


def _join_gutters(tree: Any) -> None:
    for table in list(tree.iter("table")):
        cells = list(table.iter("td", "th"))
        if len(cells) < 2 or not any(_tokens(cell) & _GUTTERS or _only_numbers(cell) for cell in cells[:2]):
            continue
        codes = [cell for cell in cells if _tokens(cell) & _CODE_CELLS or next(cell.iter("pre"), None) is not None]
        codes = [cell for cell in codes if not _tokens(cell) & _GUTTERS and not _only_numbers(cell)]
        if not codes or not _is_code_table(table, codes):
            continue
        text = "\n".join(code_text(cell).strip("\n") for cell in codes)
        _become_code(_frame(table), text)
    for element in list(tree.iter("pre", "span", "div")):
        if _tokens(element) & {"lineno", "linenos", "linenodiv", "line-numbers-rows", "lnt", "ln"}:
            parent = element.getparent()
            if parent is not None and next(element.iterancestors("pre", "code", "table"), None) is not None:
                _replace_by_text(element, "")


def _is_code_table(table: Any, codes: list[Any]) -> bool:
    """Whether a table with a column of numbers is code: it has a pre, a highlighter's mark, or marked lines."""
    if next(table.iter("pre"), None) is not None or _tokens(table) & {"hljs-ln", "highlight"}:
        return True
    return any("line" in token for cell in codes for div in cell.iter("div") for token in _tokens(div))


def _only_numbers(cell: Any) -> bool:
    text = "".join(cell.itertext()).split()
    return len(text) > 1 and all(piece.isdigit() for piece in text[:50])


def _frame(table: Any) -> Any:
    """The figure or box around a table of code, if it holds nothing else."""
    element = table
    for ancestor in table.iterancestors("figure", "div", "pre", "code"):
        if len(ancestor) != 1 or (ancestor.text or "").strip():
            break
        element = ancestor
        if ancestor.tag == "figure":
            break
    return element


def _become_code(element: Any, text: str) -> None:
    tail = element.tail
    element.clear()
    element.tag = "pre"
    element.text = text
    element.tail = tail
    element.set("lang", "code")


def _flatten(tree: Any) -> None:
    for pre in list(tree.iter("pre")):
        if next(pre.iterancestors("pre"), None) is not None:
            continue
        text = code_text(pre)
        tail = pre.tail
        pre.clear()
        pre.text, pre.tail = text, tail
        # trafilatura takes a pre without braces or quotes for a quotation and joins its lines; "lang" says code.
        pre.set("lang", "code")
        figure = pre.getparent()
        if figure is not None and figure.tag == "figure" and len(figure) <= 2:
            figure.tag = "div"  # trafilatura drops figures


def _tex_of_math(element: Any) -> None:
    annotation = next(iter(_TEX(element)), None)
    tex = (annotation.text if annotation is not None else None) or element.get("alttext") or ""
    if tex.strip():
        _replace_by_text(element, _delimited(tex, display=element.get("display") == "block"))
    else:
        _replace_by_text(element, " ".join("".join(element.itertext()).split()))


def _tex_of_svg(svg: Any) -> None:
    """Pages that were rendered beforehand (mathjax-node) keep the source in the title of the drawing."""
    title = svg.find("title")
    if title is None or not (svg.get("aria-labelledby") or "").startswith("MathJax"):
        return
    tex = (title.text or "").removeprefix("%math").strip()
    parent = svg.getparent()
    display = parent is not None and "block" in (parent.get("class") or "")
    if tex:
        _replace_by_text(svg, _delimited(tex, display=display))


def _delimited(tex: str, *, display: bool) -> str:
    tex = " ".join(tex.split())
    return f" $${tex}$$ " if display else f"${tex}$"


def _drop_renderings(tree: Any) -> None:
    """KaTeX and MathJax put a rendering beside the source: drop it, or the formula is there twice."""
    for span in list(tree.iter("span", "div")):
        if _tokens(span) & {"katex-html", "MathJax", "MathJax_Preview", "MathJax_Display", "MJX_Assistive_MathML"}:
            _replace_by_text(span, "")


def _replace_by_text(element: Any, text: str) -> None:
    """Put a text in the place of an element, between what is before and behind it."""
    parent = element.getparent()
    if parent is None:
        return
    text += element.tail or ""
    if not text:
        parent.remove(element)
        return
    previous = element.getprevious()
    if previous is None:
        parent.text = (parent.text or "") + text
    else:
        previous.tail = (previous.tail or "") + text
    parent.remove(element)
