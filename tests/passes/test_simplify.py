"""Simplify: what it takes away, what it must leave, and that no bit of a result changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Program, Tensor, constant, evaluate, input_tensor, state_tensor, to_text
from talweg.passes import simplify
from talweg.passes.simplify import LARGEST_FOLDED, SHORTER

X, Y, V = input_tensor("x", (BATCH, 2)), input_tensor("y", (2, 3)), input_tensor("v", (2,))


def simple(t: Tensor, precision: str = "float64") -> Tensor:
    program = Program("p", (X, Y, V), (), {"t": t}, {})
    out = simplify(program, precision)
    g.check(out)
    return out.outputs["t"]


def kinds(t: Tensor) -> list[str]:
    return sorted(node.op.name for node in g.topological_order([t]))


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x + 0,
        lambda x: 0 + x,
        lambda x: x - 0,
        lambda x: x * 1,
        lambda x: 1.0 * x,
        lambda x: x / 1,
        lambda x: -(0 + -x),
        lambda x: g.stop_gradient(x),
        lambda x: g.where(x > 0, x, x),
        lambda x: g.reshape(g.reshape(x, (BATCH, 1, 2)), (BATCH, 2)),
        lambda x: g.transpose(g.transpose(x)),
        lambda x: (x + np.zeros((1, 1))) * (2 - constant(1.0)),
        lambda x: x * (g.reshape(constant([[3.0]]), ()) - 2.0),
        lambda x: g.reshape(g.sum(g.reshape(x, (BATCH, 1, 2, 1)), (1, 3)), x.shape),
        lambda x: g.reshape(g.max(g.reshape(x, (BATCH, 1, 2)), 1), x.shape),
        lambda x: x * g.exp(g.broadcast_to(constant(0.0), (BATCH, 2))),
        lambda x: x + g.reshape(g.broadcast_to(constant(0.0), (BATCH,)), (BATCH, 1)),
    ],
)
def test_identities_fall_away(write: Callable[[Tensor], Tensor]) -> None:
    assert simple(write(X)) is X


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x * 0,  # x may be NaN
        lambda x: 0 / x,
        lambda x: x - x,
        lambda x: x / x,
        lambda x: 0 - x,
        lambda x: 1 / x,
        lambda x: x**1,
        lambda x: (x + 1e9) - 1e9,  # sums keep their order
        lambda x: (x + 1) + 2,
        lambda x: x * 2 * 3,
        lambda x: g.where(x > 0, x, 0.0),
        lambda x: x / 3,
        lambda x: x / 0,
        lambda x: x / -4,
        lambda x: x / 2.0**100,  # its inverse need not be a number that float32 has to all its digits
        lambda x: g.max(-x, 1),
    ],
)
def test_what_must_stay_stays(write: Callable[[Tensor], Tensor]) -> None:
    y = write(X)
    z = simple(y)
    assert set(kinds(z)) == set(kinds(y))
    bad = np.array([[np.nan, np.inf], [-np.inf, 0.0], [1e-30, 3.0]])
    np.testing.assert_array_equal(evaluate([z], {X: bad}, 3)[z], evaluate([y], {X: bad}, 3)[y])


@pytest.mark.parametrize(
    ("write", "short"),
    [
        (lambda x: x / 4, lambda x: x * 0.25),
        (lambda x: g.sum(-x, 1), lambda x: -g.sum(x, 1)),
        (lambda x: x * g.exp(g.broadcast_to(V, (BATCH, 2))), lambda x: x * g.exp(V)),
        (lambda x: x * g.reshape(V, (1, 2)), lambda x: x * V),
        (lambda x: x + -g.reshape(g.broadcast_to(g.sum(V), (BATCH,)), (BATCH, 1)), lambda x: x + -g.sum(V)),
    ],
)
def test_what_is_written_shorter(write: Callable[[Tensor], Tensor], short: Callable[[Tensor], Tensor]) -> None:
    y, z = write(X), simple(write(X))
    assert to_text(Program("p", (X, V), (), {"y": z}, {})) == to_text(Program("p", (X, V), (), {"y": short(X)}, {}))
    feeds = {X: np.array([[np.nan, np.inf], [-np.inf, 0.0], [1e-30, 3.0]]), V: np.array([0.3, -2.0])}
    np.testing.assert_array_equal(evaluate([z], feeds, 3)[z], evaluate([y], feeds, 3)[y])


def test_equal_nodes_are_merged_and_different_ones_are_not() -> None:
    assert kinds(simple(g.exp(X) + g.exp(X))) == ["add", "exp", "input"]
    assert kinds(simple(g.exp(X * 2) * g.exp(2 * X))).count("exp") == 2, "a · b and b · a are not looked for"
    assert kinds(simple(g.sum(Y, 0, keepdims=True) @ g.transpose(Y) + g.sum(Y, 1))).count("sum") == 2
    assert kinds(simple(constant(1.5) * X + constant(1.5))).count("constant") == 1
    same_bytes = g.cast(X, "int") + constant(1), X + constant(np.frombuffer(np.int64(1).tobytes(), np.float64)[0])
    assert simple(same_bytes[0]).inputs[1].inputs[0].dtype == "int" and simple(same_bytes[1]).dtype == "float"


def test_equal_chance_is_one_and_other_streams_are_others() -> None:
    seed, step = input_tensor("seed", (2,), "uint"), input_tensor("step", (), "uint")
    draw = lambda stream: g.random_uniform(seed, step, (4,), stream)  # noqa: E731
    program = Program("p", (seed, step), (), {"a": draw(2), "b": draw(2), "c": draw(4)}, {})
    out = simplify(program).outputs
    assert out["a"] is out["b"] and out["a"] is not out["c"]


def test_constants_are_computed_as_the_engine_would() -> None:
    y = (g.exp(constant(0.1)) * 3 + 0.7) * g.sum(constant([1.1, 2.3]) / constant([0.3, 0.7]))
    for precision in ("float32", "float64"):
        z = simple(y, precision)
        assert kinds(z) == ["constant"]
        np.testing.assert_array_equal(evaluate([z], precision=precision)[z], evaluate([y], precision=precision)[y])
    assert kinds(simple(g.cast(constant([1, 2]), "float") + g.cast(constant([True, False]), "float"))) == ["constant"]
    assert np.isnan(simple(constant(0.0) / 0.0).attributes["value"])


def test_large_constants_the_batch_and_broadcasts_are_not_carried() -> None:
    large = g.exp(g.pad(constant([1.0]), [(0, LARGEST_FOLDED)]))
    assert "exp" in kinds(simple(large))
    assert simple(constant(1.0) + g.broadcast_to(constant(2.0), (BATCH,))).shape == (BATCH,)
    assert "batch_size" in kinds(simple(g.mean(X)))
    assert kinds(simple(X + 1)) == ["add", "broadcast", "constant", "input"]
    twice = TABLE["broadcast"](TABLE["broadcast"](constant(2.0), shape=(3,)), shape=(2, 3))
    assert kinds(simple(Y * twice)).count("broadcast") == 1
    assert kinds(simple(Y * g.broadcast_to(g.broadcast_to(constant(1.0), (3,)), (2, 3)))) == ["input"]


def test_dead_nodes_are_gone_and_the_form_of_the_program_is_kept() -> None:
    w = state_tensor("w", (2, 2))
    loss = g.mean(g.square(X @ w)).named("loss")
    [slope] = gradient(loss, [w])
    program = Program("p", (X, Y), (w,), {"loss": loss, "again": loss}, {w: w - 0.1 * slope})
    out = simplify(program)
    g.check(out)
    assert (out.name, out.inputs, out.states) == (program.name, program.inputs, program.states)
    assert list(out.outputs) == ["loss", "again"] and list(out.updates) == [w]
    assert out.outputs["loss"] is out.outputs["again"] and len(out.order) < len(program.order)
    assert simplify(out).order == out.order, "once is enough"
    assert program.outputs["loss"] is loss, "the program that was given is as it was"


def test_rules_are_for_operations_of_the_table() -> None:
    assert set(SHORTER) <= set(TABLE)
