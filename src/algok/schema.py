"""The Arrow contracts between stages.

Every table that crosses a stage border is declared here, with the meaning and the unit of each column in its
field metadata (``describe`` prints them). A Beam element is a ``pyarrow.RecordBatch`` of one of these schemas.

``doc_id`` is 16 bytes: XXH3-128 over the normalised URL, the capture time and the payload digest, so it depends on
neither the file that carried the record nor its position. Two captures that agree in all three are byte-identical
and share one id; exact deduplication keeps one of them.

A row's *address* is (``unit``, ``row``): the unit is the 16-hex key of the file of the ``documents`` table that holds
the row, the row its position there. Decisions, clusters and the mixture carry addresses so that removal never shuffles
text; whoever joins by address compares ``doc_id`` too and raises ``CorruptionError`` on a mismatch.
"""

import pyarrow as pa

__all__ = [
    "ADDRESS",
    "CLUSTERS",
    "DEAD_LETTER",
    "DECISIONS",
    "DOCUMENTS",
    "FAILED",
    "KEPT",
    "LEDGER",
    "LENGTHS",
    "MIXTURE",
    "OUTCOMES",
    "PACKED",
    "RECORDS",
    "REJECTED",
    "REJECTED_ROWS",
    "SAMPLE",
    "SIGNALS",
    "TOKENS",
    "describe",
]

#: What became of a row in a stage.
KEPT, REJECTED, FAILED = "kept", "rejected", "failed"
OUTCOMES = (KEPT, REJECTED, FAILED)

DOC_ID = pa.binary(16)
TIME = pa.timestamp("s", tz="UTC")


def _field(name: str, kind: pa.DataType, meaning: str, unit: str = "") -> pa.Field:
    meta = {"meaning": meaning} | ({"unit": unit} if unit else {})
    return pa.field(name, kind, metadata=meta)


#: What a reader emits: one row per record, before anything is decoded.
RECORDS = pa.schema(
    [
        _field("source", pa.string(), "name of the recipe's source"),
        _field("file", pa.string(), "input file, as resolved from the recipe"),
        _field("offset", pa.int64(), "start of the record in the file as stored; row number for tables", "byte or row"),
        _field("length", pa.int64(), "length of the record in the file as stored; 1 for tables", "byte or row"),
        _field("kind", pa.string(), "response, conversion (WET), resource, row; other WARC types are counted only"),
        _field("record_id", pa.string(), "WARC-Record-ID, or the id column of a table"),
        _field("url", pa.string(), "target URI as written in the record; may be empty for tables"),
        _field("captured", TIME, "capture time", "second"),
        _field("http_status", pa.int16(), "HTTP status, null without an HTTP header"),
        _field("media_type", pa.string(), "media type of the payload, lower case, without parameters"),
        _field("http_charset", pa.string(), "charset of the HTTP Content-Type header as written"),
        _field("payload", pa.large_binary(), "payload bytes, transfer and content encoding undone; null if text"),
        _field("text", pa.large_string(), "text of sources that carry text (WET, Parquet, JSONL); null if payload"),
        _field("language_hint", pa.string(), "ISO 639 language that the source declares, or null"),
        _field("failed_step", pa.string(), "reader step that failed (gzip, header, http, decode, json, ...), or null"),
        _field("error", pa.string(), "what went wrong, with enough to replay it; null if nothing"),
    ]
)

