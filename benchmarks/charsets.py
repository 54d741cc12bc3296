"""Share of pages that are decoded right where nothing declares their charset, beside other detectors.

    python -m benchmarks.charsets [--pages N] [--data FOLDER] [--quick]

Real pages in UTF-8 are encoded anew, their declarations taken out; a page counts as right when its text comes back
letter for letter (but for the character in which it was cut). What an encoding cannot hold becomes a character
reference.
Last row: the files of chardet's test set, which are in their true encodings.
"""

import argparse
import datetime
import gzip
import json
import random
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import describe
from benchmarks.pages import payloads
from benchmarks.tables import RESULTS, Bar, Result, Table, publish

__all__ = ["chardet_files", "main"]

_ROOT = Path(__file__).resolve().parent.parent
DATA = _ROOT.parent / "shared" / "data"
_DECLARED = re.compile(rb"(?i)(charset|encoding)(\s*=\s*[\"']?)[a-z0-9_-]+")
_HANGUL, _KANA = re.compile("[가-힣]"), re.compile("[ぁ-ヺ]")


class Case(NamedTuple):
    """An encoding of pages in a language; ``cut``: ends in the middle of a character; ``bar``: least share, if any."""

    name: str
    language: str
    codec: str
    cut: bool = False
    bar: float | None = None


CASES = (
    Case("UTF-8", "ko", "utf-8", bar=1.0),
    Case("UTF-8, cut in mid-character", "ko", "utf-8", cut=True, bar=1.0),
    Case("CP949", "ko", "cp949", bar=0.99),
    Case("CP949, cut in mid-character", "ko", "cp949", cut=True, bar=0.99),
    Case("Johab", "ko", "johab"),
    Case("ISO-2022-KR", "ko", "iso2022_kr"),
    Case("UTF-7 (Korean)", "ko", "utf-7"),
    Case("UTF-16LE without a mark", "ko", "utf-16-le"),
    Case("Shift-JIS", "ja", "cp932", bar=0.97),
    Case("Shift-JIS, cut in mid-character", "ja", "cp932", cut=True, bar=0.97),
    Case("EUC-JP", "ja", "euc_jp"),
    Case("ISO-2022-JP", "ja", "iso2022_jp"),
    Case("GB18030", "zh-Hans", "gb18030"),
    Case("Big5", "zh-Hant", "big5"),
    Case("windows-1252 (German)", "de", "cp1252"),
    Case("windows-1252 (French)", "fr", "cp1252"),
    Case("windows-1250 (Polish)", "pl", "cp1250"),
    Case("windows-1254 (Turkish)", "tr", "cp1254"),
    Case("windows-1251 (Russian)", "ru", "cp1251"),
)


def _algok() -> Callable[[bytes], str]:
    from algok.filters.charset import decode

    return lambda payload: decode(payload, None).text


def _trafilatura() -> Callable[[bytes], str]:
    from trafilatura.utils import decode_file

    return lambda payload: str(decode_file(payload))


def _resiliparse() -> Callable[[bytes], str]:
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    return lambda payload: str(bytes_to_str(payload, detect_encoding(payload), errors="replace"))


def _cchardet() -> Callable[[bytes], str]:
    import cchardet

    return lambda payload: payload.decode(cchardet.detect(payload)["encoding"] or "utf-8", "replace")


def _normalizer() -> Callable[[bytes], str]:
    from charset_normalizer import from_bytes

    return lambda payload: str(from_bytes(payload).best() or "")


DETECTORS: dict[str, Callable[[], Callable[[bytes], str]]] = {
    "algok": _algok,
    "trafilatura": _trafilatura,
    "resiliparse": _resiliparse,
    "faust-cchardet": _cchardet,
    "charset-normalizer": _normalizer,
}


