"""The convolutional layer: the same small window of weights at every place of a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.graph.ops.window import pair
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


def padding(value: Any) -> str:
    """ "valid" or "same"; raises `UsageError` for anything else."""
    if not isinstance(value, str) or value.lower() not in ("valid", "same"):
        raise UsageError(f"padding must be 'valid' (none) or 'same' (the size stays); got {value!r}")
    return value.lower()


def data_format(value: Any) -> Any:
    """None or "channels_last"; raises `UsageError` for anything else."""
    if value not in (None, "channels_last"):
        raise UsageError(
            f"data_format must be None or 'channels_last', (batch, height, width, channels); got {value!r}. "
            "Pictures with channels first are turned by np.moveaxis(x, 1, -1)."
        )
    return value


def picture(shape: tuple[int, ...], layer: Layer) -> tuple[int, int, int]:
    """Height, width and channels of an example of `shape`; raises `ShapeError` where it has other axes."""
    if len(shape) != 3:
        hint = f": add a channel axis: Reshape({(*shape, 1)})" if len(shape) == 2 else ""
        raise ShapeError(
            f"layer {layer.name!r}: {type(layer).__name__} needs examples of (height, width, channels); "
            f"got {list(shape)}{hint}"
        )
    return shape


@dataclass(eq=False, repr=False)
class Conv2D(Layer):
    r"""$y_{ijo} = f\left(\sum_{u,v,c} x_{is+ud,\, js+vd,\, c} \, k_{uvco} + b_o\right)$: strides s, dilation rate d.

    x: (batch, height, width, channels). kernel: (height, width, channels / groups, filters). bias: (filters,).
    y: (batch, rows, columns, filters). kernel_size, strides, dilation_rate: one number, or two for height and width.
    padding: "valid" keeps windows inside; "same" adds zeros around, one more at the end where their number is odd, so
    that there are ⌈height / stride⌉ rows. groups: group g of the channels makes group g of the filters.

    Raises `UsageError` for an argument that makes no sense, `ShapeError` for examples that are no pictures, have a
    number of channels that `groups` does not divide, or are smaller than the window.
    LeCun et al., "Gradient-based learning applied to document recognition" (1998).
    """

    filters: int
    kernel_size: Any = setting(partial(pair, name="kernel_size"))
    strides: Any = setting(partial(pair, name="strides"), (1, 1))
    padding: str = setting(padding, "valid")
    data_format: str | None = setting(data_format, None)
    dilation_rate: Any = setting(partial(pair, name="dilation_rate"), (1, 1))
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
        for name, value in (("filters", self.filters), ("groups", self.groups)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise UsageError(f"Conv2D: {name} must be a whole number above 0; got {value!r}")
        if self.filters % self.groups:
            raise UsageError(f"Conv2D: groups must divide filters; got {self.filters} filters, {self.groups} groups")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        channels = picture(input_shape, self)[2]
        if channels % self.groups:
            raise ShapeError(
                f"layer {self.name!r}: groups must divide the channels; got {channels} channels, {self.groups} groups"
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        yield Parameter(
            "kernel", shape, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint
        )
        if self.use_bias:
            bias = (self.filters,)
            yield Parameter("bias", bias, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        z = g.conv2d(x, p.kernel, self.strides, self.padding, self.dilation_rate, self.groups)
        z = context.name(z + p.bias if self.use_bias else z, "preactivation")
        y: Tensor = self.activation(z)
        if self.activity_regularizer is not None:
            context.losses.append(self.activity_regularizer(y) / g.batch_size())  # of one example, as in Keras
        return y
