"""Text with its structure from a tree: headings, lists, tables, code and formulas, one line per block.

Reads HTML elements and trafilatura's simplified ones (head, list, item, row, cell, quote, lb, ...) alike, so that
both ways of finding the main text end in the same writing. Blocks end with one line break, as in trafilatura's text,
since the published thresholds on lines (FineWeb, Gopher) were set on that. Nothing is escaped: the text is for
reading and training, not for a Markdown parser. Inline marks are left out: in Korean a particle follows the word
without a space,
and ``code`를`` would cut every such word in two.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["SKIPPED", "Style", "code_lines", "code_text", "to_markdown"]

#: Elements that are never text of a page. ``noscript`` repeats what a script would show.
SKIPPED = frozenset(
    """
    script style noscript template svg iframe object embed applet audio video canvas button input select option
    textarea label map area meta link title rp rt source track nav aside footer dialog math
    """.split()  # noqa: SIM905
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """
    p div section article main header address blockquote quote center figure figcaption details summary form
    fieldset dl dd dt li item hgroup body html ul ol list menu table tbody thead tfoot tr row td th cell caption
    hr pre head h1 h2 h3 h4 h5 h6
    """.split()  # noqa: SIM905
)
_LISTS = frozenset(("ul", "ol", "list", "menu"))
_ITEMS = frozenset(("li", "item"))
_ROWS = frozenset(("tr", "row"))
_CELLS = frozenset(("td", "th", "cell"))
_BREAKS = frozenset(("br", "lb"))
#: Blocks that a cell of a data table does not hold; a table with such cells is there for the layout.
_LAYOUT = ("table", "ul", "ol", "list", "pre", "h1", "h2", "h3", "h4", "head", "div", "p", "blockquote")
#: Share of cells with blocks inside from which a table counts as layout.
_LAYOUT_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Style:
    """What of the structure is written."""

    lists: bool = True
    tables: bool = True
    code: bool = True
    headings: bool = True


def to_markdown(root: Any, style: Style | None = None) -> str:
    """Markdown-like text of an element and all below it, its own tail left out."""
    writer = _Writer(style or Style())
    writer.inside(root)
    writer.end_line()
    return "\n".join(writer.lines)


class _Writer:
    def __init__(self, style: Style) -> None:
        self.lines: list[str] = []
        self._style = style
        self._inline: list[str] = []
        self._prefix = ""
        self._indent = -1

    def end_line(self) -> None:
        """Close the block at hand; a block without text leaves no line."""
        if self._inline:
            pieces = "".join(self._inline).split("\n")
            self._inline.clear()
            for piece in pieces:
                text = " ".join(piece.split())
                if text:
                    self.lines.append(self._prefix + text)
                    self._prefix = " " * len(self._prefix) if self._indent > 0 else ""

    def inside(self, element: Any) -> None:
        """Write the text and the children of an element."""
        if element.text:
            self._inline.append(element.text.replace("\n", " "))
        for child in element:
            self.write(child)
            if child.tail:
                self._inline.append(child.tail.replace("\n", " "))

    def write(self, element: Any) -> None:
        tag = element.tag
        if not isinstance(tag, str) or tag in SKIPPED:
            return
        if tag in _BREAKS:
            self._inline.append("\n")
        elif tag not in _BLOCKS:
            if tag == "code" and (len(element) or "\n" in (element.text or "")) and _is_block(element):
                self._code(element)
            else:
                self.inside(element)
        elif tag in _HEADINGS or tag == "head":
            self._heading(element, _HEADINGS.get(tag) or _level(element))
        elif tag == "pre":
            self._code(element)
        elif tag in _LISTS:
            self._list(element)
        elif tag == "table" and self._style.tables and not _is_layout(element):
            self._table(element)
        else:
            self.end_line()
            self.inside(element)
            self.end_line()

    def _heading(self, element: Any, level: int) -> None:
        self.end_line()
        text = " ".join(_flat(element).split())
        if text:
            self.lines.append(f"{'#' * level} {text}" if self._style.headings else text)

    def _code(self, element: Any) -> None:
        self.end_line()
        text = code_text(element).strip("\n").rstrip()
        if not text.strip():
            return
        self.lines += code_lines(text, self._style)

    def _list(self, element: Any) -> None:
        self.end_line()
        ordered = element.tag == "ol" or element.get("rend") == "ol"
        outer = self._prefix, self._indent
        self._indent += 1
        number = 0
        for child in element:
            if child.tag in _ITEMS and self._style.lists:
                number += 1
                marker = f"{number}. " if ordered else "- "
                self._prefix = "  " * self._indent + marker
                self.inside(child)
                self.end_line()
            else:
                self._prefix = ""
                self.write(child)
            if child.tail and child.tail.strip():
                self._inline.append(child.tail)
            self._prefix = ""
            self.end_line()
        self._indent = outer[1]
        self._prefix = ""

    def _table(self, table: Any) -> None:
        self.end_line()
        rows = []
        for row in _rows(table):
            cells = [cell for cell in row if cell.tag in _CELLS]
            texts = [" ".join(_flat(cell).split()) for cell in cells]
            if any(texts):
                heads = bool(cells) and all(c.tag == "th" or c.get("role") == "head" for c in cells)
                rows.append((texts, heads))
        caption = next(table.iter("caption"), None)
        if caption is not None:
            self.inside(caption)
            self.end_line()
        for i, (texts, heads) in enumerate(rows):
            if len(texts) == 1:
                self.lines.append(texts[0])
                continue
            self.lines.append(f"| {' | '.join(texts)} |")
            if i == 0 and heads:
                self.lines.append("|" + "---|" * len(texts))


def code_lines(text: str, style: Style) -> list[str]:
    """The lines of a code block: fenced, or without ``style.code`` those that are not blank."""
    if not style.code:
        return [line for line in text.split("\n") if line.strip()]
    fence = "```"
    while fence in text:
        fence += "`"
    return [fence, *text.split("\n"), fence]


def _level(element: Any) -> int:
    rend = element.get("rend") or "h2"
    return int(rend[1]) if rend[1:2] in set("123456") else 2


def _flat(element: Any) -> str:
    """Text of an element without the skipped ones, line breaks as spaces."""
    if not len(element):
        return element.text or ""
    parts = [element.text or ""]
    for child in element:
        if isinstance(child.tag, str) and child.tag not in SKIPPED:
            block = child.tag in _BLOCKS or child.tag in _BREAKS
            parts.append(" " if block else "")
            parts.append(_flat(child))
            parts.append(" " if block else "")
        parts.append(child.tail or "")
    return "".join(parts)


#: Elements that start a new line inside of code: highlighters wrap each line in one of these.
_CODE_LINES = frozenset(("div", "p", "li", "tr"))


def code_text(element: Any) -> str:
    """Text of a code block with its line breaks, those from ``br`` and line elements included.

    >>> from lxml import html
    >>> code_text(html.fromstring("<pre><span>a</span><br><span>  b</span></pre>"))
    'a\\n  b'
    """
    if not len(element):
        return element.text or ""
    parts: list[str] = []
    _collect_code(element, parts)
    return "".join(parts)


def _collect_code(element: Any, parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    for child in element:
        tag = child.tag
        if isinstance(tag, str):
            if tag in _BREAKS:
                parts.append("\n")
            elif tag in _CODE_LINES:
                if parts and not parts[-1].endswith("\n"):
                    parts.append("\n")
                _collect_code(child, parts)
                if parts and not parts[-1].endswith("\n"):
                    parts.append("\n")
            elif tag not in ("script", "style", "button"):
                _collect_code(child, parts)
        if child.tail:
            parts.append(child.tail)


def _is_block(element: Any) -> bool:
    """Whether a code element is a block of its own: trafilatura's are, those inside of a line are not."""
    parent = element.getparent()
    return "\n" in code_text(element).strip() and (
        parent is None or parent.tag not in ("p", "item", "li", "cell", "td")
    )


def _rows(table: Any) -> list[Any]:
    """The rows of a table itself, those of tables inside of it left out."""
    return [row for row in table.iter(*_ROWS) if next(row.iterancestors("table")) is table]


def _is_layout(table: Any) -> bool:
    """Whether a table arranges a page rather than data: one column, or blocks in most of its cells."""
    cells = blocks = 0
    widest = 0
    for row in _rows(table):
        own = [cell for cell in row if cell.tag in _CELLS]
        widest = max(widest, len(own))
        cells += len(own)
        if any(next(cell.iterdescendants("table"), None) is not None for cell in own):
            return True
        blocks += sum(1 for cell in own if _holds_blocks(cell))
    return widest < 2 or blocks > _LAYOUT_SHARE * cells


def _holds_blocks(cell: Any) -> bool:
    """More than one paragraph, or anything that is larger than a paragraph."""
    blocks = list(cell.iterdescendants(*_LAYOUT))
    return len(blocks) > 1 or any(block.tag not in ("p", "div") for block in blocks)
