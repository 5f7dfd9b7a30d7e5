"""Files of Keras, beside Keras itself: what one writes the other reads, and both predict the same."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import talweg
from conformance.layers import CASES, Shape, examples
from support import oracle
from talweg import Input, Model, Sequential, layers
from talweg.export.keras.vocabulary import KINDS, ONLY_HERE
from talweg.graph import Array
from talweg.nn.activations import ACTIVATIONS

RANDOM = np.random.default_rng(5)
TABLE = [(name, options, shape) for name, options, shape, _ in CASES if name not in {"InputLayer", *ONLY_HERE["layer"]}]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(TABLE)]
NEAR = {"rtol": 1e-5, "atol": 1e-6}
ODD = {"AveragePooling1D", "AveragePooling2D"}  # Keras on PyTorch repeats the edge where "same" pads an odd number
NOT_IN_H5 = {"RandomBrightness"}  # Keras stops
HAS_NO_NUMBERS_AS_INITIALIZERS = {"moving_variance_initializer"}


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    return oracle("keras")


def is_odd(name: str, options: dict[str, Any]) -> bool:
    """What Keras on PyTorch computes otherwise than elsewhere, or stops at: see conformance/test_keras_layers.py."""
    return (name in ODD and options.get("padding") == "same") or (name, options.get("axis")) == (
        "LayerNormalization",
        1,
    )


def shaken(model: Any) -> Any:
    """The model with weights that no initializer gives."""
    for v in model.variables if isinstance(model, Model) else model.weights:
        if np.dtype(str(v.value.dtype).removeprefix("torch.")).kind == "f":
            v.assign(RANDOM.uniform(0.5, 1.5, tuple(v.shape)).astype(np.float32))
    return model


def theirs_of(keras: ModuleType, options: dict[str, Any]) -> dict[str, Any]:
    """Options for Keras: layers within as its own, and no numbers as initializers."""

    def made(value: Any) -> Any:
        if isinstance(value, dict):
            return getattr(keras.layers, value["class"])(**{k: v for k, v in value.items() if k != "class"})
        return value

    return {key: made(value) for key, value in options.items() if key not in HAS_NO_NUMBERS_AS_INITIALIZERS}


def inputs(name: str, shape: Shape) -> Array:
    return examples(5, shape, name).astype(np.float32)


def their_answer(model: Any, x: Any) -> Any:
    return model.predict(x, verbose=0)


def assert_alike(ours: Any, theirs: Any) -> None:
    ours, theirs = (each if isinstance(each, list) else [each] for each in (ours, theirs))
    assert [a.shape for a in ours] == [a.shape for a in theirs]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **NEAR)


# ── layers ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("name", "options", "shape"), TABLE, ids=IDS)
def test_keras_reads_every_layer(
    name: str, options: dict[str, Any], shape: Shape, tmp_path: Path, keras: ModuleType
) -> None:
    x = inputs(name, shape)
    model = shaken(Sequential([Input(shape), getattr(layers, name)(**options)]))
    model.save(tmp_path / "ours.keras")
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs = keras.models.load_model(tmp_path / "ours.keras")
    if not is_odd(name, options):
        assert_alike(model.predict(x), their_answer(theirs, x))
    theirs.load_weights(tmp_path / "ours.weights.h5")
    again = talweg.load(tmp_path / "ours.keras")
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    assert [each.to_config() for each in again.layers] == [_without_statistics(each) for each in model.layers]


def _without_statistics(layer: Any) -> dict[str, Any]:
    config: dict[str, Any] = layer.to_config()
    if isinstance(layer, layers.Normalization):  # they are weights there
        config = {key: value for key, value in config.items() if key not in ("mean", "variance")}
    return config


@pytest.mark.parametrize(("name", "options", "shape"), TABLE, ids=IDS)
def test_every_layer_of_keras_is_read(
    name: str, options: dict[str, Any], shape: Shape, tmp_path: Path, keras: ModuleType
) -> None:
    x = inputs(name, shape)
    layer = getattr(keras.layers, name)(**theirs_of(keras, options))
    theirs = shaken(keras.Sequential([keras.layers.Input(shape), layer]))
    expected = None if is_odd(name, options) else their_answer(theirs, x)
    for ending in (".keras", ".h5")[: 1 if name in NOT_IN_H5 else 2]:
        theirs.save(tmp_path / f"theirs{ending}")
        model = talweg.load(tmp_path / f"theirs{ending}")
        if expected is not None:
            assert_alike(model.predict(x), expected)
        kept = model.get_weights()
        if ending == ".keras":
            theirs.save_weights(tmp_path / "theirs.weights.h5")
            shaken(model).load_weights(tmp_path / "theirs.weights.h5")
        else:
            shaken(model).load_weights(tmp_path / "theirs.h5")
        for a, b in zip(model.get_weights(), kept, strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_only_talweg_has_is_listed(keras: ModuleType) -> None:
    for kind, (_, table, module) in KINDS.items():
        there: Any = keras
        for part in module.split(".")[1:]:
            there = getattr(there, part)
        lacking = {
            name for name in table if not hasattr(there, name) and table.get(name).__module__.startswith("talweg")
        }
        assert lacking == ONLY_HERE.get(kind, set()), kind

    def is_theirs(name: str) -> bool:
        try:
            return callable(keras.activations.get(name))
        except ValueError:
            return False

    built_in = {n for n in ACTIVATIONS if ACTIVATIONS.get(n).formula.__module__.startswith("talweg")}
    assert {name for name in built_in if not is_theirs(name)} == ONLY_HERE["activation"]


# ── models ────────────────────────────────────────────────────────────────────────────────────────────────


def branching(k: Any) -> Any:
    """Two inputs, a shared layer, a model within, operators with numbers, a mode that is fixed, two outputs."""
    la = k.layers
    x, y, shared = la.Input((4,), name="a"), la.Input((4,), name="b"), la.Dense(3, name="shared")
    encoder = k.Sequential([la.Input((3,)), la.Dense(2), la.BatchNormalization(), la.Dense(2)], name="encoder")
    h = 2.0 * (la.Add()([shared(x), shared(y)]) + 1.0) - 0.5
    e = 1.0 - la.BatchNormalization()(encoder(h), training=False) / 4.0
    c = la.Concatenate()([-e, h * h, h])
    return k.Model({"a": x, "b": y}, [la.Dense(1, name="one")(c), la.Dense(2, name="two")(h)])


def residual(k: Any) -> Any:
    """Pictures, with layers of one class whose order the graph decides."""
    la = k.layers
    x = la.Input((6, 6, 3))
    late = la.Conv2D(4, 3, padding="same")
    h = la.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = la.Add()([la.Conv2D(4, 1)(x), la.BatchNormalization()(late(h))])
    return k.Model(x, la.Dense(3, activation="softmax")(la.GlobalAveragePooling2D()(la.MaxPooling2D()(y))))


def within(k: Any) -> Any:
    """A functional model that is used twice, in a Sequential, in a functional model with a dictionary of outputs."""
    la = k.layers
    i = la.Input((4,))
    block = k.Model(i, la.Add()([i, la.Dense(4, "tanh")(i)]), name="block")
    own = k.Model(i, la.Dense(4, "tanh")(i), name="own")
    stack = k.Sequential([la.Input((4,)), own, la.LayerNormalization()], name="stack")
    x = la.Input((4,), name="x")
    return k.Model(x, {"z": stack(block(block(x))), "a": la.Dense(2)(x)})


def answers_of_several(k: Any) -> Any:
    """A list of one output, a layer that answers several tensors, and a model within that takes two."""
    la = k.layers
    x = la.Input((5, 2))
    h, state = la.GRU(3, return_sequences=True, return_state=True)(x)
    p, q = la.Input((3,)), la.Input((3,))
    inner = k.Model([p, q], la.Dense(2)(la.Multiply()([p, q])))
    return k.Model([x], [inner([state, la.GlobalMaxPooling1D()(h)])])


def frozen(k: Any) -> Any:
    la = k.layers
    base = k.Sequential([la.Input((4,)), la.Dense(3), la.BatchNormalization()], name="base")
    base.trainable = False
    return k.Sequential([la.Input((4,)), base, la.Dense(2)])


MODELS = [branching, residual, within, answers_of_several, frozen]


def batch(model: Any) -> Any:
    """Some data for the model's inputs, by name where they are in a dictionary."""
    data = [RANDOM.normal(size=(3, *x.shape[1:])).astype(np.float32) for x in model.inputs]
    if isinstance(getattr(model, "input", None), dict):
        return dict(zip(sorted(model.input), data, strict=True))
    return data if len(data) > 1 else data[0]


