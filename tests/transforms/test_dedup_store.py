"""Captures of one URL, counts of snapshots and sources, and deduplication against the stores of earlier crawls."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from algok.dedup.bands import BandOptions
from algok.dedup.options import DedupOptions, StoreOptions
from algok.dedup.verify import VerifyOptions
from algok.errors import RecipeError
from algok.transforms.dedup import EDGE_TABLES, indexed_units, run_dedup
from algok.transforms.dedup_clusters import ClusterRows
from algok.transforms.dedup_store import EdgeRows, StoreRows, store_outputs
from algok.transforms.dedup_tables import Plan
from algok.transforms.storage import list_files
from algok.transforms.units import Unit
from tests.transforms.test_dedup import Document, chained, corpus, run_with, write_unit_files

#: All shingles are kept, so that a store decides as the texts would.
OPTIONS = DedupOptions(bands=BandOptions(bands=28, rows=4), store=StoreOptions(write=True, shingles=4096))
Rows = dict[bytes, Document]


def crawl(
    folder: Path,
    documents: Sequence[Document],
    options: DedupOptions = OPTIONS,
    stores: Sequence[list[Unit]] = (),
    units: int = 3,
    partitions: int = 3,
) -> tuple[Rows, list[Unit]]:
    """One run: rows of CLUSTERS by doc_id, and the files of the store that it leaves as units."""
    parts = np.array_split(np.arange(len(documents)), units)
    made = [
        write_unit_files(folder, f"{i * 7919 + 11:016x}", [documents[j] for j in part.tolist()])
        for i, part in enumerate(parts)
    ]
    numbered = indexed_units(made, stores)
    plan = Plan(
        units=str(folder / "units.jsonl"), folder=str(folder / "tables"), spill=str(folder / "spill"),
        partitions=partitions, rows=len(documents), first_store=units, store_shingles=options.store.shingles,
    )  # fmt: skip
    run_dedup(run_with(1), plan, numbered, options)
    rows: Rows = {}
    source = ClusterRows(folder=plan.folder, first_stored=plan.first_stored)
    for unit in numbered[:units]:
        for batch, _ in source.read(unit, {}):
            rows |= {row["doc_id"]: row for row in batch.to_pylist()}
    return rows, write_store(folder, plan, numbered, options) if options.store.write else []


def write_store(folder: Path, plan: Plan, units: Sequence[Unit], options: DedupOptions) -> list[Unit]:
    (folder / "store").mkdir()
    (output,) = store_outputs(options.minhash.permutations)
    files = []
    for unit in units:
        found = [batch for batch, _ in StoreRows(folder=plan.folder, options=options).read(unit, {})]
        path = folder / "store" / f"{unit.body['index']:08d}.parquet"
        pq.write_table(pa.Table.from_batches(found, output.schema), path)
        files.append(Unit(key=path.stem, size=1, body={"store": str(path)}))
    edges = []
    for i, file in enumerate(f for name in EDGE_TABLES for f in list_files(plan.table(name, "*.arrow"))):
        unit = Unit(key=f"{i}", size=1, body={"edges": file.path})
        path = folder / "store" / f"edges-{i}.parquet"
        pq.write_table(pa.Table.from_batches([b for b, _ in EdgeRows().read(unit, {})], EdgeRows().schema), path)
        edges.append(str(path))
    files[0].body["edges"] = edges
    return files


def essence(rows: Rows) -> dict[bytes, tuple[Any, ...]]:
    names = ("cluster_id", "cluster_size", "survivor", "reason", "exact_copies", "cluster_snapshots", "cluster_sources")
    return {doc_id: tuple(row[name] for name in names) for doc_id, row in rows.items()}


@pytest.fixture(scope="module")
def crawls() -> tuple[list[Document], list[Document]]:
    """Two crawls of which the first is preferred (longer texts are: a capture's length is given), with copies and near
    copies within and between them."""
    documents = [d for d in corpus(seed=4, families=24) if d["kept"]]
    rng = random.Random(8)
    first = [d for d in documents if rng.random() < 0.6]
    chosen = {d["doc_id"] for d in first}
    second = [d for d in documents if d["doc_id"] not in chosen]
    # The rule under test prefers documents of the earlier crawl: say so in the terms of a run over both.
    return [{**d, "chars": d["chars"] + 100_000} for d in first], second


@pytest.mark.parametrize("local_pairs", [4_000_000, pytest.param(0, marks=pytest.mark.slow)], ids=["local", "spread"])
def test_a_then_b_keeps_what_both_together_keep(
    crawls: tuple[list[Document], list[Document]], local_pairs: int, tmp_path: Path
) -> None:
    first, second = crawls
    options = DedupOptions(bands=OPTIONS.bands, store=OPTIONS.store, local_pairs=local_pairs)
    both, _ = crawl(tmp_path / "both", [*first, *second], options)
    a, store = crawl(tmp_path / "a", first, options)
    for document in first:  # the second run must not read a text of the first crawl
        document.pop("unread", None)
    for path in (tmp_path / "a" / "documents").glob("*"):
        path.unlink()
    b, newer = crawl(tmp_path / "b", second, options, [store], units=2)
    assert set(a) | set(b) == set(both)
    assert essence(b) == {i: row for i, row in essence(both).items() if i in b}
    kept = {i for i, row in both.items() if row["survivor"]}
    assert {i for rows in (a, b) for i, row in rows.items() if row["survivor"]} == kept
    assert any(row["earlier"] and row["reason"] == "near_duplicate" for row in b.values())
    assert any(row["earlier"] and row["reason"] == "exact_duplicate" for row in b.values())
    # The store that the second run leaves is that of both: the sizes of the first crawl's clusters are updated in it.
    assert sizes(newer) == {i: row["cluster_size"] for i, row in both.items() if row["survivor"]}


def sizes(store: list[Unit]) -> dict[bytes, int]:
    """Cluster sizes by survivor, from the rows of a store."""
    table = pa.concat_tables([pq.read_table(unit.body["store"]) for unit in store]).to_pylist()
    ids = {row["node"]: row["doc_id"] for row in table}
    found: dict[bytes, int] = {}
    for row in table:
        key = ids[row["owner"]]
        found[key] = found.get(key, 0) + row["copies"]
    return found


def test_three_crawls_in_a_row(crawls: tuple[list[Document], list[Document]], tmp_path: Path) -> None:
    first, second = crawls
    half = len(second) // 2
    _, one = crawl(tmp_path / "1", first)
    middle, two = crawl(tmp_path / "2", second[:half], stores=[one])
    last, _ = crawl(tmp_path / "3", second[half:], stores=[two], partitions=1)
    again, _ = crawl(tmp_path / "4", [{**d, "doc_id": d["doc_id"][::-1]} for d in [*first, *second]], stores=[two])
    seen = {" ".join(d["text"].split()) for d in [*first, *second[:half]] if d["text"].strip(" .\n")}
    flipped = {d["doc_id"][::-1]: d for d in [*first, *second]}
    for doc_id, row in again.items():
        if " ".join(flipped[doc_id]["text"].split()) in seen:
            assert not row["survivor"]
            assert row["earlier"]
    assert all(row["cluster_size"] >= 1 for rows in (middle, last) for row in rows.values())


def test_earlier_survivors_stay_when_a_new_text_ties_them(tmp_path: Path) -> None:
    """A chain whose middle comes later: together it would be cut in another way, but what was published stays."""
    documents = chained(9, step=8)
    options = DedupOptions(bands=OPTIONS.bands, verify=VerifyOptions(threshold=0.7, floor=0.55), store=OPTIONS.store)
    first, second = documents[::2], documents[1::2]
    a, store = crawl(tmp_path / "a", first, options)
    b, newer = crawl(tmp_path / "b", second, options, [store])
    before = {i for i, row in a.items() if row["survivor"]}
    owners = {row["cluster_id"] for row in b.values() if row["earlier"]}
    assert owners
    assert owners <= before
    assert before <= set(sizes(newer))


def with_url(document: Document, url: str, captured: int, source: str = "s") -> Document:
    return {**document, "url": url, "captured": captured, "source": source}


@pytest.mark.parametrize("which", ["newest", "best"])
def test_one_capture_of_a_url_stays(which: Any, tmp_path: Path) -> None:
    base = [d for d in corpus(seed=6, families=12) if d["kept"] and len(d["text"]) > 300]
    rng = random.Random(1)
    texts = [{**d, "doc_id": rng.randbytes(16), "text": d["text"] + f" 끝{i}"} for i, d in enumerate(base[:8])]
    for text in texts:
        text["chars"] = len(text["text"])
    a, b, c, alone = (dict(texts[i]) for i in (0, 2, 4, 6))
    captures = [
        with_url({**a, "doc_id": b"a" * 16, "chars": 10}, "http://x.kr/page#top", 86_400 * 40, "new"),
        with_url({**b, "doc_id": b"b" * 16, "chars": 500}, "http://x.kr/page", 86_400, "old"),
        with_url({**c, "doc_id": b"c" * 16, "chars": 90}, "HTTP://X.kr:80/page", 86_400 * 2, "old"),
        with_url({**alone, "doc_id": b"d" * 16}, "", 0),
    ]
    options = DedupOptions(bands=OPTIONS.bands, url=which, near=False)
    rows, _ = crawl(tmp_path, captures, options)
    kept = b"a" * 16 if which == "newest" else b"b" * 16
    assert {i for i, row in rows.items() if row["survivor"]} == {kept, b"d" * 16}
    for doc_id in (b"a" * 16, b"b" * 16, b"c" * 16):
        row = rows[doc_id]
        assert (row["cluster_id"], row["cluster_size"]) == (kept, 3)
        assert (row["cluster_snapshots"], row["cluster_sources"]) == (2, 2), "January and February 1970; old and new"
        assert row["reason"] == (None if doc_id == kept else "url_duplicate")
        assert row["method"] == ("exact" if doc_id == kept else "url")
    assert rows[b"d" * 16]["cluster_snapshots"] == 1
    # Nothing of the kind with the key off.
    off, _ = crawl(tmp_path / "off", captures, DedupOptions(near=False))
    assert all(row["survivor"] for row in off.values())


def test_a_url_of_an_earlier_crawl_is_not_kept_again(tmp_path: Path) -> None:
    base = [d for d in corpus(seed=6, families=12) if d["kept"] and len(d["text"]) > 300][:6]
    rng = random.Random(2)
    own = [with_url({**d, "doc_id": rng.randbytes(16)}, f"http://x.kr/{i}", 0) for i, d in enumerate(base)]
    options = DedupOptions(bands=OPTIONS.bands, url="newest", store=OPTIONS.store)
    a, store = crawl(tmp_path / "a", own[:3], options)
    later = [with_url({**d, "doc_id": rng.randbytes(16)}, f"http://x.kr/{i}", 99) for i, d in enumerate(base[3:])]
    b, newer = crawl(tmp_path / "b", later, options, [store])
    assert {row["reason"] for row in b.values()} == {"url_duplicate"}
    assert all(row["earlier"] and row["cluster_size"] >= 2 for row in b.values())
    assert sum(sizes(newer).values()) == len(a) + len(b)


def test_store_options() -> None:
    with pytest.raises(RecipeError, match="near"):
        DedupOptions(near=False, store=StoreOptions(write=True))
    with pytest.raises(RecipeError, match="shingles"):
        StoreOptions(shingles=1)
