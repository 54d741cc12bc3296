"""Batches of records to batches of documents: the face of this package."""

import importlib
from collections.abc import Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from algok.filters.extraction.attempt import attempt
from algok.filters.extraction.checks import refuse
from algok.filters.extraction.gating import Gate, Verdict
from algok.filters.extraction.identity import Identity, url_identity
from algok.filters.extraction.messages import Page, PageResult
from algok.filters.extraction.options import ExtractOptions
from algok.filters.extraction.sandbox import DECODER, Sandbox
from algok.filters.extraction.text import clean_text
from algok.schema import DOCUMENTS, FAILED, KEPT, REJECTED

__all__ = ["PageExtractor"]

#: Media types that are parsed as HTML, and those that are text as they are.
_HTML = frozenset({"text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"})
_PLAIN = frozenset({"text/plain", "text/markdown"})
#: A chunk is closed at this size or number: one write of 4 MB takes 2 ms, against 25 pages of 10 ms and more.
_CHUNK_BYTES, _CHUNK_PAGES = 4 << 20, 64

_COPIED = (
    "source", "file", "offset", "length", "kind", "record_id", "url", "captured", "http_status", "media_type",
)  # fmt: skip
_MEASURED = (
    "html_bytes", "boilerplate_ratio", "link_char_share", "headings", "tables", "code_blocks", "formulas", "no_ai",
    "licence",
)  # fmt: skip


