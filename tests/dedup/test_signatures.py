"""Normalisation, shingles and signatures, against datasketch, xxhash and a plain Python version."""

import unicodedata

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.dedup.kernels import xxh32
from algok.dedup.minhash import MinHashOptions, signature_matrix, signatures
from algok.dedup.normalise import normalise, normalise_text, text_buffers
from algok.dedup.shingles import ShingleOptions, shingle_hashes, shingles_of
from algok.errors import RecipeError

WORDS = ShingleOptions(char_languages=())
TEXTS = [
    "아버지가 방에 들어가신다. 어머니는 (조용히) 책을 읽으신다! 그리고 아이는 잔다.",
    "The quick brown fox jumps over the lazy dog; the dog sleeps on and on.",
    "東京タワーは、1958年に完成した。全角ＡＢＣも半角ｶﾞｷﾞもある。",
    "한 낱말",
    "",
    "...!!! ★★",
    "x" * 5000 + " 끝 " * 40,
    "Ａｂｃ\u3000Ｄｅｆ\u200bghi ﻿시작 soft\u00adhyphen 👩‍💻 emoji 𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    unicodedata.normalize("NFD", "한국어 자모로 풀어 쓴 문장도 같은 것이다, 정말로 그렇다."),
]


def large(texts: list[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def slow_normalise(text: str, spaces: bool = True) -> str:
    """The rules of ``normalise`` in plain Python."""
    width = {c: unicodedata.normalize("NFKC", chr(c)) for c in (*range(0xFF01, 0xFF5F), *range(0xFF61, 0xFFDD))}
    width |= {c: unicodedata.normalize("NFKC", chr(c)) for c in range(0xFFE0, 0xFFEF)}
    out = []
    for char in unicodedata.normalize("NFC", text.translate(width)):
        category = unicodedata.category(char)
        if category == "Cf":
            continue
        if category[0] in "ZC" or (spaces and category[0] in "PS"):
            out.append(" ")
        else:
            out.append(char.lower()[0])
    return (" " if spaces else "").join("".join(out).split())


@pytest.mark.parametrize("spaces", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_normalise_follows_the_stated_rules(text: str, spaces: bool) -> None:
    assert normalise_text(text, spaces=spaces) == slow_normalise(text, spaces)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=0x1FFFF, exclude_categories=["Cs", "Co", "Cn"]), max_size=40))
def test_normalise_any_text(text: str) -> None:
    # NFC of the folded text may differ from folding of the NFC text only through lower case; both sides fold after NFC.
    assert normalise_text(text) == slow_normalise(text)


@settings(deadline=None)
@given(st.text(st.sampled_from("가나다 abC.,!\n한국ー１２ｱﾞ"), max_size=60))
def test_normalise_is_idempotent(text: str) -> None:
    once = normalise_text(text)
    assert normalise_text(once) == once


def test_normal_forms_and_widths_agree() -> None:
    text = "한국어 ＡＩ 시대, ｶﾞﾗｽ."
    assert normalise_text(unicodedata.normalize("NFD", text)) == "한국어 ai 시대 ガラス"
    assert normalise(large([text, None])).to_pylist() == ["한국어 ai 시대 ガラス", None]


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_xxh32_is_xxhash(data: bytes) -> None:
    padded = b"ab" + data + b"cd"
    assert xxh32(np.frombuffer(padded, np.uint8), 2, 2 + len(data)) == xxhash.xxh32_intdigest(data)


@pytest.mark.parametrize("permutations", [1, 112, 128, 256])
def test_signatures_equal_datasketch(permutations: int) -> None:
    options = MinHashOptions(permutations=permutations)
    languages = pa.array(["ko", "en", "ja", "ko", None, "ko", "en", "en", "ko"])
    matrix, made = signature_matrix(large(list(TEXTS)), languages, options)
    for row, (text, language) in enumerate(zip(TEXTS, languages.to_pylist(), strict=True)):
        shingles = shingles_of(text, language)
        assert made[row] == bool(shingles)
        if shingles:
            oracle = MinHash(num_perm=permutations, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
            oracle.update_batch([s.encode() for s in shingles])
            np.testing.assert_array_equal(matrix[row], oracle.hashvalues)


@pytest.mark.shared
def test_signatures_equal_datasketch_on_real_news(shared_data) -> None:  # type: ignore[no-untyped-def]
    import gzip
    import json

    with gzip.open(shared_data / "ko_news" / "data.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["text"] for _, line in zip(range(150), file, strict=False)]
    for options, language in ((MinHashOptions(permutations=128), "ko"), (MinHashOptions(permutations=256), "en")):
        matrix, _ = signature_matrix(large(texts), pa.array([language] * len(texts)), options)
        for row, text in enumerate(texts):
            oracle = MinHash(num_perm=options.permutations, hashfunc=xxhash.xxh32_intdigest, scheme="affine32")
            oracle.update_batch([s.encode() for s in shingles_of(text, language)])
            np.testing.assert_array_equal(matrix[row], oracle.hashvalues)


def test_texts_without_words_have_no_signature() -> None:
    got = signatures(large(["하나 둘", "", " \n", None]), pa.array(["ko"] * 4))
    assert got.is_null().to_pylist() == [False, True, True, True]
    assert got.type == pa.list_(pa.uint32(), 112)
    assert signatures(large(["..."]), pa.array(["en"])).null_count == 1


def test_short_texts_are_one_shingle() -> None:
    assert shingles_of("하나 둘 셋", "en") == ["하나 둘 셋"]
    assert shingles_of("하나", "ko") == ["하나"]
    assert shingle_hashes(large(["하나 둘 셋"]), pa.array(["en"])).to_pylist() == [
        [xxhash.xxh32_intdigest("하나 둘 셋".encode())]
    ]


def test_slices_types_and_batches_do_not_matter() -> None:
    texts = TEXTS * 3
    languages = pa.array(["ko", "en", "ja"] * 9)
    whole, _ = signature_matrix(large(texts), languages)
    for kind in (pa.string(), pa.large_string()):
        array = pa.array(texts, kind)
        parts = [signature_matrix(array.slice(i, 4), languages.slice(i, 4))[0] for i in range(0, 27, 4)]
        np.testing.assert_array_equal(whole, np.concatenate(parts))
        sets = [shingle_hashes(array.slice(i, 5), languages.slice(i, 5)).to_pylist() for i in range(0, 27, 5)]
        assert [s for part in sets for s in part] == shingle_hashes(array, languages).to_pylist()


def test_shingle_hashes_are_the_set_of_the_shingles() -> None:
    languages = pa.array(["ko"] * len(TEXTS)).dictionary_encode()
    got = shingle_hashes(large(list(TEXTS)), languages).to_pylist()
    for text, hashes in zip(TEXTS, got, strict=True):
        assert hashes == sorted({xxhash.xxh32_intdigest(s.encode()) for s in shingles_of(text, "ko")})
    capped = shingle_hashes(large(list(TEXTS)), languages, limit=7).to_pylist()
    assert capped == [hashes[:7] for hashes in got]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: MinHashOptions(permutations=0), "permutations"),
        (lambda: MinHashOptions(seed=-1), "seed"),
        (lambda: ShingleOptions(words=0), "words"),
    ],
)
def test_bad_options_name_the_key(make, name: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RecipeError, match=name):
        make()


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="int64"):
        text_buffers(pa.array([1]))


def test_empty_batch() -> None:
    assert len(signatures(large([]), pa.array([], pa.string()))) == 0
    assert len(shingle_hashes(large([]), pa.array([], pa.string()))) == 0
