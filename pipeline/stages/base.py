"""What all stages share: their context, when one is done, and how one is run and published."""

from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import xxhash
from filelock import FileLock, Timeout

import algok
from algok.errors import StageError
from algok.pipeline.jobs import Reporter, RunOptions, timed
from algok.pipeline.ledger import Line, check_balance, check_handover
from algok.pipeline.manifest import (
    NAME,
    Manifest,
    differences,
    load_manifest,
    missing_files,
    publish,
    read_files,
    require_manifest,
)
from algok.pipeline.recipe import Recipe
from algok.pipeline.steps import OnTally, StepResult, run_units
from algok.transforms.annotate import Kernel, Source
from algok.transforms.sinks import FileReceipt, Output
from algok.transforms.storage import delete, is_local, join, remove_leftovers, remove_tree
from algok.transforms.units import Unit, unit_of

#: Stored bytes of input below which a light step is quicker in one process: it takes less than starting workers.
SMALL_BYTES = 48_000_000

__all__ = [
    "Context",
    "Done",
    "Result",
    "Stage",
    "digest",
    "document_units",
    "package_versions",
    "run_stage",
    "stage_status",
]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage needs to know of the run. ``work`` is the folder that holds the stage folders."""

    recipe: Recipe
    work: str
    options: RunOptions
    reporter: Reporter

    def folder(self, stage: str) -> str:
        return join(self.work, stage)

    def units(
        self,
        stage: str,
        step: str,
        key: str,
        units: list[Unit],
        source: Source,
        kernels: list[Kernel],
        outputs: tuple[Output, ...],
        on_tally: OnTally | None = None,
    ) -> StepResult:
        """Run a step of units in the stage's folder."""
        return run_units(
            stage=stage,
            step=step,
            key=digest([key, algok.__version__]),
            folder=self.folder(stage),
            units=units,
            source=source,
            kernels=kernels,
            outputs=outputs,
            options=self.options if stage == "extract" else self.light(sum(unit.size for unit in units)),
            reporter=self.reporter,
            on_tally=on_tally,
        )

    def light(self, size: int) -> RunOptions:
        """Options for a step that costs little a byte: one process for small input (``size`` in bytes), since starting
        worker processes takes seconds. The result is the same."""
        if self.options.local and size < SMALL_BYTES:
            return msgspec.structs.replace(self.options, workers=1)
        return self.options


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage gives back to be published: files, ledger, and details for the summary and the report."""

    files: list[FileReceipt]
    ledger: list[Line]
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Stage(Protocol):
    """A stage. ``format`` is raised when the same configuration gives other output than before."""

    @property
    def name(self) -> str: ...
    @property
    def after(self) -> tuple[str, ...]: ...
    @property
    def format(self) -> int: ...
    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose version decides the output, besides algok itself."""

    @property
    def reads(self) -> str:
        """The stage whose kept documents this one reads, to compare the ledgers; empty for none."""

    @property
    def shows(self) -> tuple[str, ...]:
        """Stages whose results this one shows where they are there, without needing them."""

    @property
    def balance(self) -> Literal["source", "language", "none"]:
        """By what the ledger must balance."""

    def parts(self, context: Context) -> dict[str, Any]:
        """What the output depends on, besides the predecessors: recipe values and input fingerprints."""

    def run(self, context: Context, key: str) -> Result:
        """Do the work below ``context.folder(self.name)``."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How a stage ended: ``fresh`` when it ran now; ``why`` it ran."""

    manifest: Manifest
    fresh: bool
    why: str


def digest(value: Any) -> str:
    """32 hex digits of XXH3-128 over the canonical JSON of a value."""
    return xxhash.xxh3_128(msgspec.json.encode(value, order="deterministic")).hexdigest()


