"""Variables: what a layer declares that it learns, and the named cells that hold it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from talweg.errors import ShapeError
from talweg.escapes import on_one_line
from talweg.graph import Array
from talweg.graph.random import RandomStream
from talweg.nn import initializers
from talweg.nn.seeds import next_seed

WEIGHT_STREAM = 1  # the stream of random numbers for first weights; see `Context.streams` for the others


@dataclass(frozen=True)
class Parameter:
    """What a layer declares: a name, a shape, how it begins, what is added to the loss, whether training changes it.

    constraint: what is done to it after each step.
    """

    name: str
    shape: tuple[int, ...]
    initializer: Any = "glorot_uniform"
    regularizer: Any = None
    trainable: bool = True
    constraint: Any = None


class Named(Protocol):
    """A layer, as far as its variables know it."""

    @property
    def title(self) -> str: ...


class Owner(Protocol):
    """The model that gives a variable its first value: the first that it is part of."""

    def fill(self) -> None: ...


class Live(Protocol):
    """A running session, as far as a variable knows it."""

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]: ...

    def load(self, states: dict[str, Array]) -> None: ...


class Variable:
    """A named array that belongs to a layer. While a model trains, its value is the running session's.

    A variable has a shape before it has a value: a file's shapes can be held against it before anything is allocated.
    """

    def __init__(self, layer: Named, declared: Parameter) -> None:
        self._layer, self.declared = layer, declared
        self._value: Array | None = None
        self._precision = "float32"
        self.owner: Owner | None = None
        self.live: tuple[Live, str] | None = None  # a session, and what this variable is called there

    @property
    def name(self) -> str:
        """``layer/parameter``. In a model of models the name of the inner one stands before it."""
        return f"{self._layer.title}/{self.declared.name}"

    @property
    def has_value(self) -> bool:
        return self._value is not None

    def begin(self, random: RandomStream, precision: str = "float32") -> None:
        """Takes its first value, unless it has one."""
        if self._value is None:
            self._precision = precision
            first = initializers.first_values(initializers.get(self.declared.initializer), self.shape, random)
            self._value = first.astype(precision)

    @property
    def value(self) -> Array:
        if self.live is not None:
            session, name = self.live
            self._value = session.states([name])[name]
        elif self._value is None and self.owner is not None:
            self.owner.fill()
        elif self._value is None:  # of a layer that was called, and is part of no model yet
            self.begin(RandomStream(next_seed(), WEIGHT_STREAM))
        assert self._value is not None
        return self._value

    @value.setter
    def value(self, new: Any) -> None:
        array = np.array(new, self._precision if self._value is None else self._value.dtype)
        if array.shape != self.shape:
            raise ShapeError(f"{self.name} has shape {list(self.shape)}; got {list(array.shape)}")
        self._value = array
        if self.live is not None:
            session, name = self.live
            session.load({name: array})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.declared.shape

    def numpy(self) -> Array:
        return self.value.copy()

    def cast(self, precision: str) -> None:
        """From now on the value is held in float32 or float64."""
        self._precision = precision
        if self.has_value:
            self._value = self.value.astype(precision, copy=False)

    def assign(self, new: Any) -> None:
        self.value = new

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.value, dtype)

    def __repr__(self) -> str:
        return f"<Variable {on_one_line(self.name)} {list(self.shape)}>"


def set_weights(variables: Sequence[Variable], weights: Sequence[Any], owner: str) -> None:
    """Gives each of `variables` its value; nothing changes unless all fit."""
    if len(weights) != len(variables):
        raise ShapeError(f"{owner} has {len(variables)} weight arrays; got {len(weights)}")
    for v, w in zip(variables, weights, strict=True):
        if np.shape(w) != v.shape:
            raise ShapeError(f"{owner}: {v.name} has shape {list(v.shape)}; got {list(np.shape(w))}")
    for v, w in zip(variables, weights, strict=True):
        v.value = w
