"""Training: determinism, limits, errors, what the options do."""

import json
import random
import re
from pathlib import Path

import pytest

from algok.errors import InputError, RecipeError, StageError
from algok.tokenizer.codec import Codec
from algok.tokenizer.sample import Sample, spool
from algok.tokenizer.train import TrainedTokenizer, TrainOptions, propose, train, write_lines


def test_outputs_and_manifest(trained: TrainedTokenizer, documents: list[str]) -> None:
    folder = trained.model.parent
    assert sorted(p.name for p in folder.iterdir()) == ["tokenizer.model", "tokenizer.vocab", "training.json"]
    manifest = json.loads((folder / "training.json").read_text("utf-8"))
    assert manifest["model_sha256"] == trained.sha256
    assert manifest["pieces"] == trained.pieces == 4000
    assert sum(manifest["sample"]["documents"].values()) == len(documents)
    assert sum(manifest["sample"]["bytes"].values()) == sum(len(d.encode()) for d in documents)
    assert set(manifest["sample"]["bytes"]) == {"ko", "en"}
    assert len((folder / "tokenizer.vocab").read_text("utf-8").rstrip("\n").split("\n")) == 4000


def test_same_model_for_any_order_and_threads(trained: TrainedTokenizer, documents: list[str], tmp_path: Path) -> None:
    shuffled = documents[:]
    random.Random(3).shuffle(shuffled)
    again = train(shuffled, tmp_path, TrainOptions(vocab_size=4000, digits="triples", threads=2))
    assert again.sha256 == trained.sha256


def test_weights_of_documents_count_in_any_order(documents: list[str], tmp_path: Path) -> None:
    options = TrainOptions(vocab_size=2000)
    few = [Sample(text, "ko", 1.0 if i % 2 else 2.0) for i, text in enumerate(documents[:400])]
    shuffled = few[:]
    random.Random(3).shuffle(shuffled)
    model = train(few, tmp_path / "a", options).sha256
    assert train(shuffled, tmp_path / "b", options).sha256 == model
    assert train([Sample(s.text, "ko") for s in few], tmp_path / "c", options).sha256 != model


def test_progress_is_told(documents: list[str], tmp_path: Path) -> None:
    seen: list[tuple[str, float]] = []
    train(documents[:200], tmp_path, TrainOptions(vocab_size=2000), lambda step, share: seen.append((step, share)))
    steps = [step for i, (step, _) in enumerate(seen) if i == 0 or seen[i - 1][0] != step]
    assert steps == ["sample", "candidates", "prune", "write"]
    assert all(0 <= share <= 1 for _, share in seen)


def test_without_superwords_no_piece_crosses_a_space(documents: list[str], tmp_path: Path) -> None:
    codec = Codec.load(train(documents, tmp_path, TrainOptions(vocab_size=3000, superwords=False)).model)
    for surface in codec.vocabulary.surfaces:
        text = surface.decode("utf-8", "replace")
        assert " " not in text.strip(" ")
        assert not text.rstrip(" ") or text == text.rstrip(" ")


@pytest.mark.parametrize("digits", ["joined", "single", "free"])
def test_digit_rules(documents: list[str], tmp_path: Path, digits: str) -> None:
    codec = Codec.load(train(documents[:600], tmp_path, TrainOptions(vocab_size=2000, digits=digits)).model)
    assert codec.decode(codec.encode("번호 123456")) == "번호 123456"
    if digits == "joined":
        assert not any(re.search(rb"[0-9]{4}", surface) for surface in codec.vocabulary.surfaces)
        assert any(re.search(rb"[0-9][^0-9]|[^0-9][0-9]", surface) for surface in codec.vocabulary.surfaces)
    if digits == "single":
        assert [codec.decode([i]) for i in codec.encode("2024")] == ["2", "0", "2", "4"]


def test_small_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        train([], tmp_path)
    with pytest.raises(InputError, match="line breaks"):
        train(["\n\n"], tmp_path)
    few = ["한국어 글 하나", "또 다른 글"]
    with pytest.raises(StageError, match="allow_smaller"):
        train(few, tmp_path, TrainOptions(vocab_size=8000))
    small = train(few, tmp_path, TrainOptions(vocab_size=8000, allow_smaller=True))
    assert small.pieces < 8000
    codec = Codec.load(small.model)
    assert codec.decode(codec.encode(few[0] + "뷁")) == few[0] + "뷁"
    with pytest.raises(StageError, match="too small"):
        train(["".join(map(chr, range(0xAC00, 0xAC00 + 4000)))] * 3, tmp_path, TrainOptions(vocab_size=2000))


