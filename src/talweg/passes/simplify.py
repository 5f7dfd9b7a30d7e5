"""Simplify: compute constants now, drop identities, merge nodes that are equal. Dead nodes fall away by themselves.

Nothing here changes a result: x · 0 stays, for x may be NaN, and sums keep their order. (Where x is -0, x + 0 becomes
-0 and not 0: they are equal.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from talweg.graph import BATCH, Program, Tensor, broadcast_to, constant, evaluate, reshape, transpose

LARGEST_FOLDED = 4096  # elements; larger constants are cheaper to compute than to carry


def simplify(program: Program, precision: str = "float64") -> Program:
    """The same program with fewer nodes. Constants are computed in `precision`, as the engine would have done.

    >>> from talweg.graph import input_tensor, to_text
    >>> x = input_tensor("x", (3,))
    >>> p = Program("p", (x,), (), {"y": (x * 1 + 0) * (x * 1) / (2 * constant(2.0))}, {})
    >>> print(to_text(simplify(p)))
    program p
      input x              [3] float
      %1      = mul(x, x)  [3] float
      %4      = div(%1, 4) [3] float
      output y = %4
    """
    new: dict[Tensor, Tensor] = {}
    known: dict[Any, Tensor] = {}
    for node in program.order:
        inputs = tuple(new[x] for x in node.inputs)
        fresh = node
        if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
            fresh = Tensor(node.op, inputs, node.attributes, node.shape, node.dtype, node.name)
        fresh = _fold(_shorten(fresh), precision)
        new[node] = known.setdefault(_key(fresh), fresh)
    return program.with_results(new[t] for t in program.results)


def _key(node: Tensor) -> Any:
    """Equal for nodes that compute the same."""
    if node.is_leaf:
        return id(node)
    attributes = tuple((k, _hashable(v)) for k, v in sorted(node.attributes.items()))
    return node.op.name, tuple(map(id, node.inputs)), attributes


def _hashable(attribute: Any) -> Any:
    is_array = isinstance(attribute, np.ndarray)
    return (attribute.shape, attribute.dtype.str, attribute.tobytes()) if is_array else attribute


def _fold(node: Tensor, precision: str) -> Tensor:
    """A constant in place of a node whose inputs are constants. Broadcasts stay: engines treat them as addressing."""
    foldable = bool(node.inputs) and all(x.op.name == "constant" for x in node.inputs)
    if not foldable or node.op.name == "broadcast" or BATCH in node.shape:
        return node
    if np.prod(node.shape, dtype=np.int64) > LARGEST_FOLDED:  # type: ignore[arg-type]
        return node
    return constant(evaluate([node], precision=precision)[node], node.dtype)


def number(node: Tensor) -> float | None:
    """The one number that every element of `node` is known to be, or None."""
    while node.op.name in ("broadcast", "reshape"):
        node = node.inputs[0]
    value = node.attributes.get("value")
    return value.item() if node.op.name == "constant" and value is not None and value.size == 1 else None


def _shorten(node: Tensor) -> Tensor:
    rule = SHORTER.get(node.op.name)
    return rule(node) if rule else node


def _neutral(value: float, either_side: bool) -> Callable[[Tensor], Tensor]:
    """The rule of an operation for which `value` changes nothing."""

    def rule(node: Tensor) -> Tensor:
        a, b = node.inputs
        if number(b) == value:
            return a
        return b if either_side and number(a) == value else node

    return rule


def _double_negation(node: Tensor) -> Tensor:
    x = node.inputs[0]
    return x.inputs[0] if x.op.name == "neg" else node


def _reshape(node: Tensor) -> Tensor:
    x = node.inputs[0]
    while x.op.name == "reshape":
        x = x.inputs[0]
    return reshape(x, node.shape) if x is not node.inputs[0] or x.shape == node.shape else node


def _transpose(node: Tensor) -> Tensor:
    x = node.inputs[0]
    if x.op.name != "transpose":
        return node
    inner = x.attributes["permutation"]
    return transpose(x.inputs[0], tuple(inner[a] for a in node.attributes["permutation"]))


def _broadcast(node: Tensor) -> Tensor:
    x = node.inputs[0]
    return broadcast_to(x.inputs[0], node.shape) if x.op.name == "broadcast" else node


SHORTER: dict[str, Callable[[Tensor], Tensor]] = {
    "add": _neutral(0.0, either_side=True),
    "sub": _neutral(0.0, either_side=False),
    "mul": _neutral(1.0, either_side=True),
    "div": _neutral(1.0, either_side=False),
    "neg": _double_negation,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "stop_gradient": lambda node: node.inputs[0],
    "where": lambda node: node.inputs[1] if node.inputs[1] is node.inputs[2] else node,
}
