"""Profiles: they count all of the time and change none of the numbers."""

from __future__ import annotations

import time

import numpy as np
import pytest

from talweg import graph as g
from talweg.engines.native import Native, build
from talweg.engines.native.profile import Profile, multiplications
from talweg.errors import UsageError
from talweg.gradient import gradient
from talweg.graph import Program
from talweg.nn.layers import Conv2D, Dense, Flatten, MaxPooling2D
from talweg.train.sequential import Sequential

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")
X = np.random.default_rng(0).normal(size=(300, 12, 12, 1))
Y = (X.mean((1, 2, 3)) > 0).astype(int)


def fitted(engine: Native) -> Sequential:
    layers = [Conv2D(16, 3, activation="relu"), MaxPooling2D(), Flatten(), Dense(2, activation="softmax")]
    model = Sequential(layers, seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    model.fit(X, Y, epochs=3, batch_size=32, verbose=0)
    return model


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_a_profile_changes_no_bit(threads: int) -> None:
    counted, plain = (fitted(Native(threads=threads, profiled=p)).get_weights() for p in (True, False))
    assert [a.tobytes() for a in counted] == [a.tobytes() for a in plain]


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
def test_the_laps_of_a_profile_add_up_to_the_time_of_the_steps(threads: int) -> None:
    x = g.input_tensor("x", (g.BATCH, 200))
    w = g.state_tensor("w", (200, 100))
    new = w + 0.0001 * g.dot(x, g.exp(g.dot(x, w)), axes=((0,), (0,)))
    program = Program("p", (x,), (w,), {"largest": g.max(new)}, {w: new})
    session = Native(threads=threads, profiled=True).compile(program, {"w": np.zeros((200, 100))})
    rows = np.random.default_rng(0).normal(size=(640, 200))
    session.run({"x": rows}, np.arange(32), 32)  # compiles
    session.profile()
    began = time.perf_counter()
    for _ in range(3):
        session.run({"x": rows}, np.arange(640), 32)
    seconds = time.perf_counter() - began
    found = session.profile()
    assert (found.steps, found.threads) == (60, threads)
    assert 0 < found.microseconds * found.steps <= seconds * 1e6
    each = [sum(lap.busy[i] + lap.waiting[i] for lap in found.laps) for i in range(threads)]
    assert 0 < each[0] <= found.microseconds * (1 + 1e-9)
    assert sum(each) * found.steps <= seconds * 1e6 * threads
    assert sum(lap.microseconds > 0 for lap in found.laps if lap.multiplications) == 2
    waits = [lap for lap in found.laps if any(lap.waiting)]
    assert waits and all(lap.kernel == "wait" and not any(lap.busy) for lap in waits)
    assert session.profile() == Profile(0, 0, 0.0, session.profile().laps), "counting did not begin anew"


def test_multiplications_of_contractions() -> None:
    x, kernel = g.input_tensor("x", (g.BATCH, 9, 9, 3)), g.state_tensor("k", (3, 3, 3, 4))
    y = g.conv2d(x, kernel, strides=(2, 2))
    once = 5 * 4 * 4 * 4 * 3 * 3 * 3
    assert multiplications(y, 5) == once
    for slope in gradient(g.sum(y * y), [x, kernel]):
        found = [n for n in Program("p", (x,), (kernel,), {"s": slope}, {}).order if n.op.name.startswith("conv2d_")]
        assert [multiplications(n, 5) for n in found] == [once]
    a, b = g.input_tensor("a", (g.BATCH, 7)), g.state_tensor("b", (7, 3))
    assert multiplications(g.dot(a, b), 10) == 10 * 7 * 3


@needs_compiler
def test_a_model_is_profiled_and_does_not_change() -> None:
    model = fitted(Native(threads=1))
    before = [w.tobytes() for w in model.get_weights()]
    found = model.native_profile(batch_size=8, seconds=0.05, threads=1)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert found.steps > 1 and found.microseconds > 0
    assert {"rows of x", "learning_rate", "hand out loss"} <= {lap.kernel for lap in found.laps}
    products = 8 * 10 * 10 * 16 * 9  # the first convolution: its output, and its kernel's gradient
    assert [lap.multiplications for lap in found.laps].count(products) == 2


@needs_compiler
def test_without_counters_there_is_no_profile() -> None:
    x = g.input_tensor("x", (g.BATCH, 3))
    session = Native(threads=1).compile(Program("p", (x,), (), {"y": x * 2.0}, {}), {})
    session.run({"x": np.ones((4, 3))}, np.arange(4), 4)
    with pytest.raises(UsageError, match="profiled=True"):
        session.profile()
