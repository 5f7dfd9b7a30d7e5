"""`fit` does what Keras's does: the same numbers from the same weights, whatever its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import talweg
from support import oracle
from talweg.data import Dataset
from talweg.nn.layers import Dense, Dropout
from talweg.optim import SGD, Adam
from talweg.optim.schedules import ExponentialDecay
from talweg.train.callbacks.base import Callback
from talweg.train.sequential import Sequential

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=(37, 4)).astype("float32")
CLASSES = RANDOM.integers(0, 3, 37)
ONE_HOT = np.eye(3)[CLASSES]
BINARY = (CLASSES > 0).astype(int)
VALUES = (X @ [1.0, -2.0, 0.5, 0.0] + 0.3).astype("float32")
WEIGHTS = RANDOM.uniform(0.2, 2.0, 37)
LAST = {"mse": (1, None), "binary_crossentropy": (1, "sigmoid")}


def network(loss: str = "mse", seed: int = 3) -> Sequential:
    units, activation = LAST.get(loss, (3, "softmax"))
    layers = [Dense(5, "tanh", kernel_regularizer=None, input_shape=(4,)), Dense(units, activation)]
    return Sequential(layers, seed=seed)


def pair(loss: str, optimizer: str = "adam", **compiled: Any) -> tuple[Sequential, Any]:
    """The same network with the same weights, here and in Keras."""
    keras = oracle("keras")
    ours = network(loss)
    units, activation = LAST.get(loss, (3, "softmax"))
    layers = [keras.layers.Dense(5, activation="tanh"), keras.layers.Dense(units, activation=activation)]
    theirs = keras.Sequential([keras.Input((4,)), *layers])
    theirs.set_weights(ours.get_weights())
    ours.compile(optimizer, loss, **compiled)
    theirs.compile(optimizer=optimizer, loss=loss, **compiled)
    return ours, theirs


def same_fit(
    loss: str, x: Any, y: Any, optimizer: str = "adam", compiled: dict[str, Any] | None = None, **how: Any
) -> None:
    """Histories, in keys, order and numbers, and the weights after `fit`."""
    ours, theirs = pair(loss, optimizer, **(compiled or {}))
    how = {"shuffle": False, "verbose": 0, "epochs": 3, **how}
    mine, other = ours.fit(x, y, **how).history, theirs.fit(x, y, **how).history
    assert list(mine) == list(other)
    for name, values in other.items():
        np.testing.assert_allclose(mine[name], values, rtol=2e-4, atol=1e-6, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


LABELS = {
    "mse": VALUES,
    "binary_crossentropy": BINARY,
    "categorical_crossentropy": ONE_HOT,
    "sparse_categorical_crossentropy": CLASSES,
}


@pytest.mark.parametrize("loss", LABELS)
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_the_same_numbers_as_keras(loss: str, optimizer: str) -> None:
    metrics = ["mae"] if loss == "mse" else ["accuracy"]
    same_fit(loss, X, LABELS[loss], optimizer, {"metrics": metrics}, validation_split=0.2)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 37, 100])
def test_update_per_example_batch_and_epoch(batch_size: int) -> None:
    same_fit("mse", X, VALUES, "sgd", batch_size=batch_size)
    model = network()
    model.compile("sgd", "mse")
    model.fit(X, VALUES, batch_size=batch_size, epochs=2, verbose=0)
    assert model.iterations == 2 * -(-37 // batch_size)


def test_the_batch_size_is_32() -> None:
    model = network()
    model.compile("sgd", "mse")
    model.fit(np.tile(X, (2, 1)), np.tile(VALUES, 2), verbose=0)
    assert model.iterations == 3


def test_class_and_sample_weights_count_in_the_loss_and_in_weighted_metrics() -> None:
    compiled = {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}
    loss = "sparse_categorical_crossentropy"
    same_fit(loss, X, CLASSES, compiled=compiled, class_weight={0: 0.5, 2: 3.0}, validation_split=0.3)
    same_fit(loss, X, CLASSES, compiled=compiled, sample_weight=WEIGHTS, validation_split=0.3)
    same_fit("categorical_crossentropy", X, ONE_HOT, compiled=compiled, class_weight={1: 4.0})
    same_fit("binary_crossentropy", X, BINARY, compiled=compiled, class_weight={0: 2.0, 1: 0.5})
    validation = (X[:9], CLASSES[:9], WEIGHTS[:9])
    same_fit(loss, X, CLASSES, compiled=compiled, sample_weight=WEIGHTS, validation_data=validation)


def test_validation_data_wins_over_the_split() -> None:
    same_fit("mse", X, VALUES, validation_split=0.5, validation_data=(X[:8], VALUES[:8]))


def test_the_split_takes_the_last_rows() -> None:
    a, b = network(), network()
    for model in (a, b):
        model.compile("adam", "mse")
    first = a.fit(X, VALUES, validation_split=0.2, epochs=2, verbose=0).history
    at = int(37 * 0.8)
    second = b.fit(X[:at], VALUES[:at], validation_data=(X[at:], VALUES[at:]), epochs=2, verbose=0).history
    assert first == second


def test_some_epochs_are_validated() -> None:
    model = network()
    model.compile("adam", "mse")
    history = model.fit(X, VALUES, epochs=6, validation_split=0.2, validation_freq=3, verbose=0)
    assert history.measured_at["val_loss"] == [2, 5] and len(history.history["val_loss"]) == 2
    history = model.fit(X, VALUES, epochs=6, validation_split=0.2, validation_freq=[1, 4], verbose=0)
    assert history.measured_at["val_loss"] == [0, 3] and len(history.history["loss"]) == 6


def test_initial_epoch_and_no_epochs() -> None:
    model = network()
    model.compile("adam", "mse")
    assert model.fit(X, VALUES, initial_epoch=3, epochs=5, verbose=0).epoch == [3, 4]
    before = model.get_weights()
    assert model.fit(X, VALUES, epochs=0, verbose=0).history == {}
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_second_fit_goes_on_with_the_optimizer() -> None:
    ours, theirs = pair("mse")
    for _ in range(2):
        for model in (ours, theirs):
            model.fit(X, VALUES, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert ours.iterations == 8 and ours.epochs_trained == 4


def test_compiling_again_begins_the_optimizer_anew() -> None:
    model = network()
    model.compile("adam", "mse")
    model.fit(X, VALUES, verbose=0)
    model.compile("adam", "mse")
    assert model.iterations == 0 and model.optimizer_states == {}


def test_optimizer_states_round_trip() -> None:
    """Weights, optimizer_states and epochs_trained are all that a model needs to go on as if never stopped."""
    whole, first, second = network(), network(), network()
    for model in (whole, first, second):
        model.compile("adam", "mse")
    whole.fit(X, VALUES, batch_size=8, epochs=4, verbose=0)
    first.fit(X, VALUES, batch_size=8, epochs=2, verbose=0)
    second.set_weights(first.get_weights())
    second.optimizer_states, second.epochs_trained = first.optimizer_states, first.epochs_trained
    second.fit(X, VALUES, batch_size=8, epochs=2, verbose=0)
    for a, b in zip(whole.get_weights(), second.get_weights(), strict=True):
        assert (a == b).all()


# ── the forms of data ─────────────────────────────────────────────────────────────────────────────────────


def fitted(x: Any, y: Any = None, **how: Any) -> np.ndarray:
    model = network()
    model.compile("adam", "mse")
    model.fit(x, y, **{"shuffle": False, "verbose": 0, "epochs": 2, "batch_size": 8, **how})
    return np.concatenate([w.ravel() for w in model.get_weights()])


class Batches:
    """Like Keras's Sequence: a length, batches by number, and a word at the end of each epoch."""

    def __init__(self) -> None:
        self.ended = 0

    def __len__(self) -> int:
        return 5

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if not 0 <= i < 5:
            raise IndexError(i)
        return X[8 * i : 8 * i + 8], VALUES[8 * i : 8 * i + 8]

    def on_epoch_end(self) -> None:
        self.ended += 1


