"""The dedup stage from files to files: sound clusters, the same for any workers, batches, partitions and order."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from algok.dedup.bands import BandOptions
from algok.dedup.shingles import shingles_of
from algok.dedup.verify import VerifyOptions
from algok.errors import CorruptionError
from algok.filters.signals.content import content_hash
from algok.schema import CLUSTERS, DECISIONS, DOCUMENTS
from algok.transforms.dedup import DedupOptions, indexed_units, run_dedup
from algok.transforms.dedup_clusters import ClusterRows
from algok.transforms.dedup_exact import build_exact
from algok.transforms.dedup_tables import Plan, count_pieces
from algok.transforms.heartbeat import read_progress
from algok.transforms.units import Unit, write_units

Document = dict[str, Any]


def words(rng: random.Random, count: int) -> list[str]:
    return ["".join(rng.choice("가나다라마바사아자차카타파하고노도로모보소오") for _ in range(3)) for _ in range(count)]


def corpus(seed: int = 1, families: int = 30) -> list[Document]:
    """Families of texts at several distances from each other, exact copies, and texts of their own."""
    rng = random.Random(seed)
    texts: list[tuple[str, str]] = []
    for family in range(families):
        base = words(rng, 150)
        language = rng.choice(["ko", "en", "ja"])
        for _ in range(rng.randint(1, 5)):
            text = list(base)
            for _ in range(rng.choice([0, 1, 2, 6, 40])):
                text[rng.randrange(len(text))] = words(rng, 1)[0]
            texts.append((" ".join(text), language))
            if rng.random() < 0.3:
                texts.append((" ".join(text) + " \n", language))
        texts.append((" ".join(words(rng, rng.choice([1, 3, 60]))), "ko"))
        if family % 10 == 0:
            texts += [("", "ko"), ("...", "en")]
    rng.shuffle(texts)
    return [
        {
            "doc_id": rng.randbytes(16),
            "source": f"s{i % 3}",
            "text": text,
            "language": language,
            "captured": rng.randint(0, 5),
            "chars": len(text),
            "bytes": len(text.encode()),
            "kept": rng.random() < 0.9,
        }
        for i, (text, language) in enumerate(texts)
    ]


def write_unit_files(folder: Path, key: str, documents: Sequence[Document], group: int = 50) -> Unit:
    n = len(documents)
    columns: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in DOCUMENTS}
    for name in ("doc_id", "source", "text", "language", "chars", "bytes"):
        columns[name] = pa.array([d[name] for d in documents], DOCUMENTS.field(name).type)
    columns["captured"] = pa.array([d["captured"] for d in documents], pa.int64()).cast(
        DOCUMENTS.field("captured").type
    )
    for name in ("url", "host"):
        columns[name] = pa.array([d.get(name) for d in documents], pa.string())
    columns["content_hash"] = pa.array([content_hash(d["text"]) for d in documents], pa.binary(16))
    (folder / "documents").mkdir(parents=True, exist_ok=True)
    (folder / "decisions").mkdir(parents=True, exist_ok=True)
    path = folder / "documents" / f"{key}.parquet"
    pq.write_table(pa.table(columns, schema=DOCUMENTS), path, row_group_size=group, write_page_checksum=True)
    decided: dict[str, pa.Array] = {field.name: pa.nulls(n, field.type) for field in DECISIONS}
    decided["doc_id"] = columns["doc_id"]
    decided["outcome"] = pa.array(["kept" if d["kept"] else "rejected" for d in documents])
    decisions = folder / "decisions" / f"{key}.parquet"
    pq.write_table(pa.table(decided, schema=DECISIONS), decisions, write_page_checksum=True)
    return Unit(key=key, size=n, body={"documents": str(path), "decisions": str(decisions), "rows": n})


def run_with(workers: int) -> Callable[[str, Callable[[beam.Pipeline], Any]], None]:
    def run(name: str, build: Callable[[beam.Pipeline], Any]) -> None:
        mode = "multi_processing" if workers > 1 else "in_memory"
        args = [f"--direct_num_workers={workers}", f"--direct_running_mode={mode}"]
        pipeline = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(args))
        build(pipeline)
        pipeline.run().wait_until_finish()

    return run


def dedup(
    folder: Path,
    documents: Sequence[Document],
    options: DedupOptions,
    *,
    units: int = 4,
    workers: int = 1,
    partitions: int = 3,
    group: int = 50,
) -> dict[bytes, Document]:
    """Rows of CLUSTERS by doc_id."""
    parts = np.array_split(np.arange(len(documents)), units)
    made = [
        write_unit_files(folder, f"{i * 7919 + 11:016x}", [documents[j] for j in part.tolist()], group)
        for i, part in enumerate(parts)
    ]
    numbered = indexed_units(made)
    plan = Plan(
        units=str(folder / "units.jsonl"),
        folder=str(folder / "tables"),
        spill=str(folder / "spill"),
        partitions=partitions,
        rows=len(documents),
    )
    run_dedup(run_with(workers), plan, numbered, options)
    rows: dict[bytes, Document] = {}
    for unit in numbered:
        last = -1
        for batch, _ in ClusterRows(folder=plan.folder).read(unit, {}):
            assert batch.schema.equals(CLUSTERS)
            for row in batch.to_pylist():
                assert row["row"] > last
                last = row["row"]
                assert row["doc_id"] not in rows
                rows[row["doc_id"]] = row
    return rows


def essence(rows: dict[bytes, Document]) -> dict[bytes, tuple[Any, ...]]:
    """What must not depend on units, workers, batches or order."""
    names = ("cluster_id", "cluster_size", "survivor", "method", "similarity", "exact_copies", "outcome", "reason")
    return {doc_id: tuple(row[name] for name in names) for doc_id, row in rows.items()}


def jaccard(left: Document, right: Document) -> float:
    a, b = (set(shingles_of(d["text"], d["language"])) for d in (left, right))
    return len(a & b) / len(a | b) if a | b else 0.0


EASY = DedupOptions(bands=BandOptions(bands=28, rows=4))


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    return corpus()


@pytest.fixture(scope="module")
def baseline(documents: list[Document], tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, Document]:
    return dedup(tmp_path_factory.mktemp("baseline"), documents, EASY)


def test_every_kept_document_has_one_row(documents: list[Document], baseline: dict[bytes, Document]) -> None:
    assert set(baseline) == {d["doc_id"] for d in documents if d["kept"]}


def test_clusters_are_sound(documents: list[Document], baseline: dict[bytes, Document]) -> None:
    by_id = {d["doc_id"]: d for d in documents}
    members = defaultdict(list)
    for row in baseline.values():
        members[row["cluster_id"]].append(row)
        assert row["survivor"] == (row["doc_id"] == row["cluster_id"])
        assert row["outcome"] == ("kept" if row["survivor"] else "rejected")
        assert (row["reason"] is None) == row["survivor"]
    for cluster_id, rows in members.items():
        assert sum(r["survivor"] for r in rows) == 1
        assert {r["cluster_size"] for r in rows} == {len(rows)}
        assert all((r["method"] == "unique") == (len(rows) == 1) for r in rows)
        for row in rows:
            similarity = jaccard(by_id[row["doc_id"]], by_id[cluster_id])
            if row["method"] == "near" and not row["survivor"]:
                assert similarity >= EASY.verify.floor - 0.05, (
                    "never farther than the floor, up to the estimate's error"
                )
                assert row["similarity"] == pytest.approx(similarity, abs=0.12)


def test_exact_copies_are_counted(documents: list[Document], baseline: dict[bytes, Document]) -> None:
    copies = defaultdict(set)
    for d in documents:
        if d["kept"]:
            copies[" ".join(d["text"].split())].add(d["doc_id"])
    for ids in copies.values():
        assert {baseline[i]["exact_copies"] for i in ids} == {len(ids)}
        assert len({baseline[i]["cluster_id"] for i in ids}) == 1
        assert sum(baseline[i]["reason"] != "exact_duplicate" for i in ids) == 1


def test_all_clear_duplicates_are_found(documents: list[Document], baseline: dict[bytes, Document]) -> None:
    kept = [d for d in documents if d["kept"] and shingles_of(d["text"], d["language"])]
    pairs = [(x, y) for i, x in enumerate(kept) for y in kept[:i] if x["language"] == y["language"]]
    near = [(x, y) for x, y in pairs if jaccard(x, y) >= 0.92]
    assert len(near) > 20
    found = [baseline[x["doc_id"]]["cluster_id"] == baseline[y["doc_id"]]["cluster_id"] for x, y in near]
    assert np.mean(found) > 0.97
    far = [(x, y) for x, y in pairs if jaccard(x, y) < 0.5]
    assert not any(baseline[x["doc_id"]]["cluster_id"] == baseline[y["doc_id"]]["cluster_id"] for x, y in far)


@pytest.mark.parametrize(
    "change",
    [
        {"partitions": 1},
        {"partitions": 13, "group": 7},
        {"units": 1},
        {"units": 9},
        {"order": 5},
        {"options": DedupOptions(bands=EASY.bands, local_pairs=0)},
        pytest.param(
            {"options": DedupOptions(bands=EASY.bands, local_pairs=0), "order": 6, "units": 7, "partitions": 5},
            marks=pytest.mark.slow,
        ),
        pytest.param({"workers": 2}, marks=pytest.mark.slow),
        pytest.param({"workers": 2, "options": DedupOptions(bands=EASY.bands, local_pairs=0)}, marks=pytest.mark.slow),
    ],
    ids=["p1", "p13", "u1", "u9", "order", "distributed", "distributed-mixed", "w2", "w2-distributed"],
)
def test_same_result_anyhow(
    change: dict[str, Any], documents: list[Document], baseline: dict[bytes, Document], tmp_path: Path
) -> None:
    change = dict(change)
    mixed = list(documents)
    if "order" in change:
        random.Random(change.pop("order")).shuffle(mixed)
    options = change.pop("options", EASY)
    assert essence(dedup(tmp_path, mixed, options, **change)) == essence(baseline)


def chained(length: int, words_each: int = 100, step: int = 4) -> list[Document]:
    """Texts of which each differs a little from the one before: neighbours alike, the ends not at all."""
    rng = random.Random(3)
    text = words(rng, words_each)
    out = []
    for i in range(length):
        for k in range(step):
            text[(i * step + k) % words_each] = words(rng, 1)[0]
        body = " ".join(text)
        out.append(
            {
                "doc_id": rng.randbytes(16), "source": "s", "text": body, "language": "en", "captured": 0,
                "chars": 600 + rng.randint(0, 50), "bytes": len(body.encode()), "kept": True,
            }
        )  # fmt: skip
    return out


def test_a_chain_is_cut(tmp_path: Path) -> None:
    documents = chained(40)
    options = DedupOptions(bands=BandOptions(bands=28, rows=4), verify=VerifyOptions(threshold=0.6, floor=0.55))
    rows = dedup(tmp_path, documents, options)
    by_id = {d["doc_id"]: d for d in documents}
    clusters = {row["cluster_id"] for row in rows.values()}
    assert 3 < len(clusters) < 35
    for row in rows.values():
        assert jaccard(by_id[row["doc_id"]], by_id[row["cluster_id"]]) >= 0.55


@pytest.mark.slow
def test_local_and_distributed_cut_a_chain_alike(tmp_path: Path) -> None:
    documents = chained(60)
    verify = VerifyOptions(threshold=0.6, floor=0.55)
    bands = BandOptions(bands=28, rows=4)
    local = dedup(tmp_path / "a", documents, DedupOptions(bands=bands, verify=verify))
    spread = dedup(tmp_path / "b", documents, DedupOptions(bands=bands, verify=verify, local_pairs=0), partitions=7)
    assert essence(local) == essence(spread)


def test_progress_counts_units_and_partitions(documents: list[Document], tmp_path: Path) -> None:
    units = indexed_units([write_unit_files(tmp_path, f"{i:016x}", documents[i::3]) for i in range(3)])
    plan = Plan(
        units=str(tmp_path / "units.jsonl"), folder=str(tmp_path / "tables"), spill=str(tmp_path / "spill"),
        partitions=4, rows=len(documents), units_count=3,
    )  # fmt: skip
    write_units(plan.units, units, "test")
    pieces = 0

    def build(pipeline: beam.Pipeline) -> None:
        nonlocal pieces
        build_exact(pipeline, plan, EASY)
        pieces = count_pieces(pipeline)

    run_with(1)("exact", build)
    assert pieces == 3 + 4 + 4
    # Contents are spread over all four partitions, three units over some of four.
    assert 3 + 4 + 1 <= read_progress(plan.folder).bytes <= pieces


def test_an_exact_copy_adds_no_survivor(
    documents: list[Document], baseline: dict[bytes, Document], tmp_path: Path
) -> None:
    survivor = next(d for d in documents if d["kept"] and baseline[d["doc_id"]]["survivor"] and len(d["text"]) > 100)
    copy = {**survivor, "doc_id": b"\xff" * 16, "captured": 99}
    rows = dedup(tmp_path, [*documents, copy], EASY)
    assert not rows[copy["doc_id"]]["survivor"]
    assert rows[copy["doc_id"]]["reason"] == "exact_duplicate"
    before = {i for i, r in baseline.items() if r["survivor"]}
    assert {i for i, r in rows.items() if r["survivor"]} == before


def test_hot_band_of_many_texts(tmp_path: Path) -> None:
    # Few bands of one row and much shared boilerplate: groups of hundreds; the unit passes on ten of each.
    rng = random.Random(9)
    shared = words(rng, 60)
    documents: list[Document] = []
    for i in range(300):
        own = words(rng, 60)
        if i and i % 3 == 0:  # a twin of the text before
            own = [*documents[-1]["text"].split()[60:-1], "끝"]
        text = " ".join(shared + own)
        documents.append(
            {
                "doc_id": rng.randbytes(16), "source": "s", "text": text, "language": "en", "captured": 0,
                "chars": len(text), "bytes": len(text.encode()), "kept": True,
            }
        )  # fmt: skip
    options = DedupOptions(bands=BandOptions(bands=40, rows=1), unit_group_limit=10)
    rows = dedup(tmp_path, documents, options)
    twins = [(documents[i], documents[i - 1]) for i in range(3, 300, 3)]
    found = [rows[x["doc_id"]]["cluster_id"] == rows[y["doc_id"]]["cluster_id"] for x, y in twins]
    assert np.mean(found) > 0.95
    assert len({r["cluster_id"] for r in rows.values()}) >= 200


def test_exact_only_and_nothing(documents: list[Document], tmp_path: Path) -> None:
    rows = dedup(tmp_path / "exact", documents, DedupOptions(near=False))
    assert {r["method"] for r in rows.values()} == {"unique", "exact"}
    none = dedup(tmp_path / "none", [{**d, "kept": False} for d in documents], EASY)
    assert none == {}
    lonely = [d for d in documents if len(d["text"]) > 100][:1]
    assert [r["method"] for r in dedup(tmp_path / "one", [{**lonely[0], "kept": True}], EASY, units=1).values()] == [
        "unique"
    ]


def test_tables_that_do_not_match_the_documents_are_refused(documents: list[Document], tmp_path: Path) -> None:
    dedup(tmp_path, documents, EASY, units=1)
    other = write_unit_files(tmp_path / "other", "00000000000000ff", documents[:20])
    with pytest.raises(CorruptionError, match="does not match"):
        list(ClusterRows(folder=str(tmp_path / "tables")).read(indexed_units([other])[0], {}))


def test_a_stopped_run_goes_on_after_its_last_finished_step(
    documents: list[Document], baseline: dict[bytes, Document], tmp_path: Path
) -> None:
    units = indexed_units(
        [write_unit_files(tmp_path, f"{i:016x}", part) for i, part in enumerate((documents[:70], documents[70:]))]
    )
    ran: list[str] = []

    def rows(stop: str, key: str) -> dict[bytes, Document]:
        plan = Plan(
            units=str(tmp_path / "units.jsonl"),
            folder=str(tmp_path / "tables"),
            spill=str(tmp_path / "spill"),
            partitions=2,
            rows=len(documents),
            key=key,
        )
        ran.clear()

        def run(name: str, build: Callable[[beam.Pipeline], Any]) -> None:
            ran.append(name)
            run_with(1)(name, build)
            if name == stop:
                raise KeyboardInterrupt

        run_dedup(run, plan, units, EASY)
        source = ClusterRows(folder=plan.folder)
        return {row["doc_id"]: row for u in units for batch, _ in source.read(u, {}) for row in batch.to_pylist()}

    for stop, expected in (("pairs", ["exact", "pairs"]), ("verify", ["pairs", "verify"])):
        with pytest.raises(KeyboardInterrupt):
            rows(stop, "one")
        assert ran == expected
    assert essence(rows("", "one")) == essence(baseline)
    assert ran[0] == "verify"
    assert "pairs" not in ran
    assert essence(rows("", "one")) == essence(baseline)
    assert ran == []
    rows("", "two")
    assert ran[:2] == ["exact", "pairs"]
