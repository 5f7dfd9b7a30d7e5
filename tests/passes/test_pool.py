"""Pool first: what moves behind the pooling and what must not, with ties, NaN and windows that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor, evaluate, input_tensor
from talweg.passes import crop, pool_first, simplify

X, B = input_tensor("x", (BATCH, 7, 8, 3)), input_tensor("b", (3,))
ROWS = 2


def relu(z: Tensor) -> Tensor:
    return g.where(z <= 0, 0.0, z)


def program_of(results: Iterable[Tensor]) -> Program:
    wanted = list(results)
    leaves = tuple(t for t in g.topological_order(wanted) if t.is_leaf)
    return simplify(Program("p", leaves, (), {f"y{i}": t for i, t in enumerate(wanted)}, {}))


def slopes(y: Tensor, *wrt: Tensor) -> list[Tensor]:
    """y, and how a sum that weighs all of its elements differently moves with each of `wrt`."""
    return [y, *gradient(g.sum(y * input_tensor("weights", y.shape)), wrt)]


def known(t: Tensor) -> list[int]:
    return [ROWS if d is BATCH else d for d in t.shape]


def both(program: Program, feeds: dict[str, Array]) -> list[tuple[Array, Array]]:
    """Each result before and after the pass, which has nothing left to do then."""
    out = pool_first(program)
    g.check(out)
    assert pool_first(out).order == out.order, "once is enough"
    given_ = {t: feeds[t.name] for t in program.inputs}
    before, after = (evaluate(p.results, given_, ROWS, "float64") for p in (program, out))
    return [(before[a], after[b]) for a, b in zip(program.results, out.results, strict=True)]


def sizes(program: Program, name: str) -> set[int]:
    """The heights at which an operation is applied to pictures."""
    return {n.inputs[0].shape[1] for n in program.order if n.op.name == name and len(n.inputs[0].shape) == 4}  # type: ignore[misc]


@st.composite
def pooled(draw: st.DrawFn) -> tuple[Tensor, dict[str, Array], bool]:
    """A pooling of x, with relu and b before it in some order; numbers, with ties where there is no b to break them."""
    forms: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": relu,
        "bias": lambda z: B + z,
        "relu of bias": lambda z: relu(z + B),
        "bias of relu": lambda z: relu(z) + B,
        "relu twice": lambda z: relu(relu(z)),
    }
    kind = draw(st.sampled_from(sorted(forms)))
    size, strides = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    y = g.max_pool2d(forms[kind](X), size, strides)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    has_ties = "bias" not in kind
    x = random.integers(-2, 3, (ROWS, 7, 8, 3)).astype(float) if has_ties else random.normal(size=(ROWS, 7, 8, 3))
    if draw(st.booleans()):
        x[0, 3:5, 2] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    feeds = {"x": x, "b": random.normal(size=3), "weights": random.normal(size=known(y))}
    return y, feeds, has_ties


@settings(max_examples=200, deadline=None)
@given(pooled())
def test_values_and_slopes_stay(case: tuple[Tensor, dict[str, Array], bool]) -> None:
    y, feeds, is_exact = case
    program = program_of(slopes(y, X, *([B] if any(t is B for t in g.topological_order([y])) else [])))
    with np.errstate(invalid="ignore"):
        (values, values_after), *rest = both(program, feeds)
    np.testing.assert_array_equal(values_after, values)
    for before, after in rest:
        if is_exact:
            np.testing.assert_array_equal(after, before)
        else:
            np.testing.assert_allclose(after, before, rtol=1e-12, atol=1e-12)
    assert "where" not in {n.op.name for n in pool_first(program).order} or sizes(pool_first(program), "where") == {
        y.shape[1]
    }


def test_nothing_elementwise_is_left_before_the_pooling() -> None:
    out = pool_first(program_of(slopes(g.max_pool2d(relu(X + B)), X, B)))
    assert sizes(out, "add") == sizes(out, "less_equal") == sizes(out, "sum") == {3}
    assert [n.inputs[0] for n in out.order if n.op.name == "max_pool2d"] == [X]


def test_the_larger_of_two_that_b_makes_equal_gets_the_gradient() -> None:
    y = g.max_pool2d(g.slice(X, [None, (0, 1), (0, 2), (0, 1)]) + g.reshape(input_tensor("b", ()), (1,)), (1, 2))
    program = program_of(slopes(y, X))
    x = np.zeros((ROWS, 7, 8, 3))
    x[:, 0, 1, 0] = 1e-20
    _, (before, after) = both(program, {"x": x, "b": np.array(1.0), "weights": np.ones((ROWS, 1, 1, 1))})
    assert before[0, 0, 0, 0] == 1 and after[0, 0, 1, 0] == 1 and before.sum() == after.sum()


@pytest.mark.parametrize(
    "results",
    [
        lambda z: [g.max_pool2d(relu(z)), g.sum(relu(z))],  # read elsewhere
        lambda z: [relu(z), g.max_pool2d(relu(z))],  # a result
        lambda z: [g.max_pool2d(g.where(z <= 1, 0.0, z))],  # no relu
        lambda z: [g.max_pool2d(g.where(z <= 0, 1.0, z))],
        lambda z: [g.max_pool2d(g.where(z <= 0, z, 0.0))],
        lambda z: [g.max_pool2d(g.where(X <= 0, 0.0, z + z))],
        lambda z: [g.max_pool2d(z + input_tensor("rows", (7, 1, 1)))],  # b is not the same all over a window
        lambda z: [g.max_pool2d(z + input_tensor("columns", (BATCH, 1, 8, 1)))],
        lambda z: [g.max_pool2d(z * input_tensor("scale", (3,)))],  # may be below 0
        lambda z: [g.sum(gradient(g.sum(g.max_pool2d(z)), [z])[0], 1)],  # not over all places
    ],
)
def test_what_must_stay_stays(results: object) -> None:
    program = program_of(results(X))  # type: ignore[operator]
    assert pool_first(program).order == program.order


def test_a_network_reads_what_it_is_given() -> None:
    """Two convolutions with pooling between, in float32, with `crop` after it."""
    k, k2 = input_tensor("k", (2, 2, 3, 32)), input_tensor("k2", (1, 1, 32, 4))
    b, b2 = input_tensor("b", (32,)), input_tensor("b2", (4,))
    y = g.max_pool2d(relu(g.conv2d(g.max_pool2d(relu(g.conv2d(X, k) + b)), k2) + b2))
    program = program_of(slopes(y, k, k2, b, b2))
    out = crop(pool_first(program))
    g.check(out)
    random = np.random.default_rng(0)
    feeds = {t: random.normal(size=known(t)) for t in program.inputs}
    before, after = (evaluate(p.results, feeds, ROWS) for p in (program, out))
    for a, c in zip(program.results, out.results, strict=True):
        np.testing.assert_allclose(after[c], before[a], rtol=1e-4, atol=1e-4)
