"""Files on any Beam filesystem: listing, fingerprints, and writing that is atomic.

A path without a scheme is a local file. Everything that algok writes appears under its final name only when it is
whole: on local disks and HDFS through a temporary name and a rename, on object stores because an object shows up
when its upload ends. A temporary file of a killed run is never read; ``remove_leftovers`` deletes it.
"""

import contextlib
import errno
import glob as globbing
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
import xxhash
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from algok.errors import InputError, StageError

__all__ = [
    "AtomicFile",
    "Found",
    "atomic_bytes",
    "checksum",
    "delete",
    "exists",
    "fingerprint",
    "is_local",
    "join",
    "list_files",
    "list_tree",
    "open_read",
    "read_bytes",
    "read_json",
    "remove_leftovers",
    "remove_tree",
    "write_json",
]

#: Marks names that are not whole yet.
TEMPORARY = ".tmp-"
#: Bytes hashed at the head, the middle and the tail of a large input by ``fingerprint``.
SAMPLE = 256 * 1024
#: Object stores publish an object when its upload ends and cannot rename atomically.
_OBJECT_STORES = ("s3", "gs", "az", "abfs", "abfss")
#: Bytes of a file for an object store that are kept in memory; more goes to the local temporary disk.
_SPOOLED = 8 << 20


class Found(NamedTuple):
    """A listed file and its size in bytes."""

    path: str
    size: int


def is_local(path: str) -> bool:
    """Whether the path has no scheme.

    >>> is_local("/data/a.warc.gz"), is_local("s3://bucket/a.warc.gz")
    (True, False)
    """
    return FileSystems.get_scheme(path) is None


def join(folder: str, *parts: str) -> str:
    """``folder`` and ``parts`` as one path, on any filesystem."""
    if is_local(folder):
        return str(Path(folder, *parts))
    return "/".join([folder.rstrip("/"), *parts])


