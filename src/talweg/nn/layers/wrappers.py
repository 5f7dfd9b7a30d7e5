"""Layers around a layer: along a sequence in both directions, or the same layer at every step of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from types import SimpleNamespace
from typing import Any

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn.layers.base import Context, Layer, Parameter
from talweg.nn.layers.dense import Dense
from talweg.nn.layers.recurrent import _Recurrent
from talweg.registry import setting


def _layer(value: Any) -> Any:
    """A layer, from itself or from its configuration; raises `UsageError` for anything else."""
    made = Layer.from_config(value) if isinstance(value, Mapping) else value
    if made is not None and not isinstance(made, Layer):
        raise UsageError(f"a wrapper is around a layer; got {value!r}")
    return made


class _Wrapper(Layer):
    """The base: variables of the layers within are its own, under a name before theirs."""

    def _parameters_of(self, inner: Layer, prefix: str, input_shape: Any) -> Iterable[Parameter]:
        for declared in inner.parameters(input_shape):
            yield replace(declared, name=prefix + declared.name, trainable=declared.trainable and inner.trainable)

    def _own(self, p: Any, prefix: str) -> Any:
        """The parameters of the layer within, by the names that they have there."""
        return SimpleNamespace(**{k.removeprefix(prefix): t for k, t in vars(p).items() if k.startswith(prefix)})


MERGED = {
    "concat": lambda a, b: g.concat([a, b]),
    "sum": lambda a, b: a + b,
    "ave": lambda a, b: (a + b) / 2.0,
    "mul": lambda a, b: a * b,
    None: lambda a, b: [a, b],
}


@dataclass(eq=False, repr=False)
class Bidirectional(_Wrapper):
    """A recurrent layer from the first step to the last, and another of its kind from the last to the first.

    What both answer is joined by merge_mode: "concat", "sum", "ave", "mul", or None for a list of both. With
    `return_sequences`, what both say of one step is joined. backward_layer: another layer for the way back, which
    must have go_backwards=True. With return_state, the states of the first follow, then those of the second.

    Raises `UsageError` for a layer that is not recurrent. Schuster and Paliwal, "Bidirectional recurrent neural
    networks" (1997).

    >>> from talweg.nn.layers import LSTM, Input
    >>> Bidirectional(LSTM(16, return_sequences=True))(Input((28, 8))).shape
    (None, 28, 32)
    """

    takes_several = True

    layer: Any = setting(_layer)
    merge_mode: str | None = "concat"
    _: KW_ONLY
    backward_layer: Any = setting(_layer, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.merge_mode is not None and not isinstance(self.merge_mode, str)) or self.merge_mode not in MERGED:
            raise UsageError(f"Bidirectional: merge_mode must be one of {list(MERGED)}; got {self.merge_mode!r}")
        if not isinstance(self.layer, _Recurrent):
            raise UsageError(f"Bidirectional takes a recurrent layer, such as LSTM(16); got {self.layer!r}")
        back = self.layer if self.backward_layer is None else self.backward_layer
        if self.layer.go_backwards or not isinstance(back, _Recurrent) or back.go_backwards is (back is self.layer):
            raise UsageError("Bidirectional: layer must not go backwards, and backward_layer must: go_backwards=True")
        for name in ("return_sequences", "return_state"):
            if getattr(back, name) != getattr(self.layer, name):
                raise UsageError(f"Bidirectional: layer and backward_layer must agree in {name}")

    @property
    def ways(self) -> list[tuple[str, _Recurrent]]:
        """The two layers, and what their variables' names begin with."""
        back = self.backward_layer or replace(self.layer, go_backwards=True, name=None)
        return [("forward_", self.layer), ("backward_", back)]

    def _halves(self, x: Any) -> list[Any]:
        """What each of the two is given: the sequence, and half of the states to begin with."""
        sequence, *states = x if isinstance(x, list) else [x]
        if len(states) % 2:
            raise UsageError(f"layer {self.title!r}: half of the states are for the way back; got {len(states)}")
        half = len(states) // 2
        return [[sequence, *part] for part in (states[:half], states[half:])]

    def parameters(self, input_shape: Any) -> Iterable[Parameter]:
        for (prefix, layer), shapes in zip(self.ways, self._halves(input_shape), strict=True):
            yield from self._parameters_of(layer, prefix, shapes)

    def call(self, x: Any, p: Any, context: Context) -> Any:
        answers, states = [], []
        for (prefix, layer), given in zip(self.ways, self._halves(x), strict=True):
            h, last = layer.run(given, self._own(p, prefix), context)
            y = layer.answer(h, last, context)
            answers.append(y[0] if layer.return_state else y)
            states += last if layer.return_state else []
        y = MERGED[self.merge_mode](*answers)
        listed = y if isinstance(y, list) else [y]
        return [*listed, *states] if states or self.merge_mode is None else y


@dataclass(eq=False, repr=False)
class TimeDistributed(_Wrapper):
    """The same layer at every step of a sequence: x (batch, steps, ...), y (batch, steps, ...).

    In training, a layer that drops numbers drops the same at every step. Raises `UsageError` around a layer that keeps
    statistics (BatchNormalization takes a whole sequence by itself) or that answers several tensors.

    >>> from talweg.nn.layers import Conv2D, Input
    >>> TimeDistributed(Conv2D(8, 3))(Input((10, 28, 28, 1))).shape
    (None, 10, 26, 26, 8)
    """

    layer: Any = setting(_layer)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer is None:
            raise UsageError("TimeDistributed takes a layer, such as Dense(16); got None")

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        if not input_shape:
            raise ShapeError(f"layer {self.name!r}: TimeDistributed needs examples of (steps, ...); got single numbers")
        yield from self._parameters_of(self.layer, "", input_shape[1:])

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if isinstance(self.layer, Dense) and x.rank > 2:  # it takes all steps at once
            return self.layer.call(x, p, context)

        def step(now: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            inner = replace(context, losses=[], updates={})
            y = self.layer.call(now, p, inner)
            if inner.updates or not isinstance(y, Tensor):
                raise UsageError(
                    f"layer {self.title!r}: TimeDistributed takes a layer that answers one tensor and keeps no "
                    f"statistics; got {self.layer!r}"
                )
            return [], [y, *inner.losses]

        _, [y, *losses] = g.scan(step, [x], [], name=self.title)
        context.losses += [g.sum(each) for each in losses]
        return y
