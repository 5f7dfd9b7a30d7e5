"""A new activation, loss, layer, metric or regularizer is one short thing in one place; it then trains and is saved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.errors import FrozenError, UsageError
from talweg.graph import Tensor
from talweg.nn import activations, constraints, initializers, layers, losses, metrics, regularizers
from talweg.nn.layers import LAYERS, Context, Layer, Parameter
from talweg.optim import SGD, schedules
from talweg.registry import Registry
from talweg.train.saved import load as load_model
from talweg.train.sequential import Sequential

X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X @ [[1.0], [-2.0], [0.5]]) ** 2


@pytest.fixture(autouse=True)
def tables_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it: other tests go through the tables."""
    tables: list[Registry[Any]] = [activations.ACTIVATIONS, losses.Loss.registry, LAYERS, metrics.METRICS]
    tables += [regularizers.REGULARIZERS, initializers.INITIALIZERS, constraints.CONSTRAINTS, schedules.SCHEDULES]
    for table in tables:
        for part in ("_things", "_folded", "_name_of"):
            monkeypatch.setattr(table, part, dict(getattr(table, part)))
    yield


def trained(model: Sequential, loss: Any, measured: Any = None) -> tuple[float, float]:
    model.compile("adam", loss, metrics=measured, engine="reference")
    history = model.fit(X, Y, epochs=8, verbose=0)
    return history.history["loss"][0], history.history["loss"][-1]


def test_an_activation() -> None:
    def bent(x: Tensor) -> Tensor:
        return g.sqrt(x * x + 1) - 1

    layer = layers.Dense(4, activation=bent)
    with pytest.raises(UsageError, match="Register it first"):
        layer.to_config()
    activations.register("bent", bent)
    model = Sequential([layers.Dense(4, activation="bent", input_shape=(3,)), layers.Dense(1)], seed=0)
    first, last = trained(model, "mse")
    assert last < first
    again = Layer.from_config(model.layers[0].to_config())
    np.testing.assert_allclose(again.activation([0.0, 1.0]), [0, np.sqrt(2) - 1], 1e-6)


def test_a_loss_by_decorator_and_a_plain_function() -> None:
    @losses.loss("quartic")
    def mean_quartic_error(y_true: Tensor, y_pred: Tensor, scale: float = 1.0) -> Tensor:
        return scale * g.mean(g.square(g.square(y_pred - y_true)), axis=-1)

    made = losses.get("quartic")
    assert type(made).__name__ == "MeanQuarticError" and made.to_config() == {"class": "MeanQuarticError"}
    halved = losses.Loss.from_config({"class": "MeanQuarticError", "scale": 0.5})
    np.testing.assert_allclose(halved([[0.0]], [[2.0]]), 8)
    first, last = trained(Sequential([layers.Dense(1, input_shape=(3,))], seed=0), "mean_quartic_error", ["quartic"])
    assert last < first
    first, last = trained(
        Sequential([layers.Dense(1, input_shape=(3,))], seed=0), lambda y, p: g.mean(g.softplus(abs(y - p)), -1)
    )
    assert last < first


def test_a_layer() -> None:
    @dataclass(eq=False, repr=False)
    class Scale(Layer):
        """y = a x, with a for each input."""

        start: float = 1.0

        def parameters(self, input_shape: tuple[int, ...]) -> Any:
            yield Parameter("a", input_shape, self.start, regularizer=regularizers.get("l2"))

        def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
            return x * p.a

    assert LAYERS.get("scale") is Scale
    model = Sequential([Scale(2.0, input_shape=(3,)), layers.Dense(1)], seed=0)
    assert model.layers[0].get_weights()[0].tolist() == [2, 2, 2]
    first, last = trained(model, "mse")
    assert last < first and not np.array_equal(model.layers[0].get_weights()[0], [2, 2, 2])
    assert Layer.from_config(model.layers[0].to_config()).start == 2.0


