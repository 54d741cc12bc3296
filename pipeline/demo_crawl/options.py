"""Options of the synthetic crawl."""

from dataclasses import dataclass

from algok.errors import RecipeError

__all__ = ["DemoCrawlOptions"]

#: Shares of the mix by class of text; what the issue asks for.
_OTHERS = (("en", 0.30), ("ja", 0.06), ("zh", 0.06), ("code", 0.06), ("math", 0.03), ("other", 0.04))


@dataclass(frozen=True, kw_only=True)
class DemoCrawlOptions:
    """What crawl to write. Page i depends on (``seed``, i) and the shares, never on ``pages``.

    pages: pages (response and revisit records) to write, at least 1.
    seed: any integer of 0 or more.
    start: index of the first page, a multiple of ``pages_per_file``: a part of a larger crawl.
    pages_per_file: pages of one WARC file.
    korean_share: share of Korean among text pages; the other languages keep their proportions to each other.
    near_share, exact_share: share of pages that belong to groups of near and exact duplicates.
    spam_share, junk_share: share of spam pages, and of other pages that a curator drops (listings, errors, short pages,
        other media types, redirects, empty bodies).
    broken_share: share of pages broken on purpose (bytes or records).
    truncate_last: cut the last file in the middle of its last record, where there are two files or more.
    requests: write a request record beside each response.
    compression: zlib level of the gzip members, 0 to 9; 0 gives the same bytes with every zlib.
    """

    pages: int
    seed: int = 1
    start: int = 0
    pages_per_file: int = 1000
    korean_share: float = 0.45
    near_share: float = 0.14
    exact_share: float = 0.07
    spam_share: float = 0.13
    junk_share: float = 0.23
    broken_share: float = 0.01
    truncate_last: bool = True
    requests: bool = True
    compression: int = 6

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            RecipeError: a value is out of range; the message names it.
        """
        for name, low in (("pages", 1), ("seed", 0), ("start", 0), ("pages_per_file", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise RecipeError(f"demo crawl: {name} must be an integer of at least {low}, not {value!r}")
        for name in ("korean_share", "near_share", "exact_share", "spam_share", "junk_share", "broken_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise RecipeError(f"demo crawl: {name} must lie between 0 and 1, not {value!r}")
        total = self.near_share + self.exact_share + self.spam_share + self.junk_share
        if total > 1:
            raise RecipeError(
                f"demo crawl: near_share, exact_share, spam_share and junk_share add up to {total:.3g}, more than 1"
            )
        if self.start % self.pages_per_file:
            raise RecipeError(
                f"demo crawl: start must be a multiple of pages_per_file ({self.pages_per_file}), not {self.start}"
            )
        if not 0 <= self.compression <= 9:
            raise RecipeError(f"demo crawl: compression must lie between 0 and 9, not {self.compression!r}")

    @property
    def files(self) -> int:
        """Number of WARC files."""
        return -(-self.pages // self.pages_per_file)

    def language_shares(self) -> tuple[tuple[str, float], ...]:
        """(class of text, share) that add up to 1."""
        rest = sum(share for _, share in _OTHERS)
        scale = (1 - self.korean_share) / rest
        return (("ko", self.korean_share), *((name, share * scale) for name, share in _OTHERS))