def same_structure(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        ours, theirs = ([each[key] for key in sorted(ours)] for each in (ours, theirs))
    assert_alike(ours, theirs)


@pytest.mark.parametrize("build", MODELS)
def test_keras_reads_models(build: Any, tmp_path: Path, keras: ModuleType) -> None:
    model = shaken(build(talweg))
    model.save(tmp_path / "ours.keras")
    theirs, again, x = (
        keras.models.load_model(tmp_path / "ours.keras"),
        talweg.load(tmp_path / "ours.keras"),
        batch(model),
    )
    same_structure(model.predict(x), their_answer(theirs, x))
    same_structure(model.predict(x), again.predict(x))
    assert len(theirs.trainable_weights) == len(model.trainable_variables)
    assert len(again.trainable_variables) == len(model.trainable_variables)
    theirs.save(tmp_path / "back.keras")
    same_structure(model.predict(x), talweg.load(tmp_path / "back.keras").predict(x))


@pytest.mark.parametrize("build", MODELS)
def test_models_of_keras_are_read(build: Any, tmp_path: Path, keras: ModuleType) -> None:
    theirs = shaken(build(keras))
    x = batch(theirs)
    theirs.save(tmp_path / "theirs.keras")
    theirs.save(tmp_path / "theirs.h5")
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    model = talweg.load(tmp_path / "theirs.keras")
    expected = their_answer(theirs, x)
    same_structure(model.predict(x), expected)
    for name in ("theirs.h5", "theirs.weights.h5", "theirs.keras"):
        for other in (model, build(talweg)):
            shaken(other).load_weights(tmp_path / name)
            same_structure(other.predict(x), expected)
    same_structure(talweg.load(tmp_path / "theirs.h5").predict(x), expected)


def test_a_layer_that_stands_in_two_models_within_is_one(tmp_path: Path, keras: ModuleType) -> None:
    shared = layers.Dense(4, name="shared")
    first = Sequential([Input((4,)), shared], name="first")
    second = Sequential([Input((4,)), shared, layers.Dense(4)], name="second")
    x = Input((4,))
    model = shaken(Model(x, second(first(x))))
    model.save(tmp_path / "ours.keras")
    theirs, data = keras.models.load_model(tmp_path / "ours.keras"), batch(model)
    assert_alike(model.predict(data), their_answer(theirs, data))
    assert len(theirs.weights) == len(talweg.load(tmp_path / "ours.keras").variables) == 4
    theirs.save(tmp_path / "theirs.keras")  # leaves out which layer stands there twice: Keras cannot read it again
    assert_alike(talweg.load(tmp_path / "theirs.keras").predict(data), their_answer(theirs, data))


def test_float64_stays_float64(tmp_path: Path, keras: ModuleType) -> None:
    model = Sequential([Input((3,)), layers.Dense(2, "tanh")])
    model.compile("sgd", "mse", precision="float64")
    model.save(tmp_path / "ours.keras")
    theirs, again = keras.models.load_model(tmp_path / "ours.keras"), talweg.load(tmp_path / "ours.keras")
    x = batch(model)
    assert theirs.weights[0].dtype == again.variables[0].value.dtype.name == again.precision == "float64"
    np.testing.assert_array_equal(model.predict(x), again.predict(x))


def test_a_mode_is_fixed_where_someone_fixed_it(tmp_path: Path, keras: ModuleType) -> None:
    """Keras writes training=False of every layer that asks for the mode, and trains it all the same."""
    for k, fixed, after in ((keras, {}, None), (talweg, {}, None), (talweg, {"training": False}, False)):
        x = k.layers.Input((4,))
        k.Model(x, k.layers.Dropout(0.5)(k.layers.Dense(3)(x), **fixed)).save(tmp_path / "m.keras")
        assert [call.training for call in talweg.load(tmp_path / "m.keras").network.calls] == [None, after]


def test_equal_models_make_equal_files(tmp_path: Path) -> None:
    for name in ("a.keras", "b.keras"):
        Sequential([Input((3,)), layers.Dense(2)], seed=1).save(tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


# ── how it was compiled ───────────────────────────────────────────────────────────────────────────────────

OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.02, "momentum": 0.9, "nesterov": True, "clipnorm": 1.0}),
    ("RMSprop", {"rho": 0.8, "centered": True}),
    ("AdamW", {"weight_decay": 0.01, "use_ema": True}),
    ("Adam", {"amsgrad": True, "global_clipnorm": 2.0, "gradient_accumulation_steps": 2}),
]
SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 3, "decay_rate": 0.5}),
    ("PiecewiseConstantDecay", {"boundaries": [2, 4], "values": [0.1, 0.01, 0.001]}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 7, "warmup_target": 0.2, "warmup_steps": 2}),
]
LOSSES = [
    "mse",
    ("BinaryCrossentropy", {"label_smoothing": 0.1}),
    ("Huber", {"reduction": "sum"}),
]
METRICS = ["mae", ("Precision", {"thresholds": 0.6}), ("AUC", {"num_thresholds": 20})]


