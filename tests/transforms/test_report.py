"""The report's sums: what limits do agrees with ``decide`` and brute force; nothing depends on how rows are split."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam import Pipeline
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.errors import CorruptionError
from algok.filters.policy import Policies, Policy, Rule, decide
from algok.schema import CLUSTERS, DOCUMENTS, REJECTED_ROWS
from algok.transforms import report_totals
from algok.transforms.limits import add_counts, borders, count_limits, limits_of
from algok.transforms.receipts import read_lines
from algok.transforms.report import HostOptions, ScanTables, count_hosts, decode_lines
from algok.transforms.report_totals import ScanOptions, Totals, merge_totals, scan_unit
from algok.transforms.units import ReadUnits, Unit, write_units

POLICY = Policy(
    name="test",
    languages=("ko",),
    rules=(
        Rule(signal="words", min=50, max=1_000),
        Rule(signal="dup_line_share", max=0.374),
        Rule(signal="new_line_ratio", max=0.3),
        Rule(signal="spam_terms", per="words", max=0.02),
        Rule(signal="link_char_share", max=0.5),
    ),
)
POLICIES = Policies(policies=(POLICY,))


def _documents(rows: int, seed: int) -> pa.RecordBatch:
    """Random signals, often exactly on a limit, some null."""
    draw = np.random.default_rng(seed)
    shares = np.array([0.0, 0.1, 0.3, 0.374, 0.38, 0.5, 0.6, 1.0], np.float32)
    words = draw.choice([0, 1, 49, 50, 51, 100, 999, 1_000, 1_001, 50_000], rows)
    given: dict[str, Any] = {
        "doc_id": [int(i).to_bytes(8, "big") + seed.to_bytes(8, "big") for i in range(rows)],
        "source": draw.choice(["a", "b"], rows),
        "language": draw.choice(["ko", "ko", "en", "fr"], rows),
        "outcome": ["kept"] * rows,
        "host": draw.choice(["one.example", "two.example", "three.example"], rows),
        "url": [f"https://x.example/{i}" for i in range(rows)],
        "text": [f"text {i} " * 30 for i in range(rows)],
        "chars": np.full(rows, 100),
        "bytes": draw.integers(1, 9_000, rows),
        "words": words,
        "dup_line_share": draw.choice(shares, rows),
        "new_line_ratio": draw.choice(shares, rows),
        "spam_terms": draw.integers(0, 3, rows),
        "link_char_share": pa.array(draw.choice(shares, rows), pa.float32(), mask=draw.random(rows) < 0.3),
    }
    columns = []
    for field in DOCUMENTS:
        values = given.get(field.name, [None] * rows)
        columns.append(values if isinstance(values, pa.Array) else pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=DOCUMENTS)


def _judged(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Any, pa.RecordBatch]:
    """Rows that the policy judged, their reasons, and all decisions."""
    decisions = decide(batch, POLICIES, "u", 0)
    mine = np.array(decisions.column("policy").to_pylist(), dtype=object) == "test"
    reasons = np.array(decisions.column("reason").to_pylist(), dtype=object)[mine]
    return batch.filter(pa.array(mine)), reasons, decisions


@given(st.integers(0, 10_000), st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_kept_and_first_reasons_are_those_of_decide(seed: int, rows: int) -> None:
    batch, reasons, decisions = _judged(_documents(rows, seed))
    counted = count_limits(batch, reasons, POLICY)
    assert counted.kept == sum(reason is None for reason in reasons)
    assert sum(limit.first for limit in counted.limits) == counted.documents - counted.kept
    assert decisions.column("outcome").to_pylist().count("kept") == counted.kept


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.3, 0.375, 0.5, 0.6, 1.0]))
@settings(max_examples=40, deadline=None)
def test_a_moved_limit_keeps_what_the_histogram_says(seed: int, moved: float) -> None:
    """Judging again with the limit moved to any round value keeps exactly the documents that the bins promise."""
    batch, reasons, _ = _judged(_documents(60, seed))
    index = next(i for i, limit in enumerate(limits_of(POLICY)) if limit.rule.signal == "dup_line_share")
    found = count_limits(batch, reasons, POLICY).limits[index]
    edges = np.array(borders(limits_of(POLICY)[index].rule))
    inside = edges[:-1] <= np.float32(moved)
    promised = int(found.open_counts[:-1][inside].sum() + found.open_counts[-1])
    rules = tuple(r if r.signal != "dup_line_share" else Rule(signal=r.signal, max=moved) for r in POLICY.rules)
    again = Policies(policies=(Policy(name="test", languages=("ko",), rules=rules),))
    kept = decide(batch, again, "u", 0).column("outcome").to_pylist().count("kept")
    assert kept == promised


def test_broken_only_and_unmeasured_by_brute_force() -> None:
    batch, reasons, _ = _judged(_documents(300, 5))
    counted = count_limits(batch, reasons, POLICY)
    rows = batch.to_pylist()
    broken: list[list[bool]] = []
    for row in rows:
        spam = np.float32(row["spam_terms"] / row["words"]) if row["words"] else 0.0
        link = row["link_char_share"]
        broken.append(
            [
                row["words"] < 50,
                row["words"] > 1_000,
                np.float32(row["dup_line_share"]) > np.float32(0.374),
                np.float32(row["new_line_ratio"]) > np.float32(0.3),
                spam > np.float32(0.02),
                link is not None and link > 0.5,
            ]
        )
    table = np.array(broken)
    assert [limit.broken for limit in counted.limits] == table.sum(axis=0).tolist()
    alone = table.sum(axis=1) == 1
    assert [limit.only for limit in counted.limits] == (table & alone[:, None]).sum(axis=0).tolist()
    assert counted.limits[5].counts[-1] == sum(row["link_char_share"] is None for row in rows)
    for i, limit in enumerate(counted.limits):
        assert limit.counts.sum() == len(rows)
        assert limit.open_counts.sum() == int((table.sum(axis=1) - table[:, i] == 0).sum())


@given(st.integers(1, 199))
@settings(max_examples=20, deadline=None)
def test_counts_do_not_depend_on_batches(cut: int) -> None:
    batch, reasons, _ = _judged(_documents(200, 9))
    cut = min(cut, batch.num_rows)
    whole = count_limits(batch, reasons, POLICY)
    parts = add_counts(
        count_limits(batch.slice(0, cut), reasons[:cut], POLICY), count_limits(batch.slice(cut), reasons[cut:], POLICY)
    )
    assert (whole.documents, whole.kept) == (parts.documents, parts.kept)
    for a, b in zip(whole.limits, parts.limits, strict=True):
        assert (a.broken, a.only, a.first) == (b.broken, b.only, b.first)
        assert np.array_equal(a.counts, b.counts)
        assert np.array_equal(a.open_counts, b.open_counts)


@pytest.mark.parametrize("rule", list(POLICY.rules), ids=lambda rule: rule.label)
def test_borders_ascend_and_hold_the_limits(rule: Rule) -> None:
    edges = np.array(borders(rule))
    assert (np.diff(edges) > 0).all()
    assert edges[0] == 0.0
    for limit in limits_of(Policy(name="x", languages=("ko",), rules=(rule,))):
        assert limit.limit in edges


OPTIONS = ScanOptions(
    policies=POLICIES, languages=frozenset({"ko", "en"}), curves=frozenset({"ko"}), samples=3, chars=40, seed=7
)


def _write(path: Path, batch: pa.RecordBatch) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_batches([batch]), path, row_group_size=64, write_page_checksum=True)
    return str(path)


def _clusters(decisions: pa.RecordBatch) -> pa.RecordBatch:
    """Kept documents in clusters of three by position: first survives, second is its copy, third is near."""
    kept = [row for row in decisions.to_pylist() if row["outcome"] == "kept"]
    rows = []
    for i, row in enumerate(kept):
        head = kept[i - i % 3]
        size = min(3, len(kept) - (i - i % 3))
        reason = [None, "exact_duplicate", "near_duplicate"][i % 3]
        rows.append(
            {
                **row,
                "cluster_id": head["doc_id"],
                "cluster_size": size,
                "survivor": i % 3 == 0,
                "method": ["near", "exact", "near"][i % 3],
                "similarity": [1.0, 1.0, 0.8][i % 3],
                "exact_copies": min(2, size) if i % 3 < 2 else 1,
                "outcome": "kept" if reason is None else "rejected",
                "reason": reason,
            }
        )
    return pa.RecordBatch.from_arrays(
        [pa.array([row.get(f.name) for row in rows], f.type) for f in CLUSTERS], schema=CLUSTERS
    )


def _folder(base: Path, rows: int = 300, units: int = 1) -> list[Unit]:
    """Units with documents, decisions, clusters and rejected records over the same rows, however many units."""
    documents = _documents(rows, 3)
    found = []
    for index in range(units):
        part = documents.slice(index * rows // units, (index + 1) * rows // units - index * rows // units)
        key = f"{index:016x}"
        decisions = decide(part, POLICIES, key, 0)
        refused = pa.RecordBatch.from_arrays(
            [
                pa.array(["url_blocklist"] * part.num_rows) if f.name == "reason" else part.column(f.name)
                for f in REJECTED_ROWS
            ],
            schema=REJECTED_ROWS,
        )
        body = {
            "documents": _write(base / "documents" / f"{key}.parquet", part),
            "decisions": _write(base / "decisions" / f"{key}.parquet", decisions),
            "clusters": _write(base / "clusters" / f"{key}.parquet", _clusters(decisions)),
            "rejected": _write(base / "rejected" / f"{key}.parquet", refused),
        }
        found.append(Unit(key=key, size=part.num_rows, body=body))
    return found


def _scan(units: list[Unit]) -> Totals:
    parts = []
    for unit in units:
        totals = Totals()
        scan_unit(unit, OPTIONS, totals)
        parts.append(totals)
    return merge_totals(parts, OPTIONS)


def _comparable(totals: Totals, *, addresses: bool = True) -> Any:
    picks = {
        key: [(p.rank, p.doc_id, p.pair, p.cells, *((p.unit, p.row) if addresses else ())) for p in found]
        for key, found in totals.picks.items()
    }
    curves = {
        key: (
            c.documents,
            c.kept,
            [(x.counts.tolist(), x.open_counts.tolist(), x.broken, x.only, x.first) for x in c.limits],
        )
        for key, c in totals.curves.items()
    }
    return picks, totals.counts, totals.groups, curves


def test_totals_do_not_depend_on_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = _folder(tmp_path)
    whole = _comparable(_scan(units))
    for rows in (1, 7, 64):
        monkeypatch.setattr(report_totals, "BATCH_ROWS", rows)
        assert _comparable(_scan(units)) == whole


def test_merging_does_not_depend_on_the_order(tmp_path: Path) -> None:
    units = _folder(tmp_path, units=5)
    forth, back = _scan(units), _scan(units[::-1])
    assert _comparable(forth) == _comparable(back)
    assert sorted(forth.sizes.items()) == sorted(back.sizes.items())


def test_documents_and_curves_are_the_same_for_any_units(tmp_path: Path) -> None:
    one, many = _scan(_folder(tmp_path / "one")), _scan(_folder(tmp_path / "many", units=4))
    a, b = _comparable(one, addresses=False), _comparable(many, addresses=False)
    filtered = [key for key in a[0] if key[0] in ("filter", "extract")]
    assert {key: a[0][key] for key in filtered} == {key: b[0][key] for key in filtered}
    assert a[3] == b[3]
    tables = ("documents", "decisions", "rejected")
    assert {k: v for k, v in a[1].items() if k[0] in tables} == {k: v for k, v in b[1].items() if k[0] in tables}


def test_samples_are_the_lowest_hashes_and_groups_are_counted(tmp_path: Path) -> None:
    units = _folder(tmp_path)
    totals = _scan(units)
    decisions = pq.read_table(units[0].body["decisions"]).to_pylist()
    for (stage, language, outcome, reason), picks in totals.picks.items():
        if stage != "filter":
            continue
        rows = [
            d
            for d in decisions
            if d["outcome"] == outcome
            and (d["reason"] or "") == reason
            and (d["language"] if d["language"] in OPTIONS.languages else "other") == language
        ]
        assert totals.groups[stage, language, outcome, reason] == len(rows)
        assert len(picks) == min(3, len(rows))
        assert {p.doc_id for p in picks} <= {d["doc_id"] for d in rows}
        assert [p.rank for p in picks] == sorted(p.rank for p in picks)
        by_id = {d["doc_id"]: d for d in rows}
        assert all(p.cells["value"] == by_id[p.doc_id]["value"] for p in picks)
        assert all(p.row == by_id[p.doc_id]["row"] for p in picks)


def test_removed_duplicates_meet_their_survivors(tmp_path: Path) -> None:
    totals = _scan(_folder(tmp_path, units=3))
    survivors = {p.pair for key, picks in totals.picks.items() if key[2] == "survivor" for p in picks}
    removed = [p for key, picks in totals.picks.items() if key[2] == "duplicate" for p in picks]
    assert len(removed) > 4
    assert sum(p.pair in survivors for p in removed) >= len(removed) - 1
    assert totals.sizes[3][1] == 3 * totals.sizes[3][0]


@pytest.mark.parametrize(("size", "first"), [(1, 1), (4, 4), (5, 5), (8, 5), (9, 9), (16, 9), (17, 17), (1_000, 513)])
def test_cluster_sizes_are_binned(tmp_path: Path, size: int, first: int) -> None:
    units = _folder(tmp_path, rows=40)
    table = pq.read_table(units[0].body["clusters"])
    column = pa.array([size] * table.num_rows, pa.int64())
    table = table.set_column(table.schema.get_field_index("cluster_size"), CLUSTERS.field("cluster_size"), column)
    pq.write_table(table, units[0].body["clusters"])
    totals = _scan(units)
    assert set(totals.sizes) == {first}
    assert totals.largest == size


def test_a_unit_whose_files_disagree_is_refused(tmp_path: Path) -> None:
    (unit,) = _folder(tmp_path)
    table = pq.read_table(unit.body["decisions"])
    pq.write_table(table.slice(1), unit.body["decisions"])
    with pytest.raises(CorruptionError, match="does not match"):
        _scan([unit])


def _run(units: list[Unit], base: Path, share: float = 0.5) -> Any:
    listed, out = base / "units.jsonl", base / "out"
    write_units(str(listed), units, "test")
    hosts = HostOptions(share=share, documents=5, spill=str(base / "spill"), partitions=3)
    with Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | ReadUnits(str(listed)) | ScanTables(OPTIONS, str(out), str(base), hosts)
    return decode_lines(read_lines(str(out)))


def test_the_job_equals_the_plain_loop(tmp_path: Path) -> None:
    units = _folder(tmp_path / "in", units=4)
    totals, pages, hosts = _run(units, tmp_path)
    assert _comparable(totals) == _comparable(_scan(units))
    removed = {p.pair for key, picks in totals.picks.items() if key[2] == "duplicate" for p in picks}
    wanted = {
        (p.unit, p.row)
        for key, picks in totals.picks.items()
        for p in picks
        if key[1] and (key[2] != "survivor" or p.pair in removed)
    }
    assert {(page.unit, page.row) for page in pages} == wanted
    texts = {u.key: pq.read_table(u.body["documents"]).to_pylist() for u in units}
    for page in pages:
        text = texts[page.unit][page.row]["text"]
        assert page.text in (text[:40], text)  # whole where it is compared with another
        assert page.url == texts[page.unit][page.row]["url"]
    counted = [row for unit in units for row in count_hosts(unit).to_pylist()]
    sums: dict[str, list[int]] = {}
    for row in counted:
        entry = sums.setdefault(row["host"], [0, 0])
        entry[0] += row["documents"]
        entry[1] += row["removed"]
    clusters = [row for u in units for row in pq.read_table(u.body["clusters"]).to_pylist()]
    assert sum(n for n, _ in sums.values()) == len(clusters)
    assert sum(n for _, n in sums.values()) == sum(not row["survivor"] for row in clusters)
    expected = {host: (n, lost) for host, (n, lost) in sums.items() if n >= 5 and lost > 0.5 * n}
    assert {host.host: (host.documents, host.removed) for host in hosts} == expected != {}
    assert _run(units, tmp_path / "strict", share=0.99)[2] == []


def test_lines_survive_the_round_trip() -> None:
    line = msgspec.json.encode(["host", {"host": "x", "documents": 2, "removed": 1}]).decode()
    totals, pages, hosts = decode_lines([line])
    assert (totals.counts, pages) == ({}, [])
    assert hosts[0].host == "x"
