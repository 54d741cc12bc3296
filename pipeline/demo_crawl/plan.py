"""Which page is what: groups of duplicates by index arithmetic, everything else by a draw of (seed, index).

The indices are cut into blocks (0-255, 256-511, 512-1023, 1024-2047, 2048-4095, then 4,096 each). A block's groups are
drawn from (seed, block) and live within it, so that a page knows its group and all its members without any other page
having been written: generation streams, and any range can be written alone. Blocks are small at first so that small
crawls hold whole groups too.
"""

from functools import lru_cache
from typing import NamedTuple

from algok.pipeline.demo_crawl.draw import Draw
from algok.pipeline.demo_crawl.edits import EDITS
from algok.pipeline.demo_crawl.options import DemoCrawlOptions
from algok.pipeline.demo_crawl.writers import STYLES

__all__ = ["Group", "PagePlan", "block_bounds", "plan_of"]

_FIRST_BLOCK, _FULL_BLOCK = 256, 4096
#: Largest group; block size over eight where that is less.
_LARGEST_GROUP = 300
#: Share of the members of a near group that repeat the original's text exactly (in their own templates).
_EQUAL_SHARE = 0.06

#: Pages that are not documents, with weights.
_JUNK = (
    *(("listing", 34), ("error", 13), ("login", 7), ("short", 22), ("media", 9), ("redirect", 4), ("missing", 5)),
    *(("revisit", 3), ("empty", 3), ("hostile", 0.5)),
)
_SPAM = (("gambling", 5), ("loan", 4), ("stuffing", 4), ("repeated", 3), ("linkfarm", 3), ("splog", 6))
_EXACT_KINDS = (("copy", 35), ("template", 45), ("recapture", 15), ("twin", 5))
#: Breakage, with weights and the reader step that must fail (None: the page must survive).
BREAKAGE: tuple[tuple[tuple[str, str | None], float], ...] = (
    (("flipped-byte", "gzip"), 2),
    (("bad-header", "header"), 1),
    (("length-long", "truncated"), 1),
    (("length-short", "header"), 1),
    (("no-http", None), 1),
    (("bad-byte", None), 3),
    (("noise-bytes", None), 1),
)


class Group(NamedTuple):
    """Pages that share one document.

    kind: near; copy (same bytes at another URL); template (same text in another page); recapture (same URL and bytes,
    later); twin (same URL, time and bytes). members: page indices, ascending.
    """

    name: str
    kind: str
    members: tuple[int, ...]


class PagePlan(NamedTuple):
    """What page number ``page`` is.

    kind: document, spam, or one of the junk kinds. content: class of text (a language, code or math); style within it.
    original: page whose document this one repeats or edits (itself, outside groups). member: 0 for the original.
    """

    page: int
    kind: str
    content: str
    style: str
    group: Group | None
    member: int
    original: int
    edit: str
    target: float
    breakage: str
    failed_step: str | None


def block_bounds(index: int) -> tuple[int, int]:
    """First index and end of the block that holds ``index``.

    >>> [block_bounds(i) for i in (0, 256, 700, 5000)]
    [(0, 256), (256, 512), (512, 1024), (4096, 8192)]
    """
    if index < _FIRST_BLOCK:
        return 0, _FIRST_BLOCK
    if index < _FULL_BLOCK:
        low = 1 << (index.bit_length() - 1)
        return low, 2 * low
    low = index - index % _FULL_BLOCK
    return low, low + _FULL_BLOCK


@lru_cache(maxsize=8)
def _groups(seed: int, low: int, high: int, near_share: float, exact_share: float) -> dict[int, tuple[Group, int]]:
    """(group, member number) of every grouped index of a block."""
    size = high - low
    draw = Draw(seed, "groups", low)
    slots = draw.shuffled(range(low, high))
    largest = min(_LARGEST_GROUP, size // 8)
    found: dict[int, tuple[Group, int]] = {}
    at = number = 0
    for share, near in ((exact_share, False), (near_share, True)):
        end = at + int(share * size)
        while end - at >= 2:
            count = min(end - at, 1 + draw.heavy(largest - 1))
            members = tuple(sorted(slots[at : at + count]))
            at += count
            kind = "near" if near else draw.weighted(_EXACT_KINDS)
            group = Group(f"{low}-{number}", kind, members)
            number += 1
            for member, index in enumerate(members):
                found[index] = (group, member)
    return found


def _content(draw: Draw, options: DemoCrawlOptions) -> tuple[str, str]:
    content = draw.weighted(options.language_shares())
    return content, draw.weighted(STYLES[content])


def plan_of(options: DemoCrawlOptions, index: int) -> PagePlan:
    """The plan of one page."""
    seed = options.seed
    draw = Draw(seed, "plan", index)
    breakage, failed_step = "", None
    if draw.chance(options.broken_share):
        breakage, failed_step = draw.weighted(BREAKAGE)
    low, high = block_bounds(index)
    placed = _groups(seed, low, high, options.near_share, options.exact_share).get(index)
    if placed is not None:
        group, member = placed
        original = group.members[0]
        content, style = _content(Draw(seed, "group", group.name), options)
        edit, target = "", 1.0
        if group.kind == "near" and member and not draw.chance(_EQUAL_SHARE):
            edit = draw.pick(EDITS)
            # Moving sentences breaks no shingle inside them: lower similarities cannot be had by that.
            low_target = 0.75 if edit == "reorder" else 0.5
            target = low_target + (1 - low_target) * draw.unit()
        return PagePlan(index, "document", content, style, group, member, original, edit, target, breakage, failed_step)
    rest = 1 - options.near_share - options.exact_share
    mark = draw.unit() * rest
    content, style = _content(draw, options)
    if mark < options.spam_share:
        kind, style = "spam", draw.weighted(_SPAM)
        if content in ("ja", "zh"):
            style = "gambling"
        elif content != "ko":
            content = "en"
    elif mark < options.spam_share + options.junk_share:
        kind = draw.weighted(_JUNK)
        if kind not in ("short", "hostile"):
            content = content if content in ("ko", "ja", "zh") else "en"
            style = draw.weighted(STYLES[content])
            breakage, failed_step = "", None
    else:
        kind = "document"
    return PagePlan(index, kind, content, style, None, 0, index, "", 1.0, breakage, failed_step)
