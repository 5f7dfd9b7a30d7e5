"""Convolutions and batch normalization in training: moving statistics, small networks, against Keras and PyTorch.

In float64, so that what differs is a difference of meaning and not of rounding. Keras's BatchNormalization, losses and
averages pass through float32 whatever it is told, so with them the tolerance is wider; against PyTorch it is not.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conformance.engines import ENGINES
from conformance.test_keras_layers import ours_of
from conformance.test_layers import built
from support import oracle
from talweg.engines import Reference
from talweg.nn import layers
from talweg.optim import OPTIMIZERS
from talweg.train.sequential import Sequential

IN_FLOAT32 = (1e-4, 1e-5)  # relative, absolute
RANDOM = np.random.default_rng(12)
every_float64_engine = pytest.mark.parametrize(
    "engine", [e for e in ENGINES if e.precision == "float64"], ids=lambda e: e.name
)


# ── batch normalization ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("training", [False, True])
def test_batch_normalization_is_pytorch_s(training: bool) -> None:
    torch = oracle("torch")
    layer = built("BatchNormalization", {"epsilon": 0.01}, (4, 5, 3))
    layer.set_weights([RANDOM.uniform(0.5, 1.5, v.shape) for v in layer.variables])
    x = RANDOM.normal(1.0, 2.0, (6, 4, 5, 3))
    a, gamma, beta, mean, variance = (torch.tensor(t) for t in (x, *layer.get_weights()))
    learned = [t.requires_grad_() for t in (a, gamma, beta)]
    y = torch.nn.functional.batch_norm(
        a.permute(0, 3, 1, 2), mean, variance, gamma, beta, training=training, eps=0.01
    ).permute(0, 2, 3, 1)
    slopes = torch.autograd.grad((y * torch.sin(y)).sum(), learned)
    for ours, theirs in zip(ours_of(layer, x, training), (y, *slopes), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), 1e-9, 1e-11)


PICTURES = RANDOM.normal(2.0, 3.0, (44, 3, 4, 2))
TARGETS = RANDOM.normal(size=(44, 3))


def normalizing(of: Any, **options: Any) -> list[Any]:
    return [of.BatchNormalization(momentum=0.8, **options), of.Flatten(), of.Dense(3)]


@every_float64_engine
def test_moving_statistics_over_many_steps_are_keras_s(engine: Any, keras: ModuleType) -> None:
    """Three epochs with a short last batch: moving mean and variance, and what evaluate makes of them."""
    ours = Sequential([layers.Input((3, 4, 2)), *normalizing(layers)], seed=2)
    theirs = keras.Sequential([keras.Input((3, 4, 2)), *normalizing(keras.layers)])
    ours.compile(OPTIMIZERS.get("sgd")(0.01), "mse", engine=engine)
    theirs.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    theirs.set_weights(ours.get_weights())
    how: dict[str, Any] = {"epochs": 3, "batch_size": 10, "shuffle": False, "verbose": 0}
    losses = ours.fit(PICTURES, TARGETS, validation_split=0.25, **how).history
    expected = theirs.fit(PICTURES, TARGETS, validation_split=0.25, **how).history
    for key, numbers in expected.items():
        np.testing.assert_allclose(losses[key], numbers, *IN_FLOAT32, err_msg=key)
    for v, a, b in zip(ours.variables, ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, *IN_FLOAT32, err_msg=v.name)
    np.testing.assert_allclose(ours.predict(PICTURES, verbose=0), theirs.predict(PICTURES, verbose=0), *IN_FLOAT32)


def trained(model: Sequential) -> None:
    model.fit(PICTURES, TARGETS, batch_size=11, epochs=1, verbose=0)


@pytest.mark.parametrize("options", [{}, {"center": False, "scale": False}])
def test_a_frozen_layer_runs_in_inference_mode(options: dict[str, Any]) -> None:
    """`trainable = False`: nothing of it changes and it normalizes with what it has, also when set between two fits."""
    model = Sequential([layers.Input((3, 4, 2)), *normalizing(layers, **options)], seed=2)
    model.compile(OPTIMIZERS.get("sgd")(0.0), "mse", engine=Reference("float64"))
    trained(model)
    layer, before = model.layers[0], model.layers[0].get_weights()
    assert not np.array_equal(before[-2], np.zeros(2)), "the moving mean moved"
    layer.trainable = False
    trained(model)
    for a, b in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    x = PICTURES[:4].astype(float)
    mean, variance = before[-2:]
    np.testing.assert_allclose(ours_of(layer, x, training=True)[0], (x - mean) / np.sqrt(variance + 1e-3), 1e-12)
    layer.trainable = True
    trained(model)
    assert not np.array_equal(layer.get_weights()[-2], before[-2]), "and again, once it is trained"


def test_a_layer_at_two_places_moves_its_statistics_twice() -> None:
    shared = layers.BatchNormalization(momentum=0.5)
    model = Sequential([layers.Input((2,)), shared, layers.Rescaling(2.0, 3.0), shared], seed=0)
    model.compile(OPTIMIZERS.get("sgd")(0.0), "mse", engine=Reference("float64"))
    x = RANDOM.normal(size=(8, 2))
    model.fit(x, x, batch_size=8, epochs=1, verbose=0)
    np.testing.assert_allclose(shared.get_weights()[-2], 0.25 * x.mean(0) + 0.5 * 3.0, 1e-9)


def test_a_channel_that_never_varies_is_no_division_by_zero() -> None:
    layer = built("BatchNormalization", {}, (3,))
    for found in ours_of(layer, np.ones((4, 3)), training=True):
        assert np.isfinite(found).all()


# ── a network ─────────────────────────────────────────────────────────────────────────────────────────────

X = RANDOM.normal(size=(37, 9, 8, 1))
Y = (X[:, 2:5, 2:5].sum((1, 2, 3)) > 0).astype(int) + (X[:, 6:].sum((1, 2, 3)) > 0)


def network(of: Any, normalized: bool) -> list[Any]:
    """Every kind of layer that a small network of pictures has, but chance; 5 steps of 8 make an epoch of 37 rows."""
    return [
        of.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
        *([of.BatchNormalization(momentum=0.9)] if normalized else []),
        of.MaxPooling2D(2),
        of.Conv2D(6, (2, 3), padding="same", groups=2, use_bias=False),
        *([of.BatchNormalization(scale=False)] if normalized else []),
        of.Activation("tanh"),
        of.MaxPooling2D(2, strides=1, padding="same"),
        of.Flatten(),
        of.Dense(3, "softmax"),
    ]


@every_float64_engine
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_small_network_learns_as_in_keras(optimizer: str, normalized: bool, engine: Any, keras: ModuleType) -> None:
    ours = Sequential([layers.Input((9, 8, 1)), *network(layers, normalized)], seed=5)
    theirs = keras.Sequential([keras.Input((9, 8, 1)), *network(keras.layers, normalized)])
    loss, tolerance = "sparse_categorical_crossentropy", IN_FLOAT32 if normalized else (1e-5, 1e-7)
    ours.compile(OPTIMIZERS.get(optimizer)(0.05), loss, engine=engine)
    theirs.compile(getattr(keras.optimizers, optimizer)(0.05), loss, jit_compile=False)
    theirs.set_weights(ours.get_weights())
    how: dict[str, Any] = {"epochs": 1, "batch_size": 8, "shuffle": False, "verbose": 0}
    found, expected = ours.fit(X, Y, **how).history, theirs.fit(X, Y, **how).history
    assert ours.iterations == 5
    for key, numbers in expected.items():
        np.testing.assert_allclose(found[key], numbers, *tolerance, err_msg=key)
    for v, a, b in zip(ours.variables, ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, *tolerance, err_msg=v.name)
    np.testing.assert_allclose(ours.predict(X, verbose=0), theirs.predict(X, verbose=0), *tolerance)


@every_float64_engine
def test_a_small_network_learns_as_in_pytorch(engine: Any) -> None:
    """Five steps of SGD in a loop of PyTorch's own, relative tolerance 1e-8: losses, weights, moving statistics."""
    torch = oracle("torch")
    model = Sequential(
        [
            layers.Input((9, 8, 1)),
            layers.Conv2D(4, 3, strides=(2, 1), activation="relu"),
            layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
            layers.MaxPooling2D(2),
            layers.Conv2D(6, 2, groups=2, padding="same", activation="tanh"),
            layers.Flatten(),
            layers.Dense(3, "softmax"),
        ],
        seed=5,
    )
    model.compile(OPTIMIZERS.get("sgd")(0.1), "sparse_categorical_crossentropy", engine=engine)
    k1, b1, gamma, beta, mean, variance, k2, b2, w, b = (torch.tensor(a.astype(float)) for a in model.get_weights())
    parameters = [p.requires_grad_() for p in (k1, b1, gamma, beta, k2, b2, w, b)]
    functional, total = torch.nn.functional, 0.0
    x, y = torch.tensor(X).permute(0, 3, 1, 2), torch.tensor(Y)
    for start in range(0, len(X), 8):
        rows = slice(start, start + 8)
        h = functional.relu(functional.conv2d(x[rows], k1.permute(3, 2, 0, 1), b1, (2, 1)))
        mean = 0.9 * mean + 0.1 * h.detach().mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * h.detach().var((0, 2, 3), unbiased=False)  # PyTorch itself divides by n - 1
        h = functional.batch_norm(h, None, None, gamma, beta, training=True, eps=1e-5)
        h = functional.pad(functional.max_pool2d(h, 2), (0, 1, 0, 1))
        h = torch.tanh(functional.conv2d(h, k2.permute(3, 2, 0, 1), b2, groups=2))
        logits = h.permute(0, 2, 3, 1).reshape(len(h), -1) @ w + b
        loss = functional.cross_entropy(logits, y[rows])
        total += loss.item() * len(h)
        slopes = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for p, d in zip(parameters, slopes, strict=True):
                p.sub_(0.1 * d)
    history = model.fit(X, Y, batch_size=8, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(history.history["loss"], total / len(X), 1e-8)
    expected = (k1, b1, gamma, beta, mean, variance, k2, b2, w, b)
    for v, a, t in zip(model.variables, model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(a, t.detach().numpy(), 1e-8, 1e-10, err_msg=v.name)


def test_a_network_of_pictures_goes_through_a_file(tmp_path: Any) -> None:
    from talweg import load

    model = Sequential([layers.Input((9, 8, 1)), *network(layers, True)], seed=5)
    model.compile("adam", "sparse_categorical_crossentropy", engine=Reference())
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    model.save(tmp_path / "model.talweg")
    again = load(tmp_path / "model.talweg")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
