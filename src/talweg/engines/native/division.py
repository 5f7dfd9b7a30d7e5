"""How threads can share a kernel: along which axis of its result, and what they read along that axis only.

A thread that computes rows 8 to 15 of a result, and reads rows 8 to 15 of something that it has itself computed, need
not wait for anybody. `followed` finds out where that is so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from talweg.engines.native.formulas import ELEMENTWISE, LEAVES
from talweg.engines.native.schedule import Kernel
from talweg.graph import BATCH, Tensor
from talweg.graph.ops.contraction import free_axes

Kind = Literal["rows", "outer", "inner", "everyone", "alone"]
Rule = Callable[[Tensor, int], list[int | None]]
Source = tuple[Tensor, int | None]  # an operand, and its axis that is followed; None: it is read from end to end


@dataclass(frozen=True)
class Division:
    """Who computes what of a result.

    rows      each thread its part of the batch
    outer     each its part of the axis that the key names: the outermost of a result that has no batch axis, or units
    inner     each its part of the innermost axis, from one panel of vectors to another
    everyone  each all of it, in memory of its own: what is small and asked for at once
    alone     thread 0 all of it

    key: two results are divided alike where their keys are equal; axis: the one divided.
    """

    kind: Kind
    key: tuple[object, ...] = ()
    axis: int | None = None

    @property
    def is_shared(self) -> bool:
        return self.kind in ("rows", "outer", "inner")


EVERYONE, ALONE = Division("everyone"), Division("alone")


def followed(kernel: Kernel, axis: int | None, kept: set[Tensor]) -> dict[Tensor, int | None]:
    """What the kernel reads, each with its axis of which only element i is read for element i along `axis`."""
    sources = [s for node in kernel.nodes for s in _sources(node, axis)]
    return _reached(sources, kept, set(kernel.nodes))


def summed(kernel: Kernel, kept: set[Tensor]) -> dict[Tensor, int | None]:
    """What a kernel that sums over the batch reads, each with its axis of which row i is read for row i of the sum."""
    operands = [(x, x.shape.index(BATCH) if BATCH in x.shape else None) for x in kernel.nodes[0].inputs]
    return _reached(operands, kept, set(kernel.nodes))


def _reached(sources: list[Source], kept: set[Tensor], here: set[Tensor]) -> dict[Tensor, int | None]:
    """What lies in memory at the end of formulas that start with `sources`."""
    out: dict[Tensor, int | None] = {}
    stack = list(sources)
    seen: set[Source] = set()
    while stack:
        x, at = source = stack.pop()
        if source in seen:
            continue
        seen.add(source)
        if x in kept or x.op.name in LEAVES:
            out[x] = at if out.get(x, at) == at else None
        else:
            stack += _sources(x, at)
    return {x: at for x, at in out.items() if x not in here}


def _sources(node: Tensor, axis: int | None) -> list[Source]:
    """The operands of `node`, each with the axis along which it moves as `node` does along `axis`."""
    if axis is None:
        return [(x, None) for x in node.inputs]
    if node.op.name in ELEMENTWISE:
        return [(x, axis) for x in node.inputs]
    return [(x, a) for x, a in zip(node.inputs, _RULES[node.op.name](node, axis), strict=True)]


def _broadcast(node: Tensor, axis: int) -> list[int | None]:
    x = node.inputs[0]
    own = axis - (node.rank - x.rank)
    return [own if own >= 0 and x.shape[own] == node.shape[axis] else None]


def _reshape(node: Tensor, axis: int) -> list[int | None]:
    x = node.inputs[0]
    longs = [[a for a, d in enumerate(t.shape) if d != 1] for t in (node, x)]
    if [node.shape[a] for a in longs[0]] == [x.shape[a] for a in longs[1]]:
        return [dict(zip(*longs, strict=True)).get(axis)]
    return [0 if axis == 0 and x.rank > 0 and x.shape[0] == node.shape[0] else None]


def _untouched(is_touched: list[bool], axis: int, operands: int) -> list[int | None]:
    return [None if is_touched[axis] else axis] * operands


def _concat(node: Tensor, axis: int) -> list[int | None]:
    return [None if axis == node.attributes["axis"] else axis] * len(node.inputs)


def _take(node: Tensor, axis: int) -> list[int | None]:
    rank, paired = node.inputs[1].rank, node.attributes["paired"]
    return [axis if axis < paired else None, axis] if axis < rank else [axis - rank + paired + 1, None]


def _reduction(node: Tensor, axis: int) -> list[int | None]:
    over = node.attributes["axes"] if node.op.name != "argmax" else (node.attributes["axis"],)
    return [[a for a in range(node.inputs[0].rank) if a not in over][axis]]


def _dot(node: Tensor, axis: int) -> list[int | None]:
    over = node.attributes["axes"]
    free = [(i, a) for i, x in enumerate(node.inputs) for a in free_axes(x.rank, over[i])]
    operand, own = free[axis]
    return [own if i == operand and node.inputs[0] is not node.inputs[1] else None for i in range(2)]


def _scatter(node: Tensor, axis: int) -> list[int | None]:
    paired = node.attributes["paired"]
    if axis <= paired:
        return [axis, axis] if axis < paired else [None, None]
    return [axis - paired - 1 + node.inputs[1].rank, None]


def _window(*followed_by: dict[int, int]) -> Rule:
    """A rule for a convolution or pooling: for each operand, the axis of the result -> the operand's."""

    def rule(node: Tensor, axis: int) -> list[int | None]:
        whole = axis != 0 and node.attributes.get("groups", 1) != 1
        return [None if whole else own.get(axis) for own in followed_by]

    return rule


_RULES: dict[str, Rule] = {
    "broadcast": _broadcast,
    "reshape": _reshape,
    "transpose": lambda node, axis: [node.attributes["permutation"][axis]],
    "slice": lambda node, axis: _untouched([(r[0], r[2]) != (0, 1) for r in node.attributes["ranges"]], axis, 1),
    "pad": lambda node, axis: _untouched([p != (0, 0, 0) for p in node.attributes["padding"]], axis, 1),
    "concat": _concat,
    "take": _take,
    "sum": _reduction,
    "max": _reduction,
    "argmax": _reduction,
    "dot": _dot,
    "scatter_add": _scatter,
    "random_uniform": lambda node, axis: [None] * len(node.inputs),
    "conv2d": _window({0: 0}, {3: 3}),
    "conv2d_input_gradient": _window({0: 0}, {3: 2}),
    "conv2d_kernel_gradient": _window({2: 3}, {3: 3}),
    "max_pool2d": _window({0: 0, 3: 3}),
    "max_pool2d_gradient": _window({0: 0, 3: 3}, {0: 0, 3: 3}, {0: 0, 3: 3}),
}
"""One rule for each operation that is not computed element by element: (node, axis) -> the axis of each operand."""
