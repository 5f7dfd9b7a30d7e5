"""Charts as inline SVG: axes with round ticks, lines, points and bars. Colours are the page's, in report.css."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from talweg.insight.markup import Markup, number, tag

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 26, 40
LARGEST = 1e300  # beyond it, differences of two values overflow
SMALLEST = 1e-290  # below it, a tenth of a range is no exact number any more
MOST_POINTS = 800  # of a line; more cannot be told apart at this width


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` along one side of a chart, with `ticks`."""

    low: float
    high: float
    ticks: list[float]
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies: 0 at `low`, 1 at `high`."""
        if self.log:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        return drawable(value) and (value >= SMALLEST or not self.log)


def drawable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < LARGEST


def spans_decades(values: Iterable[float], decades: float = 2.0) -> bool:
    """Whether the values are all positive and the largest is more than 10^decades times the smallest.

    >>> spans_decades([25.0, 0.1]), spans_decades([25.0, 1.0]), spans_decades([25.0, 0.0])
    (True, False, False)
    """
    known = [v for v in values if drawable(v)]
    return bool(known) and min(known) >= SMALLEST and math.log10(max(known)) - math.log10(min(known)) > decades


def linear_axis(values: Iterable[float], count: int = 5, whole: bool = False, tight: bool = False) -> Axis:
    """About `count` ticks at round distances (1, 2 or 5 times a power of ten), around all values.

    whole: whole numbers only. tight: ends at the values themselves and not at a tick.

    >>> linear_axis([0.13, 0.98]).ticks
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> linear_axis([1, 30], whole=True, tight=True).ticks
    [1, 10.0, 20.0, 30.0]
    """
    known = [v for v in values if drawable(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low <= max(1e-9 * max(abs(low), abs(high)), SMALLEST):  # one value only
        room = max(abs(low) * 0.1, 1.0 if whole else 1e-9 if low else 0.5)
        low, high = low - room, high + room
    step = _round_step((high - low) / count, whole)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if not tight:
        first = math.floor(low / step + 1e-9)
        last = max(math.ceil(high / step - 1e-9), first + 1)
        low, high = first * step, last * step
    ticks = [_rounded(i * step, step) for i in range(first, last + 1)]
    if tight and (not ticks or ticks[0] - low > step / 2):
        ticks.insert(0, low)
    return Axis(low, high, ticks)


def log_axis(values: Iterable[float], count: int = 5) -> Axis:
    """Powers of ten around all positive values, about `count` of them labelled.

    >>> log_axis([0.003, 25]).ticks
    [0.001, 0.01, 0.1, 1.0, 10.0, 100.0]
    """
    known = [v for v in values if drawable(v) and v >= SMALLEST] or [1.0]
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    last = max(last, first + 1)
    step = -(-(last - first) // (count + 1))
    return Axis(10.0**first, 10.0**last, [10.0**e for e in range(first, last + 1, step)], log=True)


def _round_step(rough: float, whole: bool) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.99)
    return max(1.0, step) if whole else step


def _rounded(value: float, step: float) -> float:
    """Without the dust of binary fractions: 0.6 and not 0.6000000000000001."""
    return round(value, max(0, 1 - math.floor(math.log10(step))))


@dataclass(frozen=True)
class Chart:
    """Two axes, and where a point lies between them, in the units of the drawing."""

    x: Axis
    y: Axis
    x_label: str
    y_label: str

    def px(self, value: float) -> float:
        return round(LEFT + self.x.at(value) * (WIDTH - LEFT - RIGHT), 2)

    def py(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - self.y.at(value) * (HEIGHT - TOP - BOTTOM), 2)

    def draw(self, *marks: Markup | None, says: str) -> Markup:
        """The chart as SVG; `says` is what it shows, for those who cannot see it."""
        grid = [self._tick_y(v) for v in self.y.ticks] + [self._tick_x(v) for v in self.x.ticks]
        middle = (LEFT + WIDTH - RIGHT) / 2
        return tag(
            "svg",
            *grid,
            tag("text", self.y_label, x=4, y=14, class_="axis"),
            tag("text", self.x_label, x=middle, y=HEIGHT - 6, text_anchor="middle", class_="axis"),
            *marks,
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=says,
            class_="chart",
        )

    def line(self, points: Sequence[tuple[float, float]], class_: str) -> Markup:
        """Joined points; a value that cannot be drawn (NaN) breaks the line, and a point between two such is a dot."""
        runs: list[list[tuple[float, float]]] = [[]]
        for x, y in points:
            if self.x.holds(x) and self.y.holds(y):
                runs[-1].append((x, y))
            elif runs[-1]:
                runs.append([])
        drawn = []
        for run in runs:
            thin = thinned(run)
            places = " ".join(f"{self.px(x):g},{self.py(y):g}" for x, y in thin)
            if len(thin) > 1:
                drawn.append(tag("polyline", points=places, class_=f"line {class_}"))
            elif thin:
                drawn.append(self.dot(*thin[0], class_=class_))
        return tag("g", *drawn)

    def dot(self, x: float, y: float, class_: str, radius: float = 3.5, says: str | None = None) -> Markup:
        """A point, with what it says when pointed at."""
        told = None if says is None else tag("title", says)
        return tag("circle", told, cx=self.px(x), cy=self.py(y), r=radius, class_=f"dot {class_}")

    def rule(self, x: float, class_: str = "best") -> Markup:
        """A vertical line at x."""
        return tag("line", x1=self.px(x), x2=self.px(x), y1=TOP, y2=HEIGHT - BOTTOM, class_=class_)

    def bar(self, left: float, right: float, height: float, says: str, class_: str = "bar") -> Markup:
        """A bar that stands on 0."""
        top, width = self.py(height), max(0.5, self.px(right) - self.px(left) - 1)
        return tag(
            "rect",
            tag("title", says),
            x=self.px(left),
            y=top,
            width=round(width, 2),
            height=round(self.py(0) - top, 2),
            class_=class_,
        )

    def _tick_x(self, value: float) -> Markup:
        x, bottom = self.px(value), HEIGHT - BOTTOM
        return tag(
            "g",
            tag("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="tick"),
            tag("text", number(value), x=x, y=bottom + 17, text_anchor="middle"),
        )

    def _tick_y(self, value: float) -> Markup:
        y = self.py(value)
        return tag(
            "g",
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"),
            tag("text", number(value), x=LEFT - 7, y=y + 4, text_anchor="end"),
        )


def thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `MOST_POINTS`: of each stretch the lowest and the highest, so that no spike is lost."""
    stretch = -(-2 * len(points) // MOST_POINTS)
    if stretch <= 2:
        return points
    kept = [points[0]]
    for i in range(0, len(points), stretch):
        part = points[i : i + stretch]
        ends = {min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])}
        kept.extend(sorted(ends))
    return [*kept, points[-1]]
