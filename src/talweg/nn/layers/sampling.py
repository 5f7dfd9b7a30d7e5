"""Pictures read at places between their pixels: what turns, shifts and zooms are made of."""

from __future__ import annotations

from collections.abc import Callable

from talweg import graph as g
from talweg.graph import BATCH, Tensor

Neighbour = tuple[Tensor, Tensor | None]
"""The number of a row (or column) of pixels, and what it counts; None: all."""


def sample(
    x: Tensor, rows: Tensor, columns: Tensor, interpolation: str, fill_mode: str, fill_value: float = 0.0
) -> Tensor:
    r"""$y_{nijc} = \sum_{r,q} a_r \, b_q \, x_{nrqc}$ over the pixels (r, q) next to the place (rows, columns) of nij.

    x: (batch, height, width, channels). rows, columns: (batch, height or 1, width or 1), in pixels, not whole.
    interpolation: "bilinear" (a and b fall from 1 at a pixel to 0 at the next) or "nearest".
    fill_mode: what lies outside: "reflect" (d c b a | a b c d | d c b a), "wrap" (a b c d | a b c d | a b c d),
    "nearest" (a a a a | a b c d | d d d d), or "constant": `fill_value`.
    """
    _, height, width, channels = x.shape
    assert isinstance(height, int) and isinstance(width, int)
    pixels = g.reshape(x, (BATCH, height * width, channels))
    down, across = (
        [_filled(*pixel, length, fill_mode) for pixel in PIXELS[interpolation](places)]
        for places, length in ((rows, height), (columns, width))
    )

    def in_row(row: Tensor) -> Tensor:
        """The weighted sum of the pixels of one row."""
        return _total([_times(b, g.take(pixels, row * width + column, paired=1)) for column, b in across])

    y = _total([_times(a, in_row(row)) for row, a in down])
    if fill_mode == "constant" and fill_value != 0:
        inside = _total([a for _, a in down if a is not None]) * _total([b for _, b in across if b is not None])
        y = y + g.expand_dims(fill_value * (1.0 - inside), -1)
    return y


def _times(weight: Tensor | None, x: Tensor) -> Tensor:
    return x if weight is None else g.expand_dims(weight, -1) * x


def _total(terms: list[Tensor]) -> Tensor:
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _two_nearest(places: Tensor) -> list[Neighbour]:
    before = g.floor(places)
    number, share = g.cast(before, "int"), places - before
    return [(number, 1.0 - share), (number + 1, share)]


def _nearest(places: Tensor) -> list[Neighbour]:
    return [(g.cast(g.floor(places + 0.5), "int"), None)]


PIXELS: dict[str, Callable[[Tensor], list[Neighbour]]] = {"bilinear": _two_nearest, "nearest": _nearest}


def _filled(number: Tensor, weight: Tensor | None, length: int, fill_mode: str) -> Neighbour:
    """The pixel that stands for one outside; `take` moves it to the nearest where nothing else is said."""
    if fill_mode == "constant":
        inside = g.where(number < 0, 0.0, g.where(number < length, 1.0, 0.0))
        return number, inside if weight is None else inside * weight
    if fill_mode == "nearest":
        return g.where(number < 0, 0, g.where(number < length, number, length - 1)), weight
    period = 2 * length if fill_mode == "reflect" else length
    laps = g.floor((g.cast(number, "float") + 0.5) / period)  # the half keeps it off whole numbers, where it jumps
    number = number - period * g.cast(laps, "int")
    return (g.where(number < length, number, period - 1 - number) if fill_mode == "reflect" else number), weight
