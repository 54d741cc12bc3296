"""The block engine: what its scan reads, what it writes, and that it agrees with the tree."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.filters.charset import decode
from algok.filters.extraction.blocks.beliefs import SECOND, second
from algok.filters.extraction.blocks.columns import B_CHARS, B_LINKED, B_NODE, B_PIECE, B_PIECES, N_PARENT, N_TAG
from algok.filters.extraction.blocks.engine import Blocks
from algok.filters.extraction.blocks.features import FIRST, first
from algok.filters.extraction.blocks.forest import Forest, load, predict
from algok.filters.extraction.blocks.layout import container, keep_code
from algok.filters.extraction.blocks.names import TAGS
from algok.filters.extraction.blocks.scan import MOST_TAGS, Scan, scan
from algok.filters.extraction.blocks.write import block_text, write
from algok.filters.extraction.checks import repair_early_end
from algok.filters.extraction.containers import find_container
from algok.filters.extraction.markdown import Style
from algok.filters.extraction.messages import Page
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.page import PageKernel, parse, xml_bytes
from algok.filters.extraction.prepare import drop_scripts
from tests.filters.test_extraction_text import MARKDOWN, SENTENCE, body


def scanned(page: str | bytes) -> Scan:
    found = scan(page.encode("utf-8", "replace") if isinstance(page, str) else page)
    assert found is not None
    return found


def texts(page: str) -> list[str]:
    found = scanned(page)
    return [block_text(found, block) for block in range(len(found.blocks))]


def paths(page: str) -> list[str]:
    """The elements around every block, outermost first."""
    found = scanned(page)
    out = []
    for node in found.blocks[:, B_NODE].tolist():
        names = []
        while node > 0:
            names.append(TAGS[found.nodes[node, N_TAG]])
            node = found.nodes[node, N_PARENT]
        out.append(" ".join(reversed(names)))
    return out


def test_blocks_end_at_block_elements_and_line_breaks() -> None:
    assert texts("<p>a <b>b</b>c<br>d</p>e<div>f</div>") == ["a bc", "d", "e", "f"]


def test_what_is_no_text_is_left_out() -> None:
    page = "<p>a<script>if (a<b) '</p>'</script><!-- <p>no</p> --><style>x</style> b</p><svg><text>no</text></svg>"
    assert texts(page + "<noscript><p>no</p></noscript><textarea>no</textarea>") == ["a b"]


def test_references_are_read() -> None:
    assert texts("<p>a&nbsp;b &amp;amp; &#44032;&#xAC01; AT&T</p>") == ["a b &amp; 가각 AT&T"]


def test_readings_of_ruby_annotations_are_left_out() -> None:
    assert texts("<p><ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>だ") == ["漢字だ"]


IMPLIED = {
    "p in p": ("<p>a<p>b", ["p", "p"]),
    "list items": ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>e", ["ul li", "ul li", "ul li ul li", "ul li", ""]),
    "cells and rows": ("<table><tr><td>a<td>b<tr><td>c</table>d", ["table tr td", "table tr td", "table tr td", ""]),
    "definitions": ("<dl><dt>a<dd>b<dt>c</dl>", ["dl dt", "dl dd", "dl dt"]),
    "end tag of what is not open": ("<div>a</p></section>b</div>c", ["div", "div", ""]),
    "end tag beyond a cell": ("<div><table><tr><td>a</div>b</td></tr></table>c", ["div table tr td"] * 2 + ["div"]),
    "elements left open": ("<div><section><p>a</div>b", ["div section p", ""]),
    "end of body and html": ("<html><body>a</body></html><p>b", ["html body", "html body p"]),
    "element of the page's own": ("<div><my-box>a<o:p>b</o:p></my-box>c<my-box><p>d", ["div", "div p"]),
}


@pytest.mark.parametrize("name", IMPLIED)
def test_elements_end_where_html_says(name: str) -> None:
    page, expected = IMPLIED[name]
    assert paths(page) == expected


def test_links_are_counted_until_their_element_ends() -> None:
    found = scanned("<p>ab <a href=x>cd</a> e</p><div><a href=y>fg</div><p>hi</p>")
    assert found.blocks[:, B_CHARS].tolist() == [5, 2, 2]
    assert found.blocks[:, B_LINKED].tolist() == [2, 2, 0]


def test_code_left_open_ends_with_the_element_around_it() -> None:
    assert paths("<div><pre>a\n<div>b</div></div><p>c</p>") == ["div pre", "p"]


@pytest.mark.parametrize("name", MARKDOWN)
def test_the_writing_is_that_of_the_tree(name: str) -> None:
    source, expected = MARKDOWN[name]
    found = scanned(f"<div>{source}</div>")
    assert write(found, np.ones(len(found.blocks), np.bool_), Style()) == expected


def test_writing_without_structure() -> None:
    found = scanned("<h1>a</h1><ul><li>b</li></ul><pre>c\nd</pre><table><tr><td>e<td>f</table>")
    plain = Style(headings=False, lists=False, code=False, tables=False)
    assert write(found, np.ones(len(found.blocks), np.bool_), plain) == "a\nb\nc\nd\ne\nf"


def test_a_table_is_written_as_a_whole_or_by_chosen_blocks() -> None:
    found = scanned("<table><tr><td>aaaa<td>b<tr><td>c<td>d</table>")
    chosen = np.array([True, False, False, False])
    assert write(found, chosen, Style()) == "| aaaa | b |\n| c | d |"
    assert write(found, ~chosen & np.array([True, True, False, False]), Style()) == "b"


def test_a_table_around_a_long_text_arranges_the_page() -> None:
    long = "<br>".join([SENTENCE * 4] * 8)
    found = scanned(f"<table><tr><td>Menu</td><td>{long}</td></tr><tr><td>a</td><td>b</td></tr></table>")
    lines = write(found, np.ones(len(found.blocks), np.bool_), Style()).split("\n")
    assert lines == ["Menu", *[(SENTENCE * 4).strip()] * 8, "a", "b"]


def test_code_between_chosen_blocks_is_chosen() -> None:
    found = scanned("<div><p>a</p><div><pre>b</pre></div><p>c</p></div><div><pre>d</pre></div>")
    chosen = np.array([True, False, True, False])
    keep_code(found, chosen)
    assert chosen.tolist() == [True, True, True, False]


def test_the_container_of_a_template_without_its_chrome() -> None:
    korean = f"<p>{SENTENCE * 4}</p>"
    page = f"<div>Menu</div><div class='entry-content'>{korean}<div class='sharedaddy'>Share</div><nav>x</nav></div>"
    found = scanned(page)
    chosen = container(found)
    assert chosen is not None
    assert [block_text(found, int(b)) for b in np.flatnonzero(chosen)] == [(SENTENCE * 4).strip()]
    english = page.replace(SENTENCE, "A sentence in another language that is long enough. ")
    assert container(scanned(english)) is None, "such a class is taken at its word on Korean pages only"
    assert container(scanned(page + f"<div class='entry-content'>{korean}</div>")) is None, "a list of posts"


def test_predictions_are_sums_over_trees() -> None:
    forest = Forest(
        np.array([0, -3], np.int32),
        np.array([1, 0], np.int16),
        np.array([0.5, 2.0], np.float32),
        np.array([-1, -2], np.int32),
        np.array([1, -3], np.int32),
        np.array([0.25, -1.0, 2.0], np.float32),
    )
    rows = np.array([[0.0, 0.5], [2.0, 0.6], [2.5, 0.6]], np.float32)
    log_odds = np.array([0.25, -1.0, 2.0]) + 2.0  # the second tree is the leaf 2.0 alone
    np.testing.assert_allclose(predict(forest, rows), 1 / (1 + np.exp(-log_odds)), rtol=1e-6)


@pytest.mark.parametrize(("name", "width"), [("first", len(FIRST)), ("second", len(FIRST) + len(SECOND))])
def test_the_models_of_the_package_fit_the_measurements(name: str, width: int) -> None:
    forest = getattr(load(), name)
    assert forest.feature.min() >= 0
    assert forest.feature.max() < width
    used = np.concatenate([forest.left, forest.right, forest.roots])
    assert sorted(-used[used < 0] - 1) == list(range(len(forest.leaves))), "every leaf hangs on one branch"


def test_measurements_by_name() -> None:
    found = scanned("<nav><a href=x>Home</a></nav><article><h1>T</h1><p class=lead>Some words, and more.</p></article>")
    rows = first(found)
    value = {
        name: rows[:, FIRST.index(name)].tolist() for name in ("linked", "heading", "commas", "in_nav", "in_article")
    }
    assert value == {
        "linked": [1, 0, 0], "heading": [0, 1, 0], "commas": [0, 0, 1], "in_nav": [1, 0, 0], "in_article": [0, 1, 1],
    }  # fmt: skip
    assert rows[:, FIRST.index("near_title")].tolist() == [0, 0, 1]
    more = second(found, np.array([0.0, 0.25, 1.0], np.float32))
    assert more[:, SECOND.index("p-1")].tolist() == [-1, 0, 0.25]
    assert more[:, SECOND.index("in_best")].tolist() == [0, 0, 1], "the element whose text is the best answer"


def test_pages_that_are_left_to_others() -> None:
    engine = Blocks(ExtractOptions())
    text = f"<p>{SENTENCE * 5}</p>"
    assert engine(text.encode()) is not None
    for other in ("<math><mi>x</mi></math>", "<script type='math/tex'>x</script>", "<span class=katex>x</span>"):
        assert engine((text + other).encode()) is None
    assert engine(f"{text}<div class=gutter>no code</div>".encode()) is not None
    assert engine(f"{text}<td class=gutter><pre>1</pre><td><pre>a</pre>".encode()) is None
    assert engine(b"<b>" * (MOST_TAGS + 1)) is None


def test_the_cascade_asks_trafilatura_where_blocks_are_not_sure() -> None:
    page = Page(body(f"<article><h1>제목</h1><p>{SENTENCE * 9}</p></article><div>메뉴</div>").encode())
    sure = PageKernel(ExtractOptions(engine="cascade", sure=0.0), decode).extract(page)
    unsure = PageKernel(ExtractOptions(engine="cascade", sure=1.0), decode).extract(page)
    slow = PageKernel(ExtractOptions(engine="trafilatura"), decode).extract(page)
    assert unsure == slow
    assert sure.text is not None
    assert SENTENCE.strip() in sure.text


SOUP = """
    <p> </p> <pre> </pre> <a </a> <td> <table> </table> <li> <!-- --> &#x &amp ; 가 <script > </script>
    <title> x <br/> <div class=" ' <rt> <h1>
