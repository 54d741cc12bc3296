"""Joined neighbours against a count in plain Python, and what they may become."""

import math
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from algok.tokenizer.codec import Codec
from algok.tokenizer.joins import joins
from algok.tokenizer.prune import Lines
from algok.tokenizer.search import counting_trie
from algok.tokenizer.train import TrainOptions, train

PIECES = [b"a", b"b", b"c", b" ", b"ab", b"bc", "가".encode(), "가나".encode(), "나".encode()]


def lines_of(documents: list[list[str]], weights: list[float] | None = None) -> Lines:
    parts = [line.encode() for document in documents for line in document]
    owners = [number for number, document in enumerate(documents) for _ in document]
    return Lines(
        data=np.frombuffer(b"".join(parts), np.uint8),
        offsets=np.cumsum([0, *map(len, parts)]).astype(np.int64),
        owners=np.array(owners, np.int32),
        weights=np.array(weights or [1.0] * len(documents)),
    )


def fewest(text: bytes) -> list[bytes]:
    """The cut into fewest pieces that ``reach`` takes: of equal ones, the one whose last piece starts first."""
    best: list[list[bytes] | None] = [[]] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(end):
            head, piece = best[start], text[start:end]
            if head is not None and piece in PIECES and (best[end] is None or len(head) + 1 < len(best[end] or [])):
                best[end] = [*head, piece]
    found = best[-1]
    assert found is not None
    return found


def test_equal_to_a_plain_count_whatever_the_chunks() -> None:
    rng = random.Random(2)
    documents = [
        ["".join(rng.choices("abc 가나", k=rng.randint(1, 30))) for _ in range(rng.randint(1, 4))] for _ in range(60)
    ]
    counts: Counter[tuple[int, int]] = Counter()
    weights = [rng.choice([0.5, 1.0, 2.0]) for _ in documents]
    for document, weight in zip(documents, weights, strict=True):
        here: Counter[tuple[int, int]] = Counter()
        for line in document:
            cut = [PIECES.index(piece) for piece in fewest(line.encode())]
            here.update(pairwise(cut))
        for pair, number in here.items():
            counts[pair] += weight * math.sqrt(number)  # type: ignore[assignment]
    wanted: dict[bytes, float] = {}
    for (first, second), number in sorted(counts.items(), key=lambda item: (-round(item[1], 9), item[0])):
        piece = PIECES[first] + PIECES[second]
        if piece not in PIECES and b"  " not in piece:
            wanted.setdefault(piece, number)
    lines = lines_of(documents, weights)
    trie = counting_trie(PIECES)
    for chunk in (1, 200, 10**9):
        got = joins(PIECES, trie, lines, 1000, lambda piece: b"  " not in piece, chunk)
        assert set(got) == set(wanted)
        assert all(wanted[a] >= wanted[b] - 1e-9 for a, b in pairwise(got))
        assert got[:5] == joins(PIECES, trie, lines, 5, lambda piece: b"  " not in piece, chunk)


def test_no_pairs() -> None:
    assert joins(PIECES, counting_trie(PIECES), lines_of([["a"], ["b"], ["\x01x"]]), 10, lambda piece: True) == []


def test_training_with_joins_needs_fewer_tokens(documents: list[str], tmp_path: Path) -> None:
    sizes = []
    for joined in (False, True):
        options = TrainOptions(vocab_size=2000, joins=joined)
        codec = Codec.load(train(documents, tmp_path / str(joined), options).model)
        sizes.append(sum(len(codec.encode(text)) for text in documents))
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("digits", ["joined", "triples", "single"])
@pytest.mark.parametrize("superwords", [True, False])
def test_joins_keep_the_rules_of_pieces(documents: list[str], tmp_path: Path, digits: str, superwords: bool) -> None:
    options = TrainOptions(vocab_size=2000, digits=digits, superwords=superwords, max_piece_chars=9)
    codec = Codec.load(train(documents[:500], tmp_path, options).model)
    texts = [s.decode() for s in codec.vocabulary.surfaces[600:]]
    assert len(texts) > 1000
    for text in texts:
        assert len(text) <= 9
        assert not re.search(r"\d{4}", text)
        assert digits == "joined" or text.isdigit() or not re.search(r"\d", text)
        assert superwords or not text.strip(" ") or " " not in text[1:]
