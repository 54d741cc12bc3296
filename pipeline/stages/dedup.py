"""Stage 3, dedup: exact copies, then verified near duplicates; one survivor a cluster."""

from typing import Any, Literal

import apache_beam as beam
import msgspec

from algok.dedup.options import DedupOptions
from algok.pipeline.jobs import run_job
from algok.pipeline.ledger import Line, from_counts, from_tally, total
from algok.pipeline.manifest import require_manifest
from algok.pipeline.stages.base import Context, Result, digest, document_units
from algok.schema import KEPT, REJECTED
from algok.transforms.dedup import ClusterRows, cluster_outputs, indexed_units, run_dedup
from algok.transforms.dedup_tables import Plan, count_pieces
from algok.transforms.heartbeat import Progress
from algok.transforms.shuffle import partitions_for
from algok.transforms.storage import join, remove_tree

__all__ = ["Dedup", "alarms"]

#: A source with fewer documents than this raises no alarm: its share is chance.
ALARM_DOCUMENTS = 100
#: Parts that a step's progress is told in.
_WHOLE = 1_000


def alarms(ledger: list[Line], limit: float) -> list[dict[str, Any]]:
    """Sources that lose more than ``limit`` (0..1) of their documents to deduplication."""
    read = total(ledger, "in", by_language=False)
    lost = total(ledger, "out", (REJECTED,), by_language=False)
    return [
        {"source": source, "documents": count, "removed": lost.get((source, ""), 0)}
        for (source, _), count in sorted(read.items())
        if count >= ALARM_DOCUMENTS and lost.get((source, ""), 0) > limit * count
    ]


class Dedup:
    """The steps of ``transforms.dedup``, then one row of CLUSTERS for each kept document."""

    name = "dedup"
    after: tuple[str, ...] = ("filter",)
    format = 1
    packages: tuple[str, ...] = ("datasketch",)
    reads = "filter"
    shows: tuple[str, ...] = ()
    balance: Literal["language"] = "language"

    def _options(self, context: Context) -> DedupOptions:
        fields = msgspec.structs.asdict(context.recipe.dedup)
        del fields["alarm_share"]
        return DedupOptions(**fields)

    def parts(self, context: Context) -> dict[str, Any]:
        options = msgspec.to_builtins(self._options(context))
        del options["local_pairs"]  # how, not what
        return {"dedup": options}

    def run(self, context: Context, key: str) -> Result:
        folder = context.folder(self.name)
        options = self._options(context)
        units = indexed_units(document_units(context, decisions=True))
        kept = total(require_manifest(context.work, "filter", self.name).ledger, "out", (KEPT,))
        rows = sum(kept.values())
        plan = Plan(
            units=join(folder, ".plan", "dedup.jsonl"),
            folder=join(folder, ".steps"),
            spill=join(folder, ".spill"),
            # A row of the widest shuffle that every document takes part in, the bands, has 32 bytes a band.
            partitions=partitions_for(rows * 32 * options.bands.bands),
            rows=rows,
            key=key,
            units_count=len(units),
        )

        options_here = context.light(sum(unit.size for unit in units))

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
                run_job(job, counted, options_here, progress_folder=plan.folder, on_progress=show)

        run_dedup(run, plan, units, options)
        step = digest([self.name, self.format, key])
        result = context.units(
            self.name, "clusters", step, units, ClusterRows(folder=plan.folder), [], cluster_outputs()
        )
        remove_tree(plan.folder)
        ledger = [*from_tally(self.name, result.read), *from_counts(self.name, result.counts)]
        found = alarms(ledger, context.recipe.dedup.alarm_share)
        for alarm in found:
            context.reporter.remark(
                f"dedup: ALARM source {alarm['source']} loses {alarm['removed']:,} of {alarm['documents']:,} documents "
                f"(limit dedup.alarm_share = {context.recipe.dedup.alarm_share:g})"
            )
        return Result(files=result.files, ledger=ledger, details={"alarms": found})
