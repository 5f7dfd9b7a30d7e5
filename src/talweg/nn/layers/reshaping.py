"""The same numbers in other places: reshaping, padding, cropping, repeating."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.budgets import demand
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.graph.ops.window import Pair
from talweg.nn.layers.arguments import data_format, is_whole, two
from talweg.nn.layers.base import Context, Layer
from talweg.nn.layers.windows import spread
from talweg.registry import setting


def _wholes(value: Any, name: str, least: int = 1) -> tuple[int, ...]:
    """Whole numbers, one or several."""
    listed = value if isinstance(value, (list, tuple)) else (value,)
    if not all(is_whole(n, least) for n in listed):
        raise UsageError(f"{name} must be whole numbers, {least} or above; got {value!r}")
    return tuple(int(n) for n in listed)


@dataclass(eq=False, repr=False)
class Flatten(Layer):
    """Each example as one row of numbers: (batch, a, b, ...) becomes (batch, a · b · ...)."""

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.reshape(x, (g.BATCH, math.prod(x.shape[1:])))  # type: ignore[arg-type]


@dataclass(eq=False, repr=False)
class Reshape(Layer):
    """Each example in another shape; one entry of `target_shape` may be -1, and is then found."""

    target_shape: Any = setting(partial(_wholes, name="target_shape", least=-1))

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        target, size = list(self.target_shape), math.prod(x.shape[1:])  # type: ignore[arg-type]
        known = math.prod(d for d in target if d != -1)
        if target.count(-1) == 1 and known and size % known == 0:
            target[target.index(-1)] = size // known
        if math.prod(target) != size or -1 in target:
            raise ShapeError(
                f"layer {self.name!r}: Reshape cannot put {size} numbers, {list(x.shape[1:])}, "
                f"into {list(self.target_shape)}"
            )
        return g.reshape(x, (g.BATCH, *target))


@dataclass(eq=False, repr=False)
class Permute(Layer):
    """The axes of an example in another order: `dims` counts them from 1, so (2, 1) exchanges the two of a matrix.

    Raises `UsageError` where `dims` is no order of 1 to n, `ShapeError` where examples have not n axes.

    >>> from talweg.nn.layers import Input
    >>> Permute((3, 1, 2))(Input((28, 20, 1))).shape
    (None, 1, 28, 20)
    """

    dims: Any = setting(partial(_wholes, name="dims"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise UsageError(f"Permute: dims must be an order of the numbers from 1 on; got {self.dims!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if x.rank != len(self.dims) + 1:
            raise ShapeError(f"layer {self.name!r}: Permute{self.dims} cannot order the axes of {list(x.shape[1:])}")
        return g.transpose(x, (0, *self.dims))


@dataclass(eq=False, repr=False)
class RepeatVector(Layer):
    """Each example `n` times, one after another: (batch, features) becomes (batch, n, features)."""

    ranges: ClassVar[Mapping[str, str]] = {"n": "{1, 2, ...}"}

    n: int

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if x.rank != 2:
            raise ShapeError(
                f"layer {self.name!r}: RepeatVector needs examples of (features,); got {list(x.shape[1:])}"
            )
        return _repeated(g.expand_dims(x, 1), 1, self.n)


# ── more at the edges, or less ────────────────────────────────────────────────────────────────────────────


def _four(value: Any, name: str) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) from one number, (height, width), or all four."""
    pair = value if isinstance(value, (list, tuple)) else (value, value)
    if len(pair) != 2:
        raise UsageError(f"{name} must be a number, (height, width) or ((top, bottom), (left, right)); got {value!r}")
    height, width = (two(v, name, least=0) for v in pair)
    return height, width


@dataclass(eq=False, repr=False)
class ZeroPadding1D(Layer):
    """Zeros before the first step and after the last: `padding` of them at each end, or (before, after)."""

    padding: Any = setting(partial(two, name="padding", least=0), 1)
    data_format: str | None = setting(data_format, None)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self, axes=1)
        return g.pad(x, [(0, 0), self.padding, (0, 0)])


