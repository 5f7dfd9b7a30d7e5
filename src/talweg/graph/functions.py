"""Formulas that many layers, losses and rules share, written over the table. None of them is an operation."""

from __future__ import annotations

import math
from collections.abc import Sequence

from talweg.graph.ops.elementwise import cast, cos, equal, exp, log, log1p, maximum, minimum, sqrt, stop_gradient
from talweg.graph.ops.leaves import batch_size
from talweg.graph.ops.movement import expand_dims
from talweg.graph.ops.random import random_uniform
from talweg.graph.ops.reduction import Axes, axes_of
from talweg.graph.ops.reduction import max as max_over
from talweg.graph.ops.reduction import sum as sum_over
from talweg.graph.tensor import BATCH, Dim, Tensor, broadcast_to, constant


def square(x: Tensor) -> Tensor:
    """x · x."""
    return x * x


def size(x: Tensor, axis: Axes = None) -> Tensor:
    """The number of elements along `axis` (all by default), as a float scalar; the batch axis counts its rows."""
    dims = [x.shape[a] for a in axes_of(x, axis)]
    known = constant(float(math.prod(d for d in dims if d is not BATCH)))
    return known * batch_size() if BATCH in dims else known


def mean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The arithmetic mean over `axis`."""
    return sum_over(x, axis, keepdims) / size(x, axis)


def variance(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean squared distance from the mean: divided by n, not n - 1."""
    return mean(square(x - mean(x, axis, keepdims=True)), axis, keepdims)


def logsumexp(x: Tensor, axis: int = -1, keepdims: bool = False) -> Tensor:
    """ln Σ e^x, stable: the largest element is taken out first."""
    largest = stop_gradient(max_over(x, axis, keepdims=True))
    total = log(sum_over(exp(x - largest), axis, keepdims=True)) + largest
    return total if keepdims else sum_over(total, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """ln of `softmax`, stable where a probability rounds to 0."""
    below = x - stop_gradient(max_over(x, axis, keepdims=True))  # at once, before a large logit rounds ln Σ away
    return below - log(sum_over(exp(below), axis, keepdims=True))


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """e^x / Σ e^x along `axis`."""
    e = exp(x - stop_gradient(max_over(x, axis, keepdims=True)))
    return e / sum_over(e, axis, keepdims=True)


def softplus(x: Tensor) -> Tensor:
    """ln(1 + e^x), stable for any x."""
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Rows with a 1 at the label and 0 elsewhere: shape ``(*labels.shape, classes)``, float."""
    return cast(equal(expand_dims(labels, -1), cast(constant(list(range(classes))), labels.dtype)), "float")


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """`x` moved into [low, high]; the gradient is 0 outside."""
    return minimum(maximum(x, low), high)


def zeros_like(x: Tensor) -> Tensor:
    """Float zeros in the shape of `x`."""
    return broadcast_to(constant(0.0), x.shape)


def ones_like(x: Tensor) -> Tensor:
    """Float ones in the shape of `x`."""
    return broadcast_to(constant(1.0), x.shape)


def l2_norm(tensors: Sequence[Tensor]) -> Tensor:
    """√ of the sum of all squares in `tensors`: their length as one vector."""
    total = sum_over(square(tensors[0]))
    for t in tensors[1:]:
        total = total + sum_over(square(t))
    return sqrt(total)


def random_normal(seed: Tensor, step: Tensor, shape: Sequence[Dim], stream: int) -> Tensor:
    """Standard normal numbers by Box and Muller's transformation; uses streams `stream` and `stream + 1`."""
    radius = sqrt(-2.0 * log1p(-random_uniform(seed, step, shape, stream)))
    return radius * cos(2 * math.pi * random_uniform(seed, step, shape, stream + 1))
