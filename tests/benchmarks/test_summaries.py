"""Ratios and bars follow from the measured numbers."""

import pytest
from benchmarks import beam_tax, end_to_end, growth
from benchmarks.measure import Peak, Usage

from tests.benchmarks.test_tables import assert_well_formed, result

PEAK = Peak(tree_mb=300.0, process_mb=200.0, processes=2)


def usage(cpu: float, kept: int = 5) -> Usage:
    return Usage(wall_s=cpu, cpu_s=cpu, peak=PEAK, output={"kept": kept, "languages": {"ko": 3, "de": 2}, "steps": []})


def run(variant: str, number: int, cpu: float, start: float) -> end_to_end.Run:
    return end_to_end.Run(variant=variant, round=number, pages=110, few=10, all=usage(cpu), start=usage(start))


class TestEndToEnd:
    def test_rate_is_of_the_pages_beyond_the_few(self) -> None:
        own = run("algok", 0, 12.0, 2.0)
        assert own.rate == 10.0  # 100 pages in 10 s
        assert own.start_s == 1.0  # 2 s less 10 pages at 10 a second

    def test_ratio_is_the_median_of_the_rounds(self) -> None:
        runs = [
            *(run("algok", i, cpu, 0.0) for i, cpu in enumerate((10.0, 20.0, 10.0))),
            *(run("datatrove", i, cpu, 0.0) for i, cpu in enumerate((80.0, 80.0, 50.0))),
        ]
        rates, ratios, bars = end_to_end.summarize(runs)
        assert ratios.rows == [["datatrove", "8.00", "4.00", "5.00", "5.00"]]
        assert [bar.value for bar in bars] == [pytest.approx(1 / 5)]
        assert bars[0].held
        assert rates.rows[0][6] == "3 / 0 / 2"
        assert assert_well_formed(end_to_end_page([rates, ratios])) == 2

    def test_a_slower_line_misses_its_bar(self) -> None:
        _, _, bars = end_to_end.summarize([run("algok", 0, 10.0, 0.0), run("datatrove", 0, 39.0, 0.0)])
        assert "MISSES" in str(bars[0])

    def test_a_variant_with_fewer_rounds_has_dashes(self) -> None:
        runs = [run("algok", 0, 10.0, 0.0), run("algok", 1, 10.0, 0.0), run("a", 0, 10.0, 0.0), run("a", 1, 10.0, 0.0)]
        _, ratios, _ = end_to_end.summarize([*runs, run("b", 0, 20.0, 0.0)])
        assert ratios.rows == [["a", "1.00", "1.00", "1.00"], ["b", "2.00", "-", "2.00"]]

    def test_lost_pages_are_counted_from_either_output(self) -> None:
        ours = Usage(wall_s=1, cpu_s=1, peak=PEAK, output={"kept": 1, "languages": {}, "failed": 4})
        steps = [{"step": "Trafilatura", "timeout": 2, "clean_error": 1, "total": 9}, {"step": "Warc"}]
        theirs = Usage(wall_s=1, cpu_s=1, peak=PEAK, output={"kept": 1, "languages": {}, "steps": steps})
        assert (end_to_end._lost(ours), end_to_end._lost(theirs)) == (4, 3)


def end_to_end_page(tables: list[object]) -> str:
    from benchmarks.tables import markdown

    return markdown(result(tables=tables))


def side(name: str, number: int, cpu: float, digest: str = "a") -> beam_tax.Side:
    return beam_tax.Side(
        side=name,
        round=number,
        cpu_s=cpu,
        children_s=cpu / 2,
        wall_s=cpu,
        process_s=cpu + 1,
        pages=100,
        batches=3,
        digest=digest,
    )


class TestBeamTax:
    @pytest.mark.parametrize(("job", "held"), [(10.5, True), (11.5, False)])
    def test_tax_is_job_over_loop(self, job: float, held: bool) -> None:
        tables, bars = beam_tax.summarize([side(beam_tax.LOOP, 0, 10.0), side(beam_tax.JOB, 0, job)])
        assert bars[0].value == pytest.approx(job / 10)
        assert bars[0].held is held
        assert assert_well_formed(end_to_end_page(tables)) == 2

    def test_sides_that_wrote_other_rows_are_not_compared(self) -> None:
        with pytest.raises(ValueError, match="round 1"):
            beam_tax.summarize([side(beam_tax.LOOP, 0, 10.0), side(beam_tax.JOB, 0, 10.0, digest="b")])


def size(factor: int, cpu: float, process_mb: float = 100.0) -> growth.Size:
    peak = Peak(tree_mb=process_mb * 2, process_mb=process_mb, processes=2)
    cost = growth.StageCost(cpu_s=cpu, wall_s=cpu, documents=factor * 10, shuffled=factor * 500, peak=peak)
    return growth.Size(
        factor=factor, pages=factor * 10, cpu_s=cpu, wall_s=cpu, process_s=cpu, peak=peak, stages={"extract": cost}
    )


class TestGrowth:
    def test_linear_growth_holds_and_start_up_is_no_growth(self) -> None:
        # 5 s of start-up and 0.1 s a page
        sizes = [size(factor, 5 + factor) for factor in (1, 4, 16)]
        tables, bars = growth.summarize(sizes)
        assert all(bar.held for bar in bars)
        further = next(bar for bar in bars if "further" in bar.name)
        assert further.value == pytest.approx(1.0)
        assert tables[0].rows[2][6] == "100"  # ms for each further page
        assert tables[1].rows[0][-1] == "50"  # 8,000 bytes shuffled over 160 pages
        assert assert_well_formed(end_to_end_page(tables)) == 2

    def test_growth_that_start_up_hides_misses_its_bar(self) -> None:
        sizes = [size(factor, 50 + 0.05 * factor**2) for factor in (1, 4, 16)]
        _, bars = growth.summarize(sizes)
        by_name = {bar.name: bar for bar in bars}
        assert by_name["CPU time a page, 16 x over 1 x"].held
        assert not next(bar for bar in bars if "further" in bar.name).held

    def test_memory_that_grows_misses_its_bar(self) -> None:
        _, bars = growth.summarize([size(1, 1, 100), size(4, 4, 110), size(16, 16, 130)])
        memory = [bar for bar in bars if "memory" in bar.name]
        assert len(memory) == 4
        assert not any(bar.held for bar in memory)

    def test_one_size_is_not_growth(self) -> None:
        with pytest.raises(ValueError, match="two sizes"):
            growth.summarize([size(1, 1)])
