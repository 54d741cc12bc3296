"""From manifests and their ledgers to the sections of the summary that need no pass over the documents."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from algok.pipeline.ledger import Line
from algok.pipeline.manifest import Manifest, read_files
from algok.pipeline.report.folder import Folder
from algok.pipeline.report.summary import (
    Against,
    Flow,
    Level,
    LossLine,
    MixBucket,
    MixLanguage,
    MixSummary,
    PackBucket,
    PackLanguage,
    PackSummary,
    Records,
    Shard,
    Skipped,
    TokenizerRow,
    TokenizerSummary,
)
from algok.schema import FAILED, KEPT, REJECTED

__all__ = ["LEVELS", "flows", "funnel", "losses", "mixture", "packing", "records", "tokenizer", "versions_of"]

#: Levels of the funnel: name, stage, and whether they are what the stage read or what it kept.
LEVELS = (
    ("read", "extract", "in"),
    ("documents", "extract", "out"),
    ("filtered", "filter", "out"),
    ("survivors", "dedup", "out"),
    ("mixture", "mix", "out"),
    ("packed", "pack", "out"),
)
#: Stages that lose documents; what the tokenizer's sample leaves out is not lost.
LOSING = ("extract", "filter", "dedup", "mix", "pack")
#: Shards and gaps listed one by one.
SHOWN_SHARDS = 200


def _kept(folder: Folder, stage: str, direction: str) -> list[Line]:
    return [
        line
        for line in folder.ledger(stage)
        if line.direction == direction and (direction == "in" or line.outcome == KEPT)
    ]


def funnel(folder: Folder) -> list[Level]:
    """The levels of the stages that are done. Bytes are null for what was read: its text was not known yet."""
    read = sum(line.documents for line in _kept(folder, "extract", "in"))
    levels = []
    for name, stage, direction in LEVELS:
        if stage not in folder.manifests:
            continue
        lines = _kept(folder, stage, direction)
        documents = sum(line.documents for line in lines)
        levels.append(
            Level(
                name=name,
                stage=stage,
                documents=documents,
                bytes=None if name == "read" else sum(line.bytes for line in lines),
                tokens=_tokens(folder, name),
                share=documents / read if read else None,
            )
        )
    return levels


def _tokens(folder: Folder, level: str) -> int | None:
    if level == "mixture":
        return int(folder.manifests["mix"].details.get("plan", {}).get("planned_tokens", 0)) or None
    if level == "packed":
        return int(folder.manifests["pack"].details.get("tokens", 0))
    return None


def flows(folder: Folder, key: Callable[[Line], str], skip: tuple[str, ...] = ()) -> list[Flow]:
    """Documents and bytes at each level by a key of the ledger lines, largest first. ``skip``: levels without it."""
    documents: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    sizes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    present = [level for level in LEVELS if level[1] in folder.manifests and level[0] not in skip]
    for name, stage, direction in present:
        for line in _kept(folder, stage, direction):
            documents[key(line)][name] += line.documents
            sizes[key(line)][name] += line.bytes
    order = sorted(documents, key=lambda k: (*(-documents[k].get(level[0], 0) for level in present), k))
    known = {level[0] for level in present}
    return [
        Flow(
            name=k,
            levels={level[0]: documents[k].get(level[0], 0) if level[0] in known else None for level in LEVELS},
            bytes={
                level[0]: sizes[k].get(level[0], 0) if level[0] in known and level[0] != "read" else None
                for level in LEVELS
            },
        )
        for k in order
    ]


def losses(folder: Folder) -> list[LossLine]:
    """All that was rejected or failed, as the ledgers have it."""
    return [
        LossLine(
            stage=line.stage,
            outcome=line.outcome,
            reason=line.reason,
            source=line.source,
            language=line.language,
            documents=line.documents,
            bytes=line.bytes,
        )
        for stage in LOSING
        for line in folder.ledger(stage)
        if line.direction == "out" and line.outcome in (REJECTED, FAILED)
    ]


def records(folder: Folder) -> Records:
    """Records by kind and what could not be read, from the manifest of extract."""
    manifest = folder.manifests["extract"]
    details = manifest.details
    return Records(
        kinds={str(k): int(v) for k, v in details.get("records_by_kind", {}).items()},
        rows=sum(line.documents for line in manifest.ledger if line.direction == "in"),
        skipped_ranges=int(details.get("skipped_ranges", 0)),
        skipped_bytes=int(details.get("skipped_bytes", 0)),
        first_skipped=[
            Skipped(file=gap[0], start=gap[1], end=gap[2], reason=str(gap[3]) if len(gap) > 3 else "")
            for gap in details.get("first_skipped", [])
        ],
    )


def versions_of(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Versions of all stages; where stages differ, all of them (``1.0, 1.1``)."""
    found: dict[str, list[str]] = {}
    for manifest in manifests:
        for name, version in manifest.versions.items():
            if version not in found.setdefault(name, []):
                found[name].append(version)
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def mixture(folder: Folder, max_copies: float, named: Callable[[str], str]) -> MixSummary | None:
    """The plan in the manifest of mix; ``named`` gives a language its name for the sentences."""
    manifest = folder.manifests.get("mix")
    plan = manifest.details.get("plan") if manifest else None
    if not plan:
        return None
    planned = int(plan["planned_tokens"])
    languages = [
        MixLanguage(
            language=row["language"],
            target=row["share"],
            achieved=row["planned_tokens"] / planned if planned else 0.0,
            budget_tokens=row["budget_tokens"],
            supply_tokens=row["supply_tokens"],
            planned_tokens=row["planned_tokens"],
            short_tokens=row["short_tokens"],
            copies=row["copies"],
        )
        for row in sorted(plan["languages"], key=lambda row: (-row["share"], row["language"]))
    ]
    buckets = [
        MixBucket(
            language=row["language"],
            source=row["source"],
            documents=row["documents"],
            supply_tokens=row["supply_tokens"],
            planned_tokens=row["planned_tokens"],
        )
        for row in sorted(plan["buckets"], key=lambda row: (-row["planned_tokens"], row["language"], row["source"]))
    ]
    words = [sentence for row in languages if (sentence := _in_words(row, max_copies, named(row.language)))]
    return MixSummary(
        budget_tokens=int(plan["tokens"]),
        planned_tokens=planned,
        max_copies=max_copies,
        languages=languages,
        buckets=buckets,
        words=words,
    )


