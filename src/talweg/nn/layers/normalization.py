"""Batch normalization: numbers brought to mean 0 and variance 1, channel by channel, as training goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class BatchNormalization(Layer):
    r"""$y = \gamma \, (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$, with a mean and a variance for each channel.

    x: (batch, ..., channels, ...), the channels along `axis`; γ (`scale`) and β (`center`) are learned, (channels,).
    In training, μ and σ² are the batch's, over all other axes (σ² divided by n, as in Keras), and the moving statistics
    become momentum · moving + (1 - momentum) · batch. Otherwise, and where `trainable` is False, the moving ones serve.

    Raises `UsageError` for a momentum outside 0..1, an epsilon below 0, or axis 0; `ShapeError` where the examples have
    no axis `axis`. Ioffe and Szegedy, "Batch Normalization" (2015).
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Any = setting(initializers.get, "zeros")
    gamma_initializer: Any = setting(initializers.get, "ones")
    moving_mean_initializer: Any = setting(initializers.get, "zeros")
    moving_variance_initializer: Any = setting(initializers.get, "ones")
    beta_regularizer: Any = setting(regularizers.get, None)
    gamma_regularizer: Any = setting(regularizers.get, None)
    beta_constraint: Any = setting(constraints.get, None)
    gamma_constraint: Any = setting(constraints.get, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.axis, int) or self.axis == 0:
            raise UsageError(
                f"BatchNormalization: axis is one axis of the batch's, from 1 on or below 0; got {self.axis!r}"
            )
        if not 0 <= self.momentum <= 1 or not self.epsilon >= 0:
            raise UsageError(
                f"BatchNormalization: momentum must be from 0 to 1 and epsilon not below 0; "
                f"got momentum={self.momentum!r}, epsilon={self.epsilon!r}"
            )

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        channels = (input_shape[self._channels(len(input_shape) + 1) - 1],)
        if self.scale:
            yield Parameter(
                "gamma", channels, self.gamma_initializer, self.gamma_regularizer, constraint=self.gamma_constraint
            )
        if self.center:
            yield Parameter(
                "beta", channels, self.beta_initializer, self.beta_regularizer, constraint=self.beta_constraint
            )
        yield Parameter("moving_mean", channels, self.moving_mean_initializer, trainable=False)
        yield Parameter("moving_variance", channels, self.moving_variance_initializer, trainable=False)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        channels = self._channels(x.rank)
        others = [a for a in range(x.rank) if a != channels]

        def wide(statistic: Tensor) -> Tensor:
            """(channels,) so that it broadcasts along the channel axis of x."""
            return g.reshape(statistic, (*statistic.shape, *(1 for _ in range(channels + 1, x.rank))))

        if context.training and self.trainable:
            mean = g.mean(x, others)
            centered = x - wide(mean)  # once, for the variance and for y: one way back through the mean
            variance = g.mean(g.square(centered), others)
            self._move(p.moving_mean, mean, context)
            self._move(p.moving_variance, variance, context)
        else:
            centered, variance = x - wide(p.moving_mean), p.moving_variance
        factor = 1.0 / g.sqrt(variance + self.epsilon)
        y = centered * wide(factor * p.gamma if self.scale else factor)
        return y + wide(p.beta) if self.center else y

    def _move(self, moving: Tensor, batch: Tensor, context: Context) -> None:
        """Lets a moving statistic take a step towards the batch's; two steps where the layer stands at two places."""
        before = context.updates.get(moving, moving)
        context.update(moving, before * self.momentum + batch * (1 - self.momentum))

    def _channels(self, rank: int) -> int:
        """`axis`, counted from the batch's, of a batch with `rank` axes."""
        if not -rank < self.axis < rank:
            raise ShapeError(
                f"layer {self.name!r}: axis {self.axis} is no axis of examples with {rank - 1} (the batch axis is 0)"
            )
        return self.axis % rank
