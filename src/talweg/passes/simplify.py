"""Simplify: compute constants now, drop identities, merge nodes that are equal. Dead nodes fall away by themselves.

Nothing here changes a result: x · 0 stays, for x may be NaN, and sums keep their order. (Where x is -0, x + 0 becomes
-0 and not 0: they are equal.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from talweg.graph import (
    BATCH,
    Program,
    Shape,
    Tensor,
    broadcast_shape,
    broadcast_to,
    constant,
    evaluate,
    reshape,
    transpose,
)
from talweg.graph.loop import with_bodies
from talweg.passes.joining import joined

LARGEST_FOLDED = 4096  # elements; larger constants are cheaper to compute than to carry


def simplify(program: Program, precision: str = "float64") -> Program:
    """The same program with fewer nodes. Constants are computed in `precision`, as the engine would have done.

    >>> from talweg.graph import input_tensor, to_text
    >>> x = input_tensor("x", (3,))
    >>> p = Program("p", (x,), (), {"y": (x * 1 + 0) * (x * 1) / (3 * constant(2.0))}, {})
    >>> print(to_text(simplify(p)))
    program p
      input x              [3] float
      %1      = mul(x, x)  [3] float
      %4      = div(%1, 6) [3] float
      output y = %4
    """
    program = with_bodies(program, lambda body: simplify(body, precision))
    new: dict[Tensor, Tensor] = {}
    known: dict[Any, Tensor] = {}
    done: set[Tensor] = set()

    def kept(node: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        """`node` of `inputs`, which are done: the node that stands for it."""
        key = node if node.is_leaf else _key(node, inputs)
        if key not in known:
            fresh = node.of(inputs)
            short = _fold(_shorten(fresh), precision)
            known[key] = fresh if short is fresh else finished(short)
            done.add(known[key])
        return known[key]

    def finished(node: Tensor) -> Tensor:
        """The same for what a rule wrote."""
        return node if node in done else kept(node, tuple(map(finished, node.inputs)))

    for node in program.order:
        new[node] = kept(node, tuple([new[x] for x in node.inputs]))
    return program.with_results(new[t] for t in program.results)


def _key(node: Tensor, inputs: tuple[Tensor, ...]) -> Any:
    """Equal for nodes that compute the same."""
    if node.op.name == "constant":
        value = node.attributes["value"]
        return node.op, node.dtype, value.shape, value.tobytes()
    return node.op, inputs, tuple(node.attributes.items())


def _fold(node: Tensor, precision: str) -> Tensor:
    """A constant in place of a node whose inputs are constants. Broadcasts stay: engines treat them as addressing."""
    if not _are_all("constant", node.inputs) or node.op.name == "broadcast" or BATCH in node.shape:
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


def _are_all(name: str, inputs: tuple[Tensor, ...]) -> bool:
    for x in inputs:
        if x.op.name != name:
            return False
    return bool(inputs)


def _shorten(node: Tensor) -> Tensor:
    if node.op.family == "elementwise" and _are_all("broadcast", node.inputs):
        return _before_repeating(node)
    rule = SHORTER.get(node.op.name)
    return rule(node) if rule else node


# ── the rules, each for a node whose inputs are short ─────────────────────────────────────────────────────


def _before_repeating(node: Tensor) -> Tensor:
    """f(broadcast(a), broadcast(b)) → broadcast(f(a, b))."""
    sources = [x.inputs[0] for x in node.inputs]
    shape = broadcast_shape(*(x.shape for x in sources))
    if shape == node.shape:
        rule = SHORTER.get(node.op.name)
        return rule(node) if rule else node
    return broadcast_to(node.op(*(broadcast_to(x, shape) for x in sources), **node.attributes), node.shape)


def _neutral(value: float, either_side: bool) -> Callable[[Tensor], Tensor]:
    """The rule of an operation for which `value` changes nothing."""

    def rule(node: Tensor) -> Tensor:
        a, b = node.inputs
        if number(b) == value:
            return a
        return b if either_side and number(a) == value else node

    return rule


def _add(node: Tensor) -> Tensor:
    shorter = _neutral(0.0, either_side=True)(node)
    return joined(node) if shorter is node else shorter


def _div(node: Tensor) -> Tensor:
    """Division by a power of two is a product: exact, and faster."""
    x, divisor = node.inputs[0], number(node.inputs[1])
    if divisor is None or math.frexp(divisor)[0] != 0.5 or not 2.0**-64 <= divisor <= 2.0**64:
        return node
    return x if divisor == 1 else x * (1 / divisor)


def _double_negation(node: Tensor) -> Tensor:
    x = node.inputs[0]
    return x.inputs[0] if x.op.name == "neg" else node


def _reduction(node: Tensor) -> Tensor:
    """Over axes of length 1 nothing is summed; and -a - b is -(a + b)."""
    x = node.inputs[0]
    if all(x.shape[a] == 1 for a in node.attributes["axes"]):
        return reshape(x, node.shape)
    return -node.op(x.inputs[0], **node.attributes) if (node.op.name, x.op.name) == ("sum", "neg") else node


def _reshape(node: Tensor) -> Tensor:
    x = node.inputs[0]
    while x.op.name == "reshape":
        x = x.inputs[0]
    if x.op.name == "broadcast" and all(d == 1 for d in x.inputs[0].shape):
        return broadcast_to(reshape(x.inputs[0], ()), node.shape)
    return reshape(x, node.shape) if x is not node.inputs[0] or x.shape == node.shape else node


def _transpose(node: Tensor) -> Tensor:
    x = node.inputs[0]
    if x.op.name != "transpose":
        return node
    inner = x.attributes["permutation"]
    return transpose(x.inputs[0], tuple(inner[a] for a in node.attributes["permutation"]))


def _broadcast(node: Tensor) -> Tensor:
    x = node.inputs[0]
    if x.op.name == "reshape" and _long(x.shape) == _long(x.inputs[0].shape) and x.inputs[0].rank <= node.rank:
        return broadcast_to(x.inputs[0], node.shape)  # that puts in axes which broadcasting puts in by itself
    return broadcast_to(x.inputs[0], node.shape) if x.op.name == "broadcast" else node


def _long(shape: Shape) -> Shape:
    """The shape from its first axis on that is longer than 1."""
    return shape[next((a for a, d in enumerate(shape) if d != 1), len(shape)) :]


SHORTER: dict[str, Callable[[Tensor], Tensor]] = {
    "add": _add,
    "sub": _neutral(0.0, either_side=False),
    "mul": _neutral(1.0, either_side=True),
    "div": _div,
    "neg": _double_negation,
    "sum": _reduction,
    "max": _reduction,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "stop_gradient": lambda node: node.inputs[0],
    "where": lambda node: node.inputs[1] if node.inputs[1] is node.inputs[2] else node,
}
