"""The command line: ``algok run``, one command per stage, and tools around them."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from algok import __version__
from algok.errors import RecipeError
from algok.pipeline.cluster.commands import cluster
from algok.pipeline.console import TerminalReporter, print_summary, reported, terminal
from algok.pipeline.dedup_commands import StageGroup, add_dedup_commands
from algok.pipeline.shards.commands import shards
from algok.pipeline.tokenizer_cli import tokenizer

__all__ = ["main"]

_STAGES = {
    "extract": "Read WARC/WET/ARC/JSONL/Parquet: main text, language, signals for every document.",
    "filter": "Judge the documents by the policy of their language; keep reason, value and threshold.",
    "dedup": "Exact duplicates, then MinHash near duplicates; one survivor a cluster.",
    "mix": "Meet the token budget of each language: which documents, how many copies.",
    "train-tokenizer": "Train a SentencePiece model on a sample of the mixture and evaluate it.",
    "pack": "Tokenise and pack into sequences; write Arrow shards.",
    "report": "Write the report that explains every document kept or lost.",
}

_PASS_THROUGH = {"ignore_unknown_options": True, "allow_extra_args": True}


def _default_workers() -> int:
    return max(1, min(8, len(os.sched_getaffinity(0))))


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that all running commands share."""
    for decorator in reversed(
        (
            click.argument("recipe", type=click.Path(path_type=Path)),
            click.option("--work", metavar="DIR", help="Work folder; default: the recipe's `work`, or work/<name>."),
            click.option(
                "--workers",
                type=click.IntRange(1, 256),
                default=_default_workers,
                show_default="CPUs, at most 8",
                help="Worker processes of the local runner; parallelism on Flink.",
            ),
            click.option(
                "--runner",
                default="",
                metavar="NAME",
                help="flink (see `algok cluster`), flink:PROFILE.toml, or a Beam runner; default: the local one. "
                "Other Beam options follow as they are.",
            ),
            click.option("--force", is_flag=True, help="Run even what is up to date, from scratch."),
            click.option("--dry-run", is_flag=True, help="Print what would run and why; do nothing."),
            click.option("--quiet", "-q", is_flag=True, help="No progress, only the summary and errors."),
            click.pass_context,
        )
    ):
        command = decorator(command)
    return command


@click.group(
    epilog="""\b
Examples:
  algok demo                                  the whole line on a small synthetic crawl
  algok run recipes/demo.toml --dry-run       what would run, and why
  algok run my.toml --workers 16              all stages on this machine
  algok run my.toml --runner flink            on the cluster of `algok cluster up`
  algok filter my.toml                        one stage; a changed threshold takes seconds
"""
)
@click.version_option(__version__, prog_name="algok")
def cli() -> None:
    """Curate web crawls into Korean-weighted pretraining data.

    A recipe (TOML) names the sources, policies and budgets; `algok run` takes it through seven stages, each a Beam
    job from files to files. A stage that is done is skipped; a killed run goes on where it stopped.
    """


def _context(
    recipe: Path, work: str | None, workers: int, runner: str, quiet: bool, beam_args: tuple[str, ...]
) -> tuple[Any, Any]:
    from algok.pipeline.jobs import RunOptions
    from algok.pipeline.recipe import load_recipe
    from algok.pipeline.run import work_folder
    from algok.pipeline.stages.base import Context

    loaded = load_recipe(recipe)
    console = terminal()
    folder = work_folder(loaded.name, loaded.work, work)
    if "://" not in folder:
        folder = str(Path(folder).resolve())
    options = RunOptions(workers=workers, runner=runner, beam_args=_checked(beam_args))
    context = Context(recipe=loaded, work=folder, options=options, reporter=TerminalReporter(console, quiet=quiet))
    return context, console


def _checked(beam_args: tuple[str, ...]) -> tuple[str, ...]:
    """Beam ignores options that it does not know; a misspelt one must not be lost."""
    from apache_beam.options.pipeline_options import PipelineOptions

    _, unknown = _parsed(PipelineOptions, list(beam_args))
    flags = [arg for arg in unknown if arg.startswith("-")]
    if flags:
        raise RecipeError(
            f"unknown option {flags[0]}: neither algok nor Beam knows it; see `algok run --help` and Beam's options"
        )
    return beam_args


def _parsed(options: Any, args: list[str]) -> tuple[Any, list[str]]:
    import argparse

    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    for subclass in options.__subclasses__():
        with contextlib.suppress(argparse.ArgumentError):
            if hasattr(subclass, "_add_argparse_args"):
                subclass._add_argparse_args(parser)
    return parser.parse_known_args(args)