@dataclass(eq=False, repr=False)
class ZeroPadding2D(Layer):
    """Zeros around a picture: as many on all sides, (height, width), or ((top, bottom), (left, right))."""

    padding: Any = setting(partial(_four, name="padding"), (1, 1))
    data_format: str | None = setting(data_format, None)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self)
        return g.pad(x, [(0, 0), *self.padding, (0, 0)])


@dataclass(eq=False, repr=False)
class Cropping1D(Layer):
    """A sequence without its first and last steps: so many at each end, or (before, after)."""

    cropping: Any = setting(partial(two, name="cropping", least=0), (1, 1))

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self, axes=1)
        return _cropped(x, [self.cropping], self)


@dataclass(eq=False, repr=False)
class Cropping2D(Layer):
    """A picture without its edges: as many on all sides, (height, width), or ((top, bottom), (left, right))."""

    cropping: Any = setting(partial(_four, name="cropping"), ((0, 0), (0, 0)))
    data_format: str | None = setting(data_format, None)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self)
        return _cropped(x, list(self.cropping), self)


def _cropped(x: Tensor, cropping: list[Pair], layer: Layer) -> Tensor:
    ranges = [(start, d - end) for (start, end), d in zip(cropping, x.shape[1:], strict=False)]  # type: ignore[operator]
    if any(start >= stop for start, stop in ranges):
        raise ShapeError(f"layer {layer.name!r}: {layer!r} leaves nothing of {list(x.shape[1:])}")
    return g.slice(x, [None, *ranges, None])


# ── larger ────────────────────────────────────────────────────────────────────────────────────────────────


def _repeated(x: Tensor, axis: int, times: int) -> Tensor:
    """Each element `times` times along `axis`."""
    before, (length, *after) = x.shape[:axis], x.shape[axis:]
    wide = g.broadcast_to(g.expand_dims(x, axis + 1), (*before, length, times, *after))
    return g.reshape(wide, (*before, length * times, *after))  # type: ignore[operator]


@dataclass(eq=False, repr=False)
class UpSampling1D(Layer):
    """Each step `size` times: (batch, steps, channels) becomes (batch, size · steps, channels)."""

    ranges: ClassVar[Mapping[str, str]] = {"size": "{1, 2, ...}"}

    size: int = 2

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self, axes=1)
        return _repeated(x, 1, self.size)


@dataclass(eq=False, repr=False)
class UpSampling2D(Layer):
    r"""A picture `size` times as high and wide: $y_{ijc} = \sum_{p,q} R_{ip} \, C_{jq} \, x_{pqc}$.

    interpolation: "nearest" repeats each pixel; "bilinear" goes in straight lines from the centre of one pixel to that
    of the next, R and C being the weights of rows and of columns.
    Raises `UsageError` for another interpolation, `ShapeError` for examples that are no pictures.

    >>> from talweg.nn.layers import Input
    >>> UpSampling2D((2, 3), interpolation="bilinear")(Input((4, 4, 1))).shape
    (None, 8, 12, 1)
    """

    size: Any = setting(partial(two, name="size"), (2, 2))
    data_format: str | None = setting(data_format, None)
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interpolation not in ("nearest", "bilinear"):
            raise UsageError(f"UpSampling2D: interpolation must be 'nearest' or 'bilinear'; got {self.interpolation!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        height, width, _ = spread(x.shape[1:], self)
        if self.interpolation == "nearest":
            return _repeated(_repeated(x, 1, self.size[0]), 2, self.size[1])
        rows, columns = _line_weights(height, self.size[0]), _line_weights(width, self.size[1])
        y = g.dot(g.dot(x, columns, ((2,), (1,))), rows, ((1,), (1,)))  # (batch, channels, columns, rows)
        return g.transpose(y, (0, 3, 2, 1))


def _line_weights(length: int, times: int) -> Tensor:
    """What each of `length` pixels counts at each of `length` · `times` places: 1 at its centre, 0 from the next on."""
    demand("memory", 24 * length * length * times, f"weights between {length:,} places and {length * times:,}")
    places = np.clip((np.arange(length * times) + 0.5) / times - 0.5, 0, length - 1)
    return g.constant(np.maximum(1 - np.abs(places[:, None] - np.arange(length)), 0))
