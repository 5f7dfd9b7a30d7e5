"""In which order PyTorch has the numbers of a row that is, or becomes, a picture: channels first.

A `Flatten` of (height, width, channels) makes rows in this order, PyTorch's in that of (channels, height, width). The
order goes along through layers that treat each number alike, to the weights that meet it: a dense layer's rows. Where a
row becomes a picture again, it goes the other way, to the columns of the dense layer that made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from talweg.errors import UsageError
from talweg.graph import Array
from talweg.nn import layers as nn
from talweg.nn.layers import KerasTensor, Layer
from talweg.nn.layers.symbolic import flat
from talweg.nn.layers.windows import _Windowed

Order = Array | None
"""PyTorch's number i is ours number order[i]; None where they are the same."""

ALIKE = (
    *(
        nn.Activation,
        nn.ReLU,
        nn.LeakyReLU,
        nn.PReLU,
        nn.RReLU,
        nn.ELU,
        nn.Softmax,
        nn.Identity,
        nn.Masking,
        nn.ActivityRegularization,
    ),
    *(nn.Dropout, nn.GaussianDropout, nn.GaussianNoise, nn.AlphaDropout),
    *(nn.BatchNormalization, nn.LayerNormalization, nn.RMSNormalization, nn.UnitNormalization),
    *(nn.Add, nn.Subtract, nn.Multiply, nn.Average, nn.Maximum, nn.Minimum),
)
"""Layers that answer rows in the order in which they are given them."""

ALONG_STEPS = (_Windowed, nn.ZeroPadding1D, nn.Cropping1D, nn.UpSampling1D, nn.SpatialDropout1D)


class Orders:
    """The orders at each layer of a model. Places that must have one order are one `group`."""

    def __init__(self, model: Any, channels_first: bool) -> None:
        self.model, self.channels_first = model, channels_first
        self._above: dict[Any, Any] = {}
        self._known: dict[Any, Array] = {}
        self._read(model)
        for call in self._calls:
            self._settle(call)
        for call in self._calls:
            self._check(call)

    def given(self, layer: Layer) -> Order:
        """The order of the rows that a layer is given."""
        return self._known.get(self._group((layer, "in")))

    def answered(self, layer: Layer) -> Order:
        """The order of the rows that it answers."""
        return self._known.get(self._group((layer, "out")))

    # ── groups ────────────────────────────────────────────────────────────────────────────────────────────

    def _group(self, place: Any) -> Any:
        while place in self._above:
            place = self._above[place]
        return place

    def _join(self, one: Any, other: Any) -> None:
        one, other = self._group(one), self._group(other)
        if one is not other and one != other:
            self._above[one] = other

    def _read(self, model: Any) -> None:
        """Joins what belongs together: a layer's ends at all its calls, and both ends of a layer that keeps order."""
        self._calls: list[Any] = getattr(self, "_calls", [])
        for call in model.network.calls:
            given, answered = flat(call.inputs), flat(call.outputs)
            if not isinstance(call.block, Layer):
                for x, inner in zip(given + answered, call.block.inputs + call.block.outputs, strict=True):
                    self._join(x, inner)
                self._read(call.block)
                continue
            self._calls.append(call)
            keeps = isinstance(call.block, ALIKE)
            for x in given if keeps else given[:1]:
                self._join(x, (call.block, "in"))
            self._join(answered[0], (call.block, "out"))
            if keeps or (isinstance(call.block, nn.Flatten) and len(given[0].example_shape) == 1):
                self._join((call.block, "in"), (call.block, "out"))

    # ── orders ────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, call: Any) -> None:
        """Notes the order where a picture becomes a row, a row a picture, or rows one row."""
        x, y = flat(call.inputs)[0], flat(call.outputs)[0]
        if isinstance(call.block, nn.Flatten) and self._has_channels(x):
            self._note(y, _channels_first(x.example_shape), call.block)
        elif isinstance(call.block, nn.Reshape) and len(x.example_shape) == 1 and self._is_seen_as_picture(y):
            self._note(x, _channels_first(y.example_shape), call.block)
        elif isinstance(call.block, nn.Concatenate) and len(y.example_shape) == 1:
            rows = [(each.example_shape[0], self._known.get(self._group(each))) for each in flat(call.inputs)]
            if any(order is not None for _, order in rows):
                begins = np.cumsum([0, *(n for n, _ in rows)])
                orders = [b + (np.arange(n) if o is None else o) for b, (n, o) in zip(begins, rows, strict=False)]
                self._note(y, np.concatenate(orders), call.block)

    def _note(self, place: Any, order: Array, layer: Layer) -> None:
        group = self._group(place)
        before = self._known.setdefault(group, order)
        if before.shape != order.shape or (before != order).any():
            raise UsageError(
                f"layer {layer.name!r}: the same rows would have two orders in PyTorch; say channels_first=False if it "
                "flattens pictures with their channels last"
            )

    def _has_channels(self, x: KerasTensor) -> bool:
        """Whether x has its channels first in PyTorch: a picture has, a sequence if it comes from what sees windows."""
        if not self.channels_first or len(x.example_shape) not in (2, 3):
            return False
        if len(x.example_shape) == 3 or isinstance(x.call.block, ALONG_STEPS):
            return True
        return isinstance(x.call.block, ALIKE) and self._has_channels(flat(x.call.inputs)[0])

    def _is_seen_as_picture(self, y: KerasTensor) -> bool:
        seen = any(isinstance(call.block, ALONG_STEPS) and y in flat(call.inputs) for call in self._calls)
        return self.channels_first and (len(y.example_shape) == 3 or (len(y.example_shape) == 2 and seen))

    def _check(self, call: Any) -> None:
        """Raises `UsageError` where rows in another order come to a layer that does more than to pass them on."""
        follows = (*ALIKE, nn.Dense, nn.Flatten, nn.Concatenate)
        ends = [*flat(call.inputs), *flat(call.outputs)]
        is_moved = any(not _is_plain(self._known.get(self._group(end))) for end in ends)
        is_picture = isinstance(call.block, nn.Reshape) and self._is_seen_as_picture(ends[-1])
        if is_moved and not is_picture and not isinstance(call.block, follows):
            raise UsageError(
                f"layer {call.block.name!r}: what a Flatten makes of a picture has another order in PyTorch, which "
                f"cannot be followed through a {type(call.block).__name__}"
            )


def _is_plain(order: Order) -> bool:
    return order is None or bool((order == np.arange(len(order))).all())


def _channels_first(shape: tuple[int, ...]) -> Array:
    """For each number of a flat picture with its channels first, where it is with its channels last."""
    return np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), -1, 0).ravel()
