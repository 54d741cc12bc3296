"""The benchmarks themselves, on tiny inputs. The peer is not run: its environment comes from the network."""

from pathlib import Path

import pytest
from benchmarks import beam_tax, end_to_end, growth
from benchmarks.pages import copy_pages, responses
from fastwarc import ArchiveIterator

from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl
from tests.benchmarks.test_tables import assert_well_formed


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pages in two files."""
    folder = tmp_path_factory.mktemp("crawl")
    options = DemoCrawlOptions(pages=60, pages_per_file=30, broken_share=0.0, truncate_last=False)
    write_demo_crawl(folder, options)
    return folder / "crawl"


def urls(path: Path) -> list[str]:
    with path.open("rb") as file:
        return [record.headers.get("WARC-Target-URI") or "" for record in ArchiveIterator(file, parse_http=False)]


@pytest.mark.parametrize("pages", [1, 7, None])
def test_copied_pages_are_whole_records_spread_over_the_crawl(crawl: Path, tmp_path: Path, pages: int | None) -> None:
    files = sorted(crawl.glob("*.warc.gz"))
    members = list(responses(files))
    target = tmp_path / "pages.warc.gz"
    assert copy_pages(files, target, pages) == (pages or len(members))
    found = urls(target)
    assert len(found) == (pages or len(members))
    everything = [url for path in files for url in urls(path)]
    assert set(found) <= set(everything)
    if pages == 7:
        assert 2 <= sum(url in set(urls(files[0])) for url in found) <= 5


def test_copy_of_a_crawl_without_pages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no response records"):
        copy_pages([], tmp_path / "pages.warc.gz", 3)


@pytest.mark.slow
def test_beam_tax(crawl: Path, tmp_path: Path) -> None:
    result = beam_tax.main(
        ["--crawl", str(crawl), "--work", str(tmp_path / "work"), "--results", str(tmp_path), "--rounds", "1"]
    )
    assert result is not None
    assert assert_well_formed((tmp_path / "beam_tax.md").read_text(encoding="utf-8")) == 2
    loop, job = result.measured
    assert loop["digest"] == job["digest"]
    assert loop["pages"] == job["pages"] > 30
    assert result.bars[0].value == pytest.approx(job["cpu_s"] / loop["cpu_s"])


@pytest.mark.slow
def test_growth(tmp_path: Path) -> None:
    options = ["--pages", "200", "--factors", "1,2", "--work", str(tmp_path / "work"), "--results", str(tmp_path)]
    result = growth.main(options)
    assert result is not None
    assert assert_well_formed((tmp_path / "growth.md").read_text(encoding="utf-8")) == 2
    assert result.tables[1].rows[0][0] == "extract"
    small, large = result.measured
    assert large["stages"]["extract"]["documents"] > 1.5 * small["stages"]["extract"]["documents"]
    assert large["stages"]["dedup"]["shuffled"] > 0
    assert large["peak"]["process_mb"] > 100


@pytest.mark.slow
def test_our_side_of_end_to_end(crawl: Path, tmp_path: Path) -> None:
    usage = end_to_end._algok(crawl, tmp_path)
    assert 0 < usage.output["kept"] == sum(usage.output["languages"].values()) <= 60
    assert list(usage.phases) == ["extract", "filter"]
    assert usage.cpu_s > sum(usage.output["stages_cpu_s"].values())


@pytest.mark.parametrize("module", [end_to_end, beam_tax])
def test_a_folder_without_archives_is_named(module: object, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no \*\.warc\.gz in .*--crawl"):
        module.main(["--crawl", str(tmp_path), "--work", str(tmp_path)])  # type: ignore[attr-defined]


@pytest.mark.parametrize("factors", ["1", "4,1", "0,2"])
def test_wrong_factors_are_named(factors: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--factors"):
        growth.main(["--factors", factors, "--work", str(tmp_path)])
