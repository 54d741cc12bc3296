"""Tables beside the crawl: what each page truly is, and how similar near duplicates truly are."""

import pyarrow as pa

__all__ = ["PAIRS", "TRUTH", "readme"]


def _field(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning})


#: One row per response or revisit record.
TRUTH = pa.schema(
    [
        _field("index", pa.int64(), "page number; with the seed it determines the page"),
        _field("kind", pa.string(), "WARC type: response or revisit"),
        _field("file", pa.string(), "file below crawl/"),
        _field("offset", pa.int64(), "first byte of the record's gzip member in the file"),
        _field("length", pa.int64(), "bytes of the member as stored (of a truncated one: what is left of it)"),
        _field("record_id", pa.string(), "WARC-Record-ID"),
        _field("url", pa.string(), "target URI"),
        _field("host", pa.string(), "host of the URI"),
        _field("captured", pa.string(), "capture time"),
        _field("http_status", pa.int16(), "HTTP status; null without an HTTP header"),
        _field("media_type", pa.string(), "media type of the payload; null without an HTTP header"),
        _field("content_encoding", pa.string(), "gzip, br, chunked (a transfer encoding), or null"),
        _field(
            "page_class", pa.string(), "document, spam, listing, error, login, short, media, redirect, missing, ..."
        ),
        _field("content_class", pa.string(), "ko, en, ja, zh, code, math, other: what the mix was drawn from"),
        _field("style", pa.string(), "news, blog, law, ... or the kind of spam"),
        _field("topic", pa.string(), "topic whose vocabulary the text uses"),
        _field("language", pa.string(), "ISO 639 language of the main text; null without text"),
        _field("charset", pa.string(), "WHATWG label of the encoding that the page was written in; null without text"),
        _field("declared_charset", pa.string(), "label that the page declares, or null"),
        _field("declared_by", pa.string(), "both, http, meta, or null"),
        _field("template", pa.string(), "HTML dialect, with +stray-end for a stray </html> before <body>"),
        _field("title", pa.string(), "true title"),
        _field("text", pa.large_string(), "true main text without the title: a line a block; null without text"),
        _field(
            "expected", pa.string(), "good, spam, boilerplate, short, hostile, media, status, empty, revisit, failed"
        ),
        _field("quality", pa.string(), "high, medium, low, spam, boilerplate, none"),
        _field("exact_group", pa.string(), "hash of the true text: equal for equal texts in the whole crawl"),
        _field("group", pa.string(), "planned group of duplicates, or null"),
        _field("group_kind", pa.string(), "near, copy, template, recapture or twin: see README.txt"),
        _field("original", pa.int64(), "index of the group's original page"),
        _field("member", pa.int32(), "number within the group; 0 is the original"),
        _field("edit", pa.string(), "how the text differs from the original's, or null"),
        _field("target_jaccard", pa.float64(), "similarity to the original that was aimed at"),
        _field("jaccard", pa.float64(), "true word 5-gram Jaccard to the original"),
        _field("breakage", pa.string(), "what was broken on purpose, or null"),
        _field("failed_step", pa.string(), "reader step that must fail: gzip, truncated, header; null if readable"),
    ]
)

#: Pairs of members of near groups: each with the group's original and with up to seven members before it.
PAIRS = pa.schema(
    [
        _field("group", pa.string(), "planned group"),
        _field("a", pa.int64(), "index of the earlier page"),
        _field("b", pa.int64(), "index of the later page"),
        _field("a_record_id", pa.string(), "WARC-Record-ID of a"),
        _field("b_record_id", pa.string(), "WARC-Record-ID of b"),
        _field("language", pa.string(), "language of both"),
        _field("jaccard", pa.float64(), "exact Jaccard of their sets of word 5-grams"),
    ]
)

_README = """A synthetic crawl with known truth, written by `algok demo-crawl`. All text is generated.

seed {seed}, pages {first} to {last} in {files} file(s)

crawl/*.warc.gz  WARC 1.1, a gzip member a record
truth.parquet    a row per response or revisit record
pairs.parquet    near-duplicate pairs with their exact similarity

Similarity: Jaccard of the sets of word 5-grams of `text`, where a word is what white space separates, unchanged
(no lower-casing, punctuation kept), and for ja and zh a character that is not white space. A text of at most five
words is one shingle. `text` holds a line per paragraph, heading, list item, table row ("a | b") and line of code,
without the title.

Groups (`group_kind`): near (edited, in their own pages), copy (same bytes at another URL), template (same text in
another page), recapture (same URL and bytes, later), twin (same URL, bytes and time). Texts of documents outside a
common group are independent; spam, listings and error pages repeat each other as such pages do, without a group.
`exact_group` is equal for equal texts, planned or not.

Page i depends on (seed, i) and the shares only: a crawl of fewer pages is a prefix of a crawl of more (but for the
cut that `truncate_last` makes in its last file), and a range that starts at a file border equals that slice. Members
of a group that lie beyond the last page are simply absent.

Broken on purpose (`breakage`):
  flipped-byte   one byte of the gzip member is changed: this record is lost (failed_step gzip), and no other
  truncated      the last file ends within its last record: lost (gzip)
  bad-header     the record begins with WRAC/1.1: lost (header), and no other
  length-long    Content-Length is 5,000 bytes too large: lost (truncated); the next record is sound
  length-short   Content-Length is half of the truth: lost (header); the next record is sound
  no-http        a response record without HTTP header: readable, without status and media type
  bad-byte       one byte 0xFF before the last paragraph: the page is readable, at most one replacement
  noise-bytes    bytes from 0x80 to 0xFF before </body>: the main text is readable
"""


def readme(seed: int, first: int, last: int, files: int) -> str:
    """Text of README.txt."""
    return _README.format(seed=seed, first=first, last=last, files=files)
