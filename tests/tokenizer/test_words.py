"""Frequency lists of words beside the training text."""

import gzip
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from algok.errors import InputError, RecipeError
from algok.pipeline.tokenizer_cli import tokenizer
from algok.tokenizer.prune import Lines
from algok.tokenizer.sample import Sample
from algok.tokenizer.train import TrainOptions, train
from algok.tokenizer.words import read_words, with_words, wordfreq_version
from tests.tokenizer.conftest import SYLLABLES

OPTIONS = TrainOptions(vocab_size=4000, digits="triples")


def new_words(documents: list[str]) -> dict[str, float]:
    """Words of four syllables that the documents do not have, the first the most frequent, as in Zipf's law."""
    rng, text = random.Random(5), "\n".join(documents)
    words = ["".join(rng.choices(SYLLABLES, k=4)) for _ in range(400)]
    return {word: 1.0 / (rank + 1) for rank, word in enumerate(w for w in words if w not in text)}


def pieces_of(path: Path) -> set[str]:
    return {line.split("\t")[0] for line in path.with_name("tokenizer.vocab").read_text("utf-8").splitlines()}


def test_words_that_no_document_has_become_pieces(documents: list[str], tmp_path: Path) -> None:
    words = new_words(documents)
    sample = [Sample(text, "ko" if i % 3 else "en") for i, text in enumerate(documents)]
    options = replace(OPTIONS, words_part=0.05)
    without = train(sample, tmp_path / "without", OPTIONS)
    assert not pieces_of(without.model) & set(words)
    found = train(sample, tmp_path / "with", options, words={"ko": words})
    assert found.manifest["words"] == {"ko": len(words)}
    assert found.pieces == without.pieces == 4000
    frequent, rare = list(words)[:50], list(words)[-50:]
    got = [sum(w in pieces_of(found.model) for w in part) for part in (frequent, rare)]
    assert got[0] >= 40
    assert got[1] < got[0]  # a word of a low frequency has to earn its place like any other
    random.Random(1).shuffle(sample)
    again = train(sample, tmp_path / "again", options, words={"ko": dict(reversed(words.items()))})
    assert again.sha256 == found.sha256


def test_a_list_weighs_its_part_of_the_text() -> None:
    lines = Lines(
        data=np.frombuffer("가나 다".encode(), np.uint8),
        offsets=np.array([0, 10]),
        owners=np.zeros(1, np.int32),
        weights=np.ones(1),
    )
    lists = {"ko": {"한국": 3.0, "말": 1.0}, "en": {"word": 5.0}}
    longer, texts = with_words(lines, lists, {"ko": 70.0, "en": 8.0}, hangul_bare=True)
    assert texts == [" word", "한국", "말"]
    assert longer.owners.tolist() == [0, 1, 2, 3]
    assert bytes(longer.data[longer.offsets[2] : longer.offsets[3]]).decode() == "한국"
    sizes = np.diff(longer.offsets)
    assert (longer.weights * sizes)[1:2].sum() == pytest.approx(8.0)
    assert (longer.weights * sizes)[2:].sum() == pytest.approx(70.0)
    assert longer.weights[2] == pytest.approx(3 * longer.weights[3])
    assert with_words(lines, lists, {"ko": 1.0, "en": 1.0}, hangul_bare=False)[1] == [" word", " 한국", " 말"]
    assert with_words(lines, {}, {}, hangul_bare=True) == (lines, [])
    odd = dict.fromkeys(["a\nb", "a b", "4x4", "\u2581a", "\0", "\ud800", "", "좋아"], 1.0)
    assert with_words(lines, {"ko": odd}, {"ko": 1.0}, hangul_bare=True)[1] == ["좋아"]


def test_files_of_words(tmp_path: Path) -> None:
    path = tmp_path / "words.tsv"
    path.write_text("정부\t3\r\n나라\t4e2\n정부\t.5\n2024년\t9\ntwo words\t9\n", "utf-8")
    assert read_words(str(path), "ko") == {"나라": 400.0, "정부": 3.5}
    packed = tmp_path / "words.tsv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_words(str(packed), "ko") == read_words(str(path), "ko")
    for bad in (
        "정부",
        "정부 3",
        "\t3",
        "정부\t0",
        "정부\t-1",
        "정부\tnan",
        "정부\t1.2.3",
        "정부\t1\t2",
        "정부\t1e999",
        "",
    ):
        path.write_text(f"나라\t1\n{bad}\n", "utf-8")
        with pytest.raises(InputError, match=r"words\.tsv, line 2: not a word, a tab and a frequency"):
            read_words(str(path), "ko")
    path.write_text("2024\t1\n")
    with pytest.raises(InputError, match="no word without digits"):
        read_words(str(path), "ko")
    path.write_bytes(b"\xff\t1\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_words(str(path), "ko")
    with pytest.raises(InputError, match=r"none\.tsv"):
        read_words(str(tmp_path / "none.tsv"), "ko")


def test_wordfreq_itself() -> None:
    pytest.importorskip("wordfreq", reason="wordfreq is optional")
    korean = read_words("wordfreq", "ko")
    assert 20_000 < len(korean) <= 80_000
    assert list(korean.values()) == sorted(korean.values(), reverse=True)
    assert "정부" in korean
    assert wordfreq_version().startswith("3.")
    with pytest.raises(InputError, match=r"no list of 'code' \(it has ar,"):
        read_words("wordfreq", "code")


def test_wordfreq_or_a_word_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wordfreq", None)
    with pytest.raises(InputError, match=r"algok\[words\]"):
        read_words("wordfreq", "ko")


def test_bad_lists_are_named(documents: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text of fr; the sample has ko"):
        train([Sample(documents[0], "ko")], tmp_path, OPTIONS, words={"fr": {"mot": 1.0}})
    with pytest.raises(InputError, match="of ko has a frequency that is not above 0"):
        train([Sample(documents[0], "ko")], tmp_path, OPTIONS, words={"ko": {"말": 0.0}})
    with pytest.raises(RecipeError, match="words_part"):
        TrainOptions(words_part=0.0)


def test_on_the_command_line(documents: list[str], tmp_path: Path) -> None:
    text, words = tmp_path / "ko.jsonl", tmp_path / "words.tsv"
    text.write_text("".join(json.dumps({"text": t}) + "\n" for t in documents), "utf-8")
    words.write_text("".join(f"{word}\t{f}\n" for word, f in new_words(documents).items()), "utf-8")
    arguments = ["train", f"ko={text}", "--vocab-size", "4000", "--quiet", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(tokenizer, [*arguments, "--words", f"ko={words}", "--words-part", "1"])
    assert result.exit_code == 0, result.output
    manifest = json.loads((tmp_path / "out/training.json").read_text("utf-8"))
    assert manifest["words"] == {"ko": len(new_words(documents))}
    assert manifest["options"]["words_part"] == 1.0
    result = CliRunner().invoke(tokenizer, [*arguments, "--words", f"ko={words}", "--words", f"ko={words}"])
    assert result.exit_code != 0
    assert "one list for a bucket" in result.output
    result = CliRunner().invoke(tokenizer, [*arguments, "--words", f"en={words}"])
    assert result.exit_code != 0
    assert "no text of en" in result.output