def _percent(share: float) -> str:
    """Few digits, but never 0 for something or 100 for less than all.

    >>> _percent(0.1234), _percent(0.00004), _percent(0.9999)
    ('12 %', '0.004 %', '99.99 %')
    """
    percent = 100 * share
    if percent in (0.0, 100.0) or 10 <= percent < 99.5:
        return f"{percent:.0f} %"
    if percent > 100 or 1 <= percent < 10:
        return f"{percent:,.1f} %"
    return f"{percent:.2g} %" if percent < 1 else f"{percent:.2f} %"


def _in_words(row: MixLanguage, max_copies: float, name: str) -> str:
    if not row.budget_tokens:
        return ""
    if not row.supply_tokens:
        return f"{name} has no supply at all: nothing of its share can be filled."
    share = row.supply_tokens / row.budget_tokens
    if row.short_tokens > row.budget_tokens * 1e-4:
        reached = row.planned_tokens / row.budget_tokens
        return (
            f"{name} supply is {_percent(share)} of its budget: even at {max_copies:g} copies "
            f"it reaches {_percent(reached)} of it."
        )
    if row.planned_tokens > row.budget_tokens * (1 + 1e-4):
        return (
            f"{name} takes {_percent(row.planned_tokens / row.budget_tokens)} of its budget, to fill what others lack."
        )
    if row.copies > 1:
        return (
            f"{name} supply is {_percent(share)} of its budget: documents are taken {row.copies:.2f} times on average."
        )
    return ""


