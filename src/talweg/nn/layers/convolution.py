"""Convolutions: the same small window of weights at every place of a picture or a sequence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.graph.ops.window import Pair
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.arguments import data_format, one, padding, two
from talweg.nn.layers.base import Context, Parameter
from talweg.nn.layers.dense import _Activated
from talweg.nn.layers.windows import _Windowed, spread
from talweg.registry import setting


class _Convolution(_Windowed, _Activated):
    """The base of convolutions: sums over windows, then a bias and an activation. The fields are each one's own."""

    ranges: ClassVar[Mapping[str, str]] = {
        "filters": "{1, 2, ...}",
        "groups": "{1, 2, ...}",
        "depth_multiplier": "{1, 2, ...}",
    }

    padding: str


# ── every filter sees every channel, or those of its group ────────────────────────────────────────────────


@dataclass(eq=False, repr=False)
class _Conv(_Convolution):
    filters: int
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(padding, "valid")
    data_format: str | None = setting(data_format, None)
    dilation_rate: Any = 1
    groups: int = 1
    activation: Any = setting(activations.get, None)
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers.get, "glorot_uniform")
    bias_initializer: Any = setting(initializers.get, "zeros")
    kernel_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    kernel_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.filters % self.groups:
            raise UsageError(
                f"{type(self).__name__}: groups must divide filters; got {self.filters} filters, {self.groups} groups"
            )

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        channels = spread(input_shape, self, self.axes)[-1]
        if channels % self.groups:
            raise ShapeError(
                f"layer {self.name!r}: groups must divide the channels; got {channels} channels, {self.groups} groups"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        yield self.weight("kernel", shape)
        yield from self.bias(self.filters)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        kernel = g.reshape(p.kernel, (*self.two(self.kernel_size), *p.kernel.shape[-2:]))
        strides, dilation = self.two(self.strides), self.two(self.dilation_rate)
        edges: Any = self.padding
        if edges == "causal":  # a window ends at the step for which it is summed
            edges = ((0, 0), ((self.kernel_size[0] - 1) * self.dilation_rate[0], 0))
        sums = g.conv2d(self.picture(x), kernel, strides, edges, dilation, self.groups)
        return self.activated(self.flat(sums), p, context)


@dataclass(eq=False, repr=False)
class Conv1D(_Conv):
    r"""$y_{to} = f\left(\sum_{u,c} x_{ts+ud,\, c} \, k_{uco} + b_o\right)$: strides s, dilation rate d.

    x: (batch, steps, channels). kernel: (kernel_size, channels / groups, filters). bias: (filters,). y: (batch, places,
    filters). padding: "valid" and "same" as of `Conv2D`; "causal" adds zeros before the first step only, so that y at a
    step knows nothing of later ones (van den Oord et al., "WaveNet", 2016).

    Raises `UsageError` for an argument that makes no sense, `ShapeError` for examples that are no sequences, have a
    number of channels that `groups` does not divide, or are shorter than the window.

    >>> from talweg.nn.layers import Input
    >>> Conv1D(8, 3, padding="causal", dilation_rate=2)(Input((20, 4))).shape
    (None, 20, 8)
    """

    axes = 1
    kernel_size: Any = setting(partial(one, name="kernel_size"))
    strides: Any = setting(partial(one, name="strides"), 1)
    padding: str = setting(partial(padding, causal=True), "valid")
    dilation_rate: Any = setting(partial(one, name="dilation_rate"), 1)


@dataclass(eq=False, repr=False)
class Conv2D(_Conv):
    r"""$y_{ijo} = f\left(\sum_{u,v,c} x_{is+ud,\, js+vd,\, c} \, k_{uvco} + b_o\right)$: strides s, dilation rate d.

    x: (batch, height, width, channels). kernel: (height, width, channels / groups, filters). bias: (filters,).
    y: (batch, rows, columns, filters). kernel_size, strides, dilation_rate: one number, or two for height and width.
    padding: "valid" keeps windows inside; "same" adds zeros around, one more at the end where their number is odd, so
    that there are ⌈height / stride⌉ rows. groups: group g of the channels makes group g of the filters.

    Raises `UsageError` for an argument that makes no sense, `ShapeError` for examples that are no pictures, have a
    number of channels that `groups` does not divide, or are smaller than the window.
    LeCun et al., "Gradient-based learning applied to document recognition" (1998).

    >>> from talweg.nn.layers import Input
    >>> Conv2D(32, 3, strides=2, padding="same")(Input((28, 28, 1))).shape
    (None, 14, 14, 32)
    """

    axes = 2
    kernel_size: Any = setting(partial(two, name="kernel_size"))
    strides: Any = setting(partial(two, name="strides"), (1, 1))
    dilation_rate: Any = setting(partial(two, name="dilation_rate"), (1, 1))


# ── backwards ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False, repr=False)
class _ConvTranspose(_Convolution):
    filters: int
    kernel_size: Any
    strides: Any = 1
    padding: str = setting(padding, "valid")
    output_padding: Any = None
    data_format: str | None = setting(data_format, None)
    dilation_rate: Any = 1
    activation: Any = setting(activations.get, None)
    use_bias: bool = True
    kernel_initializer: Any = setting(initializers.get, "glorot_uniform")
    bias_initializer: Any = setting(initializers.get, "zeros")
    kernel_regularizer: Any = setting(regularizers.get, None)
    bias_regularizer: Any = setting(regularizers.get, None)
    activity_regularizer: Any = setting(regularizers.get, None)
    kernel_constraint: Any = setting(constraints.get, None)
    bias_constraint: Any = setting(constraints.get, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for step, apart in zip(self.strides, self.dilation_rate, strict=True):
            if step > 1 and apart > 1:
                raise UsageError(f"{type(self).__name__}: strides or dilation_rate must be 1; got {step} and {apart}")
        more, strides = self.output_padding, self.strides
        if more is not None and any(a >= b for a, b in zip(more, strides, strict=True)):
            raise UsageError(f"{type(self).__name__}: output_padding must be below strides; got {more} and {strides}")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        shape = (*self.kernel_size, self.filters, spread(input_shape, self, self.axes)[-1])
        yield self.weight("kernel", shape)
        yield from self.bias(self.filters)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        kernel = g.reshape(p.kernel, (*self.two(self.kernel_size), *p.kernel.shape[-2:]))
        added = self.output_padding or (None,) * self.axes
        windows = zip(self.kernel_size, self.strides, self.dilation_rate, added, strict=True)
        cropping = [*[(0, 0)] * (2 - self.axes), *(self._cropping(*window) for window in windows)]
        strides, dilation = self.two(self.strides), self.two(self.dilation_rate)
        sums = g.conv2d_transpose(self.picture(x), kernel, strides, cropping, dilation)
        return self.activated(self.flat(sums), p, context)

    def _cropping(self, size: int, stride: int, dilation: int, output_padding: int | None) -> Pair:
        """What is cut off along an axis of (n - 1) · stride + reach numbers, at its ends, as Keras does."""
        reach = (size - 1) * dilation + 1
        if self.padding == "valid":
            return 0, -(max(stride - reach, 0) if output_padding is None else output_padding)
        whole = stride + reach - 2  # leaves n · stride
        if output_padding is not None:
            whole = reach + reach % 2 - 2 + output_padding  # leaves (n - 1) · stride + reach mod 2 + output_padding
        before = min(whole - whole // 2, reach - 1)
        return reach - 1 - before, reach - 1 - (whole - before)


@dataclass(eq=False, repr=False)
class Conv1DTranspose(_ConvTranspose):
    r"""$y_{po} = f\left(\sum_{t,u \,:\, p = ts+ud} \sum_c x_{tc} \, k_{uoc} + b_o\right)$: a `Conv1D` backwards.

    x: (batch, steps, channels). kernel: (kernel_size, filters, channels). The rest as of `Conv2DTranspose`.
    """

    axes = 1
    kernel_size: Any = setting(partial(one, name="kernel_size"))
    strides: Any = setting(partial(one, name="strides"), 1)
    output_padding: Any = setting(partial(one, name="output_padding", least=0, optional=True), None)
    dilation_rate: Any = setting(partial(one, name="dilation_rate"), 1)


@dataclass(eq=False, repr=False)
class Conv2DTranspose(_ConvTranspose):
    r"""$y_{pqo} = f\left(\sum_{i,j,u,v} \sum_c x_{ijc} \, k_{uvoc} + b_o\right)$ over $p = is+ud$, $q = js+vd$.

    Each number of x is spread over a window of y; a `Conv2D` with the same kernel leads back from y's shape to x's.
    x: (batch, height, width, channels). kernel: (height, width, filters, channels). padding: "same" makes y height ·
    stride high, "valid" (height - 1) · stride + max(kernel, stride). output_padding: rows and columns that y has beyond
    (height - 1) · stride + kernel ("valid") or + kernel mod 2 ("same"), so that each of the shapes that a strided
    `Conv2D` takes to one can be had back.

    Raises `UsageError` for an argument that makes no sense, `ShapeError` for examples that are no pictures.
    Zeiler et al., "Deconvolutional networks" (2010).

    >>> from talweg.nn.layers import Input
    >>> Conv2DTranspose(1, 3, strides=2, padding="same")(Input((14, 14, 32))).shape
    (None, 28, 28, 1)
    """

    axes = 2
    kernel_size: Any = setting(partial(two, name="kernel_size"))
    strides: Any = setting(partial(two, name="strides"), (1, 1))
    output_padding: Any = setting(partial(two, name="output_padding", least=0, optional=True), None)
    dilation_rate: Any = setting(partial(two, name="dilation_rate"), (1, 1))
