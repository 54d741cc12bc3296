"""The language gate: its speed on a crawl of which few pages are wanted, and what it gets wrong.

    python -m benchmarks.language_gate [--rounds N] [--wanted SHARE] [--data FOLDER] [--quick]

Speed: pages of the mini crawl in other languages with so many Korean ones among them that these are the wanted share;
only Korean is wanted. Every side gets records in memory and gives text: decoding, the gate, URL and document id are
part of the time; reading, which is the same for all, is shown beside. In turn; CPU time; trafilatura in a
process of its own, without algok's stand-ins.

Errors: every page of the mini crawl, by the language of its fully extracted text. Lost: a page of the language that a
gate with this language alone rejects. Korean pages also in CP949 without a declaration, whole and cut in mid-character.
"""

import argparse
import datetime
import logging
import random
import re
import shlex
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from algok.filters.charset import decode
from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.filters.extraction.messages import Page
from algok.filters.gate import GateOptions
from algok.filters.gate.decide import LanguageGate
from algok.filters.language import LanguageIdentifier
from algok.filters.reading import HEAD_BYTES, ReadOptions, ReadTally, detect_format, plan_splits, read_split
from algok.schema import KEPT
from algok.transforms.sampling import uniform
from benchmarks.apart import Apart
from benchmarks.machine import describe
from benchmarks.tables import RESULTS, Bar, Result, Table, publish, spread

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
DATA = _ROOT.parent / "shared" / "data"
_DECLARED = re.compile(rb"(?i)(charset|encoding)(\s*=\s*[\"']?)[a-z0-9_-]+")
#: Bars of the issue: times the speed of trafilatura's default, and lost Korean pages.
SPEED_BAR, LOST_BAR = 15.0, 0.005


def _open(path: str) -> Any:
    return Path(path).open("rb")


def _read(folder: Path, limit: int | None) -> tuple[list[pa.RecordBatch], float]:
    """Batches of records, of each file at most ``limit``, and the CPU seconds of reading them."""
    options = ReadOptions(batch_rows=limit or 1000)
    batches = []
    began = time.process_time()
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as file:
            found = detect_format(str(path), file.read(HEAD_BYTES))
        for split in plan_splits("crawl", str(path), path.stat().st_size, found, _open, options):
            for batch in read_split(split, _open, options, ReadTally()):
                batches.append(batch)
                if limit:
                    break
    return batches, time.process_time() - began


def _gate(identifier: LanguageIdentifier, language: str) -> LanguageGate:
    return LanguageGate(GateOptions(languages={language: 1.0}), identifier, lambda ids: uniform(ids, 1, "gate"))


