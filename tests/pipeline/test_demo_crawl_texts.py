"""The generators of the synthetic crawl: Korean grammar, patterns without leftovers, code that parses, wire formats."""

import ast
import gzip

import brotli
import pytest

from algok.pipeline.demo_crawl import english, korean
from algok.pipeline.demo_crawl.code_listing import listing
from algok.pipeline.demo_crawl.compose import compose
from algok.pipeline.demo_crawl.document import Document, jaccard, shingles, text_of
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.edits import EDITS, edited
from algok.pipeline.demo_crawl.korean_grammar import ENDINGS, REGISTERS, conjugate, copula, particle, predicate
from algok.pipeline.demo_crawl.page import captured_at
from algok.pipeline.demo_crawl.wire import brotli_body, chunked, gzip_member
from algok.pipeline.demo_crawl.writers import STYLES


@pytest.mark.parametrize(
    ("word", "name", "expected"),
    [
        ("은행", "은", "은행은"),
        ("투자자", "은", "투자자는"),
        ("물", "이", "물이"),
        ("나무", "을", "나무를"),
        ("서울", "으로", "서울로"),
        ("부산", "으로", "부산으로"),
        ("제주", "으로", "제주로"),
        ("12건", "으로", "12건으로"),
        ("2020", "을", "2020을"),
        ("친구", "과", "친구와"),
        ("“저금통”", "이란", "“저금통”이란"),
        ("집", "에서", "집에서"),
    ],
)
def test_particles(word: str, name: str, expected: str) -> None:
    assert particle(word, name) == expected


@pytest.mark.parametrize(
    ("verb", "past", "forms"),
    [
        ("연구하다", False, ("연구합니다", "연구해요", "연구한다", "연구함")),
        ("연구하다", True, ("연구했습니다", "연구했어요", "연구했다", "연구했음")),
        ("받다", False, ("받습니다", "받아요", "받는다", "받음")),
        ("만들다", False, ("만듭니다", "만들어요", "만든다", "만듦")),
        ("돕다/ㅂ", False, ("돕습니다", "도와요", "돕는다", "도움")),
        ("굽다/ㅂ", True, ("구웠습니다", "구웠어요", "구웠다", "구웠음")),
        ("걷다/ㄷ", False, ("걷습니다", "걸어요", "걷는다", "걸음")),
        ("고르다/르", True, ("골랐습니다", "골랐어요", "골랐다", "골랐음")),
        ("담그다", True, ("담갔습니다", "담갔어요", "담갔다", "담갔음")),
        ("배우다", False, ("배웁니다", "배워요", "배운다", "배움")),
        ("쉬다", True, ("쉬었습니다", "쉬었어요", "쉬었다", "쉬었음")),
    ],
)
def test_verb_registers(verb: str, past: bool, forms: tuple[str, ...]) -> None:
    assert tuple(predicate(verb, register, past) for register in REGISTERS) == forms


@pytest.mark.parametrize(
    ("adjective", "past", "forms"),
    [
        ("높다", False, ("높습니다", "높아요", "높다", "높음")),
        ("어렵다/ㅂ", False, ("어렵습니다", "어려워요", "어렵다", "어려움")),
        ("안정적이다", False, ("안정적입니다", "안정적이에요", "안정적이다", "안정적임")),
        ("안정적이다", True, ("안정적이었습니다", "안정적이었어요", "안정적이었다", "안정적이었음")),
        ("맛있다", False, ("맛있습니다", "맛있어요", "맛있다", "맛있음")),
        ("빠르다/르", True, ("빨랐습니다", "빨랐어요", "빨랐다", "빨랐음")),
    ],
)
def test_adjective_registers(adjective: str, past: bool, forms: tuple[str, ...]) -> None:
    assert tuple(predicate(adjective, register, past, True) for register in REGISTERS) == forms


@pytest.mark.parametrize(
    ("verb", "ending", "descriptive", "expected"),
    [
        ("줄이다", "는", False, "줄이는"),
        ("만들다", "는", False, "만드는"),
        ("만들다", "은", False, "만든"),
        ("돕다/ㅂ", "은", False, "도운"),
        ("걷다/ㄷ", "으실", False, "걸으실"),
        ("받다", "을", False, "받을"),
        ("만들다", "을", False, "만들"),
        ("높다", "는", True, "높은"),
        ("맛있다", "은", True, "맛있는"),
        ("크다", "은", True, "큰"),
        ("가볍다/ㅂ", "면", True, "가벼우면"),
        ("살다", "려고", False, "살려고"),
        ("먹다", "려면", False, "먹으려면"),
        ("늘리다", "ㄴ다고", False, "늘린다고"),
        ("먹다", "ㄴ다고", False, "먹는다고"),
        ("보다", "었던", False, "봤던"),
        ("쓰다", "어야", False, "써야"),
        ("좋다", "는데", True, "좋은데"),
    ],
)
def test_endings(verb: str, ending: str, descriptive: bool, expected: str) -> None:
    assert conjugate(verb, ending, descriptive) == expected


