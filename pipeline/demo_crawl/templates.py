"""HTML of a document within its site's template."""

import re
from html import escape

from algok.pipeline.demo_crawl.document import Block, Document, lines_of
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.sites import Site

__all__ = ["WEB_NAMES", "mathml", "render"]

#: Codec to the label that pages write.
WEB_NAMES = {
    "utf-8": "utf-8", "cp949": "euc-kr", "cp932": "Shift_JIS", "euc_jp": "EUC-JP", "gb18030": "gb2312", "cp1252": "iso-8859-1",
    "utf-16": "utf-16",
}  # fmt: skip

_INLINE_TEX = re.compile(r"\$([^$]+)\$")

# Where the main content goes in a page of each dialect; T title, C content, M meta line, N nav, S side, R remarks, F footer.
_SKELETONS = {
    "article": '<header class="{x}header"><div class="{x}logo">{name}</div><nav>{N}</nav></header>\n<main>\n<article>\n<h1>{T}</h1>\n'
    '<p class="{x}byline"><time>{date}</time></p>\n{C}\n</article>\n{R}\n</main>\n<aside>{S}</aside>\n<footer>{F}</footer>',
    "divs": '<div id="{x}wrap"><div class="{x}top"><div class="{x}gnb">{N}</div></div>\n<div class="{x}container"><div class="{x}left">'
    '<div class="{x}box"><div class="{x}tit">{T}</div><div class="{x}info">{date}</div>\n<div class="{x}content">{C}</div></div>\n{R}'
    '</div><div class="{x}right">{S}</div></div>\n<div class="{x}bottom">{F}</div></div>',
    "table": '<TABLE width=900 border=0 cellpadding=0 cellspacing=0 align=center>\n<TR><TD colspan=2 bgcolor=#eeeeee>{N}</TD></TR>\n'
    '<TR><TD width=180 valign=top>{S}</TD>\n<TD valign=top><TABLE width=100% border=0><TR><TD class=title><B><FONT size=4>{T}</FONT></B>'
    '</TD></TR>\n<TR><TD align=right><FONT size=1 color=#888888>{date}</FONT></TD></TR>\n<TR><TD class=content>{C}</TD></TR></TABLE>\n{R}'
    '</TD></TR>\n<TR><TD colspan=2 align=center><FONT size=1>{F}</FONT></TD></TR></TABLE>',
    "tistory": '<div id="wrap"><header id="header"><h1><a href="/">{name}</a></h1><div class="area_gnb">{N}</div></header>\n'
    '<div id="container"><main class="main"><div id="mArticle"><div class="area_title"><h3 class="tit_post">{T}</h3>'
    '<span class="txt_detail">{date}</span></div>\n<div class="area_view"><div class="tt_article_useless_p_margin contents_style">{C}'
    '</div></div>\n{R}</div></main><aside class="area_aside">{S}</aside></div>\n<footer id="footer">{F}</footer></div>',
    "naver": '<div id="head-skin"><div class="blog_menu">{N}</div></div>\n<div id="post-area"><div class="se-viewer"><div class="'
    'se-component se-documentTitle"><div class="pcol1"><h3 class="se_textarea">{T}</h3></div><span class="se_publishDate">{date}</span></div>'
    '\n<div class="se-main-container">{C}</div></div>\n{R}</div><div id="left-area">{S}</div>\n<div id="copyright">{F}</div>',
    "wordpress": '<div id="page" class="hfeed site"><header id="masthead" class="site-header"><p class="site-title">{name}</p>'
    '<nav id="site-navigation" class="main-navigation">{N}</nav></header>\n<div id="content" class="site-content"><main id="main" '
    'class="site-main"><article class="post hentry"><header class="entry-header"><h1 class="entry-title">{T}</h1><div class="entry-meta">'
    '{date}</div></header>\n<div class="entry-content">{C}</div></article>\n{R}</main></div><div id="secondary" class="widget-area">{S}'
    '</div>\n<footer id="colophon" class="site-footer">{F}</footer></div>',
    "hexo": '<div class="container use-motion"><header class="header"><div class="brand">{name}</div><nav class="site-nav">{N}</nav>'
    '</header>\n<main id="main" class="main"><div class="main-inner"><div class="content-wrap"><div id="posts" class="posts-expand">'
    '<article class="post post-type-normal"><h1 class="post-title">{T}</h1><div class="post-meta">{date}</div>\n<div class="post-body">{C}'
    '</div></article></div></div>{R}<aside id="sidebar" class="sidebar">{S}</aside></div></main>\n<footer class="footer">{F}</footer></div>',
    "wiki": '<div id="mw-page-base"></div><div id="content" class="mw-body"><h1 id="firstHeading" class="firstHeading">{T}</h1>\n'
    '<div id="bodyContent"><div id="mw-content-text" class="mw-parser-output">{C}</div></div></div>\n{R}<div id="mw-navigation">{N}'
    '<div id="mw-panel">{S}</div></div>\n<div id="footer">{F}</div>',
}  # fmt: skip

