"""Convolutions channel by channel: a window of its own for each channel, and a mixture of channels after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.arguments import data_format, one, padding, two
from talweg.nn.layers.base import Context, Parameter
from talweg.nn.layers.convolution import _Convolution
from talweg.nn.layers.windows import spread
from talweg.registry import setting


class _Depthwise(_Convolution):
    """The base: each channel makes `depth_multiplier` channels, by windows that see this channel only."""

    kernel_size: Any
    strides: Any
    dilation_rate: Any
    depth_multiplier: int

    def kernel(self, name: str, input_shape: tuple[int, ...]) -> Parameter:
        channels = spread(input_shape, self, self.axes)[-1]
        return self.weight(name, (*self.kernel_size, channels, self.depth_multiplier), of="depthwise")

    def sums(self, x: Tensor, kernel: Tensor) -> Tensor:
        """A convolution in as many groups as there are channels."""
        groups, depth = kernel.shape[-2:]
        assert isinstance(groups, int) and isinstance(depth, int)
        kernel = g.reshape(kernel, (*self.two(self.kernel_size), 1, groups * depth))
        strides, dilation = self.two(self.strides), self.two(self.dilation_rate)
        return self.flat(g.conv2d(self.picture(x), kernel, strides, self.padding, dilation, groups))


@dataclass(eq=False, repr=False)
class _DepthwiseConv(_Depthwise):
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(padding, "valid")
    depth_multiplier: int = 1
    data_format: str | None = setting(data_format, None)
    dilation_rate: Any = 1
    activation: Any = setting(activations.get, None)
    use_bias: bool = True
    depthwise_initializer: Any = setting(initializers.get, "glorot_uniform")
    bias_initializer: Any = setting(initializers.get, "zeros")
    depthwise_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    depthwise_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        yield self.kernel("kernel", input_shape)
        yield from self.bias(input_shape[-1] * self.depth_multiplier)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return self.activated(self.sums(x, p.kernel), p, context)


@dataclass(eq=False, repr=False)
class DepthwiseConv1D(_DepthwiseConv):
    r"""$y_{t,\, cm+r} = f\left(\sum_u x_{ts+ud,\, c} \, k_{ucr} + b_{cm+r}\right)$: depth multiplier m.

    x: (batch, steps, channels). kernel: (kernel_size, channels, m). y: (batch, places, channels · m).
    """

    axes = 1
    kernel_size: Any = setting(partial(one, name="kernel_size"))
    strides: Any = setting(partial(one, name="strides"), 1)
    dilation_rate: Any = setting(partial(one, name="dilation_rate"), 1)


@dataclass(eq=False, repr=False)
class DepthwiseConv2D(_DepthwiseConv):
    r"""$y_{ij,\, cm+r} = f\left(\sum_{u,v} x_{is+ud,\, js+vd,\, c} \, k_{uvcr} + b_{cm+r}\right)$: depth multiplier m.

    x: (batch, height, width, channels). kernel: (height, width, channels, m). y: (batch, rows, columns, channels · m).
    The rest as of `Conv2D`, of which this is the case of as many groups as there are channels.
    """

    axes = 2
    kernel_size: Any = setting(partial(two, name="kernel_size"))
    strides: Any = setting(partial(two, name="strides"), (1, 1))
    dilation_rate: Any = setting(partial(two, name="dilation_rate"), (1, 1))


@dataclass(eq=False, repr=False)
class _SeparableConv(_Depthwise):
    filters: int
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(padding, "valid")
    data_format: str | None = setting(data_format, None)
    dilation_rate: Any = 1
    depth_multiplier: int = 1
    activation: Any = setting(activations.get, None)
    use_bias: bool = True
    depthwise_initializer: Any = setting(initializers.get, "glorot_uniform")
    pointwise_initializer: Any = setting(initializers.get, "glorot_uniform")
    bias_initializer: Any = setting(initializers.get, "zeros")
    depthwise_regularizer: Any = setting(regularizers.get, None)
    pointwise_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    depthwise_constraint: Any = setting(constraints.get, None)
    pointwise_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        yield self.kernel("depthwise_kernel", input_shape)
        shape = (*(1,) * self.axes, input_shape[-1] * self.depth_multiplier, self.filters)
        yield self.weight("pointwise_kernel", shape, of="pointwise")
        yield from self.bias(self.filters)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        mixture = g.reshape(p.pointwise_kernel, p.pointwise_kernel.shape[-2:])
        return self.activated(self.sums(x, p.depthwise_kernel) @ mixture, p, context)


@dataclass(eq=False, repr=False)
class SeparableConv1D(_SeparableConv):
    r"""$y_{to} = f\left(\sum_c h_{tc} \, w_{co} + b_o\right)$ for h the sums of a `DepthwiseConv1D` on x.

    depthwise_kernel: (kernel_size, channels, depth_multiplier). pointwise_kernel: (1, channels · depth_multiplier,
    filters).
    """

    axes = 1
    kernel_size: Any = setting(partial(one, name="kernel_size"))
    strides: Any = setting(partial(one, name="strides"), 1)
    dilation_rate: Any = setting(partial(one, name="dilation_rate"), 1)


@dataclass(eq=False, repr=False)
class SeparableConv2D(_SeparableConv):
    r"""$y_{ijo} = f\left(\sum_c h_{ijc} \, w_{co} + b_o\right)$ for h the sums of a `DepthwiseConv2D` on x.

    depthwise_kernel: (height, width, channels, depth_multiplier). pointwise_kernel: (1, 1, channels · depth_multiplier,
    filters). Far fewer weights than a `Conv2D` has. Chollet, "Xception" (2017).

    >>> from talweg.nn.layers import Input
    >>> layer = SeparableConv2D(64, 3)
    >>> layer(Input((28, 28, 32))).shape, layer.count_params()         # 3 · 3 · 32 + 32 · 64 + 64
    ((None, 26, 26, 64), 2400)
    """

    axes = 2
    kernel_size: Any = setting(partial(two, name="kernel_size"))
    strides: Any = setting(partial(two, name="strides"), (1, 1))
    dilation_rate: Any = setting(partial(two, name="dilation_rate"), (1, 1))
