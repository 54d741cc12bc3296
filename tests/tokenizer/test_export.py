"""The Hugging Face form: the same ids, and text that comes back."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.tokenizer.codec import Codec
from algok.tokenizer.export import hf_tokenizer, write_hf
from algok.tokenizer.model import BYTE, NORMAL
from algok.tokenizer.train import TrainedTokenizer, TrainOptions, train

from .test_codec import TRAPS


def load(codec: Codec) -> Any:
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is an optional peer")
    loaded = tokenizers.Tokenizer.from_str(json.dumps(hf_tokenizer(codec.vocabulary)))
    loaded.encode_special_tokens = True
    return loaded


@pytest.fixture(scope="module", params=["triples", "joined"])
def pair(
    request: pytest.FixtureRequest, documents: list[str], codec: Codec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Codec, Any]:
    """A codec of either digit rule and its export as tokenizers loads it."""
    if request.param == "joined":
        folder = tmp_path_factory.mktemp("joined")
        codec = Codec.load(train(documents[:800], folder, TrainOptions(vocab_size=3000, digits="joined")).model)
    return codec, load(codec)


@pytest.mark.parametrize("text", TRAPS.values(), ids=TRAPS.keys())
def test_traps_have_the_same_ids(pair: tuple[Codec, Any], text: str) -> None:
    codec, hf = pair
    ids = codec.encode(text)
    assert hf.encode(text, add_special_tokens=False).ids == ids
    assert hf.decode(ids, skip_special_tokens=False) == text


@given(st.one_of(st.text(), st.text("가나다한국어 \n\r\t0123abc_▁.,<>/sx0A|", max_size=200)))
@settings(max_examples=300, deadline=None)
def test_every_string_has_the_same_ids(pair: tuple[Codec, Any], text: str) -> None:
    codec, hf = pair
    ids = codec.encode(text)
    assert hf.encode(text, add_special_tokens=False).ids == ids
    assert hf.decode(ids, skip_special_tokens=False) == text


def test_documents_have_the_same_ids(pair: tuple[Codec, Any], documents: list[str]) -> None:
    codec, hf = pair
    for text in documents[:300]:
        assert hf.encode(text, add_special_tokens=False).ids == codec.encode(text)


def test_control_pieces_are_special_there(codec: Codec) -> None:
    hf = load(codec)
    assert {token: hf.token_to_id(token) for token in codec.special} == codec.special
    assert hf.decode([codec.bos, *codec.encode("가"), codec.eos], skip_special_tokens=True) == "가"
    # The usual behaviour of that library, which the page on the tokenizer warns of.
    hf.encode_special_tokens = False
    assert hf.encode("</s>", add_special_tokens=False).ids == [codec.eos]


def test_the_files(trained: TrainedTokenizer, codec: Codec, tmp_path: Path) -> None:
    paths = write_hf(codec.vocabulary, tmp_path)
    assert [p.name for p in paths] == ["tokenizer.json", "tokenizer_config.json"]
    content = json.loads(paths[0].read_text("utf-8"))
    model = content["model"]
    assert len(model["vocab"]) == trained.pieces
    assert [p.replace(" ", "\u2581") for p, _ in model["vocab"]] == list(codec.vocabulary.pieces)
    normal = codec.vocabulary.types == NORMAL
    lowest = min(score for (_, score), is_text in zip(model["vocab"], normal, strict=True) if is_text)
    barred = [score for (_, score), kind in zip(model["vocab"], codec.vocabulary.types, strict=True) if kind == BYTE]
    assert max(barred) < 6 * lowest
    config = json.loads(paths[1].read_text("utf-8"))
    assert (config["bos_token"], config["eos_token"], config["pad_token"]) == ("<s>", "</s>", "<pad>")
    assert [p.read_bytes() for p in write_hf(codec.vocabulary, tmp_path / "again")] == [p.read_bytes() for p in paths]
