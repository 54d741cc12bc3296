"""Charts as static inline SVG: no script, no style attributes (the page's policy forbids them), colours by class.

Every chart has a title and a role, so that it is read out; the numbers are always in a table or caption beside it.
"""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from algok.pipeline.report.summary import Limit
from algok.pipeline.report.text import value

__all__ = ["bar", "curve", "kept_at", "pair", "positions", "stack"]

#: Drawing area of a curve, in SVG units (about a pixel on a phone).
_W, _H = 340, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 36, 10, 24
#: A bar more than so many times the next one is cut.
CUT = 4
#: Most bars of a histogram.
_BARS = 64


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def bar(part: float, kind: str, title: str) -> Markup:
    """A horizontal bar of ``part`` (0..1) of the width; ``kind`` is the colour's class."""
    width = max(0.0, min(1.0, part)) * 100
    return Markup(
        '<svg class="bar" role="img" width="100%" height="12" aria-label="{0}"><title>{0}</title>'
        '<rect class="track" width="100%" height="12"/><rect class="{1}" width="{2}%" height="12"/></svg>'
    ).format(title, kind, _n(max(width, 0.4) if width > 0 else 0))


def stack(parts: Sequence[tuple[float, str, str]], title: str) -> Markup:
    """Bars (share of the width 0..1, colour class, title) behind one another, in one row."""
    out = [
        Markup('<svg class="bar" role="img" width="100%" height="14" aria-label="{0}"><title>{0}</title>').format(title)
    ]
    at = 0.0
    for width, kind, label in parts:
        out.append(
            Markup('<rect class="{}" x="{}%" width="{}%" height="14"><title>{}</title></rect>').format(
                kind, _n(at * 100), _n(width * 100), label
            )
        )
        at += width
    return Markup("").join(out) + Markup("</svg>")


def pair(target: float, achieved: float, scale: float, title: str) -> Markup:
    """What is there (bar) against what was wanted (mark), both 0..``scale``."""
    inner = 100 / scale if scale > 0 else 0.0
    mark = min(target * inner, 99.6)
    return Markup(
        '<svg class="bar" role="img" width="100%" height="16" aria-label="{0}"><title>{0}</title>'
        '<rect class="track" y="3" width="100%" height="10"/><rect class="kept" y="3" width="{1}%" height="10"/>'
        '<rect class="mark" x="{2}%" width="2" height="16"/></svg>'
    ).format(title, _n(min(achieved * inner, 100)), _n(mark))


def kept_at(limit: Limit) -> list[tuple[float, float, float]]:
    """(limit, share kept with the policy's other limits, share kept by this limit alone) for every bin border.

    A ``min`` limit keeps the bins from its border on. A ``max`` limit keeps the bins below: it is the largest value
    below the border.
    """
    total = sum(limit.counts) + limit.unmeasured
    if not total:
        return []
    below, open_below = 0, 0
    every, every_open = sum(limit.counts), sum(limit.open_counts)
    rows = []
    for i, edge in enumerate(limit.edges):
        alone = below if limit.end == "max" else every - below
        joint = open_below if limit.end == "max" else every_open - open_below
        rows.append(
            (_limit_at(limit, edge), (joint + limit.open_unmeasured) / total, (alone + limit.unmeasured) / total)
        )
        if i < len(limit.counts):
            below += limit.counts[i]
            open_below += limit.open_counts[i]
    return rows


def _limit_at(limit: Limit, edge: float) -> float:
    if limit.end == "min":
        return edge
    return edge - 1 if limit.whole else float(np.nextafter(np.float32(edge), np.float32(-np.inf)))


class _Axis:
    """Maps values to x; logarithmic (of value + 1) for counts with a wide range."""

    def __init__(self, limit: Limit) -> None:
        low, high = _range(limit)
        self.log = limit.unit not in ("0..1", "ratio") and limit.per is None and high > 200
        self.low, self.high = low, high
        self._a, self._b = self._f(low), self._f(high)

    def _f(self, number: float) -> float:
        return math.log1p(max(number, 0.0)) if self.log else number

    def x(self, number: float) -> float:
        part = (self._f(number) - self._a) / ((self._b - self._a) or 1.0)
        return _LEFT + max(0.0, min(1.0, part)) * (_W - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        if self.log:
            powers = [10.0**p for p in range(0, 10) if self.low <= 10.0**p <= self.high]
            return powers if len(powers) <= 5 else powers[::2]
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / 3))
        step *= next(f for f in (1, 2, 5, 10) if span / (step * f) <= 4.5)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, first + 8) if i * step <= self.high + 1e-9 * step]


def _range(limit: Limit) -> tuple[float, float]:
    """From the smallest to the 99.5th percentile of the values, with the limit inside."""
    total = sum(limit.counts)
    low, high, seen = limit.limit, limit.limit, 0
    for i, number in enumerate(limit.counts):
        if number and seen == 0:
            low = min(low, limit.edges[i])
        seen += number
        if number and seen - number < 0.995 * total:
            high = max(high, limit.edges[i + 1] if i + 2 < len(limit.edges) else limit.edges[i])
    pad = (high - low) * 0.04 or abs(high) * 0.05 or 1.0
    floor = 0.0 if low >= 0 else low - pad
    top = high + pad
    return max(floor, low - pad), min(top, 1.0) if limit.unit == "0..1" and high <= 1.0 else top


