"""HTML of a document within its site's template."""

import re
import tomllib
from functools import cache
from html import escape
from importlib.resources import files

from algok.pipeline.demo_crawl.document import Block, Document, lines_of
from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.sites import Site

__all__ = ["WEB_NAMES", "mathml", "render"]

#: Codec to the label that pages write.
WEB_NAMES = {
    "utf-8": "utf-8",
    "cp949": "euc-kr",
    "cp932": "Shift_JIS",
    "euc_jp": "EUC-JP",
    "gb18030": "gb2312",
    "cp1252": "iso-8859-1",
    "utf-16": "utf-16",
}

_INLINE_TEX = re.compile(r"\$([^$]+)\$")


@cache
def _skeletons() -> dict[str, str]:
    """Body of a page of each dialect; the letters are explained in the file."""
    return tomllib.loads(files(__package__).joinpath("skeletons.toml").read_text(encoding="utf-8"))


_MATH_TOKEN = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]|[0-9.]+|[^\s]")
_MATH_NAMES = {
    "\\alpha": "α",
    "\\beta": "β",
    "\\lambda": "λ",
    "\\sum": "∑",
    "\\int": "∫",
    "\\le": "≤",
    "\\ge": "≥",
    "\\infty": "∞",
    "\\to": "→",
    "\\cdot": "⋅",
    "\\in": "∈",
    "\\pi": "π",
    "\\theta": "θ",
    "\\epsilon": "ϵ",
    "\\partial": "∂",
    "\\times": "×",
    "\\sigma": "σ",
    "\\mu": "μ",
    "\\ne": "≠",
    "\\approx": "≈",
    "\\forall": "∀",
}


def mathml(tex: str, display: bool) -> str:
    """MathML whose annotation carries the TeX; the presentation part is a flat row of its tokens."""
    row = []
    for piece in _MATH_TOKEN.findall(tex):
        if piece in "{}^_&" or piece in ("\\frac", "\\sqrt", "\\left", "\\right", "\\mathbf", "\\mathrm"):
            continue
        shown = escape(_MATH_NAMES.get(piece, piece.lstrip("\\")), quote=False)
        kind = "mn" if piece[0].isdigit() else "mi" if piece[0].isalpha() or piece[0] == "\\" else "mo"
        row.append(f"<{kind}>{shown}</{kind}>")
    mode = ' display="block"' if display else ""
    return (
        f'<math xmlns="http://www.w3.org/1998/Math/MathML"{mode}><semantics><mrow>{"".join(row)}</mrow>'
        f'<annotation encoding="application/x-tex">{_text(tex)}</annotation></semantics></math>'
    )


def _text(text: str) -> str:
    return escape(text, quote=False)


def _inline(line: str, use_mathml: bool) -> str:
    if use_mathml and "$" in line:
        parts = _INLINE_TEX.split(line)
        return "".join([mathml(part, False) if i & 1 else _text(part) for i, part in enumerate(parts)])
    return _text(line)


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
            return f'<div class="se-module se-module-text"><p class="se-text"><span>{lines[0]}</span></p></div>\n'
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
        shown = [mathml(tex, True) if use_mathml else f"$${_text(tex)}$$" for tex in block.lines]
        return "".join([f"<p>{line}</p>\n" for line in shown])
    rows = ["".join([f"<td>{_text(cell)}</td>" for cell in line.split("\t")]) for line in block.lines]
    return "<table>" + "".join([f"<tr>{row}</tr>" for row in rows]) + "</table>\n"


def _links(titles: tuple[str, ...], draw: Draw) -> str:
    return (
        "<ul>"
        + "".join([f'<li><a href="/p/{draw.between(1, 99999)}">{_text(title)}</a></li>' for title in titles])
        + "</ul>"
    )


def _head(site: Site, document: Document, draw: Draw) -> str:
    title = _text(document.title)
    lines = [f"<title>{title} - {_text(site.name)}</title>"]
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
            "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}"
            "gtag('js',new Date());"
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
        [f'<div class="widget"><h4>{head}</h4>{_links(titles, draw)}</div>\n' for head, titles in site.widgets]
    )
    remarks = ""
    if site.comments and draw.chance(0.5):
        remarks = (
            '<div id="comments" class="comments"><h4>Comments</h4>'
            + "".join(
                [
                    f'<div class="comment"><b>user{draw.between(1, 999)}</b> <span>{_text(line)}</span></div>'
                    for line in site.comments
                ]
            )
            + "</div>\n"
        )
    footer = "".join([f"<p>{_text(line)}</p>" for line in site.footers])
    if site.cookie:
        footer += f'<div class="cookie-notice" role="dialog">{site.cookie} <button>OK</button></div>'
    body = _skeletons()[site.dialect].strip()
    for slot, value in (
        ("{x}", site.prefix),
        ("{name}", _text(site.name)),
        ("{date}", date[:10]),
        ("{N}", nav),
        ("{S}", side),
        ("{F}", footer),
        ("{R}", remarks),
        ("{T}", _text(document.title)),
        ("{C}", "".join(content)),
    ):
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
    head = _head(site, document, draw)
    return f"{doctype}\n<html{lang}>\n<head>\n{head}\n</head>\n{stray}<body>\n{body}\n{script}\n</body>\n</html>\n"
