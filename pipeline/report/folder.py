"""The work folder as the report sees it: which stages are done, belong together, and add up."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from apache_beam.io.filesystems import FileSystems

from algok.errors import AlgokError
from algok.pipeline.ledger import Line, check_balance, check_handover, total
from algok.pipeline.manifest import NAME, Manifest, load_manifest, missing_files
from algok.pipeline.report.summary import Check, StageRow
from algok.schema import FAILED, KEPT, REJECTED
from algok.transforms.storage import is_local, join

__all__ = ["LINE", "Folder", "ledger_checks", "open_folder", "stage_rows"]

#: The stages before the report, in order, with the one whose kept documents each reads.
LINE = {
    "extract": "",
    "filter": "extract",
    "dedup": "filter",
    "mix": "dedup",
    "train-tokenizer": "mix",
    "pack": "mix",
}


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """``manifests`` of the stages that are done and fit together; ``stale`` says why the others are left out."""

    work: str
    manifests: dict[str, Manifest]
    stale: dict[str, str]
    stale_manifests: dict[str, Manifest]

    def stage(self, name: str) -> str:
        return join(self.work, name)

    def ledger(self, name: str) -> list[Line]:
        """The stage's ledger; empty when it is missing or stale."""
        return self.manifests[name].ledger if name in self.manifests else []


def open_folder(work: str) -> Folder:
    """Read the manifests. A stage made from an earlier run of a predecessor is stale: its numbers would not fit."""
    found = {name: load_manifest(join(work, name)) for name in LINE}
    good: dict[str, Manifest] = {}
    stale: dict[str, str] = {}
    for name, manifest in found.items():
        if manifest is None:
            continue
        for before, key in manifest.parts.get("after", {}).items():
            previous = found.get(before)
            if previous is None:
                stale[name] = f"{before} is missing"
            elif previous.key != key:
                stale[name] = f"{before} was run again since"
            elif before in stale:
                stale[name] = f"{before} is out of date"
        if name not in stale:
            good[name] = manifest
    left = {name: manifest for name in stale if (manifest := found[name]) is not None}
    return Folder(work=work, manifests=good, stale=stale, stale_manifests=left)


def _finished(path: str) -> str:
    seconds = Path(path).stat().st_mtime if is_local(path) else float(FileSystems.last_updated(path))
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


def stage_rows(folder: Folder) -> list[StageRow]:
    """One row for each stage of the line, in order."""
    rows = []
    for name in LINE:
        manifest = folder.manifests.get(name) or folder.stale_manifests.get(name)
        if manifest is None:
            rows.append(StageRow(name=name, state="missing", note="not run in this work folder"))
            continue
        documents = sum(total(manifest.ledger, "in").values())
        kept, rejected, failed = (
            sum(total(manifest.ledger, "out", (outcome,)).values()) for outcome in (KEPT, REJECTED, FAILED)
        )
        rows.append(
            StageRow(
                name=name,
                state="stale" if name in folder.stale else "done",
                note=folder.stale.get(name, ""),
                finished=_finished(join(folder.stage(name), NAME)),
                runner=manifest.runner,
                workers=manifest.workers,
                wall_s=manifest.wall_s,
                cpu_s=manifest.cpu_s,
                documents=documents,
                kept=kept,
                rejected=rejected,
                failed=failed,
                per_core=documents / manifest.cpu_s if documents and manifest.cpu_s > 0 else None,
                files=manifest.outputs.files,
                bytes=manifest.outputs.bytes,
            )
        )
    return rows


def _check(name: str, detail: str, test: Callable[[], None]) -> Check:
    try:
        test()
    except AlgokError as error:
        return Check(name=name, ok=False, detail=str(error))
    return Check(name=name, ok=True, detail=detail)


def ledger_checks(folder: Folder) -> list[Check]:
    """Recompute what the stages claimed: in = out for each, each read what its predecessor kept, files are there."""
    checks = []
    for name, manifest in folder.manifests.items():
        lines = manifest.ledger
        by_language = name != "extract"
        read, out = (sum(total(lines, direction).values()) for direction in ("in", "out"))
        per = "source and language" if by_language else "source"
        checks.append(
            _check(
                f"{name} balances",
                f"read {read:,} = kept + rejected + failed {out:,}, for every {per}",
                lambda name=name, lines=lines, by_language=by_language: check_balance(  # type: ignore[misc]
                    name, lines, by_language=by_language
                ),
            )
        )
        before = LINE[name]
        if before in folder.manifests:
            previous = folder.manifests[before].ledger
            kept = sum(total(previous, "out", (KEPT,)).values())
            checks.append(
                _check(
                    f"{name} read what {before} kept",
                    f"{read:,} documents of {kept:,}, for every source and language",
                    lambda name=name, lines=lines, before=before, previous=previous: check_handover(  # type: ignore[misc]
                        name, lines, before, previous
                    ),
                )
            )
        checks.append(_files_check(folder, name, manifest))
    return checks


def _files_check(folder: Folder, name: str, manifest: Manifest) -> Check:
    title = f"files of {name}"
    try:
        missing = missing_files(folder.stage(name), manifest)
    except AlgokError as error:
        return Check(name=title, ok=False, detail=str(error))
    if missing:
        return Check(name=title, ok=False, detail=f"{len(missing)} are missing or cut short, such as {missing[0]}")
    return Check(name=title, ok=True, detail=f"all {manifest.outputs.files:,} are there with their size")
