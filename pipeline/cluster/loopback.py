"""Beam's Java gRPC servers bind to all network interfaces, and whoever reaches them can run code as the worker.

``NettyServerBuilder.forPort(address.getPort())`` in Beam 2.70's ``ServerFactory`` drops the host that it was given
(loopback, but for the job server's own option). There is no setting for it, so that one call is replaced by
``NettyServerBuilder.forAddress(address)`` in a copy of the class that comes first on the class path.
"""

import struct
import zipfile
from pathlib import Path

from algok.errors import CorruptionError

__all__ = ["CLASS", "bind_to_address", "write_patched_class"]

CLASS = "org/apache/beam/sdk/fn/server/ServerFactory$InetSocketAddressServerFactory.class"
_BUILDER = "org/apache/beam/vendor/grpc/v1p69p0/io/grpc/netty/NettyServerBuilder"
_ADDRESS = "java/net/InetSocketAddress"
#: Bytes after the tag of each constant; a Utf8 has its length in front (Java virtual machine specification, 4.4).
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}
_UTF8, _NAME_AND_TYPE, _METHOD = 1, 12, 10
_NOP, _INVOKE_VIRTUAL, _INVOKE_STATIC = b"\x00", b"\xb6", b"\xb8"


def write_patched_class(jar: Path, folder: Path) -> None:
    """Write the changed class of ``jar`` below ``folder``."""
    with zipfile.ZipFile(jar) as archive:
        changed = bind_to_address(archive.read(CLASS))
    target = folder / CLASS
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(changed)


def bind_to_address(code: bytes) -> bytes:
    """The class file with the call replaced. Raises ``CorruptionError`` when it is not the class that is expected."""
    pool, end = _constants(code)

    def text(index: int) -> str:
        return pool[index][1].decode() if pool[index][0] == _UTF8 else ""

    def method(owner: str, name: str) -> int:
        for index, (tag, data) in pool.items():
            if tag == _METHOD:
                of, signature = struct.unpack(">HH", data)
                named = struct.unpack(">HH", pool[signature][1])[0]
                if text(struct.unpack(">H", pool[of][1])[0]) == owner and text(named) == name:
                    return index
        raise CorruptionError(f"{CLASS} does not call {owner}.{name}: another version of Beam?")

    for_port, get_port = method(_BUILDER, "forPort"), method(_ADDRESS, "getPort")
    count = struct.unpack_from(">H", code, 8)[0]
    owner = struct.unpack(">HH", pool[for_port][1])[0]
    name, signature = b"forAddress", f"(Ljava/net/SocketAddress;)L{_BUILDER};".encode()
    added = b"".join(struct.pack(">BH", _UTF8, len(text)) + text for text in (name, signature))
    added += struct.pack(">BHH", _NAME_AND_TYPE, count, count + 1) + struct.pack(">BHH", _METHOD, owner, count + 2)
    old = _INVOKE_VIRTUAL + struct.pack(">H", get_port) + _INVOKE_STATIC + struct.pack(">H", for_port)
    new = _NOP * 3 + _INVOKE_STATIC + struct.pack(">H", count + 3)
    body = code[end:]
    if body.count(old) != 1:
        raise CorruptionError(f"{CLASS} is not the class that this change is for: another version of Beam?")
    return code[:8] + struct.pack(">H", count + 4) + code[10:end] + added + body.replace(old, new)


def _constants(code: bytes) -> tuple[dict[int, tuple[int, bytes]], int]:
    """(tag, bytes) of each constant by index, and where the pool ends."""
    count, at, index = struct.unpack_from(">H", code, 8)[0], 10, 1
    pool: dict[int, tuple[int, bytes]] = {}
    while index < count:
        tag = code[at]
        size = _SIZES[tag] if tag != _UTF8 else struct.unpack_from(">H", code, at + 1)[0]
        start = at + (1 if tag != _UTF8 else 3)
        pool[index] = (tag, code[start : start + size])
        at, index = start + size, index + (2 if tag in (5, 6) else 1)  # long and double take two places
    return pool, at
