"""Activations as layers. The functions themselves stand in `talweg.activations`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Activation(Layer):
    """$y = f(x)$ for an activation given by name or as a function."""

    activation: Any = setting(activations.get)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = self.activation(x)
        return y


@dataclass(eq=False, repr=False)
class ReLU(Layer):
    r"""$y = \min(x, \text{max\_value})$ where $x > \theta$, else $\text{negative\_slope} \cdot (x - \theta)$.

    Raises `UsageError` for a max_value, a negative_slope or a threshold θ below 0.
    """

    max_value: float | None = None
    negative_slope: float = 0.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_value", "negative_slope", "threshold"):
            if (value := getattr(self, name)) is not None and not value >= 0:
                raise UsageError(f"ReLU: {name} must not be below 0; got {value!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        how = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        y: Tensor = activations.relu(x, **how)
        return y


@dataclass(eq=False, repr=False)
class LeakyReLU(Layer):
    r"""$y = x$ where $x > 0$, else $\alpha x$ with α = `negative_slope`.

    Keras's layer has 0.3 by default, its function of that name 0.2, PyTorch's module 0.01. Maas et al. (2013).
    """

    negative_slope: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.negative_slope >= 0:
            raise UsageError(f"LeakyReLU: negative_slope must not be below 0; got {self.negative_slope!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = activations.leaky_relu(x, negative_slope=self.negative_slope)
        return y


@dataclass(eq=False, repr=False)
class PReLU(Layer):
    r"""$y = x$ where $x > 0$, else $\alpha x$ with an α that is learned, one for each number of an example.

    shared_axes: axes, counted with the batch's, along which one α serves: (1, 2) for one a channel of a picture.
    Raises `UsageError` for an axis 0, `ShapeError` where the examples lack one. He et al., "Delving deep" (2015).
    """

    alpha_initializer: Any = setting(initializers.get, "Zeros")
    alpha_regularizer: Any = setting(regularizers.get, None)
    alpha_constraint: Any = setting(constraints.get, None)
    shared_axes: Any = setting(lambda v: None if v is None else [v] if isinstance(v, int) else list(v), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 in (self.shared_axes or ()):
            raise UsageError("PReLU: shared_axes are axes of an example, from 1 on; got 0, the batch axis")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        rank, shared = len(input_shape) + 1, self.shared_axes or ()
        if not all(-rank < a < rank for a in shared):
            raise ShapeError(f"layer {self.name!r}: shared_axes {list(shared)} are no axes of {list(input_shape)}")
        apart = {a % rank for a in shared}
        shape = tuple(1 if a in apart else d for a, d in enumerate(input_shape, 1))
        regularizer, constraint = self.alpha_regularizer, self.alpha_constraint
        yield Parameter("alpha", shape, self.alpha_initializer, regularizer, constraint=constraint)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.where(x <= 0, p.alpha * x, x)


@dataclass(eq=False, repr=False)
class RReLU(Layer):
    r"""$y = x$ where $x > 0$, else $a x$: in training with an a drawn for each number, evenly from `lower` to `upper`.

    Outside training a is the middle of the two, as the function `rrelu` has it. PyTorch's layer; Keras has none. seed:
    a number makes this layer's chance its own, whatever the model's seed. Raises `UsageError` unless 0 ≤ lower ≤ upper.
    Xu et al., "Empirical evaluation of rectified activations" (2015).
    """

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

    alpha: float = 1.0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        y: Tensor = activations.elu(x, alpha=self.alpha)
        return y


@dataclass(eq=False, repr=False)
class Softmax(Layer):
    r"""$y_c = e^{x_c} / \sum_k e^{x_k}$ along `axis`, one or several, counted with the batch's."""

    axis: Any = setting(lambda v: v if isinstance(v, int) else tuple(v), -1)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        if not all(-x.rank < a < x.rank and a for a in axes):
            raise ShapeError(f"layer {self.name!r}: axis {self.axis} is no axis of examples {list(x.shape[1:])}")
        if axes in ((-1,), (x.rank - 1,)):  # as the function of that name, which losses see through
            y: Tensor = activations.softmax(x)
            return y
        e = g.exp(x - g.stop_gradient(g.max(x, axes, keepdims=True)))
        return e / g.sum(e, axes, keepdims=True)