def test_lists_frames_streams_and_arrays_are_the_same() -> None:
    import pandas as pd

    expected = fitted(X, VALUES)
    assert (fitted(X.tolist(), VALUES.tolist()) == expected).all()
    assert (fitted(pd.DataFrame(X), pd.Series(VALUES, index=range(100, 137))) == expected).all()
    assert (fitted(X.astype("float64"), VALUES[:, None]) == expected).all()
    assert (fitted(np.asfortranarray(X), VALUES) == expected).all()
    assert (fitted(Dataset.from_tensor_slices((X, VALUES)).batch(8)) == expected).all()
    batches = Batches()
    assert (fitted(batches) == expected).all()
    assert batches.ended == 2

    def endless() -> Any:
        while True:
            for i in range(5):
                yield batches[i]

    assert (fitted(endless(), steps_per_epoch=5) == expected).all()


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
)
def test_all_kinds_of_numbers(dtype: str) -> None:
    x = np.arange(148).reshape(37, 4) % 11
    expected = fitted(x.astype("float32"), VALUES)
    np.testing.assert_allclose(fitted(x.astype(dtype), VALUES), expected, rtol=1e-6)


def test_truth_values() -> None:
    assert (fitted(X > 0, VALUES > 0) == fitted((X > 0).astype(float), (VALUES > 0).astype(float))).all()


