"""Where a network begins: `Input`, a placeholder, and `InputLayer`, the layer that it is of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn.layers.base import Context, Layer, as_shape
from talweg.nn.layers.symbolic import KerasTensor, placeholder
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class InputLayer(Layer):
    """The shape of one example, and nothing else; `Input` makes one."""

    dtypes = (None, "float32", "float64", "uint8", "int32", "int64", "bool")

    shape: Any = setting(as_shape)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        return x


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    *,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> KerasTensor:
    """A placeholder for examples of `shape`, without the batch axis: where a network begins.

    shape        (784,), (28, 28, 1), or 784
    dtype        what the data are, for the program's reader: layers compute in the model's precision
    name         by which `fit` and `predict` find the array for it in a dictionary
    batch_shape  `shape` with the batch axis before it, as Keras also takes it; `batch_size` is taken and not needed

    >>> Input((28, 28)).shape
    (None, 28, 28)
    """
    if batch_shape is not None:
        shape = tuple(batch_shape)[1:]
    if shape is None:
        raise UsageError("Input needs a shape: that of one example, without the batch axis, such as Input((784,))")
    layer = InputLayer(shape, name=name, dtype=dtype)
    return placeholder(layer.shape, dtype, layer)