class PageExtractor:
    """Extracts batches; made once per worker, since its child process takes 0.6 s to start. Not safe for threads.

    ``gate`` is asked about every page of an archive before the expensive step, and about text of WET files; rows of
    tables are not its business. A page that it gives a reason for becomes a rejected row. ``decoder`` names the
    charset decoder as ``module:function``; ``identity`` gives document id and host (default: ``algok.filters.url``).

    >>> with PageExtractor(ExtractOptions()) as extractor:  # doctest: +SKIP
    ...     documents = extractor.extract(records)
    """

    def __init__(
        self,
        options: ExtractOptions | None = None,
        *,
        gate: Gate | None = None,
        decoder: str = DECODER,
        identity: Identity | None = None,
    ) -> None:
        self._options = options or ExtractOptions()
        self._gate = gate
        self._identity = identity or url_identity()
        self._runner: Sandbox | _InProcess
        self._runner = Sandbox(self._options, decoder) if self._options.sandbox else _InProcess(self._options, decoder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """Process id of the child, while there is one."""
        return self._runner.pid

    def close(self) -> None:
        """End the child process; the extractor starts another when it is used again."""
        self._runner.close()

    def extract(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """Documents of a batch of ``RECORDS``: same number of rows, same order, schema ``DOCUMENTS``.

        content_hash, language, language_score (but of rows that the gate rejected) and the text signals are null: later
        kernels fill them. A bad page is a
        failed or rejected row. Raises ``StageError`` when the child process cannot be started at all.
        """
        rows = _Rows(records, self._identity)
        todo: list[int] = []
        pages: list[Page] = []
        for row in range(records.num_rows):
            page = rows.triage(row, self._options)
            if page is not None:
                todo.append(row)
                pages.append(page)
        if self._gate is not None:
            todo, pages = self._pass_gate(self._gate, rows, todo, pages)
        todo, pages = rows.refuse(todo, pages, self._options)
        for chosen in _chunks(pages):
            results = self._runner.run([pages[i] for i in chosen])
            for i, result in zip(chosen, results, strict=True):
                rows.settle(todo[i], result)
        return rows.batch()

    @staticmethod
    def _pass_gate(gate: Gate, rows: "_Rows", todo: list[int], pages: list[Page]) -> tuple[list[int], list[Page]]:
        """The rows and pages that pass; texts of WET files are judged as well, and settled."""
        texts = rows.archived_texts()
        asked = [*todo, *(row for row, _ in texts)]
        verdicts = gate.judge([*pages, *(page for _, page in texts)], [rows.doc_ids[row] for row in asked])
        passed = []
        for i, (row, verdict) in enumerate(zip(asked, verdicts, strict=True)):
            if verdict.reason is not None:
                rows.gated(row, verdict)
            elif i < len(todo):
                passed.append(i)
        return [todo[i] for i in passed], [pages[i] for i in passed]


def _chunks(pages: Sequence[Page]) -> list[list[int]]:
    """Positions of the pages, in runs of at most ``_CHUNK_PAGES`` pages and about ``_CHUNK_BYTES`` bytes."""
    chunks: list[list[int]] = []
    size = _CHUNK_BYTES
    for i, page in enumerate(pages):
        if size >= _CHUNK_BYTES or len(chunks[-1]) >= _CHUNK_PAGES:
            chunks.append([])
            size = 0
        chunks[-1].append(i)
        size += len(page.payload)
    return chunks


class _Rows:
    """The output of a batch while it comes together."""

    def __init__(self, records: pa.RecordBatch, identity: Identity) -> None:
        self._records = records
        self._identity = identity
        count = records.num_rows
        self._columns: dict[str, list[Any]] = {name: [None] * count for name in ("text", "title", "detail", "reason")}
        self._columns |= {name: [None] * count for name in ("charset", "charset_source", *_MEASURED)}
        self._columns |= {name: [None] * count for name in ("language", "language_score")}
        self._columns["outcome"] = [KEPT] * count
        self._columns["replaced"] = [0] * count
        self._payloads = records.column("payload")
        self._texts = pc.cast(records.column("text"), pa.large_binary())  # bytes: a text column may hold invalid UTF-8
        get = {name: records.column(name).to_pylist() for name in ("error", "failed_step", "http_status", "media_type")}
        self._errors, self._steps = get["error"], get["failed_step"]
        self._statuses, self._media_types = get["http_status"], get["media_type"]
        self._kinds = records.column("kind").to_pylist()
        self._charsets = records.column("http_charset").to_pylist()
        self._urls = _strings(records.column("url"))
        self._captured = records.column("captured").cast(pa.int64()).to_pylist()
        self.doc_ids: list[bytes] = [b""] * count
        self._hosts = [""] * count

    def triage(self, row: int, options: ExtractOptions) -> Page | None:
        """Settle what needs no extraction and return ``None``, else the page to extract."""
        payload = self._payloads[row].as_buffer()
        text = self._texts[row].as_buffer()
        content = payload if payload is not None else text
        self._identify(row, content)
        step, error = self._steps[row], self._errors[row]
        if error is not None or step is not None:
            self.end(row, FAILED, step or "read", error or "no message")
            return None
        status = self._statuses[row]
        if status is not None and not 200 <= status < 300:
            self.end(row, REJECTED, "http_status", str(status))
            return None
        if payload is None:
            if text is None:
                self.end(row, REJECTED, "empty", "neither payload nor text")
                return None
            self._pass_text(row, text)
            return None
        media_type = self._media_types[row]
        raw = payload.to_pybytes()
        html = _is_html(media_type, raw)
        if html is None:
            self.end(row, REJECTED, "media_type", media_type or "none, and not HTML by its content")
            return None
        if not raw.strip():
            self.end(row, REJECTED, "empty", "empty payload")
            return None
        if len(raw) > options.max_html_bytes:
            self.end(row, FAILED, "size", f"{len(raw)} bytes, limit {options.max_html_bytes}")
            return None
        return Page(raw, self._charsets[row], html, self._urls[row])

    def refuse(self, todo: list[int], pages: list[Page], options: ExtractOptions) -> tuple[list[int], list[Page]]:
        """The rows and pages without those that no parser should see, which fail."""
        passed = []
        for i, page in enumerate(pages):
            refused = refuse(page.payload, options) if page.html else None
            if refused is None:
                passed.append(i)
            else:
                self.end(todo[i], FAILED, *refused)
        return [todo[i] for i in passed], [pages[i] for i in passed]

    def archived_texts(self) -> list[tuple[int, Page]]:
        """Rows that are text of an archive, each as a page in UTF-8."""
        texts, kinds = self._columns["text"], self._kinds
        return [
            (row, Page(text.encode("utf-8", "replace"), "utf-8", html=False))
            for row, text in enumerate(texts)
            if text is not None and kinds[row] == "conversion"
        ]

    def gated(self, row: int, verdict: Verdict) -> None:
        """The gate rejects the row, whose language it tells."""
        self._set(row, text=None, language=verdict.language, language_score=verdict.score)
        self.end(row, REJECTED, verdict.reason or "", verdict.detail)

    def _pass_text(self, row: int, text: pa.Buffer) -> None:
        raw = text.to_pybytes()
        try:
            decoded, replaced = raw.decode("utf-8"), 0
        except UnicodeDecodeError:
            decoded = raw.decode("utf-8", "replace")
            replaced = decoded.count("\ufffd")
        self._set(row, charset="utf-8", charset_source="text", replaced=replaced)
        decoded = clean_text(decoded)
        if decoded.strip():
            self._set(row, text=decoded)
        else:
            self.end(row, REJECTED, "empty", "no text")

    def _identify(self, row: int, content: pa.Buffer | None) -> None:
        digest = xxhash.xxh3_128_digest(content if content is not None else b"")
        self.doc_ids[row], self._hosts[row] = self._identity(self._urls[row], self._captured[row], digest)

    def settle(self, row: int, result: PageResult) -> None:
        """Take over what the child found."""
        self._set(row, **{name: getattr(result, name) for name in _MEASURED})
        self._set(row, charset=result.charset, charset_source=result.charset_source, replaced=result.replaced)
        self._set(row, title=result.title, detail=result.detail)
        if result.failed is not None:
            self.end(row, FAILED, result.failed, result.detail)
        elif result.rejected is not None:
            self.end(row, REJECTED, result.rejected, result.detail)
        else:
            self._set(row, text=result.text)

    def end(self, row: int, outcome: str, reason: str, detail: str | None) -> None:
        """The row is rejected or failed."""
        self._set(row, outcome=outcome, reason=reason, detail=detail)

    def _set(self, row: int, **values: Any) -> None:
        for name, value in values.items():
            self._columns[name][row] = value

    def batch(self) -> pa.RecordBatch:
        """The finished documents."""
        arrays: dict[str, pa.Array] = {name: self._records.column(name) for name in _COPIED}
        arrays["url"] = pa.array(self._urls, pa.string())
        arrays["doc_id"] = pa.array(self.doc_ids, DOCUMENTS.field("doc_id").type)
        arrays["host"] = pa.array(self._hosts, pa.string())
        for name, values in self._columns.items():
            arrays[name] = pa.array(values, DOCUMENTS.field(name).type)
        return pa.RecordBatch.from_arrays(
            [
                arrays[field.name] if field.name in arrays else pa.nulls(self._records.num_rows, field.type)
                for field in DOCUMENTS
            ],
            schema=DOCUMENTS,
        )


class _InProcess:
    """The sandbox's interface without a process: for debugging. No limits but those of ``refuse``."""

    def __init__(self, options: ExtractOptions, decoder: str) -> None:
        from algok.filters.extraction.page import PageKernel

        module, _, name = decoder.partition(":")
        self._kernel = PageKernel(options, getattr(importlib.import_module(module), name))

    pid = None

    def run(self, pages: Sequence[Page]) -> list[PageResult]:
        return [attempt(self._kernel, page) for page in pages]

    def close(self) -> None:
        pass


def _strings(column: pa.Array) -> list[str]:
    """Python strings of a column; null is empty, and bytes that are no UTF-8 become U+FFFD."""
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        values = [v if v is None else v.decode("utf-8", "replace") for v in column.cast(pa.binary()).to_pylist()]
    return [value or "" for value in values]


def _is_html(media_type: str | None, payload: bytes) -> bool | None:
    """Whether a payload is HTML, plain text (``False``) or neither (``None``).

    Without a media type, or with text/plain, a page that starts like HTML is HTML: servers that serve pages as
    text/plain are common, and browsers sniff them too (WHATWG MIME Sniffing, 7.1).
    """
    if media_type in _HTML:
        return True
    if media_type not in _PLAIN and media_type:
        return None
    head = payload[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")) or b"<html" in head:
        return True
    return False if media_type else None