def made(module: Any, told: Any) -> Any:
    return told if isinstance(told, str) else getattr(module, told[0])(**told[1])


def compiled(k: Any, optimizer: Any, loss: Any) -> Any:
    schedules = k.schedules if k is talweg else k.optimizers.schedules
    rule = dict(optimizer[1])
    if isinstance(rule.get("learning_rate"), tuple):
        rule["learning_rate"] = made(schedules, rule["learning_rate"])
    model = k.Sequential([k.layers.Input((3,)), k.layers.Dense(1, "sigmoid")])
    model.compile(
        made(k.optimizers, (optimizer[0], rule)), made(k.losses, loss), metrics=[made(k.metrics, m) for m in METRICS]
    )
    return model


COMPILED = [
    *((optimizer, "mse") for optimizer in OPTIMIZERS),
    *((("SGD", {"learning_rate": schedule}), "mse") for schedule in SCHEDULES),
    *((OPTIMIZERS[0], loss) for loss in LOSSES),
]


@pytest.mark.parametrize(("optimizer", "loss"), COMPILED)
def test_training_begins_alike(optimizer: Any, loss: Any, tmp_path: Path, keras: ModuleType) -> None:
    """What was compiled is understood on both sides: the same steps follow on the same data."""
    x, y = RANDOM.normal(size=(24, 3)).astype(np.float32), RANDOM.integers(0, 2, (24, 1)).astype(np.float32)
    ours, theirs = compiled(talweg, optimizer, loss), compiled(keras, optimizer, loss)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    theirs.save(tmp_path / "theirs.h5")
    old = talweg.load(tmp_path / "theirs.h5")
    assert old.optimizer.to_config() == talweg.load(tmp_path / "theirs.keras").optimizer.to_config()
    assert old.loss.to_config() == talweg.load(tmp_path / "theirs.keras").loss.to_config()
    assert old.metrics_names == talweg.load(tmp_path / "theirs.keras").metrics_names
    for one, other in (
        (ours, keras.models.load_model(tmp_path / "ours.keras")),
        (talweg.load(tmp_path / "theirs.keras"), theirs),
    ):
        for model in (one, other):
            model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        assert_alike(one.predict(x), their_answer(other, x))
        found, expected = (
            one.evaluate(x, y, verbose=0, return_dict=True),
            other.evaluate(x, y, verbose=0, return_dict=True),
        )
        assert list(found) == list(expected)
        np.testing.assert_allclose([found[name] for name in expected], list(expected.values()), 1e-4, 1e-5)


