"""Backpropagation: random graphs against central differences, slopes of slopes, and what has no slope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.differences import assert_gradients
from talweg import graph as g
from talweg.errors import GraphError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor, constant, input_tensor, state_tensor
from talweg.graph.evaluate import follow, plan
from talweg.passes import simplify

ROWS = 3
SMOOTH: list[Any] = [
    g.tanh,
    g.sigmoid,
    g.sin,
    g.cos,
    g.erf,
    g.softplus,
    g.softmax,
    g.log_softmax,
    lambda t: g.exp(t * 0.3),
    lambda t: g.expm1(t * 0.2),
    lambda t: g.log(t * t + 1),
    lambda t: g.log1p(t * t),
    lambda t: g.sqrt(t * t + 0.5),
    lambda t: -t,
    lambda t: 1 / (1 + t * t),
    lambda t: (1 + g.sigmoid(t)) ** 1.5,
    lambda t: t - g.mean(t, 0),
    lambda t: t / (1 + g.variance(t, axis=-1, keepdims=True)),
    lambda t: g.stop_gradient(g.constant(2.0)) * t,
    lambda t: t * g.logsumexp(t, keepdims=True) * 0.3,
    lambda t: g.reshape(g.transpose(g.reshape(t, (t.shape[0], 2, 2)), (0, 2, 1)), t.shape),
    lambda t: g.slice(g.pad(t, [(0, 0), (1, 1, 1)]), [None, (1, 9, 2)]),
    lambda t: g.concat([g.slice(t, [None, (2, 4)]), g.slice(t, [None, (0, 2)])]),
    lambda t: g.where(t < 100.0, t * 1.5, t),
    lambda t: g.maximum(t, -100.0) + g.minimum(t, 100.0),
]
PAIRS: list[Any] = [
    lambda a, b: a + b,
    lambda a, b: a - 2 * b,
    lambda a, b: a * b * 0.5,
    lambda a, b: a / (1 + b * b),
    lambda a, b: a * g.sum(b, axis=-1, keepdims=True) * 0.3,
    lambda a, b: a + g.mean(b, axis=0),
    lambda a, b: g.dot(g.dot(a, b, ((1,), (1,))), b, ((1,), (0,))) * 0.1,  # (batch, batch) in between
    lambda a, b: g.concat([g.slice(a, [None, (0, 3)]), g.slice(b, [None, (0, 1)])]),
]


@st.composite
def losses(draw: st.DrawFn) -> tuple[Tensor, list[Tensor]]:
    """A loss of x (batch, 4), w (4, 4) and v (4,), by a handful of random formulas, some parts used several times."""
    x, w, v = input_tensor("x", (BATCH, 4)), state_tensor("w", (4, 4)), state_tensor("v", (4,))
    pool = [x, x @ w, g.tanh(x) + v]
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.integers(0, len(SMOOTH) + len(PAIRS) - 1))
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        pool.append(SMOOTH[kind](a) if kind < len(SMOOTH) else PAIRS[kind - len(SMOOTH)](a, b))
    return g.mean(pool[-1] * 0.7 + g.sin(pool[-1])) + 0.1 * g.sum(g.square(w)), [x, w, v]


@settings(max_examples=60)
@given(written=losses(), seed=st.integers(0, 2**16))
def test_random_graphs(written: tuple[Tensor, list[Tensor]], seed: int) -> None:
    """Relative tolerance 1e-6 in float64; simplified, the same bits."""
    loss, wrt = written
    random = np.random.default_rng(seed)
    feeds = {t: random.normal(size=[ROWS if d is BATCH else d for d in t.shape]) for t in wrt}
    assert_gradients(loss, wrt, feeds, ROWS)
    x, *states = wrt
    slopes = {f"d{i}": d for i, d in enumerate(gradient(loss, wrt))}
    program = Program("p", (x,), tuple(states), {"loss": loss, **slopes}, {})
    simple = simplify(program)
    g.check(program)
    g.check(simple)
    before, after = (side_by_side(p, feeds) for p in (program, simple))
    for name, t in program.outputs.items():
        np.testing.assert_array_equal(after[simple.outputs[name]], before[t])


def side_by_side(program: Program, feeds: Mapping[Tensor, Array]) -> dict[Tensor, Array]:
    """The value of every node, none a view of another: NumPy rounds otherwise where elements do not follow on."""
    return follow(plan(program.order, ROWS, "float64"), feeds, lambda value: np.array(value, order="C"))


@pytest.mark.parametrize("formula", SMOOTH[:19])
def test_slopes_of_slopes(formula: Any) -> None:
    """The gradient is a graph like any other, so it has a gradient."""
    x = input_tensor("x", (BATCH, 4))
    [slope] = gradient(g.sum(formula(x) * formula(x)), [x])
    values = np.random.default_rng(0).normal(size=(2, 4))
    assert_gradients(g.sum(slope * constant([0.3, -1.0, 0.5, 2.0])), [x], {x: values}, 2)


def test_a_tensor_used_several_times_receives_the_sum() -> None:
    w = constant(3.0)
    [slope] = gradient(w * w + w, [w])
    assert float(g.evaluate([slope])[slope]) == 7


def test_along_nodes_within_and_the_loss_itself() -> None:
    x = input_tensor("x", (2,))
    inner = g.exp(x)
    loss = g.sum(inner * inner)
    along_inner, along_loss, along_x = gradient(loss, [inner, loss, x])
    values = g.evaluate([along_inner, along_loss, along_x], {x: np.zeros(2)})
    assert values[along_inner].tolist() == [2, 2] and values[along_loss] == 1 and values[along_x].tolist() == [2, 2]


def test_what_the_loss_does_not_depend_on_has_slope_0() -> None:
    x, other, labels = input_tensor("x", (2,)), state_tensor("w", (3, 2)), input_tensor("labels", (2,), "int")
    loss = g.sum(
        g.stop_gradient(x) + g.cast(labels, "float") + g.cast(g.argmax(g.reshape(x, (2, 1))), "float") + g.floor(x)
    )
    for slope, wrt in zip(gradient(loss, [x, other]), (x, other), strict=True):
        assert slope.shape == wrt.shape
        assert not g.evaluate([slope], {x: np.ones(2), labels: np.array([0, 1], np.int32)})[slope].any()
    assert all(t.op.name in ("constant", "broadcast") for t in g.topological_order(gradient(loss, [other])))


@pytest.mark.parametrize("loss", [constant([1.0, 2.0]), constant(3), constant(True), input_tensor("x", (BATCH,))])
def test_only_one_float_number_has_a_gradient(loss: Tensor) -> None:
    with pytest.raises(GraphError, match=r"a gradient is taken of one float number.*Sum or average"):
        gradient(loss, [loss])


def test_the_walk_is_one_pass() -> None:
    """The graph of the gradient grows with the graph, not with the number of its paths (2¹⁰⁰ here)."""
    w = constant(0.5)
    y = w
    for _ in range(100):
        y = y * y + y
    [slope] = gradient(y, [w])
    assert len(g.topological_order([slope])) < 1200
