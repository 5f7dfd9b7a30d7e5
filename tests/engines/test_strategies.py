"""Every way in which the writer writes C has a name, says so in the C, and is taken by some program here."""

from __future__ import annotations

from collections import Counter

import pytest

from conformance.engines import native
from talweg import Input, Sequential
from talweg import graph as g
from talweg.engines.native.strategies import NAMES, by, used
from talweg.engines.native.unit import unit
from talweg.graph import BATCH, Program, Tensor
from talweg.nn.layers import (
    GRU,
    AveragePooling2D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LayerNormalization,
    MaxPooling2D,
    Reshape,
    ZeroPadding2D,
)

MACHINES = ((16, 1, "float32"), (16, 8, "float32"), (8, 2, "float64"), (4, 3, "float32"))  # lanes, threads


def networks() -> dict[str, tuple[tuple[int, ...], list[Layer], int]]:
    """Shapes of examples, layers, and the size of batches."""
    same = {"padding": "same", "activation": "relu"}
    pool = MaxPooling2D(2)
    return {
        "dense": ((784,), [Dense(300, "relu"), Dense(120, "tanh"), Dense(4, "relu"), Dense(10, "softmax")], 128),
        "narrow": ((48,), [Dense(72, "selu"), Dense(5), Dropout(0.5), LayerNormalization(), Dense(3)], 32),
        "images": (
            (28, 28, 1),
            [Conv2D(12, 3, **same), pool, Conv2D(33, 3, strides=2, **same), Flatten(), Dense(3)],
            64,
        ),
        "strides": ((9, 9, 3), [Conv2D(3, 2), Conv2D(6, 4, strides=2), Conv2D(5, 3), Flatten(), Dense(2)], 1),
        "groups": ((8, 8, 4), [Conv2D(8, 3, groups=2), DepthwiseConv2D(3), ZeroPadding2D(2), pool, Flatten()], 8),
        "large groups": ((8, 8, 32), [Conv2D(4, 3, groups=2), AveragePooling2D(2), Flatten()], 8),
        "steps": ((6,), [Embedding(20, 8), GRU(12, return_sequences=True), Reshape((4, 18)), GRU(5), Dense(2)], 16),
    }


def rare() -> Program:
    """What networks seldom need."""
    x, words = g.input_tensor("x", (BATCH, 64)), g.input_tensor("seed", (2,), "uint")
    narrow, turned, line, row, square = (
        g.state_tensor(name, shape)
        for name, shape in {
            "narrow": (64, 3),
            "turned": (70, 64),
            "line": (64,),
            "row": (1, 9),
            "square": (9, 9),
        }.items()
    )
    step = g.state_tensor("step", (), "uint")

    def together(row: Tensor, h: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        return [row + h - g.mean(h + row, 0)], [h]

    zeros = g.broadcast_to(g.constant(0.0), (BATCH, 8))
    root, other = g.exp(x) * 0.5, g.tanh(x) * 2.0
    outputs = {
        "columns": x @ narrow,
        "of no batch": turned @ narrow,
        "of no rows": g.dot(line, g.transpose(turned)),
        "one number": g.dot(line, line),
        "sunk": (root + g.sum(x)) * root,
        "tested": g.sin(g.pad(x, ((0, 0, 0), (1, 2, 1)))) + 1.0,
        "joined": g.concat([x, other]),
        "pairs": g.random_uniform(words, step, (BATCH, 8), 1),
        "exact": g.sum(g.slice(x, (None, (3, 40))), 1),
        "of nothing": g.dot(row, row, ((0,), (0,))),
        "place": g.argmax(x, 1),
        "loop": g.scan(together, [g.reshape(x, (BATCH, 8, 8))], [zeros])[1][0],
    }
    return Program("rare", (x, words), (narrow, turned, line, row, square, step), outputs, {square: square @ square})


@pytest.fixture(scope="module")
def taken() -> Counter[str]:
    """How often each way is taken on each of `MACHINES`; nothing is compiled."""
    programs = {"rare": (rare(), 7)}
    for name, (shape, stack, batch_size) in networks().items():
        model = Sequential([Input(shape), *stack], seed=1)
        model.compile("adam", "mse")
        programs[name] = model.program("train"), batch_size
    engine, counts = native(), Counter[str]()
    for program, batch_size in programs.values():
        for lanes, threads, precision in MACHINES:
            written = unit(engine._simpler(program), batch_size, precision, lanes, threads)  # type: ignore[attr-defined]
            counts += written.strategies
    return counts


@pytest.mark.parametrize("name", NAMES)
def test_every_way_is_taken(name: str, taken: Counter[str]) -> None:
    assert taken[name] > 0


def test_a_way_without_a_name_is_refused() -> None:
    with pytest.raises(KeyError, match="no way of writing C"):
        by("stripes")


def test_an_engine_and_a_session_say_which_ways_were_taken() -> None:
    engine, x = native(), g.input_tensor("x", (BATCH, 3))
    program = Program("p", (x,), (), {"y": g.argmax(x, 1)}, {})
    session = engine.compile(program, {})
    assert sum(session.strategies.values()) == 0  # type: ignore[attr-defined]
    session.prepare(4, wait=True)
    assert session.strategies == engine.strategies(program, 4) == used(engine.source(program, 4))  # type: ignore[attr-defined]
    assert session.strategies["place of the maximum"] == 1  # type: ignore[attr-defined]