_MATH_TOKEN = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]|[0-9.]+|[^\s]")
_MATH_NAMES = {
    "\\alpha": "α", "\\beta": "β", "\\lambda": "λ", "\\sum": "∑", "\\int": "∫", "\\le": "≤", "\\ge": "≥", "\\infty": "∞",
    "\\to": "→", "\\cdot": "⋅", "\\in": "∈", "\\pi": "π", "\\theta": "θ", "\\epsilon": "ϵ", "\\partial": "∂", "\\times": "×",
    "\\sigma": "σ", "\\mu": "μ", "\\ne": "≠", "\\approx": "≈", "\\forall": "∀",
}  # fmt: skip


def mathml(tex: str, display: bool) -> str:
    """MathML whose annotation carries the TeX; the presentation part is a flat row of its tokens."""
    row = []
    for token in _MATH_TOKEN.findall(tex):
        if token in "{}^_&" or token in ("\\frac", "\\sqrt", "\\left", "\\right", "\\mathbf", "\\mathrm"):
            continue
        shown = escape(_MATH_NAMES.get(token, token.lstrip("\\")), quote=False)
        kind = "mn" if token[0].isdigit() else "mi" if token[0].isalpha() or token[0] == "\\" else "mo"
        row.append(f"<{kind}>{shown}</{kind}>")
    mode = ' display="block"' if display else ""
    return (
        f'<math xmlns="http://www.w3.org/1998/Math/MathML"{mode}><semantics><mrow>{"".join(row)}</mrow>'
        f'<annotation encoding="application/x-tex">{escape(tex, quote=False)}</annotation></semantics></math>'
    )


def _inline(line: str, use_mathml: bool) -> str:
    if use_mathml and "$" in line:
        parts = _INLINE_TEX.split(line)
        return "".join([mathml(part, False) if i & 1 else escape(part, quote=False) for i, part in enumerate(parts)])
    return escape(line, quote=False)


def _block_html(block: Block, site: Site, language: str, use_mathml: bool) -> str:
    old = site.dialect == "table"
    lines = (
        [_inline(line, use_mathml) for line in lines_of(block, language)] if block.kind not in ("table", "math") else []
    )
    kind = block.kind
    if kind == "p":
        if old:
            return lines[0] + "<BR><BR>\n"
        if site.dialect == "divs":
            return f"<div>{lines[0]}</div>\n"
        if site.dialect == "naver":
            return f'<div class="se-module se-module-text"><p class="se-text-paragraph"><span>{lines[0]}</span></p></div>\n'
        return f"<p>{lines[0]}</p>\n"
    if kind == "h":
        return f"<B>{lines[0]}</B><BR>\n" if old else f"<h2>{lines[0]}</h2>\n"
    if kind == "links":
        items = [f'<li><a href="/view/{i}">{line}</a></li>' for i, line in enumerate(lines)]
        return "<ul>" + "\n".join(items) + "</ul>\n"
    if kind in ("ul", "ol"):
        return f"<{kind}>" + "".join([f"<li>{line}</li>" for line in lines]) + f"</{kind}>\n"
    if kind == "quote":
        return "<blockquote>" + "".join([f"<p>{line}</p>" for line in lines]) + "</blockquote>\n"
    if kind == "pre":
        return "<pre><code>" + "\n".join(lines) + "</code></pre>\n"
    if kind == "math":
        shown = [mathml(tex, True) if use_mathml else f"$${escape(tex, quote=False)}$$" for tex in block.lines]
        return "".join([f"<p>{line}</p>\n" for line in shown])
    rows = ["".join([f"<td>{escape(cell, quote=False)}</td>" for cell in line.split("\t")]) for line in block.lines]
    return "<table>" + "".join([f"<tr>{row}</tr>" for row in rows]) + "</table>\n"


