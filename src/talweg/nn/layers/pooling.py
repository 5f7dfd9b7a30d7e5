"""Pooling: a picture made smaller, each window of it becoming one number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from talweg import graph as g
from talweg.graph import Tensor
from talweg.graph.ops.window import pair
from talweg.nn.layers.base import Context, Layer
from talweg.nn.layers.convolution import data_format, padding, picture
from talweg.registry import setting


def _steps(value: Any) -> Any:
    return None if value is None else pair(value, "strides")


@dataclass(eq=False, repr=False)
class MaxPooling2D(Layer):
    r"""$y_{ijc} = \max_{u,v} x_{is+u,\, js+v,\, c}$ over windows of `pool_size`, `strides` apart.

    x: (batch, height, width, channels). strides: None is `pool_size`, so that windows lie side by side.
    padding: "valid" leaves out what fills no window; "same" gives ⌈height / stride⌉ rows, windows at the edges being
    smaller.
    The gradient goes to the largest element of a window, the first where several are equal.

    Raises `ShapeError` for examples that are no pictures or are smaller than the window.
    """

    pool_size: Any = setting(partial(pair, name="pool_size"), (2, 2))
    strides: Any = setting(_steps, None)
    padding: str = setting(padding, "valid")
    data_format: str | None = setting(data_format, None)

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        picture(x.shape[1:], self)  # type: ignore[arg-type]
        return g.max_pool2d(x, self.pool_size, self.strides, self.padding)


MaxPool2D = MaxPooling2D  # Keras's other name
