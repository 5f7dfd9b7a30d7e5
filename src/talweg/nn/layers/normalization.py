"""Normalization: numbers brought to mean 0 and variance 1, over a batch, an example or a group of its channels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn import constraints, initializers, regularizers
from talweg.nn.layers.arguments import axes, axis, is_whole
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


def _along(statistic: Tensor, axes: Sequence[int], rank: int) -> Tensor:
    """What there is one of for each place along `axes`, so that it broadcasts to a tensor of `rank` axes."""
    lengths = iter(statistic.shape)
    return g.reshape(statistic, [next(lengths) if a in axes else 1 for a in range(rank)])


class _Affine(Layer):
    """The base: γ and β, learned, each of one `shape`."""

    ranges: ClassVar[Mapping[str, str]] = {"epsilon": "[0, inf)"}

    center: bool
    scale: bool
    epsilon: float

    def gamma_and_beta(self, shape: tuple[int, ...]) -> Iterable[Parameter]:
        for is_there, name in ((self.scale, "gamma"), (self.center, "beta")):
            if is_there:
                yield self.weight(name, shape)

    def affine(self, y: Tensor, p: Any, axes: Sequence[int]) -> Tensor:
        """γ y + β, with γ and β along `axes`."""
        y = y * _along(p.gamma, axes, y.rank) if self.scale else y
        return y + _along(p.beta, axes, y.rank) if self.center else y


@dataclass(eq=False, repr=False)
class BatchNormalization(_Affine):
    r"""$y = \gamma \, (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$, with a mean and a variance for each channel.

    x: (batch, ..., channels, ...), the channels along `axis`; γ (`scale`) and β (`center`) are learned, (channels,).
    In training, μ and σ² are the batch's, over all other axes (σ² divided by n, as in Keras), and the moving statistics
    become momentum · moving + (1 - momentum) · batch. Otherwise, and where `trainable` is False, the moving ones serve.
    Steps that a mask leaves out do not count in the batch's.

    Raises `UsageError` for a momentum outside 0..1, an epsilon below 0, or axis 0; `ShapeError` where the examples have
    no axis `axis`. Ioffe and Szegedy, "Batch Normalization" (2015).
    """

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"momentum": "[0, 1]", "epsilon": "[0, inf)"}

    axis: int = setting(axis, -1)
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

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        [axis] = self.counted(self.axis, len(input_shape) + 1)
        channels = (input_shape[axis - 1],)
        yield from self.gamma_and_beta(channels)
        yield self.weight("moving_mean", channels, trainable=False)
        yield self.weight("moving_variance", channels, trainable=False)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        [channels] = self.counted(self.axis, x.rank)
        others = [a for a in range(x.rank) if a != channels]

        def wide(statistic: Tensor) -> Tensor:
            """(channels,) so that it broadcasts along the channel axis of x."""
            return g.reshape(statistic, (*statistic.shape, *(1 for _ in range(channels + 1, x.rank))))

        over = self._averages(x, context.masks.get(x), others)
        if context.training and self.trainable:
            mean = over(x)
            centered = x - wide(mean)  # once, for the variance and for y: one way back through the mean
            variance = over(g.square(centered))
            self._move(p.moving_mean, mean, context)
            self._move(p.moving_variance, variance, context)
        else:
            centered, variance = x - wide(p.moving_mean), p.moving_variance
        factor = 1.0 / g.sqrt(variance + self.epsilon)
        y = centered * wide(factor * p.gamma if self.scale else factor)
        return y + wide(p.beta) if self.center else y

    def _averages(self, x: Tensor, mask: Tensor | None, axes: list[int]) -> Callable[[Tensor], Tensor]:
        """How the mean over `axes` of something like x is taken: with a mask, of what counts alone, as in Keras."""
        if mask is None:
            return lambda numbers: g.mean(numbers, axes)
        if mask.rank != x.rank - 1:
            raise ShapeError(
                f"layer {self.title!r}: BatchNormalization takes a mask of all axes but one; got {list(mask.shape)}"
            )
        counts = g.broadcast_to(g.expand_dims(mask, -1), x.shape)
        number = g.sum(g.cast(counts, "float"), axes) + 1e-7
        return lambda numbers: g.sum(g.where(counts, numbers, 0.0), axes) / number

    def _move(self, moving: Tensor, batch: Tensor, context: Context) -> None:
        """Lets a moving statistic take a step towards the batch's; two steps where the layer stands at two places."""
        before = context.updates.get(moving, moving)
        context.update(moving, before * self.momentum + batch * (1 - self.momentum))


@dataclass(eq=False, repr=False)
class LayerNormalization(_Affine):
    r"""$y = \gamma \, (x - \mu) / \sqrt{\sigma^2 + \epsilon} + \beta$ with an example's own mean and variance.

    μ and σ² are taken along `axis`, one or several, counted with the batch's; γ and β have a number for each place
    there. Nothing depends on the batch, so training and prediction are alike. ε is 10⁻³ as in Keras; PyTorch has 10⁻⁵.

    Raises `UsageError` for an epsilon below 0, `ShapeError` where the examples have no axis `axis`.
    Ba, Kiros and Hinton, "Layer normalization" (2016).
    """

    supports_masking = True

    axis: Any = setting(axes, -1)
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Any = setting(initializers.get, "zeros")
    gamma_initializer: Any = setting(initializers.get, "ones")
    beta_regularizer: Any = setting(regularizers.get, None)
    gamma_regularizer: Any = setting(regularizers.get, None)
    beta_constraint: Any = setting(constraints.get, None)
    gamma_constraint: Any = setting(constraints.get, None)

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        axes = self.counted(self.axis, len(input_shape) + 1)
        yield from self.gamma_and_beta(tuple(input_shape[a - 1] for a in axes))

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        axes = self.counted(self.axis, x.rank)
        centered = x - g.mean(x, axes, keepdims=True)
        y = centered / g.sqrt(g.mean(g.square(centered), axes, keepdims=True) + self.epsilon)
        return self.affine(y, p, axes)


@dataclass(eq=False, repr=False)
class GroupNormalization(_Affine):
    r"""`LayerNormalization` of each of `groups` groups of channels, over all places: a picture's, for instance.

    The channels are along `axis`; γ and β have a number for each. groups: -1 is one for each channel ("instance
    normalization"), 1 takes all together.

    Raises `UsageError` for arguments that make no sense, `ShapeError` where the channels cannot be so divided.
    Wu and He, "Group normalization" (2018).

    >>> from talweg.nn.layers import Input
    >>> GroupNormalization(4)(Input((8, 8, 16))).shape
    (None, 8, 8, 16)
    """

    supports_masking = True

    groups: int = 32
    axis: int = setting(axis, -1)
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: Any = setting(initializers.get, "zeros")
    gamma_initializer: Any = setting(initializers.get, "ones")
    beta_regularizer: Any = setting(regularizers.get, None)
    gamma_regularizer: Any = setting(regularizers.get, None)
    beta_constraint: Any = setting(constraints.get, None)
    gamma_constraint: Any = setting(constraints.get, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups != -1 and not is_whole(self.groups):
            raise UsageError(f"GroupNormalization: groups must be a whole number above 0, or -1; got {self.groups!r}")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        [axis] = self.counted(self.axis, len(input_shape) + 1)
        channels = input_shape[axis - 1]
        if self.groups != -1 and channels % self.groups:
            raise ShapeError(
                f"layer {self.name!r}: groups must divide the channels; got {channels} channels, {self.groups} groups"
            )
        yield from self.gamma_and_beta((channels,))

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        [axis] = self.counted(self.axis, x.rank)
        places = [a for a in range(1, x.rank) if a != axis]

        def of_groups(numbers: Tensor) -> Tensor:
            """The means over groups, which are the means of their channels' means: those alone are put into groups."""
            means = g.mean(numbers, places, keepdims=True)
            channels = x.shape[axis]
            assert isinstance(channels, int)
            groups = channels if self.groups == -1 else self.groups
            grouped = g.reshape(means, (x.shape[0], groups, channels // groups))
            return g.reshape(g.broadcast_to(g.mean(grouped, -1, keepdims=True), grouped.shape), means.shape)

        centered = x - of_groups(x)
        y = centered / g.sqrt(of_groups(g.square(centered)) + self.epsilon)
        return self.affine(y, p, (axis,))


@dataclass(eq=False, repr=False)
class RMSNormalization(Layer):
    r"""$y = s \, x / \sqrt{\frac{1}{n} \sum_i x_i^2 + \epsilon}$ along `axis`, one or several; the scale s is learned.

    Raises `UsageError` for an epsilon below 0, `ShapeError` where the examples have no axis `axis`.
    Zhang and Sennrich, "Root mean square layer normalization" (2019).
    """

    ranges: ClassVar[Mapping[str, str]] = {"epsilon": "[0, inf)"}

    axis: Any = setting(axes, -1)
    epsilon: float = 1e-6

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        axes = self.counted(self.axis, len(input_shape) + 1)
        yield Parameter("scale", tuple(input_shape[a - 1] for a in axes), "ones")

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        axes = self.counted(self.axis, x.rank)
        size = g.sqrt(g.mean(g.square(x), axes, keepdims=True) + self.epsilon)
        return x / size * _along(p.scale, axes, x.rank)


@dataclass(eq=False, repr=False)
class UnitNormalization(Layer):
    r"""$y = x / \sqrt{\sum_i x_i^2}$ along `axis`, one or several: vectors of length 1, or 0 where x is 0.

    Raises `ShapeError` where the examples have no axis `axis`.
    """

    supports_masking = True

    axis: Any = setting(axes, -1)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        axes = self.counted(self.axis, x.rank)
        return x / g.sqrt(g.maximum(g.sum(g.square(x), axes, keepdims=True), 1e-24))
