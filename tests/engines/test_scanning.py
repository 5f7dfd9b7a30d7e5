"""Loops on the native engine: bodies of every kind, threads, and what it leaves to the reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance import test_losses
from conformance.engines import native, run_once
from talweg import graph as g
from talweg.engines import Reference
from talweg.engines.choose import engine_by_name
from talweg.gradient import gradient
from talweg.graph import BATCH, Array, Program, Tensor, input_tensor, state_tensor
from talweg.nn.losses import Loss

ROWS, STEPS, UNITS = 33, 6, 20
X, C = input_tensor("x", (BATCH, STEPS, UNITS)), input_tensor("c", (UNITS, STEPS, 3))
U, B = state_tensor("u", (UNITS, UNITS)), state_tensor("b", (UNITS,))
random = np.random.default_rng(3)
VALUES = {t.name: random.normal(size=[ROWS if d is BATCH else d for d in t.shape]) / 2 for t in (X, C, U, B)}
ZERO = g.broadcast_to(g.constant(0.0), (BATCH, UNITS))


def recurrent(x: Tensor, h: Tensor) -> Any:
    h = g.tanh(x + h @ U + B)
    return [h], [h]


def of_the_batch(x: Tensor, h: Tensor) -> Any:
    """Rows depend on each other: threads cannot share them."""
    h = g.tanh(x + h - g.mean(h + x, 0))
    return [h], [h @ U]


def softmax(x: Tensor, h: Tensor) -> Any:
    """Reductions, another product, a swap of states."""
    return [g.softmax(x @ g.transpose(U) + h)], [g.max(h, 1), g.cast(h > 0.05, "float")]


def two(x: Tensor, h: Tensor, s: Tensor) -> Any:
    return [s * 0.5 + x, h], [g.concat([h, s])]


def program(step: Callable[..., Any], states: int, reverse: bool) -> Program:
    last, stacks = g.scan(step, [X], [ZERO] * states, reverse=reverse)
    floats = [g.sum(g.sin(t)) for t in (*last, *stacks)]
    loss = sum(floats[1:], floats[0])
    slopes = dict(zip("xub", gradient(loss, [X, U, B]), strict=True))
    stacked = {f"stack {i}": t for i, t in enumerate(stacks)}
    return Program("loop", (X,), (U, B), {"loss": loss, **stacked, **slopes}, {})


CASES = [(recurrent, 1), (of_the_batch, 1), (softmax, 1), (two, 2)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("step", "states"), CASES, ids=[step.__name__ for step, _ in CASES])
def test_any_body_agrees_with_the_reference(step: Callable[..., Any], states: int, reverse: bool) -> None:
    made = program(step, states, reverse)
    expected = run_once(Reference("float64"), made, VALUES, ROWS)
    found = run_once(native("float64"), made, VALUES, ROWS)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-10, 1e-12, err_msg=name)


def test_a_loop_over_rows_that_one_thread_does_does_all_of_them() -> None:
    """Small as it is, it is done where the loop before it was, whose rows depend on each other; and names are apart."""
    loss: Tensor = g.constant(0.0)
    y = X
    for step in (of_the_batch, recurrent, of_the_batch, recurrent):
        _, [y, *_] = g.scan(step, [y], [ZERO])
        loss = loss + g.sum(g.sin(y))
    slopes = dict(zip("xub", gradient(loss, [X, U, B]), strict=True))
    made = Program("loops", (X,), (U, B), {"y": y, **slopes}, {})
    values = {name: value[:4] if name == "x" else value for name, value in VALUES.items()}
    expected = run_once(Reference("float64"), made, values, 4)
    found = run_once(native("float64"), made, values, 4)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-9, 1e-11, err_msg=name)


SPELLED = [case[:4] for case in test_losses.CASES if case[0].startswith("CTC")]


@pytest.mark.parametrize(
    ("name", "options", "y", "p"), SPELLED, ids=[f"{i}-{name}" for i, (name, *_) in enumerate(SPELLED)]
)
def test_ctc_agrees_with_the_reference(name: str, options: dict[str, Any], y: Array, p: Array) -> None:
    """Of logarithms of sums of what a loop has made, running error analysis knows nothing: it is no case there."""
    label, prediction, _ = test_losses.tensors(y, p)
    loss = Loss.registry.get(name)(**options)
    examples = loss.examples(label, prediction)
    [slope] = gradient(loss.reduce(examples), [prediction])
    made = Program(name, (label, prediction), (), {"examples": examples, "slope": slope}, {})
    expected = run_once(Reference("float64"), made, {"y": y, "p": p}, len(y))
    for precision, rtol, atol in (("float64", 1e-9, 1e-11), ("float32", 1e-5, 1e-3 if np.abs(p).max() > 100 else 1e-6)):
        found = run_once(native(precision), made, {"y": y, "p": p}, len(y))
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol, atol, err_msg=f"{key}, {precision}")


def test_bits_do_not_depend_on_threads() -> None:
    made = program(recurrent, 1, False)
    one, *others = (run_once(native(threads=n), made, VALUES, ROWS) for n in (1, 2, 3))
    for other in others:
        for name, value in one.items():
            np.testing.assert_array_equal(other[name], value, err_msg=name)


def test_a_loop_along_another_axis() -> None:
    """Without a batch; and along the last axis, where a step does not lie together."""
    [last], [sums] = g.scan(lambda c, s: ([s + c], [s * c]), [C], [g.broadcast_to(g.constant(1.0), (UNITS, 3))])
    turned = g.transpose(C, (0, 2, 1))
    [_], [again] = g.scan(
        lambda c, s: ([s + c], [s * c]), [turned], [g.broadcast_to(g.constant(1.0), (UNITS, 3))], axis=2
    )
    made = Program("loop", (C,), (), {"last": last, "sums": sums, "again": again}, {})
    expected = run_once(Reference("float64"), made, VALUES)
    found = run_once(native("float64"), made, VALUES)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, 1e-12, err_msg=name)


def test_a_loop_within_a_loop_goes_to_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    native()  # skips where there is no compiler
    monkeypatch.delenv("TALWEG_ENGINE", raising=False)

    def outer(x: Tensor, h: Tensor) -> Any:
        _, [inner] = g.scan(lambda a, s: ([s + a], [s * a]), [x], [g.sum(h, 1)])
        return [h + inner], []

    [last], _ = g.scan(outer, [X], [ZERO])
    made = Program("nested", (X,), (), {"last": last}, {})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = run_once(engine_by_name("auto"), made, VALUES, ROWS)
    assert any("no loop within a loop" in str(w.message) for w in said)
    np.testing.assert_allclose(found["last"], run_once(Reference(), made, VALUES, ROWS)["last"])
