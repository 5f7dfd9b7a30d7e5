"""The native engine against the reference: every operation, whole fits, threads, and what it says when it cannot."""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.cases import CASES
from conformance.engines import assert_close
from talweg import graph as g
from talweg.engines import Engine, Reference, engine_by_name
from talweg.engines.base import batched_inputs
from talweg.engines.native import build
from talweg.engines.native.schedule import CONTRACTIONS
from talweg.errors import UsageError
from talweg.gradient import gradient
from talweg.graph import Program
from talweg.nn.layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, MaxPooling2D
from talweg.train.sequential import Sequential

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


def native(precision: str = "float32", threads: int = 2) -> Engine:
    from talweg.engines.native import Native

    return Native(precision, threads)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_operation_and_its_gradient(precision: str, data: st.DataObject) -> None:
    """One case of each operation, all in one program, so that the compiler is started once."""
    rows = 5
    inputs: list[g.Tensor] = []
    outputs: dict[str, g.Tensor] = {}
    values: dict[str, np.ndarray] = {}
    for name in sorted(CASES):
        case = data.draw(CASES[name])
        operands = [o.tensor(f"{name}{i}") for i, o in enumerate(case.operands)]
        y = case.write(*operands)
        inputs += operands
        values |= {t.name: a for t, a in zip(operands, case.arrays(rows, precision), strict=True)}
        outputs[name] = y
        floats = [t for t in operands if t.dtype == "float"]
        if y.dtype == "float" and y.op.gradient is not None and floats:
            slopes = gradient(g.sum(y * y), floats)
            outputs |= {f"{name} slope {i}": s for i, s in enumerate(slopes) if not s.is_leaf}
    states = tuple(t for t in inputs if t.op.name == "state")
    program = Program("every operation", tuple(t for t in inputs if t not in states), states, outputs, {})
    expected, actual = (run(e, program, values, rows) for e in (Reference(precision), native(precision)))
    for name, value in expected.items():
        # A slope of y² through a sum of products is a sum of terms 2 · y · factor, which may cancel: its error is to be
        # held against the terms, not against what is left of them.
        case, _, slope = name.partition(" slope ")
        if slope and case in CONTRACTIONS:
            factors = [v for k, v in values.items() if k[:-1] == case]
            terms = max(1, 2 * np.abs(expected[case]).max(initial=0) * max(np.abs(f).max(initial=0) for f in factors))
            assert_close(actual[name] / terms, value / terms, native(precision), name)
        else:
            assert_close(actual[name], value, native(precision), name)


def run(engine: Engine, program: Program, values: dict[str, Any], rows: int) -> dict[str, np.ndarray]:
    session = engine.compile(program, {s.name: values[s.name] for s in program.states})
    batched = batched_inputs(program)
    others = {x.name: values[x.name] for x in program.inputs if x.name not in batched}
    return session.run({n: values[n] for n in batched}, np.arange(rows), rows, others)


X = np.random.default_rng(0).normal(size=(300, 5, 8)).astype(np.float32)
Y = (X.sum((1, 2)) > 0) + (X[:, 0, 0] > 1)


def fitted(engine: Engine, optimizer: str = "adam", batch_size: int = 32) -> Sequential:
    layers = [
        Flatten(),
        Dense(70, activation="relu"),
        Dropout(0.3),
        Dense(12, activation="tanh"),
        Dense(3, activation="softmax"),
    ]
    model = Sequential(layers, seed=3)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    model.fit(X, Y, epochs=5, batch_size=batch_size, validation_split=0.2, verbose=0)
    return model


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adagrad", "adam", "adamw"])
def test_a_fit_agrees_with_the_reference(optimizer: str) -> None:
    ours, theirs = fitted(native(), optimizer), fitted(Reference(), optimizer)
    assert ours.history is not None and theirs.history is not None
    for name, values in theirs.history.history.items():
        np.testing.assert_allclose(ours.history.history[name], values, rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 7, 300])
