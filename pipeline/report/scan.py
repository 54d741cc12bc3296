"""Running the report's job over a work folder, and its results as parts of the summary."""

import apache_beam as beam
import msgspec

from algok.filters.policy import Policies
from algok.pipeline.jobs import run_job
from algok.pipeline.manifest import read_files
from algok.pipeline.recipe import policies_of
from algok.pipeline.report.compare import beside
from algok.pipeline.report.folder import Folder
from algok.pipeline.report.summary import Alarm, Check, Cluster, Curve, Example, Limit, Sample, SampleGroup
from algok.pipeline.report.text import signal_meaning, signal_unit
from algok.pipeline.stages.base import Context
from algok.schema import FAILED, KEPT, REJECTED
from algok.transforms.limits import PolicyCounts, borders, is_whole, limits_of
from algok.transforms.receipts import read_lines
from algok.transforms.report import HostOptions, HostRow, Page, ScanTables, decode_lines
from algok.transforms.report_totals import DUPLICATE, SURVIVOR, Pick, ScanOptions, Totals
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import join, remove_tree
from algok.transforms.units import ReadUnits, Unit, unit_of, write_units

__all__ = ["Scan", "curves_of", "recount_checks", "scan_folder"]

#: Languages with samples of their own; the others are sampled together.
SAMPLED_LANGUAGES = 8
#: Languages with curves, and the documents that one needs: below, the shares of a histogram are chance.
CURVE_LANGUAGES = 8
CURVE_DOCUMENTS = 50
#: A host with fewer documents raises no alarm.
HOST_DOCUMENTS = 20
#: Hosts named in all.
SHOWN_HOSTS = 20
#: Bytes of a row of the host shuffle, name included.
HOST_BYTES = 64

#: Which table's rows are counted for which outcomes of a stage's ledger.
_TABLES = {
    "extract": ("documents", REJECTED, FAILED),
    "filter": ("decisions",),
    "dedup": ("clusters",),
    "mix": ("mixture",),
}


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What the pass found. ``counted`` is {table: {(source, language, outcome, reason): (documents, bytes)}}."""

    curves: list[Curve] = []
    samples: list[SampleGroup] = []
    examples: dict[tuple[str, str], list[Example]] = {}
    counted: dict[str, dict[tuple[str, str, str, str], tuple[int, int]]] = {}
    sizes: list[Cluster] = []
    largest: int = 0
    hosts: list[Alarm] = []


def scan_units(folder: Folder) -> list[Unit]:
    """A unit for each documents file, with the files of the other tables that go with it."""
    units: dict[str, dict[str, str]] = {}
    sizes: dict[str, int] = {}
    for stage, tables in _TABLES.items():
        if stage not in folder.manifests:
            continue
        for file in read_files(folder.stage(stage), folder.manifests[stage]):
            if file.table in tables:
                units.setdefault(unit_of(file.path), {})[file.table] = file.path
                sizes[unit_of(file.path)] = sizes.get(unit_of(file.path), 0) + file.bytes
    return [Unit(key=key, size=sizes[key], body=body) for key, body in sorted(units.items())]


def scan_folder(context: Context, folder: Folder, name: str) -> Scan:
    """Run the job; ``name`` is the stage's, in whose folder the job keeps its files."""
    target = context.folder(name)
    list_path = join(target, ".plan", "scan.jsonl")
    results, spill = join(target, ".receipts", "scan"), join(target, ".spill", "hosts")
    remove_tree(results)
    remove_tree(spill)
    units = scan_units(folder)
    write_units(list_path, units, "scan")
    policies = policies_of(context.recipe)
    options = ScanOptions(
        policies=policies,
        languages=frozenset(_largest(folder, SAMPLED_LANGUAGES, 1)),
        curves=frozenset(_largest(folder, CURVE_LANGUAGES, CURVE_DOCUMENTS)),
        samples=context.recipe.report.samples,
        chars=context.recipe.report.sample_chars,
        seed=context.recipe.seed,
    )
    hosts = _host_options(context, folder, spill)

    def build(pipeline: beam.Pipeline) -> None:
        _ = pipeline | "ReadUnits" >> ReadUnits(list_path) | ScanTables(options, results, target, hosts)

    with context.reporter.step(name, "scan", len(units), sum(unit.size for unit in units)) as display:
        run_job(f"algok-{name}-scan", build, context.options, progress_folder=target, on_progress=display.update)
    totals, pages, found = decode_lines(read_lines(results))
    for path in (results, spill):
        remove_tree(path)
    return Scan(
        curves=curves_of(totals, policies),
        samples=_samples(totals, pages, options.chars),
        examples=_examples(totals),
        counted=_counted(totals),
        sizes=[_cluster(first, *counts) for first, counts in sorted(totals.sizes.items())],
        largest=totals.largest,
        hosts=_alarms(found),
    )


