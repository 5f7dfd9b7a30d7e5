"""Loops: what is refused, what is printed, and what the gradient of one looks like. Values: conformance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from talweg import graph as g
from talweg.errors import GraphError, ShapeError
from talweg.gradient import gradient
from talweg.graph import BATCH, Program, Tensor, check, input_tensor, state_tensor, to_text
from talweg.graph.loop import bodies
from talweg.passes import simplify

X, H = input_tensor("x", (BATCH, 5, 3)), input_tensor("h", (BATCH, 2))
W, U, B = state_tensor("w", (3, 2)), state_tensor("u", (2, 2)), state_tensor("b", (2,))


def step(x: Tensor, h: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    h = g.tanh(x @ W + h @ U + B)
    return [h], [h, h * 2.0]


def network() -> tuple[Tensor, Program]:
    [last], [h, doubled] = g.scan(step, [X], [H], name="rnn")
    loss = g.sum(h * h) + g.sum(last) + g.sum(g.sin(doubled))
    slopes = {f"d{t.name}": d for t, d in zip((W, U, B, X, H), gradient(loss, [W, U, B, X, H]), strict=True)}
    return loss, Program("p", (X, H), (W, U, B), {"loss": loss, **slopes}, {})


VALUES = {t: np.random.default_rng(1).normal(size=[2 if d is BATCH else d for d in t.shape]) for t in (X, H, W, U, B)}


def test_all_that_is_asked_of_a_loop_has_one_gradient() -> None:
    loss, program = network()
    check(program)
    simple = simplify(program)
    check(simple)
    forwards, backwards = bodies(simple)
    assert (forwards.name, backwards.name) == ("rnn", "rnn backwards")
    assert len(bodies(program)) == 2
    assert_gradients(loss, [W, U, B, X, H], VALUES, 2)


def test_a_weight_s_gradient_is_one_product_after_the_loop() -> None:
    _, program = network()
    _, backwards = bodies(simplify(program))
    assert all(BATCH in t.shape for t in backwards.carried), "nothing of a weight's shape is carried"
    for name in ("dw", "du"):
        made = simplify(program).outputs[name]
        assert made.op.name == "dot" and made.attributes["axes"] in (((1, 0), (1, 0)), ((0, 1), (0, 1)))
    assert simplify(program).outputs["db"].op.name == "sum"


def test_slopes_of_slopes() -> None:
    loss, _ = network()
    slope = g.sum(g.square(gradient(loss, [U])[0]))
    assert_gradients(slope, [U, X, H], VALUES, 2)


def test_what_does_not_depend_on_the_step_is_computed_outside() -> None:
    [last], _ = g.scan(lambda x, h: ([h + x @ g.exp(W)], []), [X], [H])
    program = Program("p", (X, H), (W,), {"last": last}, {})
    [body] = bodies(program).values()
    assert [n.op.name for n in program.order].count("exp") == 1
    assert "exp" not in [n.op.name for n in body.order]


def test_a_step_is_simplified_and_printed() -> None:
    [last], _ = g.scan(lambda x, h: ([h * 1.0 + g.sum(x, -1, keepdims=True) + 0.0], []), [X], [H], name="adding")
    program = simplify(Program("p", (X, H), (), {"last": last}, {}))
    [body] = bodies(program).values()
    assert [n.op.name for n in body.order if n.op.name in ("mul", "add")] == ["add"]
    text = to_text(program)
    assert "loop=adding, output=" in text and "\n  loop adding\n" in text and "update state 0 h <-" in text
    label = text.split("output=")[1].split(",")[0]
    assert f"    {label} " in text, "the output is called as in the body"


def test_the_checker_looks_into_loops() -> None:
    [last], _ = g.scan(lambda x, h: ([h + g.sum(x, -1, keepdims=True)], []), [X], [H])
    scan = next(n for n in g.topological_order([last]) if n.op.name == "scan")
    stranger = input_tensor("stranger", (BATCH, 2))
    wrong = replace(scan, attributes={**scan.attributes, "output": stranger})
    with pytest.raises(GraphError, match="this input is read but not declared"):
        check(Program("p", (X, H), (), {"y": wrong}, {}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: g.scan(lambda h: ([h], []), [], [H]), "needs a sequence"),
        (
            lambda: g.scan(lambda x, y, h: ([h], []), [X, input_tensor("y", (BATCH, 4))], [H]),
            "with 5 steps along axis 1",
        ),
        (lambda: g.scan(lambda x, h: ([x], []), [X], [H]), "cannot become"),
        (lambda: g.scan(lambda x, h: ([], []), [X], [H]), "was given 1 states and answers 0"),
        (lambda: g.scan(lambda x, h: ([h], []), [X], [H], axis=0), "must be known"),
    ],
)
def test_what_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ShapeError, GraphError), match=message):
        make()
