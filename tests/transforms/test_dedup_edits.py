"""Lines and spans that are taken out of texts: counted over units, the same anyhow, seen by the stages after dedup."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algok.dedup.lines import LineLimits, LineOptions
from algok.dedup.options import DedupOptions
from algok.dedup.spans import SpanOptions
from algok.errors import CorruptionError
from algok.schema import EDITS
from algok.transforms.dedup import indexed_units, run_dedup
from algok.transforms.dedup_clusters import ClusterRows
from algok.transforms.dedup_edits import EditRows
from algok.transforms.dedup_tables import Plan
from algok.transforms.sources import DocumentRows
from algok.transforms.units import Unit
from tests.transforms.test_dedup import Document, run_with, words, write_unit_files

FOOTER, MENU = "무단전재 및 재배포 금지", "홈 | 뉴스 | 스포츠"


def page(rng: random.Random, host: str | None, text: str) -> Document:
    return {
        "doc_id": rng.randbytes(16), "source": "s", "text": text, "language": "ko", "captured": 0, "chars": len(text),
        "bytes": len(text.encode()), "kept": True, "host": host, "url": None,
    }  # fmt: skip


def site(rng: random.Random, host: str | None, pages: int) -> list[Document]:
    """Pages with a menu and a footer around paragraphs of their own."""
    return [
        page(rng, host, "\n".join([MENU, " ".join(words(rng, 60)), " ".join(words(rng, 40)), FOOTER]))
        for _ in range(pages)
    ]


def run_edits(
    folder: Path, documents: Sequence[Document], options: DedupOptions, units: int = 4, partitions: int = 3
) -> tuple[dict[bytes, list[dict[str, Any]]], dict[bytes, str], dict[bytes, dict[str, Any]]]:
    """Edits by doc_id, the survivors' texts as later stages see them, and rows of CLUSTERS."""
    parts = np.array_split(np.arange(len(documents)), units)
    made = [
        write_unit_files(folder, f"{i * 7919 + 11:016x}", [documents[j] for j in part.tolist()])
        for i, part in enumerate(parts)
    ]
    numbered = indexed_units(made)
    plan = Plan(
        units=str(folder / "units.jsonl"), folder=str(folder / "tables"), spill=str(folder / "spill"),
        partitions=partitions, rows=len(documents),
    )  # fmt: skip
    run_dedup(run_with(1), plan, numbered, options)
    edits: dict[bytes, list[dict[str, Any]]] = {}
    texts: dict[bytes, str] = {}
    rows: dict[bytes, dict[str, Any]] = {}
    for unit in numbered:
        found = [batch for batch, _ in EditRows(folder=plan.folder, options=options).read(unit, {})]
        table = pa.Table.from_batches(found, EDITS)
        for row in table.to_pylist():
            edits.setdefault(row["doc_id"], []).append(row)
        path = folder / f"{unit.key}.edits.parquet"
        pq.write_table(table, path)
        with_edits = msgspec.structs.replace(unit, body={**unit.body, "edits": str(path)})
        tally: dict[str, Any] = {}
        for batch, _ in ClusterRows(folder=plan.folder).read(with_edits, tally):
            rows |= {row["doc_id"]: row for row in batch.to_pylist()}
        for batch, _ in DocumentRows(columns=("bytes", "text")).read(with_edits, {}):
            for row in batch.to_pylist():
                assert row["bytes"] == len(row["text"].encode())
                texts[row["doc_id"]] = row["text"]
    return edits, texts, rows


LINES = DedupOptions(near=False, lines=LineOptions(pages=8, share=0.2))


def test_lines_of_a_host_go_and_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(1)
    news, small, textless = site(rng, "news.kr", 30), site(rng, "small.kr", 5), site(rng, None, 30)
    bare = page(rng, "news.kr", f"{MENU}\n{FOOTER}")
    documents = [*news, *small, *textless, bare]
    rng.shuffle(documents)
    edits, texts, rows = run_edits(tmp_path, documents, LINES)
    assert set(edits) == {d["doc_id"] for d in news}, "a small host, no host, and a page that is only menu stay whole"
    for document in documents:
        expected = document["text"]
        if document in news:
            expected = "\n".join(document["text"].split("\n")[1:3])
        assert texts[document["doc_id"]] == expected
        row = rows[document["doc_id"]]
        lost = document["bytes"] - len(expected.encode())
        assert (row["bytes"], row["removed_bytes"]) == (document["bytes"] - lost, lost)
    for found in edits.values():
        assert [(e["kind"], e["text"].strip()) for e in found] == [("line", MENU), ("line", FOOTER)]
        assert {(e["host"], e["language"], e["pages"]) for e in found} == {("news.kr", "ko", 31)}


