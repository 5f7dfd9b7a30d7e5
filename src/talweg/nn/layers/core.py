"""Layers that take data as they come: scaled, shifted, or as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import initializers
from talweg.nn.layers.arguments import axes, numbers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class Identity(Layer):
    """$y = x$: a place in a network with a name, by which what is there can be asked for."""

    supports_masking = True

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return x


@dataclass(eq=False, repr=False)
class Masking(Layer):
    """Steps of a sequence at which every number is `mask_value` do not count: y is 0 there and x elsewhere.

    x, y: (batch, steps, features). The mask, (batch, steps), goes along with y, as in Keras: recurrent layers stay as
    they are at such a step, `GlobalAveragePooling1D`, losses and mean metrics leave it out. Layers that take each step
    by itself hand it on (`supports_masking`); it ends, with a warning, at those that mix steps, such as `Conv1D`.

    >>> from talweg.nn.layers import LSTM, Input
    >>> LSTM(16)(Masking()(Input((28, 8)))).shape
    (None, 16)
    """

    supports_masking = True

    mask_value: float = 0.0

    def compute_mask(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return g.max(g.where(g.equal(x, self.mask_value), 0.0, 1.0), -1) > 0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if x.rank < 2:
            raise ShapeError(f"layer {self.title!r}: Masking needs examples of (steps, features); got single numbers")
        return g.where(g.expand_dims(self.compute_mask(x, None), -1), x, 0.0)


@dataclass(eq=False, repr=False)
class Rescaling(Layer):
    r"""$y = \text{scale} \cdot x + \text{offset}$; ``Rescaling(1/255)`` brings pixels into 0..1."""

    supports_masking = True

    scale: Any = setting(partial(numbers, name="scale"))
    offset: Any = setting(partial(numbers, name="offset"), 0.0)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return x * g.constant(np.asarray(self.scale, float)) + g.constant(np.asarray(self.offset, float))


@dataclass(eq=False, repr=False)
class Normalization(Layer):
    r"""$y = (x - \mu) / \max(\sigma, 10^{-7})$ with the mean and deviation of the training part along `axis`.

    Give `mean` and `variance`, or call ``adapt(x_train)`` before training. axis: the axes that keep statistics of their
    own (by default the last), counted with the batch's as in Keras; None for one mean of everything.
    """

    supports_masking = True

    axis: Any = setting(lambda a: None if a in (None, [], ()) else axes(a), -1)  # in Keras's files None is []
    mean: Any = setting(partial(numbers, name="mean", optional=True), None)
    variance: Any = setting(partial(numbers, name="variance", optional=True), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variance is not None and np.min(self.variance) < 0:
            raise UsageError(f"Normalization: variance must not be below 0; got {self.variance!r}")

    def _kept(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        kept = () if self.axis is None else self.counted(self.axis, len(shape) + 1)
        return tuple(d if a in kept else 1 for a, d in enumerate(shape, 1))

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
