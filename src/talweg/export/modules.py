"""Layers as PyTorch's modules: which tensors a module has, and each parameter's way to its tensor and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talweg.errors import UsageError
from talweg.export.orders import Order, Orders
from talweg.graph import Array
from talweg.nn import layers as nn
from talweg.nn.layers import Layer, Variable

COUNT = "num_batches_tracked"  # of a BatchNorm: it says nothing here


@dataclass(frozen=True)
class Part:
    """One tensor of a module: `key` is its name there, `name` the layer's parameter.

    to and back lead from the parameter to the tensor and back. along: for each axis of the parameter, whether it counts
    what the layer is given ("in") or answers ("out"), whose order may be another in PyTorch. neutral: the value of a
    tensor that stands for no parameter, since PyTorch has both or none.
    """

    key: str
    name: str = ""
    to: Callable[[Array], Array] = lambda a: a
    back: Callable[[Array, tuple[int, ...]], Array] = lambda a, shape: a.reshape(shape)
    along: tuple[str, ...] = ()
    neutral: float = 0.0


def turned(key: str, name: str, axes: Sequence[int], along: tuple[str, ...] = (), shape: Any = None) -> Part:
    """The parameter with its axes in another order, and then in a `shape`, if one is given."""

    def to(a: Array) -> Array:
        turned = np.transpose(a, axes)
        return turned if shape is None else turned.reshape(shape)

    def back(a: Array, ours: tuple[int, ...]) -> Array:
        return np.transpose(a.reshape([ours[axis] for axis in axes]), np.argsort(axes))

    return Part(key, name, to, back, along)


@dataclass(frozen=True)
class Module:
    """A module of PyTorch's for a layer, or for a part of it; `variables` are the layer's, by parameter."""

    name: str
    layer_name: str
    parts: list[Part]
    variables: Mapping[str, Variable]
    orders: Mapping[str, Order]
    counts: bool = False

    def arrays(self) -> dict[str, Array]:
        """The tensors."""
        found = {part.key: self._to(part, self._value(part)) for part in self.parts}
        return found | ({COUNT: np.zeros((), np.int64)} if self.counts else {})

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {part.key: self._to(part, np.empty(self._shape(part), bool)).shape for part in self.parts}

    def values(self, tensors: Mapping[str, Array]) -> dict[Variable, Array]:
        """The parameters that tensors hold; several tensors of one parameter add up. Raises `UsageError`."""
        found: dict[Variable, Array] = {}
        for part in self.parts:
            tensor = np.asarray(tensors[part.key], np.float64)
            if not part.name:
                if not (tensor == part.neutral).all():
                    raise UsageError(
                        f"layer {self.layer_name!r} has no such parameter, so {part.key} must be {part.neutral}"
                    )
                continue
            v = self.variables[part.name]
            value = part.back(tensor, v.shape)
            for axis, order in self._ordered(part):
                value = np.take(value, np.argsort(order), axis)
            found[v] = found[v] + value if v in found else value
        return found

    def _value(self, part: Part) -> Array:
        if not part.name:
            return np.full(self._shape(part), part.neutral, np.float32)
        return self.variables[part.name].numpy()

    def _shape(self, part: Part) -> tuple[int, ...]:
        """That of the parameter, or for a tensor without one that of the layer's others."""
        return (self.variables[part.name] if part.name else next(iter(self.variables.values()))).shape

    def _to(self, part: Part, value: Array) -> Array:
        for axis, order in self._ordered(part):
            value = np.take(value, order, axis)
        return np.ascontiguousarray(part.to(value))

    def _ordered(self, part: Part) -> list[tuple[int, Array]]:
        found = [(axis, self.orders[side]) for axis, side in enumerate(part.along)]
        return [(axis, order) for axis, order in found if order is not None]


# ── layers ────────────────────────────────────────────────────────────────────────────────────────────────

Parts = list[list[Part]]
"""The tensors of each module of a layer."""
Shapes = Mapping[str, tuple[int, ...]]
"""Those of a layer's parameters."""


