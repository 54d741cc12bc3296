"""One page: its document, its bytes on the wire, its records and its row of the truth."""

from functools import lru_cache
from html import escape
from typing import Any, NamedTuple

from algok.pipeline.demo_crawl.compose import compose
from algok.pipeline.demo_crawl.document import Document, jaccard, lines_of, shingles, text_of
from algok.pipeline.demo_crawl.draw import Draw, derive
from algok.pipeline.demo_crawl.edits import edited
from algok.pipeline.demo_crawl.junk import junk_document, media_body
from algok.pipeline.demo_crawl.options import DemoCrawlOptions
from algok.pipeline.demo_crawl.plan import PagePlan, plan_of
from algok.pipeline.demo_crawl.sites import OCTAVES, Site, site_of
from algok.pipeline.demo_crawl.templates import WEB_NAMES, render
from algok.pipeline.demo_crawl.wire import (
    brotli_body,
    chunked,
    digest,
    gzip_member,
    http_response,
    record_id,
    warc_record,
)

__all__ = ["Page", "Pages", "captured_at"]

#: Earlier members of a near group that a page is compared with, besides the original.
NEIGHBOURS = 7
#: Groups whose members repeat the bytes of the original.
_SAME_BYTES = ("copy", "recapture", "twin")
_START_DAYS = 20089  # 2025-01-01 in days since 1970


class Page(NamedTuple):
    """A page ready to be written.

    request: the request record or None. response: the response (or revisit) record, both before compression.
    flip: a byte of the compressed response must be flipped. truth: the row without file, offset and length.
    pairs: rows of the pairs table that this page is the later one of.
    """

    plan: PagePlan
    request: bytes | None
    response: bytes
    flip: bool
    truth: dict[str, Any]
    pairs: list[dict[str, Any]]