def test_an_unknown_ending_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown Korean ending"):
        conjugate("하다", "구나")


def test_copula() -> None:
    assert [copula("문제", register, False) for register in REGISTERS] == [
        "문제입니다",
        "문제예요",
        "문제이다",
        "문제임",
    ]
    assert [copula("원인", register, True) for register in REGISTERS] == [
        "원인이었습니다",
        "원인이었어요",
        "원인이었다",
        "원인이었음",
    ]


def test_every_word_takes_every_ending() -> None:
    words = korean.korean_words()
    for table in (*words["topics"].values(), words["general"]):
        for key, descriptive in (("vt", False), ("adj", True)):
            for verb in table[key]:
                for ending in ENDINGS:
                    form = conjugate(verb, ending, descriptive)
                    assert all("가" <= char <= "힣" or char == " " for char in form), (verb, ending, form)


@pytest.mark.parametrize("topic", korean.TOPICS)
@pytest.mark.parametrize("register", REGISTERS)
def test_korean_patterns_leave_no_slot(topic: str, register: str) -> None:
    voice = korean.KoreanVoice(Draw("slots", topic, register), topic, register)
    for name, patterns in korean.korean_patterns().items():
        if isinstance(patterns, list) and name != "footers":
            for pattern in patterns:
                text = voice.fill(pattern)
                assert "{" not in text, pattern
                assert "|" not in text, pattern


def test_english_articles_and_forms() -> None:
    voice = english.EnglishVoice(Draw("articles"), "science")
    for _ in range(2000):
        text = voice.fill("{A thing} {verb+} {a agent} and {thing*}")
        first, second = text.split(" ")[0], text.split(" ")[1]
        vowel = second[0].lower() in "aeiou" and not second.lower().startswith(("uni", "use", "eu", "one"))
        assert first == ("An" if vowel else "A")


@pytest.mark.parametrize(("content", "style"), [(c, s) for c, styles in STYLES.items() for s, _ in styles])
def test_documents_repeat_by_seed_only(content: str, style: str) -> None:
    one = compose(content, style, "seed", 1)
    assert one == compose(content, style, "seed", 1)
    assert one != compose(content, style, "seed", 2)
    assert len(text_of(one)) > 60
    assert "{" not in text_of(one) or content in ("code", "math")


def test_python_listings_parse() -> None:
    for number in range(40):
        ast.parse("\n".join(listing(Draw("listing", number), "Python", lambda: "주석")))


@pytest.mark.parametrize("kind", EDITS)
@pytest.mark.parametrize("language", ["ko", "en", "ja", "zh"])
def test_edits_come_near_their_target(kind: str, language: str) -> None:
    def similarity(number: int, target: float) -> float:
        original = compose(language, "encyclopedia", number)
        changed: Document = edited(original, kind, target, number, "edit")
        return jaccard(*(shingles(text_of(document), language) for document in (original, changed)))

    # Short texts and whole-sentence edits are coarse, so the mean over documents is compared.
    for target in (0.8, 0.9) if kind == "reorder" else (0.6, 0.9):
        mean = sum(similarity(number, target) for number in range(20)) / 20
        assert mean == pytest.approx(target, abs=0.08)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
@pytest.mark.parametrize("level", [0, 6])
def test_compressed_forms_decode(size: int, level: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert gzip.decompress(gzip_member(data, level)) == data
    assert brotli.decompress(brotli_body(data, level)) == data


def test_chunks() -> None:
    assert chunked(b"abcdefg", 4) == b"4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n"


def test_capture_times() -> None:
    assert captured_at(0) == "2025-01-01T00:00:00Z"
    assert captured_at(86400 * 365) == "2026-01-01T00:00:00Z"
    assert captured_at(86400 * (365 * 3 + 59) + 3661) == "2028-02-29T01:01:01Z"


def test_draws_are_pinned() -> None:
    """The whole crawl hangs on these: if they change, every seed means another crawl."""
    draw = Draw(1, "pin", 2)
    assert [draw.below(1000) for _ in range(5)] == [326, 23, 351, 372, 250]
    assert draw.sample(range(10), 10) != list(range(10))
