"""Loops that run on into the padding stay in it: memory begins as NaN and ends at a wall, and lies by columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from conformance.engines import assert_close
from differential import arena
from talweg import graph as g
from talweg.engines import Reference
from talweg.engines.native import build
from talweg.engines.native.engine import Native, NativeSession
from talweg.graph import BATCH, Array, Program, Tensor

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")

ROWS = 9
x, tall = g.input_tensor("x", (BATCH, 64)), g.input_tensor("tall", (BATCH, 5000))
w, flat, even = g.state_tensor("w", (64, 5)), g.state_tensor("flat", (5000, 9)), g.state_tensor("even", (64, 80))
seed, step = g.input_tensor("seed", (2,), "uint"), g.state_tensor("step", (), "uint")
deep, line = g.state_tensor("deep", (10, 1000, 9)), g.input_tensor("line", (BATCH, 2, 900, 1))
other = g.input_tensor("other", (BATCH, 16))
spread = g.broadcast_to(w, (BATCH, 64, 5)) * g.reshape(x, (BATCH, 64, 1))

PROGRAMS: dict[str, dict[str, Tensor]] = {
    "sums of a matrix by columns": {"y": tall @ flat, "down": g.sum(flat, 0), "across": g.sum(flat, 1)},
    "a sum that lies by columns": {"y": x @ w, "sum": g.sum(g.sin(spread), 0), "max": g.max(g.cos(spread), 0)},
    "random numbers by columns": {"y": x @ even, "drawn": g.random_uniform(seed, step, (64, 80), 1) * even},
    "axes in another order": {"y": g.sin(g.transpose(deep, (2, 1, 0)))},
    "pools of one channel": {"y": g.max_pool2d(line * 2.0, (2, 100)) * 2.0},
    "a matrix by columns, regrouped": {"y": x @ w, "z": g.sin(g.reshape(w, (20, 16)))},
    "two operands from a data set": {"y": g.dot(x, other, ((0,), (0,)))},
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_beyond_a_tensor_is_read_or_written(
    name: str, threads: int, quickly: None, value_of: Callable[[Tensor], Array]
) -> None:
    outputs = PROGRAMS[name]
    leaves = dict.fromkeys(t for t in Program("p", (), (), outputs, {}).order if t.op.name in ("input", "state"))
    inputs, states = (tuple(t for t in leaves if t.op.name == kind) for kind in ("input", "state"))
    program = Program("padding", inputs, states, outputs, {})
    rows = {t.name: value_of(t) for t in inputs if BATCH in t.shape}
    settings = {t.name: value_of(t) for t in inputs if BATCH not in t.shape}
    given = {t.name: value_of(t) for t in states}
    session = Native("float32", threads).compile(program, given)
    session.prepare(ROWS, wait=True)
    _between_walls(session)
    session.load(given)
    found = session.run(rows, np.arange(ROWS), ROWS, settings)
    truth = Reference("float64").compile(program, given).run(rows, np.arange(ROWS), ROWS, settings)
    for output, value in truth.items():
        scale = max(1.0, float(np.abs(value).max()))
        assert_close(found[output] / scale, value / scale, Reference("float32"), output)


def _between_walls(session: NativeSession) -> None:
    session._block = arena.walled(len(session._block), session._unit.memory.alignment)


@pytest.fixture
def value_of() -> Callable[[Tensor], Array]:
    random = np.random.default_rng(4)

    def draw(t: Tensor) -> Array:
        shape = tuple(ROWS if d is BATCH else d for d in t.shape)
        return random.integers(0, 99, shape) if t.dtype == "uint" else random.normal(size=shape)

    return draw
