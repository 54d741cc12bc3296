"""The vocabulary of the block engine: elements, words of class and id attributes, words of short lines.

A name is packed into an integer of its first eight bytes, so that a compiled scan compares integers.
"""

from typing import Any

import numpy as np

__all__ = """
    BLOCK CHROME DRAWN GROUPS INLINE NUMBERED SKIP TAGS VOID element_table pack phrase_table token_table
    word_table
""".split()  # noqa: SIM905

#: What the scan does with an element: a block opens a node of the tree; text within a line stays in its block; void
#: elements hold nothing; the content of skipped ones is no text.
INLINE, VOID, SKIP, BLOCK = range(4)

#: Block elements; the place is the id of the element, ``other`` the root of the page. Unknown ones stand in their line,
#: as in browsers.
TAGS = """
    other html head body div section article main header footer nav aside p h1 h2 h3 h4 h5 h6 ul ol menu li dl
    dt dd table thead tbody tfoot tr td th caption blockquote pre figure figcaption address form fieldset
    details summary center dialog label legend hgroup
""".split()  # noqa: SIM905
_INLINE = """
    a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd mark nobr q rb rp rt ruby s samp
    small span strike strong sub sup time tt u var wbr output blink picture marquee slot
""".split()  # noqa: SIM905
_VOID = ["br", "hr", "img", "input", "meta", "link", "area", "base", "col", "embed", "param", "source", "track", "wbr"]
_SKIP = """
    script style noscript template textarea iframe svg select object canvas noembed noframes audio video button
    math title datalist option
""".split()  # noqa: SIM905

#: Words of class, id, role and itemprop attributes, by what they say about an element; the place is a bit.
GROUPS = tuple(
    line.split()
    for line in """
article articles news story stories
post posts entry entries hentry
content contents
body text txt copy paragraph para richtext wysiwyg markdown prose
main primary page wrapper wrap container
comment comments commentlist reply replies respond response discussion disqus livere utterances \
giscus
nav navi navigation navbar menu menus breadcrumb breadcrumbs crumb crumbs pager paging pagination \
pagenavi gnb lnb snb submenu
foot footer bottom copyright legal
head header masthead top topbar toolbar logo
side sidebar aside rail widget widgets module secondary
share sharing shares social sns sharebar like likes follow twitter facebook kakao addthis a2a \
sharedaddy
related relate relatedposts recommend recommended recommendation recommendations popular trending \
similar also more readmore suggested other yarpp next prev previous
teaser teasers promo promos featured highlight highlights card cards tile tiles
tag tags tagtrail hashtag hashtags category categories label labels taxonomy topic topics
meta byline author authors date time timestamp published publisher posted info profile bio credit \
credits
ad ads adv advert advertisement advertising adsense adsbygoogle banner sponsor sponsored dfp gpt \
revenue commercial
newsletter subscribe subscription signup cta login register cookie cookies consent gdpr popup modal \
overlay dialog notice alert
caption captions figcaption figure image img photo gallery thumb thumbnail video media slide slider \
carousel
toc index outline
title headline heading subtitle lead lede intro summary excerpt dek abstract standfirst description
search form input filter sort
list lists item items grid archive archives
hidden hide invisible sr screen visually print noprint offscreen only
quote blockquote pullquote cite sidenote footnote footnotes reference references
code highlight gutter syntax rouge
section block box panel inner row col column
rating vote votes score review reviews product price cart buy
button btn link links icon
share sharing sharedaddy sns social addthis a2a like likes postbtn comment comments reply replies \
respond disqus utterances giscus livere tag tags tagtrail taglist taglabel hashtag hashtags category \
related relate recommend recommended recommends recommendation recommendations yarpp relatedposts \
moreposts navigation postnav pagination pager paging breadcrumb breadcrumbs ad ads adsbygoogle \
advert advertisement revenue banner sponsor promo newsletter subscribe profile copyright screen \
headerlink toc hidden
katex mathjax jax mjx
gutter lineno linenos linenodiv lnt ln numbers
""".strip().split("\n")
)
#: The bit of what a template puts into its body container that is no text of it.
CHROME = len(GROUPS) - 3
#: The bits of drawn formulas and of line numbers beside code.
DRAWN, NUMBERED = len(GROUPS) - 2, len(GROUPS) - 1

