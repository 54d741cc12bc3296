"""The page in a real browser: it opens from disk, says nothing on the console, and fits a phone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from algok.pipeline.stages.base import run_stage
from algok.pipeline.stages.dedup import Dedup
from algok.pipeline.stages.filter import Filter
from algok.pipeline.stages.mix import Mix
from algok.pipeline.stages.report import PAGE, Report
from tests.pipeline import report_folder as made

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = Path("/usr/bin/chromium")
#: A closed network: the browser must not look for its maker's servers; root needs --no-sandbox.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECTIONS = [
    "run",
    "funnel",
    "losses",
    "failed",
    "limits",
    "samples",
    "dedup",
    "mixture",
    "tokenizer",
    "packing",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is absent: apt-get install chromium")
    with playwright.sync_playwright() as api:
        found = api.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("browser")
    made.extract(work)
    context = made.context(work)
    for stage in (Filter(), Dedup(), Mix()):
        run_stage(stage, context)
    made.tokenizer_and_pack(work)
    run_stage(Report(), context)
    return work / "report" / PAGE


class Opened:
    """The page in a tab; what it said and asked for."""

    def __init__(self, browser: Any, path: Path, width: int, scheme: str = "light", script: bool = True) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
        )
        self.said: list[str] = []
        self.asked: list[str] = []
        self.tab = self.context.new_page()
        self.tab.on("console", lambda message: self.said.append(message.text))
        self.tab.on("pageerror", lambda error: self.said.append(str(error)))
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.goto(path.as_uri())

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400, 320])
def test_opens_clean_and_fits(browser: Any, page_path: Path, width: int, scheme: str) -> None:
    with Opened(browser, page_path, width, scheme) as page:
        page.tab.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert page.said == []
        assert page.asked == [page_path.as_uri()]
        assert page.tab.evaluate("document.documentElement.scrollWidth") <= width
        for section in SECTIONS:
            assert page.tab.locator(f"section#{section} h2").is_visible()


def test_hostile_text_does_not_run(browser: Any, page_path: Path) -> None:
    with Opened(browser, page_path, 1280) as page:
        page.tab.wait_for_timeout(200)
        assert page.tab.title().startswith("small: what was kept")
        assert page.tab.locator("img, iframe").count() == 0


def test_the_numbers_of_packing_are_on_the_page(browser: Any, page_path: Path) -> None:
    with Opened(browser, page_path, 1280) as page:
        packing = page.tab.locator("section#packing")
        facts = " ".join(packing.locator("dl").inner_text().split())
        assert "249 tokens of padding, 0.715 %" in facts
        assert "Documents cut 3 longer than a sequence; concatenation would cut 16" in facts
        assert "2 of 3 in adjacent sequences" in facts
        row = packing.get_by_role("row").filter(has_text="Korean, web")
        assert row.get_by_role("cell").all_inner_texts()[1:] == ["20,000", "57.9 %", "23,000", "24,000", "-4,000"]


def test_the_slider_of_a_curve_tells_what_another_limit_keeps(browser: Any, page_path: Path) -> None:
    with Opened(browser, page_path, 1280) as page:
        figure = page.tab.locator("figure[data-points]").first
        output = figure.locator("output")
        before = output.inner_text()
        assert "keeps" in before
        figure.locator("input[type=range]").evaluate("e => { e.value = e.max; e.dispatchEvent(new Event('input')); }")
        assert output.inner_text() != before
        assert page.said == []


def test_buttons_open_and_close_the_samples(browser: Any, page_path: Path) -> None:
    with Opened(browser, page_path, 1280) as page:
        samples = page.tab.locator("#samples details")
        page.tab.get_by_role("button", name="Open all").click()
        assert all(samples.nth(i).get_attribute("open") is not None for i in range(samples.count()))
        page.tab.get_by_role("button", name="Close all").click()
        assert all(samples.nth(i).get_attribute("open") is None for i in range(samples.count()))


def test_reads_without_script(browser: Any, page_path: Path) -> None:
    with Opened(browser, page_path, 400, script=False) as page:
        assert page.tab.locator(".try").first.is_hidden()
        assert page.tab.get_by_role("button").count() == 0
        summary = page.tab.locator("#samples summary").first
        summary.click()
        assert page.tab.locator("#samples article").first.is_visible()


def test_the_text_has_contrast(browser: Any, page_path: Path) -> None:
    """WCAG AA for body text and quiet text, in both schemes."""
    script = """() => {
      const level = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(n => n / 255)
        .map(n => n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4);
        return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
      const paper = level(getComputedStyle(document.body).backgroundColor);
      return ['.lead', '.about', 'thead th', '.verdict', 'figcaption', '.against'].map(s => {
        const ink = level(getComputedStyle(document.querySelector(s)).color);
        return [s, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)]; });
    }"""
    for scheme in ("light", "dark"):
        with Opened(browser, page_path, 1280, scheme) as page:
            low = [(name, ratio) for name, ratio in page.tab.evaluate(script) if ratio < 4.5]
            assert low == [], scheme
