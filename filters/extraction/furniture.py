"""Lines of a text that point away from it: "read more", "related articles", buttons to share, subscribe or print.

They survive extraction since they stand between paragraphs of the article. Only short lines that begin with, or are
nothing but, one of a few set phrases are taken, in the languages that matter most in the crawl; no phrase begins a
sentence of an article. On the trafilatura snippets this is worth one point of precision at no loss of recall.
"""

import re

__all__ = ["drop_furniture"]

#: A line that begins with one of these and goes on with a colon, a dash, a bracket, a title, or nothing.
_OPENINGS = r"""
관련\s?(?:기사|글|뉴스|포스트|포스팅)\s*(?:[:|\]>]|$)
함께\s?(?:보면|읽으면) 좋은
더\s?(?:읽어\s?보기|알아보기)\s*(?:[:|>]|$)
이전\s?(?:글|포스트|기사)\s*[:|»>←]
다음\s?(?:글|포스트|기사)\s*[:|«<→]
\S{1,20} 카테고리의 다른 글
무단\s?전재
저작권자\s?[ⓒ©(]
[ⓒ©] ?\S{2,20},? ?무단
(?:구독|좋아요|공유)하기\s*$
(?:태그|카테고리)\s?:
\[(?:관련|추천|인기)\s?(?:기사|글|뉴스|콘텐츠)\]
기사\s?제보
(?:페이스북|트위터|카카오톡|카카오스토리|밴드)\S{0,2}\s?(?:공유|보내기)
(?:read|see) (?:more|also|next)\s*(?:[:|–—-]|$)
also read\b
related\s*[:|]
related (?:articles?|posts?|stories|content|topics|links|news)\s*:?\s*$
you (?:may|might) also (?:like|be interested)
more (?:from|on|about) (?:this|the) (?:author|topic|story)
sign up (?:for|to) (?:our|the|receive|get)
subscribe (?:to|now|today)\b
follow (?:us|me|him|her|them|the [A-Z]\w+) on\b
share (?:this|on|via)\b
(?:print|email|share)(?: this)?(?: article| page| story)?\s*$
advertisement\s*$
like this story\?
(?:view|post a|leave a|add a|show|hide) comments?\b
order reprints
click here (?:to|for)\b
(?:previous|next) (?:post|article|story)\b
(?:tags|tagged|categories|filed under|posted in)\s?: *\S
get the latest (?:updates|news)\b
never miss\b
recommended (?:for you|reading|articles|stories)\b
(?:auch|ebenfalls) interessant\b
(?:lesen sie|lies|lesetipp)(?: auch| mehr)?\s*[:|]
lesen sie auch\b
siehe auch\s*:
mehr (?:zum thema|themen|dazu)\b
zum weiterlesen\b
das könnte (?:sie|dich|euch) (?:auch )?interessieren
anzeige\s*$
weitere (?:artikel|beiträge|themen|informationen)\s*:?\s*$
top-themen\b
auch auf \S+\s*$
(?:à )?lire (?:aussi|également)\b
pour lire la suite\b
sur le même (?:sujet|thème)\b
(?:lea|lee|leer|ver|vea) (?:más|también|además)\b
(?:le|te) puede interesar\b
notas? relacionadas?\b
(?:czytaj|zobacz|dowiedz się) (?:też|także|również|więcej)\b
leggi anche\b
(?:leia|veja) (?:mais|também)\b
(?:関連|おすすめ)(?:記事|リンク|ニュース)
あわせて読みたい
(?:相关|相關)(?:阅读|文章|新闻|閱讀|新聞)
(?:延伸|推荐|推薦)(?:阅读|閱讀)
""".split("\n")[1:-1]  # noqa: SIM905
#: Characters that such a line has at most.
_MOST = 140
_LINE = re.compile(
    rf"^[-#>*•▶▷■☞→»\[(| ]{{0,8}}(?:{'|'.join(_OPENINGS)})[^\n]{{0,{_MOST}}}$\n?", re.IGNORECASE | re.MULTILINE
)


#: A headline over a list of other posts, and the list.
_LIST = re.compile(
    r"^(?:#{1,6} )?\[?(?:관련\s?(?:기사|글|뉴스|포스트|포스팅)|(?:추천|인기|최근|다른) ?글|関連記事|"
    r"related (?:posts?|articles?|stories|content)|you (?:may|might) also like)"
    r"\]?[^\S\n]*:?[^\S\n]*\n(?:(?: *[-*] | *\d{1,2}\. )[^\n]*\n?)+",
    re.IGNORECASE | re.MULTILINE,
)
_FENCED = re.compile(r"(^```\n(?:(?!```$)[^\n]*\n)*```$)", re.MULTILINE)


def drop_furniture(text: str) -> str:
    """The text without such lines; code blocks are left alone.

    >>> drop_furniture("A sentence.\\nRead more: Another title\\nThe end.")
    'A sentence.\\nThe end.'
    """
    if "```" not in text:
        return _clean(text)
    parts = _FENCED.split(text)
    parts[::2] = [_clean(part) for part in parts[::2]]
    return "".join(parts)


def _clean(text: str) -> str:
    return _LINE.sub("", _LIST.sub("", text))
