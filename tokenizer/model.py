"""A vocabulary, and its file: a SentencePiece model of the unigram type that ``sentencepiece`` itself loads.

Every piece has a cost, and text is cut into the pieces of least total cost (Viterbi). SentencePiece calls the negated
cost the piece's score. Costs here are whole multiples of 1/64, so that sums are exact in SentencePiece's 32-bit
floats up to 262,144 and the two implementations agree piece for piece.

The file format is the protocol buffer ``sentencepiece_model.proto`` (github.com/google/sentencepiece). It is read and
written here field by field, because the generated module that sentencepiece ships demands a newer protobuf runtime
than Apache Beam allows.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from algok.errors import CorruptionError, InputError

__all__ = ["BYTE", "CONTROL", "COST_UNIT", "NORMAL", "SPACE", "UNKNOWN", "UNUSED", "USER_DEFINED", "Vocabulary"]

#: Piece types of sentencepiece_model.proto.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

#: How SentencePiece writes a space inside a piece (U+2581). A real U+2581 in a text is spelt in bytes.
SPACE = "\u2581"

#: Costs are counted in 1/64 of a piece.
COST_UNIT = 64

_UNIGRAM, _BPE = 1, 2


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Pieces by id.

    ``pieces``: as SentencePiece spells them (space is U+2581). ``costs``: int32, in 1/64 piece, 0 for pieces that
    never match text. ``types``: uint8, the constants above. ``unk``, ``bos``, ``eos``, ``pad``: ids of these pieces.
    """

    pieces: tuple[str, ...]
    costs: npt.NDArray[np.int32]
    types: npt.NDArray[np.uint8]
    unk: int = 0
    bos: int = 1
    eos: int = 2
    pad: int = 3

    def __len__(self) -> int:
        return len(self.pieces)

    @cached_property
    def surfaces(self) -> list[bytes]:
        """The bytes that each piece stands for; empty for control pieces and unk."""
        out = []
        for piece, kind in zip(self.pieces, self.types.tolist(), strict=True):
            if kind == BYTE:
                out.append(bytes([int(piece[3:5], 16)]))
            elif kind in (CONTROL, UNKNOWN):
                out.append(b"")
            else:
                out.append(piece.replace(SPACE, " ").encode("utf-8"))
        return out

    def byte_ids(self) -> npt.NDArray[np.int32]:
        """int32[256]: id of the piece of each byte."""
        ids = np.full(256, -1, np.int32)
        for index in np.flatnonzero(self.types == BYTE):
            ids[int(self.pieces[index][3:5], 16)] = index
        return ids

    def special(self) -> dict[str, int]:
        """Control pieces (bos, eos, pad, fim, chat, reserved) and their ids. They never come out of plain text."""
        return {self.pieces[i]: int(i) for i in np.flatnonzero((self.types == CONTROL) | (self.types == UNKNOWN))}

    def to_bytes(self) -> bytes:
        """The SentencePiece model file. Equal vocabularies give equal bytes; no paths, no times."""
        out = bytearray()
        for piece, cost, kind in zip(self.pieces, self.costs.tolist(), self.types.tolist(), strict=True):
            body = _text(1, piece) + b"\x15" + struct.pack("<f", -cost / COST_UNIT)
            if kind != NORMAL:
                body += _number(3, kind)
            out += _message(1, body)
        trainer = (
            _number(3, _UNIGRAM)
            + _number(4, len(self.pieces))
            + _number(26, 1)  # white-space-only pieces
            + _number(35, 1)  # byte fallback
            + _number(40, self.unk)
            + _number(41, self.bos)
            + _number(42, self.eos)
            + _number(43, self.pad)
            + _text(45, self.pieces[self.unk])
            + _text(46, self.pieces[self.bos])
            + _text(47, self.pieces[self.eos])
            + _text(48, self.pieces[self.pad])
        )
        # Identity: no dummy prefix, no removal of white space; only spaces are escaped.
        normalizer = _text(1, "identity") + _number(3, 0) + _number(4, 0) + _number(5, 1)
        out += _message(2, trainer) + _message(3, normalizer)
        return bytes(out)

    def save(self, path: Path) -> str:
        """Write the model file; returns its SHA-256 in hex."""
        data = self.to_bytes()
        path.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read a model file.

        Raises InputError if it is missing or is no unigram model with byte fallback and an identity normaliser (other
        models are lossy or need another decoder), CorruptionError if it cannot be parsed.
        """
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"tokenizer model {path} cannot be read: {error.strerror}") from error
        return cls.from_bytes(data, str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "tokenizer model") -> "Vocabulary":
        """Parse the bytes of a model file; errors as for ``load``."""
        pieces: list[str] = []
        scores: list[float] = []
        types: list[int] = []
        trainer: dict[int, int | bytes] = {}
        normalizer: dict[int, int | bytes] = {}
        try:
            for field, value in _fields(data):
                if field == 1 and isinstance(value, bytes):
                    body = dict(_fields(value))
                    text, score, kind = body.get(1, b""), body.get(2, b"\0\0\0\0"), body.get(3, NORMAL)
                    if not isinstance(text, bytes) or not isinstance(score, bytes) or not isinstance(kind, int):
                        raise ValueError("piece of a wrong type")
                    pieces.append(text.decode("utf-8"))
                    scores.append(struct.unpack("<f", score)[0])
                    types.append(kind)
                elif field == 2 and isinstance(value, bytes):
                    trainer = dict(_fields(value))
                elif field == 3 and isinstance(value, bytes):
                    normalizer = dict(_fields(value))
        except (ValueError, IndexError, struct.error) as error:
            raise CorruptionError(f"{name} is not a SentencePiece model: {error}") from error
        if not pieces:
            raise CorruptionError(f"{name} is not a SentencePiece model: it holds no pieces")
        kinds = np.array(types, np.uint8)
        if trainer.get(3, _UNIGRAM) != _UNIGRAM or int((kinds == BYTE).sum()) != 256 or USER_DEFINED in types:
            raise InputError(
                f"{name} is not a unigram model with byte fallback and without user-defined pieces; "
                "train one with `algok tokenizer train`"
            )
        if normalizer.get(2, b"") or normalizer.get(3, 1) or normalizer.get(4, 1) or not normalizer.get(5, 1):
            raise InputError(f"{name} changes text (its normaliser is not the identity), so it cannot be lossless")
        costs = -np.array(scores) * COST_UNIT
        if not np.array_equal(costs, np.round(costs)):
            raise InputError(f"{name} has scores that are no multiples of 1/{COST_UNIT}; it was not trained by algok")

        def identity(field: int, default: int) -> int:
            value = trainer.get(field, default)
            return value if isinstance(value, int) and value < len(pieces) else -1

        return cls(
            pieces=tuple(pieces),
            costs=costs.astype(np.int32),
            types=kinds,
            unk=identity(40, 0),
            bos=identity(41, 1),
            eos=identity(42, 2),
            pad=identity(43, -1),
        )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8"))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a protocol-buffer message: int for varints, bytes for everything else."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("varint too long")

    while at < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 2: None, 5: 4}.get(wire, -1)
        if size == -1:
            raise ValueError(f"wire type {wire}")
        length = varint() if size is None else size
        if at + length > len(data):
            raise ValueError("file is truncated")
        yield key >> 3, data[at : at + length]
        at += length