@pytest.mark.parametrize("change", [{"units": 1}, {"units": 9, "partitions": 1}, {"order": 3}], ids=str)
def test_the_same_edits_anyhow(change: dict[str, Any], tmp_path: Path) -> None:
    rng = random.Random(2)
    shared = " ".join(words(rng, 250))
    spans = [page(rng, None, f"{' '.join(words(rng, 120))} {shared} {' '.join(words(rng, 200))}") for _ in range(6)]
    documents = [*site(rng, "a.kr", 20), *site(rng, "b.kr", 12), *spans]
    options = DedupOptions(
        near=False, lines=LineOptions(pages=6, share=0.1, most_of_text=0.9), spans=SpanOptions(on=True, chars=200)
    )
    expected = run_edits(tmp_path / "one", documents, options)[1]
    mixed = list(documents)
    if "order" in change:
        random.Random(change.pop("order")).shuffle(mixed)
    assert run_edits(tmp_path / "two", mixed, options, **change)[1] == expected


def test_limits_by_language_and_host(tmp_path: Path) -> None:
    rng = random.Random(3)
    documents = [*site(rng, "a.kr", 12), *site(rng, "b.kr", 12)]
    lines = LineOptions(pages=50, hosts={"a.kr": LineLimits(pages=4, share=0.0)})
    edits, _, _ = run_edits(tmp_path / "host", documents, DedupOptions(near=False, lines=lines))
    assert {e["host"] for found in edits.values() for e in found} == {"a.kr"}
    none = LineOptions(pages=4, languages={"ko": LineLimits(pages=1000)})
    assert run_edits(tmp_path / "language", documents, DedupOptions(near=False, lines=none))[0] == {}
    assert run_edits(tmp_path / "off", documents, DedupOptions(near=False, lines=LineOptions(on=False)))[0] == {}


def test_removed_copies_do_not_make_their_lines_boilerplate(tmp_path: Path) -> None:
    rng = random.Random(4)
    text = "\n".join(" ".join(words(rng, 20)) for _ in range(5))
    documents = [page(rng, "a.kr", text) for _ in range(40)] + site(rng, "a.kr", 3)
    edits, _, rows = run_edits(tmp_path, documents, LINES)
    assert edits == {}
    assert sum(row["survivor"] for row in rows.values()) == 4


def test_a_long_span_stays_in_one_document(tmp_path: Path) -> None:
    rng = random.Random(5)
    shared = " ".join(words(rng, 250))
    holders = [page(rng, None, f"{' '.join(words(rng, 150))} {shared} {' '.join(words(rng, 150))}") for _ in range(5)]
    others = [page(rng, None, " ".join(words(rng, 300))) for _ in range(5)]
    options = DedupOptions(near=False, spans=SpanOptions(on=True, chars=300))
    edits, texts, _ = run_edits(tmp_path, [*holders, *others], options)
    keeper = min(holders, key=lambda d: d["doc_id"])["doc_id"]
    assert set(edits) == {d["doc_id"] for d in holders} - {keeper}
    assert shared in texts[keeper]
    for document in holders:
        for edit in edits.get(document["doc_id"], []):
            raw = document["text"].encode()[edit["start"] : edit["end"]].decode()
            assert edit["kind"] == "span"
            assert 2 <= edit["pages"] <= 5, "of the first chunk, which some may be cut differently at"
            assert raw in shared, "nothing of the document's own goes"
            assert len(raw) > 0.5 * len(shared)


def test_edits_of_other_documents_are_refused(tmp_path: Path) -> None:
    rng = random.Random(6)
    documents = site(rng, "a.kr", 3)
    unit = write_unit_files(tmp_path, "00000000000000aa", documents)
    row = {"unit": "x", "row": 1, "doc_id": b"\0" * 16, "start": 0, "end": 3, "pages": 9}
    pq.write_table(pa.Table.from_pylist([row], schema=EDITS), tmp_path / "e.parquet")
    unit = msgspec.structs.replace(unit, body={**unit.body, "edits": str(tmp_path / "e.parquet")})
    with pytest.raises(CorruptionError, match="does not match"):
        list(DocumentRows(columns=("text", "bytes")).read(unit, {}))
    assert isinstance(unit, Unit)
