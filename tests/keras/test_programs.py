"""Programs as tutorials write them, with `tensorflow` replaced by `talweg`: they run, and answer as there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import talweg as tf
from support import oracle
from talweg import keras
from talweg.keras import layers, models
from talweg.keras.callbacks import Callback, EarlyStopping, LambdaCallback, ModelCheckpoint, ReduceLROnPlateau
from talweg.keras.layers import Activation, Dense, Dropout, Flatten, Input
from talweg.keras.models import Sequential, load_model
from talweg.keras.optimizers import SGD, Adam, RMSprop
from talweg.keras.utils import to_categorical


@pytest.fixture(autouse=True)
def one_seed() -> None:
    keras.utils.set_random_seed(42)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Ten classes that can be learned: a noisy picture of 8x8 for each, of uint8."""
    random = np.random.default_rng(0)
    patterns = random.integers(0, 256, (10, 8, 8))
    y = random.integers(0, 10, 400)
    x = np.clip(patterns[y] + random.normal(0, 40, (400, 8, 8)), 0, 255).astype(np.uint8)
    return x, y.astype(np.uint8)


def test_add_layer_by_layer(digits: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    x, y = digits
    model = Sequential()
    model.add(Flatten(input_shape=(8, 8)))
    model.add(Dense(32, activation="relu", kernel_initializer="he_normal"))
    model.add(Dropout(0.2))
    model.add(Dense(10))
    model.add(Activation("softmax"))
    model.summary()
    printed = capsys.readouterr().out
    for text in (
        "flatten (Flatten)",
        "dense (Dense)",
        "dropout (Dropout)",
        "dense_1 (Dense)",
        "activation (Activation)",
    ):
        assert text in printed
    assert "(None, 32)" in printed and "2,080" in printed and "Total params: 2,410" in printed

    model.compile(loss="categorical_crossentropy", optimizer=RMSprop(learning_rate=0.003), metrics=["accuracy"])
    history = model.fit(
        x / 255.0, to_categorical(y, 10), batch_size=32, epochs=8, verbose=1, validation_split=0.25, shuffle=True
    )
    assert history.epoch == list(range(8))
    assert sorted(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert all(len(values) == 8 for values in history.history.values())
    assert history.history["val_accuracy"][-1] > 0.9
    printed = capsys.readouterr().out
    assert "Epoch 8/8" in printed and "10/10" in printed and "val_loss: " in printed

    score = model.evaluate(x / 255.0, to_categorical(y), verbose=0)
    assert len(score) == 2 and score[0] < 0.5 and score[1] > 0.9
    assert model.metrics_names[0] == "loss"


def test_objects_instead_of_names(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = digits
    noisy = np.where(np.arange(len(y)) % 5 == 0, 0, y)  # some wrong labels, so that there is something to overfit to
    model = keras.Sequential(
        [
            keras.Input(shape=(8, 8)),
            layers.Rescaling(1.0 / 255),
            layers.Flatten(),
            layers.Dense(24, activation=tf.nn.relu, kernel_regularizer=keras.regularizers.l2(1e-4), name="hidden"),
            layers.Dense(10, name="logits"),
        ],
        name="reader",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate=0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc"), "accuracy"],
    )
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, restore_best_weights=True)
    history = model.fit(
        x[:300], noisy[:300], epochs=60, validation_data=(x[300:], y[300:]), callbacks=[stop], verbose=0
    )
    assert len(history.epoch) < 60
    assert sorted(history.history) == ["acc", "accuracy", "loss", "val_acc", "val_accuracy", "val_loss"]
    assert history.history["acc"] == history.history["accuracy"]
    assert model.name == "reader" and model.get_layer("hidden").units == 24
    assert model.get_layer(index=0) is model.layers[0]

    results = model.evaluate(x[300:], y[300:], return_dict=True, verbose=0)
    assert sorted(results) == ["acc", "accuracy", "loss"]
    assert results["loss"] == pytest.approx(min(history.history["val_loss"]), rel=1e-4)  # the best came back

    probabilities = tf.nn.softmax(model.predict(x))
    assert np.asarray(probabilities).sum(axis=1) == pytest.approx(np.ones(len(x)), abs=1e-5)
    assert (np.argmax(probabilities, axis=1) == y).mean() > 0.9


def test_weights_are_within_reach() -> None:
    model = models.Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2, use_bias=False)])
    kernel, bias = model.layers[0].weights
    assert kernel.shape == (3, 4) and bias.shape == (4,)
    assert kernel.numpy().shape == (3, 4)
    assert [w.shape for w in model.get_weights()] == [(3, 4), (4,), (4, 2)]
    assert len(model.trainable_variables) == len(model.weights) == 3
    assert model.count_params() == 24
    model.layers[0].set_weights([np.ones((3, 4)), np.zeros(4)])
    assert model.layers[0].get_weights()[0].tolist() == np.ones((3, 4)).tolist()
    model.set_weights([w * 0 for w in model.get_weights()])
    assert not model.predict(np.ones((1, 3)), verbose=0).any()

    model.layers[0].trainable = False
    assert len(model.trainable_variables) == 1


