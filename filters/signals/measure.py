"""Fill the text signals of a batch of documents."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from numpy.typing import NDArray

from algok.filters.characters import NFC_RISK, class_table, fold_table
from algok.filters.packs import Packs
from algok.filters.signals.content import content_hashes, normalise
from algok.filters.signals.repetition import DUP_SIZES, TOP_SIZES, duplicates, ngram_chars
from algok.filters.signals.scan import count_classes, decode, fold_white_space, match_terms, split, url_chars
from algok.filters.signals.stamp import source_stamp

__all__ = ["COUNTS", "SHARES", "TEXT_SIGNALS", "measure", "text_buffers"]

#: Signals that are counts (int32), in the order of the kernel's columns.
COUNTS = ("chars", "bytes", "words", "lines", "stop_words", "spam_terms")

#: Signals that are shares, ratios or means (float32), in the order of the kernel's columns.
SHARES = (
    "hangul_share",
    "mean_word_chars",
    "non_alpha_word_share",
    "symbol_word_ratio",
    "bullet_line_share",
    "ellipsis_line_share",
    "line_punct_share",
    "short_line_share",
    "new_line_ratio",
    "dup_line_share",
    "dup_line_char_share",
    "dup_para_share",
    "dup_para_char_share",
    *(f"top_{n}gram_char_share" for n in TOP_SIZES),
    *(f"dup_{n}gram_char_share" for n in DUP_SIZES),
    "digit_share",
    "upper_share",
    "url_char_share",
)

#: Every column of ``schema.SIGNALS`` that ``measure`` writes.
TEXT_SIGNALS = (*COUNTS, *SHARES)


@njit(nogil=True, inline="always")
def _over(part, whole):  # type: ignore[no-untyped-def]
    """``part / whole`` as float32, 0 if there is nothing to divide by."""
    if whole == 0:
        return np.float32(0.0)
    return np.float32(np.float64(part) / np.float64(whole))


def _build(sources: int):  # type: ignore[no-untyped-def]
    @njit(nogil=True, cache=True)
    def measure_rows(  # type: ignore[no-untyped-def]
        data,
        offsets,
        rows,
        longest,
        table,
        fold,
        by_character,
        marks,
        first_term,
        term_cps,
        term_offsets,
        term_flags,
        term_ids,
        stop_words,
        counts_out,
        shares_out,
        folded,
        folded_ends,
        risky,
    ):
        """Measure the documents ``rows`` of one pack; ``longest`` is the byte length of the longest of them.

        Scratch memory: about 60 bytes (words are characters: 100) for every byte of the longest text.
        """
        if sources < 0:  # never; it makes the stamp part of the key under which numba caches this kernel
            return
        size = longest + 1
        # Two words, or two lines, have a white space between them.
        half = longest // 2 + 2
        words_at_most = size if by_character else half
        cps = np.empty(size, dtype=np.uint32)
        classes = np.empty(size, dtype=np.uint8)
        hashes = np.empty(words_at_most, dtype=np.uint64)
        starts = np.empty(words_at_most + 1, dtype=np.int32)
        line_hashes = np.empty(half, dtype=np.uint64)
        line_sizes = np.empty(half, dtype=np.int32)
        para_hashes = np.empty(half, dtype=np.uint64)
        para_sizes = np.empty(half, dtype=np.int32)
        slots = np.empty(words_at_most, dtype=np.int64)
        candidates = np.empty(words_at_most, dtype=np.int32)
        rolling = np.empty(words_at_most, dtype=np.uint64)
        table_size = 16
        while table_size < 2 * words_at_most:
            table_size *= 2
        keys = np.empty(table_size, dtype=np.uint64)
        stamps = np.zeros(table_size, dtype=np.int64)
        tallies = np.empty(table_size, dtype=np.int32)
        stamp = np.int64(0)
        by_class = np.empty(9, dtype=np.int64)
        by_kind = np.empty(11, dtype=np.int64)
        grams = np.empty(9, dtype=np.int64)
        stop_seen = np.zeros(stop_words + 1, dtype=np.bool_)
        space = 0 if by_character else 1
        for r in range(len(rows)):
            row = rows[r]
            begin = offsets[row]
            end = offsets[row + 1]
            n = decode(data, begin, end, table, cps, classes)
            count_classes(cps, classes, n, by_class)
            split(
                cps,
                classes,
                n,
                by_character,
                marks,
                hashes,
                starts,
                line_hashes,
                line_sizes,
                para_hashes,
                para_sizes,
                by_kind,
            )
            words = by_kind[0]
            lines = by_kind[4]
            paragraphs = by_kind[5]
            stops, spam = match_terms(
                cps, classes, n, fold, marks, first_term, term_cps, term_offsets, term_flags, term_ids, stop_seen
            )
            urls = url_chars(cps, classes, n)
            stamp += 1
            dup_lines, dup_line_chars = duplicates(line_hashes, line_sizes, lines, keys, stamps, stamp)
            stamp += 1
            dup_paras, dup_para_chars = duplicates(para_hashes, para_sizes, paragraphs, keys, stamps, stamp)
            stamp = ngram_chars(
                hashes, starts, words, space, keys, stamps, tallies, stamp, rolling, candidates, slots, grams
            )
            risky[row] = (by_class[8] & NFC_RISK) != 0
            folded_ends[row] = fold_white_space(data, begin, cps, classes, n, folded, begin - offsets[0])

            counts_out[row, 0] = n
            counts_out[row, 1] = end - begin
            counts_out[row, 2] = words
            counts_out[row, 3] = lines
            counts_out[row, 4] = stops
            counts_out[row, 5] = spam
            shares_out[row, 0] = _over(by_class[2], by_class[1])
            shares_out[row, 1] = _over(by_kind[3], by_kind[2])
            shares_out[row, 2] = _over(words - by_kind[1], words)
            shares_out[row, 3] = _over(max(by_class[6], by_class[7]), words)
            shares_out[row, 4] = _over(by_kind[7], lines)
            shares_out[row, 5] = _over(by_kind[8], lines)
            shares_out[row, 6] = _over(by_kind[9], lines)
            shares_out[row, 7] = _over(by_kind[10], lines)
            shares_out[row, 8] = _over(by_kind[6], words)
            shares_out[row, 9] = _over(dup_lines, lines)
            shares_out[row, 10] = _over(dup_line_chars, n)
            shares_out[row, 11] = _over(dup_paras, paragraphs)
            shares_out[row, 12] = _over(dup_para_chars, n)
            for k in range(9):
                shares_out[row, 13 + k] = _over(grams[k], n)
            shares_out[row, 22] = _over(by_class[3], by_class[0])
            shares_out[row, 23] = _over(by_class[5], by_class[4])
            shares_out[row, 24] = _over(urls, n)

    return measure_rows


_measure_rows = _build(
    source_stamp(
        "algok.filters.characters",
        "algok.filters.packs.compiled",
        "algok.filters.signals.repetition",
        "algok.filters.signals.scan",
    )
)


def text_buffers(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_]]:
    """UTF-8 bytes, int64 offsets (rows + 1) and validity of a large_string array, also of a slice; no copy of the
    bytes.

    A null row's offsets may span bytes; callers skip it.
    """
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=np.int64, count=len(texts) + 1, offset=8 * texts.offset)
    data = np.frombuffer(data_buffer, dtype=np.uint8) if data_buffer is not None else np.zeros(0, dtype=np.uint8)
    valid = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    return data, offsets, valid


def _pack_of_rows(languages: pa.Array, packs: Packs) -> NDArray[np.int64]:
    """Position in ``packs.packs`` for every row; the default pack for a null or unknown language."""
    encoded = languages.dictionary_encode()
    by_code = np.array([packs.index(name) for name in encoded.dictionary.to_pylist()] + [packs.default], dtype=np.int64)
    codes = pc.fill_null(encoded.indices, len(by_code) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(by_code[codes], dtype=np.int64)


def measure(documents: pa.RecordBatch, packs: Packs) -> pa.RecordBatch:
    """``documents`` with the text signals and ``content_hash`` filled; rows, order and other columns as they are.

    ``documents``: ``schema.DOCUMENTS``, languages set. A row without text gets nulls, an empty text zeros. Every value
    depends on the row's text and language alone.
    """
    texts = documents.column("text")
    rows = len(texts)
    data, offsets, valid = (
        text_buffers(texts) if rows else (np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(0, bool))
    )
    counts = np.zeros((rows, len(COUNTS)), dtype=np.int32)
    shares = np.zeros((rows, len(SHARES)), dtype=np.float32)
    # Folding never lengthens a text, so a text may stay at its own offset and be hashed from there.
    folded = np.empty(int(offsets[-1] - offsets[0]), dtype=np.uint8)
    ends = np.array(offsets[1:] - offsets[0])
    risky = np.zeros(rows, dtype=np.bool_)
    pack_of_row = _pack_of_rows(documents.column("language"), packs) if rows else np.zeros(0, dtype=np.int64)
    sizes = np.diff(offsets)
    for at, pack in enumerate(packs.packs):
        chosen = np.flatnonzero(valid & (pack_of_row == at))
        if not len(chosen):
            continue
        arrays = pack.compiled
        _measure_rows(
            data,
            offsets,
            chosen,
            int(sizes[chosen].max()),
            class_table(),
            fold_table(),
            arrays.by_character,
            arrays.marks,
            arrays.first_term,
            arrays.term_cps,
            arrays.term_offsets,
            arrays.term_flags,
            arrays.term_ids,
            arrays.stop_words,
            counts,
            shares,
            folded,
            ends,
            risky,
        )
    normalised: dict[int, bytes] = {}
    for row in np.flatnonzero(risky).tolist():
        raw = bytes(data[offsets[row] : offsets[row + 1]])
        normalised[row] = normalise(raw.decode("utf-8", "replace")).encode("utf-8")
    begins = offsets[:-1] - offsets[0]
    columns: dict[str, pa.Array] = {"content_hash": content_hashes(folded, begins, ends, valid, normalised)}
    mask = ~valid
    for at, name in enumerate(COUNTS):
        columns[name] = pa.array(np.ascontiguousarray(counts[:, at]), mask=mask)
    for at, name in enumerate(SHARES):
        columns[name] = pa.array(np.ascontiguousarray(shares[:, at]), mask=mask)
    return replace_columns(documents, columns)


def replace_columns(batch: pa.RecordBatch, columns: dict[str, Any]) -> pa.RecordBatch:
    """``batch`` with some of its columns exchanged; its schema, with the metadata of the fields, stays."""
    arrays = list(batch.columns)
    for name, array in columns.items():
        at = batch.schema.get_field_index(name)
        if at < 0:
            raise ValueError(f"the batch has no column {name!r}; it must have the schema DOCUMENTS")
        arrays[at] = array
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
