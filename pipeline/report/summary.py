"""The numbers behind the report, as they are written to ``report/summary.json``.

The schema is stable: ``format`` is raised when a field changes its meaning or goes away; new fields may be added.
Documents are rows, ``bytes`` is text in UTF-8, shares are 0..1, times are ISO 8601 in UTC, tokens are counts.
Text that comes from the crawl (URLs, titles, texts, error messages) is raw here and escaped on the page.
"""

from typing import Any, Literal

import msgspec

__all__ = [
    "FORMAT",
    "Against",
    "Alarm",
    "Check",
    "Cluster",
    "Curve",
    "DedupSummary",
    "Example",
    "Failure",
    "Flow",
    "Level",
    "Limit",
    "LossLine",
    "MixBucket",
    "MixLanguage",
    "MixSummary",
    "PackBucket",
    "PackLanguage",
    "PackSummary",
    "Records",
    "Sample",
    "SampleGroup",
    "Shard",
    "Skipped",
    "StageRow",
    "Summary",
    "TokenizerRow",
    "TokenizerSummary",
]

#: Version of this schema.
FORMAT = 1


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all parts of the summary."""


class StageRow(_Part, frozen=True):
    """How a stage ran. ``state``: done, missing, or stale (made from an earlier run of a predecessor).

    ``documents`` were read; ``per_core``: documents a second of CPU time; ``finished``: when the manifest was written.
    """

    name: str
    state: Literal["done", "missing", "stale"]
    note: str = ""
    finished: str | None = None
    runner: str = ""
    workers: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    documents: int = 0
    kept: int = 0
    rejected: int = 0
    failed: int = 0
    per_core: float | None = None
    files: int = 0
    bytes: int = 0


class Check(_Part, frozen=True):
    """A claim about the numbers that was recomputed for this report; ``detail`` says what was compared."""

    name: str
    ok: bool
    detail: str


class Skipped(_Part, frozen=True):
    """A byte range [start, end) of an input file that held no readable record."""

    file: str
    start: int
    end: int
    reason: str


class Records(_Part, frozen=True):
    """What the readers met: records by kind, those that become no document included."""

    kinds: dict[str, int]
    rows: int
    skipped_ranges: int
    skipped_bytes: int
    first_skipped: list[Skipped]


class Level(_Part, frozen=True):
    """One step of the funnel. ``share`` is of the documents that extract read; null where a level has none."""

    name: str
    stage: str
    documents: int
    bytes: int | None
    tokens: int | None
    share: float | None


class Flow(_Part, frozen=True):
    """Documents at each level of the funnel for one language or source (or a cell of both); null: level missing."""

    name: str
    levels: dict[str, int | None]
    bytes: dict[str, int | None]


class LossLine(_Part, frozen=True):
    """Documents lost in a stage for one reason, by source and language. ``outcome``: rejected or failed."""

    stage: str
    outcome: str
    reason: str
    source: str
    language: str
    documents: int
    bytes: int


class Example(_Part, frozen=True):
    """A record that failed: where it is and what went wrong."""

    source: str
    file: str
    offset: int | None
    length: int | None
    url: str | None
    error: str


class Failure(_Part, frozen=True):
    """Failed records of one step, in all stages, with examples chosen by hash."""

    stage: str
    step: str
    documents: int
    examples: list[Example]


class Limit(_Part, frozen=True):
    """One end of a rule over the documents of a policy and language.

    ``edges`` are bin borders (n + 1): bin i holds values in [edges[i], edges[i + 1]). ``counts``: all documents;
    ``open_counts``: those that break no *other* limit of the policy, so that moving this one decides them.
    ``unmeasured``/``open_unmeasured``: documents without the signal, which break no limit. ``broken``: documents beyond
    the limit; ``only``: those beyond this limit and no other; ``first``: those for which it was the reason given.
    ``limit`` has the precision in which the signal is stored; ``whole``: its values are whole numbers.
    """

    label: str
    signal: str
    per: str | None
    end: Literal["min", "max"]
    limit: float
    whole: bool
    meaning: str
    unit: str
    edges: list[float]
    counts: list[int]
    open_counts: list[int]
    unmeasured: int
    open_unmeasured: int
    broken: int
    only: int
    first: int


class Curve(_Part, frozen=True):
    """The limits of one policy over the documents of one language."""

    policy: str
    language: str
    documents: int
    kept: int
    limits: list[Limit]


class Sample(_Part, frozen=True):
    """A document. ``text`` begins after ``skipped`` characters; ``chars`` is its whole length in characters. ``marks``
    are [start, end) ranges of ``text`` that the document beside it does not have."""

    doc_id: str
    source: str
    url: str | None
    #: Input file and record, for documents without a URL.
    place: str | None = None
    title: str | None = None
    captured: str | None = None
    policy: str | None = None
    value: float | None = None
    threshold: float | None = None
    detail: str | None = None
    similarity: float | None = None
    chars: int | None = None
    text: str | None = None
    skipped: int = 0
    marks: list[tuple[int, int]] = []
    survivor: "Sample | None" = None


class SampleGroup(_Part, frozen=True):
    """Documents of one fate, by hash. ``outcome``: kept, rejected, duplicate; ``language`` 'other' is the rest."""

    stage: str
    language: str
    outcome: str
    reason: str
    documents: int
    samples: list[Sample]


class Alarm(_Part, frozen=True):
    """A source or host that lost more than the recipe's ``dedup.alarm_share`` to deduplication."""

    kind: Literal["source", "host"]
    name: str
    documents: int
    removed: int
    share: float
    examples: list[str] = []


