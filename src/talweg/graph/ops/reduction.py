"""Reductions: several elements become one. `axes` are axis numbers, ascending; the axes reduced are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.errors import GraphError, ShapeError
from talweg.graph.ops.elementwise import cast, equal
from talweg.graph.tensor import TABLE, Array, DType, Shape, Tensor, broadcast_to, operation, same_dtype

Axes = int | Sequence[int] | None


def _without(x: Tensor, axes: tuple[int, ...]) -> Shape:
    if list(axes) != sorted(set(axes)) or any(not 0 <= a < x.rank for a in axes):
        raise ShapeError(f"axes {axes} of a tensor of shape {list(x.shape)} must be ascending and in 0..{x.rank - 1}")
    return tuple(d for a, d in enumerate(x.shape) if a not in axes)


def _numbers(x: Tensor, **_: Any) -> DType:
    if x.dtype == "bool":
        raise GraphError("truth values cannot be summed; cast to float first")
    return same_dtype(x)


def keep_axes(y: Tensor, like: Tensor, axes: tuple[int, ...]) -> Tensor:
    """`y`, reduced from `like` over `axes`, with those axes back at length 1."""
    shape = tuple(1 if a in axes else d for a, d in enumerate(like.shape))
    return y if y.shape == shape else TABLE["reshape"](y, shape=shape)


def _back(y: Tensor, like: Tensor, axes: tuple[int, ...]) -> Tensor:
    return broadcast_to(keep_axes(y, like, axes), like.shape)


def _sum_meaning(x: Array, axes: tuple[int, ...]) -> Array:
    """Of floats in float64, and rounded once: NumPy adds rows to rows, and in float32 thousands of them would show."""
    wide = np.float64 if x.dtype.kind == "f" else x.dtype
    total: Array = np.sum(x, axis=axes, dtype=wide).astype(x.dtype)
    return total


def _max_gradient(g: Tensor, y: Tensor, x: Tensor, axes: tuple[int, ...]) -> list[Tensor | None]:
    winners = cast(equal(x, _back(y, x, axes)), "float")  # ties share, as in PyTorch's amax and JAX
    return [_back(g / _sum(winners, axes=axes), x, axes) * winners]


_sum = operation(
    "sum",
    "reduction",
    r"\sum x",
    _sum_meaning,
    shape=lambda x, axes: _without(x, axes),
    dtype=_numbers,
    gradient=lambda g, y, x, axes: [_back(g, x, axes)],
)
_max = operation(
    "max",
    "reduction",
    r"\max x",
    meaning=lambda x, axes: np.max(x, axis=axes),
    shape=lambda x, axes: _without(x, axes),
    gradient=_max_gradient,
)


def _argmax_meaning(x: Array, axis: int) -> Array:
    place: Array = np.argmax(x, axis=axis).astype(np.int32)
    return place


_argmax = operation(
    "argmax",
    "reduction",
    r"\operatorname{arg\,max} x",
    _argmax_meaning,
    shape=lambda x, axis: _without(x, (axis,)),
    dtype=lambda x, axis: "int",
)


def axes_of(x: Tensor, axis: Axes) -> tuple[int, ...]:
    """`axis` as a program may give it (None for all, negative, one or several) as ascending axis numbers."""
    listed = range(x.rank) if axis is None else [axis] if isinstance(axis, int) else axis
    if any(not -x.rank <= a < x.rank for a in listed):
        raise ShapeError(f"axis {axis} is out of range for a tensor of shape {list(x.shape)}")
    return tuple(sorted({a % x.rank for a in listed})) if x.rank else ()


def _reduce(name: str, x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    axes = axes_of(x, axis)
    y = TABLE[name](x, axes=axes) if axes else x
    return keep_axes(y, x, axes) if keepdims else y


def sum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Σ over `axis` (all axes by default)."""
    return _reduce("sum", x, axis, keepdims)


def max(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over `axis` (all axes by default)."""
    return _reduce("max", x, axis, keepdims)


def argmax(x: Tensor, axis: int = -1) -> Tensor:
    """The place of the largest element along `axis`, the first where several are equal."""
    return _argmax(x, axis=axis % x.rank)
