"""Is a model what the documentation says, on real files: lossless, and the same ids in other libraries?"""

import importlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import sentencepiece

from algok.errors import InputError
from algok.tokenizer.codec import Codec
from algok.tokenizer.export import hf_tokenizer
from algok.tokenizer.model import SPACE
from algok.tokenizer.texts import read_texts

__all__ = ["CheckResult", "check_files"]

#: SentencePiece sums scores in 32-bit floats: beyond this many tokens they are not exact.
_EXACT_TOKENS = 200_000

#: Texts in one batch.
_BATCH = 256

#: Bytes of a raw file that are encoded at once.
_BLOCK = 1 << 20

#: Differences that are kept as examples.
_KEPT = 20


@dataclass
class CheckResult:
    """Counts of texts: ``lossy`` ones; those whose ids differ from sentencepiece's or tokenizers' though they should
    not; ``excused``: left out of the comparison with sentencepiece (a U+2581, lone surrogates, too long). ``blocks`` of
    raw files."""

    files: int = 0
    texts: int = 0
    blocks: int = 0
    bytes: int = 0
    tokens: int = 0
    lossy: int = 0
    sentencepiece_differs: int = 0
    excused: int = 0
    hf_compared: bool = False
    hf_differs: int = 0
    differences: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Every text came back and no ids differed."""
        return not (self.lossy or self.sentencepiece_differs or self.hf_differs)

    def lines(self) -> Iterator[str]:
        """The result for people."""
        raw = f" and {self.blocks:,} raw blocks" if self.blocks else ""
        yield f"{self.texts:,} texts{raw} of {self.files:,} files, {self.bytes:,} bytes, {self.tokens:,} tokens"
        yield f"{self.lossy:,} did not come back"
        yield (
            f"{self.sentencepiece_differs:,} have other ids in sentencepiece; {self.excused:,} not compared "
            f"(U+2581, not UTF-8, or over {_EXACT_TOKENS:,} tokens)"
        )
        if self.hf_compared:
            yield f"{self.hf_differs:,} have other ids in tokenizers"
        else:
            yield "not compared with tokenizers, which is not installed"
        yield from self.differences


def check_files(model: Path, files: list[Path], raw: Sequence[Path] = ()) -> CheckResult:
    """Run the check over the texts of ``files``, and the round trip over the bytes of the ``raw`` ones, whatever they
    are. Raises InputError for files or a model that cannot be read."""
    codec = Codec.load(model)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    hf = _hf(codec)
    result = CheckResult(files=len(files), hf_compared=hf is not None)
    for path in files:
        batch: list[str] = []
        for text in read_texts(path):
            batch.append(text)
            if len(batch) == _BATCH:
                _check(path, batch, codec, processor, hf, result)
                batch = []
        _check(path, batch, codec, processor, hf, result)
    for path in raw:
        _check_raw(path, codec, result)
    return result


def _check_raw(path: Path, codec: Codec, result: CheckResult) -> None:
    result.files += 1
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                ids = codec.encode_bytes(block)
                result.blocks += 1
                result.bytes += len(block)
                result.tokens += len(ids)
                if codec.decode_bytes(ids) != block:
                    result.lossy += 1
                    _note(result, path, "does not come back", repr(block[:60]))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _hf(codec: Codec) -> Any:
    try:
        module = importlib.import_module("tokenizers")
    except ImportError:
        return None
    tokenizer = module.Tokenizer.from_str(json.dumps(hf_tokenizer(codec.vocabulary)))
    tokenizer.encode_special_tokens = True
    return tokenizer


def _check(path: Path, texts: list[str], codec: Codec, processor: Any, hf: Any, result: CheckResult) -> None:
    if not texts:
        return
    datas = [text.encode("utf-8", "surrogatepass") for text in texts]
    for text, data, ids in zip(
        texts, datas, codec.encode_batch(pa.array(datas, pa.large_binary())).to_pylist(), strict=True
    ):
        result.texts += 1
        result.bytes += len(data)
        result.tokens += len(ids)
        if codec.decode(ids) != text:
            result.lossy += 1
            _note(result, path, "does not come back", text)
        surrogates = any("\ud800" <= c <= "\udfff" for c in text) if not text.isascii() else False
        if SPACE in text or surrogates or len(ids) > _EXACT_TOKENS:
            result.excused += 1
        elif processor.encode(text) != ids:
            result.sentencepiece_differs += 1
            _note(result, path, "sentencepiece differs", text)
        if hf is not None and not surrogates and hf.encode(text, add_special_tokens=False).ids != ids:
            result.hf_differs += 1
            _note(result, path, "tokenizers differs", text)


def _note(result: CheckResult, path: Path, what: str, text: str) -> None:
    if len(result.differences) < _KEPT:
        result.differences.append(f"{path}: {what}: {text[:60]!r}")
