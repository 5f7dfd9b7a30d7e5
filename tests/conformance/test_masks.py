"""Masks: sequences of several lengths beside Keras, on three engines; which layers hand a mask on; what is refused.

Each network is trained for several steps, so that its slopes are compared too. Among the examples are some masked at
the start, in the middle and at the end, and one of which nothing is left.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import talweg
from conformance.engines import jax, native
from support import oracle
from talweg.errors import ShapeError, UsageError
from talweg.graph import Array
from talweg.nn import layers
from talweg.nn.layers import LAYERS, Input
from talweg.nn.metrics import METRICS
from talweg.nn.metrics.base import MeanMetric

N, STEPS, FEATURES, WORDS = 24, 6, 3, 7
random = np.random.default_rng(5)


def kept_steps() -> Array:
    counts = np.ones((N, STEPS), bool)
    for row, length in enumerate(random.integers(1, STEPS, N)):
        counts[row, [np.s_[length:], np.s_[: STEPS - length], [1, 3], np.s_[:0]][row % 4]] = False
    counts[5] = False
    return counts


KEPT = kept_steps()
X = np.where(KEPT[..., None], random.normal(size=(N, STEPS, FEATURES)), 0).astype(np.float32)
IDS = np.where(KEPT, random.integers(1, WORDS, (N, STEPS)), 0)
ONE = random.normal(size=(N, 2)).astype(np.float32)
EACH = random.normal(size=(N, STEPS, 2)).astype(np.float32)
CLASSES = random.integers(0, 2, (N, STEPS))


@dataclass
class Net:
    make: Callable[[Any], Any]
    y: Any
    x: Any = field(default_factory=lambda: X)
    loss: Any = "mse"


def plain(*written: Callable[[Any], Any], last: str | None = None) -> Callable[[Any], Any]:
    """`Masking`, what is given, and a dense layer."""
    return lambda k: k.Sequential(
        [k.Input((STEPS, FEATURES)), k.layers.Masking(), *(one(k.layers) for one in written), k.layers.Dense(2, last)]
    )


def recurrent(name: str, *after: Callable[[Any], Any], **options: Any) -> Callable[[Any], Any]:
    return plain(lambda k: getattr(k, name)(4, **options), *after)


def both_ways(name: str, merge_mode: str = "concat", **options: Any) -> Callable[[Any], Any]:
    return lambda k: k.Bidirectional(getattr(k, name)(3, **options), merge_mode=merge_mode)


def words(*written: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def make(k: Any) -> Any:
        embedding = k.layers.Embedding(WORDS, 4, mask_zero=True)
        return k.Sequential([k.Input((STEPS,)), embedding, *(one(k.layers) for one in written), k.layers.Dense(2)])

    return make


def merged(layer: Callable[[Any], Any], is_masked: tuple[bool, bool] = (True, True)) -> Callable[[Any], Any]:
    """Two sequences with masks of their own, or one of them without; the layer that makes one of them."""

    def make(k: Any) -> Any:
        ends = [k.Input((STEPS, FEATURES)), k.Input((STEPS, FEATURES))]
        parts = [k.layers.Masking()(end) if masked else end for end, masked in zip(ends, is_masked, strict=True)]
        y = layer(k.layers)([k.layers.Dense(3, name=n)(part) for n, part in zip(("left", "right"), parts, strict=True)])
        return k.Model(ends, k.layers.Dense(2)(k.layers.GRU(4)(y)))

    return make


def states(k: Any) -> Any:
    """What is masked is no part of the state that is handed on; a mask beside a state is not looked at, as in Keras."""
    end = k.Input((STEPS, FEATURES))
    y, h, c = k.layers.LSTM(4, return_state=True, return_sequences=True)(k.layers.Masking()(end))
    z = k.layers.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    return k.Model(end, k.layers.Dense(2)(z))


def within(k: Any) -> Any:
    """A model within, which is given a mask and makes another; and a layer at two places."""
    ends = k.Input((STEPS, FEATURES)), k.Input((STEPS, FEATURES))
    shared = k.layers.GRU(3, return_sequences=True)
    inner_end = k.Input((STEPS, FEATURES), name="inside")
    inner = k.Model(inner_end, k.layers.Dropout(0.0)(shared(inner_end)))
    y = k.layers.Average()([inner(k.layers.Masking()(ends[0])), shared(ends[1])])
    return k.Model(list(ends), k.layers.Dense(2)(k.layers.LSTM(3, return_sequences=True)(k.layers.Masking()(y))))


def several_outputs(k: Any) -> Any:
    end = k.Input((STEPS, FEATURES))
    y = k.layers.GRU(4, return_sequences=True)(k.layers.Masking()(end))
    mean = k.layers.GlobalAveragePooling1D()(y)
    return k.Model(end, [k.layers.Dense(2, name="each")(y), k.layers.Dense(2, name="one")(mean)])


def relu(k: Any) -> Any:
    return k.Activation("relu")


NETS: dict[str, Net] = {
    **{name: Net(recurrent(name), ONE) for name in ("SimpleRNN", "LSTM", "GRU")},
    **{f"{name}, every step": Net(recurrent(name, return_sequences=True), EACH) for name in ("SimpleRNN", "LSTM")},
    "backwards": Net(recurrent("GRU", go_backwards=True), ONE),
    "backwards, every step": Net(
        recurrent("GRU", lambda k: k.LSTM(3, return_sequences=True), go_backwards=True, return_sequences=True), EACH
    ),
    "zeros": Net(recurrent("LSTM", zero_output_for_mask=True), ONE),
    "zeros backwards": Net(recurrent("GRU", zero_output_for_mask=True, go_backwards=True), ONE),
    "zeros at every step": Net(recurrent("SimpleRNN", zero_output_for_mask=True, return_sequences=True), EACH),
    "reset_after": Net(recurrent("GRU", reset_after=False), ONE),
    "both ways": Net(plain(both_ways("LSTM")), ONE),
    "both ways, every step": Net(
        plain(both_ways("LSTM", return_sequences=True), both_ways("GRU", "mul", return_sequences=True)), EACH
    ),
    "handed on": Net(
        plain(
            lambda k: k.Dense(4),
            relu,
            lambda k: k.LayerNormalization(),
            lambda k: k.GaussianNoise(0.0),
            lambda k: k.TimeDistributed(k.Dense(3)),
            lambda k: k.GRU(3, return_sequences=True),
        ),
        EACH,
    ),
    "ended": Net(plain(lambda k: k.Conv1D(3, 2, padding="same"), lambda k: k.GRU(3, return_sequences=True)), EACH),
    "a batch's statistics": Net(plain(lambda k: k.BatchNormalization(momentum=0.5), lambda k: k.GRU(4)), ONE),
    "a step's statistics": Net(
        plain(lambda k: k.TimeDistributed(k.BatchNormalization(momentum=0.8)), lambda k: k.GRU(4)), ONE
    ),
    "the mean over steps": Net(words(lambda k: k.GlobalAveragePooling1D()), ONE),
    "words": Net(words(lambda k: k.LSTM(4)), ONE, IDS),
    "words, every step": Net(words(lambda k: k.Bidirectional(k.GRU(3, return_sequences=True))), EACH, IDS),
    "classes": Net(
        plain(lambda k: k.LSTM(4, return_sequences=True), last="softmax"),
        CLASSES,
        loss="sparse_categorical_crossentropy",
    ),
    "sum": Net(
        recurrent("GRU", return_sequences=True), EACH, loss=lambda k: k.losses.MeanSquaredError(reduction="sum")
    ),
    "mean absolute": Net(recurrent("GRU", return_sequences=True), EACH, loss="mae"),
    **{
        name: Net(merged(lambda k, name=name: getattr(k, name)(name="joined")), ONE, [X, X[::-1].copy()])
        for name in ("Add", "Multiply", "Maximum", "Concatenate")
    },
    "Concatenate steps": Net(merged(lambda k: k.Concatenate(axis=1, name="joined")), ONE, [X, X[::-1].copy()]),
    "Concatenate with all": Net(
        merged(lambda k: k.Concatenate(axis=1, name="joined"), (False, True)), ONE, [X, X[::-1].copy()]
    ),
    "Add to all": Net(merged(lambda k: k.Add(), (True, False)), ONE, [X, X[::-1].copy()]),
    "Concatenate beside all": Net(
        merged(lambda k: k.Concatenate(name="joined"), (True, False)), ONE, [X, X[::-1].copy()]
    ),
    "states": Net(states, EACH),
    "models within": Net(within, EACH, [X, X[::-1].copy()]),
    "several outputs": Net(several_outputs, [EACH, ONE], np.where(KEPT.any((1,), keepdims=True)[..., None], X, 1)),
}
# Of no step at all the mean is 0, in Keras NaN.
NETS["the mean over steps"].x = np.where(KEPT.any(1, keepdims=True), IDS, 1)
FIT = {"batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0}


def ours() -> Any:
    return SimpleNamespace(
        Sequential=talweg.Sequential, Model=talweg.Model, Input=Input, layers=talweg.keras.layers, losses=talweg.losses
    )


def in_order(model: Any) -> list[Any]:
    """The layers; Keras's order of the two depends on how their masks come to be."""
    named = {each.name: each for each in model.layers if each.name in ("left", "right")}
    rest = [each for each in model.layers if each.name not in named]
    return [*named.values(), *rest] if len(named) < 2 else [named["left"], named["right"], *rest]


