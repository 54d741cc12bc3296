"""The training sample: bounded, and the same for any order of the documents."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from algok.errors import InputError
from algok.tokenizer.texts import read_texts, text_files

__all__ = ["Sample", "SampleFile", "files_sample", "spool"]


class Sample(NamedTuple):
    """A document of the training sample and the bucket of the mixture that it stands for."""

    text: str
    bucket: str = ""


@dataclass
class SampleFile:
    """Documents kept for training, in the order of the hash of their text.

    ``read``/``read_bytes``: what came in. ``documents``/``text_bytes``: what is kept, by bucket.
    """

    path: Path
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    read: int = 0
    read_bytes: int = 0
    documents: Counter[str] = field(default_factory=Counter)
    text_bytes: Counter[str] = field(default_factory=Counter)

    def texts(self) -> Iterator[bytes]:
        """The kept documents, as UTF-8."""
        with self.path.open("rb") as file:
            for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True):
                file.seek(start)
                yield file.read(size)


def spool(documents: Iterable[str | Sample], path: Path, *, max_bytes: int, seed: int) -> SampleFile:
    """Write documents to ``path`` and keep those of the smallest hashes (XXH3-64 of text and seed) up to ``max_bytes``.

    So the kept set depends on the documents and the seed only, and its buckets keep their shares. Memory: 24 bytes a
    document. Raises InputError if there is no text.
    """
    hashes, sizes, owners = array("Q"), array("q"), array("q")
    names: dict[str, int] = {}
    with path.open("wb") as file:
        for document in documents:
            text, bucket = document if isinstance(document, Sample) else (document, "")
            data = text.encode("utf-8", "replace")
            if not data:
                continue
            file.write(data)
            hashes.append(xxhash.xxh3_64_intdigest(data, seed=seed))
            sizes.append(len(data))
            owners.append(names.setdefault(bucket, len(names)))
    if not sizes:
        raise InputError("the tokenizer's training sample is empty: no document has text")
    size = np.frombuffer(sizes, np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(size)[:-1]])
    # Equal hashes are equal texts, so their order does not matter, but the bucket does: take it in.
    order = np.lexsort((np.frombuffer(owners, np.int64), size, np.frombuffer(hashes, np.uint64)))
    kept = order[: max(1, int(np.searchsorted(np.cumsum(size[order]), max_bytes, side="right")))]
    result = SampleFile(path, starts[kept], size[kept], len(size), int(size.sum()))
    labels = list(names)
    owner = np.frombuffer(owners, np.int64)[kept]
    for index, label in enumerate(labels):
        chosen = owner == index
        result.documents[label] = int(chosen.sum())
        result.text_bytes[label] = int(size[kept][chosen].sum())
    return result


def files_sample(
    named: Iterable[tuple[str, Path]],
    shares: Mapping[str, float],
    *,
    max_bytes: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
) -> Iterator[Sample]:
    """Documents of files, about ``max_bytes`` of them: (bucket, file or folder) pairs, each file one source.

    ``shares``: of the buckets; without any, buckets come in the proportions of their text. Within a bucket every source
    gives the same number of bytes, as far as it has them: one huge source teaches its own names, not the language.
    ``weights``, by file name without endings, give a source more or less than the others (1). Documents are chosen by
    hash, so the same whatever the order. Two passes over the files, constant memory.

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
    sizes = [sum(len(text.encode("utf-8", "replace")) for text in read_texts(file)) for _, file in sources]
    total = {b: sum(s for (name, _), s in zip(sources, sizes, strict=True) if name == b) for b in buckets}
    everything = max(1, sum(total.values()))
    rates: list[float] = [0.0] * len(sources)
    for bucket in buckets:
        budget = max_bytes * (shares[bucket] if shares else total[bucket] / everything)
        weight = {i: weights.get(stems[i], 1.0) for i, (name, _) in enumerate(sources) if name == bucket}
        # Water-filling: small sources give all they have, the rest is shared out among the larger ones.
        for index in sorted(weight, key=lambda i: sizes[i] / weight[i]):
            given = min(float(sizes[index]), budget * weight[index] / sum(weight.values()))
            budget -= given
            del weight[index]
            rates[index] = given / sizes[index] if sizes[index] else 0.0
    for (bucket, file), rate in zip(sources, rates, strict=True):
        limit = rate * 2.0**64
        for text in read_texts(file):
            # Another seed than spool's, or its cut by hash would undo this choice.
            if xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"), seed=seed ^ 0x5A17) < limit:
                yield Sample(text, bucket)
