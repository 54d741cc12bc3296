"""The language gate: what is visible on a page, what is decided, and what becomes of gated rows."""

import gzip
import html
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from lxml import html as lxml_html

from algok.errors import RecipeError
from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.filters.extraction.messages import Page
from algok.filters.gate import GateOptions
from algok.filters.gate.decide import LanguageGate
from algok.filters.gate.visible import SAMPLE_BYTES, visible
from algok.filters.language import LanguageIdentifier
from tests.filters.test_extraction import batch, identity, outcome, record

KOREAN = "어제 저녁에는 오랜 친구들과 함께 시장 골목에서 국수를 먹고 늦게까지 이야기를 나누었다. "
ENGLISH = "Yesterday evening we had noodles in a narrow street behind the market and talked until late. "
GERMAN = "Gestern Abend haben wir in einer engen Gasse hinter dem Markt Nudeln gegessen und lange geredet. "
FRENCH = "Hier soir, nous avons mangé des nouilles dans une ruelle derrière le marché et parlé très tard. "
MENU = "".join(f"<li><a href='/{n}'>Products and services of our company {n}</a></li>" for n in range(40))


def page(text: str, before: str = "", after: str = "") -> str:
    return f"<html><head><title>A title</title></head><body>{before}<p>{text}</p>{after}</body></html>"


# --- visible text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>a<b>b</b>c</p><p>d", "abc\nd\n"),
        ("a<br>b<BR/>c", "a b c\n"),
        ("<p title='x > y'>a</p><p data-x=\"<p>no\">b", "a\nb\n"),
        ("<p title='never closed>a</p><p>b", "a\nb\n"),
        ("a<!-- <p>no</p> --><p>b<!-->c<!-- never closed <p>d", "a\nbcd\n"),
        ("a<script>if (a < b) '</p>'</script>b<style>p{}</style>c", "abc\n"),
        ("<SCRIPT>no</Script >a", "a\n"),
        ("<script>never closed <p>a", "never closed\na\n"),
        ("<script></script>a<script>no</script>b", "ab\n"),
        ("<noscript>no</noscript><textarea>no</textarea><title>no</title><select><option>no</select>a", "a\n"),
        ("1 < 2 and <3 &lt; 4", "1 < 2 and <3 &lt; 4\n"),
        ("&#xAC00;&#44033;&#65;&#0;&#xFFFFFFF;&# b", "가각A &# b\n"),
        ("<!DOCTYPE html><?xml version='1.0'?>a</>b", "a\nb\n"),
        (" a \t\n b ", "a b \n"),
        ("", ""),
        ("<", "<\n"),
        ("a<", None),
        ("<a", ""),
    ],
)
def test_visible_text(source: str, text: str | None) -> None:
    seen = visible(source.encode())
    assert seen.running == b""
    assert seen.sound
    if text is not None:
        letters = [line.strip() for line in seen.other.decode().split("\n") if any(c.isalpha() for c in line)]
        assert letters == [line.strip() for line in text.split("\n") if any(c.isalpha() for c in line)]


def test_running_text_is_told_from_menus() -> None:
    seen = visible(page(ENGLISH * 3, f"<ul>{MENU}</ul>", f"<nav>{ENGLISH * 3}</nav>").encode())
    assert seen.running.decode().split() == (ENGLISH * 3).split()
    assert b"Products and services" in seen.other
    linked = visible(page(f"<a href='/'>{ENGLISH * 3}</a> etc.").encode())
    assert linked.running == b""


def test_counts_are_of_the_whole_page() -> None:
    seen = visible(page("한글 abc 漢字 éü", after=f"<p>{KOREAN * 200}</p>").encode())
    hangul = sum("가" <= c <= "힣" for c in KOREAN) * 200
    assert (seen.hangul, seen.letters) == (2 + hangul, 2 + 3 + 2 + 2 + hangul)
    assert (seen.running_hangul, seen.running_letters) == (hangul, hangul)
    assert len(seen.running) < SAMPLE_BYTES
    many = visible("".join(f"<p>{KOREAN * 2}</p><li>x y" for _ in range(3_000)).encode())
    assert SAMPLE_BYTES <= len(many.running) < 2 * SAMPLE_BYTES
    assert many.running.decode().startswith(KOREAN)  # no character is cut


@pytest.mark.parametrize("charset", ["euc-kr", "shift_jis", "utf-16-le", "iso-2022-jp", "windows-1252"])
def test_bytes_that_are_not_utf8_are_noticed(charset: str) -> None:
    text = {"euc-kr": KOREAN, "windows-1252": FRENCH}.get(charset, "これは日本語で書かれた文章です。" * 5)
    assert not visible(page(text).encode(charset)).sound


def test_a_page_cut_in_a_character_is_sound() -> None:
    raw = f"<p>{KOREAN}가".encode()
    assert all(visible(raw[:-n]).sound for n in (1, 2))