def test_a_metric() -> None:
    @dataclass(eq=False, repr=False)
    class LargestError(metrics.Metric):
        """max |y - ŷ| over all that was seen."""

        def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
            return {"largest": ()}

        def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: Any) -> dict[str, Tensor]:
            return {"largest": g.maximum(s["largest"], g.max(abs(y_true - y_pred)))}

        def outcome(self, s: Any) -> Tensor:
            return s["largest"]

    model = Sequential([layers.Dense(1, input_shape=(3,))], seed=0)
    model.compile("sgd", "mse", metrics=["largest_error"], engine="reference")
    found = model.evaluate(X, Y, batch_size=7, verbose=0, return_dict=True)["largest_error"]
    np.testing.assert_allclose(found, np.abs(model.predict(X, verbose=0) - Y).max(), 1e-5)


def test_a_regularizer_and_an_initializer() -> None:
    @dataclass(eq=False, repr=False)
    class Quartic(regularizers.Regularizer):
        """λ Σ w⁴"""

        strength: float = 0.1

        def penalty(self, w: Tensor) -> Tensor:
            return self.strength * g.sum(g.square(g.square(w)))

    @dataclass(eq=False, repr=False)
    class Checkers(initializers.Initializer):
        """1 and -1 in turn."""

        def values(self, shape: tuple[int, ...], random: Any) -> Any:
            return 1.0 - 2 * (np.indices(shape).sum(0) % 2)

    dense = layers.Dense(1, kernel_initializer="checkers", kernel_regularizer="quartic", input_shape=(3,))
    model = Sequential([dense], seed=0)
    assert model.get_weights()[0].ravel().tolist() == [1, -1, 1]
    model.compile("sgd", "mse", engine="reference")
    plain = np.mean((model.predict(X, verbose=0) - Y) ** 2)
    np.testing.assert_allclose(model.evaluate(X, Y, batch_size=40, verbose=0), plain + 0.3, 1e-5)
    assert type(Layer.from_config(dense.to_config()).kernel_regularizer) is Quartic


def test_classes_in_keras_s_form_are_saved_with_what_they_were_made_of(tmp_path: Path) -> None:
    """An `__init__` and a `get_config` of their own: the file once held neither, and was damaged when it was read."""

    class Around(initializers.Initializer):
        def __init__(self, mean: float) -> None:
            self.mean = mean

        def __call__(self, shape: Any, dtype: Any = None) -> Any:  # type: ignore[override]
            return np.full(shape, self.mean, dtype)

        def get_config(self) -> dict[str, Any]:
            return {"mean": self.mean}

    class Penalty(regularizers.Regularizer):
        def __init__(self, strength: float = 0.1) -> None:
            self.strength = strength

        def __call__(self, w: Any) -> Any:
            return self.strength * g.sum(g.square(w))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "strength": np.float32(self.strength)}

    class Centred(constraints.Constraint):
        def __init__(self, around: float, **more: Any) -> None:
            self.around = around

        def __call__(self, w: Any) -> Any:
            return w - g.mean(w) + self.around

        def get_config(self) -> dict[str, Any]:
            return {"around": self.around}

    class Falling(schedules.Schedule):
        def __init__(self, first: float) -> None:
            self.first = first

        def __call__(self, step: Any) -> Any:
            return self.first / (step + 1)

        def get_config(self) -> dict[str, Any]:
            return {"first": self.first}

    own = {"kernel_initializer": Around(0.25), "kernel_regularizer": Penalty(0.5), "kernel_constraint": Centred(2.0)}
    model = Sequential([layers.Dense(1, input_shape=(3,), **own)], seed=0)
    np.testing.assert_array_equal(model.get_weights()[0], np.full((3, 1), 0.25))
    model.compile(SGD(Falling(0.125)), "mse", engine="reference")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    dense = again.layers[0]
    settings = (dense.kernel_initializer.mean, dense.kernel_regularizer.strength, dense.kernel_constraint.around)
    assert (*settings, again.optimizer.learning_rate.first) == (0.25, 0.5, 2.0, 0.125)
    assert again.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


def test_a_class_whose_settings_nobody_knows_is_not_saved() -> None:
    class Penalty(regularizers.Regularizer):
        def __init__(self, strength: float = 0.1) -> None:
            self.strength = strength

    with pytest.raises(UsageError, match="Penalty cannot be saved: its __init__ takes strength, which is no field"):
        Penalty(0.5).to_config()

    class Scale(Layer):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

    with pytest.raises(FrozenError, match=r"Scale has no field 'factor'.*write @dataclass"):
        Scale(2.0)
