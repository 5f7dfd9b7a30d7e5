"""Activations: each a formula. Given a tensor they write nodes; given numbers they answer numbers.

>>> relu([-1.0, 0.0, 2.0])
array([0., 0., 2.], dtype=float32)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.registry import Registry

ACTIVATIONS: Registry[ActivationFunction] = Registry("activation")


class ActivationFunction:
    """A formula on one tensor, under a name. A loss can tell from the result that it was applied.

    of_rows: whether it is a function of a row of numbers, and not of each by itself.
    """

    def __init__(self, name: str, formula: Callable[..., Tensor], of_rows: bool = False) -> None:
        functools.update_wrapper(self, formula)
        self.registered_name, self.formula, self.of_rows = name, formula, of_rows
        self.__name__ = name

    def __call__(self, x: Any, **options: Any) -> Any:
        if isinstance(x, Tensor):
            y = self.formula(x, **options)
            return y if y is x else y.written_as(self.registered_name, x) if not options else y
        given = g.constant(np.asarray(x, np.float64))
        return g.evaluate([y := self.formula(given, **options)])[y]

    def __repr__(self) -> str:
        return f"<activation {self.registered_name}>"


def register(name: str, formula: Callable[..., Tensor], *aliases: str, of_rows: bool = False) -> ActivationFunction:
    """Makes `formula` an activation: ``activation=name`` then works, and models that use it can be saved."""
    return ACTIVATIONS.register(name, ActivationFunction(name, formula, of_rows), *aliases)


def activation(*aliases: str, of_rows: bool = False) -> Callable[[Callable[..., Tensor]], ActivationFunction]:
    """Registers the function below under its own name and `aliases`."""
    return lambda formula: register(formula.__name__, formula, *aliases, of_rows=of_rows)


def get(identifier: Any) -> ActivationFunction:
    """An activation from its name, from None (linear), or from any function of a tensor."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return ACTIVATIONS.get(identifier)
    if isinstance(identifier, ActivationFunction):
        return identifier
    if callable(identifier):
        made = ActivationFunction(getattr(identifier, "__name__", "activation"), identifier)
        made.registered_name = ""  # it has no name in the table, so a model that uses it cannot be saved
        return made
    raise UsageError(f"activation must be a name, a function of a tensor or None; got {identifier!r}")


# ── bent at one place or two ──────────────────────────────────────────────────────────────────────────────


@activation("identity")
def linear(x: Tensor) -> Tensor:
    """$x$"""
    return x


@activation()
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    r"""$\max(0, x)$, with slope 0 at 0. NaN stays NaN.

    negative_slope: slope below `threshold`. max_value: the largest output. threshold: outputs begin here.
    """
    below = negative_slope * (x - threshold) if negative_slope else 0.0
    y = g.where(x <= threshold, below, x)
    return y if max_value is None else g.minimum(y, max_value)


@activation()
def relu6(x: Tensor) -> Tensor:
    r"""$\min(\max(0, x), 6)$"""
    return g.minimum(g.where(x <= 0, 0.0, x), 6.0)


@activation()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    r"""$x$ if $x > 0$, else $\alpha x$ (Keras's α = 0.2; PyTorch's default is 0.01)."""
    return g.where(x <= 0, negative_slope * x, x)


@activation()
def rrelu(x: Tensor, lower: float = 1 / 8, upper: float = 1 / 3) -> Tensor:
    r"""$x$ if $x > 0$, else $\frac{l + u}{2} x$: PyTorch's `rrelu` as it predicts, and as its function is by default.

    In training it draws each slope from [l, u] (Xu et al., 2015), and so does the layer `RReLU`; a function has nothing
    to draw from.
    """
    return leaky_relu.formula(x, (lower + upper) / 2)


@activation()
def threshold(x: Tensor, threshold: float = 0.0, default_value: float = 0.0) -> Tensor:
    r"""$x$ if $x > \theta$, else `default_value`; ReLU by default, where Keras and PyTorch have no defaults."""
    return g.where(x <= threshold, default_value, x)


