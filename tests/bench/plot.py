"""Curves on two logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.bench.growth import Curve

WIDTH, HEIGHT = 420, 300
"""Of one panel, and what is left for its axes and names."""
LEFT, TOP, RIGHT, BOTTOM = 60, 34, 12, 44

COLOURS: Final = ("#1b6ca8", "#c44536", "#2d936c", "#8e5ea2")


def svg(curves: Sequence[Curve]) -> str:
    """One panel for each unit of size, beside each other.

    Args:
        curves: to draw.
    """
    units = list(dict.fromkeys(curve.unit for curve in curves))
    panels = (
        f'<g transform="translate({number * WIDTH} 0)">'
        + "\n".join(_panel(unit, [curve for curve in curves if curve.unit == unit]))
        + "</g>"
        for number, unit in enumerate(units)
    )
    size = f'width="{WIDTH * len(units)}" height="{HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n'
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "\n".join(panels) + "\n</svg>\n"
    )


def _panel(unit: str, curves: Sequence[Curve]) -> Iterator[str]:
    x = _Axis([size for curve in curves for size in curve.sizes], LEFT, WIDTH - RIGHT)
    times_ms = [1000 * time_s for curve in curves for time_s in curve.times_s]
    y = _Axis(times_ms, HEIGHT - BOTTOM, TOP)
    yield from (_line(x(at), TOP, x(at), HEIGHT - BOTTOM, "#dddddd") for at in x.decades)
    yield from (_line(LEFT, y(at), WIDTH - RIGHT, y(at), "#dddddd") for at in y.decades)
    yield from (_text(x(at), HEIGHT - BOTTOM + 14, f"{at:g}", "middle") for at in x.decades)
    yield from (_text(LEFT - 6, y(at) + 4, f"{at:g}", "end") for at in y.decades)
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 30, unit, "middle")
    yield _text(LEFT - 6, TOP - 20, "ms", "end")
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        pairs = zip(curve.sizes, curve.times_s, strict=True)
        points = [(x(size), y(1000 * time_s)) for size, time_s in pairs]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in points
        )
        label = f"{curve.name} (slope {curve.slope:.2f})"
        yield _text(LEFT + 8, TOP - 8 + 14 * (number + 1), label, "start", colour)


class _Axis:
    """Where values lie between two ends, by their logarithms; from decade to decade."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(math.ceil(math.log10(max(values))), self._low + 1)
        self._begin, self._end = begin, end

    @property
    def decades(self) -> list[float]:
        """Powers of ten, ends included."""
        return [10.0**power for power in range(self._low, self._high + 1)]

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333333") -> str:
    at = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {at}>{escape(text)}</text>"
