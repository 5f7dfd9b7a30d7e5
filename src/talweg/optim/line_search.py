"""A step along a line that satisfies the strong Wolfe conditions: far enough, and where it is nearly level.

The conditions on a step t along d from x, with φ(t) = f(x + t d): φ(t) ≤ φ(0) + c₁ t φ'(0) and |φ'(t)| ≤ c₂ |φ'(0)|.
Nocedal and Wright, "Numerical optimization" (2006), algorithms 3.5 and 3.6, with cubic interpolation (equation 3.59);
the safeguards and the order of evaluations are those of Schmidt's minFunc, which PyTorch has too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from talweg.graph import Array

LESS, LEVEL = 1e-4, 0.9  # c₁ and c₂, as is usual for quasi-Newton directions


@dataclass(frozen=True)
class Point:
    """A step's length, and there the loss, its gradient, and its slope along the line."""

    t: float
    loss: float
    gradient: Array
    slope: float


def strong_wolfe(
    at: Callable[[float], Point], start: Point, first: float, longest: float, tolerance: float, most: int
) -> Point:
    """The point that was found, from the step `first` on.

    at: evaluates the loss at a step. start: the point at step 0, sloping down. longest: the largest change of any
    weight for a step of 1. tolerance: a bracket that moves no weight by more is small enough. most: evaluations,
    beyond the first.
    """
    before, point, searched, done = _bracket(at, start, first, most)
    if done:
        return point
    low, high = (before, point) if before.loss <= point.loss else (point, before)
    stalled = False
    while searched < most and abs(high.t - low.t) * longest >= tolerance:
        t, stalled = _inside(_cubic_minimum(low, high), min(low.t, high.t), max(low.t, high.t), stalled)
        point, searched = at(t), searched + 1
        if point.loss > start.loss + LESS * t * start.slope or point.loss >= low.loss:
            low, high = (low, point) if low.loss <= point.loss else (point, low)
            continue
        if abs(point.slope) <= -LEVEL * start.slope:
            return point
        low, high = point, low if point.slope * (high.t - low.t) >= 0 else high
    return low


def _bracket(at: Callable[[float], Point], start: Point, first: float, most: int) -> tuple[Point, Point, int, bool]:
    """Two points with a good one between them; how many steps were tried after `first`; whether the second is good."""
    before, point = start, at(first)
    for searched in range(most):
        if point.loss > start.loss + LESS * point.t * start.slope or (searched > 1 and point.loss >= before.loss):
            return before, point, searched, False
        if abs(point.slope) <= -LEVEL * start.slope:
            return before, point, searched, True
        if point.slope >= 0:
            return before, point, searched, False
        least = point.t + 0.01 * (point.t - before.t)
        before, point = point, at(_cubic_minimum(before, point, (least, 10 * point.t)))
    return start, point, most, False


def _cubic_minimum(a: Point, b: Point, bounds: tuple[float, float] | None = None) -> float:
    """Where the cubic through two points with their slopes is lowest, within `bounds` (between them by default)."""
    low, high = bounds or (min(a.t, b.t), max(a.t, b.t))
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2
    left, right = (a, b) if a.t <= b.t else (b, a)
    d2 = math.sqrt(square)
    spread = right.slope - left.slope + 2 * d2
    if spread == 0:
        return (low + high) / 2
    return min(max(right.t - (right.t - left.t) * (right.slope + d2 - d1) / spread, low), high)


def _inside(t: float, low: float, high: float, stalled: bool) -> tuple[float, bool]:
    """`t`, moved a tenth of the bracket off its end where it would come too near for the second time."""
    margin = 0.1 * (high - low)
    if min(high - t, t - low) >= margin:
        return t, False
    if stalled or t >= high or t <= low:
        return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
    return t, True
