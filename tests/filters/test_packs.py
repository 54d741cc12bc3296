"""Language packs: what is shipped is sound, and mistakes in a user's pack are named."""

import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from algok.errors import RecipeError
from algok.filters.packs import Packs, builtin_packs, fold, load_packs, parse_pack
from algok.filters.signals import measure
from tests.filters.batches import documents


def test_shipped_packs_cover_the_languages_of_the_mixture() -> None:
    packs = builtin_packs()
    assert [packs[code].name for code in ("ko", "en", "ja", "zh", "yue", "th", "fr", "und")] == (
        ["ko", "en", "ja", "zh", "zh", "unspaced", "default", "default"]
    )
    assert packs.packs[packs.index(None)].name == "default"


@pytest.mark.parametrize("pack", builtin_packs().packs, ids=lambda pack: pack.name)
def test_terms_are_in_nfc_and_different(pack: object) -> None:
    for key in ("stop_words", "stop_endings", "stop_parts", "spam_terms"):
        terms = getattr(pack, key)
        assert len({fold(term) for term in terms}) == len(terms), key
        assert all(unicodedata.is_normalized("NFC", term) for term in terms), key


@pytest.mark.parametrize(
    ("language", "text", "stops", "spam"),
    [
        ("ko", "학교는 멀다.", 2, 0),
        ("ko", "는다", 1, 0),
        ("ko", "는가나", 0, 0),
        ("ko", "3월에 했다", 4, 0),
        ("ko", "카지노 산업을 다룬 기사", 1, 0),
        ("ko", "카지노사이트 온라인　카지노 온라인카지노사이트", 1, 3),
        ("en", "The cat AND the dog", 2, 0),
        ("en", "bathed", 0, 0),
        ("en", "Online casino, online casinos and ｏｎｌｉｎｅ　ｃａｓｉｎｏ", 1, 2),
        ("ja", "これはペンです", 3, 0),
        ("zh", "我是中国人的朋友", 4, 0),
        ("zh", "真人荷官发牌", 1, 1),
    ],
)
def test_stop_words_and_spam_terms(language: str, text: str, stops: int, spam: int) -> None:
    row = measure(documents([text], language=[language]), builtin_packs()).to_pylist()[0]
    assert (row["stop_words"], row["spam_terms"]) == (stops, spam)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('name = "x"\nterminal = "."\nlanguages = ["xx"]\nwords = "morphemes"', "words is 'morphemes'"),
        ('name = "x"\nterminal = "."', "languages is empty"),
        ('name = "x"\nterminal = "."\nlanguages = ["xx"]\nstop_words = [""]', "stop_words holds an empty entry"),
        ('name = "x"\nterminal = "."\nlanguages = ["xx"]\nspam_terms = ["😀"]', "outside the Unicode BMP"),
        ('name = "x"\nterminal = "."\nlanguages = ["xx"]\nstopwords = []', "stopwords"),
        ('name = "x"\nlanguages = ["xx"]', "terminal"),
        ("name", "my.toml"),
    ],
)
def test_mistakes_in_a_pack_are_named(toml: str, message: str) -> None:
    with pytest.raises(RecipeError, match=r"my\.toml|pack x") as caught:
        parse_pack(toml, "my.toml")
    assert message in str(caught.value)


def test_a_folder_adds_and_replaces_packs(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no \*.toml"):
        load_packs(tmp_path)
    (tmp_path / "de.toml").write_text('name = "de"\nlanguages = ["de"]\nterminal = "."\nstop_words = ["und"]\n')
    (tmp_path / "ko.toml").write_text('name = "ko"\nlanguages = ["ko"]\nterminal = "."\n')
    packs = load_packs(tmp_path)
    assert packs["de"].stop_words == ("und",)
    assert packs["ko"].spam_terms == ()
    assert packs["ja"].words == "characters"


def test_two_packs_for_one_language_and_a_missing_default_are_refused() -> None:
    packs = builtin_packs().packs
    extra = parse_pack('name = "kr"\nlanguages = ["ko"]\nterminal = "."', "kr")
    with pytest.raises(RecipeError, match="both name the language 'ko'"):
        Packs((*packs, extra))
    with pytest.raises(RecipeError, match="default"):
        Packs((extra,))


def test_packs_travel_to_workers_as_text() -> None:
    packs = builtin_packs()
    before = packs["ko"].compiled
    payload = pickle.dumps(packs)
    assert len(payload) < 50_000
    after = pickle.loads(payload)["ko"].compiled
    assert np.array_equal(before.term_cps, after.term_cps)
    assert np.array_equal(before.marks, after.marks)


def test_matching_a_pack_without_terms() -> None:
    packs = Packs((parse_pack('name = "default"\nterminal = "."', "d"),))
    row = measure(documents(["카지노사이트 the"], language=["ko"]), packs).to_pylist()[0]
    assert (row["stop_words"], row["spam_terms"], row["words"]) == (0, 0, 2)
