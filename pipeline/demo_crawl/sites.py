"""Sites: a host with its language, template, character set and page furniture, all functions of (seed, pool, rank)."""

from functools import lru_cache
from typing import NamedTuple

from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.writers import furniture, topics_of, writer_for

__all__ = ["OCTAVES", "Site", "site_of"]

#: Hosts of a pool: 2^k - 1 ranks with about Zipf page counts.
OCTAVES = 15

_ROMAN_TEXT = (
    "garam nuri dasom hanbit saebyeok pureun naru onnuri mirinae achim solbaram neulbom yeoul dalbit gangbyeon maru "
    "sodam haeoreum eunhasu birch cobalt drift ember fjord grove hazel iris jade kelp linden meadow north opal"
)
_ROMAN = tuple(_ROMAN_TEXT.split())

#: (charset, how it is declared) with weights. The charset is a Python codec name.
_CHARSETS: dict[str, tuple[tuple[tuple[str, str], float], ...]] = {
    "ko": (
        (("utf-8", "both"), 44),
        (("utf-8", "meta"), 22),
        (("utf-8", "http"), 10),
        (("utf-8", "none"), 4),
        (("cp949", "http"), 5),
        (("cp949", "meta"), 6),
        (("cp949", "none"), 5),
        (("cp949", "both"), 3),
        (("utf-16", "none"), 1),
    ),
    "ja": (
        (("utf-8", "both"), 60),
        (("cp932", "meta"), 9),
        (("cp932", "none"), 6),
        (("cp932", "http"), 5),
        (("euc_jp", "meta"), 8),
        (("euc_jp", "none"), 3),
        (("utf-8", "none"), 9),
    ),
    "zh": (
        (("utf-8", "both"), 66),
        (("gb18030", "meta"), 14),
        (("gb18030", "http"), 8),
        (("gb18030", "none"), 5),
        (("utf-8", "none"), 7),
    ),
    "en": (
        (("utf-8", "both"), 60),
        (("utf-8", "meta"), 20),
        (("utf-8", "none"), 10),
        (("cp1252", "http"), 9),
        (("utf-16", "none"), 1),
    ),
}
_LATIN = ((("utf-8", "both"), 70), (("utf-8", "none"), 10), (("cp1252", "meta"), 20))


class Site(NamedTuple):
    """What all pages of a host share."""

    host: str
    name: str
    language: str
    style: str
    dialect: str
    charset: str
    declared: str  # both, http, meta, none
    prefix: str  # of class names
    nav: tuple[str, ...]
    footers: tuple[str, ...]
    cookie: str
    widgets: tuple[tuple[str, tuple[str, ...]], ...]
    ads: tuple[str, ...]
    comments: tuple[str, ...]
    stray: bool  # a stray </html> before <body>
    description: bool


def _dialect(draw: Draw, language: str, style: str, charset: str) -> str:
    if charset == "cp949" and draw.chance(0.7):
        return "table"
    if style == "encyclopedia" and draw.chance(0.6):
        return "wiki"
    if language == "ko" and style in ("blog", "review"):
        return draw.weighted((("tistory", 4), ("naver", 3), ("wordpress", 2), ("hexo", 1), ("divs", 1)))
    if style == "tutorial":
        return draw.weighted((("hexo", 4), ("wordpress", 2), ("tistory", 2), ("article", 2)))
    return draw.weighted((("article", 4), ("divs", 4), ("wordpress", 2), ("table", 1), ("hexo", 0.6)))


@lru_cache(maxsize=1024)
def site_of(seed: int, language: str, style: str, rank: int) -> Site:
    """The site of a rank in the pool of a language and a style."""
    draw = Draw(seed, "site", language, style, rank)
    words = furniture(language)
    charset, declared = draw.weighted(_CHARSETS.get(language, _LATIN))
    tail = {"news": "news", "blog": "blog", "review": "blog"}.get(style, "other")
    name = draw.pick(words["names"]) + draw.pick(words[f"name_tails_{tail}"])
    host = f"{draw.pick(_ROMAN)}{rank}.{style}.{language}.example"
    if draw.chance(0.4):
        host = "www." + host
    writer = writer_for(language, draw, draw.pick(topics_of(language)), "blog")

    def footer(text: str) -> str:
        for slot, value in (
            ("{name}", name),
            ("{person}", writer.person()),
            ("{place}", "중앙"),
            ("{number}", str(draw.between(2, 99))),
            ("{number2}", str(draw.between(10, 99))),
            ("{number3}", str(draw.between(100, 999))),
            ("{number5}", str(draw.between(10000, 99999))),
            ("{year}", str(draw.between(2016, 2025))),
        ):
            text = text.replace(slot, value)
        return text

    return Site(
        host=host,
        name=name,
        language=language,
        style=style,
        dialect=_dialect(draw, language, style, charset),
        charset=charset,
        declared=declared,
        prefix=draw.pick(("", "c-", "site_", "pg-", "tt_", "wp-", "x")),
        nav=tuple(draw.sample(words["nav"], draw.between(4, 14))),
        footers=tuple(footer(line) for line in draw.sample(words["footers"], draw.between(1, 4))),
        cookie=draw.pick(words["cookies"]) if draw.chance(0.35) else "",
        widgets=tuple(
            (draw.pick(words["widgets"]), tuple(writer.title() for _ in range(draw.between(4, 10))))
            for _ in range(draw.between(0, 3))
        ),
        ads=tuple(draw.sample(words["ads"], draw.between(0, 3))),
        comments=tuple(draw.sample(words["comments"], draw.between(0, 6))),
        stray=draw.chance(0.03),
        description=draw.chance(0.6),
    )
