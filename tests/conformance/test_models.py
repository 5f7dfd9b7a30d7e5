"""Whole models, trained from equal weights on equal batches: every epoch's loss, metrics and the last weights.

Against Keras in float32 within 2e-4 (relative), and against a loop written in PyTorch in float64 within 1e-8.
Rows are not shuffled, since each has its own way of shuffling; the last batch of each epoch is short.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from conformance.engines import ENGINES
from support import oracle
from talweg.graph import Array
from talweg.nn import layers, losses
from talweg.optim import OPTIMIZERS, schedules
from talweg.train.sequential import Sequential

N, EPOCHS, BATCH_SIZE = 83, 4, 16
random = np.random.default_rng(8)
X = random.normal(size=(N, 5)).astype(np.float32)
CLASS = (X[:, 0] > 0).astype(int) + (X[:, 1] + X[:, 2] > 0.3)
ONE_HOT = np.eye(3, dtype=np.float32)[CLASS]
BIT = (X[:, :1] * X[:, 1:2] > 0).astype(np.float32)
REAL = (X @ random.normal(size=(5, 2)) + 0.1 * random.normal(size=(N, 2))).astype(np.float32)
WEIGHTS = random.choice([0.25, 1.0, 3.0], N).astype(np.float32)


@dataclass(frozen=True)
class Run:
    """One model and one way of training it, in words that both libraries understand."""

    stack: Callable[[Any], list[Any]]  # of `layers`
    loss: str
    optimizer: Callable[[Any], Any]  # of a module with the classes
    y: Array
    metrics: tuple[str, ...] = ()
    fit: dict[str, Any] = field(default_factory=dict)


RUNS: dict[str, Run] = {
    "softmax and Adam": Run(
        lambda k: [k.Dense(8, "relu"), k.Dense(3, "softmax")],
        *("sparse_categorical_crossentropy", lambda o: o.Adam(0.02), CLASS, ("accuracy",)),
    ),
    "one-hot labels, momentum, an activation layer": Run(
        lambda k: [k.Dense(6), k.Activation("tanh"), k.Dense(3), k.Activation("softmax")],
        *("categorical_crossentropy", lambda o: o.SGD(0.1, momentum=0.9, nesterov=True), ONE_HOT, ("accuracy",)),
    ),
    "sigmoid, RMSprop and several metrics": Run(
        lambda k: [k.Dense(8, "gelu"), k.Dense(1, "sigmoid")],
        *("binary_crossentropy", lambda o: o.RMSprop(0.01), BIT, ("accuracy", "mae", "auc")),
    ),
    "regression with L2, L1 and a penalty on activities": Run(
        lambda k: [
            k.Dense(7, "selu", kernel_regularizer="l2", bias_regularizer="l1"),
            k.Dense(2, kernel_regularizer="L1L2", activity_regularizer="l2"),
        ],
        *("mse", lambda o: o.Adagrad(0.1), REAL, ("mae",)),
    ),
    "mean absolute error, AdamW and clipping": Run(
        lambda k: [k.Rescaling(0.5, 0.1), k.Dense(9, "swish", use_bias=False), k.Dense(2)],
        *("mae", lambda o: o.AdamW(0.02, clipnorm=0.5), REAL),
    ),
    "flattened rows, amsgrad and a global clip": Run(
        lambda k: [k.Reshape((5, 1)), k.Dense(3, "elu"), k.Flatten(), k.Dense(3, "softmax")],
        *("sparse_categorical_crossentropy", lambda o: o.Adam(0.02, amsgrad=True, global_clipnorm=0.3), CLASS),
    ),
    "class_weight": Run(
        lambda k: [k.Dense(8, "relu"), k.Dense(3, "softmax")],
        *("sparse_categorical_crossentropy", lambda o: o.SGD(0.1), CLASS),
        fit={"class_weight": {0: 0.5, 1: 1.0, 2: 4.0}},
    ),
    "class_weight of one-hot labels": Run(
        lambda k: [k.Dense(3, "softmax")],
        *("categorical_crossentropy", lambda o: o.SGD(0.1), ONE_HOT),
        fit={"class_weight": {0: 0.5, 1: 1.0, 2: 4.0}},
    ),
    "sample_weight": Run(
        lambda k: [k.Dense(8, "relu"), k.Dense(2)],
        *("mse", lambda o: o.SGD(0.05, momentum=0.5), REAL),
        fit={"sample_weight": WEIGHTS},
    ),
    "validation_split": Run(
        lambda k: [k.Dense(8, "relu"), k.Dense(1, "sigmoid")],
        *("binary_crossentropy", lambda o: o.Adam(0.01), BIT, ("accuracy",)),
        fit={"validation_split": 0.3},
    ),
    "validation_split of weighted rows": Run(
        lambda k: [k.Dense(2)],
        *("mse", lambda o: o.SGD(0.05), REAL),
        fit={"validation_split": 0.25, "sample_weight": WEIGHTS},
    ),
    "validation_data with weights": Run(
        lambda k: [k.Dense(2)],
        *("mse", lambda o: o.SGD(0.05), REAL),
        fit={"validation_data": (X[:20], REAL[:20], WEIGHTS[:20])},
    ),
    "a metric beside weights": Run(
        lambda k: [k.Dense(3, "softmax")],
        *("sparse_categorical_crossentropy", lambda o: o.SGD(0.1), CLASS, ("accuracy",)),
        fit={"sample_weight": WEIGHTS},
    ),
    "one example a step": Run(
        lambda k: [k.Dense(2)], *("mse", lambda o: o.SGD(0.01), REAL), fit={"batch_size": 1, "epochs": 1}
    ),
    "the whole set a step": Run(lambda k: [k.Dense(2)], *("mse", lambda o: o.SGD(0.1), REAL), fit={"batch_size": N}),
}


RATES = {
    "constant": 0.1,
    "schedule": schedules.ExponentialDecay(0.1, 5, 0.8),
    "function": lambda step: 0.1 / (1 + step),
}


ONLY_HERE = {"ASGD", "LBFGS", "RAdam", "Rprop", "SparseAdam"}  # PyTorch's: test_optimizers.py holds them against it
RUNS |= {
    f"with {name}": Run(
        lambda k: [k.Dense(4, "tanh"), k.Dense(2)], "mse", lambda o, name=name: getattr(o, name)(), REAL
    )
    for name in OPTIMIZERS
    if name not in ONLY_HERE
}


def test_every_optimizer_of_keras_trains_a_model_and_many_losses_do() -> None:
    """Every loss trains a model in test_losses.py."""
    import talweg.optim as module

    assert {type(run.optimizer(module)).__name__ for run in RUNS.values()} == set(OPTIMIZERS) - ONLY_HERE
    assert not any(hasattr(oracle("keras").optimizers, name) for name in ONLY_HERE)
    assert len({type(losses.get(run.loss)).__name__ for run in RUNS.values()}) >= 5


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.precision == "float32"], ids=lambda e: e.name)
@pytest.mark.parametrize("name", RUNS)
def test_against_keras(name: str, engine: Any) -> None:
    import talweg.optim as optim

    keras, run = oracle("keras"), RUNS[name]
    theirs = keras.Sequential([keras.Input((5,)), *run.stack(keras.layers)])
    ours = Sequential([layers.Input((5,)), *run.stack(layers)], seed=1)
    ours.set_weights(theirs.get_weights())
    how = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0} | run.fit

    theirs.compile(run.optimizer(keras.optimizers), run.loss, metrics=list(run.metrics), jit_compile=False)
    expected = theirs.fit(X, run.y, **how).history
    ours.compile(run.optimizer(optim), run.loss, metrics=list(run.metrics), engine=engine)
    history = ours.fit(X, run.y, **how).history

    assert set(history) == set(expected)
    for key in expected:
        np.testing.assert_allclose(history[key], expected[key], 2e-4, 1e-5, err_msg=f"{name}: {key}")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-3, 1e-4)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), 1e-3, 1e-4)
    found, wanted = (
        m.evaluate(X, run.y, batch_size=10, verbose=0, return_dict=True, sample_weight=WEIGHTS) for m in (ours, theirs)
    )
    assert set(found) == set(wanted)
    for key in wanted:
        np.testing.assert_allclose(found[key], wanted[key], 1e-3, 1e-4, err_msg=f"{name}: evaluate {key}")


@pytest.mark.parametrize("engine", [e for e in ENGINES if e.precision == "float64"], ids=lambda e: e.name)
@pytest.mark.parametrize("rate", list(RATES.values()), ids=list(RATES))
def test_against_a_loop_in_pytorch(rate: Any, engine: Any) -> None:
    """tanh, softmax, L2 on the first kernel, momentum, a rate that falls: 24 steps, relative tolerance 1e-8."""
    torch = oracle("torch")
    stack = [layers.Dense(6, "tanh", kernel_regularizer="l2"), layers.Dense(3, "softmax")]
    model = Sequential([layers.Input((5,)), *stack], seed=3)
    model.compile(OPTIMIZERS.get("sgd")(rate, momentum=0.9), "sparse_categorical_crossentropy", engine=engine)
    model.set_weights([random.normal(size=v.shape) for v in model.variables])
    w1, b1, w2, b2 = parameters = [torch.tensor(w.astype(np.float64), requires_grad=True) for w in model.get_weights()]
    velocity = [torch.zeros_like(p) for p in parameters]
    x, y = torch.tensor(X.astype(np.float64)), torch.tensor(CLASS)
    expected, step = [], 0
    for _ in range(EPOCHS):
        total = 0.0
        for start in range(0, N, BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            logits = torch.tanh(x[rows] @ w1 + b1) @ w2 + b2
            loss = torch.nn.functional.cross_entropy(logits, y[rows]) + 0.01 * (w1 * w1).sum()
            total += loss.item() * len(x[rows])
            now = rate(step) if callable(rate) else rate
            slopes = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, v, d in zip(parameters, velocity, slopes, strict=True):
                    v.mul_(0.9).sub_(now * d)
                    p.add_(v)
            step += 1
        expected.append(total / N)
    history = model.fit(X.astype(np.float64), CLASS, batch_size=BATCH_SIZE, epochs=EPOCHS, shuffle=False, verbose=0)
    assert model.iterations == step
    np.testing.assert_allclose(history.history["loss"], expected, 1e-8)
    for mine, p in zip(model.get_weights(), parameters, strict=True):
        assert mine.dtype == np.float64
        np.testing.assert_allclose(mine, p.detach().numpy(), 1e-8, 1e-10)
