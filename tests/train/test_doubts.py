"""What a fit tells by warnings: each doubt is told once, at the user's own line; what is right is not told."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from talweg import graph as g
from talweg.data import Dataset
from talweg.errors import DataWarning, DivergenceWarning, ModelWarning, TalwegWarning, UsageError
from talweg.nn import layers, losses, metrics
from talweg.optim import SGD, Adam
from talweg.train.callbacks import LearningRateScheduler, TerminateOnNaN
from talweg.train.doubts import tell_doubts
from talweg.train.experiment import Source, Wishes, made
from talweg.train.intake import training_source, validation_source
from talweg.train.loop import Plan
from talweg.train.model import Model
from talweg.train.presets import PRESETS
from talweg.train.sequential import Sequential

ROWS = 90
random = np.random.default_rng(0)
X = random.normal(size=(ROWS, 4)).astype("float32")
CLASSES = random.integers(0, 3, ROWS)
ONE_HOT = np.eye(3)[CLASSES]
BINARY = (CLASSES == 1).astype("float32")
SIGNS = 2 * BINARY - 1
NUMBERS = 3 * X[:, 0] + 1
SORTED = np.sort(CLASSES)
IMAGES = random.integers(0, 256, (ROWS, 8, 8))
SPARSE, CATEGORICAL = "sparse_categorical_crossentropy", "categorical_crossentropy"
LOGITS = losses.BinaryCrossentropy(from_logits=True)


def fit(
    last: Any,
    loss: Any,
    y: Any,
    *,
    x: Any = X,
    measured: Any = None,
    optimizer: Any = "sgd",
    before: Any = (),
    trainable: bool = True,
    **given: Any,
) -> Model:
    """One epoch of a small network."""
    ends = last if isinstance(last, list) else [last]
    first = before or ([layers.Flatten()] if x.ndim > 2 else [])
    model = Sequential([layers.Input(x.shape[1:]), *first, layers.Dense(4, "tanh"), *ends], seed=0)
    model.trainable = trainable
    model.compile(optimizer, loss, metrics=measured, engine="reference")
    model.fit(x, y, epochs=1, verbose=0, **given)
    return model


def dense(units: int, activation: Any = None) -> layers.Layer:
    return layers.Dense(units, activation)


def own_sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + g.exp(-z))


def own_softmax(z: Any) -> Any:
    e = g.exp(z)
    return e / g.sum(e, -1, keepdims=True)


Case = tuple[type[TalwegWarning], str, Callable[[], Any]]
DOUBTS: dict[str, Case] = {
    "no softmax": (
        ModelWarning,
        "activation='softmax', or pass from_logits=True",
        lambda: fit(dense(3), SPARSE, CLASSES),
    ),
    "no softmax, one-hot": (ModelWarning, "sums of any size", lambda: fit(dense(3), CATEGORICAL, ONE_HOT)),
    "no sigmoid": (ModelWarning, "activation='sigmoid'", lambda: fit(dense(1), "binary_crossentropy", BINARY)),
    "tanh": (ModelWarning, "numbers from -1 to 1", lambda: fit(dense(1, "tanh"), "binary_crossentropy", BINARY)),
    "sums scaled": (
        ModelWarning,
        "sums of any size",
        lambda: fit([dense(3), layers.Rescaling(0.1, 0.5), layers.Reshape((3,))], SPARSE, CLASSES),
    ),
    "sums normalized": (
        ModelWarning,
        "sums of any size",
        lambda: fit([dense(3), layers.BatchNormalization()], SPARSE, CLASSES),
    ),
    "focal": (ModelWarning, "sums of any size", lambda: fit(dense(1), "binary_focal_crossentropy", BINARY)),
    "kl": (ModelWarning, "sums of any size", lambda: fit(dense(3), "kl_divergence", ONE_HOT)),
    "PyTorch's bce": (ModelWarning, "takes probabilities", lambda: fit(dense(1), losses.BCELoss(), BINARY)),
    "softmax twice": (
        ModelWarning,
        "ends in a softmax already",
        lambda: fit(dense(3, "softmax"), losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
    ),
    "softmax as a layer, twice": (
        ModelWarning,
        "from_logits=True",
        lambda: fit([dense(3), layers.Softmax()], losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES),
    ),
    "sigmoid twice": (ModelWarning, "sigmoid itself", lambda: fit(dense(1, "sigmoid"), LOGITS, BINARY)),
    "own sigmoid twice": (ModelWarning, "sigmoid itself", lambda: fit(dense(1, own_sigmoid), LOGITS, BINARY)),
    "PyTorch's, softmax twice": (
        ModelWarning,
        "take a loss of probabilities",
        lambda: fit(dense(3, "softmax"), losses.CrossEntropyLoss(), CLASSES),
    ),
    "nll of probabilities": (ModelWarning, "log_softmax", lambda: fit(dense(3, "softmax"), losses.NLLLoss(), CLASSES)),
    "accuracy of logits": (ModelWarning, "threshold=0.0", lambda: fit(dense(1), LOGITS, BINARY, measured=["accuracy"])),
    "auc of logits": (
        ModelWarning,
        r"AUC\(from_logits=True\)",
        lambda: fit(dense(1), LOGITS, BINARY, measured=["auc"]),
    ),
    "precision of logits": (
        ModelWarning,
        "takes probabilities, and gets logits",
        lambda: fit(dense(1), LOGITS, BINARY, measured=["precision"]),
    ),
    "cross-entropy of logits": (
        ModelWarning,
        "to the metric, too",
        lambda: fit(dense(1), LOGITS, BINARY, measured=["binary_crossentropy"]),
    ),
    "accuracy of numbers": (ModelWarning, "use 'mae' or", lambda: fit(dense(1), "mse", NUMBERS, measured=["accuracy"])),
    "accuracy of signs": (
        ModelWarning,
        r"\(y \+ 1\) / 2",
        lambda: fit(dense(1), "hinge", SIGNS, measured=["accuracy"]),
    ),
    "precision of class numbers": (
        ModelWarning,
        "labels 0 and 1, and y holds 2",
        lambda: fit(dense(1), "mse", CLASSES, measured=[metrics.Precision()]),
    ),
    "equality": (
        ModelWarning,
        "equal their label exactly",
        lambda: fit(dense(1, "sigmoid"), "binary_crossentropy", BINARY, measured=[metrics.Accuracy()]),
    ),
    "nothing to train": (ModelWarning, "trainable=True", lambda: fit(dense(1), "mse", NUMBERS, trainable=False)),
    "a rate of 0": (ModelWarning, "learning rate is 0", lambda: fit(dense(1), "mse", NUMBERS, optimizer=SGD(0.0))),
    "unseen classes": (
        DataWarning,
        "classes that training never sees: 2",
        lambda: fit(dense(3, "softmax"), SPARSE, np.where(np.arange(ROWS) < 75, CLASSES % 2, 2), validation_split=0.2),
    ),
    "sorted classes": (
        DataWarning,
        "order of their classes: validation holds the last",
        lambda: fit(dense(3, "softmax"), SPARSE, SORTED, validation_split=0.2),
    ),
    "sorted one-hot rows": (
        DataWarning,
        "order of their classes",
        lambda: fit(dense(3, "softmax"), CATEGORICAL, np.eye(3)[SORTED], validation_split=0.2),
    ),
    "sorted numbers": (
        DataWarning,
        "in the order of y",
        lambda: fit(dense(1), "mse", np.sort(NUMBERS)[::-1], validation_split=0.2),
    ),
    "sorted and not shuffled": (
        DataWarning,
        "shuffle=False keeps it",
        lambda: fit(dense(3, "softmax"), SPARSE, SORTED, shuffle=False),
    ),
    "validated on training": (
        DataWarning,
        "training data itself",
        lambda: fit(dense(1), "mse", NUMBERS, validation_data=(X.copy(), NUMBERS)),
    ),
    "bytes": (DataWarning, "by 255", lambda: fit(dense(1), "mse", NUMBERS, x=IMAGES.astype("uint8"))),
    "bytes as floats": (DataWarning, "by 255", lambda: fit(dense(1), "mse", NUMBERS, x=IMAGES.astype("float32"))),
    "bytes into filters": (
        DataWarning,
        "weights of 'conv2d'",
        lambda: fit(
            dense(1),
            "mse",
            NUMBERS,
            x=IMAGES.astype("uint8")[..., None],
            before=[layers.Conv2D(2, 3, padding="same", name="conv2d"), layers.Flatten()],
        ),
    ),
}

CLEAR: dict[str, Callable[[], Any]] = {
    "softmax": lambda: fit(dense(3, "softmax"), SPARSE, CLASSES, measured=["accuracy"], validation_split=0.2),
    "softmax, one-hot": lambda: fit(
        dense(3, "softmax"), CATEGORICAL, ONE_HOT, measured=["accuracy", "auc", "precision"]
    ),
    "softmax as a layer": lambda: fit([dense(3), layers.Softmax()], SPARSE, CLASSES),
    "softmax, then moved": lambda: fit(
        [dense(3, "softmax"), layers.Reshape((3, 1)), layers.Flatten()], SPARSE, CLASSES
    ),
    "own softmax": lambda: fit(dense(3, own_softmax), SPARSE, CLASSES),
    "own sigmoid": lambda: fit(dense(1, own_sigmoid), "binary_crossentropy", BINARY),
    "unknown": lambda: fit(dense(1, "softsign"), "binary_crossentropy", BINARY),
    "clipped": lambda: fit([dense(1, lambda z: g.clip(z, 0.0, 1.0))], "binary_crossentropy", BINARY),
    "hard sigmoid": lambda: fit(dense(1, "hard_sigmoid"), "binary_crossentropy", BINARY, measured=["accuracy"]),
    "sigmoids of several": lambda: fit(dense(3, "sigmoid"), "binary_crossentropy", ONE_HOT, measured=["auc"]),
    "logits": lambda: fit(
        dense(3), losses.SparseCategoricalCrossentropy(from_logits=True), CLASSES, measured=["accuracy"]
    ),
    "one logit": lambda: fit(
        dense(1), LOGITS, BINARY, measured=[metrics.BinaryAccuracy(threshold=0.0), metrics.AUC(from_logits=True)]
    ),
    "PyTorch's logits": lambda: fit(dense(3), losses.CrossEntropyLoss(), CLASSES),
    "nll": lambda: fit(dense(3, "log_softmax"), losses.NLLLoss(), CLASSES),
    "numbers": lambda: fit(dense(1), "mse", NUMBERS, measured=["mae", "r2_score"], validation_split=0.2),
    "classes as numbers": lambda: fit(dense(1), "mse", BINARY, measured=["accuracy"]),
    "one-hot by mse": lambda: fit(dense(3, "sigmoid"), "mse", ONE_HOT, measured=["accuracy"]),
    "hinge": lambda: fit(dense(1), "hinge", SIGNS),
    "counts": lambda: fit(dense(1, "exponential"), "poisson", CLASSES.astype("float32")),
    "sorted and shuffled": lambda: fit(dense(3, "softmax"), SPARSE, SORTED),
    "many rare classes, mixed": lambda: fit(
        dense(50, "softmax"), SPARSE, np.random.default_rng(0).integers(0, 50, ROWS), validation_split=0.2
    ),
    "in order, mixed": lambda: fit(dense(3, "softmax"), SPARSE, CLASSES, shuffle=False),
    "a table of logic": lambda: fit(
        dense(1, "sigmoid"), "binary_crossentropy", BINARY[:4], x=np.sort(X[:4], axis=0), shuffle=False
    ),
    "other validation": lambda: fit(dense(1), "mse", NUMBERS, validation_data=(X[::-1], NUMBERS)),
    "bytes, rescaled": lambda: fit(
        dense(1),
        "mse",
        NUMBERS,
        x=IMAGES.astype("uint8"),
        before=[layers.Rescaling(1 / 255), layers.Flatten()],
    ),
    "bytes, normalized": lambda: fit(
        dense(1), "mse", NUMBERS, x=IMAGES.reshape(ROWS, 64), before=[layers.BatchNormalization()]
    ),
    "numbers of words": lambda: fit(
        dense(1), "mse", NUMBERS, x=IMAGES.reshape(ROWS, 64), before=[layers.Embedding(256, 2), layers.Flatten()]
    ),
    "scaled images": lambda: fit(dense(1), "mse", NUMBERS, x=IMAGES / 255),
    "a rate that is set": lambda: fit(
        dense(1), "mse", NUMBERS, optimizer=SGD(0.0), callbacks=[LearningRateScheduler(lambda epoch: 0.1)]
    ),
}


@pytest.mark.parametrize("case", DOUBTS)
def test_what_is_doubtful_is_told_once_where_the_user_wrote_it(case: str) -> None:
    kind, says, run = DOUBTS[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    said = [str(w.message) for w in caught]
    assert len(caught) == 1, said
    assert caught[0].category is kind and caught[0].filename == __file__
    with pytest.warns(kind, match=says):
        run()


@pytest.mark.parametrize("case", CLEAR)
def test_what_is_as_it_should_be_is_not_told(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CLEAR[case]()


def test_doubts_change_no_number() -> None:
    with pytest.warns(ModelWarning):
        told = fit(dense(3), SPARSE, CLASSES, measured=["accuracy"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TalwegWarning)
        silent = fit(dense(3), SPARSE, CLASSES, measured=["accuracy"])
    for a, b in zip(told.get_weights(), silent.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_streams_are_looked_at_by_their_first_batch() -> None:
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=0)
    model.compile("sgd", "mse", metrics=["accuracy"], engine="reference")
    with pytest.warns(ModelWarning, match="'accuracy' is for labels 0 and 1"):
        model.fit(Dataset.from_tensor_slices((X, NUMBERS)).batch(8), verbose=0)


# ── what is no number ─────────────────────────────────────────────────────────────────────────────────────


def test_a_loss_that_breaks_is_told_with_its_place_and_kept() -> None:
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=0)
    model.compile(SGD(1e20), "mse", engine="reference")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TalwegWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        warnings.simplefilter("always", DivergenceWarning)
        history = model.fit(X, NUMBERS, batch_size=10, epochs=3, shuffle=False, verbose=0)
    assert len(caught) == 1 and caught[0].category is DivergenceWarning and caught[0].filename == __file__
    said = str(caught[0].message)
    assert "of epoch 1" in said and "smaller learning rate than 1e+20" in said and "TerminateOnNaN" in said
    place = history.params["diverged"]
    assert place["epoch"] == 0 and place["batch"] >= 1
    assert len(history.epoch) == 3 and not math.isfinite(history.history["loss"][0])
    with pytest.warns(DivergenceWarning, match="90 of 90 predictions hold NaN or infinity, row 0 the first"):
        model.predict(X)
    with pytest.warns(DivergenceWarning, match="the loss on this data is nan"):
        model.evaluate(X, NUMBERS, verbose=0)


def test_a_loss_that_is_broken_before_any_step_is_told_so() -> None:
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=0)
    model.compile("sgd", "mse", engine="reference")
    model.set_weights([np.full((4, 1), np.nan), np.zeros(1)])
    with pytest.warns(DivergenceWarning, match="batch 1 of epoch 1. It is so before any step"):
        model.fit(X, NUMBERS, batch_size=ROWS, verbose=0)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_callback_that_ends_a_broken_fit_tells_it_itself(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=0)
    model.compile(SGD(1e20), "mse", engine="reference")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DivergenceWarning)
        model.fit(X, NUMBERS, epochs=3, verbose=0, callbacks=[TerminateOnNaN()])
    assert "TerminateOnNaN" in capsys.readouterr().out


def test_a_validation_that_breaks_alone_is_told() -> None:
    model = Sequential([layers.Dense(1, input_shape=(4,))], seed=0)
    model.compile("sgd", "mse", engine="reference")
    with np.errstate(all="ignore"), pytest.warns(DivergenceWarning, match="validation loss became inf after epoch 1"):
        model.fit(X, NUMBERS, verbose=0, validation_data=(1e30 * X, NUMBERS))


def test_the_looks_cost_little() -> None:
    """On 60,000 rows; the bound is wide, since time decides no test, but for a look at every number of x."""
    x, y = random.random((60_000, 784), np.float32), random.integers(0, 10, 60_000)
    model = Sequential([layers.Dense(32, "relu", input_shape=(784,)), layers.Dense(10, "softmax")], seed=0)
    model.compile(Adam(), SPARSE, metrics=["accuracy"], engine="reference")
    source, _ = training_source(model, (x, y, None), 32, True, None, 0.0, None)
    began = time.perf_counter()
    for _ in range(10):
        tell_doubts(model, Plan(source, 1, 0, 1, 0), False, False)
    assert (time.perf_counter() - began) / 10 < 0.1


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("data", ["digits", "iris", "diabetes"])
def test_models_with_a_name_give_no_cause(name: str, data: str) -> None:
    """As ``talweg train DATA --model NAME`` makes them."""
    try:
        prepared, model, _, batch_size, _ = made(Wishes(Source(data), model=name, engine="reference"))
    except UsageError:  # a model of images, or of classes, for which this set is none
        return
    x, y = prepared.x_train, prepared.y_train
    source, _ = training_source(model, (x, y, None), batch_size, True, None, 0.0, None)
    validation = validation_source(model, (prepared.x_validation, prepared.y_validation), batch_size, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell_doubts(model, Plan(source, 1, 0, 1, 0, None, validation), is_split=False, sets_rates=False)
