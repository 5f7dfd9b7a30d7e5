"""Contraction: sums of products. This is where the time goes, so engines know these by name."""

from __future__ import annotations

import numpy as np

from talweg.errors import ShapeError
from talweg.graph.ops.elementwise import _floats
from talweg.graph.ops.movement import transpose
from talweg.graph.tensor import Array, Shape, Tensor, operation

Axes = tuple[tuple[int, ...], tuple[int, ...]]


def free_axes(rank: int, contracted: tuple[int, ...]) -> list[int]:
    """The axes that are not contracted, ascending."""
    return [a for a in range(rank) if a not in contracted]


def _dot_shape(a: Tensor, b: Tensor, axes: Axes) -> Shape:
    over_a, over_b = axes
    if len(over_a) != len(over_b) or [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ShapeError(
            f"{list(a.shape)} over axes {list(over_a)} and {list(b.shape)} over axes {list(over_b)} differ in length"
        )
    return (*(a.shape[i] for i in free_axes(a.rank, over_a)), *(b.shape[i] for i in free_axes(b.rank, over_b)))


def _dot_meaning(a: Array, b: Array, axes: Axes) -> Array:
    return np.tensordot(a, b, axes)


def _dot_gradient(g: Tensor, y: Tensor, a: Tensor, b: Tensor, axes: Axes) -> list[Tensor | None]:
    """Each factor's gradient is g contracted with the other factor over that factor's free axes, in place again."""
    over_a, over_b = axes
    free_a, free_b = free_axes(a.rank, over_a), free_axes(b.rank, over_b)
    n = len(free_a)

    by_b = sorted(range(len(over_b)), key=over_b.__getitem__)  # the order in which b's contracted axes come out
    da = dot(g, b, (tuple(range(n, g.rank)), tuple(free_b)))
    made_a = [*free_a, *(over_a[i] for i in by_b)]

    by_a = sorted(range(len(over_a)), key=over_a.__getitem__)
    db = dot(a, g, (tuple(free_a), tuple(range(n))))
    made_b = [*(over_b[i] for i in by_a), *free_b]
    return [transpose(da, _places(made_a)), transpose(db, _places(made_b))]


def _places(axes: list[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


_dot = operation(
    "dot",
    "contraction",
    r"\sum_k a_{\cdot k} \, b_{k \cdot}",
    _dot_meaning,
    shape=_dot_shape,
    dtype=_floats,
    gradient=_dot_gradient,
)


def dot(a: Tensor, b: Tensor, axes: Axes | None = None) -> Tensor:
    """Σ over axis ``axes[0][i]`` of `a` and ``axes[1][i]`` of `b` together; by default `a`'s last with `b`'s first.

    The result has `a`'s other axes, then `b`'s. ``a @ b`` is the matrix product.
    """
    return _dot(a, b, axes=axes or ((a.rank - 1,), (0,)))
