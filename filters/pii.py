"""Masking of personal data: e-mail, Korean telephone and resident numbers, payment cards, public IP addresses.

Nothing here runs unless a recipe asks for it. Every kind has a shape (a regular expression) and, where one exists, a
proof (a check digit, a date, an address range), so that order numbers, versions and amounts stay. Names and postal
addresses are not sought: that takes a model, and its mistakes cost more text than they save.

A match is replaced by a placeholder of its kind, such as ``<e-mail>``: the text stays readable and no invented number
can be mistaken for a real one.
"""

import ipaddress
import re
from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from algok.errors import RecipeError

__all__ = [
    "KINDS",
    "PLACEHOLDERS",
    "is_card_number",
    "is_public_address",
    "is_resident_number",
    "mask",
    "mask_text",
]

#: Kinds in the order in which they are sought: an e-mail address may hold a number, a card number a telephone number.
KINDS = ("e-mail", "card", "resident-number", "phone", "ip")

#: What a match of each kind is replaced by.
PLACEHOLDERS = {kind: f"<{kind}>" for kind in KINDS}

# Neither an ASCII letter or digit, nor a digit behind a separator, may touch a number: 010-1234-5678-9 is no telephone
# number, 7c010-1234 is a piece of a hash. Hangul may: particles follow without a space.
_BEFORE = r"(?<![0-9A-Za-z])(?<![0-9A-Za-z][-.])"
_AFTER = r"(?![0-9A-Za-z])(?![-.][0-9A-Za-z])"

#: Addresses in the form that people write them (RFC 5321 atoms and domains, no quoted local parts).
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])",
    re.ASCII,
)

#: 13 to 19 digits (ISO/IEC 7812), bare or in groups of four to seven joined by one kind of separator.
_CARD = re.compile(
    _BEFORE + r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5})" + _AFTER, re.ASCII
)

#: Six digits of the birth date, then seven of which the first is sex and century.
_RESIDENT = re.compile(_BEFORE + r"(\d{6})(\s?[-–]\s?|)([1-8]\d{6})" + _AFTER, re.ASCII)

# Korean numbering plan (Ministry of Science and ICT): mobile 010 and the old 011, 016 to 019; area codes 02 and 03x to
# 06x; internet telephony 070; safe numbers 050x. 080 (toll-free) and 15xx, 16xx, 18xx are company numbers and stay.
_PHONE = re.compile(
    r"(?<![0-9A-Za-z+])(?<![0-9A-Za-z][-.])(?:"
    r"(?:\+82[\s.-]?(?:\(0\)\s?)?|0)1[016789][\s.)-]?\d{3,4}[\s.-]?\d{4}"
    r"|\(?(?:\+82[\s.-]?|0)(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50[2-8])(?:\)\s?|[\s.-])\d{3,4}[\s.-]\d{4}"
    r")" + _AFTER,
    re.ASCII,
)

_IP = re.compile(
    r"(?<![A-Za-z0-9_.:])(?:(?:\d{1,3}\.){3}\d{1,3}(?!\.?[A-Za-z0-9_])"
    r"|(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,7}(?![A-Za-z0-9_:]))",
    re.ASCII,
)

# What a text must hold (RE2) before the expressions above are tried: cheap, vectorised, and never wrong by omission.
_SCREENS = {
    "e-mail": "@",
    "card": r"\d{4}[ -]?\d{4}",
    "resident-number": r"\d{6}\s?[-–]?\s?[1-8]\d{6}",
    "phone": r"(?:\b|\D)(?:0|\+82)",
    "ip": r"\d\.\d{1,3}\.\d|[0-9A-Fa-f]:[0-9A-Fa-f:]*:",
}


# First digits and lengths of payment cards (ISO/IEC 7812; 9 is Korea's domestic range).
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3[0689]\d{12}|35\d{14}|6\d{15,18}|9\d{15}"
)


def is_card_number(digits: str) -> bool:
    """Whether digits are a payment card number: first digits and length of an issuer, and Luhn's check.

    >>> is_card_number("4111111111111111"), is_card_number("4111111111111112")
    (True, False)
    """
    if not _ISSUERS.fullmatch(digits):
        return False
    total = 0
    for at, char in enumerate(reversed(digits)):
        value = int(char) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


_CENTURIES = {"1": 1900, "2": 1900, "5": 1900, "6": 1900, "3": 2000, "4": 2000, "7": 2000, "8": 2000}
_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)


