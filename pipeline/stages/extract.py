"""Stage 1, extract: input files to documents, rejected records and dead letters."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import msgspec

from algok.errors import InputError
from algok.filters.language import find_model
from algok.filters.reading import HEAD_BYTES, ReadOptions, detect_format, plan_splits
from algok.pipeline.ledger import from_counts, from_tally
from algok.pipeline.recipe import SourceRecipe
from algok.pipeline.stages.base import Context, Result, digest
from algok.transforms.extract import ExtractPages, IdentifyLanguage, MeasureSignals, RecordSource, extract_outputs
from algok.transforms.storage import Found, checksum, fingerprint, list_files, open_read
from algok.transforms.units import Unit, unit_key

__all__ = ["Extract", "input_files"]

#: Threads for listing and fingerprinting: the work is waiting for storage.
LISTERS = 16
#: Byte ranges that could not be read, as shown in the manifest; all of them are in the dead-letter table.
SHOWN_GAPS = 100


class _Input(msgspec.Struct, frozen=True, kw_only=True):
    source: SourceRecipe
    path: str
    size: int
    fingerprint: str


class _Records:
    """What the readers counted of all files, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self._kinds: dict[str, int] = {}
        self._ranges = 0
        self._bytes = 0
        self._first: list[list[Any]] = []

    def add(self, tally: dict[str, Any]) -> None:
        for kind, count in tally.get("kinds", {}).items():
            self._kinds[kind] = self._kinds.get(kind, 0) + count
        skipped = tally.get("skipped", [])
        self._ranges += len(skipped)
        self._bytes += sum(end - start for _, start, end, *_ in skipped)
        self._first = sorted([*self._first, *skipped])[:SHOWN_GAPS]

    def details(self) -> dict[str, Any]:
        return {
            "records_by_kind": dict(sorted(self._kinds.items())),
            "skipped_ranges": self._ranges,
            "skipped_bytes": self._bytes,
            "first_skipped": self._first,
        }


def input_files(source: SourceRecipe) -> list[Found]:
    """The source's files, sorted by path, each once.

    Raises ``InputError`` for a path that does not exist, a glob without match and a file list that is unreadable.
    """
    patterns = list(source.paths)
    for path in source.file_lists:
        with open_read(path) as file:
            lines = [line.decode().strip() for line in file]
        patterns += [line for line in lines if line and not line.startswith("#")]
    found: dict[str, Found] = {}
    with ThreadPoolExecutor(LISTERS) as pool:  # a line of a file list is a request of its own on an object store
        listed = list(pool.map(list_files, patterns))
    for pattern, matches in zip(patterns, listed, strict=True):
        if not matches:
            what = "no file matches" if any(c in pattern for c in "*?[") else "there is no file"
            raise InputError(f"source {source.name}: {what} {pattern}; paths in a recipe are relative to its folder")
        found.update((match.path, match) for match in matches)
    empty = [f.path for f in found.values() if f.size == 0]
    if len(empty) == len(found):
        raise InputError(f"source {source.name}: all its files are empty, such as {empty[0]}")
    return [found[path] for path in sorted(found)]


def _inputs(context: Context) -> list[_Input]:
    with ThreadPoolExecutor(LISTERS) as pool:
        listed = [(source, file) for source in context.recipe.sources for file in input_files(source)]
        prints = pool.map(lambda item: fingerprint(item[1].path, item[1].size), listed)
        return [
            _Input(source=source, path=file.path, size=file.size, fingerprint=print_)
            for (source, file), print_ in zip(listed, prints, strict=True)
        ]


class Extract:
    """Reads what the recipe names. Nothing is dropped by quality here: the signals are measured and kept."""

    name = "extract"
    after: tuple[str, ...] = ()
    format = 2
    packages: tuple[str, ...] = ("trafilatura", "lxml", "resiliparse", "fasttext", "faust-cchardet")
    reads = ""
    shows: tuple[str, ...] = ()
    balance: Literal["source"] = "source"

    def parts(self, context: Context) -> dict[str, Any]:
        inputs = _inputs(context)
        sources = {}
        for source in context.recipe.sources:
            files = [i for i in inputs if i.source.name == source.name]
            described = msgspec.to_builtins(source)
            for key in ("paths", "file_lists", "name"):
                del described[key]
            sources[source.name] = {
                **described,
                "files": len(files),
                "bytes": sum(f.size for f in files),
                "content": digest([[f.path, f.size, f.fingerprint] for f in files]),
            }
        return {"sources": sources, "extract": self._configuration(context)}

    def _configuration(self, context: Context) -> dict[str, Any]:
        """Recipe values that change rows; batch and split sizes do not."""
        section = context.recipe.extract
        gate = {"gate": msgspec.to_builtins(section.gate), "seed": context.recipe.seed} if section.gate.active else {}
        return {
            **gate,
            "max_record_mb": section.max_record_mb,
            "pages": msgspec.to_builtins(section.pages),
            "language_model": checksum(find_model(section.language_model)),
        }

    def run(self, context: Context, key: str) -> Result:
        section = context.recipe.extract
        read = ReadOptions(
            batch_rows=section.batch_rows,
            batch_bytes=section.batch_mb * 1_000_000,
            max_record_bytes=section.max_record_mb * 1_000_000,
            split_bytes=max(1, int(section.split_mb * 1_000_000)),
        )
        model = find_model(section.language_model)
        # The key of a unit has no part of the other inputs, so that a new file leaves the units of old ones done.
        step = digest(["extract", self.format, self._configuration(context)])
        records = _Records()
        result = context.units(
            self.name,
            "documents",
            step,
            self._units(context, read),
            RecordSource(options=read),
            [
                ExtractPages(options=section.pages, gate=section.gate, model=model, seed=context.recipe.seed),
                IdentifyLanguage(model=model),
                MeasureSignals(),
            ],
            extract_outputs(),
            records.add,
        )
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        if not ledger:
            raise InputError("the input files hold no document: check `paths` and `format` of the recipe's sources")
        return Result(files=result.files, ledger=ledger, details=records.details())

    def _units(self, context: Context, read: ReadOptions) -> list[Unit]:
        def split(item: _Input) -> list[Unit]:
            source = item.source
            options = msgspec.structs.replace(
                read,
                text_column=source.text_column,
                id_column=source.id_column,
                url_column=source.url_column,
                language_column=source.language_column,
                date_column=source.date_column,
                language=source.language,
            )
            with open_read(item.path) as file:
                found = detect_format(item.path, file.read(HEAD_BYTES))
            if source.format not in ("auto", found.partition(".")[0]):
                raise InputError(
                    f'source {source.name}: {item.path} is {found}, but the recipe says format = "{source.format}"'
                )
            splits = plan_splits(source.name, item.path, item.size, found, open_read, options)
            return [
                Unit(
                    key=unit_key(item.fingerprint, msgspec.to_builtins(s)),
                    size=s.end - s.start,
                    body=msgspec.to_builtins(s),
                )
                for s in splits
            ]

        with ThreadPoolExecutor(LISTERS) as pool:
            return [unit for units in pool.map(split, _inputs(context)) for unit in units]
