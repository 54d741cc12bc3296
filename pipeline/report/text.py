"""Words and numbers on the page: units, names, and crawled text made harmless to look at."""

import re
import unicodedata

from algok.schema import DOCUMENTS, describe

__all__ = [
    "count",
    "duration",
    "language_name",
    "plural",
    "reason_words",
    "share",
    "signal_meaning",
    "signal_unit",
    "size",
    "tokens",
    "value",
    "visible",
]

#: Names of the languages that are frequent in web crawls; others are shown by their code.
_LANGUAGES = {
    "ar": "Arabic",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "gl": "Galician",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "hy": "Armenian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ka": "Georgian",
    "kk": "Kazakh",
    "km": "Khmer",
    "ko": "Korean",
    "la": "Latin",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "mk": "Macedonian",
    "ml": "Malayalam",
    "mn": "Mongolian",
    "mr": "Marathi",
    "ms": "Malay",
    "my": "Burmese",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "si": "Sinhala",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sq": "Albanian",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "uz": "Uzbek",
    "vi": "Vietnamese",
    "zh": "Chinese",
    "und": "undetermined",
    "other": "other languages",
}

#: Reasons and steps that are no signal.
_REASONS = {
    "language": "no policy judges this language",
    "no-text": "no main text was found",
    "exact_duplicate": "same text as a document that is kept",
    "near_duplicate": "nearly the same text as a document that is kept",
    "budget": "left out by the token budget",
    "no_share": "the mixture gives this language no share",
    "http_status": "the server sent no page",
    "media_type": "not a page: images, feeds, documents of other kinds",
    "empty": "no payload, or no text in it",
    "url": "refused by the URL policy",
    "gate:language": "a language of which nothing is wanted, by the quick look before extraction",
    "gate:sampled": "a language of which a sample is wanted, that the page was not drawn for",
    "links": "more links than the limit",
    "depth": "nested more deeply than the limit",
    "truncated": "the record ends early",
    "gzip": "damaged compression",
    "header": "damaged record header",
    "http": "damaged HTTP header",
    "decode": "bytes that could not be decoded",
    "extract": "the extractor failed",
    "timeout": "took longer than the time limit",
    "memory": "took more than the memory limit",
    "json": "a line that is not JSON",
    "size": "larger than the size limit",
    "parquet": "damaged Parquet",
}
_FIELDS = {name: (unit, meaning) for name, _, unit, meaning in describe(DOCUMENTS)}

_WORDS = ("", "k", "M", "G", "T", "P", "E")
#: Controls (but tab and line feed), format characters such as bidi overrides and zero-width ones, line separators,
#: surrogates, and what Unicode says is no character: all are shown by number instead.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\ud800-\udfff]"
)


def language_name(code: str) -> str:
    """English name of an ISO 639 code, or the code.

    >>> language_name("ko"), language_name("xx")
    ('Korean', 'xx')
    """
    return _LANGUAGES.get(code, code)


def signal_meaning(signal: str) -> str:
    """What the schema says of a signal."""
    return _FIELDS[signal][1] if signal in _FIELDS else signal


def signal_unit(signal: str) -> str:
    """Unit of a signal by the schema."""
    return _FIELDS[signal][0] if signal in _FIELDS else ""


def reason_words(reason: str) -> str:
    """A reason in words; empty if there is nothing to add to its name.

    >>> reason_words("budget"), reason_words("url_char_share:max")
    ('left out by the token budget', 'too high: characters in URLs')
    """
    label, _, end = reason.rpartition(":")
    if end in ("min", "max"):
        side = "too low" if end == "min" else "too high"
        signal, _, per = label.partition("/")
        if signal in _FIELDS:
            return f"{side}: {signal_meaning(signal)}" + (f", per {signal_unit(per) or per}" if per else "")
        return side
    return _REASONS.get(reason, "")


def count(number: int | None) -> str:
    """Digits in groups; a dash for None.

    >>> count(12345), count(None)
    ('12,345', '–')
    """
    return "–" if number is None else f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "document"), plural(2, "copy", "copies")
    ('1 document', '2 copies')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _scaled(number: float, unit: str) -> str:
    step = 0
    while abs(number) >= 999.5 and step < len(_WORDS) - 1:
        number /= 1000
        step += 1
    digits = 0 if step == 0 or abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    return f"{number:.{digits}f} {_WORDS[step]}{unit}".rstrip()


def size(number: float | None) -> str:
    """Bytes in decimal units.

    >>> size(1234), size(56_789_000)
    ('1.23 kB', '56.8 MB')
    """
    return "–" if number is None else _scaled(number, "B")


def tokens(number: float | None) -> str:
    """Tokens in short form: k, M, B (billion), T.

    >>> tokens(1_650_000_000_000), tokens(12_345)
    ('1.65 T', '12.3 k')
    """
    return "–" if number is None else _scaled(number, "").replace("G", "B")


def share(part: float | None) -> str:
    """Per cent with three significant digits at most; never 0 for something nor 100 for less than all.

    >>> share(0.1234), share(1.0), share(0.00002), share(0.99999)
    ('12.3 %', '100 %', '<0.01 %', '>99.9 %')
    """
    if part is None:
        return "–"
    percent = 100 * part
    if percent == 0 or percent == 100:
        return f"{percent:.0f} %"
    if 0 < percent < 0.01:
        return "<0.01 %"
    if 99.95 <= percent < 100:
        return ">99.9 %"
    digits = 2 if abs(percent) < 1 else 1 if abs(percent) < 1000 else 0
    return f"{percent:,.{digits}f} %"


def value(number: float | None) -> str:
    """A signal's value: integers whole, others with four significant digits.

    >>> value(50.0), value(0.2819999)
    ('50', '0.282')
    """
    if number is None:
        return "–"
    return f"{number:,.0f}" if number == int(number) and abs(number) < 1e15 else f"{number:.4g}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    >>> duration(3.21), duration(75), duration(7260)
    ('3.2 s', '1 min 15 s', '2 h 01 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def visible(text: str) -> list[tuple[str, str]]:
    """Pieces (text, name): an empty name for plain text, else a character that cannot be seen or that moves others,
    as ``U+202E`` (with ``×n`` for a run of it) and its Unicode name.

    >>> visible("a" + chr(0x202E) + "b")
    [('a', ''), ('U+202E', 'RIGHT-TO-LEFT OVERRIDE'), ('b', '')]
    """
    text = text.replace("\r\n", "\n")
    pieces: list[tuple[str, str]] = []
    at = 0
    for match in re.finditer(f"({_ODD.pattern})\\1*", text):
        if match.start() > at:
            pieces.append((text[at : match.start()], ""))
        char, times = match.group(1), match.end() - match.start()
        name = unicodedata.name(char, "SURROGATE" if "\ud800" <= char <= "\udfff" else "CONTROL")
        pieces.append((f"U+{ord(char):04X}" + (f" ×{times}" if times > 1 else ""), name))
        at = match.end()
    if at < len(text):
        pieces.append((text[at:], ""))
    return pieces
