"""Products with matrices that are stored by columns: layers of any width, their gradients, and products of no batch."""

from __future__ import annotations

import numpy as np
import pytest

from conformance.engines import assert_close, native
from talweg import graph as g
from talweg.engines import Reference
from talweg.engines.native import contraction
from talweg.engines.native.tiles import Axis, Clip, Nest
from talweg.errors import GraphError
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor

INPUTS = (64, 65, 97, 200)  # strips are of 32 or 48 of them; from 64 on weights lie by columns
UNITS = (2, 3, 5, 6, 7, 25)  # tiles have up to 6 of them whole; up to 24 are few
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


_MATRICES = {"narrow": (64, 3), "wide": (64, 70), "square": (64, 64), "turned": (70, 64), "row": (1, 64), "line": (64,)}


@pytest.mark.parametrize("precision", ["float32"])
@pytest.mark.parametrize("make", [dense_layers, products_of_no_batch])
def test_products_of_any_shape_agree_with_the_reference(make: object, precision: str) -> None:
    program, values = make()  # type: ignore[operator]
    data = {x.name: values[x.name] for x in program.inputs}
    given = {s.name: values[s.name] for s in program.states}

    def run(engine: object) -> dict[str, Array]:
        session = engine.compile(program, given)  # type: ignore[attr-defined]
        out = session.run(data, np.arange(ROWS), ROWS)
        return {**out, **session.states()}

    truth = run(Reference("float64"))
    found = [run(native(precision, threads)) for threads in (1, 3)]
    for name, value in truth.items():
        scale = max(1.0, float(np.abs(value).max()))
        assert_close(found[0][name] / scale, value / scale, Reference(precision), name)
        for other in found[1:]:
            assert found[0][name].tobytes() == other[name].tobytes(), name


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
