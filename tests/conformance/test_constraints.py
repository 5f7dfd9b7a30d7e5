"""Every constraint against Keras, alone and after each step of training. Relative tolerance 1e-6 in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine, run_once
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import UnknownNameError, UsageError
from talweg.graph import Program
from talweg.nn import layers
from talweg.nn.constraints import CONSTRAINTS, NonNeg, get
from talweg.optim import OPTIMIZERS
from talweg.train.sequential import Sequential

CASES: list[tuple[str, dict[str, Any]]] = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.7, "axis": 1}),
    ("MaxNorm", {"max_value": 1.5, "axis": (0, 1)}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.1, "max_value": 1.4, "rate": 0.6}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.6, "axis": (0, 1)}),
]
W = np.random.default_rng(1).normal(size=(4, 3))
W[:, 1] = 0.0  # a length of 0

every_case = pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}{o or ''}" for n, o in CASES])


def test_every_constraint_has_a_case() -> None:
    assert {name for name, _ in CASES} == set(CONSTRAINTS)


@every_engine
@every_case
def test_against_keras(name: str, options: dict[str, Any], engine: Engine) -> None:
    keras = oracle("keras")
    ours = CONSTRAINTS.get(name)(**options)
    expected = keras.ops.convert_to_numpy(getattr(keras.constraints, name)(**options)(W.astype(np.float32)))
    w = g.state_tensor("w", W.shape)
    out = run_once(engine, Program("c", (), (w,), {"w": ours(w)}, {}), {"w": W})
    np.testing.assert_allclose(out["w"], expected, 1e-5, 1e-7)
    np.testing.assert_allclose(ours(W), expected, 1e-5, 1e-7)
    again = get(ours.to_config())
    assert type(again) is type(ours) and again.to_config() == ours.to_config()


@every_engine
@every_case
@pytest.mark.parametrize("common", [{}, {"gradient_accumulation_steps": 2}, {"use_ema": True, "ema_momentum": 0.5}])
def test_after_every_step_as_in_keras(
    name: str, options: dict[str, Any], common: dict[str, Any], engine: Engine
) -> None:
    """Six steps of Adam on a small network, whose kernel and bias are held to the constraint and to be positive."""
    keras = oracle("keras")
    draw = np.random.default_rng(2)
    x, y, kernel = draw.normal(size=(8, 4)), draw.normal(size=(8, 3)), draw.normal(size=(4, 3))
    ours = Sequential([layers.Dense(3, input_shape=(4,), kernel_constraint=get({"class": name, **options}))], seed=0)
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    theirs.layers[0].kernel.constraint = getattr(keras.constraints, name)(**options)
    for model, rule in ((ours, OPTIMIZERS.get("Adam")(0.1, **common)), (theirs, keras.optimizers.Adam(0.1, **common))):
        kwargs = {"engine": engine} if model is ours else {}
        model.compile(rule, "mse", **kwargs)
        model.set_weights([kernel, np.zeros(3)])
        for _ in range(6):
            model.train_on_batch(x, y)
    for found, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, 2e-4, 2e-5)


def test_every_layer_takes_them_for_what_it_learns() -> None:
    """`kernel_constraint`, `bias_constraint`, ... of each layer reach the parameter of that name, and are saved."""
    dense = layers.Dense(2, kernel_constraint="max_norm", bias_constraint="non_neg")
    convolution = layers.Conv2D(2, 3, kernel_constraint="unit_norm", bias_constraint="NonNeg")
    normalization = layers.BatchNormalization(beta_constraint="non_neg", gamma_constraint="min_max_norm")
    for layer, shape in ((dense, (4,)), (convolution, (5, 5, 1)), (normalization, (4,))):
        held = {p.name: p.constraint for p in layer.parameters(shape) if p.trainable}
        assert all(constraint is getattr(layer, f"{name}_constraint") for name, constraint in held.items())
        assert type(layer).from_config(layer.to_config()).to_config() == layer.to_config()
        assert None not in held.values() and "constraint" in str(layer.to_config())


def test_what_is_not_trained_is_not_held() -> None:
    kernel = -np.ones((2, 1))
    model = Sequential([layers.Dense(1, input_shape=(2,), kernel_constraint=NonNeg(), trainable=False)], seed=0)
    model.add(layers.Dense(1))
    model.compile("sgd", "mse", engine="reference")
    model.layers[0].set_weights([kernel, np.zeros(1)])
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], kernel)


def test_what_a_constraint_may_be() -> None:
    assert get(None) is None and type(get("max_norm")) is CONSTRAINTS.get("MaxNorm")
    halved = get(lambda w: w * 0.5)
    model = Sequential([layers.Dense(1, use_bias=False, input_shape=(1,), kernel_constraint=halved)], seed=0)
    model.compile(OPTIMIZERS.get("sgd")(0.0), "mse", engine="reference")
    model.set_weights([[[8.0]]])
    model.fit([[1.0]], [[1.0]], epochs=3, verbose=0)
    assert model.get_weights()[0].item() == 1.0
    with pytest.raises(UsageError, match="a constraint must be"):
        get(3)
    with pytest.raises(UnknownNameError, match="did you mean 'MaxNorm'"):
        get("maxnrm")