def _texts(data: Path, most: int) -> dict[str, list[str]]:
    """Pages by language, and Markdown of the parallel documents where the crawl has few."""
    with gzip.open(data / "mini_crawl" / "manifest.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    random.Random(1).shuffle(rows)
    wanted = {case.language for case in CASES}
    found: dict[str, list[str]] = {language: [] for language in wanted}
    for _, payload in payloads(data / "mini_crawl", rows):
        try:
            text = payload.decode("utf-8").lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
        language = _language(text)
        # A page of the crawl has a megabyte at times; detectors decide by the beginning.
        if language in wanted and len(found[language]) < most:
            found[language].append(text[:100_000])
        if all(len(found[name]) >= most for name in ("ko", "de", "fr")):
            break
    with gzip.open(data / "parallel_docs" / "data.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if row["lang"] in ("ja", "zh-Hans", "zh-Hant") and len(found[row["lang"]]) < most:
                found[row["lang"]].append(f"<html><body>{row['text'][:20_000]}</body></html>")
    return found


def _language(text: str) -> str:
    """Language of a page by its own declaration, checked by script for Korean and Japanese."""
    match = re.search(r"<html[^>]{0,300}\blang\s*=\s*[\"']?([a-zA-Z]{2})", text[:20_000])
    declared = match[1].lower() if match else ""
    if len(_HANGUL.findall(text)) > 100:
        return "ko"
    if len(_KANA.findall(text)) > 100:
        return "ja"
    return declared if declared not in ("ko", "ja", "zh") else ""


def _encode(text: str, case: Case, rng: random.Random) -> tuple[bytes, str] | None:
    """Payload and the text that it should give; ``None`` for a page with hardly a letter beyond ASCII."""
    raw = _DECLARED.sub(rb"xx\2xx", text.encode())
    payload = raw.decode().encode(case.codec, "xmlcharrefreplace")
    expected = payload.decode(case.codec)
    places = [i for i, c in enumerate(expected) if ord(c) > 127 and len(c.encode(case.codec, "ignore")) > 1]
    if case.codec.startswith("cp12"):
        places = [i for i, c in enumerate(expected) if ord(c) > 127]
    if len(places) < 8:
        return None
    if case.cut:
        at = rng.choice(places[len(places) // 2 :])
        head = expected[:at].encode(case.codec)
        return head + expected[at].encode(case.codec)[:-1], expected[:at]
    return payload, expected


def _right(found: str, expected: str, cut: bool) -> bool:
    found = found.lstrip("\ufeff")
    # What is left of the character that was cut may show as one or two characters.
    return found[: len(expected)] == expected and len(found) <= len(expected) + 2 if cut else found == expected


def chardet_files(data: Path) -> list[tuple[str, bytes, str | None]]:
    """chardet's test files: name, bytes with the declarations taken out, and the text, None where Python has no
    decoder for the true encoding, which the folder's name tells."""
    from algok.filters.charset.labels import CODECS, lookup

    others = {"johab": "johab", "maccyrillic": "x-mac-cyrillic", "macroman": "macintosh", "ibm855": "ibm855"}
    others |= {"utf-8-sig": "utf-8"}
    found = []
    for path in sorted((data / "encodings").glob("*/*")):
        folder = path.parent.name.lower()
        label = re.sub(r"-(?!sig)[a-z]{5,}$", "", folder) if folder.count("-") >= 2 else folder
        name = others.get(label) or lookup(label) or label
        payload = _DECLARED.sub(rb"xx\2xx", path.read_bytes())
        expected: str | None
        try:
            expected = payload.decode(CODECS.get(name, name), "replace").lstrip("\ufeff")
        except LookupError:
            expected = None
        found.append((path.name, payload, expected))
    return found


def main(arguments: list[str] | None = None) -> Result:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pages", type=int, default=300, help="pages a language; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="40 pages a language")
    given = parser.parse_args(arguments)
    pages = min(given.pages, 40) if given.quick else given.pages
    machine = describe()
    texts = _texts(given.data, pages)
    rng = random.Random(2)
    samples: list[tuple[str, list[tuple[bytes, str]], bool]] = []
    for case in CASES:
        encoded = [pair for text in texts[case.language] if (pair := _encode(text, case, rng)) is not None]
        samples.append((case.name, encoded, case.cut))
    # A text that no decoder gives is right for nobody.
    files = [(payload, "\0no decoder" if text is None else text) for _, payload, text in chardet_files(given.data)]
    samples.append(("chardet's test files", files, False))
    shares: dict[str, dict[str, float]] = {name: {} for name, _, _ in samples}
    costs = []
    for detector, make in DETECTORS.items():
        run = make()
        began, count = time.process_time(), 0
        for name, pairs, cut in samples:
            right = 0
            for payload, expected in pairs:
                try:
                    right += _right(run(payload), expected, cut)
                except (LookupError, UnicodeError, ValueError):  # a detector that names no codec, or a wrong one
                    continue
            count += len(pairs)
            if pairs:
                shares[name][detector] = right / len(pairs)
        costs.append([detector, f"{(time.process_time() - began) / count * 1e3:.2f}"])
    rows: list[list[Any]] = [
        [name, len(pairs), *(f"{shares[name][d]:.3f}" for d in DETECTORS)] for name, pairs, _ in samples if pairs
    ]
    bars = [
        Bar(name=f"misread: {c.name}", value=round(1 - shares[c.name]["algok"], 6), limit=round(1 - c.bar, 6))
        for c in CASES
        if c.bar is not None and "algok" in shares[c.name]
    ]
    result = Result(
        benchmark="charsets",
        title="Charsets: pages without a declaration",
        command=shlex.join(["python", "-m", "benchmarks.charsets", "--pages", str(pages)]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[
            Table(title="Share of pages decoded right", columns=["encoding", "pages", *DETECTORS], rows=rows),
            Table(title="CPU time", columns=["detector", "ms a page"], rows=costs),
        ],
        bars=bars,
        notes=[
            "Right: the text comes back letter for letter. A cut page may end in up to two characters of the rest.",
            "UTF-7 is not guessed: browsers refuse it, since any ASCII text may hold what looks like it.",
            "algok reads ISO-2022-KR and ISO-2022-JP by their escape sequences, as far as Python's codecs go.",
            "chardet's test files: 264 in their true encodings, declarations taken out. Python has no EUC-TW.",
        ],
        measured=shares,
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