#: Identity, provenance and text of a document, and what became of the record in ``extract``.
_BASE = [
    _field("doc_id", DOC_ID, "XXH3-128 of normalised URL, capture time and payload digest"),
    _field("source", pa.string(), "name of the recipe's source"),
    _field("file", pa.string(), "input file, as resolved from the recipe"),
    _field("offset", pa.int64(), "start of the record in the file as stored", "byte or row"),
    _field("length", pa.int64(), "length of the record in the file as stored", "byte or row"),
    _field("kind", pa.string(), "response, conversion, resource, row"),
    _field("record_id", pa.string(), "WARC-Record-ID, or the id column of a table"),
    _field("url", pa.string(), "target URI as written in the record"),
    _field("host", pa.string(), "lower-case host of the URL, without port; empty if none"),
    _field("captured", TIME, "capture time", "second"),
    _field("http_status", pa.int16(), "HTTP status, null without an HTTP header"),
    _field("media_type", pa.string(), "media type of the payload"),
    _field("charset", pa.string(), "WHATWG name of the encoding that decoded the payload"),
    _field("charset_source", pa.string(), "bom, utf-8, http, meta, common-syllables, detector, fallback, text"),
    _field("replaced", pa.int32(), "replacement characters that decoding put in", "character"),
    _field("title", pa.string(), "page title"),
    _field("text", pa.large_string(), "main text, Markdown-like; null for a row without text"),
    _field("content_hash", DOC_ID, "XXH3-128 of the text normalised for exact deduplication; null without text"),
    _field("language", pa.string(), "ISO 639 language of the text by fastText lid.176, 'und' if undecided or none"),
    _field("language_score", pa.float32(), "probability of that language", "0..1"),
    _field("outcome", pa.string(), "kept, rejected or failed in extract"),
    _field("reason", pa.string(), "rule that rejected the row or step that failed; null if kept"),
    _field("detail", pa.string(), "the value and limit of the rule, or the error message; null if kept whole"),
]

#: Numbers measured on every document with text (null without); ``filter`` turns them into decisions.
#: Definitions of the repetition signals: Rae et al. 2021 (Gopher), table A1; of the line signals: FineWeb.
SIGNALS = pa.schema(
    [
        _field("hangul_share", pa.float32(), "Hangul among all letters", "0..1"),
        _field("chars", pa.int32(), "length of the text", "character"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
        _field(
            "words", pa.int32(), "white-space separated words (eojeol); characters for Japanese and Chinese", "word"
        ),
        _field("lines", pa.int32(), "lines with more than white space", "line"),
        _field("mean_word_chars", pa.float32(), "mean length of the words with a letter or number", "character"),
        _field("non_alpha_word_share", pa.float32(), "words without any letter", "0..1"),
        _field("stop_words", pa.int32(), "different stop words of the language pack that occur", "word"),
        _field("symbol_word_ratio", pa.float32(), "the more frequent of # and ellipsis, over words (Gopher)", "ratio"),
        _field("bullet_line_share", pa.float32(), "lines that start with a bullet (Gopher)", "0..1"),
        _field("ellipsis_line_share", pa.float32(), "lines that end with an ellipsis (Gopher)", "0..1"),
        _field(
            "line_punct_share",
            pa.float32(),
            "lines that end with terminal punctuation, closing marks aside (FineWeb)",
            "0..1",
        ),
        _field("short_line_share", pa.float32(), "lines of at most 30 characters (FineWeb)", "0..1"),
        _field("new_line_ratio", pa.float32(), "line breaks over words (FineWeb)", "ratio"),
        _field("dup_line_share", pa.float32(), "lines that repeat an earlier line (Gopher)", "0..1"),
        _field("dup_line_char_share", pa.float32(), "characters in such lines (Gopher)", "0..1"),
        _field("dup_para_share", pa.float32(), "paragraphs that repeat an earlier one (Gopher)", "0..1"),
        _field("dup_para_char_share", pa.float32(), "characters in such paragraphs (Gopher)", "0..1"),
        *(
            _field(
                f"top_{n}gram_char_share",
                pa.float32(),
                f"characters in the most frequent word {n}-gram (Gopher)",
                "0..1",
            )
            for n in (2, 3, 4)
        ),
        *(
            _field(f"dup_{n}gram_char_share", pa.float32(), f"characters in repeated word {n}-grams (Gopher)", "0..1")
            for n in (5, 6, 7, 8, 9, 10)
        ),
        _field("digit_share", pa.float32(), "digits among all characters that are not white space", "0..1"),
        _field("upper_share", pa.float32(), "upper-case among all cased letters", "0..1"),
        _field("url_char_share", pa.float32(), "characters in URLs", "0..1"),
        _field("spam_terms", pa.int32(), "occurrences of the language pack's spam terms", "occurrence"),
        _field("html_bytes", pa.int32(), "size of the decoded page; null for text sources", "byte"),
        _field("boilerplate_ratio", pa.float32(), "1 - main text over all visible text; null for text sources", "0..1"),
        _field("link_char_share", pa.float32(), "visible characters inside links; null for text sources", "0..1"),
        _field("headings", pa.int32(), "h1..h6 elements; null for text sources", "element"),
        _field("tables", pa.int32(), "table elements; null for text sources", "element"),
        _field("code_blocks", pa.int32(), "pre elements; null for text sources", "element"),
        _field("formulas", pa.int32(), "MathML elements and TeX delimiters; null for text sources", "element"),
        _field(
            "no_ai", pa.bool_(), "robots meta says noai or noimageai, or tdm-reservation is 1; null for text sources"
        ),
        _field("licence", pa.string(), "Creative Commons mark found on the page, such as by-sa-4.0, or null"),
    ]
)

#: One row per record of the input: what ``extract`` writes.
DOCUMENTS = pa.schema([*_BASE, *SIGNALS])

#: Records that ``extract`` refused by rule: no text, but enough to find the record again.
REJECTED_ROWS = pa.schema(
    [
        DOCUMENTS.field(name)
        for name in [
            "doc_id",
            "source",
            "file",
            "offset",
            "length",
            "kind",
            "record_id",
            "url",
            "host",
            "captured",
            "http_status",
            "media_type",
            "language",
            "reason",
            "detail",
        ]
    ]
)

#: Records that failed, with what is needed to replay them: file, offset and length of the record as stored.
DEAD_LETTER = pa.schema(
    [
        _field("stage", pa.string(), "stage in which the record failed"),
        *(
            DOCUMENTS.field(name)
            for name in ["source", "file", "offset", "length", "kind", "record_id", "url", "captured"]
        ),
        _field("step", pa.string(), "step that failed: gzip, header, http, decode, extract, timeout, memory, ..."),
        _field("error", pa.string(), "what went wrong"),
    ]
)

#: How tables name a row of ``documents``.
ADDRESS = pa.schema(
    [
        _field("unit", pa.string(), "key of the documents file that holds the row"),
        _field("row", pa.int32(), "position of the row in that file", "row"),
        _field("doc_id", DOC_ID, "the row's doc_id, compared at every join"),
    ]
)

#: What ``filter`` decided; row-aligned with the documents file of the same unit.
DECISIONS = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("policy", pa.string(), "policy that decided"),
        _field("outcome", pa.string(), "kept, rejected or failed (failed: did so in extract)"),
        _field("reason", pa.string(), "first rule that rejected; null if kept"),
        _field("value", pa.float32(), "value of that rule's signal"),
        _field("threshold", pa.float32(), "limit that it broke"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
    ]
)