def test_labels_may_be_a_column() -> None:
    for loss, y in (("mse", VALUES), ("binary_crossentropy", BINARY), ("sparse_categorical_crossentropy", CLASSES)):
        results = []
        for labels in (y, y[:, None], y.astype("float64")):
            model = network(loss)
            model.compile("adam", loss, metrics=["accuracy"] if loss != "mse" else None)
            results.append(model.fit(X, labels, verbose=0, epochs=2).history)
        assert results[0] == results[1] == results[2]


def test_numbers_alone_are_examples_of_one_number() -> None:
    model = Sequential([Dense(1, input_shape=(1,))], seed=0)
    model.compile("sgd", "mse")
    model.fit([-1.0, 0.0, 1.0], [-3.0, -1.0, 1.0], epochs=300, verbose=0)
    assert abs(float(model.predict([10.0])[0, 0]) - 19) < 1.5


def test_steps_per_epoch_goes_on_through_the_data() -> None:
    """Epochs of two batches of five see rows 0..15, 16..31, 32..36, which is the end, and again 0..15, as in Keras."""
    seen: list[Any] = []

    class Seen(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    model = network()
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="x ran out of data: it has 1 more batches, and steps_per_epoch asks for 2"):
        history = model.fit(X, VALUES, 8, 4, 0, [Seen()], shuffle=False, steps_per_epoch=2)
    assert seen == [0, 1, 0, 1, 0, 0, 1] and len(history.epoch) == 4
    other = network()
    other.compile("sgd", "mse")
    for start in (0, 8, 16, 24, 32, 0, 8):
        other.train_on_batch(X[start : start + 8], VALUES[start : start + 8])
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()


def test_streams_with_steps_and_validation() -> None:
    data = Dataset.from_tensor_slices((X, VALUES)).batch(8).repeat()
    a = fitted(data, steps_per_epoch=5)
    assert (a == fitted(X, VALUES)).all()
    model = network()
    model.compile("sgd", "mse")
    history = model.fit(X, VALUES, epochs=2, validation_data=data, validation_steps=2, verbose=0).history
    assert history["val_loss"][1] == pytest.approx(model.evaluate(X[:16], VALUES[:16], verbose=0), rel=1e-6)


# ── what the program holds ────────────────────────────────────────────────────────────────────────────────


def test_the_loss_includes_regularisation_as_in_keras() -> None:
    keras = oracle("keras")
    ours = Sequential([Dense(1, kernel_regularizer="l2", input_shape=(4,))], seed=1)
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, kernel_regularizer="l2")])
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "mse")
    a, b = (m.fit(X, VALUES, epochs=2, shuffle=False, verbose=0).history["loss"] for m in (ours, theirs))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    assert ours.evaluate(X, VALUES, verbose=0) == pytest.approx(theirs.evaluate(X, VALUES, verbose=0), rel=1e-5)


def test_dropout_works_in_training_only() -> None:
    model = Sequential([Dropout(0.5, input_shape=(4,)), Dense(1)], seed=0)
    model.compile("sgd", "mse")
    kernel = model.get_weights()
    np.testing.assert_allclose(model.predict(X), X @ kernel[0] + kernel[1], rtol=1e-5, atol=1e-6)
    without = np.mean((X @ kernel[0] + kernel[1] - VALUES[:, None]) ** 2)
    assert model.evaluate(X, VALUES, verbose=0) == pytest.approx(without, rel=1e-5)
    assert model.train_on_batch(X, VALUES) != pytest.approx(without, rel=1e-2)


