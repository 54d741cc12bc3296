"""Identity of a document: what was captured, where, and when."""

import struct

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

__all__ = ["document_id", "document_ids", "payload_digest", "payload_digests"]

#: Stands for "no capture time"; no date can have it.
_NEVER = -(1 << 63)
_LENGTH = struct.Struct("<I")
_REST = struct.Struct("<qI")


def payload_digest(payload: bytes) -> bytes:
    """16 bytes: XXH3-128 of a payload, big-endian as ``xxhash`` gives it."""
    return xxhash.xxh3_128_digest(payload)


def payload_digests(payloads: pa.Array) -> pa.Array:
    """:func:`payload_digest` of each (large) binary or string value, as ``binary(16)``; null for null."""
    digest = xxhash.xxh3_128_digest
    offsets, data = _buffers(payloads)
    out = b"".join(digest(data[offsets[i] : offsets[i + 1]]) for i in range(len(payloads)))
    return _fixed(out, payloads)


def document_id(normalised_url: str, captured: int | None, digest: bytes) -> bytes:
    """16 bytes: XXH3-128 over the URL, the capture time in seconds since 1970 and the payload digest.

    Each part has its length in front (little-endian), so no two triples give the same bytes; a missing time is a value
    of its own. Raises ValueError when the digest is not 16 bytes long.
    """
    if len(digest) != 16:
        raise ValueError(f"a payload digest has 16 bytes, not {len(digest)}")
    url = normalised_url.encode("utf-8", "surrogatepass")
    time = _NEVER if captured is None else captured
    return xxhash.xxh3_128_digest(_LENGTH.pack(len(url)) + url + _REST.pack(time, 16) + digest)


def document_ids(normalised_urls: pa.Array, captured: pa.Array, digests: pa.Array) -> pa.Array:
    """:func:`document_id` of each row, as ``binary(16)``; a null URL counts as empty, a null digest gives null.

    ``captured`` is a timestamp column in any unit, or seconds.
    """
    if pa.types.is_timestamp(captured.type):
        captured = captured.cast(pa.timestamp("s", tz=captured.type.tz), safe=False)
    times = captured.cast(pa.int64()).fill_null(_NEVER).to_numpy(zero_copy_only=False)
    offsets, data = _buffers(normalised_urls.cast(pa.large_string()))
    _, digest_data = _fixed_buffer(digests)
    digest = xxhash.xxh3_128_digest
    pack_length, pack_rest = _LENGTH.pack, _REST.pack
    out = []
    for i, time in enumerate(times.tolist()):
        url = data[offsets[i] : offsets[i + 1]]
        out.append(digest(pack_length(len(url)) + url + pack_rest(time, 16) + digest_data[16 * i : 16 * i + 16]))
    return _fixed(b"".join(out), digests)


def _buffers(array: pa.Array) -> tuple[list[int], bytes | memoryview]:
    """Offsets of the values and their data. A null has an empty range, whatever Arrow left under it."""
    kind = array.type
    wide = pa.types.is_large_binary(kind) or pa.types.is_large_string(kind)
    if array.null_count:
        array = array.fill_null(b"" if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) else "")
    _, offset_buffer, data = array.buffers()
    dtype: npt.DTypeLike = np.int64 if wide else np.int32
    if len(array) == 0:
        return [0], b""
    offsets = np.frombuffer(offset_buffer, dtype)[array.offset : array.offset + len(array) + 1]
    return offsets.tolist(), memoryview(data) if data is not None else b""


def _fixed_buffer(array: pa.Array) -> tuple[int, bytes]:
    if array.type != pa.binary(16):
        array = array.cast(pa.binary(16))
    data = array.buffers()[1]
    if data is None:
        return 0, b"\0" * (16 * len(array))
    return 0, data.to_pybytes()[16 * array.offset : 16 * (array.offset + len(array))]


def _fixed(data: bytes, like: pa.Array) -> pa.Array:
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(like), [None, pa.py_buffer(data)])
    if like.null_count:
        return pa.compute.if_else(like.is_valid(), array, pa.scalar(None, pa.binary(16)))
    return array
