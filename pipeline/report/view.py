"""What the page's tables show: rows folded, summed and sorted from a ``Summary``. Totals are sums of what is shown."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from algok.pipeline.report import charts
from algok.pipeline.report.gather import LEVELS
from algok.pipeline.report.summary import Curve, Flow, Level, Limit, LossLine, MixSummary, SampleGroup, Summary
from algok.pipeline.report.text import language_name, share, value

__all__ = [
    "Cross",
    "Fate",
    "LossTable",
    "Reason",
    "alternatives",
    "cross",
    "fates",
    "fold",
    "heat",
    "last_level",
    "level_title",
    "loss_tables",
    "ordered_limits",
    "sample_tree",
    "stage_title",
]

#: Rows shown before the rest is folded into one.
SHOWN_LANGUAGES = 12
SHOWN_SOURCES = 12
SHOWN_REASONS = 12
HEAT_LANGUAGES = 6
HEAT_REASONS = 14
#: Steps of the slider under a curve.
SLIDER_STEPS = 120
#: Shares kept for which the table of a curve names the limit.
ASKED_SHARES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)

_TITLES = {
    "read": "Records read",
    "documents": "Documents",
    "filtered": "Kept by filter",
    "survivors": "Survivors of dedup",
    "mixture": "In the mixture",
    "packed": "Packed",
}
_STAGES = {
    "extract": "Extract",
    "filter": "Filter",
    "dedup": "Deduplication",
    "mix": "Mixture",
    "train-tokenizer": "Tokenizer",
    "pack": "Packing",
}


def level_title(name: str) -> str:
    """Heading of a level of the funnel."""
    return _TITLES.get(name, name)


def stage_title(name: str) -> str:
    """Heading of a stage."""
    return _STAGES.get(name, name)


def fold(flows: Sequence[Flow], shown: int, what: str) -> list[Flow]:
    """The first ``shown`` rows, the rest as one (``11 other languages``), and the total. Nulls stay null.

    >>> rows = [Flow(name=n, levels={"read": 2}, bytes={"read": None}) for n in "abc"]
    >>> [(row.name, row.levels["read"]) for row in fold(rows, 1, "things")]
    [('a', 2), ('2 other things', 4), ('Total', 6)]
    """
    if not flows:
        return []
    rest = list(flows[shown:]) if len(flows) > shown + 1 else []
    rows = list(flows[: len(flows) - len(rest)])
    if rest:
        rows.append(_sum(rest, f"{len(rest)} other {what}"))
    return [*rows, _sum(rows, "Total")]


def _sum(rows: Sequence[Flow], name: str) -> Flow:
    def add(values: Sequence[int | None]) -> int | None:
        known = [v for v in values if v is not None]
        return sum(known) if known else None

    return Flow(
        name=name,
        levels={key: add([row.levels[key] for row in rows]) for key in rows[0].levels},
        bytes={key: add([row.bytes[key] for row in rows]) for key in rows[0].bytes},
    )


def last_level(summary: Summary) -> Level | None:
    """The deepest level that counts documents of the crawl."""
    return summary.funnel[-1] if summary.funnel else None


class Cross(NamedTuple):
    """A language x source table: documents kept at the last level, and of how many that were extracted."""

    columns: list[str]
    rows: list[tuple[str, list[tuple[int, int]]]]


def cross(summary: Summary, level: str, base: str = "documents", languages: int = 12, sources: int = 6) -> Cross:
    """Cells (at ``level``, at ``base``) with folded rows and columns and with totals, largest first."""
    sums: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for cell in summary.cells:
        language, _, source = cell.name.partition("/")
        a, b = sums[language, source]
        sums[language, source] = (a + (cell.levels.get(level) or 0), b + (cell.levels.get(base) or 0))

    def ranked(index: int, shown: int, what: str) -> tuple[list[str], dict[str, str]]:
        totals: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        for key, (a, b) in sums.items():
            totals[key[index]] = (totals[key[index]][0] + a, totals[key[index]][1] + b)
        order = sorted(totals, key=lambda k: (-totals[k][0], -totals[k][1], k))
        if len(order) <= shown + 1:
            return order, {k: k for k in order}
        other = f"{len(order) - shown} other {what}"
        return [*order[:shown], other], {k: k if i < shown else other for i, k in enumerate(order)}

    rows, row_of = ranked(0, languages, "languages")
    columns, column_of = ranked(1, sources, "sources")
    table: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
    for (language, source), (a, b) in sums.items():
        for key in (
            (row_of[language], column_of[source]),
            (row_of[language], "Total"),
            ("Total", column_of[source]),
            ("Total", "Total"),
        ):
            table[key] = (table[key][0] + a, table[key][1] + b)
    columns = [*columns, "Total"]
    return Cross(columns, [(row, [table[row, column] for column in columns]) for row in [*rows, "Total"]])


class Reason(NamedTuple):
    """Documents lost for one reason."""

    name: str
    outcome: str
    documents: int
    bytes: int


class LossTable(NamedTuple):
    """What one stage lost, by reason, largest first; ``read`` is what came in."""

    stage: str
    read: int
    lost: int
    reasons: list[Reason]


def loss_tables(summary: Summary) -> list[LossTable]:
    """One table for each stage that is done, also when it lost nothing."""
    tables = []
    for row in summary.stages:
        lines = [line for line in summary.losses if line.stage == row.name]
        if row.state != "done" or row.name == "train-tokenizer":
            continue
        sums: dict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for line in lines:
            a, b = sums[line.reason, line.outcome]
            sums[line.reason, line.outcome] = (a + line.documents, b + line.bytes)
        reasons = [Reason(reason, outcome, n, size) for (reason, outcome), (n, size) in sums.items()]
        reasons.sort(key=lambda r: (-r.documents, r.name))
        tables.append(LossTable(row.name, row.documents, sum(r.documents for r in reasons), reasons))
    return tables


class Fate(NamedTuple):
    """Where the documents of one language or source ended: kept to the end, or lost by stage."""

    name: str
    documents: int
    kept: int
    lost: dict[str, int]


def fates(
    flows: Sequence[Flow], losses: Sequence[LossLine], key: Callable[[LossLine], str], base: str, last: str
) -> list[Fate]:
    """For each row of ``flows`` (not folded): documents at ``base``, at ``last``, and those lost between, by stage."""
    stages = [stage for level, stage, _ in LEVELS if _order(base) < _order(level) <= _order(last)]
    if base == "read":
        stages = ["extract", *stages]
    by: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in losses:
        if line.stage in stages:
            by[key(line)][line.stage] += line.documents
    return [
        Fate(flow.name, flow.levels[base] or 0, flow.levels[last] or 0, {s: by[flow.name].get(s, 0) for s in stages})
        for flow in flows
        if flow.levels[base]
    ]


def by_language(line: LossLine) -> str:
    """Key of ``fates``."""
    return line.language


def by_source(line: LossLine) -> str:
    """Key of ``fates``."""
    return line.source


def fate_parts(row: Fate) -> list[tuple[float, str, str]]:
    """A fate as the parts of a stacked bar."""
    names = [("kept", "kept", row.kept), *((stage_title(s), s, n) for s, n in row.lost.items())]
    return [(n / row.documents, kind, f"{title}: {n:,}") for title, kind, n in names if n]


def _order(level: str) -> int:
    return [name for name, _, _ in LEVELS].index(level)


def fold_fates(rows: Sequence[Fate], shown: int, what: str) -> list[Fate]:
    """The first rows and the rest as one."""
    if len(rows) <= shown + 1:
        return list(rows)
    rest = rows[shown:]
    lost = {stage: sum(row.lost[stage] for row in rest) for stage in rest[0].lost}
    other = Fate(f"{len(rest)} other {what}", sum(r.documents for r in rest), sum(r.kept for r in rest), lost)
    return [*rows[:shown], other]


class Heat(NamedTuple):
    """Reasons of one stage (rows) by language (columns): documents, and their share of the language's."""

    columns: list[tuple[str, int]]
    rows: list[tuple[str, list[tuple[int, float]]]]


