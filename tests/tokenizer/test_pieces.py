"""Excerpts side by side, and borders against morphemes."""

import pytest

from algok.errors import InputError
from algok.tokenizer import pieces
from algok.tokenizer.codec import Codec
from algok.tokenizer.pieces import agreement, cut_of, examples, kiwi_boundaries


def test_agreement_counts_borders_inside_words() -> None:
    text = "학교에서 먹었다"
    morphemes = {text: [(0, 2), (2, 4), (5, 6), (6, 7), (7, 8)]}
    whole = ["학교에", "서 ", "먹었", "다"]
    got = agreement([text], lambda t: [p.encode() for p in whole], lambda t: morphemes[t])
    # Token borders inside words: 3 (wrong), 7 (right); morpheme borders inside words: 2, 6, 7.
    assert (got.token_borders, got.morpheme_borders) == (2, 3)
    assert got.precision == 1 / 2
    assert got.recall == 1 / 3
    # "학교에" crosses 2, "먹었" crosses 6; "서 " and "다" hold one morpheme.
    assert got.mixed == 2 / 4
    assert got.characters == len(text)


def test_cuts_inside_a_character_are_no_borders() -> None:
    raw = "뷁어".encode()
    got = agreement(["뷁어"], lambda t: [raw[:1], raw[1:3], raw[3:]], lambda t: [(0, 1), (1, 2)])
    assert (got.token_borders, got.precision, got.recall) == (1, 1.0, 1.0)


def test_cuts_and_examples_add_up(codec: Codec, documents: list[str]) -> None:
    cut = cut_of(codec)
    for text in [*documents[:20], "뷁 \ud800 ▁"]:
        assert b"".join(cut(text)) == text.encode("utf-8", "surrogatepass")
    long = [d for d in documents if len(d) >= 40]
    shown = examples("ko", documents, {"algok": cut}, count=3, chars=40)
    assert [e.text for e in shown] == [d[:40] for d in long[:3]]
    assert ["".join(e.pieces["algok"]) for e in shown] == [e.text for e in shown]
    assert examples("ko", ["뷁" * 5], {"algok": cut}, count=1, chars=1)[0].pieces["algok"] == [
        "\\xeb",
        "\\xb7",
        "\\x81",
    ]


def test_kiwi_or_a_word_about_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(pieces.importlib, "import_module", missing)
    with pytest.raises(InputError, match="kiwipiepy"):
        kiwi_boundaries()


def test_kiwi_itself() -> None:
    pytest.importorskip("kiwipiepy", reason="kiwipiepy is optional")
    assert {s for s, _ in kiwi_boundaries()("학교에서 공부한다")} >= {0, 2, 5}
