"""Manifests: what a finished stage read and wrote. Written last; without one a stage is not done."""

import platform
from importlib import metadata
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

import algok
from algok.errors import CorruptionError, StageError
from algok.pipeline.ledger import Line
from algok.transforms.sinks import FileReceipt
from algok.transforms.storage import (
    AtomicFile,
    atomic_bytes,
    checksum,
    delete,
    exists,
    join,
    list_tree,
    open_read,
    read_bytes,
)

__all__ = ["FileList", "Manifest", "differences", "load_manifest", "publish", "read_files", "require_manifest"]

NAME = "manifest.json"
#: The list of files has as many rows as the stage has files: at 30 billion documents some millions.
FILES = "files.parquet"
_FILES_SCHEMA = pa.schema(
    [
        ("table", pa.string()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("bytes", pa.int64()),
        ("checksum", pa.string()),
    ]
)
_PACKAGES = ("apache-beam", "pyarrow", "trafilatura", "fasttext", "sentencepiece", "datasketch", "numpy", "numba")


class FileList(msgspec.Struct, frozen=True, kw_only=True):
    """Where the list of output files is, and its sums. Paths in it are relative to the stage folder."""

    path: str
    checksum: str
    files: int
    bytes: int
    rows: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``key`` identifies configuration and input; ``parts`` are what it was made of, to explain a re-run."""

    stage: str
    key: str
    parts: dict[str, Any]
    outputs: FileList
    ledger: list[Line]
    details: dict[str, Any]
    wall_s: float
    cpu_s: float
    workers: int
    runner: str
    versions: dict[str, str]


def versions() -> dict[str, str]:
    """Versions of what decides the output."""
    found = {"algok": algok.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        found[name] = metadata.version(name)
    return found


def load_manifest(folder: str) -> Manifest | None:
    """The stage's manifest, or None when the stage is not done. Raises ``CorruptionError`` when it cannot be read."""
    path = join(folder, NAME)
    if not exists(path):
        return None
    try:
        return msgspec.json.decode(read_bytes(path), type=Manifest)
    except msgspec.MsgspecError as error:
        raise CorruptionError(f"{path} is damaged ({error}); delete it and run again") from error


def require_manifest(work: str, stage: str, needed_by: str) -> Manifest:
    """The predecessor's manifest. Raises ``StageError`` that says which command makes it."""
    manifest = load_manifest(join(work, stage))
    if manifest is None:
        raise StageError(
            f"stage {needed_by} needs stage {stage}, which is not finished in {work}: "
            f"run `algok {stage}` with the same recipe first, or `algok run` for all stages"
        )
    return manifest


def read_files(folder: str, manifest: Manifest, table: str | None = None) -> list[FileReceipt]:
    """The stage's files (of one table), with full paths, sorted by path.

    Raises ``CorruptionError`` when the list is not the one that the manifest names, or a file is missing.
    """
    path = join(folder, manifest.outputs.path)
    if not exists(path) or checksum(path) != manifest.outputs.checksum:
        raise CorruptionError(f"{path} is missing or damaged; delete {join(folder, NAME)} and run again")
    with open_read(path) as file:
        rows = pq.read_table(file).to_pylist()
    return [
        FileReceipt(
            table=r["table"], path=join(folder, r["path"]), rows=r["rows"], bytes=r["bytes"], checksum=r["checksum"]
        )
        for r in rows
        if table is None or r["table"] == table
    ]


def missing_files(folder: str, manifest: Manifest) -> list[str]:
    """Paths of the manifest's files that are gone or have another size (the check of a resumed run)."""
    sizes = {found.path: found.size for found in list_tree(folder)}
    return [f.path for f in read_files(folder, manifest) if sizes.get(f.path) != f.bytes]


def damaged_files(folder: str, manifest: Manifest) -> list[str]:
    """Paths of the manifest's files whose checksum differs: reads every byte."""
    return [f.path for f in read_files(folder, manifest) if not exists(f.path) or checksum(f.path) != f.checksum]


def publish(folder: str, files: list[FileReceipt], **fields: Any) -> Manifest:
    """Write the file list, then the manifest, then delete files of the stage that are not listed."""
    relative = [
        msgspec.structs.replace(f, path=f.path[len(folder) :].lstrip("/")) for f in sorted(files, key=lambda f: f.path)
    ]
    table = pa.Table.from_pylist([msgspec.structs.asdict(f) for f in relative], schema=_FILES_SCHEMA)
    sink = AtomicFile(join(folder, FILES))
    pq.write_table(table, sink, compression="zstd")
    sink.commit()
    rows: dict[str, int] = {}
    for f in relative:
        rows[f.table] = rows.get(f.table, 0) + f.rows
    manifest = Manifest(
        outputs=FileList(
            path=FILES,
            checksum=sink.checksum,
            files=len(relative),
            bytes=sum(f.bytes for f in relative),
            rows=dict(sorted(rows.items())),
        ),
        versions=versions(),
        **fields,
    )
    encoded = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1)
    atomic_bytes(join(folder, NAME), encoded + b"\n")
    keep = {f.path for f in relative} | {FILES, NAME}
    stale = [found.path for found in list_tree(folder) if found.path[len(folder) :].lstrip("/") not in keep]
    delete(stale)
    return manifest


def differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """What changed between the parts of two stage keys, in words.

    >>> differences({"recipe": {"a": 1}}, {"recipe": {"a": 2}})
    ['recipe.a: 1 -> 2']
    """
    found = []
    for key in sorted(old.keys() | new.keys()):
        full = f"{path}.{key}" if path else key
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, full)
        elif a != b:
            if key not in old:
                found.append(f"{full}: new")
            elif key not in new:
                found.append(f"{full}: gone")
            else:
                found.append(f"{full}: {_short(a)} -> {_short(b)}")
    return found


def _short(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