REMEMBERING = [
    *OPTIMIZERS,
    *((name, {}) for name in KINDS["optimizer"][1] if name not in ONLY_HERE["optimizer"]),
    ("RMSprop", {"momentum": 0.5, "centered": True, "use_ema": True}),
    ("AdamW", {"amsgrad": True, "use_ema": True, "gradient_accumulation_steps": 2}),
    ("Nadam", {"gradient_accumulation_steps": 2}),
    ("Adam", {"learning_rate": SCHEDULES[0]}),
]


def branched(k: Any, optimizer: Any) -> Any:
    """Matrices and vectors, in a model within and beside it, and a layer that is not trained."""
    la, (name, options) = k.layers, optimizer
    x, still = la.Input((3,)), la.Dense(4, trainable=False)
    within = k.Sequential([la.Input((4,)), la.BatchNormalization(), la.Dense(4), still])
    h = la.Add()([within(la.Dense(4, activation="tanh")(x)), la.Dense(4)(x)])
    model, options = k.Model(x, la.Dense(1)(h)), dict(options)
    if isinstance(rate := options.get("learning_rate"), tuple):
        options["learning_rate"] = made(k.schedules if k is talweg else k.optimizers.schedules, rate)
    model.compile(getattr(k.optimizers, name)(**options), "mse")
    return model


