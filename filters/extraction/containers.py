"""The body container of well-known page templates: where the main text is when a site says so itself.

A blog platform or site generator marks its articles with a class or id of its own. Where exactly one such container
holds a
good part of the page, its content is the main text, and no heuristic over the whole page knows better: on Korean
pages, for which those of trafilatura were not tuned, this is worth several points of F1 (docs of the benchmark).
"""

import re
from functools import lru_cache
from typing import Any

from algok.filters.extraction.signals import visible_chars

__all__ = [
    "CONTAINERS",
    "HANGUL_SHARE",
    "KOREAN_RANKS",
    "LARGEST_SHARE",
    "LEAST_CHARS",
    "LEAST_SHARE",
    "MOST_LINKED",
    "RANKS",
    "find_container",
    "join_pieces",
    "strip_chrome",
]

#: Class tokens and ids (with #) of containers in four ranks; in the first rank with a hit it is decided.
CONTAINERS = (
    # Korean platforms: Tistory, Naver blog (SmartEditor ONE, 2 and older), Naver Post, Brunch, XpressEngine, Gnuboard
    """
    tt_article_useless_p_margin contents_style article_view se-main-container #postViewArea post_ct
    se_component_wrap wrap_body hentry_content xe_content rhymix_content #bo_v_con
    """,
    # Korean news
    """
    #dic_area #articleBodyContents #newsct_article #articeBody #article-view-content-div #articleBody
    #harmonyContainer #newsEndContents #CmAdContent #article_body #article_content #news_body_area
    #articleText #arl_view_content
    """,
    # Blog engines and their themes: WordPress, Hexo, Jekyll, Hugo, Ghost, Gatsby, Docusaurus
    """
    article-entry post-body post-content entry-content article-content post__content post_content
    article__content page__content post-entry postBody post-article gh-content kg-canvas e-content
    td-post-content blog-post-content theme-doc-markdown markdown-section post-contents article-body
    """,
    # Documentation and wikis
    "#page-content #post-content #entry-content #article-content #mw-content-text markdown-body rst-content",
)
RANKS = tuple(tuple(rank.split()) for rank in CONTAINERS)
_RANK_OF = {name: i for i, rank in enumerate(RANKS) for name in rank}

#: Least visible characters of a container, and its least share of the visible text of the page.
LEAST_CHARS, LEAST_SHARE = 100, 0.1
#: Least share of the largest of several: beside each other they are a list of posts.
LARGEST_SHARE = 0.8
#: Share of linked characters from which a container is a list of links.
MOST_LINKED = 0.5

#: Ranks that are Korean by themselves; a container of the others is taken at its word on Korean pages only, where it is
#: worth four points of F1. On other pages trafilatura's own choice is a point better (precision .90 against .89).
KOREAN_RANKS = 2
_HANGUL = re.compile("[가-힣]")
HANGUL_SHARE = 0.1

#: Marks of an article's body, as in the first of trafilatura's own expressions.
_PIECE = re.compile(r"(?:article|story|post|entry)(?:-|_|__)?(?:body|content|text)|articleBody", re.IGNORECASE)
_MOST_PIECES = 50

#: Parts of a container that are no part of the text, by class or id token: buttons to share and to like, comments,
#: tags, related and neighbouring posts, advertisements, author boxes, the page's own table of contents.
_CHROME = re.compile(
    r"(?:^|[\s_-])(?:share|sharing|sharedaddy|sns|social|addthis|a2a_kit|likes?|container_postbtn|postbtn|"
    r"comments?|reply|replies|respond|disqus(?:_thread)?|utterances|giscus|livere|lv-container|"
    r"tags?|tagtrail|tag_?list|tag_?label|hashtags?|post-tags|category|another_category|"
    r"related|relate|recommend(?:ed|ation)?s?|yarpp|jp-relatedposts|more-?posts|prev(?:ious)?-?next|"
    r"post-?nav(?:igation)?|pagination|pager|paging|breadcrumbs?|"
    r"ads?|adsbygoogle|advert(?:isement)?|revenue_unit_wrap|banner|sponsor|promo|newsletter|subscribe|"
    r"author-?(?:box|info|bio)|profile|copyright|screen-reader-text|sr-only|headerlink|header-anchor|"
    r"toc|table-of-contents|print-?only|hidden)(?:$|[\s_-])",
    re.IGNORECASE,
)


