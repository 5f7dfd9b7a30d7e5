"""What layers that slide a window share: sequences are seen as pictures of height 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError
from talweg.graph import Tensor
from talweg.graph.ops.window import Pair
from talweg.nn.layers.base import Layer

AXES = {1: "steps, channels", 2: "height, width, channels"}


def spread(shape: Sequence[Any], layer: Layer, axes: int = 2) -> tuple[int, ...]:
    """The shape of an example, which must have `axes` axes to slide along, and one of channels."""
    if len(shape) != axes + 1:
        hint = f": add a channel axis: Reshape({(*shape, 1)})" if len(shape) == axes else ""
        raise ShapeError(
            f"layer {layer.name!r}: {type(layer).__name__} needs examples of ({AXES[axes]}); got {list(shape)}{hint}"
        )
    return tuple(shape)


class _Windowed(Layer):
    """The base of layers that slide a window along `axes` axes: two of a picture, or one of a sequence."""

    axes: ClassVar[int]

    def picture(self, x: Tensor) -> Tensor:
        """`x` as (batch, height, width, channels)."""
        spread(x.shape[1:], self, self.axes)
        return x if self.axes == 2 else g.expand_dims(x, 1)

    def flat(self, y: Tensor) -> Tensor:
        """What was made of a picture, with the axes of what the layer was given."""
        return y if self.axes == 2 else g.reshape(y, (y.shape[0], *y.shape[2:]))

    def two(self, along: tuple[int, ...]) -> Pair:
        """Numbers along the axes of the layer, as those along height and width."""
        return (along[0], along[1]) if self.axes == 2 else (1, along[0])