#: Which documents go into the mixture, and how often; one file per unit, sorted by row.
MIXTURE = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("outcome", pa.string(), "kept, or rejected when the budget leaves the document out"),
        _field("reason", pa.string(), "'budget', or 'no_share' for a language without a share; null if kept"),
        _field("copies", pa.int32(), "how often the document is packed; 0 if rejected", "copy"),
        _field("cluster_size", pa.int64(), "documents in its duplicate cluster", "document"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
    ]
)

#: The text that the tokenizer is trained and evaluated on.
SAMPLE = pa.schema(
    [
        _field("doc_id", DOC_ID, "the document's id"),
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("held_out", pa.bool_(), "kept out of training, for evaluation"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
        _field("text", pa.large_string(), "the text"),
    ]
)

#: Documents of the mixture as token ids, end-of-document id included; intermediate, one file per unit.
TOKENS = pa.schema(
    [
        _field("doc_id", DOC_ID, "the document's id"),
        _field("lookup", pa.uint64(), "XXH3-64 of the normalised URL; of the record id where there is no URL"),
        _field("tokens", pa.large_list(pa.uint32()), "token ids"),
    ]
)

#: Sizes of the documents of TOKENS, row by row, from which the budget is met; intermediate, one file per unit.
LENGTHS = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
        _field("copies", pa.int32(), "copies in the mixture", "copy"),
        _field("cluster_size", pa.int64(), "documents in its duplicate cluster", "document"),
        _field("tokens", pa.int64(), "token ids, end-of-document id included", "token"),
    ]
)

