"""How much work a program is for one example: what a budget is held against before anything is compiled."""

from __future__ import annotations

import math
from collections.abc import Iterable

from talweg.graph import BATCH, Program, Shape, Tensor, topological_order
from talweg.graph.loop import Loop


def size(shape: Shape) -> int:
    """Elements, of one example where there is a batch axis."""
    return math.prod([d for d in shape if d is not BATCH])


def work(program: Program) -> int:
    """Elements computed and products summed in a step on one example; a loop counts each time that it goes around.

    >>> from talweg.graph import input_tensor, state_tensor
    >>> x, w = input_tensor("x", (BATCH, 4)), state_tensor("w", (4, 3))
    >>> work(Program("p", (x,), (w,), {"y": x @ w}, {}))
    12
    """
    return _of(program.order)


def _of(order: Iterable[Tensor]) -> int:
    total, loops = 0, dict[Loop, tuple[int, list[Tensor]]]()
    for node in order:
        if node.is_leaf or node.op.name == "constant":
            continue
        if node.op.name == "scan":
            loop = node.attributes["loop"]
            outputs = loops.setdefault(loop, (size(node.inputs[0].shape[node.attributes["axis"] :][:1]), []))[1]
            outputs.append(node.attributes["output"])
        else:
            total += size(node.shape) * _summed(node)
    for loop, (times, outputs) in loops.items():
        total += times * _of(topological_order([*outputs, *loop.following]))
    return total


def _summed(node: Tensor) -> int:
    """What each element of a result is made of."""
    if node.op.name == "dot":
        return size(tuple(node.inputs[0].shape[a] for a in node.attributes["axes"][0]))
    if node.op.name in ("conv2d", "conv2d_kernel_gradient"):
        return size(node.inputs[1].shape[:3])
    if node.op.name == "conv2d_input_gradient":
        height, width, _, outputs = node.inputs[1].shape
        return size((height, width, outputs))
    if node.op.name in ("max_pool2d", "max_pool2d_gradient"):
        return math.prod(node.attributes["size"])
    if node.op.name in ("sum", "max"):
        return max(1, size(node.inputs[0].shape) // max(1, size(node.shape)))
    return 1
