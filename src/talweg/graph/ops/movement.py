"""Movement: the same elements in other places. Nothing is computed, so each gradient is a movement too (or a sum)."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.errors import GraphError, ShapeError
from talweg.graph.ops.reduction import keep_axes
from talweg.graph.ops.reduction import sum as sum_over
from talweg.graph.tensor import (
    BATCH,
    Array,
    Dim,
    DType,
    Operation,
    Shape,
    Tensor,
    broadcast_shape,
    operation,
    same_dtype,
)

# ── reshape ───────────────────────────────────────────────────────────────────────────────────────────────


def _reshape_shape(x: Tensor, shape: Shape) -> Shape:
    def parts(s: Shape) -> tuple[int, int]:
        """The number of elements before and after the batch axis."""
        if s.count(BATCH) > 1:
            raise ShapeError(f"shape {list(s)} has two batch axes")
        at = s.index(BATCH) if BATCH in s else len(s)
        return math.prod(s[:at]), math.prod(s[at + 1 :])  # type: ignore[arg-type]

    if (BATCH in x.shape) != (BATCH in shape) or parts(x.shape) != parts(shape):
        raise ShapeError(f"cannot reshape {list(x.shape)} to {list(shape)}")
    return tuple(shape)


_reshape = operation(
    "reshape",
    "movement",
    r"x",
    meaning=lambda x, shape: np.reshape(x, shape),
    shape=_reshape_shape,
    gradient=lambda g, y, x, shape: [reshape(g, x.shape)],
)


def reshape(x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """The elements of `x`, in row-major order, in another shape; the batch axis keeps its place."""
    return x if x.shape == tuple(shape) else _reshape(x, shape=tuple(shape))


# ── transpose ─────────────────────────────────────────────────────────────────────────────────────────────


def _transpose_shape(x: Tensor, permutation: tuple[int, ...]) -> Shape:
    if sorted(permutation) != list(range(x.rank)):
        raise ShapeError(f"{permutation} is no order of the {x.rank} axes of {list(x.shape)}")
    return tuple(x.shape[a] for a in permutation)


def _inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


_transpose = operation(
    "transpose",
    "movement",
    r"x^{\mathsf T}",
    meaning=lambda x, permutation: np.transpose(x, permutation),
    shape=_transpose_shape,
    gradient=lambda g, y, x, permutation: [transpose(g, _inverse(permutation))],
)


def transpose(x: Tensor, permutation: Sequence[int] | None = None) -> Tensor:
    """`x` with axis ``permutation[i]`` as its i-th; all axes reversed by default."""
    order = tuple(permutation) if permutation is not None else tuple(reversed(range(x.rank)))
    return x if order == tuple(range(x.rank)) else _transpose(x, permutation=order)


# ── broadcast ─────────────────────────────────────────────────────────────────────────────────────────────


def _broadcast_shape(x: Tensor, shape: Shape) -> Shape:
    if broadcast_shape(x.shape, shape) != tuple(shape):
        raise ShapeError(f"cannot broadcast {list(x.shape)} to {list(shape)}")
    return tuple(shape)


def _broadcast_gradient(g: Tensor, y: Tensor, x: Tensor, shape: Shape) -> list[Tensor | None]:
    new = len(shape) - x.rank
    stretched = [a for a, d in enumerate(shape) if a < new or (x.shape[a - new] == 1 and d != 1)]
    return [reshape(sum_over(g, stretched) if stretched else g, x.shape)]


_broadcast = operation(
    "broadcast",
    "movement",
    r"x",
    meaning=lambda x, shape: np.broadcast_to(x, shape),
    shape=_broadcast_shape,
    gradient=_broadcast_gradient,
)

# ── pad and slice, each the other's gradient ──────────────────────────────────────────────────────────────

Padding = tuple[tuple[int, int, int], ...]  # for each axis: before, after, between neighbours


def _pad_shape(x: Tensor, padding: Padding, value: float) -> Shape:
    if len(padding) != x.rank:
        raise ShapeError(f"padding {padding} must have an entry for each of the {x.rank} axes of {list(x.shape)}")
    out: list[Dim] = []
    for d, (low, high, interior) in zip(x.shape, padding, strict=True):
        if d is BATCH and (low, high, interior) != (0, 0, 0):
            raise ShapeError("the batch axis cannot be padded")
        out.append(d if d is BATCH else low + d + interior * builtins.max(d - 1, 0) + high)
    return tuple(out)


def _pad_meaning(x: Array, padding: Padding, value: float) -> Array:
    lengths = [lo + n + between * max(n - 1, 0) + hi for n, (lo, hi, between) in zip(x.shape, padding, strict=True)]
    out = np.full(lengths, value, x.dtype)
    places = tuple(
        slice_(lo, lo + (n - 1) * (between + 1) + 1 if n else lo, between + 1)
        for n, (lo, _, between) in zip(x.shape, padding, strict=True)
    )
    out[places] = x
    return out


slice_ = builtins.slice


def _pad_gradient(g: Tensor, y: Tensor, x: Tensor, padding: Padding, value: float) -> list[Tensor | None]:
    ranges: list[tuple[int, Dim, int]] = []
    for d, (low, _, interior) in zip(x.shape, padding, strict=True):
        last = low if d in (0, BATCH) else low + (d - 1) * (interior + 1) + 1
        ranges.append((0, BATCH, 1) if d is BATCH else (low, last, interior + 1))
    return [_slice(g, ranges=tuple(ranges))]


_pad = operation(
    "pad",
    "movement",
    r"\operatorname{pad}(x)",
    _pad_meaning,
    shape=_pad_shape,
    gradient=_pad_gradient,
)


def pad(x: Tensor, padding: Sequence[tuple[int, int] | tuple[int, int, int]], value: float = 0.0) -> Tensor:
    """`x` with `value` added before, after and (third number) between the elements of each axis."""
    full = tuple((p[0], p[1], p[2] if len(p) > 2 else 0) for p in padding)
    return _pad(x, padding=full, value=value) if any(map(any, full)) or len(full) != x.rank else x


Ranges = tuple[tuple[int, Dim, int], ...]  # for each axis: start, stop, step


def _slice_shape(x: Tensor, ranges: Ranges) -> Shape:
    if len(ranges) != x.rank:
        raise ShapeError(f"ranges {ranges} must have an entry for each of the {x.rank} axes of {list(x.shape)}")
    out: list[Dim] = []
    for d, (start, stop, step) in zip(x.shape, ranges, strict=True):
        if d is BATCH or stop is BATCH:
            if d is not stop or (start, step) != (0, 1):
                raise ShapeError("the batch axis can only be taken whole")
            out.append(BATCH)
        elif not (0 <= start <= stop <= d and step >= 1):
            raise ShapeError(f"range {(start, stop, step)} does not lie in an axis of length {d}")
        else:
            out.append(len(range(start, stop, step)))
    return tuple(out)


def _slice_gradient(g: Tensor, y: Tensor, x: Tensor, ranges: Ranges) -> list[Tensor | None]:
    padding = []
    for d, n, (start, _, step) in zip(x.shape, y.shape, ranges, strict=True):
        if d is BATCH or n is BATCH:
            padding.append((0, 0, 0))
        else:
            last = start + (n - 1) * step if n else start - 1
            padding.append((start, d - 1 - last, step - 1))
    return [_pad(g, padding=tuple(padding), value=0.0)]


_slice = operation(
    "slice",
    "movement",
    r"x_{a:b}",
    meaning=lambda x, ranges: x[tuple(slice_(*r) for r in ranges)],
    shape=_slice_shape,
    gradient=_slice_gradient,
)


def slice(x: Tensor, ranges: Sequence[tuple[int, int] | tuple[int, int, int] | None]) -> Tensor:
    """The part of `x` from start up to (not including) stop, by step, along each axis; None takes an axis whole."""
    full = tuple(
        (0, d, 1) if r is None else (r[0], r[1], r[2] if len(r) > 2 else 1)
        for d, r in zip(x.shape, ranges, strict=True)
    )
    return x if all(r == (0, d, 1) for r, d in zip(full, x.shape, strict=True)) else _slice(x, ranges=full)


# ── concat ────────────────────────────────────────────────────────────────────────────────────────────────


def _concat_shape(*inputs: Tensor, axis: int) -> Shape:
    first = inputs[0].shape
    for x in inputs:
        others = x.shape[:axis] + x.shape[axis + 1 :]
        if x.rank != len(first) or others != first[:axis] + first[axis + 1 :] or x.shape[axis] is BATCH:
            raise ShapeError(f"shapes {', '.join(str(list(t.shape)) for t in inputs)} do not join along axis {axis}")
    return (*first[:axis], builtins.sum(x.shape[axis] for x in inputs), *first[axis + 1 :])  # type: ignore[misc]


def _concat_gradient(g: Tensor, y: Tensor, *inputs: Tensor, axis: int) -> list[Tensor | None]:
    parts: list[Tensor | None] = []
    start = 0
    for x in inputs:
        stop = start + x.shape[axis]  # type: ignore[operator]
        parts.append(slice(g, [(start, stop) if a == axis else None for a in range(g.rank)]))
        start = stop
    return parts


_concat = operation(
    "concat",
    "movement",
    r"[a, b, \dots]",
    meaning=lambda *inputs, axis: np.concatenate(inputs, axis=axis),
    shape=_concat_shape,
    gradient=_concat_gradient,
)


def concat(tensors: Sequence[Tensor], axis: int = -1) -> Tensor:
    """`tensors` one after another along `axis`."""
    return _concat(*tensors, axis=axis % tensors[0].rank)


# ── take and scatter_add, each the other's gradient ───────────────────────────────────────────────────────


def _indices(dtype: DType) -> None:
    if dtype not in ("int", "uint", "uint8"):
        raise GraphError(f"indices must be integers; got {dtype}")


def _take_dtype(x: Tensor, indices: Tensor, **_: Any) -> DType:
    _indices(indices.dtype)
    return x.dtype


def _row_numbers(indices: Array, rows: int, paired: int) -> Array:
    """The indices, moved into 0..rows - 1 and counted from the first row of all, along the `paired` axes in one."""
    pairs = indices.shape[:paired]
    first = np.arange(math.prod(pairs)).reshape((*pairs, *[1] * (indices.ndim - paired))) * rows
    numbers: Array = np.clip(indices, 0, rows - 1) + first
    return numbers


def _take_meaning(x: Array, indices: Array, paired: int) -> Array:
    rows = x.shape[paired]
    every = x.reshape((math.prod(x.shape[: paired + 1]), *x.shape[paired + 1 :]))
    return np.take(every, _row_numbers(indices, rows, paired), axis=0)


def _take_shape(x: Tensor, indices: Tensor, paired: int) -> Shape:
    if x.rank <= paired or x.shape[:paired] != indices.shape[:paired] or x.shape[paired] is BATCH:
        raise ShapeError(
            f"{list(x.shape)} has no rows to take by {list(indices.shape)}: {paired} axes in common, then the rows"
        )
    return (*indices.shape, *x.shape[paired + 1 :])


_take = operation(
    "take",
    "movement",
    r"x_{i}",
    _take_meaning,
    shape=_take_shape,
    dtype=_take_dtype,
    gradient=lambda g, y, x, indices, paired: [_scatter_add(g, indices, rows=x.shape[paired], paired=paired), None],
)


def _scatter_meaning(x: Array, indices: Array, rows: int, paired: int) -> Array:
    pairs, rest = indices.shape[:paired], x.shape[indices.ndim :]
    out = np.zeros((math.prod(pairs) * rows, *rest), x.dtype)
    np.add.at(out, _row_numbers(indices, rows, paired), x)
    return out.reshape((*pairs, rows, *rest))


def _scatter_shape(x: Tensor, indices: Tensor, rows: int, paired: int) -> Shape:
    if x.shape[: indices.rank] != indices.shape or indices.rank < paired:
        raise ShapeError(
            f"values {list(x.shape)} must begin with the shape of the indices {list(indices.shape)}, of which {paired} "
            "axes or more go together"
        )
    return (*indices.shape[:paired], rows, *x.shape[indices.rank :])


_scatter_add: Operation = operation(
    "scatter_add",
    "movement",
    r"\sum_{j : i_j = r} x_j",
    _scatter_meaning,
    shape=_scatter_shape,
    dtype=_take_dtype,
    gradient=lambda g, y, x, indices, rows, paired: [_take(g, indices, paired=paired), None],
    reason="The gradient of take; as a product with one-hot rows it would cost rows times more.",
)


def take(x: Tensor, indices: Tensor, paired: int = 0) -> Tensor:
    """Rows of `x` by number: shape ``(*indices.shape, *x.shape[1:])``. Numbers outside are moved to the nearest row.

    paired: so many axes come first in both and go together. With 1, each example takes rows of its own: for x
    (batch, rows, ...) and indices (batch, k), y[n, j] = x[n, indices[n, j]].
    """
    return _take(x, indices, paired=paired)


def expand_dims(x: Tensor, axis: int) -> Tensor:
    """`x` with an axis of length 1 put in at `axis`."""
    at = axis % (x.rank + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


__all__ = ["concat", "expand_dims", "keep_axes", "pad", "reshape", "same_dtype", "slice", "take", "transpose"]
