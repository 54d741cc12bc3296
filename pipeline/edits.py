"""Reading the edits of a finished dedup stage: the texts that cost most bytes, with bounded memory."""

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from algok.pipeline.manifest import read_files, require_manifest
from algok.transforms.sources import read_parquet
from algok.transforms.storage import join

__all__ = ["Edited", "EditedText", "read_edits"]

#: Different texts that are counted at a time; beyond, those that cost least are dropped (a heavy text comes again).
_HELD = 200_000


class EditedText(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was taken out of ``edits`` places of a host's documents."""

    kind: str
    language: str
    host: str
    text: str
    edits: int
    bytes: int
    pages: int


class Edited(msgspec.Struct, frozen=True, kw_only=True):
    """All edits that were asked for, and those texts that cost most bytes."""

    documents: int
    edits: int
    bytes: int
    top: list[EditedText]


def read_edits(work: str, *, host: str | None = None, kind: str | None = None, top: int = 20) -> Edited:
    """The edits of a work folder, of one host or kind if given. Raises ``StageError`` when dedup is not done.

    Texts are told apart by their first 200 characters. With more than 200,000 different ones in the whole run, the
    counts of rare ones may be too low.
    """
    folder = join(work, "dedup")
    manifest = require_manifest(work, "dedup", "dedup edits")
    keys = ["kind", "language", "host", "text"]
    sums: dict[tuple[str, ...], list[int]] = {}
    documents = edits = size = 0
    for file in read_files(folder, manifest, "edits"):
        rows: set[int] = set()
        for batch in read_parquet(file.path, [*keys, "row", "start", "end", "pages"], 1 << 16):
            table = pa.Table.from_batches([batch])
            for name, value in (("host", host), ("kind", kind)):
                if value is not None:
                    table = table.filter(pc.equal(table[name], value))
            table = table.append_column("bytes", pc.subtract(table["end"], table["start"]).cast(pa.int64()))
            rows.update(table["row"].to_pylist())
            edits += table.num_rows
            grouped = table.group_by(keys).aggregate([([], "count_all"), ("bytes", "sum"), ("pages", "max")])
            for row in grouped.to_pylist():
                entry = sums.setdefault(tuple(row[k] or "" for k in keys), [0, 0, 0])
                entry[0] += row["count_all"]
                entry[1] += row["bytes_sum"]
                entry[2] = max(entry[2], row["pages_max"])
                size += row["bytes_sum"]
        documents += len(rows)
        if len(sums) > _HELD:
            sums = dict(_ranked(sums)[: _HELD // 2])
    best = [
        EditedText(kind=k[0], language=k[1], host=k[2], text=k[3], edits=v[0], bytes=v[1], pages=v[2])
        for k, v in _ranked(sums)[:top]
    ]
    return Edited(documents=documents, edits=edits, bytes=size, top=best)


def _ranked(sums: dict[tuple[str, ...], list[int]]) -> list[Any]:
    return sorted(sums.items(), key=lambda item: (-item[1][1], item[0]))
