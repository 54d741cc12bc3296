"""Why a document was kept or removed by dedup: its cluster, the survivor, every pair compared again from the texts.

Reads a finished work folder: cluster rows by id, then the few rows of text that are shown. Nothing is computed that
the stage did not: similarities depend on text, language and the options in the manifest alone.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from algok.dedup.explain import PairReport, explain_pairs
from algok.dedup.options import DedupOptions
from algok.errors import InputError, StageError
from algok.pipeline.manifest import Manifest, load_manifest, read_files, require_manifest
from algok.transforms.sources import read_parquet
from algok.transforms.storage import join, open_read

__all__ = ["Explanation", "Member", "explain_document", "parse_doc_id"]


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A document of the cluster, with its row of CLUSTERS and its text as extracted."""

    doc_id: str
    source: str
    url: str
    language: str
    captured: str
    survivor: bool
    method: str
    similarity: float
    outcome: str
    reason: str
    bytes: int
    text: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster of ``document`` (position in ``members``). ``size`` counts all members, shown or not; ``survivor`` is
    a position, or -1 when the survivor is in the store of an earlier crawl (``cluster_id`` names it all the same).

    ``pairs`` compares every two members that are shown; ``options`` are those of the stage.
    """

    cluster_id: str
    size: int
    here: int
    document: int
    survivor: int
    members: list[Member]
    pairs: list[PairReport]
    options: DedupOptions


def parse_doc_id(text: str) -> bytes:
    """The 16 bytes of an id as reports and tables show it. Raises ``InputError`` for anything else.

    >>> parse_doc_id("00" * 16) == bytes(16)
    True
    """
    try:
        raw = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError as error:
        raise InputError(f"{text!r} is no document id: 32 hexadecimal digits are wanted") from error
    if len(raw) != 16:
        raise InputError(f"{text!r} is no document id: it has {2 * len(raw)} hexadecimal digits, not 32")
    return raw


def explain_document(work: str, doc_id: bytes, *, most: int = 12) -> Explanation:
    """The cluster of a document of a finished run, up to ``most`` members of it.

    The document and its survivor are always among them, then the members in the order of their ids. Raises
    ``InputError`` when dedup did not see the document, with what became of it, and ``StageError`` when dedup is not
    done.
    """
    folder = join(work, "dedup")
    manifest = require_manifest(work, "dedup", "dedup explain")
    row = next(_rows(folder, manifest, "clusters", "doc_id", doc_id), None)
    if row is None:
        raise InputError(_elsewhere(work, doc_id))
    cluster_id = row["cluster_id"]
    found = list(_rows(folder, manifest, "clusters", "cluster_id", cluster_id))
    found.sort(key=lambda r: (r["doc_id"] != doc_id, not r["survivor"], r["doc_id"]))
    shown = found[: max(2, most)]
    members = [_member(work, r) for r in shown]
    options = msgspec.convert(
        {k: v for k, v in manifest.parts["dedup"].items() if k in DedupOptions.__struct_fields__}, DedupOptions
    )
    pairs = [(i, j) for j in range(len(members)) for i in range(j)]
    return Explanation(
        cluster_id=cluster_id.hex(),
        size=row["cluster_size"],
        here=len(found),
        document=0,
        survivor=next((i for i, r in enumerate(shown) if r["survivor"]), -1),
        members=members,
        pairs=explain_pairs([m.text for m in members], [m.language for m in members], pairs, options),
        options=options,
    )


def _rows(folder: str, manifest: Manifest, table: str, column: str, value: bytes) -> Iterator[dict[str, Any]]:
    """Rows of a table with this value; only the one column is read of files that have none."""
    wanted = pa.scalar(value, pa.binary(16))
    for file in read_files(folder, manifest, table):
        if any(pc.any(pc.equal(b.column(column), wanted)).as_py() for b in read_parquet(file.path, [column], 1 << 16)):
            for batch in read_parquet(file.path, None, 1 << 14):
                yield from batch.filter(pc.equal(batch.column(column), wanted)).to_pylist()


def _member(work: str, row: dict[str, Any]) -> Member:
    path = join(work, "extract", "documents", f"{row['unit']}.parquet")
    text = _row(path, row["row"], ["doc_id", "url", "captured", "text"])
    if text["doc_id"] != row["doc_id"]:
        raise StageError(f"{path} does not match {join(work, 'dedup')}: run dedup again")
    return Member(
        doc_id=row["doc_id"].hex(),
        source=row["source"] or "",
        url=text["url"] or "",
        language=row["language"] or "und",
        captured=text["captured"].isoformat() if text["captured"] else "",
        survivor=row["survivor"],
        method=row["method"],
        similarity=row["similarity"],
        outcome=row["outcome"],
        reason=row["reason"] or "",
        bytes=row["bytes"] or 0,
        text=text["text"] or "",
    )


def _row(path: str, number: int, columns: list[str]) -> dict[str, Any]:
    """One row of a Parquet file: only its row group is read."""
    with open_read(path) as file:
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        ends = np.cumsum([parquet.metadata.row_group(g).num_rows for g in range(parquet.metadata.num_row_groups)])
        group = int(np.searchsorted(ends, number, side="right"))
        start = int(ends[group - 1]) if group else 0
        return dict(parquet.read_row_group(group, columns).slice(number - start, 1).to_pylist()[0])


#: Where a document can end before dedup: (stage, table).
_BEFORE = (("filter", "decisions"), ("extract", "rejected"))


def _elsewhere(work: str, doc_id: bytes) -> str:
    """What became of a document that dedup did not see."""
    named = f"document {doc_id.hex()}"
    for stage, table in _BEFORE:
        folder = join(work, stage)
        manifest = load_manifest(folder)
        for row in _rows(folder, manifest, table, "doc_id", doc_id) if manifest else ():
            outcome, reason = row.get("outcome", "rejected"), row.get("reason")
            if outcome == "kept":
                continue
            return f"{named} did not reach dedup: stage {stage} {outcome} it ({reason or 'no reason given'})"
    counted = load_manifest(join(work, "dedup"))
    number = sum(line.documents for line in counted.ledger if line.direction == "in") if counted else 0
    return (
        f"{named} is not in {work}: it is none of the {number:,} documents that dedup read, nor was it "
        "rejected before; ids are those of doc_id in the tables and of the report's samples"
    )