def curve(limit: Limit) -> Markup:
    """Histogram of the signal (grey: kept by the limit, coloured: broken), the share kept at each possible limit
    (line, right axis), and the limit itself."""
    axis = _Axis(limit)
    right, bottom = _W - _RIGHT, _H - _BOTTOM
    height = bottom - _TOP
    columns = _columns(limit, axis)
    most = _tallest([within + beyond for _, _, within, beyond in columns])
    paths = {"hist": "", "hist lost": "", "cut": ""}
    for x, width, within, beyond in columns:
        y = float(bottom)
        shrink = min(1.0, most / max(within + beyond, 1))
        if shrink < 1.0:
            paths["cut"] += f"M{_n(x - 2)} {_n(_TOP + 13)}l{_n(width + 4)} -4"
        for kind, number in (("hist", within), ("hist lost", beyond)):
            if number:
                tall = max(number * shrink / most * height, 0.8)
                paths[kind] += f"M{_n(x)} {_n(y)}v{_n(-tall)}h{_n(width)}v{_n(tall)}z"
                y -= tall
    points = _line(limit, axis, height, bottom)
    title = (
        f"{limit.label}: histogram over documents, {limit.end} limit {value(limit.limit)}, "
        f"and the share kept if the limit moved"
    )
    out = [
        Markup('<svg class="curve" role="img" viewBox="0 0 {} {}" aria-label="{}"><title>{}</title>').format(
            _W, _H, title, title
        )
    ]
    for level in (0.0, 0.5, 1.0):
        at_share = bottom - level * height
        out.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(_LEFT, _n(at_share), right))
        out.append(
            Markup('<text class="tick" x="{}" y="{}">{}%</text>').format(
                right + 4, _n(at_share + 3.5), int(level * 100)
            )
        )
    for kind, path in paths.items():
        if path:
            out.append(Markup('<path class="{}" d="{}"/>').format(kind, path))
    for tick in axis.ticks():
        x = axis.x(tick)
        out.append(Markup('<path class="axis" d="M{} {}v4"/>').format(_n(x), bottom))
        anchor = "start" if x < _LEFT + 12 else "middle"
        out.append(
            Markup('<text class="tick" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                _n(x), bottom + 15, anchor, _tick(tick)
            )
        )
    out.append(Markup('<path class="axis" d="M{} {}H{}"/>').format(_LEFT, bottom, right))
    out.append(Markup('<polyline class="share" points="{}"/>').format(points))
    x = axis.x(limit.limit)
    out.append(Markup('<path class="limit" d="M{} {}V{}"/>').format(_n(x), _TOP - 6, bottom))
    out.append(Markup("</svg>"))
    return Markup("").join(out)


def _tallest(bars: list[int]) -> int:
    """Documents of a bar of full height. One that is far above all others (as many signals are 0) is cut, and marked
    as cut, so that the others can be seen."""
    ranked = sorted(bars, reverse=True)
    second = ranked[1] if len(ranked) > 1 else 0
    return ranked[0] if not second or ranked[0] <= CUT * second else CUT * second


def _columns(limit: Limit, axis: _Axis) -> list[tuple[float, float, int, int]]:
    """Bars as (x, width, documents within the limit, beyond it). A bar for each bin where they are whole numbers and
    few; else bins are gathered in ``_BARS`` columns, or spread over them."""
    bins = [
        (limit.edges[i], limit.edges[i + 1], number, _beyond(limit, limit.edges[i]))
        for i, number in enumerate(limit.counts)
        if number and (limit.edges[i] <= axis.high)
    ]
    if limit.whole and not axis.log and axis.high - axis.low <= _BARS:
        width = axis.x(axis.low + 1) - axis.x(axis.low)
        return [
            (axis.x(low) - width * 0.4, width * 0.8, 0 if lost else n, n if lost else 0) for low, _, n, lost in bins
        ]
    within, beyond = [0] * _BARS, [0] * _BARS
    width = (_W - _RIGHT - _LEFT) / _BARS
    for low, high, number, lost in bins:
        first = _column(axis.x(low), width)
        spread = max(first, _column(axis.x(high) - 1e-6, width)) - first + 1
        for part in range(spread):
            piece = number * (part + 1) // spread - number * part // spread
            (beyond if lost else within)[first + part] += piece
    return [(_LEFT + i * width, width * 0.86, within[i], beyond[i]) for i in range(_BARS)]


def _beyond(limit: Limit, low: float) -> bool:
    return low < limit.limit if limit.end == "min" else low > limit.limit


def _column(x: float, width: float) -> int:
    return max(0, min(_BARS - 1, int((x - _LEFT) / width)))


def _tick(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:g}M"
    return f"{number / 1e3:g}k" if number >= 1e3 else f"{number:.6g}"


def _line(limit: Limit, axis: _Axis, height: float, bottom: float) -> str:
    """The share kept as a step line of at most some 150 points: one for each third of a column."""
    points: dict[int, tuple[float, float]] = {}
    for at, x, joint, _ in positions(limit):
        if axis.low <= at <= axis.high:
            points[round(x / 2)] = (x, bottom - joint * height)
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points.values())


def positions(limit: Limit) -> list[tuple[float, float, float, float]]:
    """(limit, x, share kept in all, share kept by this alone) for the limits that the chart's range shows."""
    axis = _Axis(limit)
    return [(at, axis.x(at), joint, alone) for at, joint, alone in kept_at(limit) if axis.low <= at <= axis.high]