def _largest(folder: Folder, count: int, documents: int) -> list[str]:
    """The languages with most extracted documents, by the ledger; ties by code."""
    sums: dict[str, int] = {}
    for line in folder.ledger("extract"):
        if line.direction == "out" and line.outcome == KEPT:
            sums[line.language] = sums.get(line.language, 0) + line.documents
    ranked = sorted(sums, key=lambda language: (-sums[language], language))
    return [language for language in ranked if sums[language] >= documents][:count]


def _host_options(context: Context, folder: Folder, spill: str) -> HostOptions | None:
    if "dedup" not in folder.manifests:
        return None
    rows = sum(line.documents for line in folder.ledger("dedup") if line.direction == "in")
    return HostOptions(
        share=context.recipe.dedup.alarm_share,
        documents=HOST_DOCUMENTS,
        spill=spill,
        partitions=partitions_for(rows * HOST_BYTES),
    )


def _alarms(hosts: list[HostRow]) -> list[Alarm]:
    ranked = sorted(hosts, key=lambda h: (-h.removed, h.host))[:SHOWN_HOSTS]
    return [
        Alarm(kind="host", name=h.host, documents=h.documents, removed=h.removed, share=h.removed / h.documents)
        for h in ranked
    ]


def _cluster(first: int, clusters: int, documents: int) -> Cluster:
    """Bins are single sizes up to 4, then 5..8, 9..16 and so on."""
    return Cluster(
        smallest=first, largest=first if first <= 4 else 2 * (first - 1), clusters=clusters, documents=documents
    )


def curves_of(totals: Totals, policies: Policies) -> list[Curve]:
    """Curves by documents, largest first; empty bins at both ends are cut off."""
    by_name = {policy.name: policy for policy in policies.policies}
    curves = []
    for (name, language), counted in sorted(totals.curves.items(), key=lambda item: (-item[1].documents, item[0])):
        if counted.documents >= CURVE_DOCUMENTS:
            limits = _limits(counted, by_name[name])
            curves.append(
                Curve(policy=name, language=language, documents=counted.documents, kept=counted.kept, limits=limits)
            )
    return curves


def _limits(counted: PolicyCounts, policy: object) -> list[Limit]:
    found = []
    for (rule, end, limit), c in zip(limits_of(policy), counted.limits, strict=True):  # type: ignore[arg-type]
        edges = borders(rule)
        counts, free = c.counts.tolist(), c.open_counts.tolist()
        filled = [i for i, number in enumerate(counts[:-1]) if number]
        around = [i for i, edge in enumerate(edges[:-1]) if edge <= limit][-1:]
        first, last = min([*filled, *around], default=0), max([*filled, *around], default=0)
        found.append(
            Limit(
                label=rule.label,
                signal=rule.signal,
                per=rule.per,
                end=end,
                limit=limit,
                whole=is_whole(rule),
                meaning=signal_meaning(rule.signal) + (f", per {signal_unit(rule.per)}" if rule.per else ""),
                unit="ratio" if rule.per else signal_unit(rule.signal),
                edges=list(edges[first : last + 2]),
                counts=counts[first : last + 1],
                open_counts=free[first : last + 1],
                unmeasured=counts[-1],
                open_unmeasured=free[-1],
                broken=c.broken,
                only=c.only,
                first=c.first,
            )
        )
    return found


def _place(page: Page) -> str | None:
    if page.url or not page.file:
        return None
    name = page.file.rsplit("/", 1)[-1]
    return f"{name}, record {page.record_id}" if page.record_id else name


