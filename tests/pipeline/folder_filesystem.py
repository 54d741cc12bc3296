"""A Beam filesystem that is not local: ``folder://<name>/…`` maps to a directory named by an environment variable.

Nothing of algok may assume local paths; a run with input and work folder here shows it.
"""

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

ROOT = "ALGOK_TEST_FOLDER"


def real(path: str) -> Path:
    return Path(os.environ[ROOT]) / re.sub(r"^folder://", "", path)


class FolderFileSystem(FileSystem):
    @classmethod
    def scheme(cls) -> str:
        return "folder"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        real(path).mkdir(parents=True)

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        start = real(dir_or_prefix)
        for path in sorted(Path(os.environ[ROOT]).rglob("*")):
            if path.is_file() and str(path).startswith(str(start)):
                name = "folder://" + str(path.relative_to(os.environ[ROOT]))
                yield FileMetadata(name, path.stat().st_size, path.stat().st_mtime)

    def create(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        real(path).parent.mkdir(parents=True, exist_ok=True)
        return real(path).open("wb")

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> Any:
        try:
            return io.BytesIO(real(path).read_bytes())
        except OSError as error:
            raise BeamIOError(f"open {path}", {path: error}) from error

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for a, b in zip(source_file_names, destination_file_names, strict=True):
            shutil.copyfile(real(a), real(b))

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for a, b in zip(source_file_names, destination_file_names, strict=True):
            real(a).rename(real(b))

    def exists(self, path: str) -> bool:
        return real(path).exists()

    def size(self, path: str) -> int:
        return real(path).stat().st_size

    def last_updated(self, path: str) -> float:
        return real(path).stat().st_mtime

    def checksum(self, path: str) -> str:
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            target = real(path)
            if target.is_dir():
                shutil.rmtree(target)
            elif target.exists():
                target.unlink()
            else:
                raise BeamIOError(f"delete {path}", {path: FileNotFoundError(path)})
