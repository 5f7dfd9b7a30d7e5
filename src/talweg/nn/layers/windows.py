"""What layers that slide a window share: their arguments, and sequences seen as pictures of height 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.graph.ops.window import Pair
from talweg.nn.layers.base import Layer


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether `value` is a whole number, not below `least`."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def one(value: Any, name: str, least: int = 1, optional: bool = False) -> Any:
    """A whole number from `least` on, in a tuple as in Keras. None stays so where `optional`. Raises `UsageError`."""
    if value is None and optional:
        return None
    number = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1 else value
    if not is_whole(number, least):
        raise UsageError(f"{name} must be a whole number, {least} or above; got {value!r}")
    return (int(number),)


def two(value: Any, name: str, least: int = 1, optional: bool = False) -> Any:
    """Two whole numbers from `least` on, from one or two. None stays so where `optional`. Raises `UsageError`.

    >>> two(3, "padding"), two([0, 2], "padding", least=0)
    ((3, 3), (0, 2))
    """
    if value is None and optional:
        return None
    both = (value, value) if is_whole(value, least) else value
    if not isinstance(both, (list, tuple)) or len(both) != 2 or not all(is_whole(n, least) for n in both):
        raise UsageError(f"{name} must be a whole number, {least} or above, or two: (height, width); got {value!r}")
    return int(both[0]), int(both[1])


def padding(value: Any, *, causal: bool = False) -> str:
    """ "valid" or "same", or "causal" where that makes sense; raises `UsageError` for anything else."""
    known = ("valid", "same", "causal") if causal else ("valid", "same")
    if not isinstance(value, str) or value.lower() not in known:
        past = " or 'causal' (windows end where they stand)" if causal else ""
        raise UsageError(f"padding must be 'valid' (none) or 'same' (the size stays){past}; got {value!r}")
    return value.lower()


def data_format(value: Any) -> Any:
    """None or "channels_last"; raises `UsageError` for anything else."""
    if value not in (None, "channels_last"):
        raise UsageError(
            f"data_format must be None or 'channels_last', (batch, height, width, channels); got {value!r}. "
            "Pictures with channels first are turned by np.moveaxis(x, 1, -1)."
        )
    return value


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

    def demand_whole(self, *names: str) -> None:
        """Raises `UsageError` unless these fields are whole numbers above 0."""
        for name in names:
            if not is_whole(value := getattr(self, name)):
                raise UsageError(f"{type(self).__name__}: {name} must be a whole number above 0; got {value!r}")
