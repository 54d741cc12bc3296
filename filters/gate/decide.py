"""From the visible text of a page to pass or reject: language by fastText and Hangul, then a draw by document id.

Extraction costs some twenty times the look that is taken here, and a Korean-weighted run wants all of the Korean pages
of a crawl but few of the others. A page is judged by the beginning of its running text, which is what extraction would
mostly give. Everything is arranged so that doubt costs an extraction and not a page: a page passes at the highest
share of the languages that it may be in, and anything that looks Korean may be Korean.
"""

from collections.abc import Callable, Sequence
from html import unescape
from typing import Any

import numpy as np
import pyarrow as pa

from algok.filters.charset import decode
from algok.filters.extraction.gating import Verdict
from algok.filters.extraction.messages import Page
from algok.filters.gate.options import LANGUAGE, SAMPLED, GateOptions
from algok.filters.gate.visible import Visible, visible
from algok.filters.language import UNDECIDED, LanguageIdentifier

__all__ = ["Draw", "LanguageGate"]

#: Document ids (binary(16)) to numbers in [0, 1), the same for the same id.
Draw = Callable[[pa.Array], "np.ndarray[Any, np.dtype[np.float64]]"]

#: Characters of the text that the model reads. 400 agree with the language of the extracted text on 99.8 % of the mini
#: crawl, 1,000 on 99.8 % at nearly twice the cost.
_CHARS = 400
#: Bytes of running text from which other text (menus, lists) is not looked at.
_ENOUGH = 200
#: Fewer letters than this say nothing of a language: such a page passes at the highest share.
_FEW_LETTERS = 20
#: A text is Korean from this share of Hangul on (as in ``filters.language``)...
_KOREAN = 0.5
#: ...and may be from these: share and number of Hangul letters, of all visible and of running text.
_MAYBE, _MAYBE_RUNNING = (0.02, 20), (0.01, 10)
#: Languages that the model is asked for.
_GUESSES = 3
_BOMS = (b"\xff\xfe", b"\xfe\xff")


class LanguageGate:
    """Judges pages; made once per worker. ``draw`` says which pages of a sampled language are in the sample."""

    def __init__(self, options: GateOptions, identifier: LanguageIdentifier, draw: Draw) -> None:
        self._options = options
        self._identifier = identifier
        self._draw = draw
        self._most = max([options.other, *options.languages.values()])

    def judge(self, pages: Sequence[Page], doc_ids: Sequence[bytes]) -> list[Verdict]:
        """A verdict for each page, in order; it depends on nothing but the page, its id, the options and the draw."""
        if not pages:
            return []
        seen = [_look(page) for page in pages]
        guesses = self._identifier.guess([_sample(one) for one in seen], _GUESSES)
        draws = self._draw(pa.array(doc_ids, pa.binary(16))).tolist()
        return [self._verdict(*facts) for facts in zip(seen, guesses, draws, strict=True)]

    def _verdict(self, seen: Visible, guesses: list[tuple[str, float]], draw: float) -> Verdict:
        options = self._options
        likely = [pair for i, pair in enumerate(guesses) if i == 0 or pair[1] >= options.doubt]
        share = seen.hangul / max(1, seen.letters)
        if share >= _KOREAN:
            likely = [("ko", share)]
        elif not any(language == "ko" for language, _ in likely) and _may_be_korean(seen):
            likely.append(("ko", share))
        if seen.letters < _FEW_LETTERS and not any(language == "ko" for language, _ in likely):
            likely = [(UNDECIDED, 0.0)]
        language, score = likely[0]
        if language == UNDECIDED and UNDECIDED not in options.languages:
            rate = self._most
        else:
            rate = max(options.rate(name) for name, _ in likely)
        if draw < rate:
            return Verdict(language, score, None, None)
        found = " or ".join(f"{name} {value:.2f}" for name, value in likely)
        if not rate:
            return Verdict(language, score, LANGUAGE, f"{found}; share extracted: 0")
        return Verdict(language, score, SAMPLED, f"{found}; share extracted: {rate:g}, drew {draw:.6f}")


def _look(page: Page) -> Visible:
    """The visible text of a page. Bytes that do not read as UTF-8 are decoded as extraction would."""
    if not page.html:
        # A text has no markup; what it holds of < is text.
        raw = decode(page.payload, page.http_charset).text.encode("utf-8", "replace")
        return visible(raw.replace(b"<", b" "))
    if page.payload[:2] not in _BOMS:
        seen = visible(page.payload)
        if seen.sound:
            return seen
    return visible(decode(page.payload, page.http_charset).text.encode("utf-8", "replace"))


def _sample(seen: Visible) -> str:
    """What the model reads: the beginning of the running text, or of all text where there is little."""
    raw = seen.running if len(seen.running) >= _ENOUGH else seen.running + seen.other
    text = raw[: 8 * _CHARS].decode("utf-8", "replace")
    if "&" in text:
        text = unescape(text)
    return " ".join(text.split())[:_CHARS]


def _may_be_korean(seen: Visible) -> bool:
    return (seen.hangul >= _MAYBE[1] and seen.hangul >= _MAYBE[0] * seen.letters) or (
        seen.running_hangul >= _MAYBE_RUNNING[1] and seen.running_hangul >= _MAYBE_RUNNING[0] * seen.running_letters
    )