def heat(summary: Summary, stage: str, level: str) -> Heat:
    """The reasons of ``stage`` for the largest languages; shares of the language's documents at ``level``."""
    totals = {flow.name: flow.levels.get(level) or 0 for flow in summary.languages}
    names = [flow.name for flow in summary.languages if totals[flow.name]][:HEAT_LANGUAGES]
    sums: dict[tuple[str, str], int] = defaultdict(int)
    by_reason: dict[str, int] = defaultdict(int)
    for line in summary.losses:
        if line.stage == stage and line.language in names:
            sums[line.reason, line.language] += line.documents
            by_reason[line.reason] += line.documents
    reasons = sorted(by_reason, key=lambda r: (-by_reason[r], r))[:HEAT_REASONS]
    return Heat(
        [(name, totals[name]) for name in names],
        [(r, [(sums[r, n], sums[r, n] / totals[n]) for n in names]) for r in reasons],
    )


def ordered_limits(curve: Curve) -> list[Limit]:
    """Limits that have a curve; those that are the reason of most rejections first."""
    drawn = [limit for limit in curve.limits if not _untouched(limit)]
    return sorted(drawn, key=lambda limit: (-limit.first, -limit.broken, limit.label, limit.end))


def untouched_limits(curve: Curve) -> list[Limit]:
    """Limits that no document breaks, of a signal that is the same for all (or for none measured)."""
    return [limit for limit in curve.limits if _untouched(limit)]