def is_resident_number(birth: str, rest: str, *, separated: bool) -> bool:
    """Whether six and seven digits are a Korean resident (or foreigner) registration number.

    The birth date must exist. The check digit (weights 2..9, 2..5, modulo 11; foreigners' plus 2) proves the number;
    since October 2020 new numbers end in random digits, so one written with a hyphen passes on its date alone.

    >>> is_resident_number("900101", "1234568", separated=False)
    True
    >>> is_resident_number("901301", "1234568", separated=True)
    False
    """
    try:
        date(_CENTURIES[rest[0]] + int(birth[:2]), int(birth[2:4]), int(birth[4:]))
    except (KeyError, ValueError):
        return False
    if separated:
        return True
    total = sum(weight * int(char) for weight, char in zip(_WEIGHTS, birth + rest, strict=False))
    check = (11 - total % 11) % 10
    if rest[0] in "5678":
        check = (check + 2) % 10
    return check == int(rest[6])


def is_public_address(text: str) -> bool:
    """Whether a text is the IPv4 or IPv6 address of a host on the public internet.

    >>> [is_public_address(text) for text in ("8.8.8.8", "192.168.0.1", "1.2.3.400", "2001:4860:4860::8888")]
    [True, False, False, True]
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def _accept_card(match: re.Match[str]) -> bool:
    return is_card_number(re.sub(r"\D", "", match.group()))


def _accept_resident(match: re.Match[str]) -> bool:
    return is_resident_number(match.group(1), match.group(3), separated=bool(match.group(2)))


def _accept_ip(match: re.Match[str]) -> bool:
    # Versions and section numbers (2.0.2.222, 1.2.11.1) have at most one number of two digits or more.
    numbers = match.group().split(".")
    version = len(numbers) == 4 and sum(len(number) > 1 for number in numbers) < 2
    return not version and is_public_address(match.group())


def _accept_all(match: re.Match[str]) -> bool:
    return True


_RULES: dict[str, tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = {
    "e-mail": (_EMAIL, _accept_all),
    "card": (_CARD, _accept_card),
    "resident-number": (_RESIDENT, _accept_resident),
    "phone": (_PHONE, _accept_all),
    "ip": (_IP, _accept_ip),
}


def _check_kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise RecipeError(f"pii: unknown kind {unknown[0]!r}; the kinds are {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in kinds)


def mask_text(text: str, kinds: Sequence[str] = KINDS) -> tuple[str, dict[str, int]]:
    """A text with personal data of these kinds replaced, and how many of each kind there were.

    Raises ``RecipeError`` for an unknown kind.

    >>> mask_text("연락처 010-1234-5678, kim@example.com")[0]
    '연락처 <phone>, <e-mail>'
    """
    counts = {}
    for kind in _check_kinds(kinds):
        pattern, accept = _RULES[kind]
        found = 0

        def replace(match: re.Match[str], kind: str = kind, accept: Callable[[re.Match[str]], bool] = accept) -> str:
            nonlocal found
            if not accept(match):
                return match.group()
            found += 1
            return PLACEHOLDERS[kind]

        text = pattern.sub(replace, text)
        counts[kind] = found
    return text, counts


def mask(texts: pa.Array, kinds: Sequence[str] = KINDS) -> tuple[pa.Array, dict[str, NDArray[np.int32]]]:
    """Texts (large_string) with personal data replaced, and the number of replacements of each kind (int32, per row).

    Rows are screened with vectorised expressions first, so a text without any candidate costs no Python object. Null
    stays null. Raises ``RecipeError`` for an unknown kind.
    """
    chosen = _check_kinds(kinds)
    counts = {kind: np.zeros(len(texts), dtype=np.int32) for kind in chosen}
    suspects = np.zeros(len(texts), dtype=np.bool_)
    for kind in chosen:
        hits = pc.fill_null(pc.match_substring_regex(texts, _SCREENS[kind]), False)
        suspects |= hits.to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(suspects)
    if not len(rows):
        return texts, counts
    changed: list[str] = []
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
        masked, found = mask_text(text, chosen)
        changed.append(masked)
        for kind, number in found.items():
            counts[kind][row] = number
    return pc.replace_with_mask(texts, pa.array(suspects), pa.array(changed, texts.type)), counts