def tokenizer(folder: Folder) -> TokenizerSummary | None:
    """Evaluation of the tokenizer by language, from the manifest of train-tokenizer."""
    manifest = folder.manifests.get("train-tokenizer")
    if manifest is None:
        return None
    details = manifest.details
    evaluation: dict[str, Any] = details.get("evaluation") or {}
    rows = [
        TokenizerRow(
            language=language,
            documents=row["documents"],
            bytes=row["bytes"],
            tokens=row["tokens"],
            bytes_per_token=row["bytes_per_token"],
            fertility=row["fertility"],
            lossless=row["lossless"],
            against=[
                Against(name=name, reduction=other["reduction"], low=other["low"], high=other["high"])
                for name, other in sorted(row["against"].items(), key=lambda item: _rank_order(item[0]))
            ],
        )
        for language, row in evaluation.get("domains", {}).items()
    ]
    sampled = [line for line in manifest.ledger if line.direction == "out" and line.outcome == KEPT]
    return TokenizerSummary(
        pieces=details.get("pieces", evaluation.get("pieces")),
        unused=evaluation.get("unused"),
        rows=sorted(rows, key=lambda row: (-row.bytes, row.language)),
        sample_documents=sum(line.documents for line in sampled),
        sample_bytes=sum(line.bytes for line in sampled),
        details={k: v for k, v in details.items() if k != "evaluation"},
    )


def _rank_order(name: str) -> tuple[int, str]:
    return (0 if name == "o200k_base" else 1, name)


def _pack_languages(budget: dict[str, Any], rates: dict[str, float]) -> list[PackLanguage]:
    """Tokens by language, most first, and the rates that plan them right."""
    measured = budget.get("tokens_per_byte", {})
    rows = [
        PackLanguage(
            language=row["language"],
            budget=row["budget_tokens"],
            packed=row["packed_tokens"],
            short=row["short_tokens"],
            short_by=row["short_by"],
            rate=rates.get(row["language"], rates["default"]),
            measured=measured.get(row["language"]),
        )
        for row in budget.get("languages", [])
    ]
    return sorted(rows, key=lambda row: (-row.packed, row.language))


def _pack_buckets(budget: dict[str, Any]) -> list[PackBucket]:
    rows = [
        PackBucket(
            language=row["language"],
            source=row["source"],
            planned=row["planned_tokens"],
            budget=row["budget_tokens"],
            available=row["available_tokens"],
            packed=row["packed_tokens"],
            met=row["met"],
        )
        for row in budget.get("buckets", [])
    ]
    return sorted(rows, key=lambda row: (-row.packed, row.language, row.source))


def packing(folder: Folder, rates: dict[str, float]) -> PackSummary | None:
    """What pack wrote, from its manifest; ``rates`` are the recipe's ``mix.tokens_per_byte``."""
    manifest = folder.manifests.get("pack")
    if manifest is None:
        return None
    details = manifest.details
    files = [f for f in read_files(folder.stage("pack"), manifest) if f.table == "shards"]
    shards = [
        Shard(name=f.path.rsplit("/", 1)[-1], sequences=f.rows, bytes=f.bytes, checksum=f.checksum) for f in files
    ]
    budget = details.get("budget", {})
    sequences, length = int(details.get("sequences", 0)), int(details.get("sequence_length", 0))
    return PackSummary(
        sequence_length=length,
        sequences=sequences,
        tokens=int(details.get("tokens", 0)),
        padding=int(details.get("padding", 0)),
        documents=sum(line.documents for line in manifest.ledger if line.direction == "out" and line.outcome == KEPT),
        copies=int(details.get("copies", 0)),
        cut_documents=int(details.get("cut_documents", 0)),
        cut_tokens=int(details.get("cut_tokens", 0)),
        scattered_documents=int(details.get("scattered_documents", 0)),
        concatenation_cuts=int(details.get("concatenation_cuts", 0)),
        languages=_pack_languages(budget, rates),
        buckets=_pack_buckets(budget),
        shards=shards[:SHOWN_SHARDS],
        shard_count=len(shards),
        shard_bytes=sum(s.bytes for s in shards),
        details={k: v for k, v in details.items() if k not in ("shards", "tokens_by_bucket", "budget")},
    )
