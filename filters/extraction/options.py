"""What an operator can set about extraction."""

from typing import Literal, get_args

import msgspec

from algok.errors import RecipeError

__all__ = ["ENGINES", "Engine", "ExtractOptions", "Focus"]

#: ``cascade`` is the engine of the pipeline: ``blocks``, our own, and where that is not sure ``trafilatura``:
#: trafilatura's own cascade behind a container choice of ours.
#: The last three are there to be compared with: trafilatura as it comes, its fast mode, and resiliparse.
Engine = Literal["cascade", "blocks", "trafilatura", "trafilatura-default", "trafilatura-fast", "resiliparse"]
ENGINES: tuple[str, ...] = get_args(Engine)
Focus = Literal["balanced", "recall", "precision"]

MIB = 1 << 20


class ExtractOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and choices of page extraction; all limits are for one page.

    Raises ``RecipeError`` that names the field and echoes the value.

    >>> ExtractOptions(time_limit_s=2).time_limit_s
    2
    """

    #: Which extractor finds the main text: ``cascade`` (``blocks`` where it is sure, else ``trafilatura``), ``blocks``,
    #: ``trafilatura``; to compare with ``trafilatura-default``, ``trafilatura-fast``, ``resiliparse``.
    engine: Engine = "cascade"
    #: F1 that ``blocks`` must expect of its own answer for ``cascade`` to take it, 0 to 1 (docs/extraction.md).
    sure: float = 0.85
    #: ``recall`` keeps more when unsure, ``precision`` less.
    focus: Focus = "balanced"
    #: CPU seconds. The slowest honest page of the mini crawl takes 1.2 s, so 10 s only ends hostile ones. CPU and not
    #: wall-clock time, so that a busy machine loses no page that an idle one keeps.
    time_limit_s: float = 10.0
    #: Address space that the extracting process may use beyond its start size. 60,000 links take 210 MB, 15 MB of
    #: ordinary HTML 700 MB.
    memory_limit_mb: int = 1024
    #: Bytes of payload; a larger page fails as ``size``. The largest of 6,005 mini crawl pages has 3.1 MB, and
    #: libxml2 needs about fifty times the page.
    max_html_bytes: int = 12 * MIB
    #: Nested elements; a deeper page fails as ``depth``. trafilatura recurses in Python and gives up near 1,000.
    max_depth: int = 500
    #: ``<a`` tags; a page with more fails as ``links``. Link density is measured per container: 60,000 take 5 s.
    max_links: int = 20_000
    #: Characters of main text that are kept; a longer text is cut there, and the row's ``detail`` says so.
    max_text_chars: int = 2_000_000
    #: Keep data tables (as ``a | b`` rows).
    tables: bool = True
    #: Keep lists as ``- item`` lines; without, items become plain lines.
    lists: bool = True
    #: Fence code blocks with ```; without, their lines stay as they are.
    code: bool = True
    #: Keep TeX sources and the TeX annotation of MathML.
    formulas: bool = True
    #: Mark headings with #; without, they are plain lines.
    headings: bool = True
    #: Keep reader comments in the text; takes ``trafilatura`` on every page.
    comments: bool = False
    #: Try the body containers of well-known page templates (Tistory, Naver, WordPress, Hexo, Jekyll, ...) first.
    containers: bool = True
    #: Extract in a child process that can be killed. Without, a hostile page can hang or kill the worker: tests only.
    sandbox: bool = True
    #: Pages after which the child is replaced, against slow leaks in C libraries. Start-up costs about as much as
    #: 40 pages, so 0.5 % of the time.
    pages_per_child: int = 8_000

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise RecipeError(f"extract.engine: {self.engine!r} is unknown; choose one of {', '.join(ENGINES)}")
        if self.focus not in get_args(Focus):
            raise RecipeError(f"extract.focus: {self.focus!r} is unknown; choose balanced, recall or precision")
        if self.engine == "blocks" and self.comments:
            raise RecipeError('extract.comments: true: engine = "blocks" cannot tell comments; choose "cascade"')
        for name, low, high in (
            ("sure", 0, 1),
            ("time_limit_s", 0.05, 3600),
            ("memory_limit_mb", 64, 1 << 20),
            ("max_html_bytes", 1024, 1 << 30),
            ("max_depth", 16, 900),
            ("max_links", 16, 10_000_000),
            ("max_text_chars", 1000, 1 << 29),
            ("pages_per_child", 1, 1 << 40),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise RecipeError(f"extract.{name}: {value!r} is not between {low} and {high}")