def _links(titles: tuple[str, ...], draw: Draw, folder: str) -> str:
    return (
        "<ul>" + "".join([f'<li><a href="/{folder}/{draw.between(1, 99999)}">{escape(title, quote=False)}</a></li>' for title in titles])
        + "</ul>"
    )  # fmt: skip


def _head(site: Site, document: Document, draw: Draw) -> str:
    title = escape(document.title, quote=False)
    lines = [f"<title>{title} - {escape(site.name, quote=False)}</title>"]
    label = WEB_NAMES[site.charset]
    if site.declared in ("meta", "both"):
        if site.dialect == "table" or draw.chance(0.3):
            lines.insert(0, f'<meta http-equiv="Content-Type" content="text/html; charset={label}">')
        else:
            lines.insert(0, f'<meta charset="{label}">')
    if site.description and document.blocks:
        summary = escape(lines_of(document.blocks[0], document.language)[0][:110], quote=True)
        lines.append(f'<meta name="description" content="{summary}">')
        lines.append(f'<meta property="og:title" content="{escape(document.title, quote=True)}">')
    lines.append('<link rel="stylesheet" href="/static/style.css?v=' + str(draw.between(1, 9)) + '">')
    lines.append(
        "<style>body{margin:0;font-family:sans-serif}." + site.prefix + "nav li{display:inline;list-style:none}</style>"
    )
    if draw.chance(0.6):
        lines.append(
            "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}gtag('js',new Date());"
            f"gtag('config','UA-{draw.between(100000, 999999)}-1');</script>"
        )
    if document.style == "math":
        lines.append('<script src="/static/mathjax/tex-chtml.js" async></script>')
    return "\n".join(lines)


def render(document: Document, site: Site, date: str, *seed: int | str) -> str:
    """The whole page. ``seed`` draws what differs from page to page: links, the number of comments, advertisements."""
    draw = Draw(*seed)
    use_mathml = document.style == "math" and draw.chance(0.4)
    content = [_block_html(block, site, document.language, use_mathml) for block in document.blocks]
    if site.ads and len(content) > 3:
        content.insert(
            draw.between(2, len(content) - 1),
            f'<div class="ad adsbygoogle"><a href="/ad/1">{escape(draw.pick(site.ads))}</a></div>\n',
        )
    nav = (
        '<ul class="'
        + site.prefix
        + 'nav">'
        + "".join([f'<li><a href="/m/{i}">{word}</a></li>' for i, word in enumerate(site.nav)])
        + "</ul>"
    )
    side = "".join(
        [f'<div class="widget"><h4>{head}</h4>{_links(titles, draw, "p")}</div>\n' for head, titles in site.widgets]
    )
    remarks = ""
    if site.comments and draw.chance(0.5):
        remarks = '<div id="comments" class="comments"><h4>Comments</h4>' + "".join(
            [f'<div class="comment"><b>user{draw.between(1, 999)}</b> <span>{escape(line, quote=False)}</span></div>' for line in site.comments]
        ) + "</div>\n"  # fmt: skip
    footer = "".join([f"<p>{escape(line, quote=False)}</p>" for line in site.footers])
    if site.cookie:
        footer += f'<div class="cookie-notice" role="dialog">{site.cookie} <button>OK</button></div>'
    body = _SKELETONS[site.dialect]
    for slot, value in (
        ("{x}", site.prefix), ("{name}", escape(site.name, quote=False)), ("{date}", date[:10]), ("{N}", nav), ("{S}", side),
        ("{F}", footer), ("{R}", remarks), ("{T}", escape(document.title, quote=False)), ("{C}", "".join(content)),
    ):  # fmt: skip
        body = body.replace(slot, value, 1) if slot == "{C}" else body.replace(slot, value)
    doctype = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN">'
        if site.dialect == "table"
        else "<!DOCTYPE html>"
    )
    lang = "" if site.dialect == "table" else f' lang="{site.language}"'
    stray = "</html>\n" if site.stray else ""
    script = (
        f"<script>var page={draw.between(1, 10**6)};(function(){{track(page);}})();</script>"
        if draw.chance(0.5)
        else ""
    )
    return f"{doctype}\n<html{lang}>\n<head>\n{_head(site, document, draw)}\n</head>\n{stray}<body>\n{body}\n{script}\n</body>\n</html>\n"