def _bias(layer: Any, along: tuple[str, ...] = ()) -> list[Part]:
    return [Part("bias", "bias", along=along)] if layer.use_bias else []


def _dense(layer: Any, shapes: Shapes) -> Parts:
    return [[turned("weight", "kernel", (1, 0), ("in", "out")), *_bias(layer, ("out",))]]


def _convolution(layer: Any, shapes: Shapes) -> Parts:
    """(window, inputs, outputs) as (outputs, inputs, window)."""
    axes = layer.axes
    return [[turned("weight", "kernel", (axes + 1, axes, *range(axes))), *_bias(layer)]]


def _transposed(layer: Any, shapes: Shapes) -> Parts:
    """(window, outputs, inputs) as (inputs, outputs, window): the same order of axes."""
    return _convolution(layer, shapes)


def _channelwise(layer: Any, name: str) -> Part:
    """(window, channels, m) as (channels · m, 1, window), for a convolution in groups."""
    axes = layer.axes
    return turned("weight", name, (axes, axes + 1, *range(axes)), shape=(-1, 1, *layer.kernel_size))


def _depthwise(layer: Any, shapes: Shapes) -> Parts:
    return [[_channelwise(layer, "kernel"), *_bias(layer)]]


def _separable(layer: Any, shapes: Shapes) -> Parts:
    axes = layer.axes
    pointwise = turned("weight", "pointwise_kernel", (axes + 1, axes, *range(axes)))
    return [[_channelwise(layer, "depthwise_kernel")], [pointwise, *_bias(layer)]]


def _affine(layer: Any) -> list[Part]:
    """γ and β: PyTorch has both or none."""
    if not (layer.scale or layer.center):
        return []
    first = Part("weight", "gamma", along=("in",)) if layer.scale else Part("weight", neutral=1.0)
    return [first, Part("bias", "beta", along=("in",)) if layer.center else Part("bias")]


def _batch_normalization(layer: Any, shapes: Shapes) -> Parts:
    moving = [("running_mean", "moving_mean"), ("running_var", "moving_variance")]
    return [[*_affine(layer), *(Part(key, name, along=("in",)) for key, name in moving)]]


def _layer_normalization(layer: Any, shapes: Shapes) -> Parts:
    """γ and β of a whole picture have its channels first."""
    parts = _affine(layer)
    if parts and len(next(iter(shapes.values()))) == 3:
        ways = turned("", "", (2, 0, 1))
        parts = [replace(part, to=ways.to, back=ways.back, along=()) for part in parts]
    return [parts]


def _prelu(layer: Any, shapes: Shapes) -> Parts:
    *others, channels = shapes["alpha"]
    if any(d != 1 for d in others):
        raise UsageError(
            f"layer {layer.name!r}: PyTorch's PReLU has one α for each channel; give shared_axes, all but the last"
        )
    return [[Part("weight", "alpha", lambda a: a.reshape(channels), along=(*[""] * len(others), "in"))]]


def _gates(key: str, name: str, order: Sequence[int], transposed: bool, row: int | None = None) -> Part:
    """Gates side by side along the last axis, in PyTorch's order: a kernel, a bias, or one row of two of a bias."""
    n = len(order)

    def sorted_by(a: Array, order: Any) -> Array:
        return np.concatenate([np.split(a, n, axis=-1)[i] for i in order], axis=-1)

    def to(a: Array) -> Array:
        mine = sorted_by(a if row is None else a[row], order)
        return mine.T if transposed else mine

    def back(a: Array, shape: tuple[int, ...]) -> Array:
        mine = sorted_by(a.T if transposed else a, np.argsort(order))
        if row is None:
            return mine
        whole = np.zeros(shape)
        whole[row] = mine
        return whole

    return Part(key, name, to, back)


