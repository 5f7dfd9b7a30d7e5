"""A tensor is a node of a graph; an operation is everything that is known of one kind of node.

Nothing here computes. ``x @ w + b`` makes three nodes; a reader (an engine, the printer, an exporter) does the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, Union, cast

import numpy as np

from talweg.budgets import SMALL, demand
from talweg.errors import GraphError, ShapeError
from talweg.escapes import on_one_line


class Batch(Enum):
    """The type of `BATCH`, the length of the batch axis: known only when a program runs."""

    BATCH = "batch"

    def __repr__(self) -> str:
        return "batch"

    __str__ = __repr__


BATCH = Batch.BATCH
Dim = int | Batch
Shape = tuple[Dim, ...]

DType = Literal["float", "int", "uint", "uint8", "bool"]
"""``float`` is float32 or float64, as the engine was made; the integers have 32 bits unless they say otherwise."""

Array = np.ndarray[Any, np.dtype[Any]]
TensorLike = Union["Tensor", float, int, bool, Array, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value that a program will compute: an operation on other tensors, with its shape and dtype already known."""

    op: Operation
    inputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]
    shape: Shape
    dtype: DType
    name: str = ""
    origin: Origin | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def is_leaf(self) -> bool:
        return self.op.name in ("input", "state")

    def named(self, name: str) -> Tensor:
        """The same tensor under a name, by which an engine can be asked for it. Inputs and states keep theirs."""
        return self if self.is_leaf else replace(self, name=name)

    def written_as(self, function: str, *arguments: Tensor) -> Tensor:
        """The same tensor, remembering that ``function(arguments)`` wrote it: a loss can then see through a softmax."""
        return self if self.is_leaf else replace(self, origin=Origin(function, arguments))

    def of(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """The same of other inputs, which have the shapes and dtypes of these; itself, where they are these."""
        if inputs == self.inputs:
            return self
        return Tensor(self.op, inputs, self.attributes, self.shape, self.dtype, self.name)

    def __repr__(self) -> str:
        return f"<{on_one_line(self.name) or self.op.name} {list(self.shape)} {self.dtype}>"

    def __add__(self, other: TensorLike) -> Tensor:
        return elementwise("add", self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return elementwise("add", other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return elementwise("sub", self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return elementwise("sub", other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return elementwise("mul", self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return elementwise("mul", other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return elementwise("div", self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return elementwise("div", other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return elementwise("power", self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return elementwise("power", other, self)

    def __neg__(self) -> Tensor:
        return TABLE["neg"](self)

    def __abs__(self) -> Tensor:
        return TABLE["abs"](self)

    def __lt__(self, other: TensorLike) -> Tensor:
        return elementwise("less", self, other)

    def __le__(self, other: TensorLike) -> Tensor:
        return elementwise("less_equal", self, other)

    def __gt__(self, other: TensorLike) -> Tensor:
        return elementwise("less", other, self)

    def __ge__(self, other: TensorLike) -> Tensor:
        return elementwise("less_equal", other, self)

    def __matmul__(self, other: Tensor) -> Tensor:
        return TABLE["dot"](self, other, axes=((self.rank - 1,), (0,)))

    def __bool__(self) -> bool:
        raise GraphError(
            f"{self!r} has no value yet, so it cannot decide an `if`. Write both sides with "
            "talweg.graph.where(condition, a, b)."
        )

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise GraphError(
            f"{self!r} has no value yet: a loss, metric or layer of your own is written with the functions of "
            "talweg.graph in place of NumPy's, such as talweg.graph.mean. Its value is told by talweg.graph.evaluate."
        )


@dataclass(frozen=True)
class Origin:
    """The function of the vocabulary that wrote a tensor, and what it was applied to."""

    function: str
    arguments: tuple[Tensor, ...]


ShapeRule = Callable[..., Shape]
DTypeRule = Callable[..., DType]
Meaning = Callable[..., Any]
GradientRule = Callable[..., Sequence["Tensor | None"]]


def same_shape(*inputs: Tensor, **_: Any) -> Shape:
    """The shape rule of elementwise operations: all operands alike."""
    if any(x.shape != inputs[0].shape for x in inputs[1:]):
        raise ShapeError(f"operands have different shapes: {', '.join(str(list(x.shape)) for x in inputs)}")
    return inputs[0].shape


def same_dtype(*inputs: Tensor, **_: Any) -> DType:
    """The dtype rule of most operations: all operands alike."""
    if any(x.dtype != inputs[0].dtype for x in inputs[1:]):
        raise GraphError(f"operands have different dtypes: {', '.join(x.dtype for x in inputs)}; cast one of them")
    return inputs[0].dtype


@dataclass(frozen=True, eq=False)
class Operation:
    """One row of the closed table.

    `shape` and `dtype` say what a node will be from its inputs and attributes; `meaning` says, in NumPy, what it is;
    `gradient(g, y, *inputs, **attributes)` answers, for each input, how it takes part in ∂L/∂y = g, as tensors
    (None: not at all); `formula` is TeX. `reason` says why no formula over the other operations would do.

    `kin` is for nodes that are computed together: those for which it answers the same differ in their attribute
    `output` only. `meaning` then takes and answers a list for that, and `gradient` takes lists for g and y.
    """

    name: str
    family: str
    formula: str
    meaning: Meaning
    gradient: GradientRule | None = None
    shape: ShapeRule = same_shape
    dtype: DTypeRule = same_dtype
    reason: str = ""
    kin: Callable[[Tensor], Hashable] | None = None

    def __call__(self, *inputs: Tensor, name: str = "", **attributes: Any) -> Tensor:
        try:
            shape, dtype = self.shape(*inputs, **attributes), self.dtype(*inputs, **attributes)
        except (ShapeError, GraphError) as error:
            raise type(error)(f"{self.name}: {error}") from None
        if (size := math.prod([d for d in shape if d is not BATCH])) > SMALL // 8:
            what = f"{on_one_line(name)[:99] or self.name} of shape {_brief(shape)}"
            demand("memory", 4 * size, f"{what}, for one example,")
        return Tensor(self, inputs, attributes, shape, dtype, name)

    def __repr__(self) -> str:
        return f"<operation {self.name}>"


def _brief(shape: Shape) -> str:
    """A shape for an error, where a dimension may have a million digits."""
    return f"[{', '.join(str(d) if d is BATCH or d < 10**18 else f'{float(min(d, 10**300)):.1e}' for d in shape[:8])}]"


TABLE: dict[str, Operation] = {}
"""The closed table of operations, by name. Filled by the modules of `talweg.graph.ops`, and by nothing else."""


def operation(name: str, family: str, formula: str, meaning: Meaning, **rules: Any) -> Operation:
    """Declares an operation: makes it and puts it into the table."""
    if name in TABLE:
        raise GraphError(f"operation {name!r} is declared twice")
    TABLE[name] = Operation(name, family, formula, meaning, **rules)
    return TABLE[name]


# ── Making operands fit: constants and broadcasting ───────────────────────────────────────────────────────


def constant(value: Any, dtype: DType | None = None) -> Tensor:
    """A tensor with a value known now. Floats and arrays of them are `float`, integers `int`, truth values `bool`."""
    array = np.asarray(value)
    if dtype is None:
        kinds: dict[str, DType] = {"f": "float", "i": "int", "u": "int", "b": "bool"}
        if array.dtype.kind not in kinds:
            raise GraphError(f"a constant must be numbers; got {value!r} of dtype {array.dtype}")
        dtype = kinds[array.dtype.kind]
    form = np.dtype({"float": "f8", "int": "i4", "uint": "u4", "uint8": "u1", "bool": "?"}[dtype])
    if form.kind in "iu" and array.size:
        low, high = np.iinfo(form).min, np.iinfo(form).max
        if array.min() < low or array.max() > high:
            raise GraphError(f"a constant of dtype {dtype} must be within {low}..{high}; got {value!r}")
    kept = np.array(array, form)
    kept.flags.writeable = False
    return TABLE["constant"](value=kept, dtype=dtype)


def as_tensor(value: TensorLike, like: DType | None = None) -> Tensor:
    """`value` itself if it is a tensor, else a constant, of dtype `like` where that loses nothing."""
    if isinstance(value, Tensor):
        return value
    made = constant(value)
    return constant(value, "float") if like == "float" and made.dtype == "int" else made


def broadcast_shape(*shapes: Shape) -> Shape:
    """The shape to which all of `shapes` broadcast, by NumPy's rule: aligned on the right, 1 fits anything.

    >>> broadcast_shape((BATCH, 3), (3,), ())
    (batch, 3)
    """
    rank = max(map(len, shapes))
    out: list[Dim] = []
    for axis_dims in zip(*(((1,) * (rank - len(s)) + s) for s in shapes), strict=True):
        wide = {d for d in axis_dims if d != 1}
        if len(wide) > 1:
            raise ShapeError(f"shapes {', '.join(str(list(s)) for s in shapes)} do not broadcast together")
        out.append(wide.pop() if wide else 1)
    return tuple(out)


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """`x` repeated to `shape`; `x` itself where nothing needs repeating."""
    return x if x.shape == shape else TABLE["broadcast"](x, shape=shape)


def elementwise(name: str, *operands: TensorLike) -> Tensor:
    """Operation `name` on operands that are first given one shape: constants where they are numbers, broadcast."""
    known = [x for x in operands if isinstance(x, Tensor)]
    like: DType | None = "float" if any(x.dtype == "float" for x in known) else None
    tensors = [as_tensor(x, like) for x in operands]
    shape = broadcast_shape(*(t.shape for t in tensors))
    return TABLE[name](*(broadcast_to(t, shape) for t in tensors))


def topological_order(outputs: Iterable[Tensor], given: Container[Tensor] = ()) -> list[Tensor]:
    """Every node that `outputs` need, each after its inputs. Always the same order for the same graph.

    given: nodes whose value is known, so that what they are made of is not needed.
    """
    order: list[Tensor] = []
    seen: set[Tensor] = set()
    stack: list[Tensor | None] = list(reversed(list(outputs)))
    while stack:
        node = stack.pop()
        if node is None:  # the one below has its inputs
            order.append(cast("Tensor", stack.pop()))
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            if node not in given:
                stack += [x for x in reversed(node.inputs) if x not in seen]
    return order


def together(order: Iterable[Tensor]) -> list[list[Tensor]]:
    """The nodes of a topological order, those in one list that are computed together. Lists are in order, too."""
    groups: dict[Hashable, list[Tensor]] = {}
    for node in order:
        groups.setdefault(node.op.kin(node) if node.op.kin else node, []).append(node)
    return list(groups.values())
