"""What hostile pages cost: each between two ordinary ones, which must come out whole.

    python -m benchmarks.hostile [--results FOLDER]

CPU time and peak memory are those of the extracting child process beyond an ordinary page; the gate's CPU time is that
of the look that it takes at the same page in the worker itself.
"""

import argparse
import datetime
import time
from datetime import UTC
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa

from algok.filters.extraction import ExtractOptions, PageExtractor
from algok.filters.gate.visible import visible
from algok.schema import KEPT, RECORDS
from benchmarks.machine import describe
from benchmarks.tables import RESULTS, Bar, Result, Table, publish

__all__ = ["main", "pages"]

_TEXT = "이 문단은 본문으로 남을 만큼 길고, 사람이 쓴 것처럼 마침표로 끝난다. 그래서 추출기가 버리지 않는다. "
_PAGE = f"<html><head><title>t</title></head><body><article><h1>t</h1><p>{_TEXT * 5}</p>%s</article></body></html>"


def pages() -> dict[str, bytes]:
    """Hostile pages by name."""
    entities = "".join(f"<!ENTITY b{i} '{f'&b{i - 1};' * 10 if i else 'aaaaaaaaaa'}'>" for i in range(12))
    found = {
        "15 MB of paragraphs": _PAGE % ("<p>word <b>word</b> word.</p>" * 560_000),
        "11 MB of paragraphs": _PAGE % ("<p>word <b>word</b> word.</p>" * 400_000),
        "11 MB in one text node": _PAGE % ("word " * 2_300_000),
        "200,000 nested divs": _PAGE % ("<div>" * 200_000),
        "499 nested divs": _PAGE % ("<div>" * 480 + _TEXT),
        "200,000 nested divs in a comment": _PAGE % f"<!--{'<div>' * 200_000}-->",
        "60,000 links": _PAGE % ("<a href=x>y</a> " * 60_000),
        "19,000 links": _PAGE % ("<a href=x>y</a> " * 19_000),
        "19,000 links in paragraphs": _PAGE % ("<p><a href=x>y</a> z</p>" * 19_000),
        "entity bomb": f"<!DOCTYPE html [{entities}]>" + _PAGE % "<p>&b11;</p>",
        "a million character references": _PAGE % ("&#44032;" * 1_000_000),
        "NULs": (_PAGE % _TEXT).replace(" ", "\0 "),
        "lone surrogates": _PAGE % "\ud800\udfff" * 1_000,
        "1 MB attribute": _PAGE % f"<p title='{'x' * 1_000_000}'>x</p>",
        "100,000 attributes": _PAGE % f"<p {' '.join(f'a{i}=x' for i in range(100_000))}>x</p>",
        "200,000 different classes": _PAGE % "".join(f"<p class='c{i}'>x</p>" for i in range(200_000)),
        "script that never ends": _PAGE % ("<script>" + "a<b " * 500_000),
        "50,000 scripts": _PAGE % ("<script>a<b</script>" * 50_000),
        "100,000 table cells in tables": _PAGE % ("<table><tr><td>x<td>y" * 400 + "<td>z" * 100_000),
        "300,000 list items": _PAGE % ("<ul>" + "<li>x" * 300_000),
        "unclosed comments": "<!--<script><!--" * 100_000 + _PAGE % "",
        "a megabyte of <": _PAGE % ("<" * 1_000_000),
    }
    return {name: page.encode("utf-8", "surrogatepass") for name, page in found.items()}


def _records(payloads: list[bytes]) -> pa.RecordBatch:
    row = dict.fromkeys(RECORDS.names) | {
        **{"source": "hostile", "file": "f", "offset": 0, "length": 1, "kind": "response", "url": "https://a.example/"},
        **{"captured": datetime.datetime(2026, 1, 1, tzinfo=UTC), "http_status": 200, "media_type": "text/html"},
    }
    return pa.RecordBatch.from_pylist([row | {"payload": payload} for payload in payloads], schema=RECORDS)


def _child(extractor: PageExtractor) -> tuple[float, int]:
    """CPU seconds and peak resident bytes of the child so far; zeros when it is gone."""
    if extractor.child_pid is None:
        return 0.0, 0
    process = psutil.Process(extractor.child_pid)
    times = process.cpu_times()
    status = Path(f"/proc/{extractor.child_pid}/status").read_text(encoding="utf-8")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return times.user + times.system, peak * 1024


def main(arguments: list[str] | None = None) -> Result:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="the same")
    given = parser.parse_args(arguments)
    machine = describe()
    options = ExtractOptions()
    ordinary = (_PAGE % _TEXT).encode()
    visible(ordinary)
    rows: list[list[Any]] = []
    worst, mates = 0.0, 0
    for name, payload in pages().items():
        began = time.process_time()
        visible(payload)
        look = time.process_time() - began
        with PageExtractor(options) as extractor:
            extractor.extract(_records([ordinary]))
            before, rest = _child(extractor)
            pid = extractor.child_pid
            began = time.monotonic()
            out = extractor.extract(_records([ordinary, payload, ordinary])).to_pylist()
            wall = time.monotonic() - began
            spent, peak = _child(extractor)
            replaced = extractor.child_pid != pid
        mates += sum(row["outcome"] != KEPT or not row["text"] for row in (out[0], out[2]))
        outcome = out[1]["outcome"] + (f": {out[1]['reason']}" if out[1]["reason"] else "")
        if out[1]["outcome"] == KEPT and out[1]["detail"]:
            outcome += ", shortened"
        cost = spent if replaced else spent - before
        worst = max(worst, cost)
        rows.append(
            [
                name,
                f"{len(payload) / 1e6:.1f}",
                outcome,
                "child ended" if replaced else f"{cost:.2f}",
                "-" if replaced else f"{max(0, peak - rest) / 1e6:.0f}",
                f"{look * 1e3:.0f}",
                f"{wall:.1f}",
            ]
        )
        print(rows[-1], flush=True)
    result = Result(
        benchmark="hostile",
        title="Hostile pages",
        command="python -m benchmarks.hostile",
        date=datetime.date.today().isoformat(),
        machine=machine,
        tables=[
            Table(
                title="One page between two ordinary ones",
                columns=["page", "MB", "outcome", "CPU s", "memory, MB more", "gate's look, CPU ms", "wall s"],
                rows=rows,
            )
        ],
        bars=[
            Bar(name="ordinary pages beside them that were lost", value=mates, limit=0),
            Bar(name="CPU s of the worst page", value=worst, limit=options.time_limit_s * 1.25 + 1),
        ],
        notes=[
            f"Limits: {options.time_limit_s:g} s of CPU, {options.memory_limit_mb} MB, "
            f"{options.max_html_bytes:,} bytes, {options.max_depth} nested elements, {options.max_links:,} links.",
            "A child that ended was replaced: at its memory limit, or killed at the end of its time.",
        ],
        measured=rows,
    )
    print(publish(result, given.results))
    return result


if __name__ == "__main__":
    main()
