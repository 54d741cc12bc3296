"""Deduplication as Beam jobs from files to files.

::

    urls      captures of the same URL (optional)     shuffle of hashes
    exact     documents of the same content           shuffle of hashes
    pairs     signatures, bands, candidate pairs      shuffle of band keys (32 bytes a document and band)
    verify    similarity of the candidates            shuffle of short signatures, shingles of doubtful pairs
    clusters  components, survivors, chains cut       in memory, or rounds of shuffles of 16 bytes an edge
    assign    what each document of a unit is         shuffle of duplicates only
    counts    snapshots and sources of clusters       shuffle of duplicates only
    hosts     pages of each host and language         a row for each of a unit
    repeats   lines and spans of many documents       a row for each different one of a unit

``run_dedup`` runs the steps and leaves tables by unit: ``assigned`` and ``counts`` for documents with duplicates, which
``ClusterRows`` joins with the documents of a unit to rows of CLUSTERS (removal is that join); ``repeats``, in which
``EditRows`` looks up what is taken out of the texts of survivors. Files of earlier crawls' stores are units as well:
they take part in all steps up to counts with what they hold in place of a text.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
import msgspec

from algok.dedup.options import DedupOptions
from algok.transforms.dedup_assign import build_assign
from algok.transforms.dedup_counts import build_counts
from algok.transforms.dedup_edits import build_hosts, build_repeats
from algok.transforms.dedup_exact import build_exact
from algok.transforms.dedup_graph import RunJob, cluster_distributed, cluster_locally, count_edges
from algok.transforms.dedup_pairs import build_pairs
from algok.transforms.dedup_tables import Plan
from algok.transforms.dedup_urls import build_urls
from algok.transforms.dedup_verify import build_verify
from algok.transforms.storage import exists, list_files, read_json, remove_tree, write_json
from algok.transforms.units import Unit, write_units

__all__ = ["EDGE_TABLES", "DedupOptions", "indexed_units", "run_dedup"]

#: Tables of accepted pairs: settled by estimate, by shingles, and those of earlier crawls.
EDGE_TABLES = ("edges-estimate", "edges-shingles", "edges-store")


def indexed_units(units: Sequence[Unit], stores: Sequence[Sequence[Unit]] = ()) -> list[Unit]:
    """The units numbered (``body["index"]``) as all steps and sources need them: documents by their sorted keys, then
    the files of each earlier store in their order, with what their nodes are moved by (``body["base"]``)."""
    ordered = sorted(units, key=lambda unit: unit.key)
    numbered = [msgspec.structs.replace(u, body={**u.body, "index": i}) for i, u in enumerate(ordered)]
    for store in stores:
        base = len(numbered)
        numbered += [
            msgspec.structs.replace(u, body={**u.body, "index": base + i, "base": base}) for i, u in enumerate(store)
        ]
    return numbered


class _Steps:
    """Runs the steps of a plan in order and remembers in the folder which are done."""

    def __init__(self, run: RunJob, plan: Plan) -> None:
        self._run = run
        self._plan = plan
        self._note = plan.table("done.json")
        found = read_json(self._note) if plan.key and exists(self._note) else {}
        self._done: list[str] = found.get("steps", []) if found.get("key") == plan.key else []
        if not self._done:
            remove_tree(plan.folder)

    def job(self, name: str, build: Callable[[beam.Pipeline], Any]) -> None:
        """One pipeline; the shuffle files go when it has ended."""
        remove_tree(self._plan.spill)
        self._run(name, build)
        remove_tree(self._plan.spill)

    def step(self, name: str, tables: tuple[str, ...], work: Callable[[], None]) -> None:
        """Call ``work`` unless the step was done before; a half-done step loses its ``tables`` first."""
        if name in self._done:
            return
        for table in tables:
            remove_tree(self._plan.table(table))
        work()
        self._done.append(name)
        write_json(self._note, {"key": self._plan.key, "steps": self._done})


def run_dedup(run: RunJob, plan: Plan, units: Sequence[Unit], options: DedupOptions) -> None:
    """Run all steps for ``units`` (numbered; bodies as ``DocumentRows`` reads them), and write ``assigned`` by unit.

    ``run(name, build)`` runs one pipeline to its end. A run that was stopped goes on after its last finished step when
    ``plan.key`` is the same; of another key nothing is left.
    """
    steps = _Steps(run, plan)
    write_units(plan.units, list(units), plan.key or "dedup")
    if options.url != "off":
        steps.step("urls", ("urls",), lambda: steps.job("urls", lambda p: build_urls(p, plan, options)))
    steps.step("exact", ("exact",), lambda: steps.job("exact", lambda p: build_exact(p, plan, options)))
    if options.near:
        _find_near(steps, plan, options)
    near = tuple(plan.table("near", name) for name in (*map(str, range(options.verify.rounds + 1)), "store"))
    steps.step("assign", ("assigned",), lambda: steps.job("assign", lambda p: build_assign(p, plan, near)))
    steps.step("counts", ("counts",), lambda: steps.job("counts", lambda p: build_counts(p, plan)))
    if options.lines.on:
        steps.step("hosts", ("hosts",), lambda: steps.job("hosts", lambda p: build_hosts(p, plan, options)))
    if options.spans.on or list_files(plan.table("hosts", "*.arrow")):
        steps.step("repeats", ("repeats",), lambda: steps.job("repeats", lambda p: build_repeats(p, plan, options)))


def _find_near(steps: _Steps, plan: Plan, options: DedupOptions) -> None:
    edges = tuple(plan.table(name) for name in EDGE_TABLES)
    out = (edges[0], edges[1])

    def verify(p: beam.Pipeline) -> None:
        build_verify(p, plan, options, pairs=plan.table("pairs"), out=out, threshold=options.verify.threshold)

    def clusters() -> None:
        found = count_edges(edges)
        if found > options.local_pairs:
            cluster_distributed(steps.job, plan, options, edges)
        elif found:
            cluster_locally(steps.job, plan, options, edges)

    tables = ("signatures", "attributes", "pairs", "edges-store", "near/store")
    steps.step("pairs", tables, lambda: steps.job("pairs", lambda p: build_pairs(p, plan, options)))
    steps.step("verify", ("edges-estimate", "edges-shingles"), lambda: steps.job("verify", verify))
    rounds = tuple(f"near/{number}" for number in range(options.verify.rounds + 1))
    steps.step("clusters", rounds, clusters)
