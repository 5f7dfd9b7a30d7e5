"""Losses of numbers that are to be predicted, as Keras has them: the mean over the last axis is one example's loss."""

from __future__ import annotations

import math

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn.losses.base import EPSILON, loss, loss_class


@loss("mse", "MSE")
def mean_squared_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k (y_k - \hat y_k)^2$ over the last axis."""
    return g.mean(g.square(y_pred - y_true), axis=-1)


@loss("mae", "MAE")
def mean_absolute_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k |y_k - \hat y_k|$ over the last axis."""
    return g.mean(abs(y_pred - y_true), axis=-1)


@loss("mape", "MAPE")
def mean_absolute_percentage_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{100}{k} \sum_k |y_k - \hat y_k| / \max(|y_k|, 10^{-7})$ over the last axis, in percent.

    >>> mean_absolute_percentage_error([2.0, 4.0], [1.0, 5.0])
    array(37.5, dtype=float32)
    """
    return 100.0 * g.mean(abs(y_pred - y_true) / g.maximum(abs(y_true), EPSILON), axis=-1)


@loss("msle", "MSLE")
def mean_squared_logarithmic_error(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k (\ln(1 + y_k) - \ln(1 + \hat y_k))^2$; numbers below 1e-7 count as 1e-7, as in Keras."""
    return g.mean(g.square(g.log1p(g.maximum(y_pred, EPSILON)) - g.log1p(g.maximum(y_true, EPSILON))), axis=-1)


@loss(ranges={"delta": "(0, inf)"})
def huber(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    r"""$\frac{1}{k} \sum_k \frac12 e_k^2$ where $|e_k| \le \delta$, else $\delta |e_k| - \frac12 \delta^2$.

    >>> huber([0.0, 0.0], [0.5, 3.0])
    array(1.3125, dtype=float32)
    """
    error = abs(y_pred - y_true)
    return g.mean(g.where(error <= delta, 0.5 * g.square(error), delta * error - 0.5 * delta * delta), axis=-1)


@loss()
def log_cosh(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k \ln \cosh(y_k - \hat y_k)$: like half the square near 0, like the distance far away.

    Written as $-\frac12 \ln(1 - \tanh^2 e)$ for $|e| < 1$, whose slope keeps its digits at small errors, and
    $|e| + \ln(1 + e^{-2|e|}) - \ln 2$ beyond, which does not overflow.
    """
    error = abs(y_pred - y_true)
    t = g.tanh(g.where(error < 1, error, 0.0))
    far = error + g.log1p(g.exp(-2.0 * error)) - math.log(2)
    return g.mean(g.where(error < 1, -0.5 * g.log1p(-t * t), far), axis=-1)


@loss()
def poisson(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k \hat y_k - y_k \ln(\hat y_k + 10^{-7})$ for counts y and predicted rates ŷ > 0.

    For the rate's logarithm instead, see `PoissonNLLLoss`.
    """
    return g.mean(y_pred - y_true * g.log(y_pred + EPSILON), axis=-1)


@loss()
def cosine_similarity(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    r"""$-\frac{y \cdot \hat y}{|y|\,|\hat y|}$ along `axis`: -1 where both point the same way, 1 where opposite.

    A vector shorter than 1e-7 counts as that long, so one of zeros gives 0.
    """
    return -g.sum(unit(y_true, axis) * unit(y_pred, axis), axis)


def unit(x: Tensor, axis: int) -> Tensor:
    """`x` at length 1 along `axis`; the root is never taken of 0, where it has no slope."""
    return x / g.sqrt(g.maximum(g.sum(g.square(x), axis, keepdims=True), EPSILON**2))


MeanSquaredError = loss_class(mean_squared_error)
MeanAbsoluteError = loss_class(mean_absolute_error)
MeanAbsolutePercentageError = loss_class(mean_absolute_percentage_error)
MeanSquaredLogarithmicError = loss_class(mean_squared_logarithmic_error)
Huber = loss_class(huber)
LogCosh = loss_class(log_cosh)
Poisson = loss_class(poisson)
CosineSimilarity = loss_class(cosine_similarity)
