"""The summary as one HTML page that needs nothing else: no network, no fonts, no files, no script to be read.

Everything that comes from the crawl goes through Jinja's escaping and ``visible``; nothing from it becomes a link or
an attribute that a browser acts on. The Content-Security-Policy allows the page's own style and script by their
hashes and nothing else, so that even a mistake in escaping could load or run nothing.
"""

import base64
import hashlib
import re
from importlib.resources import files

import jinja2
from markupsafe import Markup

from algok.pipeline.report import charts, text, view
from algok.pipeline.report.summary import Sample, Summary

__all__ = ["environment", "policy_of", "render", "source"]

_LANGUAGE = re.compile(r"[a-z]{2,3}")


def source(name: str) -> str:
    """A file of this package, as text."""
    return (files("algok.pipeline.report") / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def policy_of(style: str, script: str) -> str:
    """The Content-Security-Policy of the page."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "img-src 'none'; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )


def _visible(raw: str | None) -> Markup:
    """Crawled text as markup: escaped, with characters that cannot be seen named."""
    pieces = []
    for piece, name in text.visible(raw or ""):
        if name:
            pieces.append(Markup('<span class="odd" title="{}">{}</span>').format(name, piece))
        else:
            pieces.append(Markup.escape(piece))
    return Markup("").join(pieces)


def _marked(sample: Sample) -> Markup:
    """A sample's text with what the document beside it does not have in <mark>."""
    raw, at, parts = sample.text or "", 0, []
    for start, end in sample.marks:
        parts += [_visible(raw[at:start]), Markup("<mark>{}</mark>").format(_visible(raw[start:end]))]
        at = end
    return Markup("").join([*parts, _visible(raw[at:])])


def _lang(code: str | None) -> str:
    """A value for ``lang``: the language's code if it looks like one, else empty (unknown)."""
    return code if code and code != "und" and _LANGUAGE.fullmatch(code) else ""


def environment() -> jinja2.Environment:
    """Templates with escaping on and the filters that make crawled text harmless."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("algok.pipeline.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        visible=_visible,
        marked=_marked,
        lang=_lang,
        count=text.count,
        size=text.size,
        tokens=text.tokens,
        share=text.share,
        value=text.value,
        duration=text.duration,
        language=text.language_name,
        reason=text.reason_words,
        stage=view.stage_title,
        level=view.level_title,
    )
    environment.globals.update(charts=charts, view=view, plural=text.plural)
    return environment


def render(summary: Summary) -> str:
    """The page."""
    style, script = source("page.css"), source("page.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            s=summary,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=policy_of(style, script),
        )
    )
