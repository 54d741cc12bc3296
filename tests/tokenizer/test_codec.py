"""Round trips, agreement with SentencePiece, control pieces, digits, line breaks."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.errors import CorruptionError, InputError
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import SPACE, Vocabulary
from algok.tokenizer.train import TrainedTokenizer

TRAPS = {
    "empty": "",
    "one space": " ",
    "leading and trailing spaces": "   한국어  글   ",
    "tabs": "\ta\t\tb\t",
    "line breaks": "\n\n가\r\n나\r다\n\n\n\n\n\n",
    "NUL": "a\0b\0\0",
    "escape symbol in the text": "▁한국▁▁ ▁ 어▁",
    "NFD jamo": "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "half-width jamo": "\uffa1\uffc2ﾡ",
    "compatibility jamo": "ㅋㅋㅋㅠㅠ",
    "emoji": "👩‍👩‍👧‍👦 🇰🇷 👍🏽 ❤️",
    "lone combining marks": "\u0301\u0308 a\u0301",
    "byte-order mark": "\ufeff가",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "odd spaces": "a\u00a0b\u3000c\u2003d\u200be",
    "control pieces": "</s><s><unk><pad><|user|><|fim_prefix|><0x41><0x0A>",
    "noncharacters": "\ufffe\uffff\U0010ffff\ufdd0",
    "replacement character": "\ufffd\ufffd",
    "private use, also the trainer's tab": "\ue000\U000f0009\t",
    "right to left": "שלום \u202eabc\u202c",
    "rare Hangul and Han": "뷁쀍 𠀀𪛖 龘",
    "digits": "1234567 2024 007 1,234.5 １２３",
    "long run": "ㅋ" * 5000 + " " * 5000 + "\n" * 5000,
}


@pytest.fixture(scope="module")
def processor(trained: TrainedTokenizer) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(trained.model))


@pytest.mark.parametrize("text", TRAPS.values(), ids=TRAPS.keys())
def test_traps_come_back(codec: Codec, processor: sentencepiece.SentencePieceProcessor, text: str) -> None:
    ids = codec.encode(text)
    assert codec.decode(ids) == text
    # SentencePiece's own decoder is lossless on our ids, the escape symbol included.
    assert processor.decode(ids) == text
    if SPACE not in text:
        assert processor.encode(text) == ids


@given(st.text())
@settings(max_examples=400, deadline=None)
def test_every_string_comes_back(codec: Codec, text: str) -> None:
    assert codec.decode(codec.encode(text)) == text


@given(st.text(st.characters(codec=None, categories=None)))
@settings(max_examples=200, deadline=None)
def test_lone_surrogates_come_back(codec: Codec, text: str) -> None:
    assert codec.decode(codec.encode(text)) == text


@given(st.binary())
@settings(max_examples=400, deadline=None)
def test_every_byte_string_comes_back(codec: Codec, data: bytes) -> None:
    assert codec.decode_bytes(codec.encode_bytes(data)) == data


@given(st.text("가나다 \n\r\t0123abc_▁.,", max_size=200))
@settings(max_examples=400, deadline=None)
def test_ids_equal_those_of_sentencepiece(codec: Codec, trained: TrainedTokenizer, text: str) -> None:
    text = text.replace(SPACE, "")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(trained.model))
    assert codec.encode(text) == processor.encode(text)


@given(st.lists(st.one_of(st.none(), st.text(max_size=60)), max_size=12), st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_batch_is_its_rows(codec: Codec, texts: list[str | None], eos: bool) -> None:
    expected = [None if t is None else codec.encode(t, eos=eos) for t in texts]
    assert codec.encode_batch(pa.array(texts, pa.large_string()), eos=eos).to_pylist() == expected
    sliced = pa.array(["x", *texts], pa.string()).slice(1)
    assert codec.encode_batch(sliced, eos=eos).to_pylist() == expected
    assert codec.decode_batch(codec.encode_batch(sliced)).cast(pa.large_string()).to_pylist() == texts


def test_batch_type_and_empty_batches(codec: Codec) -> None:
    out = codec.encode_batch(pa.array([], pa.large_string()))
    assert out.type == pa.large_list(pa.uint32())
    assert len(out) == 0
    assert codec.encode_batch(pa.chunked_array([["가"], [None]], pa.string())).to_pylist() == [codec.encode("가"), None]
    with pytest.raises(TypeError, match="int64"):
        codec.encode_batch(pa.array([1]))


def test_control_pieces_never_come_from_text(codec: Codec) -> None:
    text = "".join(codec.special) * 3
    assert not set(codec.special.values()) & set(codec.encode(text))
    assert codec.decode([codec.bos, *codec.encode("가"), codec.eos, codec.pad]) == "가"


@pytest.mark.parametrize(
    ("text", "groups"),
    [("1", ["1"]), ("12", ["12"]), ("1234", ["1", "234"]), ("20241231", ["20", "241", "231"]), ("000", ["000"])],
)
def test_numbers_are_cut_into_threes_from_the_right(codec: Codec, text: str, groups: list[str]) -> None:
    for before, after in (("", ""), ("제", "호"), ("a ", "."), ("v", "x")):
        ids = codec.encode(before + text + after)
        pieces = [codec.decode([i]) for i in ids]
        digits = [p for p in pieces if any(c.isdigit() for c in p)]
        assert digits == groups


def test_no_piece_joins_a_line_break_with_text(codec: Codec) -> None:
    for surface in codec.vocabulary.surfaces:
        if b"\n" in surface or b"\r" in surface:
            assert not surface.strip(b"\r\n")


def test_frequent_white_space_is_one_piece(codec: Codec) -> None:
    for run in ("\n", "\n\n", "    ", "\r\n"):
        assert len(codec.encode(run)) == 1


def test_decode_rejects_foreign_ids(codec: Codec) -> None:
    with pytest.raises(InputError, match=str(len(codec) - 1)):
        codec.decode([len(codec)])
    with pytest.raises(InputError):
        codec.decode(np.array([-1]))


def test_half_a_character_decodes_to_a_replacement(codec: Codec) -> None:
    ids = codec.encode_bytes("뷁".encode()[:2])
    assert codec.decode_bytes(ids) == "뷁".encode()[:2]
    assert codec.decode(ids) == "\ufffd"


def test_pickles(codec: Codec) -> None:
    again = pickle.loads(pickle.dumps(codec))
    assert again.sha256 == codec.sha256
    assert again.encode("한국어 글") == codec.encode("한국어 글")


def test_model_file_round_trip(trained: TrainedTokenizer, codec: Codec) -> None:
    data = trained.model.read_bytes()
    assert codec.vocabulary.to_bytes() == data
    assert Vocabulary.from_bytes(data).pieces == codec.vocabulary.pieces
    assert codec.sha256 == trained.sha256


def test_foreign_and_damaged_models_are_refused(trained: TrainedTokenizer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Codec.load(tmp_path / "none.model")
    data = trained.model.read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"\x00" * 100, b"not a model at all"):
        with pytest.raises((CorruptionError, InputError)):
            Vocabulary.from_bytes(damaged)
    # A model with SentencePiece's defaults (dummy prefix, white space removed) is not lossless.
    lines = tmp_path / "lines"
    lines.write_text("가나다라 마바사\n" * 50, "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(lines), model_prefix=str(tmp_path / "m"), vocab_size=270, byte_fallback=True, hard_vocab_limit=False,
        minloglevel=2,
    )  # fmt: skip
    with pytest.raises(InputError, match="changes text"):
        Codec.load(tmp_path / "m.model")


@pytest.mark.shared
@pytest.mark.slow
def test_real_files_come_back_and_equal_sentencepiece(
    codec: Codec, processor: sentencepiece.SentencePieceProcessor, shared_data: Path
) -> None:
    files = sorted(shared_data.glob("ko_*/*.jsonl.gz")) + sorted(shared_data.glob("parallel_docs/*.jsonl.gz"))
    assert files
    for path in files:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            texts = [text for row in map(json.loads, file) if isinstance(text := row.get("text"), str)][:300]
        encoded = codec.encode_batch(pa.array(texts, pa.large_string()))
        for text, ids in zip(texts, encoded.to_pylist(), strict=True):
            assert codec.decode(ids) == text
            assert SPACE in text or processor.encode(text) == ids
