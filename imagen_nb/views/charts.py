"""Estimates with their intervals as lines on a common scale, made of boxes that an untrusted notebook keeps too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from imagen_nb.views.pages import fill
from imagen_nb.views.words import one_line

Bar = tuple[str, float, float, float]
"""A label, an estimate, and the ends of its interval; NaN for what is not known."""

Segment = tuple[str, float, float]
"""A stretch of a line, or with no length a mark on it: what it is, where it begins and how long it is, in per cent."""

Line = tuple[str, Sequence[Segment], str]
"""A label, its line from left to right, and the figures in words."""

_MARGIN = 0.03  # of the scale, on either side
_LABEL = 80


def render_intervals(sentence: str, parts: Sequence[tuple[str, Sequence[Bar]]], note: str | None = None) -> str:
    """The sentence, a line for each estimate of each part, all about 0, which is marked, and the note."""
    return fill("chart.html", sentence=sentence, parts=lay_out(parts), note=note)


def lay_out(parts: Sequence[tuple[str, Sequence[Bar]]]) -> list[tuple[str, list[Line]]]:
    """The lines of each part, all on one scale."""
    known = [each for _, bars in parts for _, *figures in bars for each in figures if not math.isnan(each)]
    low, high = min([0.0, *known]), max([0.0, *known])
    room = (high - low or 1.0) * _MARGIN
    scale, most = (low - room, high + room), max(high, -low)
    digits = max(2, 1 - math.floor(math.log10(most))) if most > 0 else 2
    return [
        (name, [(one_line(bar[0], _LABEL), _segments(bar, *scale), _figure(bar, digits)) for bar in bars])
        for name, bars in parts
    ]


def _segments(bar: Bar, start: float, end: float) -> list[Segment]:
    _, value, low, high = bar
    is_clear = low > 0 or high < 0
    marks = {0.0: "track-zero"} | ({} if math.isnan(value) else {value: "track-dot"})
    cuts = sorted({start, end, *marks, *(each for each in (low, high) if not math.isnan(each))})
    found = []
    for left, right in pairwise(cuts):
        inside = low <= left and right <= high
        kind = ("track-clear" if is_clear else "track-unclear") if inside else "track-space"
        begin, stop = (round(100 * (each - start) / (end - start), 2) for each in (left, right))
        found.append((kind, begin, round(stop - begin, 2)))
        if right in marks:
            found.append((marks[right], stop, 0.0))
    return found


def _figure(bar: Bar, digits: int) -> str:
    """`+0.42 (+0.10 to +0.90)`."""
    value, *ends = (f"{round(each, digits) + 0.0:+.{digits}f}" for each in bar[1:])  # no -0.00
    if math.isnan(bar[1]):
        return "cannot be told"
    return value if math.isnan(bar[2]) else f"{value} ({' to '.join(ends)})"