def test_the_same_bits_for_any_number_of_threads(batch_size: int) -> None:
    one, two, three = (fitted(native(threads=n), batch_size=batch_size).get_weights() for n in (1, 2, 3))
    for a, b, c in zip(one, two, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


IMAGES = np.random.default_rng(1).normal(size=(90, 12, 11, 1)).astype(np.float32)
BRIGHT = (IMAGES[:, :6].mean((1, 2, 3)) > IMAGES[:, 6:].mean((1, 2, 3))).astype(int)


def convolutional(engine: Engine) -> Sequential:
    """Every kind of kernel that a network of convolutions needs: borders, strides, few and many channels."""
    layers = [
        Conv2D(6, 3, padding="same", use_bias=False),
        BatchNormalization(),
        Activation("relu"),
        Conv2D(20, (4, 3), strides=2, padding="same", activation="relu"),
        MaxPooling2D(),
        Dropout(0.2),
        Conv2D(33, 2, activation="tanh"),
        Flatten(),
        Dense(2, activation="softmax"),
    ]
    model = Sequential(layers, seed=4)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    model.fit(IMAGES, BRIGHT, epochs=3, batch_size=32, validation_split=0.2, verbose=0)
    return model


def test_convolutions_agree_with_the_reference() -> None:
    ours, theirs = convolutional(native()), convolutional(Reference())
    assert ours.history is not None and theirs.history is not None
    for name, values in theirs.history.history.items():
        np.testing.assert_allclose(ours.history.history[name], values, rtol=1e-4, err_msg=name)


def test_convolutions_have_the_same_bits_for_any_number_of_threads() -> None:
    one, two, three = (convolutional(native(threads=n)).get_weights() for n in (1, 2, 3))
    for a, b, c in zip(one, two, three, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


def test_nan_and_infinity_are_not_lost() -> None:
    x = g.input_tensor("x", (g.BATCH, 3))
    program = Program(
        "nan", (x,), (), {"y": g.exp(g.where(x <= 0, 0.0, x)), "sum": g.sum(x, 1), "max": g.max(x, 1)}, {}
    )
    values = {"x": np.array([[1, np.nan, 2], [np.inf, 0, -np.inf], [200, -200, 0]], np.float32)}
    expected, actual = (run(e, program, values, 3) for e in (Reference(), native()))
    for name, value in expected.items():
        assert_close(actual[name], value, native(), name)


def test_after_a_fork_the_child_has_threads_of_its_own() -> None:
    model = fitted(native())
    expected = model.predict(X, verbose=0)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=lambda: there.send(fitted(native()).predict(X, verbose=0)))
    child.start()
    assert here.poll(60), "the child did not answer"
    assert np.array_equal(here.recv(), expected)
    child.join()


def test_two_models_at_once_do_not_disturb_each_other() -> None:
    a, b = fitted(native()), fitted(native(), batch_size=30)
    alone = a.predict(X, verbose=0)
    b.predict(X, verbose=0)
    assert np.array_equal(a.predict(X, verbose=0), alone)


def test_without_a_compiler_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "compiler", lambda: None)
    with pytest.raises(UsageError, match=r"talweg\[compiler\]"):
        engine_by_name("native")


def test_a_source_that_does_not_compile_shows_what_the_compiler_said() -> None:
    with pytest.raises(build.CompileError, match="error"):
        build.load("this is not C")


def test_wrong_rows_are_refused_before_they_are_read() -> None:
    x = g.input_tensor("x", (g.BATCH, 3))
    session = native().compile(Program("p", (x,), (), {"y": x * 2.0}, {}), {})
    with pytest.raises(UsageError, match="order"):
        session.run({"x": np.zeros((4, 3))}, np.array([4]), 1)
    with pytest.raises(ValueError, match=r"shape \[3\]"):
        session.run({"x": np.zeros((4, 2))}, np.array([0]), 1)
