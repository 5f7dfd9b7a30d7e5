"""Every regularizer against Keras, and its slope against PyTorch's. Relative tolerance 1e-6.

L2 has no ½, as in Keras; PyTorch's weight_decay is the slope of ½ λ Σ w².
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.engines import every_engine, run_once
from support import oracle
from talweg import graph as g
from talweg.engines import Engine
from talweg.errors import ShapeError, UsageError
from talweg.gradient import gradient
from talweg.graph import Program
from talweg.nn.regularizers import REGULARIZERS, get

CASES: list[tuple[str, dict[str, Any]]] = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.2}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1, "l2": 0.3}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.3, "mode": "columns"}),
]
W = np.random.default_rng(1).normal(size=(4, 3))
W[1, 1] = 0.0  # |w| has slope 0 there


def test_every_regularizer_has_a_case() -> None:
    assert {name for name, _ in CASES} == set(REGULARIZERS)


@every_engine
@pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}{o or ''}" for n, o in CASES])
def test_against_keras(name: str, options: dict[str, Any], engine: Engine) -> None:
    torch, keras = oracle("torch"), oracle("keras")
    ours, theirs = REGULARIZERS.get(name)(**options), getattr(keras.regularizers, name)(**options)
    t = torch.tensor(W.astype(np.float32), requires_grad=True)
    value = theirs(t)
    if any(options.values()) or name != "L1L2":  # which is nothing by default, and Keras writes no formula then
        value.backward()
    expected = float(value)
    np.testing.assert_allclose(ours(W), expected, 1e-6)

    w = g.state_tensor("w", W.shape)
    penalty = ours(w)
    [slope] = gradient(penalty, [w])
    out = run_once(engine, Program("p", (), (w,), {"penalty": penalty, "slope": slope}, {}), {"w": W})
    np.testing.assert_allclose(out["penalty"], expected, 1e-6)
    np.testing.assert_allclose(out["slope"], np.zeros(W.shape) if t.grad is None else t.grad, 1e-5, 1e-7)

    again = get(ours.to_config())
    assert type(again) is type(ours) and again.to_config() == ours.to_config()


def test_what_a_regularizer_may_be() -> None:
    assert get(None) is None and type(get("l2")) is REGULARIZERS.get("L2")
    formula = get(lambda w: g.sum(w * w * w * w))
    assert formula is not None and formula(g.state_tensor("w", (2,))).shape == ()
    with pytest.raises(UsageError, match="a regularizer must be"):
        get(3)
    with pytest.raises(UsageError, match="mode must be"):
        REGULARIZERS.get("OrthogonalRegularizer")(mode="diagonals")
    with pytest.raises(ShapeError, match="takes a matrix"):
        REGULARIZERS.get("OrthogonalRegularizer")()(np.ones(3))
