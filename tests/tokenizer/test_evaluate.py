"""Evaluation beside tiktoken, from local rank files."""

import json
from pathlib import Path

import pytest

from algok.errors import InputError
from algok.tokenizer.codec import Codec
from algok.tokenizer.evaluate import evaluate
from algok.tokenizer.ranks import load_ranks


@pytest.fixture
def tiny_ranks(tmp_path: Path) -> Path:
    """Ranks of the 256 bytes and one merge."""
    import base64

    tokens = [bytes([b]) for b in range(256)] + [b"th"]
    path = tmp_path / "tiny.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % i for i, t in enumerate(tokens)))
    return path


def test_numbers_add_up(codec: Codec, tiny_ranks: Path, documents: list[str]) -> None:
    domains = {"ko": documents[:50], "en": ["the this", "that\n\nthe ▁"]}
    result = evaluate(codec, {"o200k_base": tiny_ranks}, domains)
    ko, en = result.domains["ko"], result.domains["en"]
    assert ko.tokens == sum(len(codec.encode(t)) for t in documents[:50])
    assert ko.chars == sum(map(len, documents[:50]))
    assert ko.fertility == ko.tokens / sum(len(t.split()) for t in documents[:50])
    assert ko.lossless
    assert en.lossless
    assert en.byte_share == 3 / en.tokens
    # Every "th" is one token for the tiny ranks, everything else a byte.
    theirs = en.against["o200k_base"]
    assert theirs.tokens == sum(len(t.encode()) - t.count("th") for t in domains["en"])
    assert theirs.reduction == 1 - en.tokens / theirs.tokens
    against = ko.against["o200k_base"]
    assert against.low <= against.reduction <= against.high
    assert 0 < result.renyi_efficiency < 1
    assert 0 < result.unused < len(codec)
    json.dumps(result.as_dict())


def test_parity_morphemes_and_examples(codec: Codec, tiny_ranks: Path, documents: list[str]) -> None:
    parallel = [{"ko": documents[0], "en": "the data"}, {"ko": documents[1], "en": "the"}, {"en": "alone"}]
    result = evaluate(
        codec, {"o200k_base": tiny_ranks}, {"ko": documents[:50], "en": ["the data " * 40]}, parallel=parallel,
        morphemes=lambda text: [(i, i + 1) for i in range(len(text))], shown=True,
    )  # fmt: skip
    parity = result.parity["en"]
    assert parity.documents == 2
    korean = sum(len(codec.encode(d)) for d in documents[:2])
    assert parity.ratio["algok"] == (len(codec.encode("the data")) + len(codec.encode("the"))) / korean
    # Every character a morpheme: each token border is right, and every token of two characters is mixed.
    assert result.morphemes["algok"].precision == 1.0
    assert 0 < result.morphemes["algok"].recall < 1
    # The tiny ranks cut Korean into bytes: every border between characters is found, but that inside an English "th".
    assert 0.99 < result.morphemes["o200k_base"].recall < 1
    assert {e.domain for e in result.examples} == {"ko", "en"}
    assert set(result.examples[0].pieces) == {"algok", "o200k_base"}
    assert result.partial_pieces == 128
    assert result.unused + result.rare < len(codec)
    json.dumps(result.as_dict())


def test_errors(codec: Codec, tmp_path: Path, tiny_ranks: Path) -> None:
    with pytest.raises(InputError, match="'x'"):
        evaluate(codec, {}, {"x": ["", ""]})
    with pytest.raises(InputError, match="gpt9"):
        load_ranks("gpt9", tiny_ranks)
    with pytest.raises(InputError, match="cannot be read"):
        load_ranks("o200k_base", tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"what is this")
    with pytest.raises(InputError, match="bad"):
        load_ranks("o200k_base", tmp_path / "bad")


@pytest.mark.shared
def test_real_ranks_encode_known_text(shared_data: Path) -> None:
    """Counts known from OpenAI's tokenizer page and tiktoken's own tests."""
    models = shared_data / "models"
    o200k = load_ranks("o200k_base", models / "o200k_base.tiktoken")
    cl100k = load_ranks("cl100k_base", models / "cl100k_base.tiktoken")
    assert cl100k.encode_ordinary("hello world") == [15339, 1917]
    assert o200k.encode_ordinary("hello world") == [24912, 2375]
    assert o200k.n_vocab > 199_900
