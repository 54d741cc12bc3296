"""Text to token ids and back, without loss."""

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from algok.errors import InputError
from algok.tokenizer.model import Vocabulary
from algok.tokenizer.segment import build_trie, encode_rows

__all__ = ["Codec"]


class Codec:
    """A loaded tokenizer. ``decode(encode(x)) == x`` for every string, and for bytes in the ``_bytes`` forms.

    Ids equal those of ``sentencepiece.SentencePieceProcessor`` on the same model file, but for three kinds of text
    that SentencePiece loses or rounds: a U+2581 in the text (SentencePiece makes it a space; here it is spelt in
    bytes, which its decoder reads correctly), bytes that are not UTF-8, and texts of more than about 200,000 tokens
    (its 32-bit sums lose exactness).

    Control pieces (``<s>``, ``</s>``, ``<|user|>``, ...) never come out of text: the text ``</s>`` is ordinary
    characters. Their ids are in ``special``. Instances pickle as the model's bytes and rebuild their tables.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.special = vocabulary.special()
        self._trie = build_trie(vocabulary)

    @classmethod
    def load(cls, path: Path | str) -> "Codec":
        """Read a ``tokenizer.model``. Errors as for ``Vocabulary.load``."""
        return cls(Vocabulary.load(Path(path)))

    def __reduce__(self) -> "tuple[object, tuple[bytes]]":
        return _from_bytes, (self.vocabulary.to_bytes(),)

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def eos(self) -> int:
        """Id of the end-of-document piece."""
        return self.vocabulary.eos

    @property
    def bos(self) -> int:
        """Id of the begin-of-document piece."""
        return self.vocabulary.bos

    @property
    def pad(self) -> int:
        """Id of the padding piece, -1 if the model has none."""
        return self.vocabulary.pad

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the model file, in hex: the tokenizer's version in every shard."""
        return hashlib.sha256(self.vocabulary.to_bytes()).hexdigest()

    def encode(self, text: str, *, eos: bool = False) -> list[int]:
        """Ids of a text. Lone surrogates, which UTF-8 cannot hold, are kept as their three bytes."""
        return self.encode_bytes(text.encode("utf-8", "surrogatepass"), eos=eos)

    def encode_bytes(self, data: bytes, *, eos: bool = False) -> list[int]:
        """Ids of any bytes; what is no UTF-8 is spelt in byte pieces."""
        values, _ = self._run(np.frombuffer(data, np.uint8), np.array([0, len(data)], np.int64), eos)
        ids: list[int] = values.tolist()
        return ids

    def encode_batch(self, texts: pa.Array | pa.ChunkedArray, *, eos: bool = False) -> pa.LargeListArray:
        """Ids of an array of strings or binaries: ``large_list<uint32>`` of the same length, null for null.

        ``eos`` puts the end-of-document id behind every text. No Python object is made per row or token.
        """
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if pa.types.is_string(texts.type) or pa.types.is_binary(texts.type):
            texts = texts.cast(pa.large_binary())
        elif not (pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)):
            raise TypeError(f"encode_batch takes strings or binaries, not {texts.type}")
        _, offset_buffer, data_buffer = texts.buffers()
        offsets = np.zeros(len(texts) + 1, np.int64)
        if len(texts):
            offsets = np.frombuffer(offset_buffer, np.int64)[texts.offset : texts.offset + len(texts) + 1]
        data = np.frombuffer(data_buffer, np.uint8) if data_buffer is not None else np.zeros(0, np.uint8)
        if texts.null_count == 0:
            values, ends = self._run(data, offsets, eos)
            return pa.LargeListArray.from_arrays(pa.array(ends), pa.array(values))
        # Rows that are null may have bytes behind them: encode the others and widen.
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
        present = self.encode_batch(texts.take(pa.array(rows)), eos=eos)
        lengths = np.zeros(len(texts), np.int64)
        lengths[rows] = np.diff(present.offsets.to_numpy())
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return pa.LargeListArray.from_arrays(pa.array(ends), present.values, mask=texts.is_null())

    def decode(self, ids: "list[int] | npt.NDArray[np.unsignedinteger]") -> str:
        """Text of ids. Ids cut in the middle of a character give U+FFFD for its bytes; control pieces give nothing.

        Raises InputError for an id outside the vocabulary.
        """
        data = self.decode_bytes(ids)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def decode_bytes(self, ids: "list[int] | npt.NDArray[np.unsignedinteger]") -> bytes:
        """Bytes of ids, exactly."""
        tokens = np.asarray(ids, np.int64)
        if tokens.size and (tokens.min() < 0 or tokens.max() >= len(self)):
            raise InputError(f"token ids must lie in 0..{len(self) - 1}; found {tokens.min()}..{tokens.max()}")
        data, offsets = self._surface_table
        joined: bytes = _join(tokens, data, offsets).tobytes()
        return joined

    def decode_batch(self, tokens: pa.Array) -> pa.LargeBinaryArray:
        """Bytes of every row of a list array; ``cast(pa.large_string())`` when they are known to be UTF-8."""
        rows = (None if row is None else self.decode_bytes(row) for row in tokens.to_pylist())
        return pa.array(rows, pa.large_binary())

    def _run(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], eos: bool
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        trie = self._trie
        tail = self.eos if eos else -1
        values, ends = encode_rows(data, offsets, trie.nodes, trie.values, trie.byte_ids, trie.unknown_cost, tail)
        return values, ends

    @cached_property
    def _surface_table(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        surfaces = self.vocabulary.surfaces
        offsets = np.zeros(len(surfaces) + 1, np.int64)
        np.cumsum([len(s) for s in surfaces], out=offsets[1:])
        return np.frombuffer(b"".join(surfaces), np.uint8), offsets


def _from_bytes(data: bytes) -> Codec:
    return Codec(Vocabulary.from_bytes(data))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join(
    tokens: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    size = 0
    for token in tokens:
        size += offsets[token + 1] - offsets[token]
    out = np.empty(size, np.uint8)
    at = 0
    for token in tokens:
        for pos in range(offsets[token], offsets[token + 1]):
            out[at] = data[pos]
            at += 1
    return out
