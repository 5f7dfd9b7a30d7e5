"""Nothing that a subclass writes is passed over: what Keras would call, and Talweg would not, is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from talweg.errors import UsageError
from talweg.keras import callbacks, initializers, layers, losses, metrics, models, optimizers, utils
from talweg.nn.layers.base import PASSED_OVER as OF_LAYERS
from talweg.nn.losses.base import PASSED_OVER as OF_LOSSES
from talweg.nn.metrics.base import PASSED_OVER as OF_METRICS
from talweg.optim.base import PASSED_OVER as OF_RULES
from talweg.train.layered import PASSED_OVER as OF_MODELS

CASES = [
    *((base, name) for base in (models.Model, models.Sequential) for name in OF_MODELS),
    *((base, name) for base in (layers.Layer, layers.Dense) for name in OF_LAYERS),
    *((base, name) for base in (losses.Loss, losses.MeanSquaredError) for name in OF_LOSSES),
    *((base, name) for base in (metrics.Metric, metrics.Mean, metrics.AUC) for name in OF_METRICS),
    *((base, name) for base in (optimizers.Optimizer, optimizers.Adam) for name in OF_RULES),
]


def method(self: Any, *arguments: Any) -> Any:
    raise AssertionError("it is never called")


@pytest.mark.parametrize(("base", "name"), CASES, ids=[f"{base.__name__}.{name}" for base, name in CASES])
def test_methods_that_nothing_would_call(base: type, name: str) -> None:
    with pytest.raises(UsageError, match=rf"^Mine\.{name} would never be called.*: \w+"):
        type("Mine", (base,), {name: method, "__module__": "mine"})
    mixed_in = type("Mixin", (), {name: method, "__module__": "mine"})
    with pytest.raises(UsageError, match=rf"^Mine\.{name} would never be called"):
        type("Mine", (mixed_in, base), {"__module__": "mine"})


@pytest.mark.parametrize("name", list(OF_MODELS))
def test_methods_that_are_put_on_a_model(name: str) -> None:
    model = models.Sequential([layers.Dense(1, input_shape=(2,))])
    with pytest.raises(UsageError, match=rf"^{name} of a model would never be called"):
        setattr(model, name, method)


def test_what_is_heard_is_not_refused() -> None:
    class Told(models.Sequential):
        def fit(self, *arguments: Any, **named: Any) -> Any:
            fitted.append(arguments)
            return super().fit(*arguments, **named)

    fitted: list[Any] = []
    model = Told([layers.Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    assert len(fitted) == 1


def test_a_layer_in_keras_s_form() -> None:
    with pytest.raises(UsageError, match=r"Twice\.call\(self, inputs.* must be call\(self, x, p, context"):

        class Twice(layers.Layer):
            def call(self, inputs: Any, training: Any = None) -> Any:  # type: ignore[override]
                return 2 * inputs


def test_a_callback_with_what_is_no_hook() -> None:
    with pytest.warns(UserWarning, match=r"Late\.on_epoch_finish is no hook, and nothing calls it.*The hooks are on_"):

        class Late(callbacks.Callback):
            def on_epoch_finish(self, epoch: int, logs: Any = None) -> None: ...


DRAWING = (
    "GlorotUniform",
    "HeNormal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Orthogonal",
)


@pytest.mark.parametrize("name", DRAWING)
def test_an_initializer_without_a_seed_draws_its_own(name: str) -> None:
    """As Keras 3 does: at each call of one the same, of two of them others, and again after `set_random_seed`."""
    made = getattr(initializers, name)
    one, two = made(), made()
    assert (one((3, 4)) == one((3, 4))).all() and (one((3, 4)) != two((3, 4))).any()
    drawn = []
    for _ in range(2):
        utils.set_random_seed(7)
        drawn.append(made()((3, 4)))
    assert (drawn[0] == drawn[1]).all() and (made(seed=1)((3, 4)) == made(seed=1)((3, 4))).all()
    weights = [models.Sequential([layers.Dense(4, input_shape=(3,))], seed=5).get_weights()[0] for _ in range(2)]
    assert (weights[0] == weights[1]).all(), "a model with a seed is the same each time"


@pytest.fixture(autouse=True)
def _process_seed_is_left() -> Any:
    from talweg.nn import seeds

    before = list(seeds._process)
    yield
    seeds._process[:] = before
