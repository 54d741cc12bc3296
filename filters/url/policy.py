"""Block lists of domains, URLs, words and expressions, in the format of the UT1 lists of Universite Toulouse Capitole.

A list is a text file (.gz too) with one entry a line; ``#`` begins a comment. Entries are held as sorted 64-bit hashes:
12 bytes each, so that the 4.6 million domains of UT1's ``adult`` take 55 MB and a look-up costs a binary search.
With 5 million entries a chance match happens once in 3.7e12 look-ups.
"""

import gzip
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal
from urllib.parse import unquote

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from algok.errors import InputError, RecipeError
from algok.filters.url.spelling import host_of, normalise

__all__ = ["UrlList", "UrlPolicy"]

#: Path segments whose prefixes are looked up.
_MOST_SEGMENTS = 12
_WORD = re.compile(r"[^\W_]+")

Kind = Literal["domains", "urls", "words", "expressions"]
_ORDER: tuple[Kind, ...] = ("domains", "urls", "words", "expressions")


class UrlList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One list. ``kind``: ``domains`` (a domain with all below it), ``urls`` (host and path, without scheme, with all
    below it), ``words`` (whole words of the decoded URL), ``expressions`` (regular expressions searched in the URL)."""

    category: str
    kind: Kind
    path: str

    def __post_init__(self) -> None:
        if self.kind not in _ORDER:
            raise RecipeError(f"kind of a URL list must be one of {', '.join(_ORDER)}, not {self.kind!r}")
        if not self.category:
            raise RecipeError(f"the URL list {self.path!r} has no category")


def _open(path: str) -> BinaryIO:
    return Path(path).open("rb")


def _lines(path: str, opener: Callable[[str], BinaryIO]) -> Iterator[str]:
    try:
        with opener(path) as stored:
            head = stored.read(2)
            stored.seek(0)
            stream = gzip.GzipFile(fileobj=stored) if head == b"\x1f\x8b" else stored
            for raw in stream:
                line = raw.decode("utf-8", "replace").strip()
                if line and not line.startswith("#"):
                    yield line
    except (OSError, EOFError) as error:
        raise InputError(f"URL list {path}: {error}") from None


class _Hashes:
    """Sorted hashes with the number of the category of each; of equal entries the first category counts."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        pairs = [(xxhash.xxh3_64_intdigest(entry.encode("utf-8", "replace")), category) for entry, category in entries]
        keys = np.fromiter((key for key, _ in pairs), np.uint64, len(pairs))
        categories = np.fromiter((category for _, category in pairs), np.int32, len(pairs))
        self.keys, first = np.unique(keys, return_index=True)
        self.categories: npt.NDArray[np.int32] = categories[first]

    def __len__(self) -> int:
        return len(self.keys)

    def first(self, groups: Sequence[Sequence[str]]) -> npt.NDArray[np.int32]:
        """For each group the category of its first candidate that is listed, or -1."""
        out = np.full(len(groups), -1, np.int32)
        counts = np.fromiter(map(len, groups), np.int64, len(groups))
        total = int(counts.sum())
        if not len(self.keys) or not total:
            return out
        digest = xxhash.xxh3_64_intdigest
        wanted = np.fromiter(
            (digest(c.encode("utf-8", "replace")) for group in groups for c in group), np.uint64, total
        )
        places = np.searchsorted(self.keys, wanted)
        places[places == len(self.keys)] = 0
        hits = np.flatnonzero(self.keys[places] == wanted)[::-1]
        # Written from the last to the first, the first candidate of a group is what stays.
        out[np.repeat(np.arange(len(groups)), counts)[hits]] = self.categories[places[hits]]
        return out


