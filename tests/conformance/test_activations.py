"""Every activation against PyTorch (float64, relative tolerance 1e-12) and Keras (float32, 2e-6): values and slopes.

Where frameworks disagree:
- `relu6` at 6, `hard_sigmoid` and `hard_silu` at ±3, `hard_tanh` and `sparse_sigmoid` at ±1: PyTorch's slope is 0;
  here, written with `minimum` and `maximum`, it is half of the inner one (decision 001). The grid leaves the kinks out.
- `sparsemax`: Keras 3.15's makes, on PyTorch, rows that do not sum to 1; the paper is followed.
- `threshold`: NaN stays NaN, as in PyTorch; Keras answers the default value.
- `squareplus`: Keras writes (x + √(x² + b)) / 2, of which nothing is left at -1e4 in float32.
- `leaky_relu`: Keras's default slope is 0.2, PyTorch's 0.01. Keras is followed.
- `hard_sigmoid`: x/6 + 1/2 as in Keras 3 and PyTorch; Keras 2 had 0.2 x + 1/2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conformance.differences import assert_gradients
from conformance.engines import assert_close, every_engine, run_once
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.gradient import gradient
from talweg.graph import BATCH, Program
from talweg.nn.activations import ACTIVATIONS, ActivationFunction

Torch = Callable[[Any, Any], Any]  # (torch, x) to y


def sparsemax(t: Any, x: Any) -> Any:
    """By sorting, as in the paper: τ from the longest run of largest numbers that stay above it."""
    ordered = x.sort(-1, descending=True).values
    count = t.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    support = (1 + count * ordered > ordered.cumsum(-1)).sum(-1, True)
    return (x - (ordered.cumsum(-1).gather(-1, support - 1) - 1) / support).relu()


# name, options: what PyTorch makes of it; None where PyTorch has nothing of the kind
CASES: list[tuple[str, dict[str, Any], Torch | None]] = [
    ("linear", {}, lambda t, x: x * 1),
    ("relu", {}, lambda t, x: t.relu(x)),
    ("relu", {"negative_slope": 0.3}, lambda t, x: t.nn.functional.leaky_relu(x, 0.3)),
    ("relu", {"max_value": 2.0}, lambda t, x: t.nn.functional.hardtanh(x, 0.0, 2.0)),
    ("relu", {"negative_slope": 0.1, "max_value": 2.5, "threshold": 0.7}, None),
    ("relu6", {}, lambda t, x: t.nn.functional.relu6(x)),
    ("leaky_relu", {}, lambda t, x: t.nn.functional.leaky_relu(x, 0.2)),
    ("leaky_relu", {"negative_slope": 0.01}, lambda t, x: t.nn.functional.leaky_relu(x)),
    ("elu", {}, lambda t, x: t.nn.functional.elu(x)),
    ("elu", {"alpha": 0.5}, lambda t, x: t.nn.functional.elu(x, 0.5)),
    ("selu", {}, lambda t, x: t.selu(x)),
    ("sigmoid", {}, lambda t, x: t.sigmoid(x)),
    ("hard_sigmoid", {}, lambda t, x: t.nn.functional.hardsigmoid(x)),
    ("tanh", {}, lambda t, x: t.tanh(x)),
    ("softmax", {}, lambda t, x: t.softmax(x, -1)),
    ("softmax", {"axis": 1}, lambda t, x: t.softmax(x, 1)),
    ("log_softmax", {}, lambda t, x: t.log_softmax(x, -1)),
    ("log_softmax", {"axis": 1}, lambda t, x: t.log_softmax(x, 1)),
    ("softplus", {}, lambda t, x: t.logaddexp(x, t.zeros_like(x))),
    ("softsign", {}, lambda t, x: t.nn.functional.softsign(x)),
    ("silu", {}, lambda t, x: t.nn.functional.silu(x)),
    ("gelu", {}, lambda t, x: t.nn.functional.gelu(x)),
    ("gelu", {"approximate": True}, lambda t, x: t.nn.functional.gelu(x, approximate="tanh")),
    ("mish", {}, lambda t, x: t.nn.functional.mish(x)),
    ("exponential", {}, lambda t, x: t.exp(x)),
    ("gaussian", {}, lambda t, x: t.exp(-x * x)),
    ("rrelu", {}, lambda t, x: t.nn.functional.rrelu(x)),
    ("rrelu", {"lower": 0.1, "upper": 0.2}, lambda t, x: t.nn.functional.rrelu(x, 0.1, 0.2)),
    ("threshold", {}, lambda t, x: t.relu(x)),
    ("threshold", {"threshold": 1.0, "default_value": -2.0}, lambda t, x: t.nn.functional.threshold(x, 1.0, -2.0)),
    ("hard_tanh", {}, lambda t, x: t.nn.functional.hardtanh(x)),
    ("hard_tanh", {"min_val": -2.0, "max_val": 0.7}, lambda t, x: t.nn.functional.hardtanh(x, -2.0, 0.7)),
    ("hard_silu", {}, lambda t, x: t.nn.functional.hardswish(x)),
    ("hard_shrink", {}, lambda t, x: t.nn.functional.hardshrink(x)),
    ("hard_shrink", {"threshold": 1.1}, lambda t, x: t.nn.functional.hardshrink(x, 1.1)),
    ("soft_shrink", {}, lambda t, x: t.nn.functional.softshrink(x)),
    ("soft_shrink", {"threshold": 1.1}, lambda t, x: t.nn.functional.softshrink(x, 1.1)),
    ("sparse_sigmoid", {}, lambda t, x: t.nn.functional.hardtanh(x / 2 + 0.5, 0.0, 1.0)),
    ("sparse_plus", {}, lambda t, x: t.where(x <= -1, 0.0, t.where(x < 1, (x + 1) ** 2 / 4, x))),
    ("celu", {}, lambda t, x: t.nn.functional.celu(x)),
    ("celu", {"alpha": 0.5}, lambda t, x: t.nn.functional.celu(x, 0.5)),
    ("log_sigmoid", {}, lambda t, x: t.nn.functional.logsigmoid(x)),
    ("tanh_shrink", {}, lambda t, x: t.nn.functional.tanhshrink(x)),
    ("squareplus", {}, lambda t, x: t.where(x < 0, 2 / ((x * x + 4).sqrt() - x), (x + (x * x + 4).sqrt()) / 2)),
    ("squareplus", {"b": 1.5}, None),
    ("softmin", {}, lambda t, x: t.nn.functional.softmin(x, -1)),
    ("softmin", {"axis": 1}, lambda t, x: t.nn.functional.softmin(x, 1)),
    ("sparsemax", {}, lambda t, x: sparsemax(t, x)),
    ("sparsemax", {"axis": 1}, lambda t, x: sparsemax(t, x.movedim(1, -1)).movedim(-1, 1)),
    ("glu", {"axis": 1}, lambda t, x: t.nn.functional.glu(x, 1)),
]
NOT_IN_KERAS = {"gaussian", "rrelu", "softmin"}  # e^(-x²) is of seed 004, the others are PyTorch's
ids = [f"{n}{o or ''}" for n, o, _ in CASES]
every_case = pytest.mark.parametrize(("name", "options", "torch_form"), CASES, ids=ids)

GRID = np.linspace(-4.05, 4.05, 22).reshape(1, 2, 11)  # no kink of any case is on it
EXTREME = np.array([0.0, 1e-6, -1e-6, 30.0, -30.0, 90.0, -90.0, 1e4, -1e4, 0.0, 0.0]).reshape(1, 1, 11)
X = np.concatenate([GRID, EXTREME.repeat(2, 1)])
EXPLODING = {"exponential"}  # e^90 is no float32


def test_every_activation_has_a_case() -> None:
    # documents and other tests register activations of their own
    ours = {name for name in ACTIVATIONS if ACTIVATIONS.get(name).formula.__module__.startswith("talweg.")}
    assert {name for name, _, _ in CASES} == ours


def talweg_program(name: str, options: dict[str, Any]) -> Program:
    """Values, and the slope of Σ c y with c = 1, 2, ... along x."""
    x = g.input_tensor("x", (BATCH, *X.shape[1:]))
    y = ACTIVATIONS.get(name)(x, **options)
    [slope] = gradient(g.sum(y * g.constant(weights())), [x])
    return Program("activation", (x,), (), {"y": y, "slope": slope}, {})


def weights() -> Any:
    return np.arange(1.0, 1 + X[0].size).reshape(X.shape[1:]) / 10


@every_engine
@every_case
def test_against_pytorch(name: str, options: dict[str, Any], torch_form: Torch | None, engine: Engine) -> None:
    torch = oracle("torch")
    if torch_form is None:
        assert name in {n for n, _, form in CASES if form is not None}, f"{name} has no case that PyTorch can judge"
        return
    values = X if name not in EXPLODING or engine.precision == "float64" else X[:1]
    x = torch.tensor(values.astype(engine.precision).astype(np.float64), requires_grad=True)
    y = torch_form(torch, x)
    (y * torch.tensor(weights())).sum().backward()
    out = run_once(engine, talweg_program(name, options), {"x": values}, len(values))
    expected, slope = y.detach().numpy(), x.grad.numpy()
    # PyTorch's exp(-x)-free forms lose what lies below the smallest float; 1e-30 is 0 for both
    assert_close(out["y"], expected, engine, name)
    np.testing.assert_allclose(
        out["slope"], slope, 5e-6 if engine.precision == "float32" else 1e-11, 1e-6, err_msg=name
    )


@every_case
def test_against_keras(name: str, options: dict[str, Any], torch_form: Torch | None) -> None:
    keras = oracle("keras")
    if name in NOT_IN_KERAS:
        assert not hasattr(keras.activations, name)
        return
    ops, function = keras.ops, getattr(keras.activations, name)
    values = X[:1].astype(np.float32)
    if name == "threshold":
        options = {"threshold": 0.0, "default_value": 0.0, **options}  # which Keras demands
    if "min_val" in options or name == "sparsemax":
        return  # Keras's `hard_tanh` has no bounds of one's own; for `sparsemax` see above
    expected = ops.convert_to_numpy(function(ops.convert_to_tensor(values), **options))
    np.testing.assert_allclose(ACTIVATIONS.get(name)(values, **options), expected, 2e-6, 1e-6)


@every_case
def test_slopes_against_differences(name: str, options: dict[str, Any], torch_form: Torch | None) -> None:
    x = g.input_tensor("x", (BATCH, *X.shape[1:]))
    loss = g.sum(ACTIVATIONS.get(name)(x, **options) * g.constant(weights()))
    assert_gradients(loss, [x], {x: GRID / 2}, 1)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_nan_stays_nan_and_names_are_kept(name: str) -> None:
    function = ACTIVATIONS.get(name)
    assert isinstance(function, ActivationFunction) and function.registered_name == name
    assert np.isnan(function([np.nan, np.nan])).all()
    assert function.__doc__ and "$" in function.__doc__, "an activation states its formula"
    assert ACTIVATIONS.get(name.upper()) is function
