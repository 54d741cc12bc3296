"""``algok dedup``: the stage itself, and the commands that look into what it did."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from algok.errors import RecipeError, StageError
from algok.pipeline.console import reported, terminal

if TYPE_CHECKING:
    from algok.pipeline.explain import Explanation

__all__ = ["StageGroup", "add_dedup_commands", "find_work"]

_WORK = click.option(
    "--work",
    metavar="DIR",
    help="Work folder of the run; default: the only one below ./work that has a finished dedup stage.",
)


class StageGroup(click.Group):
    """A stage's command that also has subcommands: what is no subcommand is the stage's recipe.

    ``algok dedup my.toml`` runs the stage, ``algok dedup explain ID`` looks into it.
    """

    def __init__(self, *args: object, stage: click.Command, **given: object) -> None:
        super().__init__(*args, **given)  # type: ignore[arg-type]
        self._stage = stage

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Options come before or after the recipe: only the first word that is a command's name makes it one.
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [self._stage.name or "", *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self._stage if cmd_name == self._stage.name else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        # The stage is the group itself: usage lines must not say its name twice.
        return ("" if command is self._stage else name), command, rest

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] RECIPE")
        for name in sorted(self.commands):
            formatter.write_usage(ctx.command_path, f"{name} [OPTIONS] ...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self._stage.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def find_work(work: str | None) -> str:
    """The work folder that is meant. Raises ``StageError`` that says what to give when it is not clear."""
    if work:
        return work
    found = sorted(str(path.parent.parent) for path in Path("work").glob("*/dedup/manifest.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise StageError("no finished dedup stage below ./work: name the work folder of the run with --work")
    raise StageError(f"several work folders have a dedup stage ({', '.join(found[:5])}): choose one with --work")


def add_dedup_commands(group: click.Group) -> None:
    """Add the commands to the group."""
    group.add_command(explain)
    group.add_command(edits)


@click.command()
@click.argument("doc_id")
@_WORK
@click.option("--members", type=click.IntRange(2, 200), default=12, show_default=True, help="Members to show.")
@click.option("--chars", type=click.IntRange(100), default=1_500, show_default=True, help="Characters of each text.")
def explain(doc_id: str, work: str | None, members: int, chars: int) -> None:
    """Show the cluster of a document: survivor, members, similarities, the texts side by side.

    DOC_ID is 32 hexadecimal digits, as in the tables and in the report's samples. Every pair of the members shown is
    compared again from the texts, by the rules of the stage.

    \b
    Example:
      algok dedup explain 5b1c0f6d2a9e4c37b8f1e2d3c4b5a697 --work work/mini-crawl
    """
    from algok.pipeline.explain import explain_document, parse_doc_id

    with reported():
        wanted = parse_doc_id(doc_id)
        try:
            found = explain_document(find_work(work), wanted, most=members)
        except RecipeError as error:
            raise StageError(f"the manifest's options of dedup cannot be read: {error}") from error
    console = _results()
    _print_members(console, found)
    _print_pairs(console, found)
    _print_texts(console, found, chars)


@click.command()
@_WORK
@click.option("--host", metavar="HOST", help="Only edits of this host.")
@click.option("--kind", type=click.Choice(["line", "span"]), help="Only lines or only spans.")
@click.option("--top", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Texts to show.")
def edits(work: str | None, host: str | None, kind: str | None, top: int) -> None:
    """Show what dedup takes out of the texts: the lines and spans that cost most bytes, with their counts.

    \b
    Example:
      algok dedup edits --work work/mini-crawl --host news.example.kr
    """
    from algok.pipeline.edits import read_edits

    with reported():
        found = read_edits(find_work(work), host=host, kind=kind, top=top)
    console = _results()
    console.print(
        f"{found.edits:,} edits take {found.bytes:,} bytes out of {found.documents:,} documents", markup=False
    )
    table = Table(show_edge=False, pad_edge=False)
    for name in ("bytes", "edits", "pages", "kind", "language", "host", "text"):
        table.add_column(name, justify="right" if name in ("bytes", "edits", "pages") else "left", overflow="fold")
    for row in found.top:
        numbers = (f"{row.bytes:,}", f"{row.edits:,}", f"{row.pages:,}")
        table.add_row(*(Text(cell) for cell in (*numbers, row.kind, row.language, row.host, row.text.strip())))
    console.print(table)


def _results() -> Console:
    """The console on stdout; wide enough for two columns when that is no terminal."""
    return Console(highlight=False) if terminal().is_terminal else Console(highlight=False, width=160)


def _print_members(console: Console, found: "Explanation") -> None:
    own = found.members[found.document]
    where = "" if found.survivor >= 0 else ", in the store of an earlier crawl"
    why = f": {own.reason}" if own.reason else ""
    console.print(f"document   {own.doc_id}  {own.outcome}{why}", markup=False)
    console.print(f"survivor   {found.cluster_id}{where}", markup=False)
    console.print(
        f"cluster    {found.size:,} documents, {found.here:,} in this run, {len(found.members):,} shown\n", markup=False
    )
    table = Table(show_edge=False, pad_edge=False)
    for name in ("#", "doc_id", "role", "similarity", "bytes", "captured", "source", "URL"):
        table.add_column(name, justify="right" if name in ("#", "similarity", "bytes") else "left", overflow="fold")
    for i, member in enumerate(found.members):
        role = "survivor" if member.survivor else member.method
        cells = [
            str(i + 1), member.doc_id, role, f"{member.similarity:.3f}", f"{member.bytes:,}", member.captured,
            member.source, member.url,
        ]  # fmt: skip
        table.add_row(*(Text(cell) for cell in cells), style="bold" if i == found.document else "")
    console.print(table)


def _print_pairs(console: Console, found: "Explanation") -> None:
    options = found.options
    bands = f"{options.bands.bands} x {options.bands.rows}"
    console.print(
        f"\npairs      an edge needs {options.verify.threshold:g}; a member stays with its survivor from "
        f"{options.verify.floor:g}; {bands} bands, {options.minhash.permutations} permutations\n",
        markup=False,
    )
    table = Table(show_edge=False, pad_edge=False)
    for name in ("pair", "similarity", "Jaccard", "estimate", "shared bands", "chance to be found", ""):
        table.add_column(name, justify="left" if not name or name == "pair" else "right")
    for pair in sorted(found.pairs, key=lambda p: (-p.similarity, p.left, p.right)):
        survivor = found.survivor in (pair.left, pair.right)
        notes = [*(["edge"] if pair.accepted else []), *(["with survivor"] if survivor else [])]
        table.add_row(
            f"{pair.left + 1} - {pair.right + 1}",
            f"{pair.similarity:.3f}",
            f"{pair.jaccard:.3f}",
            f"{pair.estimate:.3f}",
            f"{pair.shared_bands} of {options.bands.bands}",
            f"{pair.found:.1%}",
            ", ".join(notes),
        )
    console.print(table)


def _print_texts(console: Console, found: "Explanation", chars: int) -> None:
    """The document beside its survivor; a survivor beside the member least like it."""
    from algok.dedup.explain import differences

    left = found.document
    others = [p for p in found.pairs if left in (p.left, p.right)]
    if not others:
        console.print("\nThe document is the only member here; there is nothing to compare it with.", markup=False)
        return
    if found.survivor not in (-1, left):
        right = found.survivor
    else:
        least = min(others, key=lambda p: (p.similarity, p.left, p.right))
        right = least.left + least.right - left
    table = Table(show_lines=False, pad_edge=False)
    for i in (left, right):
        role = "survivor" if found.members[i].survivor else "removed"
        table.add_column(f"{i + 1}  {found.members[i].doc_id} ({role})", ratio=1, overflow="fold")
    cells = (Text(), Text())
    for part in differences(found.members[left].text, found.members[right].text):
        for cell, words in zip(cells, (part.left, part.right), strict=True):
            if words and len(cell) < chars:
                cell.append(words[: chars - len(cell)] + " ", style="" if part.kind == "same" else "bold red")
    table.add_row(*cells)
    console.print()
    console.print(table)
