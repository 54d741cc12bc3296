"""Masking of personal data: what is found, what is left alone, and that rows are independent."""

import csv
import doctest
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algok.errors import RecipeError
from algok.filters import pii
from algok.filters.pii import KINDS, PLACEHOLDERS, is_card_number, is_resident_number, mask, mask_text


@pytest.mark.parametrize(
    ("text", "kind", "masked"),
    [
        ("연락처는 010-1234-5678입니다.", "phone", "연락처는 <phone>입니다."),
        ("010 3948 2265", "phone", "<phone>"),
        ("01012345678로 문자", "phone", "<phone>로 문자"),
        ("+82-10-1234-5678", "phone", "<phone>"),
        ("+82 (0)10 1234 5678", "phone", "<phone>"),
        ("전화(061)754-4444", "phone", "전화<phone>"),
        ("02-123-4567, 031.8018.7777", "phone", "<phone>, <phone>"),
        ("070-1234-5678 0505-123-4567", "phone", "<phone> <phone>"),
        ("kim.min-su+a@mail.example.co.kr로", "e-mail", "<e-mail>로"),
        ("<b@c.io>", "e-mail", "<<e-mail>>"),
        ("주민번호 900101-1234567", "resident-number", "주민번호 <resident-number>"),
        ("900101 – 1234567", "resident-number", "<resident-number>"),
        ("9001011234568", "resident-number", "<resident-number>"),
        ("카드 4111-1111-1111-1111.", "card", "카드 <card>."),
        ("5500005555555559", "card", "<card>"),
        ("3782 822463 10005", "card", "<card>"),
        ("접속 IP 203.248.252.2에서", "ip", "접속 IP <ip>에서"),
        ("2001:4860:4860::8888", "ip", "<ip>"),
    ],
)
def test_found(text: str, kind: str, masked: str) -> None:
    result, counts = mask_text(text)
    assert result == masked
    assert counts == {name: masked.count(PLACEHOLDERS[name]) for name in KINDS}
    assert counts[kind] > 0
    only, _ = mask_text(text, [kind])
    assert only == masked


@pytest.mark.parametrize(
    "text",
    [
        "2019-03-04 12:30:45",
        "1588-1234, 080-123-4567, 112, 119",
        "계좌 123-456-789012",
        "010-1234-5678-9",
        "a7c010-1234-5678",
        "4e80e053-8022-4987-a8a0-20",
        "4111-1111-1111-1112",
        "1234567890123456",
        "0000000000000000",
        "901301-1234567",
        "900230-1234567",
        "9001011234567",
        "900101-9234567",
        "192.168.0.1 10.0.0.1 127.0.0.1 239.255.255.250",
        "버전 2.0.2.222, 1.2.11.1 절, 1.2.3.4.5, 300.300.300.300",
        "12:30:45:10",
        "@user 님, a@b, foo@bar.1",
        "가격은 12,345,678원",
        "",
    ],
)
def test_left_alone(text: str) -> None:
    assert mask_text(text) == (text, dict.fromkeys(KINDS, 0))


@given(st.integers(0, 10**15 - 1))
def test_one_luhn_digit_in_ten_makes_a_card(number: int) -> None:
    body = f"4{number:015d}"[:15]
    assert sum(is_card_number(body + str(digit)) for digit in range(10)) == 1


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 28), st.integers(1, 8), st.integers(0, 99999))
def test_one_check_digit_in_ten_makes_a_resident_number(year: int, month: int, day: int, sex: int, serial: int) -> None:
    birth, rest = f"{year:02}{month:02}{day:02}", f"{sex}{serial:05}"
    assert sum(is_resident_number(birth, rest + str(digit), separated=False) for digit in range(10)) == 1
    assert all(is_resident_number(birth, rest + str(digit), separated=True) for digit in range(10))


PIECES = ("010-1234-5678", "a@b.kr", "900101-1234567", "4111111111111111", "203.248.252.2", "글", "12", "-", " ", ".")
row_texts = st.one_of(st.none(), st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=20))


@given(st.lists(row_texts, max_size=12), st.data())
@settings(deadline=None)
def test_arrays_equal_single_texts(rows: list[str | None], data: st.DataObject) -> None:
    texts = pa.array([None, *rows], pa.large_string()).slice(data.draw(st.integers(0, len(rows))))
    masked, counts = mask(texts)
    assert masked.type == texts.type
    for at, text in enumerate(texts.to_pylist()):
        found = (None, dict.fromkeys(KINDS, 0)) if text is None else mask_text(text)
        assert (masked[at].as_py(), {kind: int(counts[kind][at]) for kind in KINDS}) == found


def test_masking_twice_changes_nothing() -> None:
    once, _ = mask_text("a@b.kr 010-1234-5678 900101-1234567 4111111111111111 203.248.252.2")
    assert mask_text(once) == (once, dict.fromkeys(KINDS, 0))


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(RecipeError, match=r"'name'.*e-mail"):
        mask_text("x", ["name"])


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(pii).failed == 0


@pytest.mark.shared
@pytest.mark.parametrize("name", ["ko", "en"])
def test_labelled_samples(shared_data: Path, name: str) -> None:
    """Every e-mail, Korean telephone, resident and card number of the samples is masked; labels hide names as well."""
    with (shared_data / "pii" / f"pii_shield_{name}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    for row in rows:
        masked, counts = mask_text(row["test_case"])
        assert "@" not in masked
        assert "010-" not in masked
        if sum(counts.values()):
            assert "*" in row["label"]
    total = {kind: sum(mask_text(row["test_case"])[1][kind] for row in rows) for kind in KINDS}
    expected = {
        "ko": {"e-mail": 4, "card": 0, "resident-number": 3, "phone": 6, "ip": 0},
        "en": {"e-mail": 6, "card": 1, "resident-number": 0, "phone": 0, "ip": 0},
    }
    assert total == expected[name]
