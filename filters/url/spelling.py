"""One spelling for each URL: the same page fetched under two spellings gets one identity.

What is done, after the WHATWG URL Standard and RFC 3986 section 6.2 (only changes that keep the resource, and the
removal of what never selects content):

- white space and control characters around and line breaks within are dropped; scheme and host in lower case;
- host: percent-decoded, international names to punycode (UTS 46), dot at the end off; ``www.`` is kept;
- the default port (80, 443, 21) off, leading zeros of a port off; user name and password off;
- path: ``\\`` to ``/``, dot segments resolved; an empty one is ``/``; repeated slashes and a slash at the end are kept;
- percent-encoding: upper-case digits, unreserved characters decoded, all that may not stand in a URL encoded as UTF-8;
- query: parameters that only track the visitor are dropped, the others keep their order; an empty query is dropped;
- the fragment off. ``http`` and ``https`` stay different: they may be different sites.

Other schemes (``dns:``, ``urn:``, ``ftp:``) only lose white space and fragment and get a scheme in lower case.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import idna
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["TRACKING", "host_of", "hosts_of", "normalise", "normalise_array"]

#: Parameters that only track the visitor: those of AdGuard's URL Tracking list that are tied to one tracker by name,
#: and those of Naver's advertising (n_*, napm). ``ref``, ``source`` or ``sid`` select content on some sites and stay.
_TRACKING = """
    fbclid gclid gclsrc dclid gbraid wbraid msclkid yclid ymclid twclid ttclid igshid igsh li_fat_id mc_cid mc_eid
    mkt_tok _hsenc _hsmi __hstc __hssc __hsfp hsctatracking vero_id vero_conv oly_anon_id oly_enc_id wickedid _openstat
    rb_clickid s_cid ml_subscriber ml_subscriber_hash epik irclickid srsltid _ga _gl __s cvid oicd ocid_click
    n_media n_query n_rank n_ad_group n_ad n_keyword_id n_keyword n_campaign_type n_match napm
