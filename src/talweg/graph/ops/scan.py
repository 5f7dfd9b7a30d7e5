"""Loops: a formula applied along one axis, again and again, that hands on what it remembers.

There is one operation. It stacks what one tensor of the loop's body was at each step; a loop of which several are
wanted is as many nodes, which differ in the attribute `output` and which engines compute together. So the last state of
a loop is the end of a stack, and its gradient, which needs what the body computed on the way, asks for further stacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from talweg.errors import GraphError, ShapeError
from talweg.graph.backward import backward
from talweg.graph.evaluate import follow, plan
from talweg.graph.functions import zeros_like
from talweg.graph.loop import Loop, closed, leaf, with_inputs
from talweg.graph.ops.contraction import dot
from talweg.graph.ops.movement import reshape
from talweg.graph.ops.movement import slice as part_of
from talweg.graph.ops.reduction import sum as sum_over
from talweg.graph.tensor import BATCH, Array, Operation, Shape, Tensor, operation, topological_order

CHEAP = (
    *("neg", "abs", "sign", "floor", "stop_gradient", "cast", "add", "sub", "mul", "maximum", "minimum"),
    *("less", "less_equal", "equal", "where", "broadcast", "reshape", "transpose", "slice", "pad", "concat"),
    *("constant", "batch_size"),
)
"""What a gradient computes again rather than to remember it."""


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _along(output: Tensor, axis: int) -> int:
    """The axis of a stack of `output` along which the steps are."""
    return min(axis, output.rank)


def _length(inputs: Sequence[Tensor], loop: Loop, axis: int) -> int:
    length = inputs[0].shape[axis] if loop.steps and inputs[0].rank > axis else None
    if not isinstance(length, int) or length < 1:
        given = list(inputs[0].shape) if loop.steps else "no sequence"
        raise ShapeError(f"a loop runs along axis {axis} of its sequences, which must be known; got {given}")
    return length


def _shape(*inputs: Tensor, loop: Loop, output: Tensor, axis: int, **_: Any) -> Shape:
    if len(inputs) != len(loop.leaves):
        raise GraphError(f"loop {loop} takes {len(loop.leaves)} tensors; got {len(inputs)}")
    length = _length(inputs, loop, axis)
    for i, (x, own) in enumerate(zip(inputs, loop.leaves, strict=True)):
        is_sequence = i < len(loop.steps)
        shape = _without(x.shape, axis) if is_sequence else x.shape
        if (shape, x.dtype) != (own.shape, own.dtype) or (is_sequence and x.shape[axis] != length):
            raise ShapeError(f"loop {loop}: {own!r} cannot be {x!r}, with {length} steps along axis {axis}")
    _check_states(loop)
    at = _along(output, axis)
    return (*output.shape[:at], length, *output.shape[at:])


def _check_states(loop: Loop) -> None:
    for before, after in zip(loop.carried, loop.following, strict=True):
        if (before.shape, before.dtype) != (after.shape, after.dtype):
            raise ShapeError(f"loop {loop}: what is carried, {before!r}, cannot become {after!r}")


def _meaning(
    *arrays: Array,
    loop: Loop,
    output: Sequence[Tensor],
    axis: int,
    reverse: bool,
    size: int,
    dtype: np.dtype[Any],
) -> list[Array]:
    n, m = len(loop.steps), len(loop.carried)
    xs, now, fixed = arrays[:n], arrays[n : n + m], dict(zip(loop.constants, arrays[n + m :], strict=True))
    steps = plan(topological_order([*loop.following, *output]), size, dtype.name)
    found: list[list[Array]] = []
    times = range(xs[0].shape[axis])
    for t in reversed(times) if reverse else times:
        given = {x: np.take(whole, t, axis) for x, whole in zip(loop.steps, xs, strict=True)}
        values = follow(steps, fixed | given | dict(zip(loop.carried, now, strict=True)))
        now = tuple(values[s] for s in loop.following)
        found.append([values[o] for o in output])
    in_order = found[::-1] if reverse else found
    return [np.stack(each, _along(o, axis)) for o, each in zip(output, zip(*in_order, strict=True), strict=True)]


def _gradient(gs: list[Tensor], ys: list[Tensor], *inputs: Tensor, **attributes: Any) -> list[Tensor | None]:
    return _Backwards(gs, ys, inputs, attributes["loop"], attributes["axis"], attributes["reverse"]).shares()


_scan: Operation = operation(
    "scan",
    "loop",
    r"y_t,\, s_t = f(x_t,\, s_{t-1})",
    _meaning,
    shape=_shape,
    dtype=lambda *inputs, output, **_: output.dtype,
    gradient=_gradient,
    kin=lambda node: (node.inputs, *(node.attributes[k] for k in ("loop", "axis", "reverse"))),
    reason="Written out, a recurrent layer is its formula once for each step: a graph too long to simplify or compile.",
)


def _stack(loop: Loop, inputs: tuple[Tensor, ...], output: Tensor, axis: int, reverse: bool) -> Tensor:
    """What `output` was at each step; a sequence itself, where that is what the loop was given."""
    if output in loop.steps:
        return inputs[loop.steps.index(output)]
    return _scan(*inputs, loop=loop, output=output, axis=axis, reverse=reverse, size=BATCH, dtype="float")


def _last(stack: Tensor, output: Tensor, axis: int, reverse: bool) -> Tensor:
    """What `output` was at the step that was done last."""
    at = _along(output, axis)
    end = 0 if reverse else stack.shape[at] - 1  # type: ignore[operator]
    ranges = [(end, end + 1) if a == at else None for a in range(stack.rank)]
    return reshape(part_of(stack, ranges), output.shape)


def scan(
    step: Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]],
    sequences: Sequence[Tensor],
    first: Sequence[Tensor],
    axis: int = 1,
    reverse: bool = False,
    name: str = "loop",
) -> tuple[list[Tensor], list[Tensor]]:
    r"""$s_t, y_t = f(x_t, s_{t-1})$ for each t: the last states, and what was put out at each step.

    step       f: ``step(*elements, *states)`` answers the new states and the outputs; it may use any other tensor, too
    sequences  the x, all of one length along `axis`; f sees them without that axis
    first      the states before the first step, in the shapes that they keep
    axis       along which the outputs are stacked, too; 1 is the first after the batch's
    reverse    whether to begin at the end; the outputs lie where their x do, in any case

    Of a number that f draws with `random_uniform` there is one for all steps.
    Raises `ShapeError` where sequences differ in length or a state changes its shape.

    >>> from talweg.graph import constant, evaluate
    >>> [total], [sums] = scan(lambda x, s: ([s + x], [s + x]), [constant([1.0, 2.0, 3.0])], [constant(0.0)], axis=0)
    >>> evaluate([sums, total])[sums]
    array([1., 3., 6.], dtype=float32)
    """
    if not sequences:
        raise ShapeError("a loop needs a sequence to run along")
    xs = [
        leaf("input", f"element {i} {x.name}".strip(), _without(x.shape, axis), x.dtype)
        for i, x in enumerate(sequences)
    ]
    states = [leaf("state", f"state {i} {s.name}".strip(), s.shape, s.dtype) for i, s in enumerate(first)]
    following, outputs = (list(part) for part in step(*xs, *states))
    if len(following) != len(states):
        raise GraphError(f"{name}: a step was given {len(states)} states and answers {len(following)}")
    results, outside = closed([*following, *outputs], {*xs, *states})
    n = len(states)
    loop = Loop(name, tuple(xs), tuple(states), tuple(outside.values()), tuple(results[:n]))
    _check_states(loop)
    inputs = (*sequences, *first, *outside)
    stack = {t: _stack(loop, inputs, t, axis, reverse) for t in results}
    return [_last(stack[t], t, axis, reverse) for t in results[:n]], [stack[t] for t in results[n:]]


# ── the gradient: the loop backwards ──────────────────────────────────────────────────────────────────────


class _Backwards:
    """Backpropagation through time (Werbos, 1990).

    The loop is run the other way, carrying ∂L/∂s. Its body is the chain rule on the body; what that needs of the way
    forward was either stacked there, or is computed again where that is cheap. The gradient of a constant is a sum over
    all steps. Where a step's share is a product or a sum, its factors are stacked, and there is one for all steps.
    """

    def __init__(
        self, gs: list[Tensor], ys: list[Tensor], inputs: tuple[Tensor, ...], loop: Loop, axis: int, reverse: bool
    ) -> None:
        self.loop, self.inputs, self.axis, self.reverse = loop, inputs, axis, reverse
        self.sent = {  # leaves of the body for what comes from outside: ∂L/∂y at this step
            leaf("input", f"gradient {i} {y.attributes['output'].name}", y.attributes["output"].shape, "float"): g
            for i, (g, y) in enumerate(zip(gs, ys, strict=True))
        }
        self.after = {  # and from the step that came after: ∂L/∂s
            s: leaf("state", f"gradient of {s.name}", s.shape, "float") for s in loop.carried if s.dtype == "float"
        }
        received: dict[Tensor, Tensor] = {}
        ends = [(y.attributes["output"], g) for y, g in zip(ys, self.sent, strict=True)]
        ends += [(new, self.after[s]) for s, new in zip(loop.carried, loop.following, strict=True) if s in self.after]
        for t, g in ends:
            received[t] = received[t] + g if t in received else g
        self.slopes = dict(zip(loop.leaves, backward(received, loop.leaves), strict=True))
        found = [d for d in self.slopes.values() if d is not None]
        order, arrived = topological_order(found), {*self.sent, *self.after.values()}
        self.late = set(arrived)  # what depends on what was received
        for node in order:
            if any(x in self.late for x in node.inputs):
                self.late.add(node)
        self._write(order, {*found})

    def _write(self, order: list[Tensor], wanted: set[Tensor]) -> None:
        """The body of the loop backwards: the chain rule, with leaves for what it needs of the way forward."""
        for node in reversed(order):
            if node in wanted and (node in self.late or node.op.name in CHEAP):
                wanted.update(node.inputs)
        steps, constants, new = dict(self.sent), dict[Tensor, Tensor](), dict[Tensor, Tensor]()
        for node in (n for n in order if n in wanted):
            if node in self.late or node.op.name in CHEAP:
                new[node] = with_inputs(node, new)
            elif node in self.loop.constants:
                constants[node] = self.inputs[self.loop.leaves.index(node)]
                new[node] = node
            else:
                new[node] = leaf("input", f"saved {len(steps)} {node.name}", node.shape, node.dtype)
                steps[new[node]] = self._forwards(node)
        self.new = new
        following = [zeros_like(s) if (d := self.slopes[s]) is None else new[d] for s in self.after]
        name, carried = f"{self.loop.name} backwards", tuple(self.after.values())
        self.back = Loop(name, tuple(steps), carried, tuple(constants), tuple(following))
        self.given = (*steps.values(), *(zeros_like(s) for s in carried), *constants.values())

    def _forwards(self, node: Tensor) -> Tensor:
        return _stack(self.loop, self.inputs, node, self.axis, self.reverse)

    def _stacked(self, node: Tensor) -> Tensor:
        """What a tensor of the chain rule is at each step."""
        if node not in self.late:
            return self._forwards(node)
        return _stack(self.back, self.given, self.new[node], self.axis, not self.reverse)

    def _total(self, node: Tensor) -> Tensor:
        """The sum over all steps of a tensor of the chain rule."""
        name = node.op.name
        places = [_along(x, self.axis) for x in node.inputs]
        if name == "dot":
            pairs = zip(places, node.attributes["axes"], strict=True)
            a, b = ((p, *(i + (i >= p) for i in over)) for p, over in pairs)
            return dot(self._stacked(node.inputs[0]), self._stacked(node.inputs[1]), (a, b))
        if name == "sum":
            [p] = places
            return sum_over(self._stacked(node.inputs[0]), [p, *(i + (i >= p) for i in node.attributes["axes"])])
        if name in ("reshape", "transpose", "broadcast", "neg"):
            return node.op(self._total(node.inputs[0]), **node.attributes)
        if name == "add" and all(x in self.late for x in node.inputs):
            return self._total(node.inputs[0]) + self._total(node.inputs[1])
        return sum_over(self._stacked(node), _along(node, self.axis))

    def shares(self) -> list[Tensor | None]:
        """∂L/∂x for each input of the scan."""
        out: list[Tensor | None] = []
        for own in self.loop.leaves:
            d = self.slopes[own]
            if d is None or own.dtype != "float":
                out.append(None)
            elif own in self.loop.steps:
                out.append(self._stacked(d))
            elif own in self.loop.carried:
                stack = self._stacked(d)
                out.append(_last(stack, own, self.axis, not self.reverse))
            else:
                out.append(self._total(d))
        return out