def captured_at(index: int) -> str:
    """Capture time of a page: one page a second from 2025-01-01 on.

    >>> captured_at(0), captured_at(86400 * 59 + 61)
    ('2025-01-01T00:00:00Z', '2025-03-01T00:01:01Z')
    """
    days, second = divmod(index, 86400)
    # Civil date from days, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013).
    shifted = days + _START_DAYS + 719468
    era, day_of_era = divmod(shifted, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    return f"{year:04d}-{month:02d}-{day:02d}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


def _hostile(draw: Draw, html: str) -> str:
    """A page that is well-formed enough to be parsed and expensive to parse."""
    kind = draw.below(4)
    if kind == 0:
        depth = draw.between(2000, 20000)
        return html.replace("<body>", "<body>" + "<div>" * depth, 1).replace("</body>", "</div>" * depth + "</body>", 1)
    if kind == 1:
        return html.replace("<body>", f'<body data-state="{"0123456789abcdef" * draw.between(8000, 20000)}">', 1)
    if kind == 2:
        return html.replace("</body>", "<a href=x>x</a>" * draw.between(5000, 20000) + "</body>", 1)
    return html.replace("<body>", "<body>" + "<b><i><table><tr><td>" * draw.between(300, 2000), 1)


def encoded(html: str, charset: str) -> bytes:
    """``html`` in a character set; what it lacks becomes a character reference. UTF-16 is little-endian with a mark."""
    if charset == "utf-16":
        return b"\xff\xfe" + html.encode("utf-16-le")
    return html.encode(charset, "xmlcharrefreplace")


class Pages:
    """Pages of a crawl by index. Keeps a bounded number of documents at hand, so that groups are not composed anew."""

    def __init__(self, options: DemoCrawlOptions) -> None:
        self.options = options
        self.document = lru_cache(maxsize=2048)(self._document)
        self._shingles = lru_cache(maxsize=1024)(self._shingle_set)

    def _document(self, index: int) -> Document:
        plan = plan_of(self.options, index)
        seed = self.options.seed
        if plan.kind in ("document", "hostile", "redirect", "missing", "revisit", "empty", "media"):
            base = (
                self.document(plan.original)
                if plan.original != index
                else compose(plan.content, plan.style, seed, "document", index)
            )
            return edited(base, plan.edit, plan.target, seed, "edit", index) if plan.edit else base
        return junk_document(plan.kind, plan.content, plan.style, seed, "document", index)

    def _shingle_set(self, index: int) -> frozenset[tuple[str, ...]]:
        document = self.document(index)
        return shingles(text_of(document), document.language)

    def site(self, plan: PagePlan) -> Site:
        """The site of a page; pages that repeat the original's bytes have the original's site."""
        seed = self.options.seed
        home = plan.original if plan.group is not None and plan.group.kind in _SAME_BYTES else plan.page
        draw = Draw(seed, "site-of", home)
        language = self.document(plan.original).language if plan.content in ("code", "math", "other") else plan.content
        return site_of(seed, language, plan.kind if plan.kind == "spam" else plan.style, draw.octave(OCTAVES))

    def url(self, plan: PagePlan, site: Site) -> str:
        """The page's address: unique but for recaptures, which repeat their original's."""
        recapture = plan.group is not None and plan.group.kind in ("recapture", "twin")
        index = plan.original if recapture else plan.page
        draw = Draw(self.options.seed, "url", index)
        scheme = "https" if draw.chance(0.8) else "http"
        path = {
            "table": f"/bbs/view.php?id=board{draw.between(1, 9)}&no={index}",
            "tistory": f"/{index}",
            "naver": f"/PostView.nhn?blogId=blog{draw.between(10, 99)}&logNo={220000000000 + index}",
            "wordpress": f"/{draw.between(2012, 2024)}/{draw.between(1, 12):02d}/post-{index}/",
            "hexo": f"/{draw.between(2015, 2024)}/{draw.between(1, 12):02d}/{draw.between(1, 28):02d}/p{index}/",
            "wiki": f"/wiki/Page_{index}",
            "article": f"/article/{index}.html",
            "divs": f"/news/articleView.html?idxno={index}",
        }[site.dialect]
        return f"{scheme}://{site.host}{path}"

    def _id(self, index: int, kind: str) -> str:
        seed = self.options.seed
        return record_id(derive(seed, kind, index, 0) << 64 | derive(seed, kind, index, 1))

    def _body(self, plan: PagePlan, site: Site, document: Document) -> bytes:
        """Bytes of the HTML; copies and recaptures repeat those of the original."""
        seed = self.options.seed
        same = plan.group is not None and plan.group.kind in _SAME_BYTES
        index = plan.original if same else plan.page
        html = render(document, site, captured_at(index), seed, "render", index)
        draw = Draw(seed, "body", plan.page)
        if plan.kind == "hostile":
            html = _hostile(draw, html)
        if plan.kind == "login":
            html = html.replace(
                "</body>", '<form method="post"><input name="id"><input type="password"></form></body>', 1
            )
        body = encoded(html, site.charset)
        if plan.breakage == "bad-byte" and site.charset != "utf-16":
            # Before the first character of the last paragraph, so that a tolerant decoder loses nothing else.
            last = next((block for block in reversed(document.blocks) if block.kind == "p"), None)
            wanted = lines_of(last, document.language)[0] if last else document.title
            at = max(body.rfind(encoded(escape(wanted, quote=False), site.charset)), 0)
            body = body[:at] + b"\xff" + body[at:]
        elif plan.breakage == "noise-bytes":
            noise = bytes(128 + draw.below(128) for _ in range(draw.between(20, 200)))
            body = body.replace(b"</body>", noise + b"</body>", 1)
        return body

    def page(self, index: int) -> Page:
        """The page of an index."""
        options, plan = self.options, plan_of(self.options, index)
        seed, document, site = options.seed, self.document(index), self.site(plan)
        draw = Draw(seed, "wire", index)
        url = self.url(plan, site)
        twin = plan.group is not None and plan.group.kind == "twin"
        captured = captured_at(plan.original if twin else index)
        status, media, headers = "200 OK", "text/html", []
        if plan.kind == "media":
            media, body = media_body(seed, "media", index)
        elif plan.kind == "redirect":
            status, body = draw.pick(("301 Moved Permanently", "302 Found")), b"<html><body>Moved</body></html>"
            headers.append(("Location", url + "?moved=1"))
        elif plan.kind in ("empty", "revisit"):
            body = b""
        elif plan.kind == "missing":
            status = draw.pick(("404 Not Found", "410 Gone", "500 Internal Server Error", "403 Forbidden"))
            body = self._body(plan, site, junk_document("error", plan.content, "", seed, "missing", index))
        else:
            body = self._body(plan, site, document)
        label = WEB_NAMES[site.charset] if media == "text/html" else ""
        bare = plan.breakage == "no-http"
        by_http = bool(label) and not bare and site.declared in ("http", "both")
        headers.append(("Content-Type", f"{media}; charset={label}" if by_http else media))
        coding = draw.weighted((("", 90), ("gzip", 5), ("br", 2), ("chunked", 3))) if body and not bare else ""
        if coding == "gzip":
            body = gzip_member(body, options.compression)
        elif coding == "br":
            body = brotli_body(body, options.compression)
        elif coding == "chunked":
            body = chunked(body, draw.between(200, 4000))
        if coding in ("gzip", "br"):
            headers.append(("Content-Encoding", coding))
        headers.append(("Transfer-Encoding", "chunked") if coding == "chunked" else ("Content-Length", str(len(body))))
        headers.append(("Server", draw.pick(("nginx", "Apache", "cloudflare", "Microsoft-IIS/8.5"))))
        block = body if bare else http_response(status, headers, body)
        response = self._response(plan, url, captured, block, body)
        request = self._request(plan, url, captured, site.host) if options.requests else None
        truth = self._truth(
            plan,
            site,
            document,
            url,
            captured,
            None if bare else int(status[:3]),
            None if bare else media,
            by_http,
            label,
            coding,
        )
        return Page(plan, request, response, plan.breakage == "flipped-byte", truth, self._pairs(plan, document))

    def _response(self, plan: PagePlan, url: str, captured: str, block: bytes, body: bytes) -> bytes:
        revisit = plan.kind == "revisit"
        headers = [
            ("WARC-Type", "revisit" if revisit else "response"),
            ("WARC-Record-ID", self._id(plan.page, "response")),
            ("WARC-Date", captured),
            ("WARC-Target-URI", url),
            ("WARC-IP-Address", f"192.0.2.{plan.page % 254 + 1}"),
            ("Content-Type", "application/http; msgtype=response"),
            ("WARC-Payload-Digest", digest(body if not revisit else b"revisited %d" % plan.page)),
            ("WARC-Block-Digest", digest(block)),
        ]
        if revisit:
            headers.append(("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"))
            headers.append(("WARC-Refers-To-Target-URI", url))
            headers.append(("WARC-Refers-To-Date", "2024-12-01T00:00:00Z"))
        if plan.breakage == "length-long":
            return warc_record(headers, block, length=len(block) + 5000)
        if plan.breakage == "length-short":
            return warc_record(headers, block, length=len(block) // 2)
        return warc_record(headers, block, version="WRAC/1.1" if plan.breakage == "bad-header" else "WARC/1.1")

    def _request(self, plan: PagePlan, url: str, captured: str, host: str) -> bytes:
        path = url.split("/", 3)[3]
        block = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: algok-demo\r\nAccept: text/html\r\n\r\n".encode()
        headers = [
            ("WARC-Type", "request"),
            ("WARC-Record-ID", self._id(plan.page, "request")),
            ("WARC-Date", captured),
            ("WARC-Target-URI", url),
            ("WARC-Concurrent-To", self._id(plan.page, "response")),
            ("Content-Type", "application/http; msgtype=request"),
            ("WARC-Block-Digest", digest(block)),
        ]
        return warc_record(headers, block)

    def _expected(self, plan: PagePlan, document: Document) -> tuple[str, str]:
        """(expected outcome, quality) of a page that a reader can read."""
        if plan.kind == "document":
            return "good", document.quality
        if plan.kind in ("listing", "error", "login"):
            return "boilerplate", "none"
        if plan.kind in ("spam", "short", "media", "empty", "hostile", "revisit"):
            return plan.kind, "low" if plan.kind in ("short", "hostile") else "none"
        return "status", "none"

    def _truth(
        self,
        plan: PagePlan,
        site: Site,
        document: Document,
        url: str,
        captured: str,
        status: int | None,
        media: str | None,
        by_http: bool,
        label: str,
        coding: str,
    ) -> dict[str, Any]:
        has_text = plan.kind not in ("media", "redirect", "missing", "revisit", "empty")
        text = text_of(document) if has_text else None
        expected, quality = self._expected(plan, document)
        by_meta = bool(label) and site.declared in ("meta", "both")
        if plan.kind in ("redirect", "missing", "empty", "revisit"):
            by_meta = False
        declared_by = "both" if by_http and by_meta else "http" if by_http else "meta" if by_meta else None
        group, original = plan.group, plan.original
        similarity = None
        if group is not None:
            similarity = jaccard(self._shingles(original), self._shingles(plan.page)) if plan.edit else 1.0
        return {
            "index": plan.page,
            "kind": "revisit" if plan.kind == "revisit" else "response",
            "record_id": self._id(plan.page, "response"),
            "url": url,
            "host": site.host,
            "captured": captured,
            "http_status": status,
            "media_type": media,
            "content_encoding": coding or None,
            "page_class": plan.kind,
            "content_class": plan.content,
            "style": document.style,
            "topic": document.topic,
            "language": document.language if has_text else None,
            "charset": WEB_NAMES[site.charset] if has_text else None,
            "declared_charset": label if declared_by else None,
            "declared_by": declared_by,
            "template": site.dialect + ("+stray-end" if site.stray else ""),
            "title": document.title if has_text else None,
            "text": text,
            "expected": "failed" if plan.failed_step else expected,
            "quality": quality,
            "exact_group": f"{derive(text):016x}" if text else None,
            "group": group.name if group else None,
            "group_kind": group.kind if group else None,
            "original": original if group else None,
            "member": plan.member if group else None,
            "edit": plan.edit or None,
            "target_jaccard": plan.target if group else None,
            "jaccard": similarity,
            "breakage": plan.breakage or None,
            "failed_step": plan.failed_step,
        }

    def _pairs(self, plan: PagePlan, document: Document) -> list[dict[str, Any]]:
        group = plan.group
        if group is None or group.kind != "near" or plan.member == 0:
            return []
        mine = self._shingles(plan.page)
        earlier = group.members[: plan.member]
        return [
            {
                "group": group.name,
                "a": other,
                "b": plan.page,
                "a_record_id": self._id(other, "response"),
                "b_record_id": self._id(plan.page, "response"),
                "language": document.language,
                "jaccard": jaccard(self._shingles(other), mine),
            }
            for other in (*earlier[:1], *earlier[max(1, plan.member - NEIGHBOURS) :])
        ]