"""
TRACKING = frozenset(_TRACKING.split())
_TRACKING_PREFIXES = ("utm_", "hsa_", "pk_", "piwik_", "mtm_", "matomo_", "itm_", "stm_")

_PORTS = {"http": "80", "https": "443", "ftp": "21"}
_EDGES = "".join(map(chr, range(33)))
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})|(%)|([^!#$&-;=?-Z\[\]_a-z~])")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_AUTHORITY_END = re.compile(r"[/\\?]")
_BAD_HOST = re.compile(r"[\0-\x20\"#%/:<>?@\[\\\]^`{|}\x7f]")
_IPV6 = re.compile(r"\[[0-9a-fA-F:.]{2,45}\]")

#: URLs that are already in the one spelling (RE2 syntax, for Arrow; the same pattern works in ``re``).
_NORMAL = (
    r"^https?://[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
    r"(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%([89A-F][0-9A-F]|[01][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF]))*)$"
)
#: Segments that begin with a dot may be dot segments.
_DOTTED = "/."


def normalise(url: str) -> str:
    """The one spelling of a URL; never raises. What is no URL comes back without white space at its ends.

    >>> normalise("HTTP://Example.COM:80/a/../%7Eb?utm_source=x&q=%ea%b0%80#top")
    'http://example.com/~b?q=%EA%B0%80'
    >>> normalise("http://한국.kr")
    'http://xn--3e0b707e.kr/'
    """
    url = url.strip(_EDGES)
    if "\n" in url or "\r" in url or "\t" in url:
        url = url.replace("\n", "").replace("\r", "").replace("\t", "")
    match = _SCHEME.match(url)
    if match is None:
        return url
    scheme = match[1].lower()
    rest = url[match.end() :].partition("#")[0]
    if scheme not in ("http", "https"):
        return f"{scheme}:{_escape(rest)}"
    host = ""
    cut = 0
    while not host and cut < len(rest):
        # Too many or too few slashes, or a user without a host: what comes next is the host.
        rest = rest[cut:].lstrip("/\\")
        end = _AUTHORITY_END.search(rest)
        cut = end.start() if end is not None else len(rest)
        host = _authority(rest[:cut], scheme)
        if cut == 0:
            break
    path, question, query = rest[cut:].partition("?")
    path = _path(_escape(path.replace("\\", "/")))
    if question:
        query = _query(_escape(query))
        if query:
            return f"{scheme}://{host}{path}?{query}"
    return f"{scheme}://{host}{path}"


def _authority(authority: str, scheme: str) -> str:
    host = authority.rpartition("@")[2]
    port = ""
    bracket = _IPV6.match(host)
    if bracket is not None:
        port = host[bracket.end() :].lstrip(":")
        host = bracket[0].lower()
    else:
        host, _, port = host.partition(":")
        host = _host(host)
    if not host:
        return ""
    if port.isdecimal() and port.isascii():
        port = port.lstrip("0") or "0"
    return f"{host}:{_escape(port)}" if port and port != _PORTS[scheme] else host


@lru_cache(maxsize=65536)
def _host(host: str) -> str:
    if "%" in host:
        host = unquote_to_bytes(host.encode("utf-8", "replace")).decode("utf-8", "replace")
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True, transitional=False).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            # Not a legal name (an emoji, an underscore beside Hangul): Python's older mapping, label by label.
            host = ".".join(_label(label) for label in re.split("[.\u3002\uff0e\uff61]", host))
    host = host.lower().rstrip(".")
    if _BAD_HOST.search(host):
        host = _BAD_HOST.sub(lambda m: f"%{ord(m[0]):02X}", host)
    return host


def _label(label: str) -> str:
    if label.isascii():
        return label
    try:
        return "xn--" + label.lower().encode("punycode").decode("ascii")
    except UnicodeError:
        return _escape(label)


def _escaped(match: "re.Match[str]") -> str:
    if match[1]:
        char = chr(int(match[1], 16))
        return char if char in _UNRESERVED else "%" + match[1].upper()
    if match[2]:
        return "%25"
    return "".join(f"%{byte:02X}" for byte in match[3].encode("utf-8", "replace"))


def _escape(text: str) -> str:
    return _ESCAPE.sub(_escaped, text)


def _path(path: str) -> str:
    if not path:
        return "/"
    if "/." not in path:
        return path
    out: list[str] = []
    segments = path.split("/")[1:]
    for index, segment in enumerate(segments):
        last = index == len(segments) - 1
        if segment == "..":
            if out:
                out.pop()
            if last:
                out.append("")
        elif segment == ".":
            if last:
                out.append("")
        else:
            out.append(segment)
    return "/" + "/".join(out)


def _query(query: str) -> str:
    if "=" not in query:
        return query
    parameters = query.split("&")
    kept = [p for p in parameters if not _tracks(p.partition("=")[0].lower())]
    return query if len(kept) == len(parameters) else "&".join(kept)


def _tracks(name: str) -> bool:
    return name in TRACKING or name.startswith(_TRACKING_PREFIXES)


def normalise_array(urls: pa.Array) -> pa.Array:
    """:func:`normalise` for each string of an array; null stays null. Normal URLs cost one regular expression."""
    if urls.type != pa.string():
        urls = urls.cast(pa.string())
    normal = pc.and_(pc.match_substring_regex(urls, _NORMAL), pc.invert(pc.match_substring(urls, _DOTTED)))
    others = pc.and_kleene(urls.is_valid(), pc.invert(pc.fill_null(normal, False)))
    if not pc.any(others).as_py():
        return urls
    fixed = pa.array([normalise(url) for url in urls.filter(others).to_pylist()], pa.string())
    return pc.replace_with_mask(urls, others, fixed)


def host_of(url: str) -> str:
    """Host of a URL in the form of :func:`normalise`, without port; empty if there is none.

    >>> host_of("https://Blog.Example.co.kr:8443/x"), host_of("urn:uuid:1")
    ('blog.example.co.kr', '')
    """
    url = normalise(url)
    if not url.startswith(("http://", "https://")):
        return ""
    authority = url.split("/", 3)[2]
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]


def hosts_of(normalised: pa.Array) -> pa.Array:
    """Host of each URL of an array that :func:`normalise_array` made; empty if there is none or the URL is null."""
    found = pc.extract_regex(normalised, r"^https?://(?P<host>\[[^\]/]*\]|[^:/\[]*)")
    return pc.fill_null(pc.struct_field(found, "host"), "")
