"""Cases of `scan`: loops of several kinds, along any axis and in both directions, with oracles that are loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from conformance.drawing import Case, Operand, between, lengths, seeds
from talweg import graph as g
from talweg.graph import BATCH, Array, Shape, Tensor

Step = Callable[..., tuple[list[Any], list[Any]]]


@dataclass(frozen=True)
class Kind:
    """A step on tensors and the same on arrays; shapes of an element, of each state, of each constant."""

    step: Callable[..., tuple[list[Tensor], list[Tensor]]]
    oracle: Callable[..., tuple[list[Array], list[Array]]]
    element: Shape
    states: Sequence[Shape]
    constants: Sequence[Shape] = ()


def sums(x: Any, s: Any) -> Any:
    return [s + x], [s * x, s]


def recurrence(tanh: Callable[[Any], Any]) -> Step:
    def step(x: Any, s: Any, w: Any, u: Any, b: Any) -> Any:
        h = tanh(x @ w + s @ u + b)
        return [h], [h, s]

    return step


def gates(tanh: Callable[[Any], Any], sigmoid: Callable[[Any], Any]) -> Step:
    """Two states; a constant that is multiplied, one that is transformed inside; a product of states."""

    def step(x: Any, h: Any, c: Any, u: Any, v: Any) -> Any:
        gate = sigmoid(h @ u + x)
        c = gate * c + (1.0 - gate) * tanh(x * v)
        return [gate * tanh(c) + h * (c @ (u * u)), c], [c * h, gate]

    return step


def counting(where: Callable[..., Any]) -> Step:
    """A state that is a whole number in all but name, a choice, a slope that goes through one branch only."""

    def step(x: Any, s: Any, n: Any) -> Any:
        s = where(n < 2, s * x, s - x)
        return [s, n + 1.0], [s]

    return step


def kinds(rows: Any, inputs: int, units: int) -> list[Kind]:
    a, b = (rows, inputs), (rows, units)
    logistic = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    return [
        Kind(sums, sums, b, [b]),
        Kind(recurrence(g.tanh), recurrence(np.tanh), a, [b], [(inputs, units), (units, units), (units,)]),
        Kind(gates(g.tanh, g.sigmoid), gates(np.tanh, logistic), b, [b, b], [(units, units), (units,)]),
        Kind(counting(g.where), counting(np.where), b, [b, b]),
    ]


@st.composite
def loops(draw: st.DrawFn) -> Case:
    """The answer is one stack, or the last of one state, or all added up, so that they have one gradient."""
    rows = draw(st.one_of(st.just(BATCH), lengths))
    kind = kinds(rows, draw(lengths), draw(lengths))[draw(st.integers(0, 3))]
    axis, reverse, length = draw(st.integers(rows is BATCH, 2)), draw(st.booleans()), draw(st.integers(1, 4))
    what = draw(st.sampled_from(["output", "state", "all"]))
    n, counts = len(kind.states), np.arange(1.0, length + 1).reshape([length if a == axis else 1 for a in range(3)])

    def answer(
        last: Sequence[Any], stacks: Sequence[Any], total: Callable[..., Any], number: Callable[..., Any]
    ) -> Any:
        if what != "all":
            return (stacks if what == "output" else last)[-1]
        weighted = [total(y * number(counts), axis) for y in stacks]  # each step counts differently
        return sum([*last[1:], *weighted], last[0])

    def write(x: Tensor, *rest: Tensor) -> Tensor:
        found = g.scan(lambda now, *s: kind.step(now, *s, *rest[n:]), [x], rest[:n], axis, reverse)
        return answer(*found, g.sum, g.constant)  # type: ignore[no-any-return]

    def oracle(_: int, x: Array, *rest: Array) -> Array:
        states, found = list(rest[:n]), []
        for now in list(np.moveaxis(x, axis, 0))[:: -1 if reverse else 1]:
            states, outputs = kind.oracle(now, *states, *rest[n:])
            found.append(outputs)
        stacks = [np.stack(each, axis) for each in zip(*found[:: -1 if reverse else 1], strict=True)]
        return answer(states, stacks, np.sum, np.asarray)  # type: ignore[no-any-return]

    shapes = [(*kind.element[:axis], length, *kind.element[axis:]), *kind.states, *kind.constants]
    return Case(write, tuple(Operand(s, between(-1, 1)) for s in shapes), oracle, "", draw(seeds))