def test_the_older_ways_to_say_the_shape_of_the_input() -> None:
    first = Sequential([Dense(4, input_dim=8, dtype="float32"), Dense(1)])
    assert first.input_shape == (None, 8) and first.count_params() == 4 * 9 + 5
    assert first.layers[0].get_config().get("input_dim") is None, "it is kept as the input_shape"
    again = Sequential.from_config(first.get_config())
    assert again.input_shape == (None, 8) and again.count_params() == first.count_params()


def test_two_classes_from_lists_with_one_sigmoid() -> None:
    x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    y = [0, 1, 1, 0]
    model = Sequential([Dense(8, activation="tanh", input_shape=(2,)), Dense(1, activation="sigmoid")])
    model.compile(optimizer=Adam(0.1), loss=keras.losses.BinaryCrossentropy(), metrics=["binary_accuracy"])
    history = model.fit(x, y, epochs=200, batch_size=4, verbose=0)
    assert history.history["binary_accuracy"][-1] == 1.0
    assert (model.predict(x, verbose=0) > 0.5).astype(int).ravel().tolist() == y


def test_regression_with_a_schedule_and_callbacks(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    x = random.normal(size=(200, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.3
    normalizer = layers.Normalization()
    normalizer.adapt(x)
    model = Sequential([normalizer, Dense(16, activation="relu"), Dense(1)])
    rate = keras.optimizers.schedules.ExponentialDecay(0.05, decay_steps=100, decay_rate=0.9)
    model.compile(optimizer=SGD(rate, momentum=0.9), loss="mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    seen: list[int] = []
    best = tmp_path / "best.safetensors"
    history = model.fit(
        x,
        y,
        epochs=15,
        validation_split=0.2,
        verbose=0,
        callbacks=[
            ModelCheckpoint(str(best), save_best_only=True),
            LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch)),
        ],
    )
    assert seen == list(range(15))
    assert {"mae", "val_mae", "root_mean_squared_error"} <= set(history.history)
    assert history.history["loss"][-1] < 0.1 * history.history["loss"][0]
    assert best.exists()

    again = load_model(best)
    val_loss = again.evaluate(x[160:], y[160:], verbose=0, return_dict=True)["loss"]
    assert val_loss == pytest.approx(min(history.history["val_loss"]), rel=1e-5)


def test_a_callback_of_one_s_own_stops_the_fit() -> None:
    class Enough(Callback):
        def on_epoch_end(self, epoch, logs=None):
            if logs.get("accuracy") > 0.6:
                self.model.stop_training = True

    random = np.random.default_rng(0)
    x = random.normal(size=(256, 2))
    y = (x.sum(axis=1) > 0).astype(int)
    model = Sequential([Dense(2, activation="softmax", input_shape=(2,))])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=500, verbose=0, callbacks=[Enough()])
    assert 1 <= len(history.epoch) < 500
    assert history.history["accuracy"][-1] > 0.6


def test_the_rate_falls_on_a_plateau() -> None:
    model = Sequential([Dense(1, input_shape=(1,))])
    model.compile(SGD(learning_rate=0.1), "mse")
    x = np.zeros((8, 1))
    model.fit(
        x, np.ones(8), epochs=8, verbose=0, callbacks=[ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10)]
    )
    assert float(model.optimizer.learning_rate) < 0.1