""".split()  # noqa: SIM905


@given(st.binary(max_size=400) | st.lists(st.sampled_from(SOUP)).map(lambda parts: " ".join(parts).encode()))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read(page: bytes) -> None:
    found = scanned(page)
    assert (found.nodes[1:, N_PARENT] < np.arange(1, len(found.nodes))).all(), "parents come before their children"
    assert (found.blocks[:, B_CHARS] > 0).all()
    at = 0
    for piece, pieces in found.blocks[:, [B_PIECE, B_PIECES]].tolist():
        for begin, end in found.pieces[piece : piece + pieces].tolist():
            if begin >= 0:
                assert at <= begin < end <= len(page), "every byte is in one block at most, in order"
                at = end
    rows = first(found)
    assert np.isfinite(rows).all()
    assert np.isfinite(second(found, np.full(len(rows), 0.5, np.float32))).all()
    write(found, np.ones(len(rows), np.bool_), Style())


@pytest.fixture(scope="module")
def real_pages(shared_data: Path) -> list[Page]:
    return list(_real_pages(shared_data))


def _real_pages(folder: Path) -> Iterator[Page]:
    from fastwarc.warc import ArchiveIterator

    with gzip.open(folder / "mini_crawl" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in list(map(json.loads, lines))[::25]:
            with (folder / "mini_crawl" / row["file"]).open("rb") as stream:
                stream.seek(row["offset"])
                _, _, charset = (row["content_type"] or "").partition("charset=")
                yield Page(next(iter(ArchiveIterator(stream))).reader.read(), charset or None, url=row["url"])


@pytest.mark.shared
def test_signals_are_those_of_the_tree(real_pages: list[Page]) -> None:
    fast = PageKernel(ExtractOptions(engine="blocks"), decode)
    slow = PageKernel(ExtractOptions(engine="trafilatura"), decode)
    pairs = [(fast.extract(page), slow.extract(page)) for page in real_pages]
    for name, share in (
        ("title", 0.98), ("headings", 0.93), ("tables", 0.95), ("code_blocks", 0.97), ("formulas", 0.97),
        ("no_ai", 1.0), ("licence", 1.0), ("charset", 1.0),
    ):  # fmt: skip
        equal = sum(getattr(a, name) == getattr(b, name) for a, b in pairs)
        assert equal >= share * len(pairs), (name, equal, len(pairs))
    for name in ("link_char_share", "boilerplate_ratio"):
        close = sum(abs(getattr(a, name) - getattr(b, name)) < 0.1 for a, b in pairs)
        assert close >= 0.85 * len(pairs), (name, close, len(pairs))


@pytest.mark.shared
def test_containers_are_those_of_the_tree(real_pages: list[Page]) -> None:
    found = same = 0
    for page in real_pages:
        text = decode(page.payload, page.http_charset).text
        tree = parse(xml_bytes(repair_early_end(text)))
        if tree is None:
            continue
        drop_scripts(tree)
        seen = scanned(text)
        element = find_container(tree, int(seen.blocks[:, B_CHARS].sum()))
        same += (element is None) == (container(seen) is None)
        found += element is not None
    assert found > 20
    assert same >= 0.98 * len(real_pages), same
