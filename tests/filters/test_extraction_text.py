"""What the text of a page looks like: structure, containers, repairs, signals."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html as lxml_html

from algok.filters.extraction import ExtractOptions
from algok.filters.extraction.checks import estimate_depth, nesting_depth, refuse, repair_early_end
from algok.filters.extraction.furniture import drop_furniture
from algok.filters.extraction.markdown import Style, to_markdown
from algok.filters.extraction.messages import Page, PageResult
from algok.filters.extraction.page import PageKernel
from algok.filters.extraction.text import clean_text
from tests.filters.plain_decoder import decode

SENTENCE = "본문의 문장은 사람이 쓴 것처럼 길고 마침표로 끝난다. 그래서 추출기가 버리지 않고 남겨 둔다. "


@pytest.fixture(scope="module")
def kernel() -> PageKernel:
    return PageKernel(ExtractOptions(), decode)


def extract(kernel: PageKernel, page: str) -> PageResult:
    return kernel.extract(Page(page.encode("utf-8", "surrogatepass")))


def body(content: str, head: str = "") -> str:
    return f"<html><head>{head}</head><body>{content}</body></html>"


MARKDOWN = {
    "paragraphs": ("<p>a <b>b</b>c</p><p>d<br>e</p>", "a bc\nd\ne"),
    "headings": ("<h2>A <i>b</i></h2><p>c</p><h4>d</h4>", "## A b\nc\n#### d"),
    "list": ("<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>d", "- a\n- b\n  - c\nd"),
    "numbers": ("<ol><li>a</li><li><p>b</p></li></ol>", "1. a\n2. b"),
    "table": (
        "<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>",
        "| a | b |\n|---|---|\n| 1 | 2 |",
    ),
    "layout table": ("<table><tr><td><p>a</p><p>b</p></td><td><h2>c</h2></td></tr></table>", "a\nb\n## c"),
    "table of one column": ("<table><tr><td>a</td></tr><tr><td>b</td></tr></table>", "a\nb"),
    "nested table": (
        "<table><tr><td><table><tr><td>1</td><td>2</td></tr></table></td><td>b</td></tr></table>",
        "| 1 | 2 |\nb",
    ),
    "code": ("<p>x</p><pre>if a:\n    b\n\nc</pre>y", "x\n```\nif a:\n    b\n\nc\n```\ny"),
    "fence in code": ("<pre>```\nx</pre>", "````\n```\nx\n````"),
    "inline code keeps its particle": ("<p><code>git</code>을 쓴다</p>", "git을 쓴다"),
    "scripts and styles": ("<p>a</p><script>b</script><style>c</style><p>d</p>", "a\nd"),
    "tails": ("<div>a<p>b</p>c<span>d</span>e</div>f", "a\nb\ncde\nf"),
}


@pytest.mark.parametrize("name", MARKDOWN)
def test_markdown(name: str) -> None:
    source, expected = MARKDOWN[name]
    assert to_markdown(lxml_html.fragment_fromstring(source, create_parent="div")) == expected


def test_markdown_without_structure() -> None:
    tree = lxml_html.fromstring("<div><h1>a</h1><ul><li>b</li></ul><pre>c\nd</pre></div>")
    assert to_markdown(tree, Style(headings=False, lists=False, code=False)) == "a\nb\nc\nd"


HEXO = (
    '<figure class="highlight java"><table><tr><td class="gutter"><pre><span class="line">1</span><br>'
    '<span class="line">2</span><br></pre></td><td class="code"><pre><span class="line">int a = 1;</span><br>'
    '<span class="line">  int b;</span><br></pre></td></tr></table></figure>'
)
ROUGE = (
    '<div class="highlight"><pre class="highlight"><code><table class="rouge-table"><tbody><tr>'
    '<td class="gutter gl"><pre class="lineno">1\n2\n</pre></td><td class="code"><pre>int a = 1;\n  int b;\n</pre>'
    "</td></tr></tbody></table></code></pre></div>"
)


@pytest.mark.parametrize("code", [HEXO, ROUGE, "<pre><code>int a = 1;\n  int b;</code></pre>"])
@pytest.mark.parametrize("container", ["post-content", "something"])
def test_code_keeps_its_lines_and_loses_their_numbers(kernel: PageKernel, code: str, container: str) -> None:
    page = body(f"<article><div class='{container}'><p>{SENTENCE * 6}</p>{code}<p>{SENTENCE * 6}</p></div></article>")
    text = extract(kernel, page).text
    assert text is not None
    assert "```\nint a = 1;\n  int b;\n```" in text


FORMULAS = {
    "MathML": '<math><semantics><mi>x</mi><annotation encoding="application/x-tex">x^2</annotation></semantics></math>',
    "KaTeX": '<span class="katex"><span class="katex-mathml"><math><semantics><mi>x</mi><annotation encoding='
    '"application/x-tex">x^2</annotation></semantics></math></span><span class="katex-html">x2</span></span>',
    "MathJax 2": '<span class="MathJax_Preview">x2</span><script type="math/tex">x^2</script>',
    "mathjax-node": '<span><svg aria-labelledby="MathJax-SVG-1-Title"><title>x^2</title><g></g></svg></span>',
    "alttext": '<math alttext="x^2"><mi>x</mi></math>',
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("container", ["post-content", "something"])
def test_formulas_keep_their_source(kernel: PageKernel, name: str, container: str) -> None:
    page = body(f"<article><div class='{container}'><p>{SENTENCE * 9}식 {FORMULAS[name]} 이다.</p></div></article>")
    text = extract(kernel, page).text or ""
    assert "$x^2$" in text
    assert "x2" not in text


KOREAN_BLOG = body(
    "<nav><ul><li><a href=/>홈</a><li><a href=/tag>태그 목록</a></ul></nav><div class='tt_article_useless_p_margin'>"
    f"<h2>소제목</h2><p>{SENTENCE * 4}</p><div class='container_postbtn'>좋아요 공감</div>"
    "<div class='another_category'><h4>'여행' 카테고리의 다른 글</h4>"
    "<table><tr><td>다른 글 하나</td></tr></table></div>"
    "<div class='tags'>#여행 #제주</div><h3>관련 글</h3><ul><li><a href=/1>딴 글</a></li></ul></div>"
    "<div class='comments'>댓글 하나: 잘 봤습니다</div><div id='sidebar'>최근 글 인기 글</div>"
)


def test_korean_blog_without_its_furniture(kernel: PageKernel) -> None:
    assert extract(kernel, KOREAN_BLOG).text == f"## 소제목\n{(SENTENCE * 4).strip()}"


def test_list_of_posts_is_no_container(kernel: PageKernel) -> None:
    posts = "".join(f"<h2>글 {i}</h2><div class='post-content'><p>{SENTENCE * 3} {i}</p></div>" for i in range(5))
    text = extract(kernel, body(f"<main>{posts}</main>")).text
    assert text


def test_article_in_pieces_is_joined(kernel: PageKernel) -> None:
    words = "The council decided on Monday that the bridge will be closed for repairs until the end of the year. "
    pieces = "".join(
        f"<div><div class='article__body'><p>{words * 6} {name}</p></div></div>" for name in ("one", "two")
    )
    text = extract(kernel, body(f"<h1>Bridge</h1><div class='article__chunks'>{pieces}</div>")).text or ""
    assert "one" in text
    assert "two" in text


EARLY = {
    "<html><head></head></html><body><p>x</p></body></html>": "<html><head></head><body><p>x</p></body></html>",
    "<html><body><p>x</p></body></html>": "<html><body><p>x</p></body></html>",
    "<html><body>x</body></html><!-- served by a -->\n": "<html><body>x</body></html><!-- served by a -->\n",
    "<HTML></HTML><BODY>x": "<HTML><BODY>x",
    "x</body><p>y</p></html> ": "x<p>y</p></html> ",
    "": "",
    "</html>": "</html>",
}


@pytest.mark.parametrize("page", EARLY)
def test_early_end_is_repaired(page: str) -> None:
    assert repair_early_end(page) == EARLY[page]


def test_page_with_a_stray_end_keeps_its_body(kernel: PageKernel) -> None:
    page = f"<html><head><title>t</title></head></html><body><article><p>{SENTENCE * 5}</p></article></body></html>"
    assert SENTENCE.strip() in (extract(kernel, page).text or "")


@pytest.mark.parametrize(
    ("page", "depth"),
    [
        (b"<div><div></div></div>", 2),
        (b"<br>" * 100, 0),
        (b"<p>x" * 100, 0),
        (b"<!--<div><div>--><div>", 1),
        (b"<script>'<div><div>'</script><b>", 1),
        (b"<script>" * 3 + b"<div>", 4),
        (b"", 0),
    ],
)
def test_nesting_depth(page: bytes, depth: int) -> None:
    assert nesting_depth(page, 1000) == depth
    assert estimate_depth(page) >= (depth if b"!--" not in page else 0)


def test_refused_pages() -> None:
    options = ExtractOptions(max_html_bytes=5000, max_depth=20, max_links=20)
    assert refuse(b"x" * 5001, options) == ("size", "5001 bytes, limit 5000")
    assert (refuse(b"<div>" * 21, options) or ("",))[0] == "depth"
    assert (refuse(b"<a href=x>" * 21, options) or ("",))[0] == "links"
    assert refuse(b"<p>" * 300 + b"<br>" * 300, options) is None


FURNITURE = [
    ("Read more: A title", True),
    ("관련 기사", True),
    ("태그: 여행, 제주", True),
    ("무단 전재 및 재배포 금지", True),
    ("Lea más: otra noticia", True),
    ("관련 기사를 찾아보면 그 뜻을 알 수 있다.", False),
    ("Read more books and you will learn something every single day of your life.", False),
    ("태그를 다는 방법을 알아보자.", False),
    ("Related work is discussed in section 2.", False),
    ("- " * 3000, False),
    ("-" * 3000, False),
]


@pytest.mark.parametrize(("line", "gone"), FURNITURE)
def test_furniture(line: str, gone: bool) -> None:
    text = f"앞 문장이다.\n{line}\n뒤 문장이다."
    assert drop_furniture(text) == ("앞 문장이다.\n뒤 문장이다." if gone else text)


def test_furniture_leaves_code_alone() -> None:
    text = "```\ntags: a\nAdvertisement\n```\nend"
    assert drop_furniture(text) == text


SIGNALS = {
    "headings": ("<h1>a</h1><h6>b</h6>", {"headings": 2}),
    "tables and code": ("<table><tr><td>a</table><pre>b</pre><pre>c</pre>", {"tables": 1, "code_blocks": 2}),
    "formulas": (r"<p>\(a\) and \[b\] and $$c$$ and $x^2$ for $5 or $6</p><math></math>", {"formulas": 5}),
    "links": ("<p>aaaa</p><a href=x>bb</a><a href=y><b>bb</b></a><script>cccccc</script>", {"link_char_share": 0.5}),
    "licence": (
        '<a rel="license" href="https://creativecommons.org/licenses/by-nc-sa/4.0/deed.ko">CC</a>',
        {"licence": "by-nc-sa-4.0"},
    ),
    "CC0": ('<a href="http://creativecommons.org/publicdomain/zero/1.0/">0</a>', {"licence": "zero-1.0"}),
    "no licence": ("<p>creativecommons.org/ is a site</p>", {"licence": None}),
    "nothing opted out": ("<p>noai</p>", {"no_ai": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNALS)
def test_signals(kernel: PageKernel, name: str) -> None:
    content, expected = SIGNALS[name]
    result = extract(
        kernel, body(content + f"<article><p>{SENTENCE * 5}</p></article>" if name != "links" else content)
    )
    for field, value in expected.items():
        assert getattr(result, field) == value, field


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ('<meta name="robots" content="noindex, noai">', True),
        ('<meta name="robots" content="NOIMAGEAI">', True),
        ('<meta name="googlebot" content="noai">', True),
        ('<meta name="robots" content="noindex">', False),
        ('<meta name="description" content="noai">', False),
        ('<meta name="TDM-Reservation" content="1">', True),
        ('<meta name="tdm-reservation" content="0">', False),
    ],
)
def test_opt_out(kernel: PageKernel, meta: str, expected: bool) -> None:
    assert extract(kernel, body(f"<p>{SENTENCE * 5}</p>", meta)).no_ai is expected


def test_title_and_boilerplate(kernel: PageKernel) -> None:
    result = extract(kernel, KOREAN_BLOG.replace("<head>", "<head><title> 제목\n 하나 </title>"))
    assert result.title == "제목 하나"
    assert result.boilerplate_ratio is not None
    assert 0 < result.boilerplate_ratio < 1
    assert result.html_bytes == len(KOREAN_BLOG.replace("<head>", "<head><title> 제목\n 하나 </title>").encode())


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_clean_text_is_storable_and_stable(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert not set(cleaned) & set("\0\r\u2028\ufeff\xad")
    assert clean_text(cleaned) == cleaned


def test_pieces_of_a_page_never_crash_the_kernel(kernel: PageKernel) -> None:
    pages: list[Any] = [KOREAN_BLOG[: i * 37] for i in range(len(KOREAN_BLOG) // 37)]
    for page in pages:
        extract(kernel, page)
