"""Korean particles and verb forms by arithmetic on Hangul syllables.

A syllable is ``0xAC00 + (initial * 21 + vowel) * 28 + final`` (Unicode 15, section 3.12). Verbs are dictionary forms
with the irregular class after a slash where there is one: ``돕다/ㅂ``, ``걷다/ㄷ``, ``고르다/르``.
"""

from functools import lru_cache

__all__ = ["ENDINGS", "PARTICLES", "REGISTERS", "conjugate", "copula", "particle", "predicate"]

#: Registers: formal polite, polite, plain (written), and the clipped noun style of bulletin boards.
REGISTERS = ("hamnida", "haeyo", "handa", "eum")

#: Particle after a consonant and after a vowel.
PARTICLES = {
    "은": ("은", "는"),
    "이": ("이", "가"),
    "을": ("을", "를"),
    "과": ("과", "와"),
    "으로": ("으로", "로"),
    "이나": ("이나", "나"),
    "이라는": ("이라는", "라는"),
    "이란": ("이란", "란"),
    "이라도": ("이라도", "라도"),
    "이라고": ("이라고", "라고"),
}

#: Endings that ``conjugate`` knows; the sentence-final ones are made by ``predicate``.
ENDINGS = (
    *("고", "지만", "면서", "면", "어서", "는", "은", "을", "기", "기로", "도록", "려고", "려면", "는데", "ㄴ다고"),
    *("었던", "었는데", "었지만", "어야", "어야지", "어서는", "니", "지", "음", "으실", "라고"),
)

_DIGIT_FINAL = {"0": 21, "1": 8, "3": 16, "6": 1, "7": 8, "8": 8}
_LATIN_FINAL = {"l": 8, "m": 16, "n": 4, "r": 8}
_A, _AE, _YA, _EO, _E, _YEO, _O, _WA, _WAE, _OE, _U, _WO, _EU, _I = 0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 13, 14, 18, 20
_N, _L, _LM, _M, _B, _SS = 4, 8, 10, 16, 17, 20
_SILENT = 11


def _split(syllable: str) -> tuple[int, int, int]:
    code = ord(syllable) - 0xAC00
    return code // 588, code // 28 % 21, code % 28


def _join(initial: int, vowel: int, final: int = 0) -> str:
    return chr(0xAC00 + (initial * 21 + vowel) * 28 + final)


def _is_syllable(char: str) -> bool:
    return "가" <= char <= "힣"


def _final_of(word: str) -> int:
    """Index of the final consonant that ``word`` is read with, 0 for none."""
    for char in reversed(word):
        if _is_syllable(char):
            return _split(char)[2]
        if char.isdigit():
            return _DIGIT_FINAL.get(char, 0)
        if char.isalpha():
            return _LATIN_FINAL.get(char.lower(), 0)
    return 0


def particle(word: str, name: str) -> str:
    """``word`` with the form of the particle that its last sound asks for.

    >>> particle("은행", "은"), particle("투자자", "은"), particle("서울", "으로")
    ('은행은', '투자자는', '서울로')
    """
    forms = PARTICLES.get(name)
    if forms is None:
        return word + name
    final = _final_of(word)
    closed = final != 0 and not (name == "으로" and final == _L)
    return word + forms[0 if closed else 1]


def _with_final(stem: str, final: int) -> str:
    initial, vowel, _ = _split(stem[-1])
    return stem[:-1] + _join(initial, vowel, final)


def _infinitive(stem: str, irregular: str) -> str:
    """The -아/어 form of a stem."""
    initial, vowel, final = _split(stem[-1])
    head = stem[:-1]
    if irregular == "ㅂ":
        return _with_final(stem, 0) + ("와" if stem[-1] in "돕곱" else "워")
    if irregular == "ㄷ":
        return _with_final(stem, _L) + ("아" if vowel in (_A, _O) else "어")
    if irregular == "르":
        bright = _split(head[-1])[1] in (_A, _O)
        return _with_final(head, _L) + ("라" if bright else "러")
    if final:
        return stem + ("아" if vowel in (_A, _YA, _O) else "어")
    if stem[-1] == "하":
        return head + "해"
    if vowel in (_A, _AE, _EO, _E, _YEO):
        return stem
    if vowel == _EU:
        bright = bool(head) and _is_syllable(head[-1]) and _split(head[-1])[1] in (_A, _O)
        return head + _join(initial, _A if bright else _EO)
    if stem.endswith("적이"):
        return stem + "어"
    merged = {_O: _WA, _U: _WO, _I: _YEO, _OE: _WAE}.get(vowel)
    return stem + "어" if merged is None else head + _join(initial, merged)


def _past(stem: str, irregular: str) -> str:
    return _with_final(_infinitive(stem, irregular), _SS)