def package_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of algok and the named distributions."""
    return {"algok": algok.__version__, **{name: metadata.version(name) for name in packages}}


def _identity(stage: Stage, context: Context) -> tuple[str, dict[str, Any]]:
    before = {name: require_manifest(context.work, name, stage.name).key for name in stage.after}
    decided_by = package_versions(stage.packages)
    parts = {"format": stage.format, **stage.parts(context), "versions": decided_by, "after": before}
    # As it will be read back, so that old and new parts compare equal when nothing changed.
    return digest([stage.name, parts]), msgspec.json.decode(msgspec.json.encode(parts))


def stage_status(stage: Stage, context: Context) -> tuple[Manifest | None, str, dict[str, Any], str]:
    """(valid manifest or None, key, parts, why it has to run). Raises ``StageError`` when a predecessor is missing."""
    key, parts = _identity(stage, context)
    folder = context.folder(stage.name)
    manifest = load_manifest(folder)
    if manifest is None:
        return None, key, parts, "not finished before"
    if manifest.key != key:
        changes = differences(manifest.parts, parts)
        first = [c for c in changes if not c.startswith("after.")]
        again = [f"{c.split(':')[0].removeprefix('after.')} was run again" for c in changes if c.startswith("after.")]
        return None, key, parts, "; ".join((first or again)[:4])
    missing = missing_files(folder, manifest)
    if missing:
        return None, key, parts, f"{len(missing)} of its files are missing or cut short, such as {missing[0]}"
    return manifest, key, parts, ""


def run_stage(stage: Stage, context: Context, *, force: bool = False) -> Done:
    """Run and publish a stage unless it is done.

    Raises ``StageError`` when a predecessor is missing or another run uses the folder, ``LedgerError`` when the
    documents do not add up (the stage is then not published).
    """
    context = msgspec.structs.replace(context, options=msgspec.structs.replace(context.options, work=context.work))
    with _locked(context):
        manifest, key, parts, why = stage_status(stage, context)
        if manifest is not None and not force:
            return Done(manifest=manifest, fresh=False, why="")
        why = why or "asked for with --force"
        folder = context.folder(stage.name)
        delete([join(folder, NAME)])
        if force:
            remove_tree(folder)
        remove_leftovers(folder)
        context.reporter.remark(f"{stage.name}: {why}")
        clock = timed()
        result = stage.run(context, key)
        remove_leftovers(folder)  # of workers that died while the runner went on without them
        if stage.balance != "none":
            check_balance(stage.name, result.ledger, by_language=stage.balance == "language")
        if stage.reads:
            check_handover(
                stage.name, result.ledger, stage.reads, require_manifest(context.work, stage.reads, stage.name).ledger
            )
        wall, cpu = clock()
        manifest = publish(
            folder,
            result.files,
            stage=stage.name,
            key=key,
            parts=parts,
            ledger=sorted(result.ledger),
            details=result.details,
            wall_s=round(wall, 3),
            cpu_s=round(cpu, 3),
            workers=context.options.workers,
            runner=context.options.name,
        )
        for name in (".plan", ".receipts", ".spill", ".progress"):
            remove_tree(join(folder, name))
        return Done(manifest=manifest, fresh=True, why=why)


class _locked:  # noqa: N801
    """One run at a time in a local work folder; the lock ends with its process."""

    def __init__(self, context: Context) -> None:
        self._work = context.work
        self._lock: FileLock | None = None

    def __enter__(self) -> None:
        if not is_local(self._work):
            return
        Path(self._work).mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(join(self._work, ".lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise StageError(
                f"another algok run is using {self._work}: wait for it to end, or choose another folder with --work"
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()


def document_units(context: Context, *, decisions: bool, selection: tuple[str, str] | None = None) -> list[Unit]:
    """One unit for each documents file, with the files that go with it; see ``transforms.sources.DocumentRows``.

    ``selection`` is (stage, table) of the clusters or the mixture; then the texts are read with dedup's edits.
    """
    documents = read_files(context.folder("extract"), require_manifest(context.work, "extract", "any"), "documents")

    def by_unit(stage: str, table: str) -> dict[str, FileReceipt]:
        files = read_files(context.folder(stage), require_manifest(context.work, stage, "any"), table)
        return {unit_of(f.path): f for f in files}

    decided = by_unit("filter", "decisions") if decisions else {}
    selected = by_unit(*selection) if selection else {}
    edits = by_unit("dedup", "edits") if selection else {}
    units = []
    for file in documents:
        unit = unit_of(file.path)
        body: dict[str, Any] = {"documents": file.path, "rows": file.rows}
        inputs = [file.checksum]
        if decisions:
            body["decisions"] = decided[unit].path
            inputs.append(decided[unit].checksum)
        if selection:
            if unit not in selected:
                continue  # no row of this unit was kept
            body["selection"] = selected[unit].path
            inputs.append(selected[unit].checksum)
            if unit in edits and edits[unit].rows:
                body["edits"] = edits[unit].path
                inputs.append(edits[unit].checksum)
        units.append(Unit(key=unit, size=file.bytes, body=body, inputs=inputs))
    return units