class UrlPolicy:
    """Lists loaded once, applied to arrays of URLs. Lists are named files; nothing is fetched.

    Raises InputError for a list that cannot be read, RecipeError for an expression that does not compile.
    """

    def __init__(self, lists: Sequence[UrlList], opener: Callable[[str], BinaryIO] = _open) -> None:
        self._categories = list(dict.fromkeys(item.category for item in lists))
        number = {name: i for i, name in enumerate(self._categories)}

        def entries(kind: Kind) -> Iterator[tuple[str, int]]:
            for item in lists:
                if item.kind == kind:
                    for line in _lines(item.path, opener):
                        yield line, number[item.category]

        self._domains = _Hashes((_domain(line), c) for line, c in entries("domains"))
        self._urls = _Hashes((_url_key(line), c) for line, c in entries("urls"))
        self._words: dict[str, int] = {}
        for line, category in entries("words"):
            self._words.setdefault(line.lower(), category)
        self._expressions: list[tuple[re.Pattern[str], int]] = []
        for line, category in entries("expressions"):
            try:
                self._expressions.append((re.compile(line, re.IGNORECASE), category))
            except re.error as error:
                raise RecipeError(f"URL list of category {self._categories[category]!r}: {line!r}: {error}") from None

    @property
    def entries(self) -> int:
        """Distinct entries of all lists."""
        return len(self._domains) + len(self._urls) + len(self._words) + len(self._expressions)

    def reasons(self, normalised: pa.Array) -> pa.Array:
        """Why each URL is blocked, such as ``url_domains:gambling``; null where it is not, or is null.

        Domains are asked first, then URLs, words, expressions.
        """
        urls = [url or "" for url in normalised.to_pylist()]
        out: list[str | None] = [None] * len(urls)
        if not self.entries:
            return pa.array(out, pa.string())
        if len(self._domains):
            self._mark(out, "domains", self._domains.first([_parents(url) for url in urls]))
        if len(self._urls):
            self._mark(out, "urls", self._urls.first([_prefixes(url) for url in urls]))
        for i, url in enumerate(urls):
            if out[i] is None and url:
                out[i] = self._written(url)
        return pa.array(out, pa.string())

    def _mark(self, out: list[str | None], kind: Kind, found: npt.NDArray[np.int32]) -> None:
        for i in np.flatnonzero(found >= 0).tolist():
            if out[i] is None:
                out[i] = f"url_{kind}:{self._categories[found[i]]}"

    def _written(self, url: str) -> str | None:
        if self._words:
            decoded = unquote(url) if "%" in url else url
            for word in _WORD.findall(decoded.lower()):
                category = self._words.get(word)
                if category is not None:
                    return f"url_words:{self._categories[category]}"
        for pattern, category in self._expressions:
            # Expressions of the lists are written for URLs without their scheme.
            if pattern.search(url.partition("://")[2]):
                return f"url_expressions:{self._categories[category]}"
        return None


def _domain(line: str) -> str:
    return host_of("http://" + line.removeprefix("."))


def _url_key(line: str) -> str:
    """Entry of a URL list in the form of :func:`_prefixes`: no scheme, no ``www.``, no slash at the end, lower case."""
    url = line if "://" in line[:10] else "http://" + line
    return normalise(url).partition("://")[2].lower().removeprefix("www.").rstrip("/")


def _parents(url: str) -> list[str]:
    """Host of a normalised URL and the domains above it, but for the top level.

    >>> _parents("https://a.b.co.kr/x")
    ['a.b.co.kr', 'b.co.kr', 'co.kr']
    """
    start = url.find("://")
    if start < 0:
        return []
    host = url[start + 3 :].partition("/")[0]
    if host[:1] != "[":
        host = host.partition(":")[0]
    if host.replace(".", "").isdecimal():
        return [host]
    out = [host]
    cut = host.find(".")
    while cut >= 0 and "." in host[cut + 1 :]:
        host = host[cut + 1 :]
        out.append(host)
        cut = host.find(".")
    return out


def _prefixes(url: str) -> list[str]:
    """Host and path of a normalised URL, cut at each slash, shortest first; the whole with its query at the end.

    >>> _prefixes("http://www.a.kr/b/c?d")
    ['a.kr', 'a.kr/b', 'a.kr/b/c', 'a.kr/b/c?d']
    """
    rest = url.partition("://")[2].lower().removeprefix("www.").rstrip("/")
    path = rest.partition("?")[0]
    out: list[str] = []
    cut = path.find("/")
    while cut >= 0 and len(out) < _MOST_SEGMENTS:
        out.append(path[:cut])
        cut = path.find("/", cut + 1)
    out.append(path.rstrip("/"))
    if rest != path:
        out.append(rest)
    return out
