"""A removed near duplicate beside its survivor: which words only one of them has."""

import difflib
import re

import msgspec

from algok.pipeline.report.summary import Sample

__all__ = ["beside", "differences"]

#: Words; characters of scripts without spaces between words are words of their own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
#: Words that are compared; the matcher is quadratic in the worst case.
MOST_WORDS = 2_000
#: Characters shown before the first difference where the texts begin alike.
LEAD = 120

Ranges = list[tuple[int, int]]


def differences(left: str, right: str) -> tuple[Ranges, Ranges]:
    """Ranges [start, end) of each text with words that the other does not have at that place. Only the first
    ``MOST_WORDS`` words count.

    >>> differences("a b c", "a x c")
    ([(2, 3)], [(2, 3)])
    """
    words = [list(_WORD.finditer(text))[:MOST_WORDS] for text in (left, right)]
    matcher = difflib.SequenceMatcher(None, [w.group() for w in words[0]], [w.group() for w in words[1]])
    found: tuple[Ranges, Ranges] = ([], [])
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            for side, first, last in ((0, a, b), (1, c, d)):
                if last > first:
                    found[side].append((words[side][first].start(), words[side][last - 1].end()))
    return found


def beside(sample: Sample, survivor: Sample | None, chars: int) -> Sample:
    """The sample with its survivor, both cut to ``chars`` characters from before the first difference, and marked."""
    if survivor is None or sample.text is None or survivor.text is None:
        return _cut(sample, 0, chars, [], survivor)
    left, right = differences(sample.text, survivor.text)
    starts = []
    for ranges, other in ((left, right), (right, left)):
        first = ranges[0][0] if ranges else other[0][0] if other else 0
        starts.append(max(0, first - LEAD) if first > chars // 2 else 0)
    if min(starts) == 0:
        starts = [0, 0]
    return _cut(sample, starts[0], chars, left, _cut(survivor, starts[1], chars, right, None))


def _cut(sample: Sample, start: int, chars: int, marks: Ranges, survivor: Sample | None) -> Sample:
    text = (sample.text or "")[start : start + chars] if sample.text is not None else None
    inside = [
        (max(a, start) - start, min(b, start + chars) - start) for a, b in marks if b > start and a < start + chars
    ]
    return msgspec.structs.replace(sample, text=text, skipped=start, marks=inside, survivor=survivor)