def test_save_and_load(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), Dense(3, activation="gelu"), Dense(2)])
    model.compile("adam", "mse")
    x = np.linspace(-1, 1, 40).reshape(10, 4)
    model.fit(x, x[:, :2], epochs=2, verbose=0)
    model.save(tmp_path / "model")
    again = keras.models.load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.get_config() == model.get_config()


def test_the_seed_of_the_process_makes_a_program_repeat_itself() -> None:
    def once() -> np.ndarray:
        tf.keras.utils.set_random_seed(7)
        model = Sequential([Dense(5, activation="relu"), Dropout(0.5), Dense(1)])
        model.compile("sgd", "mse")
        x = np.linspace(0, 1, 60).reshape(20, 3)
        model.fit(x, x[:, 0], epochs=3, batch_size=4, verbose=0)
        return model.predict(x, verbose=0)

    np.testing.assert_array_equal(once(), once())


def test_a_generator_of_batches_and_early_stopping_on_the_loss() -> None:
    def batches():
        random = np.random.default_rng(0)
        while True:
            x = random.normal(size=(16, 2))
            yield x, 2 * x[:, :1]

    model = Sequential([Dense(1)])
    model.compile(optimizer="adam", loss="mean_squared_error")
    history = model.fit(
        batches(), steps_per_epoch=5, epochs=4, verbose=0, callbacks=[EarlyStopping("loss", patience=3)]
    )
    assert len(history.history["loss"]) == 4
    assert history.params["steps"] == 5


def test_losses_and_metrics_stand_by_themselves() -> None:
    assert float(keras.losses.mse([1.0, 0.0, 1.0], [0.8, 0.2, 0.9])) == pytest.approx(0.03)
    assert float(keras.losses.CategoricalCrossentropy()([[0, 1]], [[0.1, 0.9]])) == pytest.approx(
        -np.log(0.9), rel=1e-5
    )
    assert keras.losses.get("mae").__class__ is keras.losses.MeanAbsoluteError
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    accuracy.update_state([0, 1], [[0.9, 0.1], [0.8, 0.2]])
    assert float(accuracy.result()) == 0.5
    accuracy.reset_state()
    assert keras.metrics.Precision(thresholds=0.7)([1, 0], [0.75, 0.6]) == 1.0
    assert keras.activations.get("relu") is tf.nn.relu
    assert (
        keras.initializers.GlorotUniform(seed=3)((2, 2)).tolist()
        == keras.initializers.GlorotUniform(3)((2, 2)).tolist()
    )
    assert keras.optimizers.AdamW(1e-3, 1e-4).weight_decay == 1e-4
    assert keras.optimizers.get("adam").learning_rate == 0.001


def test_what_fit_evaluate_and_predict_answer_is_what_keras_s_answer() -> None:
    """The same program with both: the same keys in the same order, the same types and lengths of what comes back."""
    real = oracle("keras")

    def answers(lib) -> dict[str, object]:
        model = lib.Sequential([lib.Input((3,)), lib.layers.Dense(4, activation="relu"), lib.layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse", metrics=["mae"])
        x = np.linspace(0, 1, 30).reshape(10, 3).astype("float32")
        history = model.fit(x, x[:, :1], epochs=2, batch_size=4, validation_split=0.2, verbose=0)
        both, one = model.evaluate(x, x[:, :1], verbose=0), model.evaluate(x, x[:, :1], verbose=0, return_dict=True)
        return {
            "history": list(history.history),
            "epoch": history.epoch,
            "params": {k: v for k, v in history.params.items() if k in ("epochs", "steps", "verbose")},
            "kept": model.history is None or list(model.history.history) == list(history.history),
            "types": {type(v) for values in history.history.values() for v in values},
            "evaluate": [type(v) for v in both],
            "evaluate to a dict": list(one),
            "predict": (model.predict(x, verbose=0).shape, model.predict(x, verbose=0).dtype),
            "weights": [w.shape for w in model.get_weights()],
            "layers": [type(layer).__name__ for layer in model.layers],
            "names": [layer.name.rpartition("_")[0] or layer.name for layer in model.layers],
            "counted": model.count_params(),
        }

    ours, theirs = answers(keras), answers(real)
    for question, answer in theirs.items():
        assert ours[question] == answer, question
