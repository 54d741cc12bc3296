"""A stamp of source files, to keep cached machine code from outliving the code it was compiled from.

numba caches a compiled function beside its module and compiles it again when that module changes, but not when a
function that it calls, or a constant that it reads, changes in another module: the old numbers would go on silently.
What a closure captures is part of the cache's key, so kernels with ``cache=True`` capture the stamp of all modules that
they draw on.
"""

import importlib.util
from pathlib import Path

import xxhash

__all__ = ["source_stamp"]


def source_stamp(*modules: str) -> int:
    """63-bit hash of the source files of these modules; 0 where they have none (a zipped or compiled install)."""
    digest = xxhash.xxh64()
    for name in modules:
        spec = importlib.util.find_spec(name)
        path = Path(spec.origin) if spec is not None and spec.origin is not None else None
        if path is None or path.suffix != ".py" or not path.is_file():
            return 0
        digest.update(path.read_bytes())
    return digest.intdigest() >> 1
