"""The dense layer: every unit sees every input."""

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
class Dense(Layer):
    r"""$y = f(x W + b)$: x (batch, ..., inputs), W (inputs, units), b (units,), y (batch, ..., units).

    Raises `UsageError` for `units` below 1, `ShapeError` for an input without axes.
    """

    units: int
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
        if not isinstance(self.units, int) or self.units < 1:
            raise UsageError(f"Dense: units must be a whole number above 0; got {self.units!r}")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        if not input_shape:
            raise ShapeError(f"layer {self.name!r}: Dense needs examples with at least one axis; got single numbers")
        shape, bias = (input_shape[-1], self.units), (self.units,)
        yield Parameter(
            "kernel", shape, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint
        )
        if self.use_bias:
            yield Parameter("bias", bias, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        z = context.name(x @ p.kernel + p.bias if self.use_bias else x @ p.kernel, "preactivation")
        y: Tensor = self.activation(z)
        if self.activity_regularizer is not None:
            context.losses.append(self.activity_regularizer(y) / g.batch_size())  # of one example, as in Keras
        return y
