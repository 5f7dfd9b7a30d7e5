"""`compile`, `evaluate`, `predict`, `train_on_batch`: names, order and forms as in Keras."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from support import oracle
from talweg.data import Dataset
from talweg.engines import Reference
from talweg.errors import UsageError
from talweg.nn import losses, metrics
from talweg.nn.layers import Dense, Input
from talweg.optim import SGD, Adam
from talweg.train.model import Model
from talweg.train.sequential import Sequential

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(50, 4)).astype("float32")
CLASSES = RANDOM.integers(0, 3, 50)
WEIGHTS = RANDOM.uniform(0.1, 3.0, 50)


def network(units: int = 3, activation: Any = "softmax") -> Sequential:
    return Sequential([Dense(6, "relu", input_shape=(4,)), Dense(units, activation)], seed=0)


def twin(ours: Sequential, units: int = 3, activation: Any = "softmax") -> Any:
    keras = oracle("keras")
    hidden = keras.layers.Dense(6, activation="relu")
    theirs = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(units, activation=activation)])
    theirs.set_weights(ours.get_weights())
    return theirs


@pytest.mark.parametrize("method", ["compile", "fit", "evaluate", "predict", "train_on_batch", "test_on_batch"])
def test_arguments_have_keras_order_and_defaults(method: str) -> None:
    keras = oracle("keras")
    mine = inspect.signature(getattr(Model, method)).parameters.values()
    theirs = inspect.signature(getattr(keras.Model, method)).parameters.values()
    positional = [p for p in mine if p.kind is p.POSITIONAL_OR_KEYWORD]
    others = [p for p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in positional] == [p.name for p in others]
    for p, q in zip(positional, others, strict=True):
        assert p.default == q.default, p.name


def test_the_default_optimizer_and_bare_names() -> None:
    model = network()
    model.compile(loss="sparse_categorical_crossentropy")
    assert type(model.optimizer).__name__ == "RMSprop" and model.optimizer.learning_rate == 0.001
    assert type(model.loss).__name__ == "SparseCategoricalCrossentropy" and model.compiled


@pytest.mark.parametrize(
    ("optimizer", "loss"),
    [
        ("Adam", "MSE"),
        (Adam, losses.MeanSquaredError),
        (Adam(), losses.MeanSquaredError()),
        ({"class": "Adam"}, losses.mean_squared_error),
        ("adam", ["mse"]),
        ("adam", lambda y_true, y_pred: (y_pred - y_true) ** 2),
    ],
)
def test_names_classes_objects_and_functions(optimizer: Any, loss: Any) -> None:
    results = []
    for how in ((optimizer, loss), ("adam", "mean_squared_error")):
        model = network(1, None)
        model.compile(*how, metrics=["mae", metrics.MeanSquaredError, metrics.R2Score(name="r2")])
        results.append(model.fit(X, CLASSES, verbose=0, epochs=2).history)
    assert list(results[0]) == ["loss", "mae", "mean_squared_error", "r2"]
    for name, values in results[1].items():
        np.testing.assert_allclose(results[0][name], values, rtol=1e-6)


def test_a_metric_may_be_a_function() -> None:
    def bias(y_true: Any, y_pred: Any) -> Any:
        return y_pred - y_true

    model = network(1, None)
    model.compile("sgd", "mse", metrics=[bias, "mean_absolute_error"])
    logs = model.evaluate(X, CLASSES, verbose=0, return_dict=True)
    difference = model.predict(X)[:, 0] - CLASSES
    assert logs["bias"] == pytest.approx(difference.mean(), abs=1e-5)
    assert logs["mean_absolute_error"] == pytest.approx(np.abs(difference).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "y", "units", "activation"),
    [
        ("sparse_categorical_crossentropy", CLASSES, 3, "softmax"),
        ("sparse_categorical_crossentropy", CLASSES[:, None], 3, "softmax"),
        ("categorical_crossentropy", np.eye(3)[CLASSES], 3, "softmax"),
        ("binary_crossentropy", CLASSES > 0, 1, "sigmoid"),
        ("binary_crossentropy", np.eye(3)[CLASSES], 3, "sigmoid"),
        ("mse", np.eye(3)[CLASSES], 3, None),
    ],
)
def test_accuracy_fits_every_form_of_label(loss: str, y: Any, units: int, activation: Any) -> None:
    ours = network(units, activation)
    theirs = twin(ours, units, activation)
    for model in (ours, theirs):
        model.compile("sgd", loss, metrics=["accuracy"])
    a, b = (m.evaluate(X, y, batch_size=16, verbose=0) for m in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_evaluate_answers_in_keras_forms() -> None:
    ours = network()
    theirs = twin(ours)
    names = {"metrics": ["accuracy"], "weighted_metrics": ["sparse_categorical_accuracy"]}
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", **names)
    assert ours.metrics_names == ["loss", "accuracy", "sparse_categorical_accuracy"]
    listed, other = (m.evaluate(X, CLASSES, sample_weight=WEIGHTS, verbose=0) for m in (ours, theirs))
    assert isinstance(listed, list) and len(listed) == len(other) == 3
    np.testing.assert_allclose(listed, other, rtol=1e-4)
    logs, others = (m.evaluate(X, CLASSES, sample_weight=WEIGHTS, verbose=0, return_dict=True) for m in (ours, theirs))
    assert list(logs) == list(others)
    np.testing.assert_allclose(list(logs.values()), list(others.values()), rtol=1e-4)
    ours.compile("sgd", "sparse_categorical_crossentropy")
    assert isinstance(ours.evaluate(X, CLASSES, verbose=0), float)


def test_equal_names_are_told_apart_as_in_keras() -> None:
    ours = network()
    theirs = twin(ours)
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", "accuracy"])
    a, b = (set(m.evaluate(X, CLASSES, verbose=0, return_dict=True)) for m in (ours, theirs))
    assert a == b == {"loss", "accuracy", "accuracy_1"}


def test_evaluate_prints_a_line_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.evaluate(X, CLASSES, verbose=0)
    model.test_on_batch(X, CLASSES)
    model.predict(X)
    model.fit(X, CLASSES, verbose=0)
    assert capsys.readouterr().out == ""
    model.evaluate(X, CLASSES)
    assert capsys.readouterr().out.startswith("accuracy: ")


def test_evaluate_does_not_depend_on_the_batch_size_and_may_be_cut_short() -> None:
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    whole = model.evaluate(X, CLASSES, verbose=0)
    for size in (1, 7, 50, 1000):
        np.testing.assert_allclose(model.evaluate(X, CLASSES, size, verbose=0), whole, rtol=1e-5)
    data = Dataset.from_tensor_slices((X, CLASSES)).batch(7)
    np.testing.assert_allclose(model.evaluate(data, verbose=0), whole, rtol=1e-5)
    part = model.evaluate(X[:14], CLASSES[:14], verbose=0)
    np.testing.assert_allclose(model.evaluate(data, steps=2, verbose=0), part, rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(X, CLASSES, 7, steps=2, verbose=0), part, rtol=1e-5)


def test_predict() -> None:
    model = network()  # not compiled: prediction needs no loss
    theirs = twin(model)
    expected = theirs.predict(X, verbose=0)
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4)
    assert model.predict(X).dtype == np.float32 and model.predict(X).shape == (50, 3)
    for x in (X.tolist(), [list(row) for row in X], Dataset.from_tensor_slices(X).batch(9), iter([X[:20], X[20:]])):
        np.testing.assert_allclose(model.predict(x), expected, rtol=1e-4)
    pairs = Dataset.from_tensor_slices((X, CLASSES)).batch(9)  # what fit takes, predict takes
    np.testing.assert_allclose(model.predict(pairs), expected, rtol=1e-4)
    assert model.predict(pairs, steps=2).shape == (18, 3)
    np.testing.assert_allclose(model.predict(X, batch_size=7), expected, rtol=1e-4)
    np.testing.assert_allclose(model(X), expected, rtol=1e-4)
    np.testing.assert_allclose(model.predict_on_batch(X[:1]), expected[:1], rtol=1e-4)


def test_predict_gives_a_model_its_shape() -> None:
    model = Sequential([Dense(2)], seed=0)
    assert model.predict([[1, 2, 3]]).shape == (1, 2) and model.input_shape == (None, 3)


def test_pixels_stay_bytes() -> None:
    model = Sequential([Dense(2, input_shape=(4,))], seed=0)
    pixels = np.arange(200, dtype=np.uint8).reshape(50, 4)
    np.testing.assert_array_equal(model.predict(pixels), model.predict(pixels.astype(float)))
    kinds = {key[1].arrays["x"][1] for key in model._sessions._made}
    assert kinds == {"uint8", "float"}


def test_train_on_batch() -> None:
    ours = network()
    theirs = twin(ours)
    for model in (ours, theirs):
        model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    first, other = (m.train_on_batch(X, CLASSES, WEIGHTS) for m in (ours, theirs))
    np.testing.assert_allclose(first, other, rtol=1e-4)
    for model in (ours, theirs):
        model.train_on_batch(X, CLASSES, class_weight={0: 3.0})
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert ours.iterations == 2 and len(ours._sessions) == 1
    before = ours.evaluate(X, CLASSES, verbose=0, return_dict=True)["loss"]
    logs = ours.train_on_batch(X, CLASSES, return_dict=True)  # of this batch alone, unlike Keras 3's running mean
    assert logs["loss"] == pytest.approx(before, rel=1e-5) and set(logs) == {"loss", "accuracy"}


def test_programs_are_made_once() -> None:
    model = network()
    model.compile("adam", "sparse_categorical_crossentropy")
    for _ in range(3):
        model.fit(X, CLASSES, epochs=2, validation_split=0.2, verbose=0)
        model.predict(X)
        model.evaluate(X, CLASSES, verbose=0)
    assert len(model._sessions) == 3
    model.fit(X, CLASSES, sample_weight=WEIGHTS, verbose=0)
    assert len(model._sessions) == 4
    model.add(Dense(3))
    assert len(model._sessions) == 0
    model.fit(X, CLASSES, verbose=0)


def test_an_engine_is_a_value() -> None:
    model = network()
    engine = Reference("float64")
    model.compile("sgd", "mse", engine=engine)
    assert model.engine is engine and model.precision == "float64"
    model.compile("sgd", "mse", engine="reference")
    assert isinstance(model.engine, Reference) and model.precision == "float32"


def test_what_is_not_known_before_compile() -> None:
    model = network()
    for ask in ("optimizer", "loss", "engine", "metrics_names", "metrics", "weighted_metrics"):
        with pytest.raises(UsageError, match="compiled first"):
            getattr(model, ask)
    assert model.iterations == 0 and model.precision == "float32"


def test_weights_are_copies_in_keras_order() -> None:
    model = network()
    kernel, bias, *_ = model.get_weights()
    assert kernel.shape == (4, 6) and bias.shape == (6,)
    kernel[...] = 9
    assert not (model.get_weights()[0] == 9).any()
    model.set_weights([w + 1 for w in model.get_weights()])
    assert (model.layers[0].get_weights()[1] == 1).all() and model.count_params() == 51


def test_a_rate_that_a_program_assigns_is_checked_and_converted() -> None:
    model = network()
    model.compile(SGD(0.1), "mse")
    model.optimizer.learning_rate = np.float32(0.25)
    assert model.optimizer.learning_rate == 0.25 and type(model.optimizer.learning_rate) is float


def test_an_input_layer_alone_is_the_shape() -> None:
    model = Sequential([Input(4), Dense(2)], seed=0)
    assert model.input_shape == (None, 4) and model.output_shape == (None, 2) and len(model.layers) == 1
