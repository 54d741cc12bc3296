"""The benchmarks of the line, one after the other; `make bench` is this. Those of the parts by name.

python -m benchmarks.run [--quick] [--crawl FOLDER] [--results FOLDER] [--only NAME ...]
python -m benchmarks.run --extraction       the tables of docs/extraction.md

Writes a table (Markdown) and the measurements (JSON) of each to the results folder. ``--quick`` takes some minutes, is
noisy, and so writes to ``work/benchmarks/results`` by default; without it, the results are the committed ones.
"""

import argparse
import sys
from pathlib import Path

from benchmarks import beam_tax, charsets, end_to_end, extraction_quality, growth, hostile, language_gate, resync
from benchmarks.tables import RESULTS, Bar

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
LINE = {"beam_tax": beam_tax.main, "growth": growth.main, "end_to_end": end_to_end.main}
#: The tables of docs/extraction.md, from the development data.
EXTRACTION = {
    "extraction_quality": extraction_quality.main,
    "language_gate": language_gate.main,
    "charsets": charsets.main,
    "resync": resync.main,
    "hostile": hostile.main,
}
BENCHMARKS = {**LINE, **EXTRACTION}


def main(arguments: list[str] | None = None) -> list[Bar]:
    """Run them; prints all tables and, at the end, every bar. Returns the bars."""
    parser = argparse.ArgumentParser(description="the benchmarks of the line")
    parser.add_argument("--quick", action="store_true", help="small inputs, one round")
    parser.add_argument("--crawl", type=Path, help="folder of *.warc.gz; default: ../shared/data/mini_crawl")
    parser.add_argument("--results", type=Path, help="folder of the results")
    parser.add_argument("--only", nargs="+", choices=sorted(BENCHMARKS), default=list(LINE))
    parser.add_argument("--extraction", action="store_true", help="those of docs/extraction.md instead")
    given = parser.parse_args(arguments)
    if given.extraction:
        given.only = list(EXTRACTION)
    results = given.results or (_ROOT / "work" / "benchmarks" / "results" if given.quick else RESULTS)
    bars: list[tuple[str, Bar]] = []
    for name in given.only:
        options = ["--results", str(results)] + (["--quick"] if given.quick else [])
        if given.crawl and name in ("beam_tax", "end_to_end"):
            options += ["--crawl", str(given.crawl)]
        print(f"== {name}", file=sys.stderr, flush=True)
        result = BENCHMARKS[name](options)
        bars += [(name, bar) for bar in (result.bars if result else [])]
    print("\n".join(f"{name}: {bar}" for name, bar in bars))
    print(f"results: {results}")
    return [bar for _, bar in bars]


if __name__ == "__main__":
    main()
