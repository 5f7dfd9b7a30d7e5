"""The JAX engine: rules for the whole table, fits beside the reference, the same bits, and JAX left as it was.

Each operation's numbers, and what is made of operations, are held in tests/conformance/test_engines.py; what every
session promises in test_sessions.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.families import Member, disagreements, expected, family
from talweg import graph as g
from talweg.datasets import digits
from talweg.engines import Reference, engine_by_name
from talweg.gradient import gradient
from talweg.graph import BATCH, TABLE, Program
from talweg.graph.random import key_of
from talweg.nn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    MaxPooling2D,
    Rescaling,
    Reshape,
)
from talweg.train.callbacks.functions import LambdaCallback
from talweg.train.sequential import Sequential

jax = pytest.importorskip("jax", reason="jax not installed: pip install 'talweg[jax]'")
from talweg.engines.jax import Jax, rules  # noqa: E402


def test_every_operation_has_a_rule_and_no_rule_lacks_an_operation() -> None:
    assert set(rules.RULES) == set(TABLE) - {"input", "state", "constant"}, "those have their values given"


@pytest.mark.parametrize("shape", [(), (1,), (BATCH, 3), (7, 5)])
def test_chance_is_the_references_to_the_bit(shape: g.Shape) -> None:
    seed, step = g.input_tensor("seed", (2,), "uint"), g.state_tensor("step", (), "uint")
    program = Program("chance", (seed,), (step,), {"u": g.random_uniform(seed, step, shape, 6)}, {})
    for precision in ("float32", "float64"):
        one, two = (
            e(precision).compile(program, {"step": np.uint32(2**32 - 1)}).run({}, np.arange(5), 5, {"seed": key_of(9)})
            for e in (Jax, Reference)
        )
        np.testing.assert_array_equal(one["u"], two["u"], strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint", "int"])
def test_rows_are_found_in_tables_longer_than_a_byte_counts(dtype: g.DType) -> None:
    table, i = g.state_tensor("table", (1000, 2)), g.input_tensor("i", (BATCH,), dtype)
    y = g.take(table, i)
    slope = gradient(g.sum(y * y), [table])[0]
    program = Program("rows", (i,), (table,), {"y": y, "slope": slope}, {})
    first, at = {"table": np.arange(2000.0).reshape(1000, 2)}, np.array([3, 255, 255, 0])
    one, two = (e.compile(program, first).run({"i": at}, np.arange(4), 4) for e in (Jax(), Reference()))
    np.testing.assert_array_equal(one["y"], two["y"])
    np.testing.assert_array_equal(one["slope"], two["slope"])


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_both_ways_to_convolve(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """XLA's own convolution is for accelerators; it computes here as well."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    draw, members = np.random.default_rng(0), dict[str, Member]()
    for groups, strides, dilation in [(1, (1, 1), (1, 1)), (2, (2, 1), (1, 2)), (4, (1, 3), (2, 1))]:
        x, kernel = g.input_tensor("x", (BATCH, 9, 8, 4)), g.input_tensor("k", (3, 2, 4 // groups, 8))
        y = g.conv2d(x, kernel, strides, "same", dilation, groups)
        slopes = gradient(g.sum(y * y), [x, kernel])
        program = Program("convolution", (x, kernel), (), {"y": y, "dx": slopes[0], "dk": slopes[1]}, {})
        values = {"x": draw.normal(size=(5, 9, 8, 4)), "k": draw.normal(size=kernel.shape)}
        members[f"{groups} groups"] = program, values
    convolutions = family(members, 5)
    wrong = disagreements(Jax(), convolutions, expected(convolutions))
    assert not wrong, "\n".join(wrong)


# ── fits ──────────────────────────────────────────────────────────────────────────────────────────────────


def dense() -> list[Layer]:
    hidden = [Dense(30, activation="relu"), Dropout(0.3), Dense(12, activation="tanh")]
    return [Rescaling(1 / 16), Flatten(), *hidden, Dense(10, activation="softmax")]


def convolutional() -> list[Layer]:
    first = [Conv2D(6, 3, padding="same", use_bias=False), BatchNormalization(), Activation("relu"), MaxPooling2D()]
    second = [Conv2D(9, 2, strides=2, activation="relu"), Flatten(), Dropout(0.2)]
    return [Rescaling(1 / 16), Reshape((8, 8, 1)), *first, *second, Dense(10, activation="softmax")]


def fitted(network: Callable[[], list[Layer]], engine: Any, callbacks: Any = (), **more: Any) -> Sequential:
    (x, y), test = digits.load_data()
    model = Sequential(network(), seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    how = {"epochs": 5, "validation_data": test, **more}
    model.fit(x, y, batch_size=64, verbose=0, callbacks=list(callbacks), **how)
    return model


@pytest.mark.parametrize("network", [dense, convolutional])
def test_a_fit_on_digits_agrees_with_the_reference(network: Callable[[], list[Layer]]) -> None:
    """Each epoch's loss within 1e-4; an accuracy may differ by a row, where two classes are as likely."""
    ours, theirs = fitted(network, "jax"), fitted(network, "reference")
    assert ours.history is not None and theirs.history is not None
    for name, values in theirs.history.history.items():
        within = 1e-4 if "loss" in name else 1.5 / 360
        np.testing.assert_allclose(ours.history.history[name], values, rtol=0, atol=within, err_msg=name)
    assert theirs.history.history["val_accuracy"][-1] > 0.5, "it learned"
    (x, _), _ = digits.load_data()
    for rows in (1, 20, 300):
        one, two = (model.predict(x[:rows], batch_size=64, verbose=0) for model in (ours, theirs))
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-3)


@pytest.mark.parametrize("network", [dense, convolutional])
def test_the_same_bits_however_an_epoch_is_cut(network: Callable[[], list[Layer]]) -> None:
    """In slices that depend on the machine's speed, batch by batch for a callback, and interrupted after an epoch."""
    seen: list[int] = []
    batches = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    whole, cut = fitted(network, "jax", epochs=2), fitted(network, "jax", [batches], epochs=1)
    (x, y), _ = digits.load_data()
    cut.fit(x, y, batch_size=64, epochs=2, initial_epoch=1, verbose=0)
    assert len(seen) == 23
    for a, b in zip(whole.get_weights(), cut.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes()


def test_another_learning_rate_compiles_nothing() -> None:
    x, rate, w = g.input_tensor("x", (BATCH,)), g.input_tensor("rate", ()), g.state_tensor("w", ())
    program = Program("descent", (x, rate), (w,), {}, {w: w - rate * g.mean(x)})
    session, data = Jax().compile(program, {"w": np.array(0.0)}), {"x": np.ones(100)}
    session.run(data, np.arange(40), 4, {"rate": np.array(0.5)})
    for rows, value in ((40, 0.25), (4, 2.0), (100, 1.0)):
        session.run(data, np.arange(rows), 4, {"rate": np.array(value)})
    session.run({"x": np.ones(120)}, np.arange(120), 4, {"rate": np.array(0.0)})  # a data set of about the same length
    assert len(session._compiled) == 1
    assert session.states()["w"] == -(10 * 0.5 + 10 * 0.25 + 2.0 + 25.0)


# ── a guest in its process ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("theirs", [False, True])
def test_jax_stays_as_the_user_has_set_it(theirs: bool) -> None:
    """And the engine has its own precision, whatever that is."""
    x = g.input_tensor("x", (BATCH,))
    program = Program("third", (x,), (), {"y": x / 3.0}, {})
    with jax.enable_x64(theirs):
        for precision in ("float32", "float64"):
            y = Jax(precision).compile(program, {}).run({"x": np.ones(2)}, np.arange(2), 2)["y"]
            assert y.dtype == precision and y[0] == np.divide(1, 3, dtype=precision)
            assert jax.numpy.ones(1).dtype == ("float64" if theirs else "float32")


def test_it_says_what_computes() -> None:
    engine = engine_by_name("jax", "float64")
    assert engine.precision == "float64" and str(engine).startswith(f"jax {jax.__version__}, ")


def test_without_jax_it_says_how_to_get_it() -> None:
    code = """
import sys
sys.modules["jax"] = None
import talweg
try:
    talweg.Sequential([talweg.layers.Dense(1)]).compile("sgd", "mse", engine="jax")
except talweg.errors.MissingExtraError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'talweg[jax]'" in ran.stdout
