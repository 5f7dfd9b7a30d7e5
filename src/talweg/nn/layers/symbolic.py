"""Layers called on placeholders: who is fed by whom, noted down. The graph of operations is written from it later.

``y = Dense(3)(x)`` for an x that `Input` gave makes a `Call` and answers the placeholder of what it will compute.
A model is the calls between its inputs and its outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from talweg import graph as g
from talweg.errors import GraphError, ModelWarning, ShapeError, TalwegError, UsageError, warn
from talweg.escapes import on_one_line
from talweg.graph import BATCH, Array, Tensor

Structure = Any
"""One thing, or things in lists, tuples and dictionaries: what a layer takes or answers."""

_numbers = itertools.count()


class Block(Protocol):
    """What can be called: a layer, or a model that serves as one."""

    @property
    def calls(self) -> list[Call]: ...

    @property
    def title(self) -> str: ...

    def declare(self, input_shape: Any) -> bool:
        """Makes its variables, without values; answers whether there were none before."""

    def named(self, name: str) -> None:
        """Gives it the name that a model found for it."""

    def forget(self) -> None:
        """Takes back `declare`."""

    def own_states(self) -> dict[Any, Tensor]:
        """A symbolic state for each of its variables."""

    def examine(self, x: Array, argument: str) -> None:
        """Looks at examples that go straight into it; may raise `DataError`."""

    def write(self, x: Any, states: Mapping[Any, Tensor], context: Any) -> Any:
        """What it answers, as a formula."""


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer: what it was given, in which mode, and what it answers. `number` counts the calls made."""

    block: Block
    inputs: Structure
    training: bool | None = None
    outputs: Structure = None
    number: int = 0


