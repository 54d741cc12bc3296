"""The extracting process: ``python -m algok.filters.extraction.child``, started and ended by ``sandbox``.

It reads chunks from standard input and answers on standard output until the input ends; when the parent dies, the
pipe closes and the child leaves. It limits itself: the kernel kills it at its CPU limit even inside of a C call
that never returns, and when its parent is gone too, so that no process is left behind.
"""

import importlib
import logging
import os
import resource
import signal
import sys
from typing import IO

import msgspec

from algok.filters.extraction.attempt import attempt, interrupt
from algok.filters.extraction.messages import LENGTH, Chunk, read_message
from algok.filters.extraction.options import ExtractOptions

__all__ = ["Setup", "main"]

#: Frames that Python may nest: trafilatura recurses per element level, and lxml pages are at most 900 deep.
_RECURSION = 6_000


class Setup(msgspec.Struct, array_like=True):
    """First message to the child."""

    options: ExtractOptions
    #: ``module:function`` of the decoder.
    decoder: str


def main() -> int:
    """Serve until the input ends; exit status 0."""
    source = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
    sink = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # a library that prints must not write into the answers
    logging.disable(logging.CRITICAL)
    sys.setrecursionlimit(_RECURSION)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end closes the pipe
    first = read_message(source)
    if first is None:
        return 0
    setup = msgspec.msgpack.decode(first, type=Setup)
    from algok.filters.extraction.page import PageKernel

    module, _, name = setup.decoder.partition(":")
    kernel = PageKernel(setup.options, getattr(importlib.import_module(module), name))
    _limit_memory(setup.options.memory_limit_mb)
    signal.signal(signal.SIGPROF, interrupt)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    _send(sink, b"ready")
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(Chunk).decode
    while (message := read_message(source)) is not None:
        chunk = decode(message)
        del message
        chunk.pages.reverse()
        while chunk.pages:
            result = attempt(kernel, chunk.pages.pop(), limit=setup.options.time_limit_s)
            _send(sink, encode(result))
            if result.spent:
                return 0
    return 0


def _limit_memory(megabytes: int) -> None:
    with open("/proc/self/statm") as statm:  # noqa: PTH123
        pages = int(statm.read().split()[0])
    limit = pages * resource.getpagesize() + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(sink: IO[bytes], body: bytes) -> None:
    data = memoryview(len(body).to_bytes(LENGTH, "little") + body)
    while data:
        data = data[sink.write(data) :]


if __name__ == "__main__":
    try:
        status = main()
    except BrokenPipeError:  # the parent is gone
        status = 0
    os._exit(status)
