"""Bad input: each is a `ValueError` or `TypeError` with one clear message, and leaves the model as it was before.

A row of a table is an input, and what its message must say: the argument, what was expected, what came, what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.errors import DataError, FrozenError, ShapeError, TalwegError, UnknownNameError, UsageError
from talweg.nn.layers import Activation, Concatenate, Dense, Dropout, Embedding, Flatten, Input
from talweg.optim import SGD
from talweg.train.inputs import read_inputs
from talweg.train.model import Model
from talweg.train.sequential import Sequential

X = np.linspace(-1, 1, 24).reshape(8, 3)
CLASSES = np.arange(8) % 4
ONE_HOT = np.eye(4)[CLASSES]
BINARY = np.arange(8) % 2
VALUES = np.arange(8) / 8
SPARSE, CATEGORICAL, BINARY_LOSS = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"
LAST = {SPARSE: (4, "softmax"), CATEGORICAL: (4, "softmax"), BINARY_LOSS: (1, "sigmoid"), "mse": (1, None)}


def network(loss: str = "mse", **last: Any) -> Sequential:
    units, activation = LAST[loss]
    layers = [
        Dense(5, "tanh", input_shape=(3,), name="first"),
        Dense(**{"units": units, "activation": activation, **last}),
    ]
    model = Sequential(layers, seed=0)
    model.compile("adam", loss, metrics=["accuracy"] if loss != "mse" else None)
    return model


def refused(model: Sequential, act: Callable[[], Any], *said: str) -> None:
    """`act` raises a clear error, and changes nothing."""
    before, states, epochs, built = model.get_weights(), dict(model.optimizer_states), model.epochs_trained, model.built
    with pytest.raises(TalwegError) as caught:
        act()
    message = str(caught.value)
    assert isinstance(caught.value, (ValueError, TypeError))
    assert len(message) < 500 and message.count("\n") < 5, message
    for words in said:
        assert words in message, f"{words!r} is not in: {message}"
    assert model.built == built and model.epochs_trained == epochs
    after = model.get_weights()
    assert len(before) == len(after) and all((a == b).all() for a, b in zip(before, after, strict=True))
    assert states.keys() == model.optimizer_states.keys()
    assert all(v.live is None for v in model.variables) and model.fitting is None


# ── data ──────────────────────────────────────────────────────────────────────────────────────────────────


def spoilt(array: Any, value: float, at: Any = (2, 1)) -> np.ndarray:
    array = np.array(array, float)
    array[at] = value
    return array


MASKED = np.ma.masked_array(X, mask=X > 0.9)
DATES = np.array(["2020-01-01"] * 8, "datetime64[D]")
BAD_X = {
    "too wide": (np.zeros((8, 4)), ["x", "'first'", "[3]", "[4]"]),
    "too many axes": (np.zeros((8, 3, 3)), ["x", "'first'", "[3, 3]"]),
    "one example": ([1.0, 2.0, 3.0], ["x", "'first'", "[x]"]),
    "nan": (spoilt(X, np.nan), ["x", "nan", "[2, 1]"]),
    "inf": (spoilt(X, np.inf), ["x", "inf", "[2, 1]"]),
    "empty": (np.zeros((0, 3)), ["x is empty"]),
    "empty list": ([], ["x is empty"]),
    "no columns": (np.zeros((8, 0)), ["x is empty"]),
    "a number": (3.0, ["x is a single number"]),
    "other length": (X[:5], ["x has 5 examples", "y has 8"]),
    "text": ([["a", "b", "c"]] * 8, ["x must be numbers", "'a'"]),
    "one text": ("data.csv", ["x must be numbers", "data.csv"]),
    "bytes": ([[b"a", b"b", b"c"]] * 8, ["x must be numbers"]),
    "mixed": ([[1, 2, "three"]] * 8, ["x must be numbers"]),
    "objects": (np.array([[1, 2, "three"]] * 8, object), ["x must be numbers", "'three'"]),
    "text of digits": (np.array([["1", "2", "3"]] * 8, object), ["x must be numbers", "'1'"]),
    "strangers": (np.array([[object()] * 3] * 8), ["x must be numbers"]),
    "ragged": ([[1, 2, 3], [1, 2]] * 4, ["x makes no array", "row 1"]),
    "ragged arrays": (np.array([np.zeros(3), np.zeros(2)] * 4, object), ["x makes no array", "row 1"]),
    "none": (None, ["x is missing"]),
    "holes": ([[1.0, None, 3.0]] * 8, ["x", "nan"]),
    "dict": ({"a": [1, 2, 3]}, ["x is a dict", "column_stack"]),
    "set": ({1.0, 2.0}, ["x is a set"]),
    "complex": (X + 1j, ["x must be numbers", "complex128", "real and imaginary"]),
    "complex objects": (np.array([[1j] * 3] * 8, object), ["x must be numbers"]),
    "masked": (MASKED, ["x is a masked array", "filled"]),
    "dates": (np.stack([DATES] * 3, 1), ["x must be numbers", "datetime64", "dates"]),
    "durations": (np.stack([DATES - DATES] * 3, 1), ["x must be numbers", "durations"]),
    "huge": (spoilt(X, 1e300), ["x", "1e+300", "float32", "float64"]),
    "huge and negative": (spoilt(X, -1e300), ["x", "-1e+300", "float32"]),
    "huge whole numbers": ([[10**400, 1, 2]] * 8, ["x", "too large"]),
}


@pytest.mark.parametrize("name", BAD_X)
def test_bad_x(name: str) -> None:
    bad, said = BAD_X[name]
    model = network()
    refused(model, lambda: model.fit(bad, VALUES, verbose=0), *said)
    refused(model, lambda: model.train_on_batch(bad, VALUES), *said)
    refused(model, lambda: model.evaluate(bad, VALUES, verbose=0), *said)
    refused(model, lambda: model.test_on_batch(bad, VALUES), *said)
    validation = [
        "validation x" if words.startswith("x ") else words.replace("[x]", "[validation x]") for words in said[:1]
    ]
    refused(model, lambda: model.fit(X, VALUES, validation_data=(bad, VALUES), verbose=0), *validation)
    if name != "other length":
        refused(model, lambda: model.predict(bad), *said)


def test_bad_frames_name_the_column() -> None:
    import pandas as pd

    frame = pd.DataFrame({"width": [1.0] * 8, "kind": ["a"] * 8, "height": [2.0] * 8})
    model = network()
    refused(model, lambda: model.fit(frame, VALUES), "x must be numbers", "'kind'", "'a'")
    frame["kind"] = pd.Categorical(["a", "b"] * 4)
    refused(model, lambda: model.fit(frame, VALUES), "x must be numbers", "'kind'")
    frame["kind"] = pd.array([1, 2, 3, None, 5, 6, 7, 8], "Int64")
    refused(model, lambda: model.fit(frame, VALUES), "x")


def test_sparse_matrices() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    model = network()
    refused(model, lambda: model.fit(sparse.csr_matrix(X), VALUES), "x is a sparse matrix", "toarray()")


def test_huge_numbers_are_fine_in_float64() -> None:
    model = network()
    model.compile("sgd", "mse", precision="float64")
    assert np.isfinite(model.predict(spoilt(X, 1e300))).all()


# ── labels ────────────────────────────────────────────────────────────────────────────────────────────────

TEXTS = ["cat", "dog"] * 4
BAD_Y: list[tuple[str, Any, list[str]]] = [
    (SPARSE, ONE_HOT, [SPARSE, "one-hot", CATEGORICAL]),
    (SPARSE, CLASSES + 0.5, [SPARSE, "0..3", "fractions", "0.5", "mse"]),
    (SPARSE, CLASSES + 1, [SPARSE, "0..3", "from 1 to 4", "5 units"]),
    (SPARSE, CLASSES - 1, [SPARSE, "0..3", "from -1 to 2", "Count the classes from 0"]),
    (SPARSE, np.zeros((8, 3)), [SPARSE, "[8, 3]"]),
    (SPARSE, np.zeros((8, 2, 2)), [SPARSE, "[8, 2, 2]"]),
    (CATEGORICAL, CLASSES, [CATEGORICAL, "one-hot rows of 4", "sparse_", "to_categorical"]),
    (CATEGORICAL, CLASSES[:, None], [CATEGORICAL, "one-hot rows of 4", "sparse_"]),
    (CATEGORICAL, np.eye(3)[CLASSES % 3], [CATEGORICAL, "one-hot rows of 4", "[8, 3]", "as many units"]),
    (CATEGORICAL, ONE_HOT * 2 - 1, [CATEGORICAL, "between 0 and 1", "-1.0"]),
    (CATEGORICAL, np.maximum(ONE_HOT, ONE_HOT[::-1]), [CATEGORICAL, "sum to 1", "sigmoid", BINARY_LOSS]),
    (BINARY_LOSS, BINARY * 2 - 1, [BINARY_LOSS, "between 0 and 1", "from -1 to 1", "(y + 1) / 2"]),
    (BINARY_LOSS, CLASSES, [BINARY_LOSS, "between 0 and 1", "from 0 to 3"]),
    (BINARY_LOSS, np.eye(2)[BINARY], ["[2]", "[1]", "2 units"]),
    (BINARY_LOSS, VALUES * 9, [BINARY_LOSS, "between 0 and 1", "mse"]),
    ("mse", np.zeros((8, 2)), ["y", "[2]", "[1]", "2 units"]),
    ("mse", None, ["y is missing"]),
]
for loss in LAST:
    BAD_Y += [
        (loss, TEXTS, ["y must be numbers", "cat", "encoders"]),
        (loss, np.array(TEXTS, object), ["y must be numbers", "cat"]),
        (loss, spoilt(BINARY, np.nan, 3), ["y", "nan", "[3]"]),
        (loss, spoilt(BINARY, np.inf, 3), ["y", "inf", "[3]"]),
        (loss, BINARY[:7], ["x has 8 examples", "y has 7"]),
        (loss, [], ["y is empty"]),
        (loss, DATES, ["y must be numbers", "dates"]),
        (loss, [[0], [0, 1]] * 4, ["y makes no array"]),
    ]


@pytest.mark.parametrize(("loss", "y", "said"), BAD_Y)
def test_bad_labels(loss: str, y: Any, said: list[str]) -> None:
    model = network(loss)
    refused(model, lambda: model.fit(X, y, verbose=0), *said)
    refused(model, lambda: model.evaluate(X, y, verbose=0), *said)
    refused(model, lambda: model.train_on_batch(X, y), *said)
    good = {SPARSE: CLASSES, CATEGORICAL: ONE_HOT, BINARY_LOSS: BINARY, "mse": VALUES}[loss]
    refused(model, lambda: model.fit(X, good, validation_data=(X, y), verbose=0), *said[:1])


@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL, BINARY_LOSS, "mse"])
def test_a_softmax_of_one_unit(loss: str) -> None:
    model = network(loss, units=1, activation="softmax")
    refused(model, lambda: model.fit(X, BINARY, verbose=0), "softmax over a single unit", "sigmoid")


@pytest.mark.parametrize("loss", [SPARSE, CATEGORICAL])
def test_class_losses_need_an_output_for_each_class(loss: str) -> None:
    model = network(loss, units=1, activation=None)
    refused(model, lambda: model.fit(X, BINARY, verbose=0), loss, "one output for each class", "sigmoid")


def test_class_numbers_for_the_mean_squared_error_of_several_outputs() -> None:
    model = network("mse", units=4)
    refused(model, lambda: model.fit(X, CLASSES, verbose=0), "y", "[4]", SPARSE)


def test_metrics_that_do_not_fit_the_labels_are_named() -> None:
    model = network(SPARSE)
    model.compile("adam", SPARSE, metrics=["accuracy", "mae"])
    refused(model, lambda: model.fit(X, CLASSES, verbose=0), "metric 'mae'")


# ── weights ───────────────────────────────────────────────────────────────────────────────────────────────

BAD_WEIGHTS = {
    "length": (np.ones(7), ["sample_weight", "8 examples", "[7]"]),
    "shape": (np.ones((8, 2)), ["sample_weight", "[8, 2]"]),
    "nan": (spoilt(np.ones(8), np.nan, 1), ["sample_weight", "nan"]),
    "inf": (spoilt(np.ones(8), np.inf, 1), ["sample_weight", "inf"]),
    "negative": (-np.ones(8), ["sample_weight", "negative", "-1"]),
    "text": (["much"] * 8, ["sample_weight must be numbers"]),
    "number": (2.0, ["sample_weight is a single number"]),
}


@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_sample_weights(name: str) -> None:
    weight, said = BAD_WEIGHTS[name]
    model = network()
    refused(model, lambda: model.fit(X, VALUES, sample_weight=weight, verbose=0), *said)
    refused(model, lambda: model.evaluate(X, VALUES, sample_weight=weight, verbose=0), *said)
    refused(
        model, lambda: model.fit(X, VALUES, validation_data=(X, VALUES, weight), verbose=0), f"validation {said[0]}"
    )


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ([1.0, 2.0], ["class_weight", "dict(enumerate("]),
        ("balanced", ["class_weight", "dict", "'balanced'"]),
        ({4: 1.0}, ["class_weight", "0..3", "4"]),
        ({-1: 1.0}, ["class_weight", "0..3", "-1"]),
        ({"cat": 1.0}, ["class_weight", "'cat'"]),
        ({0: -1.0}, ["class_weight", "at least 0", "-1.0"]),
        ({0: float("nan")}, ["class_weight", "nan"]),
        ({0: "much"}, ["class_weight", "'much'"]),
    ],
)
def test_bad_class_weights(weight: Any, said: list[str]) -> None:
    model = network(SPARSE)
    refused(model, lambda: model.fit(X, CLASSES, class_weight=weight, verbose=0), *said)


# ── plain arguments ───────────────────────────────────────────────────────────────────────────────────────

NAN = float("nan")
COUNTS = [-1, 2.5, 3.0, NAN, "5", True, [1]]
BAD_ARGUMENTS = [
    *((name, value) for name in ("epochs", "initial_epoch") for value in COUNTS),
    *(
        (name, value)
        for name in ("batch_size", "validation_batch_size", "steps_per_epoch", "validation_steps", "validation_freq")
        for value in [0, *COUNTS[:-1]]
    ),
    *(("validation_split", value) for value in (-0.1, 1, 1.0, 1.5, NAN, "0.2", True)),
    *(("verbose", value) for value in (3, -1, "loud")),
]


@pytest.mark.parametrize(("name", "value"), BAD_ARGUMENTS)
def test_bad_arguments_of_fit(name: str, value: Any) -> None:
    model = network()
    refused(model, lambda: model.fit(X, VALUES, **{"verbose": 0, name: value}), name, repr(value))


@pytest.mark.parametrize(("name", "value"), [("batch_size", 0), ("batch_size", 2.5), ("steps", 0), ("steps", "2")])
def test_bad_arguments_of_evaluate_and_predict(name: str, value: Any) -> None:
    model = network()
    refused(model, lambda: model.evaluate(X, VALUES, verbose=0, **{name: value}), name, repr(value))
    refused(model, lambda: model.predict(X, **{name: value}), name, repr(value))


def test_a_split_that_leaves_nothing() -> None:
    model = network()
    refused(
        model,
        lambda: model.fit(X[:2], VALUES[:2], validation_split=0.9, verbose=0),
        "validation_split=0.9",
        "2 examples",
    )


@pytest.mark.parametrize("rate", [-0.1, NAN, float("inf"), "fast", True, None, [0.1]])
def test_bad_learning_rates(rate: Any) -> None:
    with pytest.raises(UsageError, match="learning_rate must be"):
        SGD(rate)
    model = network()
    with pytest.raises(UsageError, match="learning_rate must be"):
        model.optimizer.learning_rate = rate
    assert model.optimizer.learning_rate == 0.001


@pytest.mark.parametrize("value", [NAN, -1.0])
def test_a_function_that_gives_no_rate(value: float) -> None:
    model = network()
    model.compile(SGD(lambda step: 0.1 if step < 3 else value), "mse")
    with pytest.raises(UsageError, match=rf"learning_rate.*{value}.*step 3"):
        model.fit(X, VALUES, batch_size=4, epochs=2, verbose=0)
    assert model.predict(X).shape == (8, 1)


@pytest.mark.parametrize("data", [X, (X,), [X, VALUES, None, None], 5, "data", {"x": X}])
def test_bad_validation_data(data: Any) -> None:
    model = network()
    refused(model, lambda: model.fit(X, VALUES, validation_data=data, verbose=0), "validation_data", "(x, y)")


# ── names and the order of calls ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: network().compile("adm", "mse"), ["optimizer", "'adm'", "'Adam'"]),
        (lambda: network().compile("adam", "mean_square_error"), ["loss", "'MeanSquaredError'"]),
        (lambda: network().compile("adam", "mse", metrics=["acuracy"]), ["metric", "'acuracy'"]),
        (lambda: network().compile("adam", "mse", metrics=["mean_absolut_error"]), ["'MeanAbsoluteError'"]),
        (lambda: Dense(3, activation="rellu"), ["activation", "'rellu'", "'relu'"]),
        (lambda: Dense(3, kernel_initializer="glorot_unifrom"), ["initializer", "'GlorotUniform'"]),
        (lambda: Dense(3, kernel_regularizer="l3"), ["regularizer", "'l3'"]),
        (lambda: Sequential.from_config({"layers": [{"class": "Dens", "units": 3}]}), ["layer", "'Dens'", "'Dense'"]),
        (lambda: network().compile("adam", "mse", engine="nativ"), ["engine", "'nativ'", "'native'"]),
    ],
)
def test_unknown_names_suggest_the_nearest(make: Callable[[], Any], said: list[str]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        make()
    assert all(words in str(caught.value) for words in said), caught.value


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: network().compile(5, "mse"), "optimizer must be"),
        (lambda: network().compile("adam", 5), "loss must be"),
        (lambda: network().compile("adam"), "needs one loss"),
        (lambda: network().compile("adam", ["mse", "mae"]), "needs one loss"),
        (lambda: network().compile("adam", "mse", metrics=[5]), "a metric must be"),
        (lambda: network().compile("adam", "mse", ["accuracy"]), "metrics=['accuracy']"),
        (lambda: network().compile("adam", "mse", loss_weights="half"), "loss_weights"),
        (lambda: Dense(1, dtype="float16"), "got dtype='float16'"),
        (lambda: network().compile("adam", "mse", precision="float16"), "precision must be"),
        (lambda: Sequential([Dense(3), "dense"]), "'dense'"),
        (lambda: Sequential([Dense]), "Write Dense"),
        (lambda: Sequential(Dense(3)), "list of layers"),
        (lambda: Sequential([Dense(3, name="a"), Dense(3, name="a")]), "two layers are called 'a'"),
        (lambda: Sequential([Dense(3, name="optimizer")]), "name"),
        (lambda: Sequential([Dense(3, name="a/b")]), "'a/b'"),
        (lambda: Sequential([Dense(3, name=5)]), "name"),
        (lambda: Sequential([Dense(3), Input((3,))]), "Input must come first"),
        (lambda: Sequential([], seed=-1), "seed"),
        (lambda: Sequential([], seed=0.5), "seed"),
        (lambda: Sequential([], name=5), "name"),
        (lambda: Sequential([Input((3,))]).pop(), "no layers"),
        (lambda: Sequential([Dense(1)]).fit(X, VALUES), "compiled first"),
        (lambda: Sequential([Dense(1)]).evaluate(X, VALUES), "compiled first"),
        (lambda: Sequential([Dense(1)]).train_on_batch(X, VALUES), "compiled first"),
        (lambda: Sequential([]).predict(X), "no layers"),
        (lambda: Sequential([Input((3,))]).predict(X), "no layers"),
        (lambda: network().fit(X), "y is missing"),
        (lambda: network().fit(), "x is missing"),
        (lambda: network().fit(X, VALUES, callbacks=["stop"]), "callbacks"),
        (lambda: network()(X, training=True), "training=True"),
        (lambda: Dropout(1.5), "rate"),
        (lambda: Dense(0), "units"),
    ],
)
def test_wrong_use(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert said in str(caught.value) and len(str(caught.value)) < 400


def test_compile_that_fails_changes_nothing() -> None:
    model = network()
    model.fit(X, VALUES, verbose=0)
    for bad in ({"optimizer": "adm", "loss": "mse"}, {"loss": "x"}, {"loss": "mse", "metrics": ["x"]}):
        refused(model, lambda bad=bad: model.compile(**bad))
    assert model.iterations == 1 and type(model.optimizer).__name__ == "Adam"


def test_layers_that_do_not_fit_are_named_and_leave_no_trace() -> None:
    from talweg.nn.layers import Reshape

    model = Sequential([Dense(4, name="a"), Reshape((5, 5), name="b"), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    refused(model, lambda: model.fit(X, VALUES, verbose=0), "'b'")
    assert model.variables == []
    grown = Sequential([Dense(4, input_shape=(3,))], seed=0)
    refused(grown, lambda: grown.add(Reshape((5, 5), name="b")), "'b'")
    assert len(grown.layers) == 1
    with pytest.raises(ShapeError, match=r"'late'.*\[4\]"):
        Sequential([Input((3,)), Dense(1, input_shape=(4,), name="late")])


def test_an_error_in_the_first_data_leaves_a_model_unbuilt() -> None:
    """So the next fit may come with data of another width, and begins with the same weights."""
    model, other = (Sequential([Dense(4), Dense(1)], seed=3) for _ in range(2))
    for each in (model, other):
        each.compile("sgd", "mse")
    refused(model, lambda: model.fit(X[:, :2], TEXTS, verbose=0), "y must be numbers")
    refused(model, lambda: model.fit(X[:, :2], VALUES, validation_data=(X, VALUES), verbose=0), "validation x")
    refused(model, lambda: model.evaluate(X[:, :2], VALUES[:3], verbose=0), "y has 3")
    refused(model, lambda: model.train_on_batch(X[:, :2], TEXTS), "y must be numbers")
    assert model.variables == []
    for each in (model, other):
        each.fit(X, VALUES, verbose=0)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()


def test_built_layers_are_frozen() -> None:
    model = network()
    for layer, name, value in ((model.layers[0], "units", 9), (model.layers[0], "activation", "relu")):
        with pytest.raises(FrozenError, match=rf"Dense\.{name} cannot be changed.*dataclasses\.replace"):
            setattr(layer, name, value)
    with pytest.raises(FrozenError, match=r"SGD\.momentum"):
        SGD(0.1).momentum = 0.5
    with pytest.raises(FrozenError):
        Activation("relu").activation = "tanh"
    model.layers.append(Flatten())
    model.get_weights()[0][...] = 0
    assert len(model.layers) == 2 and model.get_weights()[0].any()


def test_weights_of_another_form() -> None:
    model = network()
    refused(model, lambda: model.set_weights(model.get_weights()[:-1]), "4 weight arrays; got 3")
    refused(model, lambda: model.set_weights([*model.get_weights()[:-1], np.zeros(7)]), "[7]")
    refused(
        model, lambda: model.layers[0].set_weights([np.zeros((2, 2)), np.zeros(5)]), "first/kernel", "[3, 5]", "[2, 2]"
    )


# ── streams ───────────────────────────────────────────────────────────────────────────────────────────────

GOOD = (X[:4], VALUES[:4])
BAD_BATCHES = {
    "four things": ((X, VALUES, None, None), ["tuple of 4", "(x, y)"]),
    "no labels": (X, ["y is missing"]),
    "labels left out": ((X, None), ["y is missing"]),
    "nothing": (None, ["x is missing"]),
    "text": ("hello", ["x must be numbers"]),
    "a dict": ({"x": X}, ["x is a dict"]),
    "wider": ((np.zeros((4, 9)), VALUES[:4]), ["'first'", "[9]"]),
    "lengths": ((X, VALUES[:3]), ["x has 8", "y has 3"]),
    "nan": ((spoilt(X, np.nan), VALUES), ["x", "nan"]),
    "a single example": ((X[0], 0.5), [".batch(32)"]),
    "weights": ((X, VALUES, np.ones(3)), ["sample_weight"]),
}


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_bad_batches_are_named(name: str) -> None:
    bad, said = BAD_BATCHES[name]
    model = network()
    refused(model, lambda: model.fit(iter([bad]), verbose=0), "batch 0 of x", *said)
    validation = ["validation_data", *(words.removeprefix("x ") for words in said)]
    refused(model, lambda: model.fit(X, VALUES, validation_data=iter([bad]), verbose=0), *validation)
    with pytest.raises(
        TalwegError, match=r"batch 2 of x"
    ) as caught:  # in the midst of an epoch: what was learnt is kept
        model.fit(iter([GOOD, GOOD, bad]), verbose=0)
    assert all(words in str(caught.value) for words in said)
    assert model.iterations == 2 and all(v.live is None for v in model.variables)
    model.fit(X, VALUES, verbose=0)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ((X.astype("uint8")[:4], VALUES[:4]), "x has dtype uint8"),
        ((X[:4], VALUES[:4], np.ones(4)), "it has sample_weight: True"),
    ],
)
def test_batches_must_be_of_one_form(second: Any, said: str) -> None:
    model = network()
    with pytest.raises(DataError, match=rf"batch 1 of x is not like the first.*{said}"):
        model.fit(iter([GOOD, second]), verbose=0)


def test_streams_that_end_too_soon_or_never() -> None:
    from talweg.data import Dataset

    model = network()
    refused(model, lambda: model.fit(iter([]), verbose=0), "x gave no batches")
    refused(model, lambda: model.evaluate(iter([]), verbose=0), "x gave no batches")
    refused(model, lambda: model.predict(iter([])), "x gave no batches")
    with pytest.raises(DataError, match=r"x gave no more batches.*steps_per_epoch"):
        model.fit(iter([GOOD, GOOD]), epochs=3, verbose=0)
    assert model.iterations == 2 and model.history is not None and len(model.history.epoch) == 1
    endless = Dataset.from_tensor_slices((X, VALUES)).batch(4).repeat()
    refused(model, lambda: model.fit(endless, verbose=0), "x has no end", "steps_per_epoch")
    refused(model, lambda: model.fit(X, VALUES, validation_data=endless, verbose=0), "validation_steps")
    refused(model, lambda: model.evaluate(endless, verbose=0), "x has no end", "steps")


@pytest.mark.parametrize("name", ["y", "sample_weight", "validation_split"])
def test_what_a_stream_gives_itself(name: str) -> None:
    model = network()
    value = 0.2 if name == "validation_split" else VALUES
    refused(model, lambda: model.fit(iter([GOOD]), verbose=0, **{name: value}), name)


# ── numbers of rows ───────────────────────────────────────────────────────────────────────────────────────


def embedding(wrapped: bool) -> Model:
    """One whose input goes into an embedding, straight or in a model within."""
    inner = Sequential([Embedding(7, 2, input_shape=(3,), name="words"), Flatten()], seed=0)
    x = Input((3,))
    made = Model(x, Dense(1)(inner(x)), seed=0) if wrapped else inner
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("wrapped", [False, True])
def test_numbers_outside_a_vocabulary(wrapped: bool) -> None:
    model, words = embedding(wrapped), np.arange(24).reshape(8, 3) % 7
    y = np.zeros((8, *model.output_shape[1:]))
    model.fit(words, y, verbose=0)
    before = model.get_weights()
    for wrong, hint in ((words + 1, "input_dim=8"), (words - 1, "Count from 0")):
        for act in (model.predict, lambda x: model.fit(x, y, verbose=0), lambda x: model.evaluate(x, y, verbose=0)):
            with pytest.raises(DataError, match=rf"x has numbers from .* layer 'words' has rows 0\.\.6.*{hint}"):
                act(wrong)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_outside_a_vocabulary_of_a_model_that_is_not_built() -> None:
    model = Sequential([Embedding(7, 2), Flatten(), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"rows 0\.\.6"):
        model.fit(np.full((4, 3), 9), np.zeros(4), verbose=0)
    assert not model.built
    model.fit(np.full((4, 5), 6), np.zeros(4), verbose=0)


def test_a_file_for_a_model_with_several_inputs(tmp_path: Path) -> None:
    a, b = Input((2,), name="left"), Input((2,), name="right")
    model = Model([a, b], Dense(1)(Concatenate()([a, b])), seed=0)
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2)))
    with pytest.raises(
        UsageError, match=r"has 2 inputs \(left, right\) and one output.*predict\({'left': \.\.\., 'right'"
    ):
        read_inputs(tmp_path / "x.npz", model)
