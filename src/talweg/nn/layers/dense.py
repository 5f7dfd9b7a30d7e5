"""The dense layer: every unit sees every input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from talweg.errors import ShapeError
from talweg.graph import Tensor
from talweg.nn import activations, constraints, initializers, regularizers
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.registry import setting


class _Activated(Layer):
    """The base of layers that end with a bias and an activation. The fields are each one's own."""

    activation: Any
    use_bias: bool
    activity_regularizer: Any

    def bias(self, outputs: int) -> Iterable[Parameter]:
        """The parameter `bias`, unless `use_bias` is False."""
        if self.use_bias:
            yield self.weight("bias", (outputs,))

    def activated(self, sums: Tensor, p: Any, context: Context) -> Tensor:
        """$f(z + b)$"""
        z = context.name(sums + p.bias if self.use_bias else sums, "preactivation")
        y: Tensor = self.activation(z)
        context.penalize(y, self.activity_regularizer)
        return y


@dataclass(eq=False, repr=False)
class Dense(_Activated):
    r"""$y = f(x W + b)$: x (batch, ..., inputs), W (inputs, units), b (units,), y (batch, ..., units).

    Raises `UsageError` for `units` below 1, `ShapeError` for an input without axes.
    """

    supports_masking = True
    ranges: ClassVar[Mapping[str, str]] = {"units": "{1, 2, ...}"}

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

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        if not input_shape:
            raise ShapeError(f"layer {self.name!r}: Dense needs examples with at least one axis; got single numbers")
        yield self.weight("kernel", (input_shape[-1], self.units))
        yield from self.bias(self.units)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return self.activated(x @ p.kernel, p, context)