def weights_of(model: Any) -> list[list[Array]]:
    return [layer.get_weights() for layer in in_order(model)]


def trained(net: Net, k: Any, optimizer: Any, weights: Any = None, **options: Any) -> tuple[Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a mask ends
        model = net.make(k)
        if weights is not None:
            for layer, values in zip(in_order(model), weights, strict=True):
                layer.set_weights(values)
        begin = weights_of(model)
        model.begin = begin
        loss = net.loss(k) if callable(net.loss) else net.loss
        metrics = ["mae"] if net.loss == "mse" and not isinstance(net.y, list) else None
        model.compile(optimizer, loss, metrics=metrics, **options)
        history = model.fit(net.x, net.y, **FIT).history
    return model, history


ENGINES = {"reference": lambda: "reference", "native": native, "jax": jax}


@pytest.mark.parametrize("name", NETS)
def test_against_keras(name: str) -> None:
    keras, net = oracle("keras"), NETS[name]
    theirs, expected = trained(net, keras, keras.optimizers.Adam(0.02))
    answers = theirs.predict(net.x, verbose=0)
    measured = theirs.evaluate(net.x, net.y, verbose=0)
    for engine in ENGINES.values():
        mine, history = trained(net, ours(), talweg.optimizers.Adam(0.02), theirs.begin, engine=engine())
        assert set(history) == set(expected)
        for key in history:
            np.testing.assert_allclose(history[key], expected[key], 1e-4, 1e-5, err_msg=key)
        for some, others in zip(weights_of(mine), weights_of(theirs), strict=True):
            for a, b in zip(some, others, strict=True):
                np.testing.assert_allclose(a, b, 1e-3, 1e-4)
        pairs = zip(*(p if isinstance(p, list) else [p] for p in (mine.predict(net.x), answers)), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(a, b, 1e-3, 1e-4)
        np.testing.assert_allclose(mine.evaluate(net.x, net.y, verbose=0), measured, 1e-4, 1e-5)


NOT_IN_FILES = {
    "states": "files of Keras with initial_state are not read",
    "models within": "Keras cannot read its own: it calls the model within on the mask",
    "Concatenate with all": "how the masks come to be changes Keras's order of layers, and so whose weights are whose",
}


@pytest.mark.parametrize("name", [n for n in NETS if n not in NOT_IN_FILES])
def test_files_of_both(name: str, tmp_path: Path) -> None:
    keras, net = oracle("keras"), NETS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine = net.make(ours())
        mine.save(tmp_path / "ours.keras")
        mine.save(tmp_path / "ours.safetensors")
        theirs = keras.models.load_model(tmp_path / "ours.keras")
        theirs.save(tmp_path / "theirs.keras")
        models = [talweg.load(tmp_path / each) for each in ("ours.keras", "theirs.keras", "ours.safetensors")]
        expected = mine.predict(net.x)
        for answer in (theirs.predict(net.x, verbose=0), *(model.predict(net.x) for model in models)):
            for a, b in zip(*(p if isinstance(p, list) else [p] for p in (answer, expected)), strict=True):
                np.testing.assert_allclose(a, b, 1e-4, 1e-5)


def test_layers_hand_masks_on_as_keras_s_do() -> None:
    keras, odd = oracle("keras"), {"Embedding"}  # which does where it is told to
    made = {
        **{"Activation": ("relu",), "Reshape": ((2,),), "Permute": ((1,),), "InputLayer": ((2,),), "Dot": (1,)},
        **{"Bidirectional": None, "TimeDistributed": None, "UnitNormalization": (), "Normalization": ()},
    }
    for name in LAYERS:
        theirs, own = getattr(keras.layers, name, None), LAYERS.get(name)
        if theirs is None or name in odd or not own.__module__.startswith("talweg."):
            continue
        within = {"Bidirectional": keras.layers.GRU, "TimeDistributed": keras.layers.Dense}.get(name)
        given = (within(2),) if within else made.get(name)
        for guess in [given] if given is not None else [(), (2,), (0.1,), (2, 2), (0.1, 0.1)]:
            try:
                layer = theirs(*guess)
                break
            except (TypeError, ValueError):
                continue
        assert own.supports_masking == layer.supports_masking, name


MEANS = [n for n in METRICS if issubclass(METRICS.get(n), MeanMetric) and n != "MeanMetricWrapper" and "TopK" not in n]


@pytest.mark.parametrize("name", MEANS)
def test_metrics_of_masked_steps(name: str) -> None:
    keras = oracle("keras")
    if not hasattr(keras.metrics, name) or not METRICS.get(name).__module__.startswith("talweg."):
        pytest.skip("it is not Keras's")
    net = NETS["classes"]
    y = CLASSES if "Sparse" in name else np.eye(2, dtype=np.float32)[CLASSES]
    found = []
    for k in (keras, talweg.keras):
        model = net.make(k)
        model.set_weights([0.3 * np.sin(1 + np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
        loss = "sparse_categorical_crossentropy" if "Sparse" in name else "categorical_crossentropy"
        model.compile("sgd", loss, metrics=[getattr(k.metrics, name)()])
        found.append(model.evaluate(net.x, y, verbose=0))
    np.testing.assert_allclose(found[1], found[0], 1e-4, 1e-5)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("ignored", [None, 1])
def test_weights_of_examples_and_masks(reduction: str, ignored: int | None) -> None:
    """Keras has weights of steps there; a weight of an example is that of all its steps."""
    keras, net = oracle("keras"), NETS["classes"]
    weights, found = random.uniform(0.5, 2, N), []
    for k, given in ((keras, np.repeat(weights[:, None], STEPS, 1)), (talweg.keras, weights)):
        model = net.make(k)
        model.set_weights([0.3 * np.sin(1 + np.arange(w.size)).reshape(w.shape) for w in model.get_weights()])
        loss = k.losses.SparseCategoricalCrossentropy(reduction=reduction, ignore_class=ignored)
        # On PyTorch, Keras writes what is ignored into the very weights, which metrics then see.
        model.compile("sgd", loss, weighted_metrics=["accuracy"] if ignored is None else None)
        found.append(model.evaluate(net.x, net.y, sample_weight=given, batch_size=N, verbose=0))
    np.testing.assert_allclose(found[1], found[0], 1e-4)


def test_the_mean_of_no_step_is_0() -> None:
    model = talweg.Sequential([Input((2, 1)), layers.Masking(), layers.GlobalAveragePooling1D()])
    np.testing.assert_array_equal(model.predict(np.array([[[0.0], [0.0]], [[3.0], [0.0]]])), [[0], [3]])


def test_where_a_mask_ends_is_told() -> None:
    x = layers.Masking()(Input((4, 3)))
    with pytest.warns(UserWarning, match="layer 'c' does not pass masks on"):
        assert layers.Conv1D(2, 2, name="c")(x).mask is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert layers.LSTM(2)(x).mask is None and layers.GlobalAveragePooling1D()(x).mask is None
        assert layers.LSTM(2, return_sequences=True)(x).mask is not None
        assert layers.Conv1D(2, 2)(Input((4, 3))).mask is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: layers.GRU(2)(x, mask=x), UsageError, "cannot be given by hand"),
        (lambda x: layers.Softmax(axis=1)(x), ShapeError, "some of them masked"),
        (lambda x: layers.TimeDistributed(layers.GRU(2))(of_sequences(x)), ShapeError, "a mask of sequences is"),
        (lambda x: layers.BatchNormalization()(of_sequences(x)), ShapeError, "takes a mask of all axes but one"),
        (lambda x: trained_on(layers.LSTM(2, return_sequences=True)(x), "ctc"), ShapeError, "one at each step"),
    ],
)
def test_what_is_refused(make: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(layers.Masking()(Input((4, 3))))


def of_sequences(x: Any) -> Any:
    """A sequence of sequences, with a mask of the outer one alone."""
    return layers.TimeDistributed(layers.Reshape((3, 1)))(x)


def trained_on(y: Any, loss: str) -> None:
    model = talweg.Model(y.call.inputs.call.inputs, y)
    model.compile("sgd", loss)
    model.fit(np.ones((2, 4, 3)), np.ones((2, 2)), verbose=0)


def test_a_mask_of_a_mask() -> None:
    """Of sequences of sequences, the layer within sees that of its own sequence."""
    x = random.normal(size=(5, 4, 3, 2))
    x[0, 1, 2], x[1, :, 1], x[2, 3] = 0, 0, 0
    inner = layers.GRU(2)
    model = talweg.Sequential([Input((4, 3, 2)), layers.Masking(), layers.TimeDistributed(inner)], seed=2)
    flat = talweg.Sequential([Input((3, 2)), layers.Masking(), layers.GRU(2)])
    flat.set_weights(model.get_weights())
    np.testing.assert_allclose(model.predict(x).reshape(20, 2), flat.predict(x.reshape(20, 3, 2)), 1e-5, 1e-6)


@pytest.mark.parametrize("wrapper", ["Bidirectional", "TimeDistributed"])
def test_a_layer_within_may_be_frozen_later(wrapper: str) -> None:
    make = {
        "Bidirectional": lambda: layers.Bidirectional(layers.GRU(2, return_sequences=True)),
        "TimeDistributed": lambda: layers.TimeDistributed(layers.TimeDistributed(layers.BatchNormalization())),
    }[wrapper]
    shape = (3, 2) if wrapper == "Bidirectional" else (3, 2, 2)
    layer = make()
    model = talweg.Sequential([Input(shape), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = random.normal(size=(8, *shape)), random.normal(size=(8, *shape[:-1], 1))

    def changed() -> list[bool]:
        before = model.get_weights()
        model.fit(x, y, epochs=1, verbose=0)
        return [not np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True)]

    assert all(changed())
    (layer.layer if wrapper == "Bidirectional" else layer.layer.layer).trainable = False
    frozen = changed()
    assert frozen == [False] * (len(frozen) - 2) + [True, True]
    assert len(model.trainable_variables) == 2
    (layer.layer if wrapper == "Bidirectional" else layer.layer.layer).trainable = True
    assert all(changed())
