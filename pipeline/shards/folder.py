"""The folder that pack published, for looking into: its shards, where a document is, and whether all is whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from algok.errors import CorruptionError, InputError
from algok.filters.url import normalise
from algok.pipeline.manifest import NAME, Manifest, load_manifest, read_files
from algok.tokenizer.codec import Codec
from algok.tokenizer.lookup import Placement, find_documents, find_placements, open_shard
from algok.tokenizer.verify import ShardCheck, check_shard
from algok.transforms.pack import PURPOSE, lookup_hash
from algok.transforms.sampling import slots
from algok.transforms.shuffle import partition_ids
from algok.transforms.storage import checksum

__all__ = ["PackFolder", "Verdict", "open_pack"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One checked file: its path in the folder, its problems, and for a shard what it holds."""

    path: str
    problems: list[str]
    shard: ShardCheck | None = None


@dataclass(frozen=True)
class PackFolder:
    """``folder`` holds shards/, index/, lookup/ and the manifest."""

    folder: Path
    manifest: Manifest

    @property
    def shards(self) -> list[Path]:
        """Paths of all shards, in order."""
        return sorted((self.folder / "shards").glob("*.arrow"))

    def shard(self, name: str) -> Path:
        """The shard of a name (``shard-00003.arrow``) or number (``3``). Raises InputError that lists what there is."""
        label = f"shard-{int(name):05d}.arrow" if name.isdecimal() else name
        path = self.folder / "shards" / label
        if "/" in label or not path.is_file():
            names = [p.name for p in self.shards]
            raise InputError(f"there is no shard {name} in {self.folder}; it has {names[0]} to {names[-1]}")
        return path

    def placements(self, doc_id: bytes) -> list[Placement]:
        """Where all copies of a document are. Only the shards that its hash can send a copy to are looked at."""
        placement = self.manifest.details["placement"]
        copies = np.arange(int(placement["most_copies"]))
        ids = pa.array([doc_id] * len(copies), pa.binary(16))
        slot = pa.array(slots(ids, int(placement["seed"]), PURPOSE, copies))
        numbers = sorted(set(partition_ids(slot, int(placement["partitions"])).tolist()))
        paths = [self.folder / "index" / f"shard-{number:05d}.parquet" for number in numbers]
        return find_placements([p for p in paths if p.exists()], doc_id)

    def documents(self, name: str) -> list[bytes]:
        """doc_ids of a URL, in any spelling that normalises alike, or of a record id for documents without URL."""
        tables = sorted((self.folder / "lookup").glob("*.parquet"))
        spelt = dict.fromkeys((normalise(name), name))
        return sorted({found for text in spelt if text for found in find_documents(tables, lookup_hash(text))})

    def codec(self, model: Path | None = None) -> Codec:
        """The tokenizer of the shards. Raises InputError when ``model`` (or the run's own) is another one."""
        path = model or self.folder.parent / "train-tokenizer" / "tokenizer.model"
        if not path.is_file():
            raise InputError(f"there is no tokenizer {path}; name the model of these shards with --model")
        codec = Codec.load(path)
        wanted = open_shard(self.shards[0]).info.tokenizer_sha256
        if codec.sha256 != wanted:
            raise InputError(f"{path} has SHA-256 {codec.sha256}, the shards were made with {wanted}")
        return codec

    def verify(self, *, rows: bool = True) -> Iterator[Verdict]:
        """Check every file against the manifest, and with ``rows`` every sequence of every shard, one file at a time;
        last, the sums against the manifest."""
        totals: dict[str, int] = {}
        unread = False
        for file in read_files(str(self.folder), self.manifest):
            path, problems, shard = Path(file.path), [], None
            if not path.is_file():
                problems.append("is missing")
            elif path.stat().st_size != file.bytes:
                problems.append(f"has {path.stat().st_size:,} bytes, not {file.bytes:,}")
            elif checksum(file.path) != file.checksum:
                problems.append(f"has another checksum than XXH3-128 {file.checksum}")
            elif rows and file.table == "shards":
                shard = check_shard(path)
                problems += shard.problems
                if shard.sequences != file.rows:
                    problems.append(f"has {shard.sequences:,} sequences, not {file.rows:,}")
                for bucket, tokens in shard.tokens_by_bucket.items():
                    totals[bucket] = totals.get(bucket, 0) + tokens
            unread = unread or (file.table == "shards" and shard is None)
            yield Verdict(path=str(path.relative_to(self.folder)), problems=problems, shard=shard)
        listed = self.manifest.details["tokens_by_bucket"]
        if not unread and dict(sorted(totals.items())) != listed:
            wrong = sorted(b for b in totals.keys() | listed.keys() if totals.get(b) != listed.get(b))
            said = f"{wrong[0]}: {totals.get(wrong[0], 0):,} tokens in the shards, {listed.get(wrong[0], 0):,} listed"
            yield Verdict(path=NAME, problems=[f"does not count the tokens of the shards ({said})"])

    def summary(self) -> dict[str, Any]:
        """The details of the manifest, the ledger's documents and the shards, JSON-able."""
        files = [f for f in read_files(str(self.folder), self.manifest) if f.table == "shards"]
        return {
            **self.manifest.details,
            "files": [
                {"name": Path(f.path).name, "sequences": f.rows, "bytes": f.bytes, "xxh3_128": f.checksum}
                for f in files
            ],
        }


def open_pack(path: Path) -> PackFolder:
    """The pack folder at ``path``: that of a run, its ``pack`` folder, or a copy of that.

    Raises InputError that says what to give, CorruptionError for a damaged manifest or one of another version.
    """
    for folder in (path / "pack", path):
        if (folder / "shards").is_dir():
            manifest = load_manifest(str(folder))
            if manifest is None:
                raise InputError(f"{folder} has no {NAME}: the pack stage did not finish; run it again")
            found = PackFolder(folder, manifest)
            if not found.shards:
                raise CorruptionError(f"{folder}/shards is empty")
            if "placement" not in manifest.details:
                raise CorruptionError(f"{folder} is of an earlier version of algok: run the pack stage again")
            return found
    raise InputError(f"{path} holds no packed shards; give the work folder of a run, or its pack folder")
