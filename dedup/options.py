"""All choices of deduplication in one value, which is part of the key of what it produces."""

from typing import Literal

import msgspec
import pyarrow as pa

from algok.dedup.bands import BandOptions, choose_bands
from algok.dedup.lines import LineOptions
from algok.dedup.minhash import MinHashOptions
from algok.dedup.spans import SpanOptions
from algok.dedup.verify import VerifyOptions
from algok.errors import RecipeError
from algok.schema import DOCUMENTS

__all__ = ["DedupOptions", "StoreOptions"]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The signature store, against which later crawls are deduplicated without the texts of this one."""

    #: Whether it is written, to `dedup/store`.
    write: bool = False
    #: Smallest shingle hashes kept of a text, for pairs that the signatures leave open; 4 bytes each. The standard
    #: error of a similarity at 0.8 is 0.018 with 512, 0.006 with 4,096; texts of fewer shingles are compared exactly.
    shingles: int = 512

    def __post_init__(self) -> None:
        if not 64 <= self.shingles <= 65_536:
            raise RecipeError(f"dedup.store.shingles must be 64 to 65,536, not {self.shingles}")


class DedupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Exact and near deduplication."""

    #: Whether near duplicates are sought after the exact ones.
    near: bool = True
    minhash: MinHashOptions = MinHashOptions()
    bands: BandOptions = BandOptions()
    verify: VerifyOptions = VerifyOptions()
    #: Wanted share of the pairs at ``verify.threshold`` that share a band; above 0 it replaces ``bands.bands`` and
    #: ``bands.rows`` by what ``bands.choose_bands`` says for ``minhash.permutations``.
    recall: float = 0.0
    #: A numeric column of DOCUMENTS that ranks texts by quality (higher is better) before their length; empty for none.
    quality: str = ""
    #: Accepted pairs up to which components are found in the driver's memory: about 100 bytes a pair.
    local_pairs: int = 4_000_000
    #: Members of a band's group that one unit passes on; see ``bands.representatives``.
    unit_group_limit: int = 1000
    #: Of the captures of one URL (normalised, from any crawl) all are compared (`off`), or one stays: the `newest`, or
    #: the `best` by the order of preference.
    url: Literal["off", "newest", "best"] = "off"
    lines: LineOptions = LineOptions()
    spans: SpanOptions = SpanOptions()
    store: StoreOptions = StoreOptions()

    def __post_init__(self) -> None:
        if self.recall:
            bands, rows = choose_bands(self.minhash.permutations, self.verify.threshold, self.recall)
            msgspec.structs.force_setattr(self, "bands", msgspec.structs.replace(self.bands, bands=bands, rows=rows))
        if self.quality and not (self.quality in DOCUMENTS.names and _is_number(DOCUMENTS.field(self.quality).type)):
            raise RecipeError(f"dedup.quality must name a numeric column of the documents, not {self.quality!r}")
        needed = self.bands.bands * self.bands.rows
        if needed > self.minhash.permutations:
            raise RecipeError(
                f"dedup: {self.bands.bands} bands x {self.bands.rows} rows need {needed} permutations, "
                f"there are {self.minhash.permutations}"
            )
        if self.store.write and not self.near:
            raise RecipeError("dedup.store.write needs dedup.near = true: the store holds signatures")
        if self.local_pairs < 0 or self.unit_group_limit < 1:
            raise RecipeError("dedup.local_pairs must be at least 0 and dedup.unit_group_limit at least 1")
