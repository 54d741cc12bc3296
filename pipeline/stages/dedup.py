"""Stage 3, dedup: exact copies, then verified near duplicates, one survivor a cluster; repeated lines out of texts."""

from collections.abc import Callable
from typing import Any, Literal

import apache_beam as beam
import msgspec

from algok.dedup.bands import recall_at
from algok.dedup.options import DedupOptions
from algok.errors import RecipeError, StageError
from algok.pipeline.jobs import run_job
from algok.pipeline.ledger import from_counts, from_tally, total
from algok.pipeline.manifest import Manifest, load_manifest, read_files, require_manifest
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.pipeline.steps import StepResult
from algok.schema import KEPT
from algok.transforms.dedup import EDGE_TABLES, indexed_units, run_dedup
from algok.transforms.dedup_alarms import Alarm, AlarmLimits, build_alarms
from algok.transforms.dedup_clusters import ClusterRows, cluster_outputs
from algok.transforms.dedup_edits import EditRows, edit_outputs
from algok.transforms.dedup_store import EdgeRows, StoreRows, edge_outputs, store_outputs
from algok.transforms.dedup_tables import Plan, count_pieces
from algok.transforms.heartbeat import Progress
from algok.transforms.receipts import read_lines
from algok.transforms.shuffle import partitions_for
from algok.transforms.sinks import FileReceipt
from algok.transforms.storage import join, list_files, remove_tree
from algok.transforms.units import Unit, unit_of, write_units

__all__ = ["STORE_FORMAT", "Dedup"]

#: A source or host with fewer documents than this raises no alarm: its share is chance.
ALARM_DOCUMENTS = AlarmLimits(share=0.5, source_documents=100, host_documents=20)
#: Parts that a step's progress is told in.
_WHOLE = 1_000
#: Format of the signature store; raised when an older one cannot be read any more.
STORE_FORMAT = 1