def _run(click_context: click.Context, stages: tuple[str, ...], **given: Any) -> None:
    from algok.pipeline.run import STAGES, plan_run, run_line, stage_named

    with reported():
        context, console = _context(
            given["recipe"], given["work"], given["workers"], given["runner"], given["quiet"], tuple(click_context.args)
        )
        chosen = tuple(stage_named(name) for name in stages) or STAGES
        if given["dry_run"]:
            console.print(f"recipe {given['recipe']}, work folder {context.work}", markup=False)
            for name, runs, why in plan_run(context, chosen):
                console.print(f"  {name:<16} {'run ' if runs else 'skip'}  {why}", markup=False)
            return
        force = frozenset(stage.name for stage in chosen) if given["force"] else frozenset()
        done = run_line(context, chosen, force=force)
        print_summary(console, done)
        for line in _where(context.work, [name for name, _ in done]):
            click.echo(line)


def _where(work: str, stages: list[str]) -> Iterator[str]:
    places = {
        "extract": ("documents", "documents/"),
        "filter": ("decisions", "decisions/"),
        "dedup": ("clusters", "clusters/"),
        "mix": ("mixture", "mixture/"),
        "train-tokenizer": ("tokenizer", "tokenizer.model"),
        "pack": ("shards", "shards/"),
        "report": ("report", "index.html"),
    }
    for stage in stages:
        label, path = places[stage]
        yield f"{label + ':':<12}{work}/{stage}/{path}"


@cli.command(context_settings=_PASS_THROUGH)
@_run_options
def run(click_context: click.Context, **given: Any) -> None:
    """Run all stages of RECIPE that are not up to date.

    \b
    Examples:
      algok run recipes/demo.toml
      algok run my.toml --work /data/run1 --workers 8
      algok run my.toml --runner flink --workers 4
    """
    _run(click_context, (), **given)


def _stage_command(name: str, text: str) -> None:
    def command(click_context: click.Context, **given: Any) -> None:
        _run(click_context, (name,), **given)

    command.__doc__ = f"{text}\n\n    Needs the stages before it in the same work folder; `algok run` does all.\n    "
    made = click.command(name, context_settings=_PASS_THROUGH)(_run_options(command))
    if name != "dedup":
        cli.add_command(made)
        return
    group = StageGroup(name, stage=made, help=made.help)
    add_dedup_commands(group)
    cli.add_command(group)


for _name, _text in _STAGES.items():
    _stage_command(_name, _text)


cli.add_command(cluster)
cli.add_command(shards)
cli.add_command(tokenizer)


@cli.command("demo-crawl")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--pages", type=click.IntRange(1), default=2_000, show_default=True, help="Pages to make.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same bytes.")
def demo_crawl(folder: Path, pages: int, seed: int) -> None:
    """Write a synthetic crawl with known truth to FOLDER: WARC files, truth.parquet, pairs.parquet.

    \b
    Example:
      algok demo-crawl work/crawl --pages 10000 --seed 7
    """
    from rich.progress import Progress

    from algok.pipeline.demo_crawl import DemoCrawlOptions, write_demo_crawl

    with reported(), Progress(console=terminal(), transient=True) as progress:
        task = progress.add_task("pages", total=pages)
        summary = write_demo_crawl(
            folder, DemoCrawlOptions(pages=pages, seed=seed), lambda done: progress.update(task, completed=done)
        )
    click.echo(f"{summary.pages:,} pages, {summary.files:,} files, {summary.bytes:,} bytes, {summary.pairs:,} pairs")
    for name in ("expected", "languages", "breakage"):
        counts = ", ".join(f"{key} {count:,}" for key, count in sorted(getattr(summary, name).items()))
        click.echo(f"{name + ':':<12}{counts}")
    click.echo(f"{'crawl:':<12}{folder / 'crawl'}\n{'truth:':<12}{folder / 'truth.parquet'}")


@cli.command(context_settings=_PASS_THROUGH)
@click.option(
    "--work", default="work/demo", show_default=True, metavar="DIR", help="Folder for the crawl and all results."
)
@click.option("--pages", type=click.IntRange(100), default=2_000, show_default=True, help="Pages of the crawl.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same crawl.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=_default_workers,
    show_default="CPUs, at most 8",
    help="Worker processes of the local runner; parallelism on Flink.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress, only the summary and errors.")
@click.pass_context
def demo(click_context: click.Context, work: str, pages: int, seed: int, workers: int, quiet: bool) -> None:
    """Make a synthetic crawl and take it through all stages; ends with the summary and the path of the report."""
    from algok.pipeline.demo import prepare_demo

    with reported():
        recipe = prepare_demo(Path(work), pages, seed)
    click_context.invoke(
        run,
        recipe=recipe,
        work=work,
        workers=workers,
        runner="",
        force=False,
        dry_run=False,
        quiet=quiet,
    )


def main() -> None:
    """Entry point; also makes Beam's start-up quiet."""
    import logging

    logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(name)s: %(message)s")
    status = 1
    try:
        cli.main(prog_name="algok")
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Threads of C++ libraries may still be alive and abort the process when the interpreter ends (seen once in ten
        # runs: "terminate called without an active exception"); all files are closed by now.
        if sys.exc_info()[0] in (None, SystemExit):
            os._exit(status)


if __name__ == "__main__":
    main()
