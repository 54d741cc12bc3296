"""Frequency lists of words, as training text for what a sample's sources do not speak of.

A sample with few sources of a language teaches their words and not others. A list of the language's most frequent
words, of other people's counting, counts like a document a word.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from algok.errors import InputError
from algok.tokenizer.prune import Lines
from algok.tokenizer.texts import open_text, readable

__all__ = ["MOST_WORDS", "WORDFREQ", "Words", "read_words", "with_words", "wordfreq_version"]

#: Words of a list that count: 320,000 English words save no more than the first 80,000 (docs/tokenizer.md).
MOST_WORDS = 80_000

#: The name of the package wordfreq (Speer 2022) in the place of a file.
WORDFREQ = "wordfreq"

_NO_PACKAGE = "lists of words from wordfreq need that package: pip install 'algok[words]'"

_LINE = re.compile(r"([^\t]+)\t([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)")

#: Han and kana, which write no spaces; with them, Hangul.
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_BARE = {False: re.compile(f"[{_UNSPACED}]"), True: re.compile(f"[{_UNSPACED}\uac00-\ud7a3]")}

#: Word -> frequency, of any unit.
Words = Mapping[str, float]


def read_words(source: str, language: str) -> dict[str, float]:
    """The MOST_WORDS most frequent words of ``source``: a file of lines ``word<TAB>frequency`` (UTF-8, also .gz and
    .zst), or "wordfreq": the package's largest list of ``language``.

    Raises InputError that names the file and the line, or says which languages the package has.
    """
    found = _usable(_packaged(language) if source == WORDFREQ else _read(Path(source)))
    if not found:
        raise InputError(f"the list of words {source} has no word without digits and white space")
    return found


def _usable(words: Words) -> dict[str, float]:
    """The MOST_WORDS most frequent, in that order, without those that have digits (a list's tokeniser has cut or masked
    numbers), white space or what cannot be seen: no piece may be learnt from those."""
    whole = [
        (w, f) for w, f in words.items() if w and w.isprintable() and not any(c in " \u2581" or c.isdigit() for c in w)
    ]
    return dict(sorted(whole, key=lambda item: (-item[1], item[0]))[:MOST_WORDS])


def wordfreq_version() -> str:
    """The version of the package wordfreq. Raises InputError where it is not installed."""
    try:
        return version(WORDFREQ)
    except PackageNotFoundError as error:
        raise InputError(_NO_PACKAGE) from error


def _packaged(language: str) -> dict[str, float]:
    try:
        module: Any = importlib.import_module("wordfreq")
    except ImportError as error:
        raise InputError(_NO_PACKAGE) from error
    if language not in module.available_languages("best"):
        known = ", ".join(sorted(module.available_languages("best")))
        raise InputError(f"wordfreq has no list of {language!r} (it has {known}); give a file of words")
    return dict(module.get_frequency_dict(language, "best"))


def _read(path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    if not path.is_file():
        raise InputError(f"there is no file {path}; a list of words is a file, or the name {WORDFREQ}")
    with readable(path), open_text(path) as file:
        for number, line in enumerate(file, 1):
            match = _LINE.fullmatch(line.rstrip("\r\n"))
            if match is None or not 0 < float(match[2]) < float("inf"):
                raise InputError(f"{path}, line {number}: not a word, a tab and a frequency above 0")
            found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def with_words(
    lines: Lines, lists: Mapping[str, Words], weights: Mapping[str, float], *, hangul_bare: bool
) -> tuple[Lines, list[str]]:
    """``lines`` and a line and document for each word of each list; and the texts of those lines.

    ``lists``: by bucket. ``weights``: of each list, in weighted bytes of text: its words' weights times their bytes sum
    to that. A space stands before a word but for scripts that write none, and for Hangul with ``hangul_bare``: there it
    ends words. Raises InputError for a frequency that is not above 0.
    """
    bare = _BARE[hangul_bare]
    texts: list[bytes] = []
    counts = []
    for bucket, given in sorted(lists.items()):
        words = _usable(given)
        if any(not 0 < frequency < float("inf") for frequency in words.values()):
            raise InputError(f"the list of words of {bucket} has a frequency that is not above 0")
        data = [(word if bare.match(word) else " " + word).encode("utf-8") for word in words]
        frequency = np.array([*words.values()], np.float64)
        sizes = np.array([len(d) for d in data], np.float64)
        texts += data
        counts.append(frequency * weights[bucket] / float((frequency * sizes).sum()))
    if not texts:
        return lines, []
    ends = lines.offsets[-1] + np.cumsum([len(t) for t in texts])
    first = len(lines.weights)
    longer = replace(
        lines,
        data=np.concatenate([lines.data, np.frombuffer(b"".join(texts), np.uint8)]),
        offsets=np.concatenate([lines.offsets, ends]),
        owners=np.concatenate([lines.owners, np.arange(first, first + len(texts), dtype=np.int32)]),
        weights=np.concatenate([lines.weights, *counts]),
    )
    return longer, [text.decode("utf-8") for text in texts]
