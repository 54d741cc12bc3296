"""The training sample: bounded, and the same for any order of the documents."""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash
import zstandard

from algok.errors import InputError
from algok.tokenizer.texts import read_texts, text_files

__all__ = ["Sample", "SampleFile", "default_shares", "files_sample", "spool"]

#: Shares of the sample beside Korean at 102,400 pieces.
_OTHERS = {"en": 0.125, "code": 0.03, "ja": 0.008, "zh": 0.022}

#: Text of a source that is compressed to see how much it repeats itself, in bytes.
_MEASURED = 4_000_000

#: A document of a source with little text counts at most so many times.
_MOST_WEIGHT = 2.0


class Sample(NamedTuple):
    """A document of the training sample, the bucket of the mixture that it stands for, and how much it counts."""

    text: str
    bucket: str = ""
    weight: float = 1.0


@dataclass
class SampleFile:
    """Documents kept for training, in the order of the hash of their text.

    ``weights``: of the kept documents. ``read``/``read_bytes``: what came in. ``documents``/``text_bytes``: what is
    kept, by bucket. ``counted_bytes``: the same bytes times the documents' weights.
    """

    path: Path
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    read: int = 0
    read_bytes: int = 0
    documents: Counter[str] = field(default_factory=Counter)
    text_bytes: Counter[str] = field(default_factory=Counter)
    counted_bytes: dict[str, float] = field(default_factory=dict)

    def texts(self) -> Iterator[bytes]:
        """The kept documents, as UTF-8."""
        with self.path.open("rb") as file:
            for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
                file.seek(start)
                yield file.read(size)


def spool(documents: Iterable[str | Sample], path: Path, *, max_bytes: int, seed: int) -> SampleFile:
    """Write documents to ``path`` and keep those of the smallest hashes (XXH3-64 of text and seed) up to ``max_bytes``.

    So the kept set depends on the documents and the seed only, and its buckets keep their shares. Memory: 32 bytes a
    document. Raises InputError if there is no text.
    """
    hashes, sizes, owners = array("Q"), array("q"), array("q")
    counted = array("d")
    names: dict[str, int] = {}
    with path.open("wb") as file:
        for document in documents:
            text, bucket, weight = document if isinstance(document, Sample) else Sample(document)
            data = text.encode("utf-8", "replace")
            if not data:
                continue
            file.write(data)
            hashes.append(xxhash.xxh3_64_intdigest(data, seed=seed))
            sizes.append(len(data))
            counted.append(weight)
            owners.append(names.setdefault(bucket, len(names)))
    if not sizes:
        raise InputError("the tokenizer's training sample is empty: no document has text")
    size = np.frombuffer(sizes, np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)[:-1]])
    weights = np.frombuffer(counted, np.float64)
    # Equal hashes are equal texts, so their order does not matter, but bucket and weight do: take them in.
    order = np.lexsort((weights, np.frombuffer(owners, np.int64), size, np.frombuffer(hashes, np.uint64)))
    kept = order[: max(1, int(np.searchsorted(np.cumsum(size[order]), max_bytes, side="right")))]
    result = SampleFile(path, starts[kept], size[kept], weights[kept], len(size), int(size.sum()))
    labels = list(names)
    owner = np.frombuffer(owners, np.int64)[kept]
    for index, label in enumerate(labels):
        chosen = owner == index
        result.documents[label] = int(chosen.sum())
        result.text_bytes[label] = int(size[kept][chosen].sum())
        result.counted_bytes[label] = float((size[kept] * result.weights)[chosen].sum())
    return result


def default_shares(buckets: Iterable[str], vocab_size: int) -> dict[str, float]:
    """Shares of a Korean-first sample, for buckets all of which are among ko, en, code, ja, zh; else none.

    With these English, code and mathematics need about as many tokens as with o200k_base, and Korean gets the rest
    (docs/tokenizer.md). A larger vocabulary has room for English at a smaller share.
    """
    names = set(buckets)
    if "ko" not in names or not names <= {"ko", *_OTHERS}:
        return {}
    scale = min(1.0, 102_400 / vocab_size) ** 2
    shares = {name: part * scale for name, part in _OTHERS.items() if name in names}
    return {**shares, "ko": 1.0 - sum(shares.values())}


