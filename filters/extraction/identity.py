"""Document id and host of a record, from ``algok.filters.url``."""

from collections.abc import Callable

__all__ = ["Identity", "url_identity"]

#: (URL as written, capture time in seconds since 1970, XXH3-128 digest of payload or text) to (doc_id of 16 bytes,
#: lower-case host).
Identity = Callable[[str, int | None, bytes], tuple[bytes, str]]


def url_identity() -> Identity:
    """The identity that all stages share; imported late, for the child process needs no part of it."""
    from algok.filters import url as urls

    def identify(url: str, captured: int | None, digest: bytes) -> tuple[bytes, str]:
        normal = urls.normalise(url)
        return urls.document_id(normal, captured, digest), urls.host_of(normal)

    return identify