#: Words that short lines of furniture begin with or hold; the place is a bit.
PHRASES = tuple(
    line.split()
    for line in """
comment comments reply replies responses kommentare commentaires comentarios 댓글 답글 덧글 \
コメント 评论
share tweet facebook twitter linkedin pinterest whatsapp follow like email print teilen drucken \
공유 좋아요 페이스북 트위터 카카오톡 분享
related read more also next previous see recommended popular latest weitere mehr lesen 관련 이전 \
다음 더보기 추천 인기 관련글 이전글 다음글 関連 相关
copyright © (c) ⓒ rights reserved impressum datenschutz privacy terms 저작권 저작권자 \
무단 무단전재 all
subscribe newsletter sign login log register cookies cookie anmelden abonnieren 구독 로그인 \
회원가입 구독하기
by posted published updated author written von par por am on 기자 작성 작성자 입력 수정 \
등록 게시 승인 작성일 조회
tags tagged tag categories category filed topics themen schlagwörter 태그 카테고리 분류 \
タグ カテゴリー
advertisement advertisements sponsored anzeige werbung publicidad publicité 광고
photo photos image images source credit foto bild fotos getty reuters quelle 사진 출처 이미지 \
자료
home menu search contact about kontakt suche startseite 홈 검색 메뉴 목록 목차 처음으로
""".strip().split("\n")
)


def pack(name: str) -> int:
    """The first eight bytes of a name.

    >>> hex(pack("ab"))
    '0x6162000000000000'
    """
    return int.from_bytes(name.encode()[:8].ljust(8, b"\0"), "big")


def element_table() -> tuple[Any, Any, Any]:
    """(packed names, sorted; their lengths; kind | id << 8) of all elements that are known."""
    values = dict.fromkeys(_INLINE, INLINE) | dict.fromkeys(_SKIP, SKIP) | dict.fromkeys(_VOID, VOID)
    values["a"] = INLINE | 1 << 8
    values["br"] = VOID | 1 << 8
    values["hr"] = VOID | 2 << 8
    values["meta"] = VOID | 3 << 8
    values["link"] = VOID | 3 << 8
    values["title"] = SKIP | 1 << 8
    values["math"] = SKIP | 2 << 8
    values["rt"] = INLINE | 3 << 8
    values["rp"] = INLINE | 3 << 8
    values["span"] = INLINE | 4 << 8
    values["b"] = INLINE | 5 << 8
    values["strong"] = INLINE | 5 << 8
    values["script"] = SKIP | 3 << 8
    values["svg"] = SKIP | 3 << 8
    values |= {name: BLOCK | place << 8 for place, name in enumerate(TAGS) if name != "other"}
    names = sorted(values, key=pack)
    return (
        np.array([pack(name) for name in names], np.uint64),
        np.array([len(name) for name in names], np.int64),
        np.array([values[name] for name in names], np.int64),
    )


def word_table() -> tuple[Any, Any]:
    """(packed words, sorted; bits of their groups)."""
    return _masks(GROUPS)


def phrase_table() -> tuple[Any, Any]:
    """As ``word_table``, of the words of lines."""
    return _masks(PHRASES)


def token_table(ranks: tuple[tuple[str, ...], ...]) -> tuple[Any, Any]:
    """(hashes of class tokens and #ids, sorted; their ranks), for exact tokens of any length."""
    values = {token_hash(token.encode()): rank for rank, names in enumerate(ranks) for token in names}
    keys = np.array(sorted(values), np.uint64)
    return keys, np.array([values[int(key)] for key in keys], np.int64)


def token_hash(token: bytes) -> int:
    """FNV-1a of 64 bits."""
    value = 0xCBF29CE484222325
    for byte in token:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def _masks(groups: tuple[list[str], ...]) -> tuple[Any, Any]:
    masks: dict[str, int] = {}
    for bit, words in enumerate(groups):
        for word in words:
            key = word.encode()[:8].decode("utf-8", "surrogateescape")
            masks[key] = masks.get(key, 0) | 1 << bit
    packed = {int.from_bytes(k.encode("utf-8", "surrogateescape").ljust(8, b"\0"), "big"): v for k, v in masks.items()}
    keys = np.array(sorted(packed), np.uint64)
    return keys, np.array([packed[int(key)] for key in keys], np.uint64)
