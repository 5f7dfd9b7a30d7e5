"""The tiles of the native engine against the reference: shapes that leave rows over, cut tiles off, or fit in one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.engines import assert_close
from talweg import graph as g
from talweg.engines import Engine, Reference
from talweg.engines.native import build
from talweg.engines.native.schedule import schedule
from talweg.engines.native.tiles import Clip
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")

RANDOM = np.random.default_rng(6)
WINDOWS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {  # pictures, kernel, how it slides
    "as wide as a tile": ((13, 13, 32), (3, 3, 32, 8), {}),
    "wider than a tile": ((4, 41, 6), (2, 3, 6, 20), {}),
    "channels left over": ((6, 9, 17), (3, 2, 17, 33), {}),
    "many channels": ((3, 4, 70), (2, 2, 70, 70), {}),
    "one place": ((5, 4, 3), (5, 4, 3, 6), {}),
    "few places across": ((6, 4, 5), (3, 2, 5, 4), {"strides": (1, 2)}),
    "strides": ((9, 8, 3), (4, 4, 3, 5), {"strides": (2, 2)}),
    "strides that leave rows over": ((10, 11, 2), (3, 3, 2, 4), {"strides": (2, 3)}),
    "strides longer than the window": ((11, 12, 3), (2, 1, 3, 4), {"strides": (3, 4)}),
    "dilation": ((9, 10, 2), (3, 2, 2, 4), {"dilation": (2, 3)}),
    "strides and dilation": ((13, 14, 2), (3, 4, 2, 5), {"strides": (2, 3), "dilation": (2, 2)}),
    "strides and dilation that share a factor": ((20, 19, 2), (3, 3, 2, 3), {"strides": (4, 2), "dilation": (2, 4)}),
    "one row": ((1, 17, 3), (1, 5, 3, 4), {}),
    "one column": ((17, 1, 3), (4, 1, 3, 4), {"strides": (2, 1)}),
    "one channel": ((7, 8, 1), (3, 3, 1, 6), {}),
    "one filter": ((7, 8, 4), (3, 3, 4, 1), {}),
    "no window": ((6, 7, 9), (1, 1, 9, 12), {"strides": (2, 1)}),
    "a window as wide as the picture": ((4, 25, 2), (2, 25, 2, 3), {"padding": "same"}),
    "a border": ((9, 10, 6), (3, 3, 6, 12), {"padding": "same"}),
    "a border and strides": ((14, 13, 6), (6, 5, 6, 12), {"padding": "same", "strides": (2, 2)}),
    "a border and other strides": ((11, 12, 3), (4, 5, 3, 20), {"padding": "same", "strides": (3, 2)}),
    "a border and dilation": ((9, 8, 20), (3, 3, 20, 5), {"padding": "same", "dilation": (2, 3)}),
    "a border of one row": ((1, 12, 1), (1, 5, 1, 9), {"padding": "same"}),
    "a border wider than the picture": ((2, 3, 4), (7, 9, 4, 3), {"padding": "same"}),
    "one tap, a border of strides": ((5, 5, 24), (1, 1, 24, 8), {"padding": [(1, 2), (0, 3)], "strides": (2, 1)}),
    "channels of many vectors, strides": ((9, 9, 40), (4, 4, 40, 7), {"strides": (2, 2)}),
}
PRODUCTS = ((1, 1), (3, 8), (7, 10), (20, 24), (33, 60), (65, 200))  # inputs and outputs of dense layers


@pytest.fixture(scope="module")
def program() -> tuple[Program, dict[str, Array]]:
    """All of them, and their gradients, in one program: the compiler is started once for each engine."""
    inputs: list[g.Tensor] = []
    outputs: dict[str, g.Tensor] = {}
    values: dict[str, Array] = {}
    for name, (picture, window, how) in WINDOWS.items():
        inputs += [g.input_tensor(f"{name} x", (BATCH, *picture)), g.input_tensor(f"{name} k", window)]
        outputs[name] = g.conv2d(*inputs[-2:], **how)
    for n, m in PRODUCTS:
        inputs += [g.input_tensor(f"{n}x{m} x", (BATCH, n)), g.input_tensor(f"{n}x{m} k", (n, m))]
        outputs[f"{n}x{m}"] = inputs[-2] @ inputs[-1]
    for x in inputs:
        values[x.name] = RANDOM.normal(size=[21 if d is BATCH else d for d in x.shape])
    for i, (name, y) in enumerate(list(outputs.items())):
        x, k = inputs[2 * i : 2 * i + 2]
        outputs[f"{name}: slope of x"], outputs[f"{name}: slope of k"] = gradient(g.sum(y * y), [x, k])
    return Program("tiles", tuple(inputs), (), outputs, {}), values


def run(engine: Engine, program: Program, values: dict[str, Array], batch_size: int) -> dict[str, Array]:
    rows = {x.name: values[x.name] for x in program.inputs if BATCH in x.shape}
    others = {x.name: values[x.name] for x in program.inputs if BATCH not in x.shape}
    return engine.compile(program, {}).run(rows, np.arange(21), batch_size, others)


@pytest.mark.parametrize(("precision", "batch_size"), [("float32", 16), ("float64", 1)])  # 16: a last batch of 5 rows
def test_tiles_agree_with_the_reference(
    program: tuple[Program, dict[str, Array]], precision: str, batch_size: int
) -> None:
    from talweg.engines.native import Native

    found = [run(Native(precision, threads), *program, batch_size) for threads in (1, 2, 3)]
    engine = Reference(precision)
    for name, value in run(engine, *program, batch_size).items():
        scale = max(1.0, float(np.abs(value).max()))
        assert_close(found[0][name] / scale, value / scale, engine, name)
        assert found[0][name].tobytes() == found[1][name].tobytes() == found[2][name].tobytes(), name


def test_a_border_that_only_convolutions_read_is_not_stored() -> None:
    x, k = g.input_tensor("x", (BATCH, 9, 9, 3)), g.input_tensor("k", (3, 3, 3, 8))
    y = g.conv2d(x, k, padding="same")
    (slope,) = gradient(g.sum(y * y), [k])
    (padded,) = {node.inputs[0] for node in (y, slope)}
    assert padded.op.name == "pad"
    assert padded not in schedule(Program("p", (x, k), (), {"y": y, "slope": slope}, {})).kept


@pytest.mark.parametrize("reach", [-3, -1, 1, 2])
@pytest.mark.parametrize("at", [-2, 0, 5])
def test_the_bounds_of_a_clip_are_what_it_meets(reach: int, at: int) -> None:
    clip = Clip(0, 2, reach, at, 7)
    for row in range(8):
        first, last = (_of_c(text) for text in clip.bounds(str(row), 4))
        assert [k for k in range(4) if clip.meets(row, k)] == list(range(first, last))


def _of_c(text: str) -> int:
    """The value of a C expression of numbers; where a division is reached, both sides of it are above 0."""
    test, _, rest = text.partition(" ? ")
    if not rest:
        return int(eval(text.replace("/", "//")))
    yes, _, no = rest.partition(" : ")
    return _of_c(yes) if eval(test.replace("/", "//")) else _of_c(no)
