"""The learning-rate range test: what it finds, and that nothing of the model is changed by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.engines import Reference
from talweg.errors import UsageError
from talweg.graph import Program
from talweg.nn.layers import BatchNormalization, Dense, Dropout
from talweg.optim import SGD, Adam
from talweg.optim.schedules import ExponentialDecay
from talweg.train.lr_find import RateSearch, _steepest
from talweg.train.sequential import Sequential

X = np.random.default_rng(0).normal(size=(64, 3))
Y = np.sin(X @ np.array([[1.0], [-2.0], [0.5]]))


def model(rule: Any, engine: Any = "reference") -> Sequential:
    made = Sequential([Dense(8, "tanh", input_shape=(3,)), BatchNormalization(), Dropout(0.2), Dense(1)], seed=2)
    made.compile(rule, "mse", engine=engine)
    return made


def test_a_parabola_s_rates() -> None:
    """Descent on ½ a (w - 1)² is stable below 2 / a: the suggestion lies below, the end of the test above."""
    made = Sequential([Dense(1, use_bias=False, input_shape=(1,), kernel_initializer="zeros")], seed=0)
    made.compile(SGD(), "mse", engine="reference", precision="float64")
    found = made.lr_find([[1.0], [-1.0]], [1.0, -1.0], batch_size=2)  # mse (w - 1)²: a = 2
    assert found.diverged and found.suggestion is not None
    assert 0.01 < found.suggestion < 1.0 < found.rates[-1]
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 100
    assert found.losses[0] == 1.0 and found.suggestion <= found.lowest
    rates = np.geomspace(1e-6, 10, 100)[: len(found.rates)]
    np.testing.assert_allclose(found.rates, rates)
    w = np.concatenate([[0.0], 1 - np.cumprod(1 - 2 * rates)])[: len(rates)]  # the very steps, by hand
    np.testing.assert_allclose(found.losses, (w - 1) ** 2, 1e-9, 1e-12)


@pytest.mark.parametrize("rule", [SGD(0.1, momentum=0.9), Adam(ExponentialDecay(0.01, 10, 0.5)), Adam(lambda t: 0.01)])
def test_the_model_is_as_it_was(rule: Any) -> None:
    """Weights, moving statistics, memory, counts and the rate; a fit after it has the bits of one without."""
    searched, plain = model(rule), model(rule)
    for made in (searched, plain):
        made.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    rate, history = searched.optimizer.learning_rate, searched.history
    found = searched.lr_find(X, Y, 16, steps=40)
    assert searched.optimizer.learning_rate is rate and searched.history is history
    assert searched.iterations == plain.iterations and searched.epochs_trained == 1
    for made in (searched, plain):
        made.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    for a, b in zip(searched.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, value in plain.optimizer_states.items():
        np.testing.assert_array_equal(searched.optimizer_states[name], value)
    assert len(found.rates) <= 40


def test_nothing_is_compiled_for_a_rate() -> None:
    class Counting(Reference):
        compiled = 0

        def compile(self, program: Program, states: Any) -> Any:
            Counting.compiled += 1
            return super().compile(program, states)

    made = model(SGD(0.1), Counting())
    made.fit(X, Y, epochs=1, verbose=0)
    before = Counting.compiled
    made.lr_find(X, Y)
    assert Counting.compiled == before


def test_a_plot_and_a_model_that_was_not_built(tmp_path: Path) -> None:
    made = Sequential([Dense(1)], seed=0)
    made.compile("sgd", "mse", engine="reference")
    found = made.lr_find(X, Y)
    found.plot(tmp_path / "rates.png")
    assert (tmp_path / "rates.png").read_bytes()[:4] == b"\x89PNG"
    assert f"suggestion {found.suggestion:.3g}" in repr(found)


def test_where_nothing_falls_there_is_no_suggestion() -> None:
    rates = list(np.geomspace(1e-3, 1, 12))
    assert _steepest(rates, [1.0 + 0.1 * i for i in range(12)]) is None
    assert "no rate" in repr(RateSearch(rates, [1.0] * 12, [1.0] * 12, None, False))


def test_what_makes_no_sense_is_said() -> None:
    made = model("sgd")
    for options, said in (
        ({"min_lr": 0}, "min_lr must be above 0"),
        ({"min_lr": 1.0, "max_lr": 0.1}, "below max_lr"),
        ({"steps": 3}, "steps must be a whole number of at least 10"),
        ({"smoothing": 1.0}, "smoothing must be"),
        ({"min_lr": 1e30, "max_lr": 1e35}, "lower min_lr"),
    ):
        with pytest.raises(UsageError, match=said):
            made.lr_find(X, Y, **options)
    searching = model("lbfgs")
    with pytest.raises(UsageError, match="finds its own steps"):
        searching.lr_find(X, Y)