def _crawl(batches: list[pa.RecordBatch], languages: list[str], wanted: float) -> pa.RecordBatch:
    """All pages of other languages, and Korean ones, spread over the crawl, up to the wanted share."""
    table = pa.Table.from_batches(batches)
    others = [i for i, language in enumerate(languages) if language not in ("ko", "und")]
    korean = [i for i, language in enumerate(languages) if language == "ko"]
    count = round(len(others) * wanted / (1 - wanted))
    chosen = [korean[(2 * i + 1) * len(korean) // (2 * count)] for i in range(count)]
    return table.take(pa.array(sorted(others + chosen))).combine_chunks().to_batches()[0]


def _peers() -> dict[str, Callable[[], Callable[[bytes], str]]]:
    def trafilatura() -> Callable[[bytes], str]:
        from trafilatura import extract

        return lambda payload: extract(payload, include_comments=False, include_tables=True) or ""

    return {"trafilatura": trafilatura}


def _time_trafilatura(records: pa.RecordBatch, peers: Apart) -> float:
    payloads = records.column("payload").to_pylist()
    peers.run("trafilatura", payloads[0])
    return sum(peers.run("trafilatura", payload)[1] for payload in payloads)


def _time_algok(records: pa.RecordBatch, gate: LanguageGate | None) -> tuple[float, dict[str, int]]:
    with PageExtractor(ExtractOptions(sandbox=False), gate=gate) as extractor:
        extractor.extract(records.slice(0, 3))
        began = time.process_time()
        out = extractor.extract(records)
        spent = time.process_time() - began
    reasons = [row["reason"] or row["outcome"] for row in out.select(["outcome", "reason"]).to_pylist()]
    return spent, dict(sorted(Counter(reasons).items()))


def _errors(batches: list[pa.RecordBatch], full: list[str], identifier: LanguageIdentifier) -> list[list[Any]]:
    """Table rows: language, pages, lost, share, other pages that pass beside it."""
    records = pa.Table.from_batches(batches).select(["payload", "http_charset"]).to_pylist()
    pages = [Page(row["payload"] or b"", row["http_charset"]) for row in records]
    ids = [i.to_bytes(16, "big") for i in range(len(pages))]
    rows: list[list[Any]] = []
    common = [name for name, count in Counter(full).most_common() if name not in ("ko", "und", "") and count >= 40]
    for language in ["ko", *common]:
        verdicts = _gate(identifier, language).judge(pages, ids)
        own = [v.reason is not None for v, name in zip(verdicts, full, strict=True) if name == language]
        rest = [v.reason is None for v, name in zip(verdicts, full, strict=True) if name not in (language, "und", "")]
        rows.append([language, len(own), sum(own), f"{sum(own) / len(own):.2%}", f"{sum(rest):,} of {len(rest):,}"])
    rng = random.Random(4)
    for cut in (False, True):
        korean = [_cp949(page, cut, rng) for page, name in zip(pages, full, strict=True) if name == "ko"]
        verdicts = _gate(identifier, "ko").judge(korean, ids[: len(korean)])
        lost = sum(v.reason is not None for v in verdicts)
        name = "ko, undeclared CP949" + (", cut in mid-character" if cut else "")
        rows.append([name, len(korean), lost, f"{lost / len(korean):.2%}", "-"])
    return rows


def _cp949(page: Page, cut: bool, rng: random.Random) -> Page:
    text = decode(page.payload, page.http_charset).text
    raw = _DECLARED.sub(rb"xx\2xx", text.encode("utf-8", "replace")).decode("utf-8", "replace")
    payload = raw.encode("cp949", "xmlcharrefreplace")
    if cut:
        places = [i for i, byte in enumerate(payload) if byte > 127]
        payload = payload[: rng.choice(places[len(places) // 2 :]) + 1] if places else payload
    return Page(payload, None)


def _shown(given: argparse.Namespace) -> list[str]:
    """The options that decide the numbers, without paths."""
    if given.quick:
        return ["--quick"]
    pages = ["--pages", str(given.pages)] if given.pages else []
    return [*pages, "--rounds", str(given.rounds), "--wanted", str(given.wanted)]


def main(arguments: list[str] | None = None) -> Result:
    """Measure, print and write the result."""
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wanted", type=float, default=0.05, help="share of wanted pages; default: %(default)s")
    parser.add_argument("--pages", type=int, help="most pages of each file; default: all")
    parser.add_argument("--quick", action="store_true", help="60 pages a file, one round")
    given = parser.parse_args(arguments)
    rounds = 1 if given.quick else given.rounds
    machine = describe()
    batches, reading = _read(given.data / "mini_crawl", 60 if given.quick else given.pages)
    identifier = LanguageIdentifier()
    with PageExtractor(ExtractOptions(sandbox=False)) as extractor:
        documents = pa.Table.from_batches([identifier.annotate(extractor.extract(batch)) for batch in batches])
    kept = pc.equal(documents.column("outcome"), KEPT)
    full = pc.if_else(kept, documents.column("language"), "und").to_pylist()
    errors = _errors(batches, full, identifier)
    crawl = _crawl(batches, full, given.wanted)
    times: dict[str, list[float]] = {"trafilatura default": [], "algok without a gate": [], "algok with the gate": []}
    outcomes: dict[str, int] = {}
    with Apart(_peers) as peers:
        for _ in range(rounds):
            times["trafilatura default"].append(_time_trafilatura(crawl, peers))
            times["algok without a gate"].append(_time_algok(crawl, None)[0])
            spent, outcomes = _time_algok(crawl, _gate(identifier, "ko"))
            times["algok with the gate"].append(spent)
    reference = times["trafilatura default"]
    ratios = {name: [a / b for a, b in zip(reference, own, strict=True)] for name, own in times.items()}
    rows = [
        [name, spread([t / crawl.num_rows * 1e3 for t in own]), spread(ratios[name])] for name, own in times.items()
    ]
    rows.append(["reading (own reader)", f"{reading / documents.num_rows * 1e3:.3g}", "-"])
    bars = [
        Bar(
            name="CPU time with the gate over trafilatura's default",
            value=1 / median(ratios["algok with the gate"]),
            limit=1 / SPEED_BAR,
        ),
        *(Bar(name=f"lost pages, {row[0]}", value=row[2] / row[1], limit=LOST_BAR) for row in errors if "ko" in row[0]),
    ]
    html = sum(len(value) for value in crawl.column("payload").to_pylist())
    result = Result(
        benchmark="language_gate",
        title="The language gate",
        command=shlex.join(["python", "-m", "benchmarks.language_gate", *_shown(given)]),
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[
            Table(
                title=f"{crawl.num_rows:,} pages ({html / crawl.num_rows / 1e3:.0f} KB on average), "
                f"{given.wanted:.0%} of them wanted",
                columns=["", "CPU ms a page", "speed"],
                rows=rows,
            ),
            Table(
                title="Wrongly gated pages, by the language of the fully extracted text",
                columns=["wanted", "pages", "lost", "share", "others that pass"],
                rows=errors,
            ),
        ],
        bars=bars,
        notes=[
            "Outcomes with the gate: " + ", ".join(f"{name} {count:,}" for name, count in outcomes.items()) + ".",
            "Where there is more than one round: median (smallest-largest).",
            "Others that pass cost an extraction and nothing else: their language is identified again on the text.",
        ],
        measured={"times": times, "outcomes": outcomes, "errors": errors, "pages": crawl.num_rows},
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