#: What ``pack`` took of the mixture to meet the budget in counted tokens; one row for each document of the mixture.
PACKED = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("outcome", pa.string(), "kept, or rejected when the budget was met without the document"),
        _field("reason", pa.string(), "'budget'; null if kept"),
        _field("copies", pa.int32(), "how often the document is in the shards; 0 if rejected", "copy"),
        _field("tokens", pa.int64(), "token ids of one copy, end-of-document id included", "token"),
        _field("bytes", pa.int32(), "length of the text in UTF-8", "byte"),
    ]
)

#: What ``dedup`` found: one row for each document that ``filter`` kept, sorted by ``row``.
CLUSTERS = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("cluster_id", DOC_ID, "doc_id of the cluster's survivor"),
        _field("cluster_size", pa.int64(), "documents in the cluster, exact copies included", "document"),
        _field("survivor", pa.bool_(), "whether this is the one document of the cluster that is kept"),
        _field(
            "method",
            pa.string(),
            "unique; url, exact or near: how it belongs to its cluster (a survivor: how others do)",
        ),
        _field("similarity", pa.float32(), "Jaccard similarity of the shingles to the survivor; 1 for itself", "0..1"),
        _field(
            "exact_copies",
            pa.int64(),
            "documents with this content, this one and other captures of their URLs included",
            "document",
        ),
        _field("cluster_snapshots", pa.int32(), "different capture months (UTC) in the cluster", "month"),
        _field("cluster_sources", pa.int32(), "different sources in the cluster", "source"),
        _field("earlier", pa.bool_(), "whether the cluster's survivor is in the store of an earlier crawl"),
        _field("outcome", pa.string(), "kept for a survivor, else rejected"),
        _field("reason", pa.string(), "url_duplicate, exact_duplicate or near_duplicate; null if kept"),
        _field("bytes", pa.int32(), "length of the text in UTF-8, without what dedup's edits take out", "byte"),
        _field("removed_bytes", pa.int32(), "what the edits take out of the text", "byte"),
    ]
)

#: What ``dedup`` takes out of the texts of survivors; sorted by row and start, without overlaps. The stages after it
#: read the texts without these ranges; the documents themselves do not change.
EDITS = pa.schema(
    [
        *ADDRESS,
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language of the document"),
        _field("host", pa.string(), "host of the document; empty if none"),
        _field("kind", pa.string(), "line: many pages of the host repeat it; span: another document has it too"),
        _field("start", pa.int32(), "start of the range in the text as extracted, in UTF-8", "byte"),
        _field("end", pa.int32(), "end of the range, line break included", "byte"),
        _field("pages", pa.int64(), "pages of the host with the line, or documents with the span's first chunk"),
        _field("text", pa.string(), "the first 200 characters of what is taken out"),
    ]
)

#: Documents through a stage, counted from the rows. For every source: in = kept + rejected + failed.
LEDGER = pa.schema(
    [
        _field("stage", pa.string(), "stage or step"),
        _field("source", pa.string(), "name of the recipe's source"),
        _field("language", pa.string(), "language, 'und' where unknown"),
        _field("direction", pa.string(), "in or out"),
        _field("outcome", pa.string(), "kept, rejected, failed; 'read' for direction in"),
        _field("reason", pa.string(), "rule or failed step; empty if none"),
        _field("documents", pa.int64(), "rows", "document"),
        _field("bytes", pa.int64(), "text of those rows in UTF-8", "byte"),
    ]
)


def describe(schema: pa.Schema) -> list[tuple[str, str, str, str]]:
    """Rows (column, Arrow type, unit, meaning) of a schema, for documentation and ``--help`` pages.

    >>> describe(ADDRESS)[1]
    ('row', 'int32', 'row', 'position of the row in that file')
    """
    rows = []
    for field in schema:
        meta = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        rows.append((field.name, str(field.type), meta.get("unit", ""), meta.get("meaning", "")))
    return rows