def files_sample(
    named: Iterable[tuple[str, Path]],
    shares: Mapping[str, float],
    *,
    max_bytes: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> Iterator[Sample]:
    """Documents of files, about ``max_bytes`` of them: (bucket, file or folder) pairs, each file one source.

    ``shares``: of the buckets; without any, buckets come in the proportions of their text. Within a bucket a source's
    part is as the square root of its size, times the fourth power of the part of its size that is left when it is
    compressed: one huge source teaches its own names, and one of templates its templates. ``weights``, by file name
    without endings, multiply the parts. A source that has less than its part gives all, and its documents count for
    more, at most twice. Documents are chosen by hash, so the same whatever the order. Two passes over the files; memory
    for _MEASURED bytes.

    Raises InputError for a share without text, a bucket without a share, a weight without a source, or files that
    cannot be read.
    """
    weights = weights or {}
    sources = [(bucket, file) for bucket, path in named for file in text_files(path)]
    buckets = {bucket for bucket, _ in sources}
    if shares and set(shares) != buckets:
        odd = sorted(set(shares) ^ buckets)
        raise InputError(f"buckets and shares must be the same; only in one of them: {', '.join(odd)}")
    stems = [file.name.split(".")[0] for _, file in sources]
    if unknown := sorted(set(weights) - set(stems)):
        raise InputError(f"no source has the name of a weight: {', '.join(unknown)}; there are {', '.join(stems)}")
    measured = [_measure(file, seed) for _, file in sources]
    sizes = [size for size, _ in measured]
    total = {b: sum(s for (name, _), s in zip(sources, sizes, strict=True) if name == b) for b in buckets}
    everything = max(1, sum(total.values()))
    parts: list[float] = [0.0] * len(sources)
    for bucket in buckets:
        budget = max_bytes * (shares[bucket] if shares else total[bucket] / everything)
        here = [i for i, (name, _) in enumerate(sources) if name == bucket and sizes[i]]
        wanted = {i: weights.get(stems[i], 1.0) * sizes[i] ** 0.5 * measured[i][1] ** 4 for i in here}
        # Water-filling: small sources give all they may, the rest is shared out among the larger ones.
        for index in sorted(wanted, key=lambda i: sizes[i] / wanted[i]):
            parts[index] = min(float(_MOST_WEIGHT * sizes[index]), budget * wanted[index] / sum(wanted.values()))
            budget -= parts[index]
            del wanted[index]
    for (bucket, file), size, part in zip(sources, sizes, parts, strict=True):
        limit = min(1.0, part / max(1, size)) * 2.0**64
        weight = max(1.0, part / max(1, size))
        for text in read_texts(file):
            # Another seed than spool's, or its cut by hash would undo this choice.
            if xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"), seed=seed ^ 0x5A17) < limit:
                yield Sample(text, bucket, weight)


def _measure(file: Path, seed: int) -> tuple[int, float]:
    """(bytes of a file's texts; the part of them that is left when they are compressed, to two digits).

    Compressed are the texts of the smallest hashes, _MEASURED bytes of them, in the order of the hashes.
    """
    size = held = 0
    heap: list[tuple[int, bytes]] = []
    for text in read_texts(file):
        data = text.encode("utf-8", "replace")
        size += len(data)
        heapq.heappush(heap, (-xxhash.xxh3_64_intdigest(data, seed=seed), data))
        held += len(data)
        while held > _MEASURED and len(heap) > 1:
            held -= len(heapq.heappop(heap)[1])
    if not held:
        return size, 1.0
    joined = b"\n".join(data for _, data in sorted(heap, reverse=True))
    return size, max(0.01, round(len(zstandard.ZstdCompressor(level=3).compress(joined)) / held, 2))
