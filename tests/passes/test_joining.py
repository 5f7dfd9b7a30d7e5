"""A sum of parts that do not overlap becomes their concatenation; any other sum stays."""

from __future__ import annotations

import numpy as np
import pytest

from talweg import graph as g
from talweg.gradient import gradient
from talweg.graph import BATCH, Program, Tensor, input_tensor
from talweg.passes import simplify

X = input_tensor("x", (BATCH, 6))


def operations(y: Tensor) -> list[str]:
    program = Program("p", (X,), (), {"y": y}, {})
    simple = simplify(program)
    g.check(simple)
    x = np.random.default_rng(0).normal(size=(4, 6))
    before, after = (g.evaluate(p.results, {X: x}, 4)[p.results[0]] for p in (program, simple))
    np.testing.assert_array_equal(before, after)
    return [n.op.name for n in simple.order]


def test_the_gradient_of_parts_is_the_parts_gradients_joined() -> None:
    parts = [g.slice(X, [None, (a, a + 2)]) for a in (4, 0, 2)]  # in any order
    [slope] = gradient(g.sum(g.sin(parts[0]) * g.exp(parts[1]) * parts[2]), [X])
    found = operations(slope)
    assert "concat" in found and "pad" not in found


@pytest.mark.parametrize(
    "paddings",
    [
        [[(0, 0), (0, 3)], [(0, 0), (2, 1)]],  # they overlap, or leave a gap
        [[(0, 0), (1, 2)], [(0, 0), (2, 1)]],
        [[(0, 0), (0, 4, 1)], [(0, 0), (4, 0, 1)]],  # apart
    ],
)
def test_other_sums_stay(paddings: list[list[tuple[int, ...]]]) -> None:
    part = g.slice(X, [None, (0, 3)])
    made = [g.pad(part, p) for p in paddings]  # type: ignore[arg-type]
    widths = {t.shape[1] for t in made}
    if len(widths) == 1:
        assert "add" in operations(made[0] + made[1])


def test_another_value_than_0_is_added() -> None:
    part = g.slice(X, [None, (0, 3)])
    assert "add" in operations(g.pad(part, [(0, 0), (0, 3)], 1.0) + g.pad(part, [(0, 0), (3, 0)]))
