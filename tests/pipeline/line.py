"""Running the line on a small synthetic crawl, and reading what came out in an order that does not depend on units."""

from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from algok.pipeline.jobs import Quiet, RunOptions
from algok.pipeline.recipe import Recipe, parse_recipe
from algok.pipeline.run import STAGES, run_line
from algok.pipeline.stages.base import Context, Done

#: Where the rows of a stage are; addresses (unit, row) differ when the input is split in another way.
TABLES = {
    "extract": ("documents", "rejected", "failed"),
    "filter": ("decisions",),
    "dedup": ("clusters",),
    "mix": ("mixture",),
    "train-tokenizer": ("sample",),
    "pack": ("packed", "index", "lookup"),
}

RECIPE = """
name = "test"
seed = 3
[[sources]]
name = "crawl"
paths = {paths}
[mix]
tokens = 60_000
[mix.shares]
ko = 0.7
en = 0.3
[tokenizer]
vocab_size = 3_000
sample_mb = 0.5
held_out_share = 0.1
allow_smaller = true
[pack]
sequence_length = 2_048
shard_mb = 0.04
"""


def recipe_text(paths: list[str]) -> str:
    return RECIPE.replace("{paths}", msgspec.json.encode(paths).decode())


def recipe_for(paths: list[str], **sections: dict[str, Any]) -> Recipe:
    recipe = parse_recipe(recipe_text(paths), where="test", base=Path("/"))
    for name, values in sections.items():
        recipe = msgspec.structs.replace(recipe, **{name: msgspec.structs.replace(getattr(recipe, name), **values)})
    return recipe


def context(recipe: Recipe, work: Path, workers: int = 1) -> Context:
    return Context(recipe=recipe, work=str(work), options=RunOptions(workers=workers), reporter=Quiet())


def run_to(recipe: Recipe, work: Path, last: str = "pack", workers: int = 1) -> dict[str, Done]:
    """Run the stages up to ``last``."""
    names = [stage.name for stage in STAGES]
    return dict(run_line(context(recipe, work, workers), STAGES[: names.index(last) + 1]))


def rows(work: Path, stage: str, table: str) -> list[dict[str, Any]]:
    """All rows of a table without their addresses, sorted."""
    files = sorted((work / stage / table).glob("*.parquet"))
    if not files:
        return []
    joined = pa.concat_tables([pq.read_table(path) for path in files])
    joined = joined.drop_columns([c for c in ("unit", "row") if c in joined.column_names])
    return sorted(joined.to_pylist(), key=lambda row: tuple(str(v) for v in row.values()))


def outcome(work: Path, last: str = "pack") -> dict[str, Any]:
    """Everything that must not depend on workers, batches, splits and file order."""
    names = list(TABLES)
    found: dict[str, Any] = {}
    for stage in names[: names.index(last) + 1]:
        for table in TABLES[stage]:
            found[f"{stage}/{table}"] = rows(work, stage, table)
    if last == "pack":
        for path in sorted((work / "pack" / "shards").glob("*.arrow")):
            found[f"pack/{path.name}"] = pa.ipc.open_file(path).read_all().to_pydict()
        found["model"] = (work / "train-tokenizer" / "tokenizer.model").read_bytes()
    return found


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left.keys() == right.keys()
    for key in left:
        assert left[key] == right[key], f"{key} differs"
