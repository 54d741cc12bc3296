"""Reads a shard with a library other than algok, in a process of its own.

    python other_readers.py LIBRARY SMALL SHARD

Prints, as JSON, the tokens summed, the first document's ids, and by how many bytes the process's own (anonymous)
memory grew: memory-mapped pages are not its own, copies are. What a first use costs is spent on the small shard.
"""

import json
import os
import re
import sys
from pathlib import Path


def anonymous() -> int:
    found = re.search(r"Anonymous:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text())
    assert found
    return int(found.group(1)) * 1024


def with_pyarrow(path: str):  # type: ignore[no-untyped-def]
    import pyarrow as pa

    before = anonymous()
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    total = sum(int(chunk.values.to_numpy().sum(dtype="uint64")) for chunk in table["tokens"].chunks)
    first = table["tokens"].chunk(0).values[: table["doc_length"][0][0].as_py()].to_pylist()
    return total, first, anonymous() - before


def with_polars(path: str):  # type: ignore[no-untyped-def]
    import polars
    import pyarrow as pa

    before = anonymous()
    frame = polars.from_arrow(pa.ipc.open_file(pa.memory_map(path)).read_all())
    total = sum(int(part.explode().cast(polars.UInt64).sum()) for part in frame["tokens"].get_chunks())
    first = frame["tokens"][0][: frame["doc_length"][0][0]].to_list()
    return total, first, anonymous() - before


def with_polars_alone(path: str):  # type: ignore[no-untyped-def]
    import polars

    frame = polars.read_ipc(path)  # copies
    length = frame["doc_length"][0][0]
    return int(frame["tokens"].explode().cast(polars.UInt64).sum()), frame["tokens"][0][:length].to_list(), 0


def with_datasets(path: str):  # type: ignore[no-untyped-def]
    os.environ["HF_HUB_OFFLINE"] = "1"
    import pyarrow as pa
    from datasets import Dataset
    from datasets.table import InMemoryTable

    before = anonymous()
    table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    # With a fingerprint of our own: datasets would pickle the whole table to make one.
    dataset = Dataset(InMemoryTable(table), fingerprint="algok").with_format("numpy")
    total = sum(int(row["tokens"].sum()) for row in dataset)
    first = dataset[0]["tokens"][: dataset[0]["doc_length"][0]].tolist()
    return total, first, anonymous() - before


if __name__ == "__main__":
    read = globals()[f"with_{sys.argv[1]}"]
    read(sys.argv[2])
    result = read(sys.argv[3])
    assert "algok" not in sys.modules
    sys.stdout.write(json.dumps(result))
