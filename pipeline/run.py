"""The line: all stages in order, the plan of a run, and what to look at afterwards."""

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from algok.errors import AlgokError, RecipeError, StageError
from algok.pipeline.manifest import load_manifest
from algok.pipeline.stages.base import Context, Done, Stage, run_stage, stage_status
from algok.pipeline.stages.dedup import Dedup
from algok.pipeline.stages.extract import Extract
from algok.pipeline.stages.filter import Filter
from algok.pipeline.stages.mix import Mix
from algok.pipeline.stages.pack import Pack
from algok.pipeline.stages.report import Report
from algok.pipeline.stages.train_tokenizer import TrainTokenizer

__all__ = ["STAGES", "Plan", "plan_run", "run_line", "stage_named", "work_folder"]

#: In the order in which they run.
STAGES: tuple[Stage, ...] = (Extract(), Filter(), Dedup(), Mix(), TrainTokenizer(), Pack(), Report())

#: What a plan says of a stage: its name, whether it has to run, and why.
Plan = list[tuple[str, bool, str]]


def stage_named(name: str) -> Stage:
    """The stage of that name. Raises ``RecipeError`` that lists the names."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise RecipeError(f"there is no stage {name!r}; the stages are {', '.join(s.name for s in STAGES)}")


def plan_run(context: Context, stages: tuple[Stage, ...] = STAGES) -> Plan:
    """Which stages would run and why, without running anything. A stage after one that runs, runs."""
    _reach_storage(context)
    plan: Plan = []
    running: set[str] = set()
    for stage in stages:
        before = sorted(running & {*stage.after, *stage.shows})
        if before:
            known = load_manifest(context.folder(stage.name)) is not None
            plan.append((stage.name, True, f"after {', '.join(before)}" if known else "not finished before"))
            running.add(stage.name)
            continue
        manifest, _, _, why = stage_status(stage, context)
        plan.append((stage.name, manifest is None, why or "up to date"))
        if manifest is None:
            running.add(stage.name)
    return plan


def run_line(
    context: Context, stages: tuple[Stage, ...] = STAGES, *, force: frozenset[str] = frozenset()
) -> list[tuple[str, Done]]:
    """Run the stages in order; those that are done are skipped. The error of a stage says which one it was."""
    _reach_storage(context)
    results = []
    for stage in stages:
        try:
            results.append((stage.name, run_stage(stage, context, force=stage.name in force)))
        except AlgokError:
            raise
        except OSError as error:
            raise StageError(f"stage {stage.name}: {error}; run the same command again to go on from here") from error
    return results


def _reach_storage(context: Context) -> None:
    """Beam takes storage options (``--s3_endpoint_url``, …) from a job; the driver lists files before the first one."""
    FileSystems.set_options(PipelineOptions(list(context.options.beam_args)))


def work_folder(name: str, recipe_work: str | None, option: str | None) -> str:
    """The work folder: ``--work``, else the recipe's ``work``, else ``work/<recipe name>``."""
    return option or recipe_work or f"work/{name}"