@pytest.mark.parametrize("optimizer", REMEMBERING, ids=str)
def test_training_goes_on_where_it_ended(optimizer: Any, tmp_path: Path, keras: ModuleType) -> None:
    """Three steps, a file, three more: on the other side, and there and back, they lead where these do."""
    x, y = RANDOM.normal(size=(6, 8, 3)).astype(np.float32), RANDOM.normal(size=(6, 8, 1)).astype(np.float32)
    loads = {talweg: talweg.load, keras: keras.models.load_model}
    for one, other in ((talweg, keras), (keras, talweg)):
        model = branched(one, optimizer)
        for i in range(3):
            model.train_on_batch(x[i], y[i])
        model.save(tmp_path / "model.keras")
        there = loads[other](tmp_path / "model.keras")
        there.save(tmp_path / "back.keras")
        again = loads[one](tmp_path / "back.keras")
        for i in range(3, 6):
            for each in (model, there, again):
                each.train_on_batch(x[i], y[i])
        expected = their_answer(model, x[0])
        np.testing.assert_allclose(their_answer(there, x[0]), expected, 1e-5, 2e-6)
        np.testing.assert_array_equal(their_answer(again, x[0]), expected)


def test_an_optimizer_that_did_nothing_yet_is_a_fresh_one(tmp_path: Path, keras: ModuleType) -> None:
    branched(keras, ("Adam", {})).save(tmp_path / "theirs.keras")  # it holds no moments
    assert talweg.load(tmp_path / "theirs.keras").iterations == 0
    branched(talweg, ("Adam", {})).save(tmp_path / "ours.keras")
    theirs = keras.models.load_model(tmp_path / "ours.keras").optimizer
    assert int(theirs.iterations) == 0 and len(theirs.variables) == 2 + 2 * 10


def test_losses_of_several_outputs(tmp_path: Path, keras: ModuleType) -> None:
    ours, theirs = branching(talweg), branching(keras)
    told = {"loss": {"one": "mse", "two": "mae"}, "loss_weights": {"one": 1.0, "two": 2.0}, "metrics": {"one": ["mae"]}}
    for model in (ours, theirs):
        model.compile("sgd", **told)
    ours.save(tmp_path / "ours.keras")
    theirs.save(tmp_path / "theirs.keras")
    x, y = batch(ours), [RANDOM.normal(size=(3, n)).astype(np.float32) for n in (1, 2)]
    for one, other in (
        (ours, keras.models.load_model(tmp_path / "ours.keras")),
        (talweg.load(tmp_path / "theirs.keras"), theirs),
    ):
        found, expected = (
            one.evaluate(x, y, verbose=0, return_dict=True),
            other.evaluate(x, y, verbose=0, return_dict=True),
        )
        assert set(found) == set(expected)
        np.testing.assert_allclose([found[name] for name in expected], list(expected.values()), 1e-5)


def test_keras_takes_the_options_of_every_optimizer(tmp_path: Path, keras: ModuleType) -> None:
    for name in KINDS["optimizer"][1]:
        model = Sequential([Input((3,)), layers.Dense(2)])
        model.compile(getattr(talweg.optimizers, name)(), "mse")
        if name in ONLY_HERE["optimizer"]:
            with pytest.raises(
                talweg.errors.UsageError,
                match=f"{name}: Keras has no such optimizer; save with include_optimizer=False",
            ):
                model.save(tmp_path / "ours.keras")
            model.save(tmp_path / "ours.keras", include_optimizer=False)
        else:
            model.save(tmp_path / "ours.keras")
            assert type(keras.models.load_model(tmp_path / "ours.keras").optimizer).__name__ == name