def _untouched(limit: Limit) -> bool:
    return limit.broken == 0 and sum(1 for number in limit.counts if number) <= 1


def alternatives(limit: Limit, kept_at: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """The strictest limit that still keeps each of ASKED_SHARES of the documents, by this limit alone:
    (limit, share kept with all limits, share kept by this alone); shares that no limit reaches are left out."""
    rows: list[tuple[float, float, float]] = []
    ordered = kept_at if limit.end == "max" else kept_at[::-1]
    for wanted in ASKED_SHARES:
        found = next((row for row in ordered if row[2] >= wanted), None)
        if found is not None and (not rows or rows[-1] != found):
            rows.append(found)
    return rows


def sample_tree(groups: Sequence[SampleGroup]) -> list[tuple[str, list[SampleGroup]]]:
    """Groups with samples, by language in the order of their documents, 'other' and '' last."""
    by: dict[str, list[SampleGroup]] = defaultdict(list)
    for group in groups:
        if group.samples:
            by[group.language].append(group)
    totals = {language: sum(g.documents for g in rows) for language, rows in by.items()}
    order = sorted(by, key=lambda k: (k in ("other", ""), k == "", -totals[k], k))
    rank = {"kept": 0, "rejected": 1, "duplicate": 2}
    return [
        (language, sorted(by[language], key=lambda g: (rank.get(g.outcome, 3), -g.documents, g.reason)))
        for language in order
    ]


class Slider(NamedTuple):
    """What the slider of a curve steps through: JSON rows [limit, x, kept in all, kept by this alone], and where it
    stands now."""

    json: str
    start: int


def slider(limit: Limit) -> Slider | None:
    """At most SLIDER_STEPS limits over the curve's range, the current one among them; None without documents."""
    rows = charts.positions(limit)
    if len(rows) < 2:
        return None
    start = min(range(len(rows)), key=lambda i: abs(rows[i][0] - limit.limit))
    step = -(-len(rows) // SLIDER_STEPS)
    picked = [i for i in range(len(rows)) if i % step == start % step]
    values = [[value(rows[i][0]), round(rows[i][1], 1), share(rows[i][2]), share(rows[i][3])] for i in picked]
    return Slider(msgspec.json.encode(values).decode(), picked.index(start))


def scale(mix: MixSummary) -> float:
    """The share at the right end of the mixture's bars."""
    return max([0.01, *(max(row.target, row.achieved) for row in mix.languages)]) * 1.02


def sentence(summary: Summary) -> str:
    """The whole story in one or two sentences."""
    levels = {level.name: level for level in summary.funnel}
    read, last = levels.get("read"), summary.funnel[-1] if summary.funnel else None
    if read is None or last is None or not read.documents:
        return "Nothing was read."
    words = {
        "documents": "became documents",
        "filtered": "passed the filter",
        "survivors": "survived filter and deduplication",
        "mixture": "are in the mixture",
        "packed": "were packed",
    }
    part_kept = share(last.documents / read.documents)
    top = [flow for flow in summary.languages if flow.levels.get(last.name)]
    top.sort(key=lambda flow: -(flow.levels[last.name] or 0))
    text = f"Of {read.documents:,} records that were read, {last.documents:,} ({part_kept}) {words.get(last.name, '')}"
    if top and last.documents:
        first = top[0]
        part = share((first.levels[last.name] or 0) / last.documents)
        text += f"; {part} of these are {language_name(first.name)}"
    return text + "."