@activation()
def hard_tanh(x: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    r"""$\min(\max(x, -1), 1)$; PyTorch's `hardtanh` also takes other bounds."""
    return g.clip(x, min_val, max_val)


@activation()
def hard_sigmoid(x: Tensor) -> Tensor:
    r"""$\min(\max(x/6 + 1/2,\, 0),\, 1)$ (Keras 3 and PyTorch; Keras 2 had slope 0.2)."""
    return g.clip(x / 6.0 + 0.5, 0.0, 1.0)


@activation("hard_swish")
def hard_silu(x: Tensor) -> Tensor:
    r"""$x \min(\max(x/6 + 1/2,\, 0),\, 1)$ (Howard et al., 2019); PyTorch's `hardswish`."""
    return x * hard_sigmoid.formula(x)


@activation()
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    r"""$x$ if $|x| > \lambda$, else 0."""
    return g.where(abs(x) <= threshold, 0.0, x)


@activation()
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    r"""$x - \lambda$ above λ, $x + \lambda$ below -λ, else 0."""
    return g.where(abs(x) <= threshold, 0.0, x - threshold * g.sign(x))


@activation()
def sparse_sigmoid(x: Tensor) -> Tensor:
    r"""$\min(\max(\frac{x + 1}{2},\, 0),\, 1)$: the slope of `sparse_plus`."""
    return g.clip(0.5 * (x + 1.0), 0.0, 1.0)


@activation()
def sparse_plus(x: Tensor) -> Tensor:
    r"""0 below -1, $\frac14 (x + 1)^2$ up to 1, $x$ above: a softplus that comes to 0."""
    return g.where(x <= -1, 0.0, g.where(x < 1, 0.25 * g.square(x + 1.0), x))


# ── smooth ────────────────────────────────────────────────────────────────────────────────────────────────


@activation()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    r"""$x$ if $x > 0$, else $\alpha (e^{x} - 1)$ (Clevert et al., 2016)."""
    return g.where(x <= 0, alpha * g.expm1(g.where(x <= 0, x, 0.0)), x)


@activation()
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    r"""$x$ if $x > 0$, else $\alpha (e^{x/\alpha} - 1)$: an ELU whose slope does not jump at 0 (Barron, 2017)."""
    return g.where(x <= 0, alpha * g.expm1(g.where(x <= 0, x, 0.0) / alpha), x)


@activation()
def selu(x: Tensor) -> Tensor:
    r"""$\lambda\,\mathrm{elu}(x; \alpha)$ with λ = 1.0507, α = 1.6733 (Klambauer et al., 2017)."""
    return 1.0507009873554805 * elu.formula(x, 1.6732632423543772)


@activation()
def sigmoid(x: Tensor) -> Tensor:
    r"""$\frac{1}{1 + e^{-x}}$"""
    return g.sigmoid(x)


@activation()
def log_sigmoid(x: Tensor) -> Tensor:
    r"""$\ln \frac{1}{1 + e^{-x}}$, stable where the sigmoid rounds to 0."""
    return -g.softplus(-x)


@activation()
def tanh(x: Tensor) -> Tensor:
    r"""$\tanh x$"""
    return g.tanh(x)


@activation()
def tanh_shrink(x: Tensor) -> Tensor:
    r"""$x - \tanh x$"""
    return x - g.tanh(x)


@activation()
def softplus(x: Tensor) -> Tensor:
    r"""$\ln(1 + e^{x})$"""
    return g.softplus(x)


@activation()
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    r"""$\frac12 (x + \sqrt{x^2 + b})$ (Barron, 2021).

    Below 0 it is written $\frac{b}{2(\sqrt{x^2 + b} - x)}$, which is the same and loses no digits. Where b is nothing
    beside x², which may be infinite, the root is |x|.
    """
    is_far = abs(x) > 1e9 * max(1.0, math.sqrt(b))
    root = g.where(is_far, abs(x), g.sqrt(g.square(g.where(is_far, 0.0, x)) + float(b)))
    return g.where(x < 0, 0.5 * b / (root + abs(x)), 0.5 * x + 0.5 * root)


@activation()
def softsign(x: Tensor) -> Tensor:
    r"""$x / (1 + |x|)$"""
    return x / (1.0 + abs(x))


@activation("swish")
def silu(x: Tensor) -> Tensor:
    r"""$x\,\sigma(x)$ (Ramachandran et al., 2017)."""
    return x * g.sigmoid(x)


@activation()
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    r"""$x\,\Phi(x)$, with Φ the normal distribution (Hendrycks and Gimpel, 2016); `approximate` uses its tanh form."""
    inner = g.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)) if approximate else g.erf(x * 0.7071067811865476)
    return 0.5 * x * (1.0 + inner)


@activation()
def mish(x: Tensor) -> Tensor:
    r"""$x \tanh(\mathrm{softplus}(x))$ (Misra, 2019)."""
    return x * g.tanh(g.softplus(x))


@activation()
def exponential(x: Tensor) -> Tensor:
    r"""$e^{x}$"""
    return g.exp(x)


@activation()
def gaussian(x: Tensor) -> Tensor:
    r"""$e^{-x^2}$, the bell of seed 004."""
    return g.exp(-x * x)


# ── of a row of numbers ───────────────────────────────────────────────────────────────────────────────────


@activation(of_rows=True)
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    r"""$e^{x_c} / \sum_k e^{x_k}$ along `axis`, by default the last."""
    return g.softmax(x, axis)


@activation(of_rows=True)
def softmin(x: Tensor, axis: int = -1) -> Tensor:
    r"""$e^{-x_c} / \sum_k e^{-x_k}$ along `axis` (PyTorch)."""
    return g.softmax(-x, axis)


@activation(of_rows=True)
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    r"""$\ln \mathrm{softmax}(x)$"""
    return g.log_softmax(x, axis)


@activation(of_rows=True)
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    r"""$\max(0, x_c - \tau)$ along `axis`, with τ such that the sum is 1 (Martins and Astudillo, 2016).

    $x_c$ is above τ if $\sum_k \max(0, x_k - x_c) < 1$; so nothing is sorted, at the price of k² comparisons.
    """
    at = axis % x.rank
    x = g.maximum(x - g.stop_gradient(g.max(x, at, keepdims=True)), -1.0)  # what lies lower has no share
    above = g.expand_dims(x, at) - g.expand_dims(x, at + 1)  # [c, k]: how much larger x_k is than x_c
    supports = g.cast(g.sum(g.maximum(above, 0.0), axis=at + 1) < 1, "float")
    tau = (g.sum(supports * x, at, keepdims=True) - 1.0) / g.sum(supports, at, keepdims=True)
    return g.where(x <= tau, 0.0, x - tau)


@activation(of_rows=True)
def glu(x: Tensor, axis: int = -1) -> Tensor:
    r"""$a\,\sigma(b)$ for the two halves a and b of x along `axis` (Dauphin et al., 2017); half as long as x."""
    at, length = axis % x.rank, x.shape[axis]
    if not isinstance(length, int) or length % 2:
        raise ShapeError(f"glu takes two halves along axis {axis}; got shape {list(x.shape)}")
    half = length // 2
    a, b = (g.slice(x, [part if i == at else None for i in range(x.rank)]) for part in ((0, half), (half, length)))
    return a * g.sigmoid(b)


swish = silu
hard_swish = hard_silu
identity = linear