def _attach(stem: str, irregular: str, tail: str, *, keep_l: bool) -> str:
    """Stem before an ending that inserts 으 after a consonant; ``keep_l`` where a final ㄹ of the stem stays."""
    final = _split(stem[-1])[2]
    if irregular == "ㅂ":
        return _with_final(stem, 0) + "우" + tail
    if irregular == "ㄷ":
        return _with_final(stem, _L) + "으" + tail
    if final == _L:
        return (stem if keep_l else _with_final(stem, 0)) + tail
    return stem + ("으" if final else "") + tail


def _close(stem: str, irregular: str, consonant: int) -> str:
    """Stem with an ending that is, or begins with, a final consonant: ㄴ, ㄹ or ㅁ."""
    final = _split(stem[-1])[2]
    if irregular == "ㅂ":
        return _with_final(stem, 0) + _join(_SILENT, _U, consonant)
    if irregular == "ㄷ":
        return _with_final(stem, _L) + _join(_SILENT, _EU, consonant)
    if final == _L:
        return _with_final(stem, _LM if consonant == _M else consonant)
    return stem + _join(_SILENT, _EU, consonant) if final else _with_final(stem, consonant)


@lru_cache(maxsize=65536)
def conjugate(verb: str, ending: str, descriptive: bool = False) -> str:
    """A dictionary form with one of ``ENDINGS``; ``descriptive`` marks adjectives.

    >>> conjugate("줄이다", "는"), conjugate("돕다/ㅂ", "은"), conjugate("만들다", "면"), conjugate("높다", "는", True)
    ('줄이는', '도운', '만들면', '높은')
    """
    word, _, irregular = verb.partition("/")
    stem = word[:-1]
    being = stem.endswith(("있", "없"))
    dropped = _with_final(stem, 0) if _split(stem[-1])[2] == _L and not irregular else stem
    if ending in ("고", "지만", "기", "기로", "도록", "지"):
        return stem + ending
    if ending in ("어서", "어야", "어야지", "어서는"):
        return _infinitive(stem, irregular) + ending[1:]
    if ending in ("었던", "었는데", "었지만"):
        return _past(stem, irregular) + ending[1:]
    if ending == "음":
        return predicate(verb, "eum", False, descriptive)
    if descriptive and not being and ending in ("는", "은", "는데"):
        return _close(stem, irregular, _N) + ("데" if ending == "는데" else "")
    if ending in ("는", "는데"):
        return dropped + ending
    if ending == "은":
        return stem + "는" if being else _close(stem, irregular, _N)
    if ending == "을":
        return _close(stem, irregular, _L)
    if ending == "으실":
        return _attach(stem, irregular, "실", keep_l=False)
    if ending in ("면서", "면", "려고", "려면", "라고"):
        return _attach(stem, irregular, ending, keep_l=True)
    if ending == "니":
        return _attach(stem, irregular, ending, keep_l=False)
    if ending == "ㄴ다고":
        return predicate(verb, "handa", False, descriptive) + "고"
    raise ValueError(f"unknown Korean ending {ending!r}; known are {', '.join(ENDINGS)}")


@lru_cache(maxsize=65536)
def predicate(verb: str, register: str, past: bool, descriptive: bool = False) -> str:
    """Sentence-final form without the full stop.

    >>> [predicate("늘리다", r, False) for r in REGISTERS]
    ['늘립니다', '늘려요', '늘린다', '늘림']
    >>> [predicate("맵다/ㅂ", r, True, True) for r in REGISTERS]
    ['매웠습니다', '매웠어요', '매웠다', '매웠음']
    """
    word, _, irregular = verb.partition("/")
    stem = word[:-1]
    being = stem.endswith(("있", "없"))
    if past:
        return _past(stem, irregular) + {"hamnida": "습니다", "haeyo": "어요", "handa": "다", "eum": "음"}[register]
    final = _split(stem[-1])[2]
    light = final == 0 or (final == _L and not irregular)
    if register == "hamnida":
        return _with_final(stem, _B) + "니다" if light else stem + "습니다"
    if register == "haeyo":
        return stem + "에요" if stem.endswith("적이") else _infinitive(stem, irregular) + "요"
    if register == "eum":
        return stem + "음" if being else _close(stem, irregular, _M)
    if descriptive or being:
        return stem + "다"
    return _with_final(stem, _N) + "다" if light else stem + "는다"


@lru_cache(maxsize=65536)
def copula(noun: str, register: str, past: bool) -> str:
    """``noun`` with 이다 in a sentence-final form.

    >>> copula("문제", "hamnida", False), copula("원인", "haeyo", False), copula("문제", "handa", True)
    ('문제입니다', '원인이에요', '문제였다')
    """
    closed = _final_of(noun) != 0
    if past:
        past_tail = {"hamnida": "습니다", "haeyo": "어요", "handa": "다", "eum": "음"}[register]
        return noun + ("이었" if closed else "였") + past_tail
    if register == "haeyo":
        return noun + ("이에요" if closed else "예요")
    return noun + {"hamnida": "입니다", "handa": "이다", "eum": "임"}[register]