class KerasTensor:
    """A placeholder: what an `Input` stands for, or what a layer will answer. `shape` has None for the batch axis.

    ``x + y``, ``x - y`` and ``x * y`` call the merging layers, ``2 * x + 1`` a `Rescaling`.

    >>> from talweg.nn.layers import Dense, Input
    >>> Dense(3)(Input((4,))) + 1.0
    <KerasTensor shape=(None, 3), dtype=float32, of Rescaling>
    """

    call: Call  # that answers it
    mask: Tensor | None = None  # which of its steps count

    def __init__(self, tensor: Tensor, index: int = 0, dtype: str | None = None) -> None:
        self.tensor, self.index = tensor, index
        self.dtype = dtype or {"float": "float32", "int": "int32"}.get(tensor.dtype, tensor.dtype)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return tuple(None if d is BATCH else d for d in self.tensor.shape)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape without the batch axis."""
        return self.tensor.shape[1:]  # type: ignore[return-value]

    @property
    def ndim(self) -> int:
        return self.tensor.rank

    @property
    def name(self) -> str:
        """The name of the layer that answers it."""
        return self.call.block.title

    def _merged(self, other: Any, layer: str, scale: Any, offset: Any) -> KerasTensor:
        """Two placeholders in a merging layer; a number as scale · x + offset."""
        from talweg.nn import layers

        made: KerasTensor
        if isinstance(other, KerasTensor):
            made = getattr(layers, layer)()([self, other])
        else:
            made = layers.Rescaling(scale, offset)(self)
        return made

    def __add__(self, other: Any) -> KerasTensor:
        return self._merged(other, "Add", 1.0, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> KerasTensor:
        return self._merged(other, "Subtract", 1.0, other if isinstance(other, KerasTensor) else -other)

    def __rsub__(self, other: Any) -> KerasTensor:
        return self._merged(other, "Subtract", -1.0, other)

    def __mul__(self, other: Any) -> KerasTensor:
        return self._merged(other, "Multiply", other, 0.0)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> KerasTensor:
        if isinstance(other, KerasTensor):
            raise UsageError("one placeholder cannot be divided by another; write a layer of your own for it")
        return self * (1 / other)

    def __neg__(self) -> KerasTensor:
        return self * -1.0

    def __bool__(self) -> bool:
        raise GraphError(f"{self!r} has no value yet, so it cannot decide an `if`")

    def __len__(self) -> int:
        raise UsageError(f"{self!r} has no length: how many examples there will be is not known yet")

    def __iter__(self) -> Any:
        raise UsageError(f"{self!r} cannot be iterated over: it has no value yet")

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise GraphError(f"{self!r} has no value yet: make a model of it, Model(inputs, outputs), and predict(x)")

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, of {on_one_line(self.name)}>"


# ── structures ────────────────────────────────────────────────────────────────────────────────────────────


def flat(structure: Structure) -> list[Any]:
    """The leaves, those of a dictionary in the order of its keys, as in Keras.

    >>> flat({"b": [1, (2,)], "a": 3})
    [3, 1, 2]
    """
    if isinstance(structure, Mapping):
        return [leaf for key in sorted(structure) for leaf in flat(structure[key])]
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flat(part)]
    return [structure]


def mapped(function: Callable[[Any], Any], structure: Structure) -> Structure:
    """The structure with `function` applied to each leaf.

    >>> mapped(abs, {"b": [-1], "a": -3})
    {'b': [1], 'a': 3}
    """
    if isinstance(structure, Mapping):
        done = {key: mapped(function, structure[key]) for key in sorted(structure)}
        return {key: done[key] for key in structure}
    if isinstance(structure, (list, tuple)):
        return [mapped(function, part) for part in structure]
    return function(structure)


def packed(leaves: Sequence[Any], structure: Structure) -> Structure:
    """`leaves`, in the order of `flat`, in the given structure."""
    rest = iter(leaves)
    return mapped(lambda _: next(rest), structure)


def single(structure: Structure) -> Structure:
    """What stands alone in a list, without it: so Keras's models answer, and tell their shapes.

    >>> single([3]), single([3, 4]), single([[3]])
    (3, [3, 4], [3])
    """
    return structure[0] if isinstance(structure, (list, tuple)) and len(structure) == 1 else structure


# ── calling ───────────────────────────────────────────────────────────────────────────────────────────────


def call(block: Block, inputs: Structure, training: bool | None, context: Any) -> Structure:
    """Notes the call of `block` and answers placeholders. Leaves no trace where what it is given does not fit."""
    placeholders = flat(inputs)
    if strange := [x for x in placeholders if not isinstance(x, KerasTensor)]:
        mixed = len(strange) < len(placeholders)
        raise UsageError(
            f"{block.title} was called on {_described(strange[0])}"
            + (" beside placeholders" if mixed else "")
            + "; a layer is called on what Input(shape) or another layer answered. "
            "Numbers go through a model: Sequential([layer]).predict(x)."
        )
    if training:
        raise UsageError(
            f"{block.title}: training=True cannot be fixed in a model, for then its predictions would be random; "
            "leave it out, or give training=False"
        )
    masks = {x.tensor: x.mask for x in placeholders if x.mask is not None}
    context.masks.update(masks)
    is_new = False
    try:
        is_new = block.declare(mapped(lambda x: x.example_shape, inputs))
        tensors = block.write(mapped(lambda x: x.tensor, inputs), block.own_states(), context)
    except BaseException as error:
        if is_new:
            block.forget()
        if isinstance(error, TalwegError):  # a layer without a name yet is told by its class
            error.args = (str(error).replace("layer None", f"layer {block.title!r}"),)
        raise
    if masks and not getattr(block, "supports_masking", True):
        message = f"layer {block.title!r} does not pass masks on: the layers after it, and the loss, see every step"
        warn(message, ModelWarning)
    outputs = noted(block, inputs, training, tensors)
    for y in flat(outputs):
        y.mask = context.masks.get(y.tensor)
    return outputs


def shape_after(block: Block, input_shape: Any, context: Any) -> Any:
    """The shape of what `block` answers for batches of `input_shape`, or of a list of such shapes; leaves no trace.

    A shape begins with None, the axis of the batch, as in Keras. Raises `ShapeError` where the block cannot take it.
    """
    if not isinstance(input_shape, (list, tuple)):
        raise ShapeError(f"input_shape must be the shape of a batch, such as (None, 784); got {input_shape!r}")
    several = isinstance(input_shape, (list, tuple)) and any(isinstance(part, (list, tuple)) for part in input_shape)
    shapes = [tuple(shape) for shape in input_shape] if several else [tuple(input_shape)]
    if not all(len(s) and isinstance(s[0], int | None) and all(isinstance(d, int) for d in s[1:]) for s in shapes):
        raise ShapeError(f"input_shape must be the shape of a batch, such as (None, 784); got {input_shape!r}")
    given = [g.input_tensor(block.title, (BATCH, *shape[1:])) for shape in shapes]
    examples = [shape[1:] for shape in shapes]
    is_new = block.declare(examples if several else examples[0])
    try:
        made = block.write(given if several else given[0], block.own_states(), context)
    finally:
        if is_new:
            block.forget()
    return mapped(lambda y: tuple(shapes[0][0] if d is BATCH else d for d in y.shape), made)


def noted(
    block: Block,
    inputs: Structure,
    training: bool | None,
    tensors: Structure,
    dtype: str | None = None,
    remember: bool = True,
) -> Any:
    """Placeholders for `tensors` and the call that answers them, which the block remembers among its calls."""
    indices = itertools.count()
    outputs = mapped(lambda t: KerasTensor(t, next(indices), dtype), tensors)
    made = Call(block, inputs, training, outputs, next(_numbers))
    for output in flat(outputs):
        output.call = made
    if remember:
        block.calls.append(made)
    return outputs


def _described(thing: Any) -> str:
    return "an array" if hasattr(thing, "__array__") else f"a {type(thing).__name__}"


def placeholder(shape: tuple[int, ...], dtype: str | None, block: Block) -> KerasTensor:
    """What an input layer answers."""
    found: KerasTensor = noted(block, [], None, g.input_tensor(block.title, (BATCH, *shape)), dtype)
    return found