class Cluster(_Part, frozen=True):
    """Clusters with a size from ``smallest`` to ``largest``, and the documents in them."""

    smallest: int
    largest: int
    clusters: int
    documents: int


class DedupSummary(_Part, frozen=True):
    """``removed`` by reason; ``largest``: documents of the largest cluster; ``alarm_share`` is the recipe's."""

    documents: int
    survivors: int
    removed: dict[str, int]
    largest: int
    sizes: list[Cluster]
    alarm_share: float
    alarms: list[Alarm]
    details: dict[str, Any]


class MixLanguage(_Part, frozen=True):
    """A language's budget. ``target`` and ``achieved`` are shares of the recipe's and of the planned tokens; tokens are
    estimates by bytes; ``copies`` is the mean number of copies of a document of the supply."""

    language: str
    target: float
    achieved: float
    budget_tokens: int
    supply_tokens: int
    planned_tokens: int
    short_tokens: int
    copies: float


class MixBucket(_Part, frozen=True):
    """What one source gives to one language."""

    language: str
    source: str
    documents: int
    supply_tokens: int
    planned_tokens: int


class MixSummary(_Part, frozen=True):
    """Budget against what was planned; ``words`` says shortages and repetition."""

    budget_tokens: int
    planned_tokens: int
    max_copies: float
    languages: list[MixLanguage]
    buckets: list[MixBucket]
    words: list[str]


class Against(_Part, frozen=True):
    """Share of another encoding's tokens that ours saves (negative: it needs more), with its 95 % interval."""

    name: str
    reduction: float
    low: float
    high: float


class TokenizerRow(_Part, frozen=True):
    """Evaluation on the held-out documents of one language. ``fertility``: tokens a white-space separated word."""

    language: str
    documents: int
    bytes: int
    tokens: int
    bytes_per_token: float
    fertility: float
    lossless: bool
    against: list[Against]


class TokenizerSummary(_Part, frozen=True):
    """The trained model, or the given one."""

    pieces: int | None
    unused: int | None
    rows: list[TokenizerRow]
    sample_documents: int
    sample_bytes: int
    details: dict[str, Any]


class Shard(_Part, frozen=True):
    """A packed shard."""

    name: str
    sequences: int
    bytes: int
    checksum: str


class PackLanguage(_Part, frozen=True):
    """Tokens of one language against its share of the recipe's budget. ``short_by``: supply, reserve, or empty.
    ``rate``: tokens for a byte that the recipe planned with; ``measured``: what they are."""

    language: str
    budget: int
    packed: int
    short: int
    short_by: str
    rate: float
    measured: float | None


class PackBucket(_Part, frozen=True):
    """Tokens of a bucket: ``planned`` by mix from bytes, ``budget`` due in counted tokens, ``packed``. ``met``: the
    last two are equal to within one sequence."""

    language: str
    source: str
    planned: int
    budget: int
    available: int
    packed: int
    met: bool


class PackSummary(_Part, frozen=True):
    """What was packed. ``padding`` in tokens; ``cut_documents`` are longer than a sequence and hold ``cut_tokens``, the
    last parts of ``scattered_documents`` of them lie apart; ``concatenation_cuts`` would be cut by plain concatenation.
    The first shards are listed."""

    sequence_length: int
    sequences: int
    tokens: int
    padding: int
    documents: int
    copies: int
    cut_documents: int
    cut_tokens: int
    scattered_documents: int
    concatenation_cuts: int
    languages: list[PackLanguage]
    buckets: list[PackBucket]
    shards: list[Shard]
    shard_count: int
    shard_bytes: int
    details: dict[str, Any]


class Summary(_Part, frozen=True):
    """Everything that the page shows. A section is null where its stage is missing."""

    format: int
    recipe: str
    generated: str
    versions: dict[str, str]
    notes: list[str]
    stages: list[StageRow]
    checks: list[Check]
    records: Records
    funnel: list[Level]
    languages: list[Flow]
    sources: list[Flow]
    cells: list[Flow]
    losses: list[LossLine]
    failures: list[Failure]
    curves: list[Curve]
    samples: list[SampleGroup]
    dedup: DedupSummary | None
    mix: MixSummary | None
    tokenizer: TokenizerSummary | None
    pack: PackSummary | None
