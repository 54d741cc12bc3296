"""How well a tokenizer compresses, by domain, beside other encodings on the same text."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.errors import InputError
from algok.tokenizer.codec import Codec
from algok.tokenizer.ranks import load_ranks

__all__ = ["Comparison", "DomainResult", "Evaluation", "evaluate"]

#: Resamples of the bootstrap; the interval's ends then move by well under a tenth of its width.
_RESAMPLES = 1_000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Against another encoding: its ``tokens``; ``reduction``: share of them that the codec saves (negative: it needs
    more); ``low``, ``high``: 95 % interval of the reduction over the documents (bootstrap, percentile)."""

    tokens: int
    reduction: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class DomainResult:
    """One domain: sizes; ``bytes_per_token``, ``chars_per_token``; ``fertility``: tokens per white-space separated word
    (eojeol); ``byte_share``: tokens that are single bytes for want of a piece; ``lossless``; comparisons by name."""

    documents: int
    bytes: int
    chars: int
    words: int
    tokens: int
    bytes_per_token: float
    chars_per_token: float
    fertility: float
    byte_share: float
    lossless: bool
    against: dict[str, Comparison]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All domains, and over all their text: ``unused`` pieces (never used), ``renyi_efficiency`` of the token
    distribution at order 2.5 (Zouhar et al. 2023), ``model_sha256``, ``pieces``."""

    model_sha256: str
    pieces: int
    domains: dict[str, DomainResult]
    unused: int
    renyi_efficiency: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def evaluate(
    codec: Codec,
    ranks_files: Mapping[str, Path],
    domains: Mapping[str, Iterable[str]],
    *,
    seed: int = 0,
) -> Evaluation:
    """Measure ``codec`` on the documents of every domain, beside the encodings of ``ranks_files`` (name as in
    ``ranks.PATTERNS`` to rank file). Hold out whole sources: text from trained sources flatters.

    Raises InputError for a domain without text and for rank files as ``load_ranks`` does.
    """
    others = {name: load_ranks(name, path) for name, path in sorted(ranks_files.items())}
    uses = np.zeros(len(codec), np.int64)
    is_byte = np.zeros(len(codec), np.bool_)
    is_byte[codec.vocabulary.byte_ids()] = True
    results: dict[str, DomainResult] = {}
    for label, documents in domains.items():
        texts = [text for text in documents if text]
        if not texts:
            raise InputError(f"the evaluation domain {label!r} has no text")
        encoded = codec.encode_batch(pa.array(texts, pa.large_string()))
        ids = encoded.values.to_numpy()
        ours = np.diff(encoded.offsets.to_numpy())
        here = np.bincount(ids, minlength=len(codec))
        uses += here
        tokens, size = int(ours.sum()), sum(len(t.encode("utf-8")) for t in texts)
        words, chars = sum(len(t.split()) for t in texts), sum(map(len, texts))
        against = {}
        for name, encoding in others.items():
            theirs = np.array([len(encoding.encode_ordinary(t)) for t in texts], np.int64)
            low, high = _interval(ours, theirs, seed)
            total = int(theirs.sum())
            against[name] = Comparison(tokens=total, reduction=1 - tokens / max(1, total), low=low, high=high)
        ends = encoded.offsets.to_numpy()
        lossless = all(codec.decode(ids[ends[i] : ends[i + 1]]) == text for i, text in enumerate(texts))
        results[label] = DomainResult(
            documents=len(texts),
            bytes=size,
            chars=chars,
            words=words,
            tokens=tokens,
            bytes_per_token=size / tokens,
            chars_per_token=chars / tokens,
            fertility=tokens / max(1, words),
            byte_share=float(here[is_byte].sum() / tokens),
            lossless=lossless,
            against=against,
        )
    return Evaluation(
        model_sha256=codec.sha256,
        pieces=len(codec),
        domains=results,
        unused=int((uses == 0).sum()),
        renyi_efficiency=_renyi(uses),
    )


def _interval(ours: npt.NDArray[np.int64], theirs: npt.NDArray[np.int64], seed: int) -> tuple[float, float]:
    """95 % percentile interval of 1 - sum(ours) / sum(theirs), resampling documents."""
    rng = np.random.default_rng(seed)
    count = len(ours)
    ratios = np.empty(_RESAMPLES)
    for i in range(_RESAMPLES):
        weight = np.bincount(rng.integers(0, count, count), minlength=count)
        ratios[i] = 1 - int(weight @ ours) / max(1, int(weight @ theirs))
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def _renyi(uses: npt.NDArray[np.int64], order: float = 2.5) -> float:
    """Rényi entropy of the unigram distribution over its largest possible value, 0..1."""
    p = uses[uses > 0] / uses.sum()
    return float(np.log((p**order).sum()) / (1 - order) / np.log(len(uses)))
