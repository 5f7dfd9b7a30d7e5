"""Layers that learn nothing: shape, activation, chance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import activations, initializers
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
class Flatten(Layer):
    """Each example as one row of numbers: (batch, a, b, ...) becomes (batch, a · b · ...)."""

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return g.reshape(x, (g.BATCH, math.prod(x.shape[1:])))  # type: ignore[arg-type]


@dataclass(eq=False, repr=False)
class Reshape(Layer):
    """Each example in another shape; one entry of `target_shape` may be -1, and is then found."""

    target_shape: Any = setting(tuple)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        target, size = list(self.target_shape), math.prod(x.shape[1:])  # type: ignore[arg-type]
        known = math.prod(d for d in target if d != -1)
        if target.count(-1) == 1 and known and size % known == 0:
            target[target.index(-1)] = size // known
        if math.prod(target) != size or -1 in target:
            raise ShapeError(
                f"layer {self.name!r}: Reshape cannot put {size} numbers, {list(x.shape[1:])}, "
                f"into {list(self.target_shape)}"
            )
        return g.reshape(x, (g.BATCH, *target))


@dataclass(eq=False, repr=False)
class Dropout(Layer):
    r"""In training, each number becomes 0 with probability `rate` and is else divided by 1 - rate; nothing otherwise.

    Srivastava et al., "Dropout" (2014), scaled in training as all frameworks do. `noise_shape` gives axes of length 1
    along which one decision serves all.
    """

    rate: float
    noise_shape: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise UsageError(f"Dropout: rate is the part that is dropped, from 0 to less than 1; got {self.rate!r}")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if not context.training or self.rate == 0:
            return x
        shape = (
            x.shape
            if self.noise_shape is None
            else tuple(x.shape[i] if d is None else d for i, d in enumerate(self.noise_shape))
        )
        kept = g.broadcast_to(context.random_uniform(shape) >= self.rate, x.shape)
        return g.where(kept, x * (1 / (1 - self.rate)), 0.0)


@dataclass(eq=False, repr=False)
class Rescaling(Layer):
    r"""$y = \text{scale} \cdot x + \text{offset}$; ``Rescaling(1/255)`` brings pixels into 0..1."""

    scale: Any
    offset: Any = 0.0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return x * g.constant(np.asarray(self.scale, float)) + g.constant(np.asarray(self.offset, float))


@dataclass(eq=False, repr=False)
class Normalization(Layer):
    r"""$y = (x - \mu) / \max(\sigma, 10^{-7})$ with the mean and deviation of the training part along `axis`.

    Give `mean` and `variance`, or call ``adapt(x_train)`` before training. axis: the axes that keep statistics of their
    own (by default the last), None for one mean of everything; 0 is the batch axis, as in Keras.
    """

    axis: Any = -1
    mean: Any = None
    variance: Any = None

    def _kept(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        listed = () if self.axis is None else (self.axis,) if isinstance(self.axis, int) else tuple(self.axis)
        rank = len(shape) + 1
        return tuple(1 if not any(a % rank == i + 1 for a in listed) else d for i, d in enumerate(shape))

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        shape = self._kept(input_shape)
        first = [0.0 if self.mean is None else self.mean, 1.0 if self.variance is None else self.variance]
        yield Parameter("mean", shape, initializers.Constant(first[0]), trainable=False)
        yield Parameter("variance", shape, initializers.Constant(first[1]), trainable=False)

    def adapt(self, data: Any) -> None:
        """Takes mean and variance from `data` (examples along the first axis): the training part, and only that."""
        from talweg.graph.random import RandomStream

        x = np.asarray(data, np.float64)
        if not x.size or not np.isfinite(x).all():
            raise UsageError("Normalization.adapt: data must not be empty and must be finite")
        x = x[:, None] if x.ndim == 1 else x
        if self.name is None:
            self.named("normalization")
        self.build(x.shape[1:], RandomStream(0, 0))
        kept = self._kept(x.shape[1:])
        over = (0, *(i + 1 for i, d in enumerate(kept) if d == 1))
        self.set_weights([x.mean(over).reshape(kept), x.var(over).reshape(kept)])

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return (x - p.mean) / g.maximum(g.sqrt(p.variance), 1e-7)
