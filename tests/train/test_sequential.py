"""`Sequential`: how layers come together, where shapes come from, and what is named how."""

from __future__ import annotations

import numpy as np
import pytest

from talweg.errors import ShapeError, UsageError
from talweg.nn.layers import Activation, Dense, Dropout, Flatten, Input
from talweg.train.sequential import Sequential

X = np.linspace(0, 1, 24).reshape(8, 3)
Y = X.sum(axis=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequential([Dense(4, input_shape=(3,)), Dense(1)], seed=1),
        lambda: Sequential([Dense(4, input_shape=[3]), Dense(1)], seed=1),
        lambda: Sequential([Input((3,)), Dense(4), Dense(1)], seed=1),
        lambda: Sequential([Input(shape=(3,)), Dense(4, input_shape=(3,)), Dense(1)], seed=1),
        lambda: grown(Dense(4, input_shape=(3,)), Dense(1)),
        lambda: grown(Input((3,)), Dense(4), Dense(1)),
    ],
)
def test_the_shape_comes_from_the_first_layer_or_an_input(make: object) -> None:
    model = make()  # type: ignore[operator]
    assert model.built and model.input_shape == (None, 3) and model.output_shape == (None, 1)
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    other = Sequential([Dense(4), Dense(1)], seed=1)
    assert not other.built and other.get_weights() == [] and other.count_params() == 0
    other.predict(X)  # or from the data
    assert all((a == b).all() for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


def grown(*layers: object) -> Sequential:
    model = Sequential(seed=1)
    for layer in layers:
        model.add(layer)  # type: ignore[arg-type]
    return model


@pytest.mark.parametrize("shape", [3, (3,), (None, 3), [None, 3]])
def test_build(shape: object) -> None:
    model = Sequential([Dense(2)], seed=0)
    model.build(shape)
    model.build()
    assert model.input_shape == (None, 3)
    with pytest.raises(ShapeError, match=r"\[3\]; got \[4\]"):
        model.build((4,))


def test_build_without_a_shape_or_layers() -> None:
    with pytest.raises(UsageError, match="needs an input_shape"):
        Sequential([Dense(2)]).build()
    with pytest.raises(UsageError, match="no layers"):
        Sequential([]).build((3,))


def test_data_of_rank_1_and_pictures() -> None:
    line = Sequential([Dense(1)], seed=0)
    line.compile("sgd", "mse")
    line.fit(np.arange(5.0), np.arange(5.0), verbose=0)
    assert line.input_shape == (None, 1)
    pictures = Sequential([Flatten(), Dense(2)], seed=0)
    assert pictures.predict(np.zeros((6, 4, 4), np.uint8)).shape == (6, 2) and pictures.input_shape == (None, 4, 4)


def test_names() -> None:
    model = Sequential([Dense(2, name="dense_1"), Dense(2), Dense(2), Dropout(0.1), Activation("relu")])
    assert [layer.name for layer in model.layers] == ["dense_1", "dense", "dense_2", "dropout", "activation"]
    assert model.get_layer("dense") is model.get_layer(index=1) is model.layers[1]
    assert model.get_layer(index=-1) is model.layers[-1]
    with pytest.raises(UsageError, match="no layer is called 'x'"):
        model.get_layer("x")
    with pytest.raises(UsageError, match="none at index 7"):
        model.get_layer(index=7)


def test_layers_may_be_added_and_taken_off_between_fits() -> None:
    model = Sequential([Dense(4, "tanh", input_shape=(3,)), Dense(1, name="last")], seed=0)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    kept = model.get_weights()[:2]
    assert model.pop().name == "last"
    model.add(Dense(2, name="last"))  # of the same name, and another shape
    assert all((a == b).all() for a, b in zip(kept, model.get_weights()[:2], strict=True))
    model.fit(X, np.stack([Y, Y], 1), verbose=0)
    assert model.predict(X).shape == (8, 2) and model.iterations == 2


def test_an_untrainable_model() -> None:
    model = Sequential([Dense(2, input_shape=(3,))], trainable=False, seed=0)
    assert model.trainable_variables == [] and len(model.variables) == 2
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(X, np.stack([Y, Y], 1), verbose=0)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_a_description_makes_the_same_model_with_fresh_weights() -> None:
    model = Sequential([Input((3,)), Dense(4, "relu", kernel_initializer="he_normal"), Dropout(0.2), Dense(1)], seed=5)
    again = Sequential.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))
    unbuilt = Sequential.from_config(Sequential([Dense(2)], seed=0).get_config())
    assert not unbuilt.built
    assert repr(unbuilt) == "<Sequential 'sequential': Dense(name='dense', units=2)>"
