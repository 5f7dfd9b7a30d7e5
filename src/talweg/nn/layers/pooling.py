"""Pooling: a picture or a sequence made smaller, each window of it becoming one number."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.budgets import demand
from talweg.errors import ShapeError
from talweg.graph import Tensor
from talweg.graph.ops.window import Pair
from talweg.nn.layers.arguments import data_format, one, padding, two
from talweg.nn.layers.base import Context
from talweg.nn.layers.windows import _Windowed, spread
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class _Pooling(_Windowed):
    pool_size: Any
    strides: Any = None
    padding: str = setting(padding, "valid")
    data_format: str | None = setting(data_format, None)

    def windows(self) -> tuple[Pair, Pair]:
        """Their size, and how far they are apart: by default side by side."""
        return self.two(self.pool_size), self.two(self.strides or self.pool_size)


# ── the largest ───────────────────────────────────────────────────────────────────────────────────────────


class _MaxPooling(_Pooling):
    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return self.flat(g.max_pool2d(self.picture(x), *self.windows(), self.padding))


@dataclass(eq=False, repr=False)
class MaxPooling1D(_MaxPooling):
    r"""$y_{tc} = \max_u x_{ts+u,\, c}$ over windows of `pool_size` steps, `strides` apart: see `MaxPooling2D`.

    x: (batch, steps, channels).
    """

    axes = 1
    pool_size: Any = setting(partial(one, name="pool_size"), 2)
    strides: Any = setting(partial(one, name="strides", optional=True), None)


@dataclass(eq=False, repr=False)
class MaxPooling2D(_MaxPooling):
    r"""$y_{ijc} = \max_{u,v} x_{is+u,\, js+v,\, c}$ over windows of `pool_size`, `strides` apart.

    x: (batch, height, width, channels). strides: None is `pool_size`, so that windows lie side by side.
    padding: "valid" leaves out what fills no window; "same" gives ⌈height / stride⌉ rows, windows at the edges being
    smaller.
    The gradient goes to the largest element of a window, the first where several are equal.

    Raises `ShapeError` for examples that are no pictures or are smaller than the window.
    """

    axes = 2
    pool_size: Any = setting(partial(two, name="pool_size"), (2, 2))
    strides: Any = setting(partial(two, name="strides", optional=True), None)


# ── the mean ──────────────────────────────────────────────────────────────────────────────────────────────


class _AveragePooling(_Pooling):
    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y = self.picture(x)
        for axis, size, stride in zip((1, 2), *self.windows(), strict=True):
            y = _means(y, axis, size, stride, self.padding)  # the mean over a rectangle is that of its rows' means
        return self.flat(y)


def _means(x: Tensor, axis: int, size: int, stride: int, padding: str) -> Tensor:
    """The means over windows along one axis. What "same" puts at the ends does not count."""
    length = x.shape[axis]
    assert isinstance(length, int)
    missing = max((-(-length // stride) - 1) * stride + size - length, 0) if padding == "same" else 0
    ends = missing // 2, missing - missing // 2
    places = (length + missing - size) // stride + 1
    if places < 1:
        raise ShapeError(
            f"a window of {size} is larger than its input, {length} along axis {axis}: "
            "take a smaller window, pad the input (padding='same'), or shrink it less before"
        )

    def along(it: Any, other: Any) -> list[Any]:
        return [it if a == axis else other for a in range(x.rank)]

    x = g.pad(x, along(ends, (0, 0))) if missing else x
    if stride == size:  # side by side: an axis of windows, and one of places in each
        x = g.slice(x, along((0, places * size), None))
        total = g.sum(g.reshape(x, (*x.shape[:axis], places, size, *x.shape[axis + 1 :])), axis + 1)
    else:
        demand("operations", 2 * size, f"an average over windows of {size:,}, {stride} apart,")
        parts = [(u, u + (places - 1) * stride + 1, stride) for u in range(size)]
        total = reduce(operator.add, [g.slice(x, along(part, None)) for part in parts])
    numbers_before = np.concatenate([[0.0], np.cumsum(np.pad(np.ones(length), ends))])
    first = np.arange(places) * stride
    counts = numbers_before[first + size] - numbers_before[first]
    return total * g.constant(1 / size if not missing else (1 / counts).reshape(along(-1, 1)))


@dataclass(eq=False, repr=False)
class AveragePooling1D(_AveragePooling):
    r"""$y_{tc} = \frac{1}{k} \sum_{u<k} x_{ts+u,\, c}$ over windows of k = `pool_size` steps, `strides` apart.

    x: (batch, steps, channels). The rest as of `AveragePooling2D`.
    """

    axes = 1
    pool_size: Any = setting(partial(one, name="pool_size"))
    strides: Any = setting(partial(one, name="strides", optional=True), None)


@dataclass(eq=False, repr=False)
class AveragePooling2D(_AveragePooling):
    r"""$y_{ijc} = \frac{1}{hw} \sum_{u<h,\, v<w} x_{is+u,\, js+v,\, c}$ over windows of (h, w) = `pool_size`.

    x: (batch, height, width, channels). strides, padding: as of `MaxPooling2D`. What "same" adds at the edges does not
    count: a window there is the mean of what lies in the picture, as in Keras (PyTorch counts the zeros by default).

    Raises `ShapeError` for examples that are no pictures or are smaller than the window.

    >>> from talweg.nn.layers import Input
    >>> AveragePooling2D(2)(Input((28, 28, 3))).shape
    (None, 14, 14, 3)
    """

    axes = 2
    pool_size: Any = setting(partial(two, name="pool_size"))
    strides: Any = setting(partial(two, name="strides", optional=True), None)


# ── everything in one window ──────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False, repr=False)
class _GlobalPooling(_Windowed):
    data_format: str | None = setting(data_format, None)
    keepdims: bool = False

    def everywhere(self, x: Tensor) -> list[int]:
        """The axes of x that are places, and not channels."""
        spread(x.shape[1:], self, self.axes)
        return list(range(1, x.rank - 1))


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.mean(x, self.everywhere(x), self.keepdims)


class _GlobalMaxPooling(_GlobalPooling):
    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.max(x, self.everywhere(x), self.keepdims)


@dataclass(eq=False, repr=False)
class GlobalAveragePooling1D(_GlobalAveragePooling):
    """The mean over all steps: (batch, steps, channels) becomes (batch, channels).

    With `keepdims` it becomes (batch, 1, channels). Steps that a mask leaves out do not count; where none is left, the
    mean is 0 (in Keras NaN).
    """

    axes = 1
    supports_masking = True

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        mask = context.masks.get(x)
        if mask is None:
            return super().call(x, p, context)
        places, counts = self.everywhere(x), g.expand_dims(mask, -1)
        number = g.sum(g.cast(counts, "float"), places, self.keepdims)
        return g.sum(g.where(counts, x, 0.0), places, self.keepdims) / g.maximum(number, 1.0)

    def compute_mask(self, x: Tensor, mask: Tensor | None) -> None:
        return None


@dataclass(eq=False, repr=False)
class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean over a picture: (batch, height, width, channels) becomes (batch, channels).

    With `keepdims` it becomes (batch, 1, 1, channels). Lin et al., "Network in network" (2014).
    """

    axes = 2


@dataclass(eq=False, repr=False)
class GlobalMaxPooling1D(_GlobalMaxPooling):
    """The largest of all steps: (batch, steps, channels) becomes (batch, channels). Equal ones share the gradient."""

    axes = 1


@dataclass(eq=False, repr=False)
class GlobalMaxPooling2D(_GlobalMaxPooling):
    """The largest of a picture: (batch, height, width, channels) becomes (batch, channels).

    Equal ones share the gradient.
    """

    axes = 2


MaxPool1D, MaxPool2D = MaxPooling1D, MaxPooling2D  # Keras's other names
AvgPool1D, AvgPool2D = AveragePooling1D, AveragePooling2D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalMaxPool1D, GlobalMaxPool2D = GlobalMaxPooling1D, GlobalMaxPooling2D
