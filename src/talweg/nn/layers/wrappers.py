"""Layers around a layer: along a sequence in both directions, or the same layer at every step of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from types import SimpleNamespace
from typing import Any

from talweg import graph as g
from talweg.budgets import demand
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

    supports_masking = True

    @property
    def ways(self) -> Sequence[tuple[str, Layer]]:
        """The layers within, and what their variables' names begin with."""
        raise UsageError(f"{type(self).__name__} must define ways")

    def __post_init__(self) -> None:
        super().__post_init__()
        demand("depth", self.depth, f"{type(self).__name__} around a layer")

    @property
    def depth(self) -> int:
        return 1 + max((layer.depth for _, layer in self.ways if layer is not None), default=0)

    def trains(self, parameter: str) -> bool:
        within = [
            (layer, parameter.removeprefix(prefix)) for prefix, layer in self.ways if parameter.startswith(prefix)
        ]
        return super().trains(parameter) and all(layer.trains(name) for layer, name in within)

    def modes(self) -> tuple[bool, ...]:
        return (*super().modes(), *(mode for _, layer in self.ways for mode in layer.modes()))

    def _parameters_of(self, inner: Layer, prefix: str, input_shape: Any) -> Iterable[Parameter]:
        for declared in inner.parameters(input_shape):
            yield replace(declared, name=prefix + declared.name)

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
    What is said of a masked step is 0 (`zero_output_for_mask`), as in Keras.

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
        back = self.layer if self.backward_layer is None else self.backward_layer
        if self.layer.go_backwards or not isinstance(back, _Recurrent) or back.go_backwards is (back is self.layer):
            raise UsageError("Bidirectional: layer must not go backwards, and backward_layer must: go_backwards=True")
        for name in ("return_sequences", "return_state"):
            if getattr(back, name) != getattr(self.layer, name):
                raise UsageError(f"Bidirectional: layer and backward_layer must agree in {name}")

    @property
    def ways(self) -> list[tuple[str, _Recurrent]]:
        if not issubclass(type(self.layer), _Recurrent):
            raise UsageError(f"Bidirectional takes a recurrent layer, such as LSTM(16); got {self.layer!r}")
        back = self.backward_layer or replace(self.layer, go_backwards=True, name=None)
        zero = self.layer.return_sequences
        return [
            (prefix, layer if layer.zero_output_for_mask == zero else replace(layer, zero_output_for_mask=zero))
            for prefix, layer in (("forward_", self.layer), ("backward_", back))
        ]

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
            h, end, last = layer.run(given, self._own(p, prefix), context)
            y = layer.answer(h, end, last, context)
            answers.append(y[0] if layer.return_state else y)
            states += last if layer.return_state else []
        y = MERGED[self.merge_mode](*answers)
        listed = y if isinstance(y, list) else [y]
        return [*listed, *states] if states or self.merge_mode is None else y

    def compute_mask(self, x: Any, mask: Any) -> Any:
        mask = self.layer.compute_mask(x, mask)
        return [mask, mask] if self.merge_mode is None else mask


@dataclass(eq=False, repr=False)
class TimeDistributed(_Wrapper):
    """The same layer at every step of a sequence: x (batch, steps, ...), y (batch, steps, ...).

    In training, a layer that drops numbers drops the same at every step, and one that keeps statistics updates them at
    each, as in Keras; BatchNormalization by itself takes the statistics of a whole sequence. Of a mask the layer sees
    what belongs to the step. Raises `UsageError` around a layer that answers several tensors.

    >>> from talweg.nn.layers import Conv2D, Input
    >>> TimeDistributed(Conv2D(8, 3))(Input((10, 28, 28, 1))).shape
    (None, 10, 26, 26, 8)
    """

    layer: Any = setting(_layer)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer is None:
            raise UsageError("TimeDistributed takes a layer, such as Dense(16); got None")

    @property
    def ways(self) -> list[tuple[str, Layer]]:
        return [("", self.layer)]

    def parameters(self, input_shape: tuple[int, ...]) -> Iterable[Parameter]:
        if not input_shape:
            raise ShapeError(f"layer {self.name!r}: TimeDistributed needs examples of (steps, ...); got single numbers")
        yield from self._parameters_of(self.layer, "", input_shape[1:])

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        if isinstance(self.layer, Dense) and x.rank > 2:  # it takes all steps at once
            return self.layer.call(x, p, context)

        layer = self.layer if self.trainable else replace(self.layer, trainable=False)
        mask = [context.masks[x]] if x in context.masks else []
        declared = self.parameters(x.shape[1:]) if context.training else ()  # type: ignore[arg-type]
        kept = {d.name: getattr(p, d.name) for d in declared if not d.trainable}

        def step(now: Tensor, *others: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            of_mask, before = others[: len(mask)], others[len(mask) :]
            inner = replace(context, losses=[], updates={}, masks=dict(zip([now], of_mask, strict=False)))
            y = layer.call(now, SimpleNamespace(**{**vars(p), **dict(zip(kept, before, strict=True))}), inner)
            if not isinstance(y, Tensor):
                raise UsageError(
                    f"layer {self.title!r}: TimeDistributed takes a layer that answers one tensor; got {self.layer!r}"
                )
            return [inner.updates.get(s, s) for s in before], [y, *inner.losses]

        begin = [context.updates.get(s, s) for s in kept.values()]
        last, [y, *losses] = g.scan(step, [x, *mask], begin, name=self.title)
        for state, value in zip(kept.values(), last, strict=True):
            context.update(state, value)
        context.losses += [g.sum(each) for each in losses]
        return y