WORDS = st.text(st.sampled_from("abc 가나 éß"), max_size=12)
TREES = st.recursive(
    WORDS.map(html.escape),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>",
        st.sampled_from(["p", "div", "span", "b", "a href='x>y'", "ul", "li", "h2", "section"]),
        st.lists(inner, max_size=4),
    ).map(lambda text: text.replace("</a href='x>y'>", "</a>")),
    max_leaves=20,
)


@given(TREES)
@settings(deadline=None, max_examples=150)
def test_letters_are_those_of_a_parser(source: str) -> None:
    tree = lxml_html.fromstring(f"<html><body><div>{source}</div></body></html>")
    expected = etree.XPath("string(.)")(tree)
    seen = visible(f"<html><body><div>{source}</div></body></html>".encode())
    assert seen.letters == sum(c.isalpha() for c in expected)
    assert seen.hangul == sum("가" <= c <= "힣" for c in expected)


SOUP = [
    *("<", ">", "</", "<!--", "-->", '="', "='", "<script", "</script>", "&#", "&#x4", "\x00", "é", "가", "ÿ", "a"),
    *("<nav>", "</nav>", "<a>", "<p", "=", "\\", "&#99999999;", " "),
]


@given(st.lists(st.sampled_from(SOUP), max_size=200))
@settings(deadline=None, max_examples=300)
def test_soup_of_any_kind_ends(pieces: list[str]) -> None:
    for raw in ("".join(pieces).encode(), "".join(pieces).encode("latin-1", "replace")):
        seen = visible(raw)
        assert 0 <= seen.hangul <= seen.letters
        assert seen.running_letters <= seen.letters
        assert len(seen.other) <= 2 * SAMPLE_BYTES


