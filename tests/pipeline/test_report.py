"""The report on a small work folder: the numbers are the ledgers', hostile text is harmless, nothing is external."""

import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lxml import html

from algok.errors import StageError
from algok.pipeline.manifest import load_manifest
from algok.pipeline.report.summary import Summary
from algok.pipeline.stages.base import run_stage
from algok.pipeline.stages.dedup import Dedup
from algok.pipeline.stages.filter import Filter
from algok.pipeline.stages.mix import Mix
from algok.pipeline.stages.report import PAGE, SUMMARY, Report
from algok.transforms.storage import write_json
from tests.pipeline import report_folder as made


class Made:
    """A finished report: its page as text and tree, and its summary."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.path = work / "report" / PAGE
        self.page = self.path.read_text(encoding="utf-8")
        self.tree = html.fromstring(self.page)
        self.summary = msgspec.json.decode((work / "report" / SUMMARY).read_bytes(), type=Summary)

    def table(self, label: str) -> list[list[str]]:
        """Cells of the table in the region of that label, without what stands small below a number."""
        (region,) = self.tree.xpath(f'//div[@aria-label="{label}"]')
        rows = []
        for row in region.xpath(".//tr"):
            cells = []
            for cell in row.xpath("./th|./td"):
                for small in cell.xpath('.//*[@class="of" or @class="why"]|.//small|.//svg'):
                    small.drop_tree()
                cells.append(" ".join(cell.text_content().split()))
            rows.append(cells)
        return rows


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """All stages."""
    work = tmp_path_factory.mktemp("whole")
    made.extract(work)
    context = made.context(work)
    for stage in (Filter(), Dedup(), Mix()):
        run_stage(stage, context)
    made.tokenizer_and_pack(work)
    run_stage(Report(), context)
    return Made(work)


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _ledger(work: Path, stage: str, **match: str) -> int:
    manifest = load_manifest(str(work / stage))
    assert manifest is not None
    return sum(x.documents for x in manifest.ledger if all(getattr(x, k) == v for k, v in match.items()))


def test_funnel_equals_the_ledgers(whole: Made) -> None:
    shown = {row[0]: _number(row[2]) for row in whole.table("Funnel")[1:]}
    assert shown == {
        "Records read": _ledger(whole.work, "extract", direction="in"),
        "Documents": _ledger(whole.work, "extract", direction="out", outcome="kept"),
        "Kept by filter": _ledger(whole.work, "filter", direction="out", outcome="kept"),
        "Survivors of dedup": _ledger(whole.work, "dedup", direction="out", outcome="kept"),
        "In the mixture": _ledger(whole.work, "mix", direction="out", outcome="kept"),
        "Packed": _ledger(whole.work, "pack", direction="out", outcome="kept"),
    }
    assert shown["Records read"] > shown["Documents"] > shown["Kept by filter"] > shown["Survivors of dedup"]


def test_records_by_kind_add_up(whole: Made) -> None:
    rows = whole.table("Records by kind")
    manifest = load_manifest(str(whole.work / "extract"))
    assert manifest is not None
    kinds = manifest.details["records_by_kind"]
    assert {row[0]: _number(row[1]) for row in rows[1:-1]} == kinds
    assert _number(rows[-1][1]) == sum(kinds.values())


@pytest.mark.parametrize(("label", "stages"), [("By language", 5), ("By source", 6)])
def test_tables_by_language_and_source_have_true_totals(whole: Made, label: str, stages: int) -> None:
    rows = whole.table(label)
    for column in range(1, stages + 1):
        numbers = [_number(row[column]) for row in rows[1:]]
        assert sum(numbers[:-1]) == numbers[-1]
    last = whole.table("Funnel")[-1]
    assert rows[-1][stages] == last[2]


def test_language_by_source_adds_up_both_ways(whole: Made) -> None:
    rows = [[0 if cell == "–" else _number(cell) for cell in row[1:]] for row in whole.table("Language by source")[1:]]
    assert [sum(column[:-1]) for column in zip(*rows, strict=True)] == rows[-1]
    assert [sum(row[:-1]) for row in rows] == [row[-1] for row in rows]
    assert rows[-1][-1] == _ledger(whole.work, "pack", direction="out", outcome="kept")


def test_reasons_equal_the_ledgers(whole: Made) -> None:
    for stage in ("extract", "filter", "dedup"):
        manifest = load_manifest(str(whole.work / stage))
        assert manifest is not None
        expected: dict[str, int] = {}
        for line in manifest.ledger:
            if line.direction == "out" and line.outcome in ("rejected", "failed"):
                expected[line.reason] = expected.get(line.reason, 0) + line.documents
        rows = whole.table(f"Reasons of {stage}")
        assert {row[0]: _number(row[2]) for row in rows[1:-1]} == expected
        assert _number(rows[-1][2]) == sum(expected.values())


def test_stage_table_has_rates(whole: Made) -> None:
    rows = {row[0]: row for row in whole.table("Stages")[1:]}
    assert rows["Extract"][2] == "164"
    assert rows["Extract"][8] == "8.2"  # 164 documents in 20 s of CPU time
    assert rows["Extract"][9] == "local, 2 workers"


def test_all_checks_hold(whole: Made) -> None:
    assert [check.name for check in whole.summary.checks if not check.ok] == []
    assert {"extract balances", "dedup read what filter kept", "files of mix"} <= {c.name for c in whole.summary.checks}
    assert "The ledgers balance" in whole.tree.text_content()


def test_mixture_tokenizer_and_packing(whole: Made) -> None:
    mixture = {row[0]: row for row in whole.table("Mixture by language")[1:]}
    assert set(mixture) == {"Korean", "English", "Total"}
    assert mixture["Korean"][3] == "60.0 %"
    tokenizer = {row[0]: row for row in whole.table("Tokenizer by language")[1:]}
    assert tokenizer["Korean"][3:6] == ["6.67", "1.50", "35.7 %"]  # o200k_base first
    assert "Fewer than o200k_base" in whole.table("Tokenizer by language")[0]
    assert whole.table("Tokens by bucket")[1:] == [
        ["Korean, web", "", "20,000", "57.9 %", "23,000", "24,000", "-4,000"],
        ["English, web", "", "14,567", "42.1 %", "14,000", "14,600", "-33"],
        ["Total", "", "34,567", "", "37,000", "38,600", ""],
    ]
    assert whole.table("Shards")[1][:3] == ["shard-00000.arrow", "17", "1.23 kB"]
    packed = {row[0]: row for row in whole.table("Packed by language")[1:]}
    assert packed["Korean"][2:] == ["20,000", "57.9 %", "24,000", "-4,000", "0.15", "0.141"]
    packing = " ".join(whole.tree.xpath('//section[@id="packing"]')[0].text_content().split())
    assert "Korean is 4,000 tokens short of its budget: all there is" in packing
    assert "English is 1,433 tokens short of its budget: the mixture left documents out" in packing
    assert "2 of 3 in adjacent sequences" in packing
    assert "249 tokens of padding, 0.715 %" in packing
    assert "would cut 16" in packing


def _attributes(tree: Any) -> list[tuple[str, str, str]]:
    return [
        (node.tag, name, value) for node in tree.iter() if isinstance(node.tag, str) for name, value in node.items()
    ]


def test_hostile_text_stays_text(whole: Made) -> None:
    tags = {node.tag for node in whole.tree.iter() if isinstance(node.tag, str)}
    assert tags.isdisjoint({"img", "iframe", "object", "embed", "link", "base", "form", "b", "i", "foreignobject"})
    assert len(whole.tree.xpath("//script")) == 1
    assert whole.page.count("<script") == 1
    assert "alert('x')" not in whole.page  # its quotes are escaped
    assert "&lt;script&gt;alert(&#39;x&#39;)" in whole.page
    assert "<b>odd</b>" in whole.tree.text_content()
    for raw in "\u202e\u202c\u200b\u0007":
        assert raw not in whole.page
    assert whole.tree.xpath('//span[@class="odd" and @title="RIGHT-TO-LEFT OVERRIDE"]')


def test_nothing_is_external(whole: Made) -> None:
    for tag, name, value in _attributes(whole.tree):
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "action", "data", "poster", "style"), (tag, name, value)
        if name in ("href", "xlink:href"):
            assert value.startswith("#"), (tag, value)
    style = whole.tree.xpath("//style")[0].text
    assert "url(" not in style
    assert "@import" not in style
    policy = whole.tree.xpath('//meta[@http-equiv="Content-Security-Policy"]/@content')[0]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_links_inside_the_page_lead_somewhere(whole: Made) -> None:
    ids = set(whole.tree.xpath("//@id"))
    assert {href[1:] for href in whole.tree.xpath("//a/@href")} <= ids
    assert len(ids) == len(whole.tree.xpath("//@id"))


def test_charts_and_tables_can_be_read_out(whole: Made) -> None:
    for svg in whole.tree.xpath('//svg[not(@aria-hidden) and not(ancestor::*[@aria-hidden="true"])]'):
        assert svg.get("role") == "img"
        assert svg.xpath("./title")[0].text
        assert svg.get("aria-label")
    for table in whole.tree.xpath("//table"):
        assert table.xpath('.//th[@scope="col"]')


def test_failed_records_show_where_they_are(whole: Made) -> None:
    assert {(f.step, f.documents) for f in whole.summary.failures} == {("gzip", 8), ("timeout", 1)}
    section = whole.tree.xpath('//section[@id="failed"]')[0].text_content()
    assert "2 ranges, 300 B in all" in section
    assert "/input/<i>.gz" in section


def test_only_extract_and_filter(tmp_path: Path) -> None:
    made.extract(tmp_path)
    context = made.context(tmp_path)
    with pytest.raises(StageError):
        run_stage(Report(), made.context(tmp_path / "nothing"))
    first = run_stage(Report(), context)
    assert first.manifest.details["left_out"] == ["filter", "dedup", "mix", "train-tokenizer", "pack"]
    run_stage(Filter(), context)
    second = run_stage(Report(), context)
    assert second.fresh
    assert second.manifest.details["left_out"] == ["dedup", "mix", "train-tokenizer", "pack"]
    report = Made(tmp_path)
    assert report.summary.dedup is None
    assert "algok dedup" in report.tree.xpath('//section[@id="dedup"]')[0].text_content()
    assert [level.name for level in report.summary.funnel] == ["read", "documents", "filtered"]
    assert not run_stage(Report(), context).fresh


def test_no_document_and_no_samples(tmp_path: Path) -> None:
    made.extract(tmp_path, found=[])
    context = made.context(tmp_path, made.RECIPE.replace("samples = 3", "samples = 0"))
    run_stage(Filter(), context)
    run_stage(Report(), context)
    report = Made(tmp_path)
    assert all(check.ok for check in report.summary.checks)
    assert report.summary.funnel[-1].documents == 0
    assert report.summary.samples == report.summary.curves == []
    assert "kept no document at all" in report.tree.text_content()
    assert "report.samples = 0" in report.tree.xpath('//section[@id="samples"]')[0].text_content()


def test_a_stale_stage_is_left_out(whole: Made, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(whole.work, work)
    strict = (
        made.RECIPE
        + '[[filter.policy]]\nname = "strict"\nlanguages = ["ko"]\nrules = [{ signal = "words", min = 200 }]\n'
    )
    context = made.context(work, strict)
    assert run_stage(Filter(), context).fresh
    run_stage(Report(), context)
    report = Made(work)
    states = {row.name: row.state for row in report.summary.stages}
    assert states["dedup"] == states["mix"] == states["pack"] == "stale"
    assert report.summary.funnel[-1].name == "filtered"
    assert "filter was run again since" in report.tree.xpath('//section[@id="dedup"]')[0].text_content()


@pytest.mark.slow
def test_two_workers_make_the_same_report(whole: Made, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(whole.work, work)
    assert run_stage(Report(), made.context(work, workers=2), force=True).fresh
    again = Made(work).summary
    mine, theirs = (
        msgspec.to_builtins(msgspec.structs.replace(summary, generated="", stages=[], checks=[]))
        for summary in (again, whole.summary)
    )
    assert mine == theirs
    assert [check.ok for check in again.checks] == [True] * len(whole.summary.checks)


def test_a_wrong_ledger_is_shown(whole: Made, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(whole.work, work)
    path = work / "filter" / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    line = next(x for x in manifest["ledger"] if x["outcome"] == "kept")
    line["documents"] += 1
    write_json(str(path), manifest)
    done = run_stage(Report(), made.context(work))
    assert "filter balances" in done.manifest.details["failed_checks"]
    assert "dedup read what filter kept" in done.manifest.details["failed_checks"]
    assert "checks failed" in re.sub(r"\s+", " ", Made(work).tree.text_content())
