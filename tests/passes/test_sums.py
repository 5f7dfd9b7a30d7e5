"""Known sums: what follows from another sum is not taken, the value stays, and what does not follow is left alone."""

from __future__ import annotations

import numpy as np
import pytest

import talweg
from talweg import graph as g
from talweg.graph import BATCH, Program, Tensor, constant, evaluate, input_tensor
from talweg.passes import known_sums, simplify

ROWS = 5
X, Y = input_tensor("x", (BATCH, 4, 6)), input_tensor("y", (BATCH, 4, 6))
S, COLUMN = input_tensor("s", (6,)), input_tensor("column", (4, 1))
AXES = (0, 1)


def sums(program: Program) -> list[Tensor]:
    """What is summed."""
    return [n.inputs[0] for n in program.order if n.op.name == "sum"]


def passed(*results: Tensor) -> Program:
    """The program of `results` after the pass, which means the same and is not changed by another pass."""
    leaves = (X, Y, S, COLUMN)
    program = simplify(Program("p", leaves, (), {str(i): t for i, t in enumerate(results)}, {}))
    out = known_sums(program)
    g.check(out)
    assert known_sums(out) is out
    random = np.random.default_rng(0)
    feeds = {t: random.uniform(0.5, 2.0, [ROWS if d is BATCH else d for d in t.shape]) for t in leaves}
    before, after = (evaluate(p.results, feeds, ROWS, "float64") for p in (program, out))
    for a, b in zip(program.results, out.results, strict=True):
        np.testing.assert_allclose(after[b], before[a], rtol=1e-12, atol=1e-12)
    return out


LEFT = Y - g.mean(Y, AXES)

KNOWN = {
    "s a": X * S,
    "a s": S * X,
    "a / s": X / S,
    "-a": -(2.0 * X),
    "a number": X * 3.0,
    "a + 0": X * S + LEFT,
    "0 + a": LEFT * S + X,
    "a - 0": X - LEFT / S,
    "0 - a": LEFT - S * X,
    "0 twice": (X * S + LEFT) + LEFT * S,
    "0": LEFT,
    "0 of a mean that kept its axes": Y - g.mean(Y, AXES, keepdims=True),
    "0 of a mean over one of the axes": (Y - g.mean(Y, 1, keepdims=True)) * S,
    "0 of a mean over the other": Y - g.mean(Y, 0),
    "a repetition": g.broadcast_to(S, X.shape),
    "a repeated number": g.broadcast_to(constant(3.0), X.shape),
}


@pytest.mark.parametrize("e", KNOWN.values(), ids=KNOWN)
def test_what_follows_is_not_summed(e: Tensor) -> None:
    out = passed(g.sum(X, AXES), g.sum(e, AXES))
    assert X in sums(out) and all(t in (X, Y) for t in sums(out))


UNKNOWN = {
    "another": X * X,
    "a / x": S / X,
    "not the same along an axis": X * COLUMN,
    "not the same along the batch": X * g.sum(Y, 2, keepdims=True),
    "no mean": Y - g.sum(Y, AXES) / 7.0 + X,
    "a mean over an axis that stays": Y - g.mean(Y, 2, keepdims=True),
    "the mean of another": Y - g.mean(X, AXES),
    "the count of other axes": Y - g.sum(Y, AXES) / (6.0 * g.batch_size()),
    "the count without the batch": Y - g.sum(Y, AXES) / 24.0,
    "a function": g.exp(X),
    "a sum of two sums, which could cancel": X - g.broadcast_to(S, X.shape),
}


@pytest.mark.parametrize("e", UNKNOWN.values(), ids=UNKNOWN)
def test_what_does_not_follow_is_summed(e: Tensor) -> None:
    assert [n for n in sums(passed(g.sum(X, AXES), g.sum(e, AXES))) if n is not X and n is not Y]


def test_other_axes_are_other_sums() -> None:
    assert len(sums(passed(g.sum(X, 0), g.sum(X * S, AXES)))) == 2
    assert len(sums(passed(g.sum(X, (0, 1, 2)), g.sum(X * 2.0, (0, 1, 2))))) == 1


def test_a_mean_that_is_set_against_other_places_is_no_mean_there() -> None:
    square = input_tensor("square", (20, 20))
    across = g.sum(square - g.mean(square, 1), 1)  # the mean of row i is taken from column i
    program = simplify(Program("p", (square,), (), {"y": across}, {}))
    assert known_sums(program) is program


def test_short_sums_and_numbers_without_fractions_are_left_alone() -> None:
    e = input_tensor("e", (8, 3))
    n = input_tensor("n", (BATCH, 3), "int")
    for x, factor in ((e, 2.0), (n, 2)):
        program = simplify(Program("p", (e, n), (), {"a": g.sum(x, 0), "b": g.sum(x * factor, 0)}, {}))
        assert known_sums(program) is program


def test_the_number_of_rows_is_not_counted() -> None:
    out = passed(g.sum(g.broadcast_to(constant(1.0), (BATCH,))))
    assert [n.op.name for n in out.order] == ["batch_size"]


def test_a_deep_graph_is_gone_through() -> None:
    deep = X
    for _ in range(2000):
        deep = deep + deep
    assert len(sums(passed(g.sum(X, AXES), g.sum(deep * S, AXES)))) == 2


def test_batch_normalization_takes_two_sums_on_its_way_back() -> None:
    """γ's and β's gradients; the one that its input needs follows from that of β."""
    convolution = talweg.layers.Conv2D(3, 2, use_bias=False)
    layers = [convolution, talweg.layers.BatchNormalization(), talweg.layers.Activation("relu")]
    model = talweg.Sequential([talweg.layers.Input((5, 5, 2)), *layers])
    model.compile("sgd", "mse")
    program = simplify(model.program("train", model.usual_form()), "float32")
    before, after = (
        [n for n in p.order if n.op.name == "sum" and n.shape == (3,)] for p in (program, known_sums(program))
    )
    assert (len(before), len(after)) == (5, 4)
