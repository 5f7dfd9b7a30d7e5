"""Activations: each a formula. Given a tensor they write nodes; given numbers they answer numbers.

>>> relu([-1.0, 0.0, 2.0])
array([0., 0., 2.], dtype=float32)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.registry import Registry

ACTIVATIONS: Registry[ActivationFunction] = Registry("activation")


class ActivationFunction:
    """A formula on one tensor, under a name. A loss can tell from the result that it was applied."""

    def __init__(self, name: str, formula: Callable[..., Tensor]) -> None:
        functools.update_wrapper(self, formula)
        self.registered_name, self.formula = name, formula
        self.__name__ = name

    def __call__(self, x: Any, **options: Any) -> Any:
        if isinstance(x, Tensor):
            y = self.formula(x, **options)
            return y if y is x else y.written_as(self.registered_name, x) if not options else y
        given = g.constant(np.asarray(x, np.float64))
        return g.evaluate([y := self.formula(given, **options)])[y]

    def __repr__(self) -> str:
        return f"<activation {self.registered_name}>"


def register(name: str, formula: Callable[..., Tensor], *aliases: str) -> ActivationFunction:
    """Makes `formula` an activation: ``activation=name`` then works, and models that use it can be saved."""
    return ACTIVATIONS.register(name, ActivationFunction(name, formula), *aliases)


def activation(*aliases: str) -> Callable[[Callable[..., Tensor]], ActivationFunction]:
    """Registers the function below under its own name and `aliases`."""
    return lambda formula: register(formula.__name__, formula, *aliases)


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
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    r"""$x$ if $x > 0$, else $\alpha (e^{x} - 1)$ (Clevert et al., 2016)."""
    return g.where(x <= 0, alpha * g.expm1(g.where(x <= 0, x, 0.0)), x)


@activation()
def selu(x: Tensor) -> Tensor:
    r"""$\lambda\,\mathrm{elu}(x; \alpha)$ with λ = 1.0507, α = 1.6733 (Klambauer et al., 2017)."""
    return 1.0507009873554805 * elu.formula(x, 1.6732632423543772)


@activation()
def sigmoid(x: Tensor) -> Tensor:
    r"""$\frac{1}{1 + e^{-x}}$"""
    return g.sigmoid(x)


@activation()
def hard_sigmoid(x: Tensor) -> Tensor:
    r"""$\min(\max(x/6 + 1/2,\, 0),\, 1)$ (Keras 3 and PyTorch; Keras 2 had slope 0.2)."""
    return g.clip(x / 6.0 + 0.5, 0.0, 1.0)


@activation()
def tanh(x: Tensor) -> Tensor:
    r"""$\tanh x$"""
    return g.tanh(x)


@activation()
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    r"""$e^{x_c} / \sum_k e^{x_k}$ along `axis`, by default the last."""
    return g.softmax(x, axis)


@activation()
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    r"""$\ln \mathrm{softmax}(x)$"""
    return g.log_softmax(x, axis)


@activation()
def softplus(x: Tensor) -> Tensor:
    r"""$\ln(1 + e^{x})$"""
    return g.softplus(x)


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


swish = silu
identity = linear
