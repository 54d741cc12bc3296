"""Parts of a crawl for measuring: every n-th page, copied byte for byte."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastwarc import ArchiveIterator, WarcRecordType

__all__ = ["Member", "copy_pages", "payloads", "responses"]


class Member(NamedTuple):
    """A response record as a gzip member of its own: bytes ``start`` to ``end`` of ``path``."""

    path: Path
    start: int
    end: int


def responses(paths: Sequence[Path]) -> Iterator[Member]:
    """The response records of gzipped WARC files with one record a member, in order of file name and offset."""
    for path in sorted(paths):
        with path.open("rb") as file:
            starts = [
                (record.stream_pos, record.record_type == WarcRecordType.response)
                for record in ArchiveIterator(file, parse_http=False)
            ]
        ends = [start for start, _ in starts[1:]] + [path.stat().st_size]
        for (start, wanted), end in zip(starts, ends, strict=True):
            if wanted:
                yield Member(path, start, end)


def copy_pages(paths: Sequence[Path], target: Path, pages: int | None = None) -> int:
    """Write ``pages`` response records, evenly spread over the crawl (all of them for None), to the file ``target``.

    Returns the number written. Raises ``ValueError`` when the crawl has none.
    """
    members = list(responses(paths))
    if not members:
        raise ValueError(f"no response records in {len(paths)} files")
    wanted = len(members) if pages is None else min(pages, len(members))
    # The middle of each of ``wanted`` equal parts, so that a single page is not the first of its file.
    chosen = [members[(2 * i + 1) * len(members) // (2 * wanted)] for i in range(wanted)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        for member in chosen:
            with member.path.open("rb") as file:
                file.seek(member.start)
                out.write(file.read(member.end - member.start))
    return wanted


def payloads(folder: Path, rows: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Rows of a manifest (``file``, ``offset``) with the payloads that they address in the WARC files of a folder."""
    for row in rows:
        with (folder / row["file"]).open("rb") as stream:
            stream.seek(row["offset"])
            yield row, next(iter(ArchiveIterator(stream))).reader.read()