def _recurrent(layer: Any, shapes: Shapes, prefix: str = "", suffix: str = "_l0") -> Parts:
    """PyTorch has two biases, which are added: ours is the first, and the second 0. A GRU keeps both apart."""
    order = (1, 0, 2) if isinstance(layer, nn.GRU) else tuple(range(layer.gates))  # r, z, g there
    if isinstance(layer, nn.GRU) and not layer.reset_after:
        raise UsageError(f"layer {layer.name!r}: PyTorch's GRU resets after its product; give reset_after=True")
    parts = [
        _gates(f"weight_ih{suffix}", f"{prefix}kernel", order, True),
        _gates(f"weight_hh{suffix}", f"{prefix}recurrent_kernel", order, True),
    ]
    if layer.use_bias and isinstance(layer, nn.GRU):
        rows = (("ih", 0), ("hh", 1))
        parts += [_gates(f"bias_{which}{suffix}", f"{prefix}bias", order, False, row) for which, row in rows]
    elif layer.use_bias:
        parts += [_gates(f"bias_ih{suffix}", f"{prefix}bias", order, False)]
        parts += [Part(f"bias_hh{suffix}", f"{prefix}bias", np.zeros_like)]
    return [parts]


def _bidirectional(layer: Any, shapes: Shapes) -> Parts:
    (there, first), (back, second) = layer.ways
    return [[*_recurrent(first, shapes, there)[0], *_recurrent(second, shapes, back, "_l0_reverse")[0]]]


RULES: dict[type[Layer], Callable[[Any, Shapes], Parts]] = {
    nn.Dense: _dense,
    nn.Conv1D: _convolution,
    nn.Conv2D: _convolution,
    nn.Conv1DTranspose: _transposed,
    nn.Conv2DTranspose: _transposed,
    nn.DepthwiseConv1D: _depthwise,
    nn.DepthwiseConv2D: _depthwise,
    nn.SeparableConv1D: _separable,
    nn.SeparableConv2D: _separable,
    nn.Embedding: lambda layer, shapes: [[Part("weight", "embeddings")]],
    nn.BatchNormalization: _batch_normalization,
    nn.LayerNormalization: _layer_normalization,
    nn.GroupNormalization: lambda layer, shapes: [_affine(layer)],
    nn.RMSNormalization: lambda layer, shapes: [[Part("weight", "scale", along=("in",))]],
    nn.PReLU: _prelu,
    nn.SimpleRNN: _recurrent,
    nn.LSTM: _recurrent,
    nn.GRU: _recurrent,
    nn.Bidirectional: _bidirectional,
    nn.TimeDistributed: lambda layer, shapes: RULES[type(layer.layer)](layer.layer, shapes),
}
"""What each layer with parameters is in PyTorch."""


def modules(model: Any, channels_first: bool) -> list[Module]:
    """The modules for all layers with weights, in the model's order. Raises `UsageError` for one without a rule."""
    if not model.built:
        raise UsageError(f"model {model.name!r} is not built, so it has no weights yet: give it an Input or build() it")
    orders = Orders(model, channels_first)
    found: list[Module] = []
    seen: set[Layer] = set()
    for name, layer in _layers(model, ""):
        if not layer.variables or layer in seen:
            continue
        seen.add(layer)
        inner = getattr(layer, "layer", layer) if isinstance(layer, nn.TimeDistributed) else layer
        if type(inner) not in RULES:
            raise UsageError(f"layer {name!r} is a {type(inner).__name__}, for which PyTorch has no module")
        variables = {v.declared.name: v for v in layer.variables}
        parts = RULES[type(layer)](layer, {key: v.shape for key, v in variables.items()})
        for i, each in enumerate(parts):
            own = f"{name}.{i}" if len(parts) > 1 else name
            sides = {"in": orders.given(layer), "out": orders.answered(layer), "": None}
            found.append(Module(own, name, each, variables, sides, isinstance(layer, nn.BatchNormalization)))
    return found


def _layers(model: Any, path: str) -> list[tuple[str, Any]]:
    """Each layer by its path, those of models within too."""
    return [
        found
        for block in model.layers
        for found in (
            [(f"{path}{block.title}", block)] if isinstance(block, Layer) else _layers(block, f"{path}{block.title}/")
        )
    ]
