"""The whole summary, from the manifests and from the pass over the documents."""

from datetime import UTC, datetime

from algok.pipeline.recipe import Recipe
from algok.pipeline.report import gather
from algok.pipeline.report.folder import Folder, ledger_checks, stage_rows
from algok.pipeline.report.scan import Scan, recount_checks
from algok.pipeline.report.summary import FORMAT, Alarm, Cluster, DedupSummary, Example, Failure, Summary
from algok.pipeline.report.text import language_name
from algok.schema import FAILED, KEPT, REJECTED

__all__ = ["assemble"]


def assemble(recipe: Recipe, folder: Folder, scan: Scan) -> Summary:
    """All sections; those of missing stages are null and named in the notes."""
    return Summary(
        format=FORMAT,
        recipe=recipe.name,
        generated=datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        versions=gather.versions_of(folder.manifests.values()),
        notes=_notes(folder),
        stages=stage_rows(folder),
        checks=[*ledger_checks(folder), *recount_checks(folder, scan)],
        records=gather.records(folder),
        funnel=gather.funnel(folder),
        languages=gather.flows(folder, lambda line: line.language, skip=("read",)),
        sources=gather.flows(folder, lambda line: line.source),
        cells=gather.flows(folder, lambda line: f"{line.language}/{line.source}", skip=("read",)),
        losses=gather.losses(folder),
        failures=_failures(folder, scan.examples),
        curves=scan.curves,
        samples=scan.samples,
        dedup=_dedup(folder, recipe.dedup.alarm_share, scan.sizes, scan.hosts, scan.largest),
        mix=gather.mixture(folder, recipe.mix.max_copies, language_name),
        tokenizer=gather.tokenizer(folder),
        pack=gather.packing(folder, recipe.mix.tokens_per_byte),
    )


def _notes(folder: Folder) -> list[str]:
    notes = [
        f"The stage {name} is out of date ({why}); its numbers are left out. `algok run` brings all up to date."
        for name, why in folder.stale.items()
    ]
    for name, manifest in folder.manifests.items():
        if name == "extract" and not sum(line.documents for line in manifest.ledger if line.outcome == KEPT):
            notes.append("Extraction kept no document at all: see the reasons below.")
    return notes


def _failures(folder: Folder, examples: dict[tuple[str, str], list[Example]]) -> list[Failure]:
    sums: dict[tuple[str, str], int] = {}
    for line in gather.losses(folder):
        if line.outcome == FAILED:
            key = (line.stage, line.reason)
            sums[key] = sums.get(key, 0) + line.documents
    return [
        Failure(stage=stage, step=step, documents=count, examples=examples.get((stage, step), []))
        for (stage, step), count in sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    ]


def _dedup(
    folder: Folder, alarm_share: float, sizes: list[Cluster], hosts: list[Alarm], largest: int
) -> DedupSummary | None:
    manifest = folder.manifests.get("dedup")
    if manifest is None:
        return None
    out = [line for line in manifest.ledger if line.direction == "out"]
    removed: dict[str, int] = {}
    for line in out:
        if line.outcome == REJECTED:
            removed[line.reason] = removed.get(line.reason, 0) + line.documents
    documents = sum(line.documents for line in out)
    alarms = [
        Alarm(
            kind=alarm["kind"],
            name=alarm["name"],
            documents=alarm["documents"],
            removed=alarm["removed"],
            share=alarm["removed"] / alarm["documents"],
            examples=alarm["examples"],
        )
        for alarm in manifest.details.get("alarms", [])
    ]
    return DedupSummary(
        documents=documents,
        survivors=sum(line.documents for line in out if line.outcome == KEPT),
        removed=dict(sorted(removed.items())),
        largest=largest,
        sizes=sizes,
        alarm_share=alarm_share,
        alarms=[*alarms, *(h for h in hosts if (h.kind, h.name) not in {(a.kind, a.name) for a in alarms})],
        details={k: v for k, v in manifest.details.items() if k != "alarms"},
    )
