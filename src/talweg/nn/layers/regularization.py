"""Layers that make learning harder, so that more is learned: chance in training, and penalties on answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import regularizers
from talweg.nn.layers.arguments import data_format, is_whole
from talweg.nn.layers.base import Context, Layer
from talweg.nn.layers.windows import spread
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class _Dropping(Layer):
    """The base of what is done with probability `rate`, and in training only."""

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"rate": "[0, 1)"}

    rate: float


def _noise_shape(value: Any) -> Any:
    """None, or a whole number or None for each axis."""
    if value is None:
        return None
    if not isinstance(value, (list, tuple)) or not all(d is None or is_whole(d) for d in value):
        raise UsageError(f"noise_shape must have a whole number or None for each axis of a batch; got {value!r}")
    return tuple(value)


def _demand_noise_shape(layer: Layer, noise_shape: Any, x: Tensor) -> None:
    """Raises `ShapeError` unless decisions of this shape can be made for x."""
    shape = x.shape if noise_shape is None else noise_shape
    if len(shape) != x.rank or any(d not in (None, 1, have) for d, have in zip(shape, x.shape, strict=True)):
        raise ShapeError(
            f"layer {layer.title!r}: noise_shape has 1, None or the length for each axis of (batch, "
            f"{', '.join(map(str, x.shape[1:]))}); got {noise_shape}"
        )


def _is_kept(x: Tensor, rate: float, shape: Any, seed: int | None, context: Context) -> Tensor:
    """Truth values for the numbers of x, true with probability 1 - rate.

    shape: one is drawn for each element of it, where None stands for the length of x and 1 for a common decision.
    """
    drawn = x.shape if shape is None else [have if d is None else d for d, have in zip(shape, x.shape, strict=True)]
    return g.broadcast_to(context.random_uniform(tuple(drawn), seed) >= rate, x.shape)


def _dropped(x: Tensor, rate: float, shape: Any, seed: int | None, context: Context) -> Tensor:
    """`Dropout` of x."""
    if not context.training or rate == 0:
        return x
    return g.where(_is_kept(x, rate, shape, seed, context), x * (1 / (1 - rate)), 0.0)


@dataclass(eq=False, repr=False)
class Dropout(_Dropping):
    r"""In training, each number becomes 0 with probability `rate` and is else divided by 1 - rate; nothing otherwise.

    Srivastava et al., "Dropout" (2014), scaled in training as all frameworks do. `noise_shape` gives axes of length 1
    along which one decision serves all. seed: a number makes this layer's chance its own, whatever the model's seed.
    """

    noise_shape: Any = setting(_noise_shape, None)
    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        _demand_noise_shape(self, self.noise_shape, x)
        return _dropped(x, self.rate, self.noise_shape, self.seed, context)


@dataclass(eq=False, repr=False)
class SpatialDropout1D(_Dropping):
    """`Dropout` of whole channels of a sequence: x (batch, steps, channels), one decision for all steps.

    Neighbours along a sequence say much the same, so that dropping one of them drops little. Tompson et al. (2015).
    """

    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        _, channels = spread(x.shape[1:], self, axes=1)
        return _dropped(x, self.rate, (None, 1, channels), self.seed, context)


@dataclass(eq=False, repr=False)
class SpatialDropout2D(_Dropping):
    """`Dropout` of whole channels of a picture: x (batch, height, width, channels), one decision for all pixels."""

    data_format: str | None = setting(data_format, None)
    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        *_, channels = spread(x.shape[1:], self)
        return _dropped(x, self.rate, (None, 1, 1, channels), self.seed, context)


@dataclass(eq=False, repr=False)
class GaussianDropout(_Dropping):
    r"""In training $y = x \, (1 + \sqrt{\text{rate} / (1 - \text{rate})} \, \varepsilon)$, ε standard normal.

    Mean and variance of what `Dropout` makes of x, and nothing is lost. Srivastava et al., section 10 (2014).
    """

    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if not context.training or self.rate == 0:
            return x
        return x * (1.0 + math.sqrt(self.rate / (1 - self.rate)) * context.random_normal(x.shape, self.seed))


@dataclass(eq=False, repr=False)
class AlphaDropout(_Dropping):
    r"""`Dropout` for networks of SELU: what is dropped becomes α' = -1.7581, then $y = a x + b$.

    α' is SELU's value at -∞; a and b bring mean 0 and variance 1 back: $a = ((1 - r)(1 + r α'^2))^{-1/2}$,
    $b = -a α' r$ for rate r. Klambauer et al., "Self-normalizing neural networks" (2017).
    """

    noise_shape: Any = setting(_noise_shape, None)
    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        _demand_noise_shape(self, self.noise_shape, x)
        if not context.training or self.rate == 0:
            return x
        dropped = -1.0507009873554805 * 1.6732632423543772
        a = ((1 - self.rate) * (1 + self.rate * dropped**2)) ** -0.5
        kept = _is_kept(x, self.rate, self.noise_shape, self.seed, context)
        return a * g.where(kept, x, dropped) - a * dropped * self.rate


@dataclass(eq=False, repr=False)
class GaussianNoise(Layer):
    r"""In training $y = x + \text{stddev} \cdot \varepsilon$, ε standard normal: no example is seen twice.

    Raises `UsageError` for a stddev below 0.
    """

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"stddev": "[0, inf)"}

    stddev: float
    seed: int | None = None

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if not context.training or self.stddev == 0:
            return x
        return x + self.stddev * context.random_normal(x.shape, self.seed)


@dataclass(eq=False, repr=False)
class ActivityRegularization(Layer):
    r"""$y = x$, with $l_1 \sum |x| + l_2 \sum x^2$ of an example added to the loss."""

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"l1": "[0, inf)", "l2": "[0, inf)"}

    l1: float = 0.0
    l2: float = 0.0

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        context.penalize(x, regularizers.L1L2(self.l1, self.l2))
        return x