@pytest.mark.parametrize(
    "piece", ["<div>", "<script>", '<p title="', "<p title='", "<!--", "<", "<a href=x>y</a> ", "<nav>", "&#", "<svg>"]
)
def test_hostile_pages_take_linear_time(piece: str) -> None:
    visible(b"")  # compiled
    costs = []
    for size in (250_000, 2_000_000):
        raw = (piece * (size // len(piece))).encode()
        began = time.process_time()
        visible(raw)
        costs.append(time.process_time() - began)
    assert costs[1] < 100 * max(costs[0], 0.001)  # eight times the page; quadratic would be 64 times and seconds


# --- decisions ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def identifier() -> LanguageIdentifier:
    return LanguageIdentifier()


def draw_of(ids: pa.Array) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The first byte of the id, as a part of 256."""
    return np.array([value[0] / 256 for value in ids.to_pylist()])


Judge = Callable[..., list[Any]]


@pytest.fixture(scope="module")
def judge(identifier: LanguageIdentifier) -> Judge:
    def run(pages: list[str | bytes], *, first: int = 128, html: bool = True, **options: Any) -> list[Any]:
        gate = LanguageGate(GateOptions(**options), identifier, draw_of)
        raw = [one.encode() if isinstance(one, str) else one for one in pages]
        return gate.judge([Page(one, None, html) for one in raw], [bytes([first] * 16)] * len(raw))

    return run


def test_languages_and_shares(judge: Judge) -> None:
    pages: list[str | bytes] = [page(text * 4) for text in (KOREAN, ENGLISH, GERMAN, FRENCH)]
    found = judge(pages, languages={"ko": 1.0, "en": 0.4, "de": 0.6})
    assert [v.language for v in found] == ["ko", "en", "de", "fr"]
    assert [v.reason for v in found] == [None, "gate:sampled", None, "gate:language"]
    assert "share extracted: 0.4, drew 0.500000" in found[1].detail
    assert "share extracted: 0" in found[3].detail
    found = judge(pages, languages={"ko": 1.0}, other=0.51)
    assert [v.reason for v in found] == [None] * 4
    assert judge([]) == []


def test_a_higher_share_keeps_what_a_lower_one_kept(judge: Judge) -> None:
    ids = range(0, 256, 5)
    kept = [{n for n in ids if judge([page(ENGLISH * 4)], first=n, languages={"en": share})[0].reason is None}
            for share in (0.1, 0.3, 1.0)]  # fmt: skip
    assert kept[0] < kept[1] < kept[2] == set(ids)
    assert len(kept[1]) / len(ids) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    "source",
    [
        page(KOREAN * 4),
        page(KOREAN * 4).encode("euc-kr"),
        page(KOREAN * 4).encode("utf-16"),
        page(KOREAN * 4).encode("utf-16-le"),
        page(KOREAN * 4).encode("euc-kr")[:-1] + b"\xb0",
        page("".join(f"&#{ord(c)};" for c in KOREAN * 4)),
        page(KOREAN, f"<ul>{MENU}</ul>"),  # English menu, one Korean sentence
        page("int main(void) { return printf(hello world); } " * 20, after=f"<p>{KOREAN}</p>"),
        f"<script>{ENGLISH * 100}</script>" + page(KOREAN * 2),
        page("ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ ㅠㅠㅠㅠㅠㅠㅠㅠㅠㅠㅠ"),
    ],
)
def test_what_looks_korean_passes(judge: Judge, source: str | bytes) -> None:
    (verdict,) = judge([source], first=255, languages={"ko": 1.0})
    assert verdict.reason is None, verdict


def test_doubt_costs_an_extraction_and_not_a_page(judge: Judge) -> None:
    for nothing in ("", "<html><script>render('#app')</script><div id=app></div>", page("404")):
        (verdict,) = judge([nothing], first=255, languages={"ko": 1.0})
        assert (verdict.language, verdict.reason) == ("und", None)
    assert judge([page("404")], first=255, languages={"ko": 1.0, "und": 0.0})[0].reason == "gate:language"
    # A language menu with a Korean entry is no Korean page.
    assert judge([page(ENGLISH * 4, "<li>한국어 <li>English")], languages={"ko": 1.0})[0].reason == "gate:language"


def test_verdicts_do_not_depend_on_the_batch(judge: Judge) -> None:
    pages: list[str | bytes] = [page(text * 3) for text in (KOREAN, ENGLISH, GERMAN, FRENCH, "")] * 2
    together = judge(pages, languages={"ko": 1.0, "en": 0.2})
    assert together == [judge([one], languages={"ko": 1.0, "en": 0.2})[0] for one in pages]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"languages": {"ko": 1.5}}, r"extract.gate.languages.ko: 1.5 is not between 0 and 1"),
        ({"languages": {"": 1.0}}, r"a language has no name"),
        ({"languages": {"ko": 0.0}}, r"every share is 0"),
        ({"languages": {"ko": 1.0}, "other": -1.0}, r"extract.gate.other: -1.0"),
        ({"other": 0.1}, r"no gate without `languages`"),
        ({"languages": {"ko": 1.0}, "doubt": 0.0}, r"extract.gate.doubt: 0.0"),
    ],
)
def test_bad_options_name_the_key(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        GateOptions(**options)


# --- rows --------------------------------------------------------------------------------------------------------


def test_gated_rows_are_rejected_with_their_language(identifier: LanguageIdentifier) -> None:
    text = {"media_type": None, "http_status": None}
    rows = batch(
        record(page(KOREAN * 4)),
        record(page(ENGLISH * 4)),
        record(ENGLISH * 4, media_type="text/plain"),
        record(None, text=ENGLISH * 4, kind="conversion", **text),
        record(None, text=KOREAN * 4, kind="conversion", **text),
        record(None, text=ENGLISH * 4, kind="row", **text),
        record(page(ENGLISH), http_status=404),
        record("<div>" * 20_000 + ENGLISH * 4),  # gated before anything deeper looks at it
        record("<div>" * 20_000 + KOREAN * 4),
    )
    gate = LanguageGate(GateOptions(languages={"ko": 1.0}), identifier, draw_of)
    with PageExtractor(ExtractOptions(sandbox=False), gate=gate, identity=identity) as one:
        out = one.extract(rows)
    annotated = identifier.annotate(out).to_pylist()
    assert [outcome(row) for row in annotated] == [
        ("kept", None),
        ("rejected", "gate:language"),
        ("rejected", "gate:language"),
        ("rejected", "gate:language"),
        ("kept", None),
        ("kept", None),
        ("rejected", "http_status"),
        ("rejected", "gate:language"),
        ("failed", "depth"),
    ]
    assert [row["language"] for row in annotated] == ["ko", "en", "en", "en", "ko", "en", "und", "en", "und"]
    assert all((row["text"] is None) == (row["outcome"] != "kept") for row in annotated)


@pytest.mark.slow
@pytest.mark.shared
def test_no_korean_page_of_the_crawl_is_gated(shared_data: Path, identifier: LanguageIdentifier) -> None:
    """Against the language of the fully extracted text, on every seventh page; the bar is 0.5 %."""
    from fastwarc.warc import ArchiveIterator

    with gzip.open(shared_data / "mini_crawl" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        chosen = list(map(json.loads, lines))[::7]
    records = []
    for row in chosen:
        with (shared_data / "mini_crawl" / row["file"]).open("rb") as stream:
            stream.seek(row["offset"])
            found = next(iter(ArchiveIterator(stream)))
            records.append(record(found.reader.read(), http_charset=found.http_charset))
    rows = batch(*records)
    with PageExtractor(ExtractOptions(sandbox=False), identity=identity) as one:
        full = identifier.annotate(one.extract(rows)).to_pylist()
    gate = LanguageGate(GateOptions(languages={"ko": 1.0}), identifier, draw_of)
    pages = [Page(row["payload"], row["http_charset"]) for row in records]
    verdicts = gate.judge(pages, [bytes(16)] * len(pages))
    korean = [v.reason is None for row, v in zip(full, verdicts, strict=True) if row["language"] == "ko"]
    others = [v.reason is None for row, v in zip(full, verdicts, strict=True) if row["language"] not in ("ko", "und")]
    assert len(korean) > 400
    assert len(others) > 100
    assert korean.count(False) / len(korean) <= 0.005
    assert others.count(True) / len(others) <= 0.05