def _sample(pick: Pick, page: Page | None) -> Sample:
    cells = pick.cells
    return Sample(
        doc_id=pick.doc_id.hex(),
        source=cells.get("source") or "",
        url=page.url if page else cells.get("url"),
        place=_place(page) if page else None,
        title=page.title if page else None,
        captured=page.captured if page else cells.get("captured"),
        policy=cells.get("policy"),
        value=cells.get("value"),
        threshold=cells.get("threshold"),
        detail=cells.get("detail"),
        similarity=cells.get("similarity"),
        chars=page.chars if page else None,
        text=page.text if page else None,
    )


def _samples(totals: Totals, pages: list[Page], chars: int) -> list[SampleGroup]:
    by_place = {(page.unit, page.row): page for page in pages}
    survivors: dict[bytes, Sample] = {}
    for (_, _, outcome, _), picks in totals.picks.items():
        if outcome == SURVIVOR:
            for pick in picks:
                sample = _sample(pick, by_place.get((pick.unit, pick.row)))
                survivors[pick.pair] = msgspec.structs.replace(sample, similarity=None)
    groups = []
    for (stage, language, outcome, reason), picks in sorted(totals.picks.items()):
        if outcome in (SURVIVOR, FAILED):
            continue
        # Groups without a language are of records that have no text; their rows are of another table.
        samples = [_sample(pick, by_place.get((pick.unit, pick.row)) if language else None) for pick in picks]
        pairs = zip(samples, picks, strict=True)
        samples = [beside(s, survivors.get(p.pair) if outcome == DUPLICATE else None, chars) for s, p in pairs]
        groups.append(
            SampleGroup(
                stage=stage,
                language=language,
                outcome=outcome,
                reason=reason,
                documents=totals.groups[stage, language, outcome, reason],
                samples=samples,
            )
        )
    return groups


def _examples(totals: Totals) -> dict[tuple[str, str], list[Example]]:
    return {
        (stage, reason): [
            Example(
                source=p.cells.get("source") or "",
                file=p.cells.get("file") or "",
                offset=p.cells.get("offset"),
                length=p.cells.get("length"),
                url=p.cells.get("url"),
                error=p.cells.get("error") or "",
            )
            for p in picks
        ]
        for (stage, _, outcome, reason), picks in totals.picks.items()
        if outcome == FAILED
    }


def _counted(totals: Totals) -> dict[str, dict[tuple[str, str, str, str], tuple[int, int]]]:
    counted: dict[str, dict[tuple[str, str, str, str], tuple[int, int]]] = {}
    for (table, source, language, outcome, reason), (documents, size) in totals.counts.items():
        counted.setdefault(table, {})[source, language, outcome, reason] = (documents, size)
    return counted


def recount_checks(folder: Folder, scan: Scan) -> list[Check]:
    """Compare the rows counted in the tables with the ledgers, by source, language, outcome and reason."""
    checks = []
    for stage, tables in _TABLES.items():
        if stage not in folder.manifests:
            continue
        ledger: dict[tuple[str, str, str, str], tuple[int, int]] = {}
        for line in folder.ledger(stage):
            if line.direction == "out":
                key = (line.source, line.language, line.outcome, line.reason)
                before = ledger.get(key, (0, 0))
                ledger[key] = (before[0] + line.documents, before[1] + line.bytes)
        rows = {key: value for table in tables for key, value in scan.counted.get(table, {}).items()}
        wrong = [key for key in sorted(ledger.keys() | rows.keys()) if ledger.get(key) != rows.get(key)]
        documents = sum(n for n, _ in rows.values())
        detail = f"{documents:,} rows counted in {', '.join(tables)}: documents and bytes as in the ledger"
        if wrong:
            first = ", ".join(filter(None, wrong[0]))
            detail = (
                f"{len(wrong)} lines differ, such as {first}: the ledger has "
                f"{ledger.get(wrong[0], (0, 0))[0]:,} documents, "
                f"the tables have {rows.get(wrong[0], (0, 0))[0]:,}"
            )
        checks.append(Check(name=f"tables of {stage}", ok=not wrong, detail=detail))
    return checks
