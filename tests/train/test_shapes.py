"""What models and layers say of shapes, beside Keras: batches, whose first axis is None."""

from __future__ import annotations

from typing import Any

import pytest

from support import oracle
from talweg import keras as ours
from talweg.errors import ShapeError

LAYERS: dict[str, tuple[Any, Any]] = {
    "Dense": (lambda k: k.Dense(3), (None, 4)),
    "Conv2D": (lambda k: k.Conv2D(3, 3, strides=2), (None, 9, 8, 2)),
    "LSTM": (lambda k: k.LSTM(4, return_sequences=True), (None, 5, 3)),
    "Bidirectional": (lambda k: k.Bidirectional(k.GRU(3)), (None, 5, 2)),
    "Flatten": (lambda k: k.Flatten(), (None, 3, 4)),
    "Embedding": (lambda k: k.Embedding(9, 2), (None, 6)),
    "Concatenate": (lambda k: k.Concatenate(), [(None, 3), (None, 4)]),
    "a known batch": (lambda k: k.Dense(3), (7, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_keras_s_shapes(name: str) -> None:
    keras = oracle("keras")
    make, shape = LAYERS[name]
    layer = make(ours.layers)
    assert layer.compute_output_shape(shape) == make(keras.layers).compute_output_shape(shape)
    assert not layer.variables, "nothing is built"


def test_models_tell_keras_s_shapes() -> None:
    found = []
    for k in (ours, oracle("keras")):
        one = k.Sequential([k.Input((8,)), k.layers.Dense(3)])
        a, b = k.Input((4,)), k.Input((5, 2))
        two = k.Model([a, b], [k.layers.Dense(1)(a), k.layers.Flatten()(b)])
        unbuilt = k.Sequential([k.layers.Dense(3)])
        shapes = [one.input_shape, one.output_shape, [*two.input_shape], [*two.output_shape]]
        shapes += [one.compute_output_shape((None, 8)), unbuilt.compute_output_shape((None, 8)), a.shape]
        found.append([*shapes, unbuilt.built])
    assert found[0] == found[1]


def test_shapes_that_do_not_fit() -> None:
    for wrong in (5, (), ((),), ("a", 3)):
        with pytest.raises(ShapeError, match="input_shape must be the shape of a batch"):
            ours.layers.Dense(3).compute_output_shape(wrong)
    with pytest.raises(ShapeError, match=r"takes examples of shape \[8\]; got \[9\]"):
        ours.Sequential([ours.Input((8,)), ours.layers.Dense(3, name="dense")]).compute_output_shape((None, 9))
