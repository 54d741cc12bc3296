"""Makes the installed trafilatura faster without changing its output, where its inner names are as known.

``install`` puts faster stand-ins into the lists of expressions of ``trafilatura.xpaths``, which all its modules
share, one into ``trafilatura.baseline``, and one for the function of justext that ``trafilatura.external`` calls.
Where the version is not one that was compared page by page (``tests/filters/test_extraction_speedups.py``), or a name
is missing, nothing is touched.
"""

import threading
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from algok.filters.extraction.attribute_scan import (
    AttributeScan,
    ExceptingScan,
    GuardedXPath,
    UnionScan,
    Vocabulary,
)
from algok.filters.extraction.xpath_translation import replacement

__all__ = ["KNOWN_VERSIONS", "install", "supported", "uninstall"]

#: First and first-not version of trafilatura whose inner names and output were compared.
KNOWN_VERSIONS = ((2, 3), (2, 4))
#: Lists of expressions that extraction (not metadata) uses, those of comments and of the precision mode left out:
#: every test costs a little on every page.
_LISTS = (
    "BODY_XPATH",
    "DISCARD_IMAGE_ELEMENTS",
    "OVERALL_DISCARD_XPATH",
    "RAW_TREE_PRUNE_XPATH",
    "REMOVE_COMMENTS_AND_LISTS_XPATH",
    "REMOVE_COMMENTS_XPATH",
    "TEASER_DISCARD_XPATH",
)
#: Names that the cascade calls or replaces, by module.
_NEEDED = {
    "core": (
        *("_forum_thread_page", "_recall_retry", "baseline", "convert_tags", "extract_content", "html2txt"),
        *("prune_unwanted_nodes", "trafilatura_sequence", "tree_cleaning"),
        *("ESCALATION_ACCEPT_RATIO", "ESCALATION_JUSTEXT_RATIO", "ESCALATION_MAX_LENGTH", "ESCALATION_PAGE_SHARE"),
    ),
    "external": ("classify_paragraphs", "compare_extraction", "jt_stoplist_init", "justext_rescue"),
    "baseline": ("BASIC_CLEAN_XPATH",),
    "settings": ("Extractor",),
    "xpaths": _LISTS,
}

#: Key of the one expression that is a module's global and no list item.
_CLEAN = ("BASIC_CLEAN_XPATH", 0)
#: Key of the one function.
_CLASSIFY = ("classify_paragraphs", 0)
_lock = threading.Lock()
_words = Vocabulary()
_originals: dict[tuple[str, int], Any] = {}


def supported() -> bool:
    """Whether the installed trafilatura is of a compared version and has the names that we use."""
    try:
        installed = tuple(int(part) for part in version("trafilatura").split(".")[:2])
        modules = {name: import_module(f"trafilatura.{name}") for name in _NEEDED}
    except (PackageNotFoundError, ImportError, ValueError):
        return False
    first, beyond = KNOWN_VERSIONS
    return first <= installed < beyond and all(
        hasattr(modules[module], name) for module, names in _NEEDED.items() for name in names
    )


def install() -> Vocabulary:
    """Put the stand-ins in, once per process. The vocabulary has to be loaded before and cleared after each page.

    Other users of trafilatura in the process get the same output as before.
    """
    from trafilatura import xpaths

    from algok.filters.extraction import paragraphs

    with _lock:
        for name in _LISTS:
            expressions = getattr(xpaths, name)
            for i, expression in enumerate(expressions):
                if isinstance(expression, (AttributeScan, ExceptingScan, GuardedXPath, UnionScan)):
                    continue
                faster = replacement(expression, _words)
                if faster is not None:
                    _originals[name, i] = expression
                    expressions[i] = faster
        module: Any = import_module("trafilatura.baseline")
        faster = replacement(module.BASIC_CLEAN_XPATH, _words) if not _originals.get(_CLEAN) else None
        if faster is not None:
            _originals[_CLEAN] = module.BASIC_CLEAN_XPATH
            module.BASIC_CLEAN_XPATH = faster
        external: Any = import_module("trafilatura.external")
        if external.classify_paragraphs is not paragraphs.classify_paragraphs:
            _originals[_CLASSIFY] = external.classify_paragraphs
            external.classify_paragraphs = paragraphs.classify_paragraphs
    return _words


def uninstall() -> None:
    """Put trafilatura's own expressions back."""
    from trafilatura import xpaths

    with _lock:
        clean = _originals.pop(_CLEAN, None)
        if clean is not None:
            module: Any = import_module("trafilatura.baseline")
            module.BASIC_CLEAN_XPATH = clean
        classify = _originals.pop(_CLASSIFY, None)
        if classify is not None:
            external: Any = import_module("trafilatura.external")
            external.classify_paragraphs = classify
        for (name, i), expression in _originals.items():
            getattr(xpaths, name)[i] = expression
        _originals.clear()