def find_container(tree: Any, total: int) -> Any | None:
    """The one body container of a page of ``total`` visible characters, or ``None``.

    Several containers beside each other are a list of posts, and left to the heuristics.
    """
    for i, found in enumerate(_candidates(tree)):
        if not found:
            continue
        outer = [element for element in found if not any(other in found for other in element.iterancestors())]
        sizes = [visible_chars("".join(element.itertext())) for element in outer]
        largest = max(range(len(outer)), key=sizes.__getitem__)
        if sizes[largest] < LARGEST_SHARE * sum(sizes):
            return None
        if sizes[largest] < max(LEAST_CHARS, LEAST_SHARE * total):
            continue
        chosen = outer[largest]
        if i >= KOREAN_RANKS and not _is_korean(chosen):
            return None
        linked = sum(visible_chars("".join(link.itertext())) for link in chosen.iter("a"))
        return chosen if linked <= MOST_LINKED * sizes[largest] else None
    return None


def _is_korean(element: Any) -> bool:
    text = "".join("".join(element.itertext()).split())
    return len(_HANGUL.findall(text)) > HANGUL_SHARE * len(text)


def _candidates(tree: Any) -> list[list[Any]]:
    """The elements that carry a mark of a container, by rank."""
    found: list[list[Any]] = [[] for _ in RANKS]
    for element in tree.iterdescendants("div", "article", "section", "main", "td"):
        classes = element.get("class")
        name = element.get("id")
        ranks = _ranks(classes) if classes else ()
        if name and (rank := _RANK_OF.get(f"#{name}")) is not None:
            ranks = (*ranks, rank)
        for rank in ranks:
            found[rank].append(element)
    return found


@lru_cache(maxsize=50_000)
def _ranks(classes: str) -> tuple[int, ...]:
    return tuple(sorted({_RANK_OF[token] for token in classes.split() if token in _RANK_OF}))


def join_pieces(tree: Any) -> None:
    """Put an article that was cut into several containers of one class (by advertisements, mostly) into the first.

    trafilatura takes the first container that looks like an article body. Pieces are at most two levels below one
    element that has no headline of its own beside them: in a list of posts every post has one, and stays as it is.
    """
    groups: dict[str, list[Any]] = {}
    for element in tree.iterdescendants("div", "section", "article"):
        mark = element.get("class") or element.get("itemprop")
        if mark:
            groups.setdefault(f"{element.tag} {mark}", []).append(element)
    for mark, pieces in groups.items():
        if not 2 <= len(pieces) <= _MOST_PIECES or not _PIECE.search(mark):
            continue
        above = [list(piece.iterancestors())[:2] for piece in pieces]
        common = next((one for one in above[0] if all(one in others for others in above)), None)
        if common is None or any(
            next((a for a in heading.iterancestors() if a in pieces), None) is None
            for heading in common.iterdescendants("h1", "h2", "header")
        ):
            continue
        first, *rest = pieces
        for piece in rest:
            if piece.text and piece.text.strip():
                first.append(_paragraph(piece))
            for child in list(piece):
                first.append(child)


def _paragraph(piece: Any) -> Any:
    """The text of an element before its first child, as an element of its own."""
    paragraph = piece.makeelement("p")
    paragraph.text = piece.text
    return paragraph


def strip_chrome(container: Any) -> None:
    """Remove what a template puts into its body container that is no text, in place."""
    doomed = []
    for element in container.iterdescendants(
        "div", "section", "ul", "ol", "p", "span", "a", "nav", "aside", "dl", "table"
    ):
        mark = f"{element.get('class') or ''} {element.get('id') or ''}"
        if (len(mark) > 1 and _CHROME.search(mark)) or "display:none" in (element.get("style") or "").replace(" ", ""):
            doomed.append(element)
    whole = visible_chars("".join(container.itertext()))
    for element in doomed:
        parent = element.getparent()
        # A mark on something that holds most of the text is the theme's idea of a name, not chrome.
        if parent is None or visible_chars("".join(element.itertext())) > 0.5 * whole:
            continue
        if element.tail:
            previous = element.getprevious()
            if previous is None:
                parent.text = (parent.text or "") + element.tail
            else:
                previous.tail = (previous.tail or "") + element.tail
        parent.remove(element)
