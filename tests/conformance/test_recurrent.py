"""Recurrent layers in models: five steps beside Keras, states given and returned, PyTorch's layers, chance, errors.

Values and slopes of each layer by itself, against Keras: test_keras_layers.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import talweg
from conformance.engines import native
from conformance.test_layers import apply, built
from support import oracle
from talweg.errors import ShapeError, UsageError
from talweg.nn.layers import GRU, LSTM, Bidirectional, Dense, Input, SimpleRNN, TimeDistributed

N, STEPS, FEATURES = 40, 6, 3
random = np.random.default_rng(8)
X = random.normal(size=(N, STEPS, FEATURES)).astype(np.float32)
ONE = random.normal(size=(N, 2)).astype(np.float32)
EACH = random.normal(size=(N, STEPS, 2)).astype(np.float32)


def plain(k: Any, layer: Any) -> Any:
    return k.Sequential([k.Input((STEPS, FEATURES)), layer, k.layers.Dense(2)])


def stacked(k: Any) -> Any:
    lower = k.layers.LSTM(5, return_sequences=True)
    upper = k.layers.GRU(4, return_sequences=True, reset_after=False)
    return k.Sequential([k.Input((STEPS, FEATURES)), lower, upper, k.layers.TimeDistributed(k.layers.Dense(2))])


def both_ways(k: Any) -> Any:
    lower = k.layers.Bidirectional(k.layers.GRU(4, return_sequences=True))
    upper = k.layers.Bidirectional(k.layers.LSTM(3), merge_mode="ave")
    return k.Sequential([k.Input((STEPS, FEATURES)), lower, upper, k.layers.Dense(2)])


def translation(k: Any) -> Any:
    """The states of one are what another begins with; its own last state goes on, too."""
    x = k.Input((STEPS, FEATURES))
    _, h, c = k.layers.LSTM(4, return_state=True)(x)
    y, last, _ = k.layers.LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    joined = k.layers.Concatenate()([y, k.layers.RepeatVector(STEPS)(last)])
    return k.Model(x, k.layers.Dense(2)(joined))


NETWORKS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "rnn": (lambda k: plain(k, k.layers.SimpleRNN(5)), ONE),
    "lstm": (lambda k: plain(k, k.layers.LSTM(5)), ONE),
    "gru": (lambda k: plain(k, k.layers.GRU(5)), ONE),
    "backwards": (lambda k: plain(k, k.layers.GRU(5, go_backwards=True, return_sequences=True)), EACH),
    "stacked": (stacked, EACH),
    "both ways": (both_ways, ONE),
    "translation": (translation, EACH),
}


def ours() -> Any:
    return SimpleNamespace(Sequential=talweg.Sequential, Model=talweg.Model, Input=Input, layers=talweg.keras.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_five_steps_are_keras_s(name: str) -> None:
    keras = oracle("keras")
    make, y = NETWORKS[name]
    theirs, mine = make(keras), make(ours())
    mine.set_weights(theirs.get_weights())
    theirs.compile(keras.optimizers.Adam(0.01), "mse")
    mine.compile(talweg.keras.optimizers.Adam(0.01), "mse")
    for model in (theirs, mine):
        model.fit(X, y, batch_size=8, shuffle=False, epochs=1, verbose=0)
    for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
    np.testing.assert_allclose(mine.predict(X, verbose=0), theirs.predict(X, verbose=0), 1e-4, 1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_native_engine_trains_them_alike(name: str) -> None:
    make, y = NETWORKS[name]
    found = []
    for engine in ("reference", native()):
        model = make(ours())
        model.set_weights([0.3 * np.sin(np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
        model.compile(talweg.keras.optimizers.Adam(0.01), "mse", engine=engine)
        found.append(model.fit(X, y, batch_size=8, shuffle=False, epochs=2, verbose=0).history["loss"])
    np.testing.assert_allclose(found[1], found[0], 1e-5)


@pytest.mark.parametrize(("name", "gates"), [("SimpleRNN", [0]), ("LSTM", [0, 1, 2, 3]), ("GRU", [1, 0, 2])])
def test_pytorch_s_layers_are_the_same(name: str, gates: list[int]) -> None:
    """With its weights turned round and its gates in Keras's order; its second bias is added, or a GRU's own row."""
    torch = oracle("torch")
    theirs = getattr(torch.nn, name.removeprefix("Simple"))(FEATURES, 5, batch_first=True).double()
    layer = built(name, {"units": 5, "return_sequences": True}, (STEPS, FEATURES))
    parts = {k: v.detach().numpy() for k, v in theirs.named_parameters()}

    def ordered(w: Any) -> Any:
        return np.concatenate([np.split(w, len(gates))[i] for i in gates])

    biases = [ordered(parts["bias_ih_l0"]), ordered(parts["bias_hh_l0"])]
    bias = np.stack(biases) if name == "GRU" else sum(biases)
    layer.set_weights([ordered(parts["weight_ih_l0"]).T, ordered(parts["weight_hh_l0"]).T, bias])
    expected = theirs(torch.tensor(X.astype(float)))[0].detach().numpy()
    np.testing.assert_allclose(apply(layer, X.astype(float)), expected, 1e-10, 1e-12)


def test_what_a_forget_gate_begins_with() -> None:
    _, _, bias = built("LSTM", {"units": 3}, (4, 2)).get_weights()
    np.testing.assert_array_equal(bias, [0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])


def test_dropout_is_the_same_at_every_step() -> None:
    options = {
        "units": 4,
        "dropout": 0.5,
        "return_sequences": True,
        "kernel_initializer": "ones",
        "activation": "linear",
    }
    layer = built("SimpleRNN", {**options, "recurrent_initializer": "zeros"}, (5, 6))
    y = apply(layer, np.ones((20, 5, 6)), training=True)
    assert (y == y[:, :1]).all() and len(np.unique(y)) > 3


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: LSTM(0), UsageError, "LSTM: units must be"),
        (lambda: GRU(3, dropout=1.0), UsageError, "GRU: dropout must be"),
        (lambda: GRU(3, stateful=True), UsageError, "initial_state=states"),
        (lambda: SimpleRNN(3)(Input((4,))), ShapeError, r"Reshape\(\(steps, 1\)\)"),
        (lambda: LSTM(3)(Input((4, 2)), initial_state=[Input((3,))]), ShapeError, "begins with 2 of"),
        (lambda: Bidirectional(Dense(3)), UsageError, "takes a recurrent layer"),
        (lambda: Bidirectional(GRU(3), merge_mode="max"), UsageError, "merge_mode must be"),
        (lambda: Bidirectional(GRU(3), backward_layer=GRU(3)), UsageError, "go_backwards=True"),
        (lambda: Bidirectional(GRU(3, go_backwards=True)), UsageError, "layer must not go backwards"),
        (
            lambda: Bidirectional(GRU(3), backward_layer=GRU(3, go_backwards=True, return_sequences=True)),
            UsageError,
            "must agree in return_sequences",
        ),
        (lambda: TimeDistributed("Dense"), UsageError, "a wrapper is around a layer"),
        (lambda: TimeDistributed(Dense(2))(Input((4,))), ShapeError, "at least one axis"),
    ],
)
def test_what_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_labels_for_which_there_are_too_few_steps() -> None:
    loss = talweg.nn.losses.CTCLoss(reduction=None)
    found = loss([[1, 1, -1], [1, 2, -1]], np.zeros((2, 2, 3)))  # 1, 1 needs a blank between
    assert np.isinf(found[0]) and np.isfinite(found[1])
    assert talweg.nn.losses.CTCLoss(zero_infinity=True, reduction=None)([[1, 1]], np.zeros((1, 2, 3))) == 0
