"""Documents from the files that tokenizers are trained and measured on."""

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import zstandard

from algok.errors import InputError

__all__ = ["SUFFIXES", "open_text", "read_all", "read_parallel", "read_texts", "readable", "text_files"]

#: What a file may end in; .gz and .zst may follow the first three.
SUFFIXES = (".txt", ".jsonl", ".ndjson", ".parquet")

#: Separates the documents of a .txt file (U+001E, record separator); a file without it is one document.
SEPARATOR = "\x1e"


def _kind(path: Path) -> str:
    suffix = Path(path.stem).suffix if path.suffix in (".gz", ".zst") else path.suffix
    return suffix if suffix in SUFFIXES else ""


def text_files(path: Path) -> list[Path]:
    """The files of ``path``, sorted: itself, or those with a known ending below a folder.

    Raises InputError if there are none.
    """
    if path.is_file():
        return [path]
    found = sorted(p for p in path.rglob("*") if p.is_file() and _kind(p))
    if not found:
        state = "holds no file" if path.is_dir() else "is no file or folder"
        raise InputError(f"{path} {state} that ends in {', '.join(SUFFIXES)} (also .gz and .zst behind them)")
    return found


def read_texts(path: Path) -> Iterator[str]:
    """Every text of a .txt, .jsonl or .parquet file (field or column ``text``); empty ones are left out.

    Raises InputError that names the file and the line for what cannot be read.
    """
    kind = _kind(path)
    if not kind:
        raise InputError(f"{path}: a file of texts ends in {', '.join(SUFFIXES)} (also .gz and .zst behind them)")
    with readable(path):
        if kind == ".parquet":
            yield from _parquet(path)
        elif kind == ".txt":
            with open_text(path) as file:
                texts = file.read().split(SEPARATOR)
            yield from (text for text in texts if text.strip())
        else:
            yield from _lines(path)


def read_all(path: Path) -> list[str]:
    """The texts of a file, or of all files below a folder. Raises InputError as ``text_files`` and ``read_texts``."""
    return [text for file in text_files(path) for text in read_texts(file)]


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Makes an InputError that names ``path`` of what reading, decompressing and decoding it may raise."""
    try:
        yield
    except (OSError, UnicodeDecodeError, zstandard.ZstdError, EOFError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def open_text(path: Path) -> io.TextIOBase:
    """A file as UTF-8 text, decompressed by its ending (.gz, .zst); line breaks as they are."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), "utf-8", newline="")
    if path.suffix == ".zst":
        return io.TextIOWrapper(zstandard.open(path, "rb"), "utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def read_parallel(path: Path) -> list[dict[str, str]]:
    """The versions of each document, by language, of a .jsonl file with the fields ``pair``, ``lang`` and ``text``.

    Raises InputError that names the file and the line for what cannot be read.
    """
    pairs: dict[str, dict[str, str]] = {}
    with readable(path):
        for number, row in _rows(path):
            pair, language, text = row.get("pair"), row.get("lang"), row.get("text")
            if not isinstance(pair, str) or not isinstance(language, str) or not isinstance(text, str):
                raise InputError(f"{path}, line {number}: needs the strings `pair`, `lang` and `text`")
            if text:
                pairs.setdefault(pair, {})[language] = text
    return list(pairs.values())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError(f"{path}, line {number}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: not a JSON object")
            yield number, row


def _lines(path: Path) -> Iterator[str]:
    for number, row in _rows(path):
        text = row.get("text")
        if not isinstance(text, str):
            raise InputError(f"{path}, line {number}: has no string `text`")
        if text:
            yield text


def _parquet(path: Path) -> Iterator[str]:
    try:
        with pq.ParquetFile(path) as file:
            if "text" not in file.schema_arrow.names:
                raise InputError(f"{path} has no column `text`; it has {', '.join(file.schema_arrow.names)}")
            for batch in file.iter_batches(256, columns=["text"]):
                yield from (text for text in batch.column(0).to_pylist() if text)
    except ValueError as error:
        raise InputError(f"{path} is no Parquet file: {error}") from error
