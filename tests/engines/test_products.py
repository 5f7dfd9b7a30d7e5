"""Products with matrices that are stored by columns: layers of any width, their gradients, and products of no batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from conformance.engines import assert_close
from talweg import graph as g
from talweg.engines import Engine, Reference
from talweg.engines.native import build, contraction
from talweg.engines.native.engine import LANES, Native
from talweg.engines.native.tiles import Axis, Clip, Nest
from talweg.errors import GraphError, UsageError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")

Make = Callable[[], tuple[Program, dict[str, Array]]]
INPUTS = (64, 97, 200)  # strips are of 32 or 48 of them; from 64 on weights lie by columns
UNITS = (2, 6, 7, 25)  # tiles have up to 6 of them whole; up to 24 are few
ROWS = 13


def dense_layers() -> tuple[Program, dict[str, Array]]:
    """Steps of many dense layers, each with states of its own: responses, slopes of inputs, new weights."""
    random, values = np.random.default_rng(1), dict[str, Array]()
    inputs, states, outputs, updates = list[Tensor](), list[Tensor](), dict[str, Tensor](), dict[Tensor, Tensor]()
    for n in INPUTS:
        inputs.append(g.input_tensor(f"x{n}", (BATCH, n)))
        values[f"x{n}"] = random.normal(size=(ROWS, n))
        for k in UNITS:
            w = g.state_tensor(f"w{n}x{k}", (n, k))
            states.append(w)
            values[w.name] = random.normal(size=(n, k))
            hidden = g.tanh(inputs[-1])
            y = hidden @ w
            slopes = gradient(g.sum(y * y), [hidden, w])
            outputs |= {f"{n}x{k}: response": y, f"{n}x{k}: slope": slopes[0]}
            updates[w] = w - 0.01 * slopes[1]
    return Program("layers", tuple(inputs), tuple(states), outputs, updates), values


def products_of_no_batch() -> tuple[Program, dict[str, Array]]:
    """Everything that a matrix that lies by columns can be multiplied with, on either side, over either axis."""
    random, values, outputs = np.random.default_rng(2), dict[str, Array](), dict[str, Tensor]()
    x = g.input_tensor("x", (BATCH, 64))
    states = [g.state_tensor(name, shape) for name, shape in _MATRICES.items()]
    for t in states:
        values[t.name] = random.normal(size=t.shape)
    values["x"] = random.normal(size=(ROWS, 64))
    for w in states:
        if w.rank == 2 and w.shape[0] == 64:
            outputs[f"rows of {w.name}"] = x @ w  # so that it lies by columns
    for a in states:
        for b in states:
            for over in [(i, j) for i in range(a.rank) for j in range(b.rank) if a.shape[i] == b.shape[j]]:
                y = g.dot(a, b, ((over[0],), (over[1],)))
                outputs[f"{a.name} {b.name} {over}"] = y
    return Program("products", (x,), tuple(states), outputs, {}), values


_MATRICES = {"narrow": (64, 3), "wide": (64, 70), "square": (64, 64), "turned": (70, 64), "line": (64,)}


@pytest.mark.parametrize("lanes", LANES["float32"])
@pytest.mark.parametrize("make", [dense_layers, products_of_no_batch])
@pytest.mark.usefixtures("quickly")
def test_products_of_any_shape_agree_with_the_reference(make: Make, lanes: int) -> None:
    """Vectors of any machine, also of others than this one. Threads divide what is summed as well as the result."""
    program, values = make()
    truth = stepped(Reference("float64"), program, values)
    found = [
        stepped(Native("float32", threads, lanes=lanes), program, values) for threads in (3, 1)[: 1 + (lanes == 8)]
    ]
    for name, value in truth.items():
        scale = max(1.0, float(np.abs(value).max()))
        assert_close(found[0][name] / scale, value / scale, Reference("float32"), name)
        assert found[0][name].tobytes() == found[-1][name].tobytes(), name


def stepped(engine: Engine, program: Program, values: dict[str, Array]) -> dict[str, Array]:
    """Outputs and states after one step."""
    session = engine.compile(program, {s.name: values[s.name] for s in program.states})
    return session.run({x.name: values[x.name] for x in program.inputs}, np.arange(ROWS), ROWS) | session.states()


def test_lanes_that_no_vector_has_are_refused() -> None:
    with pytest.raises(UsageError, match="lanes must be one of 2, 4, 8 for float64; got 16"):
        Native("float64", lanes=16)


def test_tiles_refuse_what_they_cannot_compute() -> None:
    batch, moved, still = Axis(None, 8, 8, 0), Axis(3, 8, 0, 8), Axis(2, 0, 8, 8)
    assert not Nest(8, (moved, still), (batch,)).has_whole
    assert Nest(8, (still, still), (batch,)).has_whole
    clip = Clip(2, 1, 1, 0, 3)
    for wrong in (
        lambda: Nest(8, (still, moved), (batch,)),
        lambda: Nest(8, (still, still), (batch,), divided=1),
        lambda: Nest(8, (still,), (Axis(3, 8, 8, 0, clip),)),
        lambda: Nest(8, (still,), (Axis(3, 8, 8, 0),), block=2),
        lambda: Nest(8, (still,), (batch,), pieces=(0, 5), piece=5),
        lambda: contraction.Plan(g.constant(1.0), g.constant(1.0), ()),
    ):
        with pytest.raises(GraphError):
            wrong()