def open_read(path: str) -> BinaryIO:
    """A seekable binary file. Raises ``InputError`` when it cannot be opened."""
    try:
        if is_local(path):
            return Path(path).open("rb")
        return cast(BinaryIO, FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))
    except (OSError, BeamIOError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def read_bytes(path: str) -> bytes:
    """All bytes of a (small) file."""
    with open_read(path) as file:
        return file.read()


def exists(path: str) -> bool:
    """Whether the file or folder is there."""
    return Path(path).exists() if is_local(path) else bool(FileSystems.exists(path))


def delete(paths: list[str]) -> None:
    """Delete files that may already be gone."""
    remote = [path for path in paths if not is_local(path)]
    for path in paths:
        if is_local(path):
            Path(path).unlink(missing_ok=True)
    if not remote:
        return
    try:
        FileSystems.delete(remote)  # at once: object stores take a thousand with one request
    except BeamIOError:
        for path in remote:
            with contextlib.suppress(BeamIOError):
                FileSystems.delete([path])


def list_files(pattern: str) -> list[Found]:
    """Files that match a glob (``**`` for any depth on local disks), sorted by path; unfinished ones are left out."""
    if is_local(pattern):
        # glob, not Path.glob: the pattern may be absolute or relative.
        names = sorted(n for n in globbing.glob(pattern, recursive=True) if Path(n).is_file())  # noqa: PTH207
        found = [Found(name, Path(name).stat().st_size) for name in names]
    else:
        found = _match(pattern)
    return [f for f in found if TEMPORARY not in f.path]


def _match(pattern: str) -> list[Found]:
    """Files that match a glob on a filesystem that is not local, sorted by path, unfinished ones too."""
    try:
        matches = FileSystems.match([pattern])[0].metadata_list
    except (BeamIOError, ValueError) as error:
        raise InputError(f"cannot list {pattern}: {error}") from error
    return sorted(Found(m.path, m.size_in_bytes) for m in matches)


def list_tree(folder: str) -> list[Found]:
    """All files below a folder, sorted by path; unfinished ones and those of dot folders are left out."""
    found = list_files(join(folder, "**", "*")) if is_local(folder) else list_files(join(folder, "**"))
    hidden = len(folder.rstrip("/"))
    return [f for f in found if not any(part.startswith(".") for part in f.path[hidden:].split("/"))]


def checksum(path: str) -> str:
    """XXH3-128 of the whole file, in hex."""
    digest = xxhash.xxh3_128()
    with open_read(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(path: str, size: int) -> str:
    """XXH3-128 over the size and ``SAMPLE`` bytes of the head, middle and tail (all of a small file), in hex.

    Petabytes of input cannot be hashed before each run; a changed WARC differs in size, head or tail.
    """
    digest = xxhash.xxh3_128(str(size).encode())
    with open_read(path) as file:
        if size <= 3 * SAMPLE:
            digest.update(file.read())
        else:
            for start in (0, (size - SAMPLE) // 2, size - SAMPLE):
                file.seek(start)
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()


class AtomicFile:
    """A binary file being written, that appears under its name when ``commit`` is called, and never otherwise.

    Counts and hashes what is written; ``bytes`` and ``checksum`` are those of the file. Raises ``StageError`` that
    says what to do when the disk is full.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self._ended = False
        self._digest = xxhash.xxh3_128()
        self._direct = FileSystems.get_scheme(path) in _OBJECT_STORES
        self._temporary = path if self._direct else f"{path}{TEMPORARY}{uuid.uuid4().hex[:12]}"
        self._file: Any
        if self._direct:
            # Beam's object stores publish what was written so far whenever the stream is closed, by an error or by the
            # garbage collector too: nothing is sent before it is whole.
            self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOLED)  # noqa: SIM115
        elif is_local(path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with _disk_errors(path):
                self._file = Path(self._temporary).open("wb")  # noqa: SIM115
        else:
            self._file = FileSystems.create(self._temporary, compression_type=CompressionTypes.UNCOMPRESSED)

    @property
    def checksum(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._ended:
            return view.nbytes  # a writer that is collected after abort() still wants to finish its file
        with _disk_errors(self.path):
            self._file.write(view)
        self._digest.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    # What pyarrow asks of a Python file object.
    closed = False

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        if self._ended:
            return
        with _disk_errors(self.path):
            self._file.flush()

    def close(self) -> None:
        """Nothing: pyarrow closes its sink, but only ``commit`` and ``abort`` end the file."""

    def commit(self) -> None:
        """Make the file appear. After a crash of the machine it is whole or absent."""
        if self._direct:
            self._upload()
            return
        with _disk_errors(self.path):
            if is_local(self.path):
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if is_local(self.path):
                Path(self._temporary).replace(self.path)
            else:
                if FileSystems.exists(self.path):
                    FileSystems.delete([self.path])
                FileSystems.rename([self._temporary], [self.path])

    def _upload(self) -> None:
        self._file.seek(0)
        target = FileSystems.create(self.path, compression_type=CompressionTypes.UNCOMPRESSED)
        try:
            shutil.copyfileobj(self._file, target, 1 << 20)
        except BaseException:
            with contextlib.suppress(Exception):
                target.close()
            delete([self.path])
            raise
        target.close()
        self._file.close()

    def abort(self) -> None:
        """Drop what was written; later writes are ignored."""
        self._ended = True
        with contextlib.suppress(Exception):
            self._file.close()
        if not self._direct:
            delete([self._temporary])


@contextlib.contextmanager
def _disk_errors(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StageError(
                f"no space left while writing {path}: free some space, then run the same command again; "
                "finished work is kept"
            ) from error
        raise


def atomic_bytes(path: str, data: bytes) -> None:
    """Write a small file at once."""
    file = AtomicFile(path)
    try:
        file.write(data)
        file.commit()
    except BaseException:
        file.abort()
        raise


def write_json(path: str, value: Any) -> None:
    """Write a value as indented JSON, atomically; keys keep their order."""
    atomic_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def read_json(path: str) -> Any:
    """The value of a JSON file. Raises ``InputError`` when it is not JSON."""
    try:
        return msgspec.json.decode(read_bytes(path))
    except msgspec.DecodeError as error:
        raise InputError(f"{path} is not JSON: {error}") from error


def remove_leftovers(folder: str) -> int:
    """Delete temporary files that a killed run left below a folder (object stores have none); their number."""
    if FileSystems.get_scheme(folder) in _OBJECT_STORES:
        return 0
    if is_local(folder):
        leftovers = [str(path) for path in Path(folder).rglob(f"*{TEMPORARY}*") if path.is_file()]
    else:
        leftovers = [found.path for found in _match(join(folder, "**")) if TEMPORARY in found.path]
    delete(leftovers)
    return len(leftovers)


def remove_tree(folder: str) -> None:
    """Delete a folder and all below it, if it is there."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    # File by file: on an object store a folder is no object, so it neither exists nor can be deleted.
    delete([found.path for found in _match(join(folder, "**"))])
    if FileSystems.get_scheme(folder) not in _OBJECT_STORES:
        delete([folder])
