"""What a graph means: visit its nodes in order and apply each operation's NumPy meaning.

The reference engine, constant folding and "apply this loss to these arrays" are all this one function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from talweg.errors import GraphError
from talweg.graph.tensor import BATCH, Array, DType, Tensor, together, topological_order

NUMPY_DTYPE: dict[DType, str] = {
    "float": "float32",
    "int": "int32",
    "uint": "uint32",
    "uint8": "uint8",
    "bool": "bool",
}


def numpy_dtype(dtype: DType, precision: str = "float32") -> np.dtype[Any]:
    """The NumPy dtype of a graph's dtype, where `precision` (float32 or float64) stands for `float`."""
    return np.dtype(precision if dtype == "float" else NUMPY_DTYPE[dtype])


Step = tuple[list[Tensor], Callable[..., list[Any]]]
"""Nodes that are computed together (nearly always one) from the inputs of the first, and what computes their values."""


def plan(
    order: Iterable[Tensor], rows: int, precision: str, rules: Mapping[str, Callable[..., Any]] | None = None
) -> list[Step]:
    """For the nodes of `order` their meaning, with the batch axis `rows` long and `float` as `precision`.

    rules: what computes an operation, by its name, in place of its meaning in NumPy.
    """

    def meaning(nodes: list[Tensor]) -> Callable[..., list[Any]]:
        node = nodes[0]
        if node.is_leaf:
            return partial(_unfed, node)
        attributes = {k: _resolve(v, rows, precision) for k, v in node.attributes.items()}
        if node.op.name == "constant":
            value = np.asarray(attributes["value"], numpy_dtype(node.dtype, precision))
            return lambda: [value]
        rule: Callable[..., Any] = rules[node.op.name] if rules else node.op.meaning
        if node.op.kin:
            return partial(rule, **{**attributes, "output": [n.attributes["output"] for n in nodes]})
        return lambda *inputs: [rule(*inputs, **attributes)]

    return [(nodes, meaning(nodes)) for nodes in together(order)]


def follow(
    steps: Sequence[Step], feeds: Mapping[Tensor, Any], stored: Callable[[Any], Any] = np.asarray
) -> dict[Tensor, Any]:
    """The value of every node of a plan, as `stored` answers it.

    Infinity and NaN are values like others: nothing is warned of or replaced.
    """
    values: dict[Tensor, Any] = dict(feeds)
    with np.errstate(all="ignore"):
        for nodes, meaning in steps:
            if not all(node in values for node in nodes):
                found = meaning(*[values[x] for x in nodes[0].inputs])
                values |= {n: stored(v) for n, v in zip(nodes, found, strict=True) if n not in feeds}
    return values


def evaluate(
    tensors: Iterable[Tensor],
    feeds: Mapping[Tensor, Array] | None = None,
    rows: int = 0,
    precision: str = "float32",
) -> dict[Tensor, Array]:
    """The value of every node that `tensors` need.

    feeds: values of inputs and states (and of any other node that is to be taken as given).
    rows: the length of the batch axis. precision: float32 or float64.

    >>> from talweg.graph import constant
    >>> x = constant([1.0, 2.0])
    >>> y = x * x + 1
    >>> evaluate([y])[y]
    array([2., 5.], dtype=float32)
    """
    given = feeds or {}
    return follow(plan(topological_order(tensors, given), rows, precision), given)


def _unfed(node: Tensor) -> list[Any]:
    raise GraphError(f"{node.op.name} {node.name!r} was not fed")


def _resolve(attribute: Any, rows: int, precision: str) -> Any:
    """An attribute as NumPy needs it: the batch axis as a number of rows, a dtype as NumPy's."""
    if attribute is BATCH:
        return rows
    if isinstance(attribute, tuple):
        return tuple(_resolve(a, rows, precision) for a in attribute)
    if isinstance(attribute, str) and attribute in NUMPY_DTYPE:
        return numpy_dtype(attribute, precision)
    return attribute
