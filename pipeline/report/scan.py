"""The pass over documents, decisions and clusters: curves, samples, examples, and a recount of every table."""

import msgspec

from algok.pipeline.report.folder import Folder
from algok.pipeline.report.summary import Alarm, Check, Cluster, Curve, Example, SampleGroup

__all__ = ["Scan", "recount_checks"]


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What the pass found. ``counted`` is {table: {(source, language, outcome, reason): (documents, bytes)}}."""

    curves: list[Curve] = []
    samples: list[SampleGroup] = []
    examples: dict[tuple[str, str], list[Example]] = {}
    counted: dict[str, dict[tuple[str, str, str, str], tuple[int, int]]] = {}
    sizes: list[Cluster] = []
    largest: int = 0
    hosts: list[Alarm] = []


def recount_checks(folder: Folder, scan: Scan) -> list[Check]:
    """Compare the rows counted in the tables with the ledgers."""
    return []