class Dedup:
    """The steps of ``transforms.dedup``, then one row of CLUSTERS for each kept document, EDITS, and the store."""

    name = "dedup"
    after: tuple[str, ...] = ("filter",)
    format = 2
    packages: tuple[str, ...] = ("datasketch",)
    reads = "filter"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def _options(self, context: Context) -> DedupOptions:
        fields = msgspec.structs.asdict(context.recipe.dedup)
        del fields["alarm_share"], fields["earlier"]
        return DedupOptions(**fields)

    def parts(self, context: Context) -> dict[str, Any]:
        options = msgspec.to_builtins(self._options(context))
        del options["local_pairs"]  # how, not what
        stores = {path: _earlier(path, self._options(context)).key for path in context.recipe.dedup.earlier}
        return {"dedup": options, "earlier": stores}

    def run(self, context: Context, key: str) -> Result:
        folder = context.folder(self.name)
        options = self._options(context)
        documents = document_units(context, decisions=True)
        stores = [_store_units(path, _earlier(path, options)) for path in context.recipe.dedup.earlier]
        units = indexed_units(documents, stores)
        kept = total(require_manifest(context.work, "filter", self.name).ledger, "out", (KEPT,))
        stored = sum(unit.body["rows"] for store in stores for unit in store)
        rows = sum(kept.values()) + stored
        plan = Plan(
            units=join(folder, ".plan", "dedup.jsonl"),
            folder=join(folder, ".steps"),
            spill=join(folder, ".spill"),
            # A row of the widest shuffle that every document takes part in, the bands, has 32 bytes a band.
            partitions=partitions_for(rows * 32 * options.bands.bands),
            rows=rows,
            key=key,
            units_count=len(units),
            first_store=len(documents),
            store_shingles=min((unit.body["shingles"] for store in stores for unit in store), default=0),
        )
        run = self._runner(context, plan, units)
        run_dedup(run, plan, units, options)
        step = digest([self.name, self.format, key])
        own = units[: len(documents)]
        edits = self._edits(context, plan, step, own, options)
        paths = {unit_of(f.path): f for f in edits.files}
        edited = [_with_edits(unit, paths.get(unit.key)) for unit in own]
        source = ClusterRows(folder=plan.folder, first_stored=plan.first_stored)
        result = context.units(self.name, "clusters", step, edited, source, [], cluster_outputs())
        files = [*edits.files, *result.files]
        details: dict[str, Any] = {"sums": result.sums, "edits": edits.sums, "documents": rows - stored}
        if options.near:
            details["bands"] = _curve(options)
        if options.store.write:
            written, details["store"] = self._store(context, plan, step, units, options)
            files += written
        details["alarms"] = self._alarms(context, plan, own, result, run)
        remove_tree(plan.folder)
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        return Result(files=files, ledger=ledger, details=details)

    def _runner(self, context: Context, plan: Plan, units: list[Unit]) -> Callable[[str, Any], None]:
        """Runs one pipeline and shows its progress by the units and partitions that are done."""
        options = context.light(sum(unit.size for unit in units))

        def run(name: str, build: Any) -> None:
            pieces = 1

            def counted(pipeline: beam.Pipeline) -> None:
                nonlocal pieces
                build(pipeline)
                pieces = max(1, count_pieces(pipeline))

            with context.reporter.step(self.name, name, len(units), _WHOLE) as display:

                def show(progress: Progress) -> None:
                    display.update(progress._replace(bytes=_WHOLE * progress.bytes // pieces))

                job = f"algok-dedup-{name}"
                run_job(job, counted, options, progress_folder=plan.folder, on_progress=show)

        return run

    def _edits(self, context: Context, plan: Plan, step: str, own: list[Unit], options: DedupOptions) -> StepResult:
        if not list_files(plan.table("repeats", "*.arrow")):
            return StepResult(files=[], counts=[], read={}, sums={}, units=0)
        source = EditRows(folder=plan.folder, options=options)
        return context.units(self.name, "edits", step, own, source, [], edit_outputs())

    def _store(
        self, context: Context, plan: Plan, step: str, units: list[Unit], options: DedupOptions
    ) -> tuple[list[FileReceipt], dict[str, Any]]:
        """Write the store of all crawls so far; its files are named by the numbers of their units."""
        numbered = [msgspec.structs.replace(u, key=f"{u.body['index']:08d}") for u in units]
        source = StoreRows(folder=plan.folder, options=options)
        outputs = store_outputs(options.minhash.permutations)
        rows = context.units(self.name, "store", step, numbered, source, [], outputs)
        tables = [f for name in EDGE_TABLES for f in list_files(plan.table(name, "*.arrow"))]
        edges = [Unit(key=f"{i:08d}", size=f.size, body={"edges": f.path}) for i, f in enumerate(tables)]
        files = list(rows.files)
        if edges:
            files += context.units(self.name, "store_edges", step, edges, EdgeRows(), [], edge_outputs()).files
        shingles = min(options.store.shingles, plan.store_shingles or options.store.shingles)
        about = {
            "format": STORE_FORMAT,
            "documents": sum(f.rows for f in rows.files),
            "bytes": sum(f.bytes for f in files),
            "shingles": shingles,
            "minhash": msgspec.to_builtins(options.minhash),
            "threshold": options.verify.threshold,
        }
        return files, about

    def _alarms(
        self, context: Context, plan: Plan, own: list[Unit], result: StepResult, run: Callable[[str, Any], None]
    ) -> list[dict[str, Any]]:
        clusters = {unit_of(f.path): f.path for f in result.files}
        share = context.recipe.dedup.alarm_share
        limits = msgspec.structs.replace(ALARM_DOCUMENTS, share=share)
        units = [msgspec.structs.replace(u, body={**u.body, "clusters": clusters.get(u.key)}) for u in own]
        out = plan.table("alarms")
        remove_tree(out)
        write_units(plan.units, units, "alarms")
        run("alarms", lambda p: build_alarms(p, plan, limits, out))
        found = [msgspec.json.decode(line, type=Alarm) for line in read_lines(out)]
        found.sort(key=lambda a: (a.kind != "source", -a.removed, a.name))
        return [msgspec.to_builtins(alarm) for alarm in found]


def _curve(options: DedupOptions) -> dict[str, Any]:
    """Bands, rows, and the probability that a pair shares a band, by its Jaccard similarity."""
    bands, rows = options.bands.bands, options.bands.rows
    wanted = sorted({*(i / 20 for i in range(10, 20)), options.verify.threshold})
    return {"bands": bands, "rows": rows, "recall": [[j, round(recall_at(j, bands, rows), 4)] for j in wanted]}


def _with_edits(unit: Unit, file: FileReceipt | None) -> Unit:
    if file is None:
        return unit
    return msgspec.structs.replace(unit, body={**unit.body, "edits": file.path}, inputs=[*unit.inputs, file.checksum])


def _folder_of(path: str) -> str:
    """The dedup stage's folder: of a work folder, or named itself."""
    return join(path, "dedup") if load_manifest(path) is None else path


def _earlier(path: str, options: DedupOptions) -> Manifest:
    """The manifest of an earlier crawl's dedup stage. Raises ``StageError`` when it has no store, ``RecipeError`` when
    its signatures cannot be compared with this recipe's."""
    if not options.near:
        raise RecipeError("dedup.earlier needs dedup.near = true: stores hold signatures")
    manifest = load_manifest(_folder_of(path))
    if manifest is None or manifest.stage != "dedup":
        raise StageError(f"dedup.earlier: there is no finished dedup stage in {path}: name its work folder")
    store = manifest.details.get("store")
    if store is None:
        raise StageError(f"dedup.earlier: {path} has no signature store: run its dedup with `store.write = true`")
    if store["format"] != STORE_FORMAT:
        raise StageError(
            f"dedup.earlier: the store in {path} has format {store['format']}, this version reads {STORE_FORMAT}"
        )
    ours = msgspec.json.decode(msgspec.json.encode(options.minhash))  # as the manifest's were read
    if store["minhash"] != ours:
        raise RecipeError(
            f"dedup.earlier: the store in {path} was made with dedup.minhash = {store['minhash']}, this recipe "
            f"has {ours}: signatures of different kinds cannot be compared"
        )
    return manifest


def _store_units(path: str, manifest: Manifest) -> list[Unit]:
    """The files of a store in the order of their numbers, with the accepted pairs spread over them. A listed file that
    is missing or has another size raises ``StageError``; damaged pages ``CorruptionError`` when they are read."""
    folder = _folder_of(path)
    files = read_files(folder, manifest, "store")
    sizes = {f.path: f.size for f in list_files(join(folder, "store*", "*.parquet"))}
    edges = read_files(folder, manifest, "store_edges")
    missing = [f.path for f in (*files, *edges) if sizes.get(f.path) != f.bytes]
    if missing:
        raise StageError(f"dedup.earlier: {missing[0]} is missing or cut short: restore it or run that crawl again")
    units = []
    for i, file in enumerate(files):
        pairs = edges[i :: len(files)]
        body = {
            "store": file.path,
            "rows": file.rows,
            "shingles": manifest.details["store"]["shingles"],
            "edges": [e.path for e in pairs],
        }
        inputs = [file.checksum, *(e.checksum for e in pairs)]
        units.append(Unit(key=f"store-{manifest.key[:8]}-{i:08d}", size=file.bytes, body=body, inputs=inputs))
    return units
