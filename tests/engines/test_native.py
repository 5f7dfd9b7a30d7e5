"""The native engine against the reference: fits on digits, threads, and what it says when it cannot.

Every operation, and what is made of them (losses, layers ...), is held in tests/conformance/test_engines.py.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest

from conformance.engines import native
from conformance.families import family, run
from talweg import graph as g
from talweg.datasets import digits
from talweg.engines import Engine, Reference, engine_by_name
from talweg.engines.native import build
from talweg.engines.native.schedule import schedule
from talweg.errors import UsageError
from talweg.graph import Program
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
from talweg.nn.losses import SparseCategoricalCrossentropy
from talweg.train.sequential import Sequential

pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler on the path: install gcc or clang")


def test_nan_and_infinity_are_not_lost() -> None:
    x = g.input_tensor("x", (g.BATCH, 3))
    outputs = {"y": g.exp(g.where(x <= 0, 0.0, x)), "sum": g.sum(x, 1), "max": g.max(x, 1)}
    values = {"x": np.array([[1, np.nan, 2], [np.inf, 0, -np.inf], [200, -200, 0]])}
    special = family({"special": (Program("special", (x,), (), outputs, {}), values)}, 3)
    plain, found = run(Reference(), special), run(native(), special)
    for name, value in plain.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


# ── fits ──────────────────────────────────────────────────────────────────────────────────────────────────


def dense() -> list[Layer]:
    return [
        Rescaling(1 / 16),
        Flatten(),
        Dense(70, activation="relu"),
        Dropout(0.3),
        Dense(12, activation="tanh"),
        Dense(10, activation="softmax"),
    ]


def convolutional() -> list[Layer]:
    """Every kind of kernel that a network of convolutions needs: borders, strides, few and many channels."""
    return [
        Rescaling(1 / 16),
        Reshape((8, 8, 1)),
        Conv2D(6, 3, padding="same", use_bias=False),
        BatchNormalization(),
        Activation("relu"),
        Conv2D(20, (4, 3), strides=2, padding="same", activation="relu"),
        MaxPooling2D(),
        Dropout(0.2),
        Conv2D(33, 2, activation="tanh"),
        Flatten(),
        Dense(10, activation="softmax"),
    ]


def wide() -> list[Layer]:
    """Layers of which threads share the units, behind one another."""
    return [
        Rescaling(1 / 16),
        Flatten(),
        Dense(100, use_bias=False),
        BatchNormalization(),
        Activation("tanh"),
        Dense(72, use_bias=False),
        BatchNormalization(),
        Activation("tanh"),
        Dense(10, activation="softmax"),
    ]


def narrow() -> list[Layer]:
    """Convolutions that no tile fits, one filter and groups, among kernels that one thread does by itself."""
    return [
        Rescaling(1 / 16),
        Reshape((8, 4, 2)),
        Dense(18),
        BatchNormalization(),
        Conv2D(1, 2),
        BatchNormalization(),
        MaxPooling2D(),
        Dense(4),
        Conv2D(6, (2, 1), groups=2),
        Flatten(),
        Dense(10, activation="softmax"),
    ]


NETWORKS: tuple[Callable[[], list[Layer]], ...] = (dense, convolutional, wide)
every_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda f: f.__name__)


@functools.cache
def fitted(
    network: Callable[[], list[Layer]],
    threads: int,
    batch_size: int = 64,
    rows: int = 1437,
    precision: str = "float32",
) -> Sequential:
    """After 5 epochs on digits, by the native engine with so many threads, or by the reference with none."""
    (x, y), test = digits.load_data()
    engine: Engine = native(precision, threads) if threads else Reference(precision)
    model = Sequential(network(), seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], engine=engine)
    model.fit(x[:rows], y[:rows], epochs=5, batch_size=batch_size, validation_data=test, verbose=0)
    return model


@every_network
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_fit_on_digits_agrees_with_the_reference(network: Callable[[], list[Layer]], precision: str) -> None:
    """Each epoch's loss within 1e-4; an accuracy may differ by a row, where two classes are as likely."""
    ours = fitted(network, threads=2, precision=precision).history
    theirs = fitted(network, threads=0, precision=precision).history
    assert ours is not None and theirs is not None and len(theirs.history["loss"]) == 5
    loss = 1e-9 if precision == "float64" else 1e-4
    for name, values in theirs.history.items():
        within = loss if "loss" in name else 1.5 / 360
        np.testing.assert_allclose(ours.history[name], values, rtol=0, atol=within, err_msg=name)
    assert theirs.history["val_accuracy"][-1] > 0.7, "it learned"


def test_what_one_later_group_reads_is_computed_there() -> None:
    x = g.input_tensor("x", (g.BATCH, 5))
    root = g.exp(x) * 0.5
    program = Program("p", (x,), (), {"y": (root + g.sum(x)) * root}, {})
    assert [k.op for k in schedule(program).kernels] == ["sum", "loop"]
    values = np.linspace(-1, 1, 35).reshape(7, 5)
    y, expected = (
        engine.compile(program, {}).run({"x": values}, np.arange(7), 4)["y"] for engine in (native(), Reference())
    )
    np.testing.assert_allclose(y, expected, rtol=1e-5)


def test_small_work_agrees_with_the_reference() -> None:
    ours, theirs = (fitted(narrow, threads, batch_size=5, rows=20) for threads in (2, 0))
    assert ours.history is not None and theirs.history is not None
    np.testing.assert_allclose(ours.history.history["loss"], theirs.history.history["loss"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("rows", "batch_size"), [(130, 64), (50, 7), (12, 1)])
def test_rows_are_read_where_they_lie(rows: int, batch_size: int) -> None:
    """Shuffled rows of 64 numbers, which are whole vectors. The array ends with the last: no more may be read."""
    (x, y), _ = digits.load_data()
    x = np.array(x[:rows].reshape(rows, 64) / 16, np.float32)
    losses = []
    for engine in (Reference(), native(threads=1), native(threads=2)):
        model = Sequential([Dense(70, activation="relu"), Dense(20, activation="tanh"), Dense(10)], seed=3)
        model.compile("adam", SparseCategoricalCrossentropy(from_logits=True), engine=engine)
        losses.append(model.fit(x, y[:rows], epochs=3, batch_size=batch_size, verbose=0).history["loss"])
    assert "real **restrict x" in model.native_source(batch_size), "a table of where rows lie"
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-4)
    assert losses[1] == losses[2]


@pytest.mark.parametrize(("batch_size", "rows"), [(64, 1437), (7, 100), (1, 20), (300, 300)])
@every_network
def test_the_same_bits_for_any_number_of_threads(
    network: Callable[[], list[Layer]], batch_size: int, rows: int
) -> None:
    one, two, three = (fitted(network, n, batch_size, rows) for n in (1, 2, 3))
    for a, b, c in zip(one.get_weights(), two.get_weights(), three.get_weights(), strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()
    for other in (two, three):
        assert one.history is not None and other.history is not None and other.history.history == one.history.history


# ── what it says when it cannot ───────────────────────────────────────────────────────────────────────────


def test_without_a_compiler_it_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "compiler", lambda: None)
    with pytest.raises(UsageError, match=r"talweg\[compiler\]"):
        engine_by_name("native")


def test_a_source_that_does_not_compile_shows_what_the_compiler_said() -> None:
    with pytest.raises(build.CompileError, match="error"):
        build.load("this is not C")