def test_layers_that_are_not_trainable_keep_their_weights() -> None:
    model = network()
    model.compile("adam", "mse")
    model.fit(X, VALUES, verbose=0)
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, VALUES, epochs=3, verbose=0)
    after = model.get_weights()
    assert (before[0] == after[0]).all() and (before[1] == after[1]).all()
    assert (before[2] != after[2]).any()
    model.layers[0].trainable = True
    model.fit(X, VALUES, verbose=0)
    assert (model.get_weights()[0] != after[0]).any()


def test_a_layer_at_two_places_is_trained_once() -> None:
    keras = oracle("keras")
    shared, twin = (
        Dense(4, "tanh", kernel_regularizer="l2"),
        keras.layers.Dense(4, activation="tanh", kernel_regularizer="l2"),
    )
    ours = Sequential([Dense(4, input_shape=(4,)), shared, shared, Dense(1)], seed=2)
    theirs = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4), twin, twin, keras.layers.Dense(1)])
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("adam", "mse")
        model.fit(X, VALUES, epochs=3, shuffle=False, verbose=0)
    assert len(ours.variables) == 6
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_layer_in_two_models_is_trained_by_both() -> None:
    shared = Dense(3, "tanh", input_shape=(4,), name="shared")
    a, b = Sequential([shared, Dense(1)], seed=0), Sequential([shared, Dense(1)], seed=1)
    for model in (a, b):
        model.compile("sgd", "mse")
    for model, other in ((a, b), (b, a)):
        before = other.predict(X)
        model.fit(X, VALUES, verbose=0)
        assert (other.get_weights()[0] == model.get_weights()[0]).all()
        assert (other.predict(X) != before).any()


# ── learning rates ────────────────────────────────────────────────────────────────────────────────────────


def test_a_schedule_is_a_formula_and_a_function_is_asked() -> None:
    schedule = ExponentialDecay(0.1, decay_steps=3, decay_rate=0.5)
    weights = []
    for rate in (schedule, lambda step: 0.1 * 0.5 ** (step / 3)):
        model = network()
        model.compile(SGD(rate), "mse")
        model.fit(X, VALUES, batch_size=8, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_rate_may_change_between_and_within_fits_without_another_program() -> None:
    class Halve(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate = 0.1 / 2**epoch

    ours, other = network(), network()
    for model in (ours, other):
        model.compile(SGD(0.1), "mse")
    ours.fit(X, VALUES, epochs=3, callbacks=[Halve()], verbose=0)
    assert len(ours._sessions) == 1
    for epoch in range(3):
        other.optimizer.learning_rate = 0.1 / 2**epoch
        other.fit(X, VALUES, epochs=1, verbose=0)
    assert len(other._sessions) == 1
    for a, b in zip(ours.get_weights(), other.get_weights(), strict=True):
        assert (a == b).all()


def test_from_a_number_to_a_schedule_and_back() -> None:
    model = network()
    model.compile(SGD(0.1), "mse")
    model.fit(X, VALUES, verbose=0)
    model.optimizer.learning_rate = ExponentialDecay(0.0, 1, 0.5)
    before = model.get_weights()
    model.fit(X, VALUES, verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    model.optimizer.learning_rate = 0.1
    model.fit(X, VALUES, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_weights_set_by_a_callback_take_effect() -> None:
    class Zero(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights([np.zeros(v.shape) for v in self.model.variables])

    model = network()
    model.compile("sgd", "mse")
    history = model.fit(X, VALUES, batch_size=37, epochs=3, callbacks=[Zero()], verbose=0).history["loss"]
    assert history[1] == history[2] == pytest.approx(float(np.mean(VALUES**2)), rel=1e-5)
    assert not any(w.any() for w in model.get_weights())


def test_float64() -> None:
    from talweg.engines import Reference

    results = []
    for engine in (Reference("float64"), Reference("float32")):
        model = network()
        model.compile(Adam(), "mse", engine=engine)
        assert model.engine is engine
        model.fit(X, VALUES, epochs=2, verbose=0)
        assert {w.dtype.name for w in model.get_weights()} == {engine.precision}
        assert model.predict(X).dtype == engine.precision
        results.append(model.get_weights())
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        assert (a != b).any()
    model.compile("sgd", "mse", precision="float64", engine="reference")
    exact = [np.full(v.shape, 0.1) for v in model.variables]
    model.set_weights(exact)
    assert all((a == b).all() for a, b in zip(model.get_weights(), exact, strict=True))


def test_the_public_name() -> None:
    assert talweg.Sequential is Sequential
