"""A small work folder for the report's tests: extracted tables made here, for the real stages behind."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from algok.filters.packs import builtin_packs
from algok.filters.signals import measure
from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.ledger import Line
from algok.pipeline.manifest import load_manifest, publish
from algok.pipeline.recipe import Recipe, parse_recipe
from algok.pipeline.stages.base import Context
from algok.schema import DEAD_LETTER, DOCUMENTS, REJECTED_ROWS
from algok.transforms.sinks import FileReceipt
from algok.transforms.storage import checksum

#: Characters that must never reach the page as they are.
HOSTILE = (
    "<script>alert('x')</script><img src=http://evil.example/a.png onerror=alert(1)> "
    '\u202egnp.exe\u202c\u200b\u0007 &amp; "q"'
)
HOSTILE_URL = "http://evil.example/\"><script>document.title='owned'</script>?\u202e"
HOSTILE_HOST = "copies.example"

RECIPE = """
name = "small"
[[sources]]
name = "web"
paths = ["none"]
[[sources]]
name = "books"
paths = ["none"]
[mix]
tokens = 60000
shares = { ko = 0.6, en = 0.4 }
[dedup]
alarm_share = 0.4
[report]
samples = 3
sample_chars = 200
"""

_KOREAN = [
    "바다", "마을", "사람들", "아침", "시장", "오래된", "골목", "작은", "서점", "주인", "손님", "이야기",
    "겨울", "바람", "따뜻한", "국수", "가게", "기차", "역", "여행", "사진", "풍경", "저녁", "노을", "산책",
    "강아지", "공원", "나무", "그늘", "아이들", "학교", "도서관", "책상", "창문", "햇살", "커피", "음악",
    "라디오", "소식", "날씨", "비", "우산", "버스", "정류장",
]  # fmt: skip
_ENGLISH = [
    "harbour", "morning", "market", "narrow", "street", "small", "bookshop", "owner", "story", "winter",
    "wind", "warm", "noodle", "train", "station", "journey", "picture", "evening", "walk", "park", "tree",
    "shadow", "children", "school", "library", "window", "light", "coffee", "music", "radio", "weather",
    "rain",
]  # fmt: skip


_ENDINGS = ("있다.", "한다.", "보았다.", "걸었다.", "좋았다.", "말했다.", "그렸다.", "샀다.", "들었다.", "웃었다.")
_JOINING = ("이", "그", "및", "그리고", "하는", "수", "것을", "등", "더", "한")
_SMALL = ("the", "and", "of", "to", "that", "with", "be", "have", "in", "was")


def prose(words: list[str], joining: tuple[str, ...], ends: tuple[str, ...], sentences: int, seed: int) -> str:
    """Varied sentences in paragraphs, that the policies like."""
    draw = random.Random(seed)
    made = []
    for _ in range(sentences):
        parts = [
            draw.choice(joining) if draw.random() < 0.25 else draw.choice(words) for _ in range(draw.randint(7, 12))
        ]
        made.append(" ".join([*parts, draw.choice(ends)]))
    return "\n".join(" ".join(made[i : i + 4]) for i in range(0, len(made), 4))


def korean(sentences: int, seed: int) -> str:
    words = [word + end for word in _KOREAN for end in ("을", "에서", "이", "의", "으로", "도")]
    return prose(words, _JOINING, _ENDINGS, sentences, seed)


def english(sentences: int, seed: int) -> str:
    words = [word + end for word in _ENGLISH for end in ("", "s", "ly", "ing")]
    return prose(words, _SMALL, ("again.", "today.", "alone.", "there.", "slowly.", "home."), sentences, seed)


def _row(index: int, text: str, language: str, **more: Any) -> dict[str, Any]:
    host = more.pop("host", f"site{index % 7}.example")
    return {
        "doc_id": xxhash.xxh3_128_digest(f"{index}".encode()),
        "source": "books" if index % 4 == 0 else "web",
        "file": f"/input/part-{index % 3}.warc.gz",
        "offset": index * 1000,
        "length": 900,
        "kind": "response",
        "url": f"https://{host}/page/{index}",
        "host": host,
        "title": f"Page {index}",
        "language": language,
        "language_score": 0.99,
        "outcome": "kept",
        "text": text,
        **more,
    }


def rows() -> list[dict[str, Any]]:
    """About 150 documents: good, short, repetitive, duplicated and hostile ones in three languages."""
    made = [_row(i, korean(24, i), "ko") for i in range(60)]
    made += [_row(100 + i, korean(2, 100 + i), "ko") for i in range(15)]
    made += [_row(200 + i, "같은 말이 또 나온다 그리고 한다.\n" * 60, "ko") for i in range(5)]
    made += [_row(300 + i, english(20, 300 + i), "en") for i in range(30)]
    made += [_row(400 + i, english(20, 300), "en", host=HOSTILE_HOST) for i in range(24)]
    base = english(24, 999)
    made += [_row(500 + i, base + f"\nOne more line number {i} closes it.", "en") for i in range(3)]
    made += [_row(600 + i, "短い文。", "ja") for i in range(4)]
    made.append(_row(700, HOSTILE + korean(1, 1), "ko", title=HOSTILE, url=HOSTILE_URL))
    made.append(_row(701, korean(24, 701) + "\n" + HOSTILE + ".", "ko", title=HOSTILE, url=HOSTILE_URL))
    return made


def _table(found: list[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.array([row.get(field.name) for row in found], field.type) for field in schema], schema=schema
    )


def _write(folder: Path, table: str, unit: str, batch: pa.RecordBatch) -> FileReceipt:
    path = folder / table / f"{unit}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_batches([batch]), path, write_page_checksum=True)
    return FileReceipt(
        table=table, path=str(path), rows=batch.num_rows, bytes=path.stat().st_size, checksum=checksum(str(path))
    )


def recipe(text: str = RECIPE) -> Recipe:
    return parse_recipe(text, where="test.toml", base=Path("/"))


def context(work: Path, text: str = RECIPE, workers: int = 1) -> Context:
    return Context(recipe=recipe(text), work=str(work), options=RunOptions(workers=workers), reporter=Quiet())


def extract(work: Path, *, units: int = 3, found: list[dict[str, Any]] | None = None) -> None:
    """Publish a finished extract stage with these documents, some rejected records and some failed ones."""
    folder = work / "extract"
    found = rows() if found is None else found
    failed = [
        {
            "stage": "extract",
            "source": "web",
            "file": f"/input/bad-{i}.warc.gz",
            "offset": 77_000 + i,
            "length": 10,
            "url": HOSTILE_URL,
            "step": "gzip" if i else "timeout",
            "error": f"{HOSTILE} at member {i}",
        }
        for i in range(9)
    ]
    refused = [
        _row(800 + i, "", "und", reason="url_blocklist" if i % 2 else "media_type", detail=HOSTILE, url=HOSTILE_URL)
        for i in range(12)
    ]
    files, lines = [], []

    def line(source: str, language: str, direction: Any, outcome: str, reason: str, count: int, size: int) -> None:
        lines.append(
            Line(
                stage="extract",
                source=source,
                language=language,
                direction=direction,
                outcome=outcome,
                reason=reason,
                documents=count,
                bytes=size,
            )
        )

    packs = builtin_packs()
    read: dict[str, int] = {}
    for unit in range(units):
        name = f"{unit:016x}"
        batch = measure(_table(found[unit::units], DOCUMENTS), packs)
        files.append(_write(folder, "documents", name, batch))
        for source in ("web", "books"):
            for language in ("ko", "en", "ja"):
                sizes = [
                    row["bytes"]
                    for row in batch.select(["source", "language", "bytes"]).to_pylist()
                    if row["source"] == source and row["language"] == language
                ]
                if sizes:
                    line(source, language, "out", "kept", "", len(sizes), sum(sizes))
                    read[source] = read.get(source, 0) + len(sizes)
        if refused[unit::units]:
            files.append(_write(folder, "rejected", name, _table(refused[unit::units], REJECTED_ROWS)))
        if failed[unit::units]:
            files.append(_write(folder, "failed", name, _table(failed[unit::units], DEAD_LETTER)))
    for row in refused:
        line(row["source"], "und", "out", "rejected", row["reason"], 1, 0)
        read[row["source"]] = read.get(row["source"], 0) + 1
    for row in failed:
        line("web", "und", "out", "failed", row["step"], 1, 0)
        read["web"] = read.get("web", 0) + 1
    for source, count in read.items():
        line(source, "und", "in", "read", "", count, 0)
    publish(
        str(folder),
        files,
        stage="extract",
        key="e" * 32,
        parts={"after": {}},
        ledger=_merged(lines),
        details={
            "records_by_kind": {"response": sum(read.values()), "request": 7, "warcinfo": 3, "<b>odd</b>": 1},
            "skipped_ranges": 2,
            "skipped_bytes": 300,
            "first_skipped": [["/input/bad-1.warc.gz", 100, 300, "gzip"], ["/input/<i>.gz", 500, 600, "gzip"]],
        },
        wall_s=12.5,
        cpu_s=20.0,
        workers=2,
        runner="local",
    )


def _merged(lines: list[Line]) -> list[Line]:
    sums: dict[tuple[Any, ...], list[int]] = {}
    for item in lines:
        key = (item.source, item.language, item.direction, item.outcome, item.reason)
        entry = sums.setdefault(key, [0, 0])
        entry[0] += item.documents
        entry[1] += item.bytes
    return [
        Line(
            stage="extract",
            source=k[0],
            language=k[1],
            direction=k[2],
            outcome=k[3],
            reason=k[4],
            documents=n,
            bytes=size,
        )
        for k, (n, size) in sorted(sums.items())
    ]


def tokenizer_and_pack(work: Path) -> None:
    """Manifests of the last two stages, as they write them, over what mix kept."""
    mix = load_manifest(str(work / "mix"))
    assert mix is not None
    kept = [x for x in mix.ledger if x.direction == "out" and x.outcome == "kept"]

    def lines(stage: str) -> list[Line]:
        return [
            Line(
                stage=stage,
                source=x.source,
                language=x.language,
                direction=direction,  # type: ignore[arg-type]
                outcome=outcome,
                reason="",
                documents=x.documents,
                bytes=x.bytes,
            )
            for x in kept
            for direction, outcome in (("in", "read"), ("out", "kept"))
        ]

    common = {"wall_s": 2.0, "cpu_s": 3.0, "workers": 2, "runner": "local"}
    against = {
        "cl100k_base": {"tokens": 900, "reduction": 0.55, "low": 0.5, "high": 0.6},
        "o200k_base": {"tokens": 700, "reduction": 0.3571, "low": 0.31, "high": 0.4},
    }
    domain = {
        "documents": 9,
        "bytes": 3000,
        "chars": 1200,
        "words": 300,
        "tokens": 450,
        "bytes_per_token": 6.667,
        "chars_per_token": 2.667,
        "fertility": 1.5,
        "byte_share": 0.01,
        "lossless": True,
        "against": against,
    }
    evaluation = {
        "model_sha256": "0" * 64,
        "pieces": 4096,
        "domains": {"ko": domain, "en": {**domain, "bytes": 2000}},
        "unused": 12,
        "renyi_efficiency": 0.5,
    }
    publish(
        str(work / "train-tokenizer"),
        [],
        stage="train-tokenizer",
        key="t" * 32,
        parts={"after": {"mix": mix.key}},
        ledger=lines("train-tokenizer"),
        details={"evaluation": evaluation, "pieces": 4096, "sha256": "0" * 64, "training": {}},
        **common,
    )
    shard = work / "pack" / "shards" / "shard-00000.arrow"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"x" * 1234)
    receipt = FileReceipt(table="shards", path=str(shard), rows=17, bytes=1234, checksum=checksum(str(shard)))
    publish(
        str(work / "pack"),
        [receipt],
        stage="pack",
        key="p" * 32,
        parts={"after": {"mix": mix.key, "train-tokenizer": "t" * 32}},
        ledger=lines("pack"),
        details={
            "sequences": 17,
            "tokens": 34_567,
            "padding": 249,
            "copies": 140,
            "cut_documents": 3,
            "cut_tokens": 7_001,
            "scattered_documents": 1,
            "concatenation_cuts": 16,
            "waste": 249 / (17 * 2048),
            "sequence_length": 2048,
            "shards": 1,
            "tokens_by_bucket": {"ko/web": 20_000, "en/web": 14_567},
            "budget": {
                "tokens": 40_000,
                "languages": [
                    _language_budget("en", 0.4, 16_000, 14_567, "reserve"),
                    _language_budget("ko", 0.6, 24_000, 20_000, "supply"),
                ],
                "buckets": [
                    _bucket_budget("en", 14_000, 14_600, 14_567, True),
                    _bucket_budget("ko", 23_000, 24_000, 20_000, False),
                ],
                "tokens_per_byte": {"en": 0.22, "ko": 0.141},
            },
            "tokenizer_sha256": "0" * 64,
            "vocab_size": 4096,
        },
        **common,
    )


def _language_budget(language: str, share: float, budget: int, packed: int, short_by: str) -> dict[str, Any]:
    return {
        "language": language,
        "share": share,
        "budget_tokens": budget,
        "available_tokens": packed,
        "packed_tokens": packed,
        "short_tokens": budget - packed,
        "short_by": short_by,
    }


def _bucket_budget(language: str, planned: int, budget: int, packed: int, met: bool) -> dict[str, Any]:
    return {
        "language": language,
        "source": "web",
        "planned_tokens": planned,
        "budget_tokens": budget,
        "available_tokens": packed,
        "packed_tokens": packed,
        "met": met,
    }
