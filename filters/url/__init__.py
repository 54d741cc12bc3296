"""URLs: one spelling, hosts, document identity, block lists."""

from algok.filters.url.identity import document_id, document_ids, payload_digest, payload_digests
from algok.filters.url.policy import UrlList, UrlPolicy
from algok.filters.url.spelling import host_of, hosts_of, normalise, normalise_array

__all__ = [
    "UrlList",
    "UrlPolicy",
    "document_id",
    "document_ids",
    "host_of",
    "hosts_of",
    "normalise",
    "normalise_array",
    "payload_digest",
    "payload_digests",
]
