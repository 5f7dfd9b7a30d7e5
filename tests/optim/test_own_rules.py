"""A new update rule or schedule is one short class; its formula is compiled into the step like those of the house."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn import layers
from talweg.optim import OPTIMIZERS, UpdateRule, schedules
from talweg.optim.schedules import SCHEDULES, Schedule
from talweg.train.sequential import Sequential

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X @ np.array([[1.0], [-2.0], [0.5]])


@pytest.fixture(autouse=True)
def tables_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for table in (OPTIMIZERS, SCHEDULES):
        for part in ("_things", "_folded", "_name_of"):
            monkeypatch.setattr(table, part, dict(getattr(table, part)))
    yield


def test_a_rule_with_a_slot() -> None:
    @dataclass(eq=False, repr=False)
    class SignOfMomentum(UpdateRule):
        """w <- w - η sign(m), m the running mean of g."""

        beta: float = 0.9

        def slots(self, w: Tensor) -> dict[str, float]:
            return {"m": 0.0}

        def update(self, w: Tensor, g_: Tensor, s: Any, step: Tensor, rate: Tensor) -> Any:
            m = self.beta * s["m"] + (1 - self.beta) * g_
            return w - rate * g.sign(m), {"m": m}

    model = Sequential([layers.Dense(1, input_shape=(3,), kernel_initializer="zeros")], seed=0)
    model.compile("signofmomentum", "mse", engine="reference")
    model.optimizer.learning_rate = 0.5
    model.fit(X, Y, batch_size=40, epochs=1, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [0.5, -0.5, 0.5])
    assert UpdateRule.from_config({"class": "SignOfMomentum", "beta": 0.5}).beta == 0.5


def test_a_schedule() -> None:
    @dataclass(eq=False, repr=False)
    class Inverse(Schedule):
        """η₀ / (1 + t)"""

        first: float

        def rate(self, step: Tensor) -> Tensor:
            return self.first / (1.0 + step)

    assert [Inverse(1.0)(t) for t in range(3)] == [1.0, 0.5, 1 / 3]
    by_formula, by_function = (
        Sequential([layers.Dense(1, input_shape=(3,))], seed=0),
        Sequential([layers.Dense(1, input_shape=(3,))], seed=0),
    )
    for model, rate in ((by_formula, Inverse(0.1)), (by_function, lambda t: 0.1 / (1 + t))):
        model.compile(OPTIMIZERS.get("sgd")(rate), "mse", engine="reference")
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)
    for a, b in zip(by_formula.get_weights(), by_function.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-6)


def test_a_rate_of_zero_changes_nothing_and_a_rate_may_be_assigned() -> None:
    model = Sequential([layers.Dense(1, input_shape=(3,))], seed=0)
    model.compile(OPTIMIZERS.get("adam")(0.0), "mse", engine="reference")
    before = model.get_weights()
    model.fit(X, Y, epochs=1, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    model.optimizer.learning_rate = schedules.CosineDecay(0.1, 10)
    model.fit(X, Y, epochs=1, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])
