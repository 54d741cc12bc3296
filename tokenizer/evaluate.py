"""How well a tokenizer compresses, by domain, beside other encodings on the same text."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from algok.errors import InputError
from algok.tokenizer.codec import Codec
from algok.tokenizer.model import BYTE, NORMAL
from algok.tokenizer.pieces import Agreement, Cut, Example, agreement, cut_of, examples
from algok.tokenizer.ranks import load_ranks

__all__ = ["Comparison", "DomainResult", "Evaluation", "Parity", "evaluate"]

#: Resamples of the bootstrap; the interval's ends then move by well under a tenth of its width.
_RESAMPLES = 1_000

#: A piece used less often than this in all evaluated text counts as rare: about a thousandth of the mean use.
_RARE = 3

#: Excerpts of each domain that are shown cut, and their characters.
_EXAMPLES, _EXAMPLE_CHARS = 2, 160

#: Characters of a domain that are compared with morphemes: an analyser takes about 0.1 s for 1,700 characters.
_MORPHEME_CHARS = 60_000


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
class Parity:
    """Tokens of the same documents in one language over those in Korean, by encoding name (the codec is ``algok``)."""

    documents: int
    ratio: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All domains, and over all their text:

    ``unused`` pieces (never used) and ``rare`` ones (used once or twice), text pieces only: a model sees those too
    seldom to learn them; ``partial_pieces``: pieces that hold a part of a character (the bytes, and nothing else);
    ``partial_share``: tokens that are such pieces; ``renyi_efficiency`` of the token distribution at order 2.5 (Zouhar
    et al. 2023); ``parity`` by language; ``morphemes`` by encoding name; ``examples``; ``model_sha256``, ``pieces``.
    """

    model_sha256: str
    pieces: int
    domains: dict[str, DomainResult]
    unused: int
    renyi_efficiency: float
    rare: int = 0
    partial_pieces: int = 0
    partial_share: float = 0.0
    parity: dict[str, Parity] = field(default_factory=dict)
    morphemes: dict[str, Agreement] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def evaluate(
    codec: Codec,
    ranks_files: Mapping[str, Path],
    domains: Mapping[str, Iterable[str]],
    *,
    seed: int = 0,
    parallel: Iterable[Mapping[str, str]] = (),
    morphemes: Callable[[str], list[tuple[int, int]]] | None = None,
    shown: bool = False,
) -> Evaluation:
    """Measure ``codec`` on the documents of every domain, beside the encodings of ``ranks_files`` (name as in
    ``ranks.PATTERNS`` to rank file). Hold out whole sources: text from trained sources flatters.

    ``parallel``: the same document by language (``ko`` among them). ``morphemes``: as ``pieces.kiwi_boundaries``
    gives, tried on texts that are at least half Hangul. ``shown``: cut excerpts too, for the report.
    Raises InputError for a domain without text and for rank files as ``load_ranks`` does.
    """
    others = {name: load_ranks(name, path) for name, path in sorted(ranks_files.items())}
    cuts = {"algok": cut_of(codec), **{name: cut_of(encoding) for name, encoding in others.items()}}
    uses = np.zeros(len(codec), np.int64)
    is_byte = codec.vocabulary.types == BYTE
    results: dict[str, DomainResult] = {}
    excerpts: list[Example] = []
    korean: list[str] = []
    for label, documents in domains.items():
        texts = [text for text in documents if text]
        if not texts:
            raise InputError(f"the evaluation domain {label!r} has no text")
        encoded = codec.encode_batch(pa.array([t.encode("utf-8", "surrogatepass") for t in texts], pa.large_binary()))
        ids = encoded.values.to_numpy()
        ours = np.diff(encoded.offsets.to_numpy())
        here = np.bincount(ids, minlength=len(codec))
        uses += here
        tokens, size = int(ours.sum()), sum(len(t.encode("utf-8", "surrogatepass")) for t in texts)
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
        if shown:
            excerpts += examples(label, texts, cuts, count=_EXAMPLES, chars=_EXAMPLE_CHARS)
        if morphemes is not None:
            korean += _korean(texts)
    is_text = codec.vocabulary.types == NORMAL
    agreed = {n: agreement(korean, c, morphemes) for n, c in cuts.items()} if morphemes is not None and korean else {}
    return Evaluation(
        model_sha256=codec.sha256,
        pieces=len(codec),
        domains=results,
        unused=int((uses[is_text] == 0).sum()),
        rare=int(((uses > 0) & (uses < _RARE))[is_text].sum()),
        partial_pieces=sum(_is_partial(s) for s in codec.vocabulary.surfaces),
        partial_share=float(uses[is_byte].sum() / max(1, uses.sum())),
        renyi_efficiency=_renyi(uses),
        parity=_parity(parallel, cuts),
        morphemes=agreed,
        examples=excerpts,
    )


def _is_partial(surface: bytes) -> bool:
    try:
        surface.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _korean(texts: list[str]) -> list[str]:
    """Beginnings of the mostly Korean texts, _MORPHEME_CHARS in all."""
    out, size = [], 0
    for text in texts:
        part = text[:2_000]
        if 2 * sum("가" <= c <= "힣" for c in part) < len(part):
            continue
        out.append(part)
        size += len(part)
        if size >= _MORPHEME_CHARS:
            break
    return out


def _parity(parallel: Iterable[Mapping[str, str]], cuts: Mapping[str, Cut]) -> dict[str, Parity]:
    """By language other than Korean: summed tokens of the documents that exist in both."""
    totals: dict[str, dict[str, list[int]]] = {}
    counts: dict[str, int] = {}
    for versions in parallel:
        if "ko" not in versions:
            continue
        korean = {name: len(cut(versions["ko"])) for name, cut in cuts.items()}
        for language, text in versions.items():
            if language == "ko":
                continue
            counts[language] = counts.get(language, 0) + 1
            for name, cut in cuts.items():
                pair = totals.setdefault(language, {}).setdefault(name, [0, 0])
                pair[0] += len(cut(text))
                pair[1] += korean[name]
    return {
        language: Parity(documents=counts[language], ratio={n: a / max(1, b) for n, (a, b) in by_name.items()})
        for language, by_name in sorted(totals.items())
    }


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
