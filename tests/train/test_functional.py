"""`Model(inputs, outputs)`: what may be said with it, what is shared, what is refused, and what files hold."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import talweg
from talweg import Input, Model, Sequential
from talweg.data import Dataset
from talweg.errors import CorruptFileError, DataError, ShapeError, TalwegError, UsageError
from talweg.nn.layers import Add, BatchNormalization, Concatenate, Dense, Dropout, KerasTensor
from talweg.train import saved

random = np.random.default_rng(0)
A, B = random.normal(size=(24, 4)), random.normal(size=(24, 3))
Y, C = A[:, :1] + 1, (B[:, 0] > 0).astype(int)
LOSSES = ["mse", "sparse_categorical_crossentropy"]


def two_by_two(seed: int = 0, **compiled: Any) -> Model:
    a, b = Input((4,), name="a"), Input((3,), name="b")
    h = Concatenate()([Dense(4, "tanh")(a), b])
    model = Model([a, b], [Dense(1, name="number")(h), Dense(2, "softmax", name="kind")(h)], seed=seed)
    model.compile(**{"optimizer": "adam", "loss": LOSSES} | compiled)
    return model


def bits(model: Model) -> list[bytes]:
    return [w.tobytes() for w in model.get_weights()]


# ── what is what ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_model_says_of_itself() -> None:
    model = two_by_two()
    assert model.input_names == ["a", "b"] and model.output_names == ["number", "kind"]
    assert model.input_shape == [(None, 4), (None, 3)] and model.output_shape == [(None, 1), (None, 2)]
    assert [layer.name for layer in model.layers] == ["a", "dense", "b", "concatenate", "number", "kind"]
    assert model.get_layer("dense").output is model.get_layer("concatenate").input[0]
    assert all(isinstance(x, KerasTensor) for x in (*model.inputs, *model.outputs))
    assert [x.shape for x in model.input] == [(None, 4), (None, 3)]
    assert next(iter(model.named_variables)) == "dense/kernel"
    assert repr(model.output[0]).startswith("<KerasTensor shape=(")
    assert model.metrics_names == ["loss", "number_loss", "kind_loss"]


def test_the_seed_makes_the_weights_and_the_training() -> None:
    a, b, c = (two_by_two(seed) for seed in (1, 1, 2))
    assert bits(a) == bits(b) != bits(c)
    for model in (a, b):
        model.fit([A, B], [Y, C], epochs=2, verbose=0)
    assert bits(a) == bits(b)


def test_a_chain_is_the_same_in_both_forms() -> None:
    x = Input((4,))
    h = Dropout(0.3)(Dense(6, "relu")(x))
    functional = Model(x, Dense(1)(h), seed=5)
    stacked = Sequential([Input((4,)), Dense(6, "relu"), Dropout(0.3), Dense(1)], seed=5)
    assert list(functional.named_variables) == list(stacked.named_variables) and bits(functional) == bits(stacked)
    for model in (functional, stacked):
        model.compile("adam", "mse")
        model.fit(A, Y, epochs=3, verbose=0)
    assert bits(functional) == bits(stacked)


def test_weights_of_a_layer_that_is_in_no_model_yet() -> None:
    layer = Dense(2)
    y = layer(Input((3,)))
    layer.set_weights([np.ones((3, 2)), np.zeros(2)])
    model = Model(y.call.inputs, y)
    assert model.predict(np.ones((1, 3))).tolist() == [[3.0, 3.0]]
    talweg.set_random_seed(3)
    other = Dense(2)
    other(Input((3,)))
    assert other.get_weights()[0].any() and other.built


def test_a_long_chain_is_no_deep_recursion() -> None:
    x = y = Input((1,))
    for _ in range(1500):
        y = y + 1.0
    assert Model(x, y).predict([0.0])[0, 0] == 1500


# ── data in all forms ─────────────────────────────────────────────────────────────────────────────────────


def test_data_in_lists_dictionaries_and_streams() -> None:
    forms = [
        ([A, B], [Y, C]),
        ((A, B), (Y, C)),
        ({"b": B, "a": A, "unused": B}, {"kind": C, "number": Y}),
        ([A.tolist(), B.tolist()], [Y.tolist(), C.tolist()]),
    ]
    found = []
    for x, y in forms:
        model = two_by_two()
        model.fit(x, y, shuffle=False, verbose=0, batch_size=8)
        found.append(bits(model))
    (x, y), cuts = forms[0], [slice(i, i + 8) for i in (0, 8, 16)]
    streams = [
        Dataset.from_tensor_slices((tuple(x), tuple(y))).batch(8),
        iter([((A[i], B[i]), (Y[i], C[i])) for i in cuts]),
        iter([({"a": A[i], "b": B[i]}, {"number": Y[i], "kind": C[i]}) for i in cuts]),
    ]
    for stream in streams:
        model = two_by_two()
        model.fit(stream, verbose=0)
        found.append(bits(model))
    assert all(each == found[0] for each in found)
    dictionaries = Dataset.from_tensor_slices(({"a": A, "b": B}, {"number": Y, "kind": C})).batch(8)
    assert [p.shape for p in two_by_two().predict(dictionaries)] == [(24, 1), (24, 2)]


def test_one_input_in_a_list_or_a_dictionary() -> None:
    model = Sequential([Input((4,), name="a"), Dense(1)], seed=0)
    expected = model.predict(A)
    for x in ([A], {"a": A}, (A,)):
        assert (model.predict(x) == expected).all()
    np.testing.assert_allclose(model.predict([A[0]]), expected[:1], rtol=1e-5)  # one example


def test_answers_have_the_form_of_the_outputs() -> None:
    x = Input((4,))
    p, q = Dense(1)(x), Dense(2)(x)
    assert isinstance(Model(x, p).predict(A), np.ndarray)
    assert [each.shape for each in Model(x, [p, q]).predict(A)] == [(24, 1), (24, 2)]
    named = Model(x, {"q": q, "p": p}).predict(A)
    assert list(named) == ["q", "p"] and named["q"].shape == (24, 2)


def test_one_batch_at_a_time() -> None:
    model = two_by_two(metrics={"kind": "accuracy"})
    logs = model.train_on_batch([A, B], [Y, C], return_dict=True)
    assert set(logs) == {"loss", "number_loss", "kind_loss", "kind_accuracy"}
    assert logs["loss"] == pytest.approx(logs["number_loss"] + logs["kind_loss"], rel=1e-5)
    assert len(model.test_on_batch([A, B], [Y, C])) == 4 and len(model.predict_on_batch([A, B])) == 2
    assert model.test_on_batch([A, B], [Y, C]) == model.evaluate([A, B], [Y, C], batch_size=24, verbose=0)


def test_callbacks_watch_one_output() -> None:
    model = two_by_two(metrics={"number": [talweg.metrics.MeanAbsoluteError(name="far")]})
    stop = talweg.callbacks.EarlyStopping("number_loss", patience=1)
    model.fit([A, B], [Y, C], epochs=2, verbose=0, callbacks=[stop, talweg.callbacks.ReduceLROnPlateau("kind_loss")])
    model.fit([A, B], [Y, C], verbose=0, callbacks=[talweg.callbacks.EarlyStopping("number_far")])
    assert "number_far" in model.history.history


# ── sharing ───────────────────────────────────────────────────────────────────────────────────────────────


def test_models_of_one_layer_train_each_other() -> None:
    x = Input((4,))
    code = Dense(2, name="code")(x)
    encoder, whole = Model(x, code, name="encoder"), Model(x, Dense(4)(code))
    decoder_input = Input((2,))
    decoder = Model(decoder_input, whole.layers[-1](decoder_input))
    before = encoder.predict(A)
    whole.compile("adam", "mse")
    whole.fit(A, A, epochs=2, verbose=0)
    after = encoder.predict(A)
    assert np.abs(before - after).max() > 0
    np.testing.assert_allclose(decoder.predict(after), whole.predict(A), rtol=1e-5, atol=1e-6)
    assert encoder.get_layer("code") is whole.get_layer("code")


def test_models_within_models_have_names_of_their_own() -> None:
    def make() -> Sequential:
        return Sequential([Dense(3, input_shape=(4,))], seed=1)

    a, b = make(), make()
    x = Input((4,))
    model = Model(x, Add()([a(x), b(x)]))
    assert [layer.name for layer in model.layers] == ["input_layer", "sequential", "sequential_1", "add"]
    assert list(model.named_variables)[::2] == ["sequential/dense/kernel", "sequential_1/dense/kernel"]
    assert list(a.named_variables) == ["dense/kernel", "dense/bias"]
    np.testing.assert_allclose(model.predict(A), 2 * a.predict(A), rtol=1e-6)


def test_adversaries_are_frozen_in_turn() -> None:
    judge = Sequential([Dense(3, "relu", input_shape=(2,)), Dense(1, "sigmoid")], name="judge", seed=0)
    judge.compile("adam", "binary_crossentropy")
    maker = Sequential([Dense(2, input_shape=(4,))], name="maker", seed=1)
    judge.trainable = False
    noise = Input((4,))
    both = Model(noise, judge(maker(noise)))
    both.compile("adam", "binary_crossentropy")
    judged, made = bits(judge), bits(maker)
    both.train_on_batch(A, np.ones((24, 1)))
    assert bits(judge) == judged and bits(maker) != made
    assert len(both.trainable_variables) == 2 and len(both.non_trainable_variables) == 4
    judge.trainable = True
    judge.train_on_batch(maker.predict(A), np.zeros((24, 1)))
    assert bits(judge) != judged


def test_a_fixed_mode_stays_also_in_training() -> None:
    x = Input((4,))
    moving = BatchNormalization(momentum=0.5)
    model = Model(x, Dense(1)(Dropout(0.9)(moving(x, training=False), training=False)))
    model.compile("adam", "mse")
    before = [w.copy() for w in moving.get_weights()[2:]]
    loss = model.train_on_batch(A, Y)
    assert all((a == b).all() for a, b in zip(before, moving.get_weights()[2:], strict=True)) and loss > 0


def test_each_use_of_a_layer_can_be_looked_at() -> None:
    x, dense = Input((4,)), Dense(4, "tanh")
    model = Model(x, dense(dense(x)))
    program = model.program("predict")
    engine = talweg.engines.Reference()
    values = engine.trace(program, {"x": A}, {v.name: v.numpy() for v in model.variables})
    assert {"dense/output", "dense:2/output"} <= set(values)
    first = Model(x, dense.output)
    np.testing.assert_allclose(values["dense/output"], first.predict(A), rtol=1e-5)


def test_a_picture_of_the_first_weights() -> None:
    pytest.importorskip("matplotlib")
    from talweg.insight.plots import first_layer_weights

    within = Sequential([Sequential([Dense(2, input_shape=(4,))])])
    titles = [first_layer_weights(model).axes[0].get_title() for model in (two_by_two(), within)]
    assert titles == ["Weights of layer dense", "Weights of layer sequential"]


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_layer_in_two_places_stays_one(tmp_path: Path) -> None:
    x, inner = Input((4,)), Input((4,))
    layer = Dense(4, name="one")
    within = Model(inner, layer(inner), name="within")
    model = Model(x, Add()([within(x), layer(x)]))
    model.compile("sgd", "mse")
    model.save(tmp_path / "m")
    again = talweg.load(tmp_path / "m")
    assert again.count_params() == 20 and list(again.named_variables) == ["within/one/kernel", "within/one/bias"]
    assert again.get_layer("within").get_layer("one") is again.get_layer("one")
    again.train_on_batch(A, A)
    model.train_on_batch(A, A)
    assert bits(model) == bits(again)


def test_weights_alone(tmp_path: Path) -> None:
    a, b = two_by_two(1), two_by_two(2)
    a.save_weights(tmp_path / "w.safetensors")
    b.load_weights(tmp_path / "w.safetensors")
    assert bits(a) == bits(b)
    fresh = saved.untrained(_written(tmp_path / "bare.json", a.get_config()), seed=1)
    assert bits(fresh) == bits(two_by_two(1))


def _written(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def test_an_interrupted_fit_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    data = {"x": [A, B], "y": [Y, C], "batch_size": 5, "verbose": 0}
    whole, first = two_by_two(), two_by_two()
    whole.fit(**data, epochs=4)
    first.fit(**data, epochs=2)
    first.save(tmp_path / "half")
    second = talweg.load(tmp_path / "half")
    second.fit(**data, epochs=2)
    assert bits(second) == bits(whole) and second.iterations == whole.iterations


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["calls"][0].update(inputs=["nobody", 0, 0]),
        lambda c: c["calls"][0].update(inputs=["a", 0, 5]),
        lambda c: c["calls"][0].update(inputs=7),
        lambda c: c["calls"][0].update(layer="nobody"),
        lambda c: c["calls"].pop(),
        lambda c: c.update(outputs=[]),
        lambda c: c.update(inputs=[["a", 0, 0]]),
        lambda c: c.pop("calls"),
        lambda c: c["layers"][1].update(units=10**4),
        lambda c: c["layers"].append({"shared": "nobody"}),
        lambda c: c["layers"][0].update(shape=[9]),
    ],
)
def test_a_garbled_architecture_is_the_file_s_fault(change: Callable[[Any], Any], tmp_path: Path) -> None:
    from talweg.train.tensors import TensorFile, write_tensors

    two_by_two().save(tmp_path / "m.safetensors")
    file = TensorFile(tmp_path / "m.safetensors")
    document, arrays = json.loads(file.metadata["model"]), file.read()
    change(document["architecture"])
    write_tensors(tmp_path / "m.safetensors", arrays, {"model": json.dumps(document)})
    with pytest.raises(CorruptFileError, match=r"m\.safetensors"):
        talweg.load(tmp_path / "m.safetensors")


def test_a_run_folder_holds_a_network_that_branches(tmp_path: Path) -> None:
    from talweg.train.experiment import Experiment, Wishes
    from talweg.train.prepared import Source

    x = Input((4,))
    h = Dense(6, "relu")(x)
    model = Model(x, Dense(3, "softmax")(Concatenate()([x, h])), name="skip")
    path = _written(tmp_path / "skip.json", model.get_config())
    run = Experiment.begin(Wishes(Source("iris"), str(path), epochs=2), tmp_path / "run")
    run.train()
    again = Experiment.resume(tmp_path / "run", epochs=4)
    again.train()
    assert again.finished and len(again.model.layers) == 4
    result, predictions = again.finish()
    assert result["epochs"] == 4 and predictions.shape[1] == 3
    assert talweg.load(tmp_path / "run").count_params() == model.count_params()


# ── what is refused ───────────────────────────────────────────────────────────────────────────────────────

X = Input((3,), name="x")


def compiled(**how: Any) -> Callable[[], Any]:
    return lambda: two_by_two(**how)


def fitted(x: Any, y: Any, **how: Any) -> Callable[[], Any]:
    return lambda: two_by_two().fit(x, y, verbose=0, **how)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: Model(), "Model needs inputs and outputs"),
        (lambda: Model(Input((3,)), Dense(1)), "outputs must be what Input"),
        (lambda: Model((3,), Dense(1)(X)), "inputs must be what Input"),
        (lambda: Model(Input((4,)), Dense(1)(X)), "which is not among the inputs"),
        (lambda: Model([X, X], Dense(1)(X)), "stands there twice"),
        (lambda: Model(X, Dense(1, name="d")(Dense(3, name="d")(X))), "two layers are called 'd'"),
        (lambda: Model(X, Dense(1, name="a/b")(X)), "'a/b'"),
        (lambda: Input(), "Input needs a shape"),
        (lambda: Input((3,), dtype="text"), "'text'"),
        (lambda: Dense(1)(np.ones((2, 3))), "Numbers go through a model"),
        (lambda: Dense(1)(X, training=True), "training=True"),
        (lambda: Dense(1)(X, mask=X), "a mask cannot be given by hand"),
        (lambda: X / X, "divided"),
        (lambda: [*X], "iterated"),
        (lambda: bool(X), "no value yet"),
        (lambda: np.asarray(X), "no value yet"),
        (lambda: Dense(1).output, "was not called yet"),
        (lambda: two_by_two()(X), "takes 2 inputs, a, b; got 1"),
        (lambda: two_by_two()([X, X]), r"\[4\] and \[3\]; got \[3\] and \[3\]"),
        (lambda: Sequential([two_by_two()]), "has one input; 'model', its first layer, has 2"),
        (lambda: Sequential([Input((3,)), two_by_two()]), "one input"),
        (lambda: Sequential([Dense(1)(X)]), "For layers that branch there is Model"),
        (lambda: Dense(2)(Input(())), "layer 'Dense': Dense needs examples"),
        (compiled(loss=["mse"]), "2 outputs, number, kind: loss must be a list of 2"),
        (compiled(loss={"other": "mse"}), "loss names an output 'other'; the model's outputs are number, kind"),
        (compiled(loss=[None, None]), "needs one loss"),
        (compiled(metrics=["accuracy"]), "metrics must be a list of 2"),
        (compiled(metrics={"other": "mae"}), "metrics names an output 'other'"),
        (compiled(loss_weights=[1.0]), "loss_weights must be a list of 2"),
        (compiled(loss_weights=["a", 1]), "loss_weights"),
        (fitted(A, [Y, C]), "2 inputs, a, b: x must be a list of 2"),
        (fitted([A], [Y, C]), "x must be a list of 2"),
        (fitted({"a": A}, [Y, C]), "no entry for input 'b'"),
        (fitted([A, B[:5]], [Y, C]), r"x\['a'\] has 24 examples and x\['b'\] has 5"),
        (fitted([A, A], [Y, C]), r"x\['b'\] has shape \[24, 4\].*input 'b' takes examples of shape \[3\]"),
        (fitted([A, B], Y), "2 outputs, number, kind: y must be a list of 2"),
        (fitted([A, B], [Y, C + 5]), r"y\['kind'\] goes from 5 to 6"),
        (fitted([A, B], [Y[:3], C]), r"y\['number'\] has 3"),
        (fitted([A, B], [Y, C], class_weight={0: 2.0}), "class_weight is for models with one output"),
        (fitted([A, B], [Y, C], sample_weight={"other": Y}), "sample_weight names an output 'other'"),
        (fitted([A, B], [Y, C], sample_weight=[Y[:, 0]]), "sample_weight must be a list of 2"),
    ],
)
def test_wrong_use(act: Callable[[], Any], said: str) -> None:
    with pytest.raises((TalwegError, ValueError), match=said) as caught:
        act()
    assert isinstance(caught.value, TalwegError) and len(str(caught.value)) < 400


def test_a_model_within_another_stays_as_it_is() -> None:
    inner = Sequential([Dense(3, input_shape=(3,))])
    inner(X)
    for change in (lambda: inner.add(Dense(1)), inner.pop):
        with pytest.raises(UsageError, match="is a layer of another model"):
            change()


def test_a_call_that_fails_leaves_no_trace() -> None:
    layer = Dense(2)
    with pytest.raises(ShapeError, match="Dense needs examples with at least one axis"):
        layer(Input(()))
    assert not layer.calls and not layer.variables
    layer(X)
    with pytest.raises(ShapeError, match=r"Dense.*built with kernel of shape \[3, 2\]"):
        layer(Input((5,)))
    assert len(layer.calls) == 1


def test_rows_of_a_stream_have_one_form() -> None:
    batches = [((A[:5], B[:5]), (Y[:5], C[:5])), ((A[:5], B[:5]), (Y[:5], C[:5]), ([np.ones(5), None]))]
    with pytest.raises(DataError, match="it has sample_weight/number: True"):
        two_by_two().fit(iter(batches), verbose=0)


def test_a_list_of_one_is_that_one() -> None:
    """Keras's models answer so, and stand at the beginning of a Sequential."""
    x = Input((2,))
    model = Model([x], [Dense(3)(x)], seed=0)
    assert (model.predict(np.zeros((4, 2))).shape, model.input_shape, model.output_shape) == (
        (4, 3),
        (None, 2),
        (None, 3),
    )
    assert [a.shape for a in Model(x, [[Dense(3)(x)]]).predict(np.zeros((4, 2)))] == [(4, 3)]
    for first in (model, Model({"a": x}, Dense(3)(x))):
        assert Sequential([first, Dense(1)]).predict(np.zeros((4, 2))).shape == (4, 1)
