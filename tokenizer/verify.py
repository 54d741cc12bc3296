"""Checking a shard from its own rows: spans, padding, ids, parts; and counting its tokens by bucket."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from algok.tokenizer.lookup import open_shard
from algok.tokenizer.shards import ShardInfo

__all__ = ["ShardCheck", "check_shard"]


@dataclass(kw_only=True)
class ShardCheck:
    """What a shard holds, and what is wrong with it (empty if nothing). Counts are in tokens without padding."""

    name: str
    sequences: int = 0
    tokens: int = 0
    spans: int = 0
    tokens_by_bucket: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def check_shard(path: Path) -> ShardCheck:
    """Read all of a shard and check every row.

    Raises InputError and CorruptionError like ``open_shard``.
    """
    shard = open_shard(path)
    found = ShardCheck(name=path.name, sequences=shard.sequences)
    first = 0
    for batch in shard.batches():
        _check(batch, shard.info, first, found)
        first += batch.num_rows
    found.tokens_by_bucket = dict(sorted(found.tokens_by_bucket.items()))
    return found


def _check(batch: pa.RecordBatch, info: ShardInfo, first: int, found: ShardCheck) -> None:
    rows, width = batch.num_rows, info.sequence_length
    column = batch.column("tokens")
    tokens = column.values.to_numpy()[column.offset * width : (column.offset + rows) * width].reshape(rows, width)
    length = batch.column("length").to_numpy()
    lists = {name: batch.column(name) for name in batch.schema.names if name.startswith("doc_")}
    offsets = lists["doc_start"].offsets.to_numpy().astype(np.int64)
    offsets = offsets - offsets[0]
    flat = {n: lists[n].flatten().to_numpy() for n in ("doc_start", "doc_length", "doc_part", "doc_parts")}
    owner = np.repeat(np.arange(rows), np.diff(offsets))

    def say(wrong: np.ndarray[tuple[int], np.dtype[np.bool_]], what: str) -> None:
        if wrong.any():
            found.problems.append(f"sequence {first + int(np.flatnonzero(wrong)[0])}: {what}")

    def by_row(wrong: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        marked = np.zeros(rows, bool)
        marked[owner[wrong]] = True
        return marked

    say((tokens >= info.vocab_size).any(axis=1), f"a token id outside the vocabulary of {info.vocab_size}")
    say((length < 1) | (length > width), "its length is out of range")
    behind = np.arange(width)[None, :] >= length[:, None]
    say(((tokens != info.pad_id) & behind).any(axis=1), "something else than padding behind its end")
    before = len(found.problems)
    for name, values in lists.items():
        say(np.diff(values.offsets.to_numpy()) != np.diff(offsets), f"{name} has another number of entries")
    if len(found.problems) > before:
        return  # the rest compares entry by entry
    ends = np.cumsum(flat["doc_length"]) - flat["doc_length"]
    expected = ends - np.repeat(ends[offsets[:-1]], np.diff(offsets)) if len(ends) else ends
    say(by_row(flat["doc_start"] != expected), "its spans do not follow each other from 0 on")
    say(by_row(flat["doc_length"] < 1), "an empty span")
    say(by_row((flat["doc_part"] < 0) | (flat["doc_part"] >= flat["doc_parts"])), "a part outside its document")
    last = flat["doc_part"] == flat["doc_parts"] - 1
    at = np.minimum(flat["doc_start"] + flat["doc_length"] - 1, width - 1)
    ending = tokens[owner, np.maximum(at, 0)] == info.eos_id
    say(by_row(ending != last), "a document does not end with the end-of-document id, or a cut part does")
    sums = np.zeros(rows, np.int64)
    np.add.at(sums, owner, flat["doc_length"])
    say(sums != length, "its spans do not add up to its length")
    buckets = lists["doc_bucket"].flatten().dictionary_encode()
    counts = np.bincount(buckets.indices.to_numpy(), weights=flat["doc_length"], minlength=len(buckets.dictionary))
    for label, count in zip(buckets.dictionary.to_pylist(), counts.tolist(), strict=True):
        found.tokens_by_bucket[label] = found.tokens_by_bucket.get(label, 0) + int(count)
    found.tokens += int(length.sum())
    found.spans += len(owner)
