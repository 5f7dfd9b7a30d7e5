"""Activations as layers. The functions themselves stand in `talweg.activations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.arguments import axes
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Activation(Layer):
    """$y = f(x)$ for an activation given by name or as a function."""

    supports_masking = True

    activation: Any = setting(activations.get)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = self.activation(x)
        return y


@dataclass(eq=False, repr=False)
class ReLU(Layer):
    r"""$y = \min(x, \text{max\_value})$ where $x > \theta$, else $\text{negative\_slope} \cdot (x - \theta)$.

    Raises `UsageError` for a max_value, a negative_slope or a threshold θ below 0.
    """

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {
        "max_value": "[0, inf)",
        "negative_slope": "[0, inf)",
        "threshold": "[0, inf)",
    }

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        how = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        y: Tensor = activations.relu(x, **how)
        return y


@dataclass(eq=False, repr=False)
class LeakyReLU(Layer):
    r"""$y = x$ where $x > 0$, else $\alpha x$ with α = `negative_slope`.

    Keras's layer has 0.3 by default, its function of that name 0.2, PyTorch's module 0.01. Maas et al. (2013).
    """

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"negative_slope": "[0, inf)"}

    negative_slope: float = 0.3

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = activations.leaky_relu(x, negative_slope=self.negative_slope)
        return y


@dataclass(eq=False, repr=False)
class PReLU(Layer):
    r"""$y = x$ where $x > 0$, else $\alpha x$ with an α that is learned, one for each number of an example.

    shared_axes: axes, counted with the batch's, along which one α serves: (1, 2) for one a channel of a picture.
    Raises `ShapeError` where the examples lack one. He et al., "Delving deep" (2015).
    """

    supports_masking = True

    alpha_initializer: Any = setting(initializers.get, "Zeros")
    alpha_regularizer: Any = setting(regularizers.get, None)
    alpha_constraint: Any = setting(constraints.get, None)
    shared_axes: Any = setting(partial(axes, name="shared_axes", optional=True), None)

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        shared = () if self.shared_axes is None else self.counted(self.shared_axes, len(input_shape) + 1)
        yield self.weight("alpha", tuple(1 if a in shared else d for a, d in enumerate(input_shape, 1)))

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.where(x <= 0, p.alpha * x, x)


@dataclass(eq=False, repr=False)
class RReLU(Layer):
    r"""$y = x$ where $x > 0$, else $a x$: in training with an a drawn for each number, evenly from `lower` to `upper`.

    Outside training a is the middle of the two, as the function `rrelu` has it. PyTorch's layer; Keras has none. seed:
    a number makes this layer's chance its own, whatever the model's seed. Raises `UsageError` unless 0 ≤ lower ≤ upper.
    Xu et al., "Empirical evaluation of rectified activations" (2015).
    """

    supports_masking = True

    lower: float = 1 / 8
    upper: float = 1 / 3
    seed: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.lower <= self.upper:
            raise UsageError(f"RReLU: lower and upper must be 0 ≤ lower ≤ upper; got {self.lower!r}, {self.upper!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if not context.training:
            y: Tensor = activations.rrelu(x, lower=self.lower, upper=self.upper)
            return y
        slope = self.lower + (self.upper - self.lower) * context.random_uniform(x.shape, self.seed)
        return g.where(x <= 0, slope * x, x)


@dataclass(eq=False, repr=False)
class ELU(Layer):
    r"""$y = x$ where $x > 0$, else $\alpha (e^{x} - 1)$. Clevert et al. (2016)."""

    supports_masking = True

    alpha: float = 1.0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = activations.elu(x, alpha=self.alpha)
        return y


@dataclass(eq=False, repr=False)
class Softmax(Layer):
    r"""$y_c = e^{x_c} / \sum_k e^{x_k}$ along `axis`, one or several, counted with the batch's.

    Raises `ShapeError` for masked sequences where `axis` is that of their steps.
    """

    supports_masking = True

    axis: Any = setting(axes, -1)

    def compute_mask(self, x: Tensor, mask: Tensor | None) -> Tensor | None:
        if mask is not None and self.counted(self.axis, x.rank)[0] < mask.rank:
            raise ShapeError(f"layer {self.title!r}: Softmax runs along the steps of a sequence, some of them masked")
        return mask

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        axes = self.counted(self.axis, x.rank)
        if axes == (x.rank - 1,):  # as the function of that name, which losses see through
            y: Tensor = activations.softmax(x)
            return y
        e = g.exp(x - g.stop_gradient(g.max(x, axes, keepdims=True)))
        return e / g.sum(e, axes, keepdims=True)