def test_traps_in_the_sample(tmp_path: Path) -> None:
    """NUL, the escape symbol, the trainer's stand-in for tabs, long lines: none may stop or spoil the training."""
    traps = ["a\0b\0", "▁▁▁", "\U000f0009", "가" * 50_000, "\t\t\t" * 100, " " * 30_000, "\ufffe\uffff", "\ud800x"]
    sample = [*traps, *["한국어 글 말 물 불 " * 20] * 5]
    codec = Codec.load(train(sample, tmp_path, TrainOptions(vocab_size=2000, allow_smaller=True)).model)
    for text in traps[:-1]:
        assert codec.decode(codec.encode(text)) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vocab_size", 100), ("prune_from", 10), ("digits", "pairs"), ("character_coverage", 2.0), ("threads", 0),
        ("max_piece_chars", 0), ("special_tokens", ("<s>",)), ("special_tokens", ("a b",)), ("max_line_bytes", 70_000),
        ("spaces", "last"),
    ],
)  # fmt: skip
def test_bad_options_are_named(name: str, value: object) -> None:
    with pytest.raises(RecipeError, match=name):
        TrainOptions(**{name: value})  # type: ignore[arg-type]


def test_the_sample_is_bounded_and_independent_of_order(tmp_path: Path) -> None:
    rng = random.Random(1)
    documents = [Sample(f"글 {i} " + "가" * rng.randint(1, 100), f"b{i % 2}") for i in range(2000)]
    kept = spool(documents, tmp_path / "a", max_bytes=50_000, seed=5)
    other = spool(reversed(documents), tmp_path / "b", max_bytes=50_000, seed=5)
    texts = list(kept.texts())
    assert texts == list(other.texts())
    assert 49_000 < sum(map(len, texts)) <= 50_000
    assert kept.read == 2000
    assert sum(kept.text_bytes.values()) == sum(map(len, texts))
    assert abs(kept.documents["b0"] - kept.documents["b1"]) < 0.25 * len(texts)
    assert list(spool(documents, tmp_path / "c", max_bytes=50_000, seed=6).texts()) != texts


@pytest.mark.parametrize(
    ("spaces", "superwords", "last"), [("script", True, True), ("first", True, False), ("script", False, False)]
)
def test_spaces_go_with_the_end_of_korean_words(
    documents: list[str], tmp_path: Path, spaces: str, superwords: bool, last: bool
) -> None:
    """Whether the trainer proposes pieces of Hangul that end with a space; others begin with it in any case."""
    lines = [line for document in documents for line in document.split("\n")]
    spooled = spool(lines, tmp_path / "sample", max_bytes=10**9, seed=0)
    options = TrainOptions(vocab_size=3000, spaces=spaces, superwords=superwords)
    write_lines(spooled, tmp_path, options.max_line_bytes)
    pieces = propose(tmp_path, options, lambda step, share: None)
    hangul = [piece for piece in pieces if re.search("[가-힣]", piece)]
    others = [piece for piece in pieces if re.fullmatch("▁?[a-z]+▁?", piece)]
    assert any(piece.endswith("▁") for piece in hangul) == last
    assert any(piece.startswith("▁") for piece in hangul) != last
    assert any(piece.startswith("▁") for piece in others)
    assert not any(piece.endswith("▁") for piece in others) or last


def test_lines_are_parted_by_hangul(tmp_path: Path) -> None:
    """By the first byte: first and last syllable, their neighbours, characters with the same bytes behind."""
    hangul = ["가", "a 힣", "日本 한 語"]
    other = ["plain", "ꯟ", "ힰ", "日本語", "\ufeff", "é", "😀"]
    spooled = spool([*hangul, *other], tmp_path / "sample", max_bytes=10**6, seed=0)
    lines = write_lines(spooled, tmp_path, 64)
    assert sorted((tmp_path / "lines-hangul").read_text("utf-8").splitlines()) == sorted(hangul)
    assert sorted((tmp_path / "lines-other").read_text("utf-8").splitlines()) == sorted(other)
    assert len(lines.offsets) == len(hangul) + len(other) + 1
