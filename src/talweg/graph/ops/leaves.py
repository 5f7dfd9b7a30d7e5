"""Leaves: where values come from. Engines give `input` and `state` theirs; a constant carries its own."""

from __future__ import annotations

import numpy as np

from talweg.errors import GraphError
from talweg.graph.tensor import BATCH, Array, DType, Shape, Tensor, operation


def _fed(*_: Array, **__: object) -> Array:
    raise GraphError("an input or a state has no value of its own: it must be fed")


_input = operation(
    "input",
    "leaf",
    r"x",
    _fed,
    shape=lambda shape, dtype: tuple(shape),
    dtype=lambda shape, dtype: dtype,
)
_state = operation(
    "state",
    "leaf",
    r"w",
    _fed,
    shape=lambda shape, dtype: tuple(shape),
    dtype=lambda shape, dtype: dtype,
)
_constant = operation(
    "constant",
    "leaf",
    r"c",
    meaning=lambda value, dtype: value,
    shape=lambda value, dtype: value.shape,
    dtype=lambda value, dtype: dtype,
)
_batch_size = operation(
    "batch_size",
    "leaf",
    r"n",
    meaning=lambda size, dtype: np.asarray(size, dtype),
    shape=lambda size, dtype: (),
    dtype=lambda size, dtype: dtype,
    reason="The mean over a batch needs the number of its rows, and the last batch is shorter.",
)


def input_tensor(name: str, shape: Shape, dtype: DType = "float") -> Tensor:
    """Something fed at each run: rows of a data set (with `BATCH` as first axis), or a setting such as a rate."""
    return _input(shape=tuple(shape), dtype=dtype, name=name)


def state_tensor(name: str, shape: Shape, dtype: DType = "float") -> Tensor:
    """Something that a program keeps from one step to the next: a parameter, a slot, a counter, an accumulator."""
    return _state(shape=tuple(shape), dtype=dtype, name=name)


def batch_size() -> Tensor:
    """The number of rows in the batch at hand, as a float scalar."""
    return _batch_size(size=BATCH, dtype="float")
