"""Saved models: what is loaded is what was saved, and no file can make loading do anything but load or refuse."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talweg.data import files
from talweg.errors import (
    BudgetError,
    CorruptFileError,
    ShapeError,
    TalwegError,
    UnknownNameError,
    UsageError,
    VersionError,
)
from talweg.graph import mean, square
from talweg.nn.layers import Dense, Dropout, Flatten, Input, Layer, Normalization, Rescaling
from talweg.nn.metrics import Precision, Recall
from talweg.optim import Adam
from talweg.optim.schedules import ExponentialDecay
from talweg.train import saved
from talweg.train.saved import load
from talweg.train.sequential import Sequential
from talweg.train.tensors import TensorFile, write_tensors

RANDOM = np.random.default_rng(7)
X = RANDOM.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int64)


def make(optimizer: Any = "adam", precision: str = "float32", **options: Any) -> Sequential:
    layers = [
        Input((4,)),
        Dense(6, activation="relu", kernel_regularizer="l2"),
        Dropout(0.3),
        Dense(2, activation="softmax"),
    ]
    model = Sequential(layers, seed=3)
    model.compile(
        optimizer,
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        engine="reference",
        precision=precision,
        **options,
    )
    return model


def same_bits(a: Sequential, b: Sequential) -> bool:
    pairs = zip(a.get_weights(), b.get_weights(), strict=True)
    return all(u.dtype == v.dtype and u.tobytes() == v.tobytes() for u, v in pairs)


# ── there and back ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["model", "model.safetensors", "deep/er/model.safetensors"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer", ["sgd", "adam", "rmsprop", Adam(ExponentialDecay(0.01, 5, 0.9), amsgrad=True, clipnorm=1.0)]
)
def test_training_goes_on_as_if_unbroken(tmp_path: Path, name: str, precision: str, optimizer: Any) -> None:
    unbroken = make(optimizer, precision)
    unbroken.fit(X, Y, epochs=4, batch_size=7, verbose=0)
    first = make(optimizer, precision)
    first.fit(X, Y, epochs=2, batch_size=7, verbose=0)
    first.save(tmp_path / name)
    second = load(tmp_path / name, engine="reference")
    assert same_bits(first, second)
    assert second.epochs_trained == 2
    second.fit(X, Y, epochs=2, batch_size=7, verbose=0)
    assert same_bits(unbroken, second)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model = Sequential(
        [Input((2, 2)), Rescaling([0.5, 2.0], 1.0), Flatten(), Normalization(), Dense(3)], name="mine", seed=9
    )
    model.layers[2].adapt(RANDOM.normal(size=(20, 4)))
    model.class_names, model.preprocessing = ["a", "b", "ç"], {"kind": "images", "value_range": [0, 16]}
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert (again.name, again.seed, again.class_names) == ("mine", 9, ["a", "b", "ç"])
    assert again.preprocessing == model.preprocessing
    assert again.get_config() == model.get_config()
    assert not again.compiled
    x = RANDOM.normal(size=(5, 2, 2))
    assert np.array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    for name in ("a", "b"):
        model.save(tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_model_is_saved_while_it_trains(tmp_path: Path) -> None:
    from talweg.train.callbacks.base import Callback

    class Saver(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.save(tmp_path / "after-2")

    unbroken = make()
    unbroken.fit(X, Y, epochs=5, verbose=0, callbacks=[Saver()])
    again = load(tmp_path / "after-2", engine="reference")
    assert again.epochs_trained == 2
    again.fit(X, Y, epochs=3, verbose=0)
    assert same_bits(unbroken, again)


def test_a_layer_at_two_places_stays_one(tmp_path: Path) -> None:
    shared = Dense(4, name="shared")
    model = Sequential([Input((4,)), shared, shared, Dense(1)], seed=0)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.layers[0] is again.layers[1]
    assert np.array_equal(model.predict(X, verbose=0), again.predict(X, verbose=0))


def test_without_the_optimizer(tmp_path: Path) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m", include_optimizer=False)
    assert not any(name.startswith("optimizer") for name in TensorFile(tmp_path / "m" / "model.safetensors").shapes)
    assert not load(tmp_path / "m").compiled
    model.save(tmp_path / "m")
    assert load(tmp_path / "m").compiled and not load(tmp_path / "m", compile=False).compiled


def test_what_is_measured_comes_back(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), Dense(1, activation="sigmoid")], seed=0)
    model.compile("sgd", "mse", metrics=["accuracy", Precision()], weighted_metrics=[Recall(0.3), "mae"])
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.metrics_names == model.metrics_names
    assert again.weighted_metrics[0].thresholds == 0.3
    weight = np.linspace(0, 2, len(X))
    asked = {"sample_weight": weight, "verbose": 0, "return_dict": True}
    assert again.evaluate(X, Y, **asked) == model.evaluate(X, Y, **asked)


def test_weights_alone(tmp_path: Path) -> None:
    model, other = make(), make()
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "w.safetensors")
    other.load_weights(tmp_path / "w.safetensors")
    assert same_bits(model, other)
    model.save(tmp_path / "whole")
    third = make()
    third.load_weights(tmp_path / "whole")
    assert same_bits(model, third)
    with pytest.raises(UsageError, match="load_weights"):
        load(tmp_path / "w.safetensors")


def test_the_format_is_that_of_the_safetensors_library(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    model, other = make(), make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.safetensors")
    theirs = load_file(tmp_path / "m.safetensors")
    assert all(np.array_equal(theirs[v.name], v.numpy()) for v in model.variables)
    save_file({v.name: v.numpy() for v in model.variables}, tmp_path / "theirs.safetensors")
    other.load_weights(tmp_path / "theirs.safetensors")
    assert same_bits(model, other)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", ">f4"])
def test_every_type_of_number(tmp_path: Path, dtype: str) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3).astype(dtype), "none": np.zeros((0, 2), dtype), "one": np.ones((), dtype)}
    write_tensors(tmp_path / "t", arrays, {})
    read = TensorFile(tmp_path / "t").read()
    assert all(np.array_equal(read[k], v) and read[k].shape == v.shape for k, v in arrays.items())


# ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["m.onnx", "m.pt", "m.tflite", "m.pkl", "m.json"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.safetensors"):
        make().save(tmp_path / name)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(UsageError, match=r"\.safetensors"):
        load(tmp_path / name)
    with pytest.raises(UsageError, match=r"\.safetensors"):
        make().load_weights(tmp_path / name)
    with pytest.raises(UsageError, match=r"\.safetensors"):
        make().save_weights(tmp_path / "folder")


def test_what_has_no_name_cannot_be_saved(tmp_path: Path) -> None:
    def cubic(x: Any) -> Any:
        return x * x * x

    with pytest.raises(UsageError, match=r"layer 'cubed'.*[Rr]egister"):
        Sequential([Input((4,)), Dense(2, activation=cubic, name="cubed")]).save(tmp_path / "m")
    model = Sequential([Input((4,)), Dense(1)], seed=0)
    model.compile("sgd", lambda y, p: mean(square(y - p), axis=-1))
    with pytest.raises(UsageError, match=r"loss.*Register"):
        model.save(tmp_path / "m")
    model.save(tmp_path / "m", include_optimizer=False)
    model.compile("sgd", "mse", metrics=[lambda y, p: mean(y - p, axis=-1)])
    with pytest.raises(UsageError, match="metric"):
        model.save(tmp_path / "n")
    model.compile(Adam(lambda step: 0.1), "mse")
    with pytest.raises(UsageError, match="optimizer"):
        model.save(tmp_path / "n")
    with pytest.raises(UsageError, match="not built"):
        Sequential([Dense(1)]).save(tmp_path / "n")
    assert not (tmp_path / "n").exists()
    with pytest.raises(UsageError, match="overwrite"):
        model.compile("sgd", "mse")
        model.save(tmp_path / "m", overwrite=False)


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.safetensors"):
        load(tmp_path / "nowhere.safetensors")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="not a saved model"):
        load(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    return tmp_path / "m"


def rewritten(path: Path, change: Any) -> None:
    """The file with its document and arrays changed by `change(document, arrays)`, and a fitting sum."""
    file = TensorFile(path)
    document, arrays = json.loads(file.metadata["model"]), file.read()
    change(document, arrays)
    write_tensors(path, arrays, {"model": json.dumps(document)})


def layer(document: dict, i: int = 0) -> dict:
    found: dict = document["architecture"]["layers"][i]
    return found


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda d, a: layer(d).update({"class": "Dens"}), UnknownNameError, "did you mean '(?i:dense)'"),
        (lambda d, a: layer(d).update(activation="rellu"), UnknownNameError, "did you mean 'relu'"),
        (lambda d, a: layer(d).update(colour="red"), UnknownNameError, "colour"),
        (lambda d, a: layer(d).update(units=10**12), BudgetError, "layer 'dense': its kernel of shape"),
        (lambda d, a: layer(d).update(units=7), CorruptFileError, "dense/kernel of shape"),
        (lambda d, a: layer(d).update(units=-1), CorruptFileError, "units"),
        (lambda d, a: layer(d).update(units="six"), CorruptFileError, "units"),
        (lambda d, a: layer(d).update({"class": ["Dense"]}), CorruptFileError, "a layer must"),
        (lambda d, a: layer(d).pop("name"), CorruptFileError, "no name"),
        (lambda d, a: layer(d).pop("units"), CorruptFileError, "units"),
        (lambda d, a: d["architecture"].update(layers=3), CorruptFileError, "model"),
        (lambda d, a: d["architecture"].update(input_shape=[10**9, 10**9]), BudgetError, "InputLayer of shape"),
        (lambda d, a: d["architecture"].update(input_shape=None), CorruptFileError, "model"),
        (lambda d, a: d["architecture"].update(seed="x"), CorruptFileError, "seed"),
        (lambda d, a: d["compile"]["optimizer"].update({"class": "Adm"}), UnknownNameError, "did you mean '(?i:adam)'"),
        (lambda d, a: d["compile"].update(loss={"class": "Mean"}), UnknownNameError, "loss"),
        (lambda d, a: d["compile"].update(metrics=["acuracy"]), UnknownNameError, "acuracy"),
        (lambda d, a: d.pop("compile"), CorruptFileError, "compile"),
        (lambda d, a: d.update(precision="float16"), CorruptFileError, "float16"),
        (lambda d, a: d.update(precision="float64"), CorruptFileError, "F64"),
        (lambda d, a: d.update(epochs_trained=-1), CorruptFileError, "epochs"),
        (lambda d, a: d.update(class_names=[1, 2]), CorruptFileError, "class_names"),
        (lambda d, a: d.update(preprocessing=[1]), CorruptFileError, "preprocessing"),
        (lambda d, a: d.update(format_version=2), VersionError, "reads version 1"),
        (lambda d, a: d.update(format="other"), CorruptFileError, "format"),
        (lambda d, a: a.pop("dense/kernel"), CorruptFileError, "dense/kernel"),
        (lambda d, a: a.update(more=np.zeros(3)), CorruptFileError, "more"),
        (lambda d, a: a.update({"dense/bias": np.zeros(6, np.int32)}), CorruptFileError, "I32"),
        (lambda d, a: a.update({"dense/bias": np.zeros((1, 6), np.float32)}), CorruptFileError, "dense/bias"),
        (lambda d, a: a.update({"optimizer/dense/bias/momentum": np.zeros(5, "f")}), CorruptFileError, "momentum"),
        (lambda d, a: a.update({"optimizer/dense/bias/speed": np.zeros(6, "f")}), CorruptFileError, "speed"),
        (lambda d, a: a.pop("optimizer/iterations"), CorruptFileError, "iterations"),
    ],
)
def test_a_file_that_does_not_fit_together(folder: Path, change: Any, error: type, message: str) -> None:
    rewritten(folder / "model.safetensors", change)
    with pytest.raises(error, match=message) as raised:
        load(folder / "model.safetensors")
    assert "model.safetensors" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", CorruptFileError),
        ("[]", CorruptFileError),
        ("{", CorruptFileError),
        ("[" * 100_000, CorruptFileError),
        ('{"format": "talweg-model", "format_version": 99}', VersionError),
        ('{"format": "talweg-model"}', CorruptFileError),
    ],
)
def test_a_bad_model_json(folder: Path, text: str, error: type) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(error, match=r"model\.json"):
        load(folder)


def test_an_edited_model_json_counts_and_a_foreign_one_does_not(folder: Path) -> None:
    document = json.loads((folder / "model.json").read_text())
    document["class_names"] = ["no", "yes"]
    (folder / "model.json").write_text(json.dumps(document))
    with pytest.raises(CorruptFileError, match="if you changed it on purpose, delete that line"):
        load(folder)
    del document["sha256"]
    (folder / "model.json").write_text(json.dumps(document))
    assert load(folder).class_names == ["no", "yes"]
    document["weights"]["sha256"] = "0" * 64  # what a kill between the two files of another save leaves
    (folder / "model.json").write_text(json.dumps(document))
    assert load(folder).class_names is None


def test_a_header_cannot_claim_more_than_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(CorruptFileError, match="header"):
        load(path)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 2**82]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CorruptFileError, match="cannot be read"):
        TensorFile(path)


@settings(max_examples=150)
@given(data=st.data())
def test_no_damage_goes_unseen_or_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    model = make()
    model.save(folder / "m.safetensors")
    path = folder / "m.safetensors"
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        damaged = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1))
        damaged = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    path.write_bytes(damaged)
    try:
        again = load(path)
    except TalwegError:
        return
    assert same_bits(model, again), "damaged numbers were loaded"


def test_nothing_changes_unless_all_weights_fit(tmp_path: Path) -> None:
    model = make()
    before = model.get_weights()
    arrays = {v.name: np.ones(v.shape, np.float32) for v in model.variables}
    arrays["dense_1/bias"] = np.ones(3, np.float32)
    write_tensors(tmp_path / "w.safetensors", arrays, {})
    with pytest.raises((CorruptFileError, ShapeError)):
        model.load_weights(tmp_path / "w.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


# ── interrupted saves ───────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(10))
def test_a_save_cut_short_anywhere_leaves_a_whole_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    old, new = make(), make()
    new.fit(X, Y, verbose=0)
    old.save(tmp_path / "m")
    left = [step]

    def dies(real: Any) -> Any:
        def instead(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*arguments, **options)

        return instead

    with monkeypatch.context() as patched:
        for name in ("fsync", "replace", "chmod"):
            patched.setattr(files.os, name, dies(getattr(os, name)))
        try:
            new.save(tmp_path / "m")
        except Killed:
            assert step < 8
    found = load(tmp_path / "m", engine="reference")
    assert same_bits(found, old) or same_bits(found, new)
    assert found.epochs_trained == (0 if same_bits(found, old) else 1)


def test_a_full_disk_is_told_and_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    model.save(tmp_path / "m.safetensors")
    before = (tmp_path / "m.safetensors").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    model.fit(X, Y, verbose=0)
    with pytest.raises(OSError, match="No space left") as raised:
        model.save(tmp_path / "m.safetensors")
    assert raised.value.errno == 28
    assert (tmp_path / "m.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_layer_of_ones_own_is_found_again(tmp_path: Path) -> None:
    from dataclasses import dataclass

    @dataclass(eq=False, repr=False)
    class Doubling(Layer):
        def call(self, x: Any, p: Any, context: Any) -> Any:
            return 2.0 * x

    model = Sequential([Input((4,)), Doubling(), Dense(1)], seed=0)
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict(X, verbose=0), model.predict(X, verbose=0))


def test_untrained_takes_the_architecture_alone(tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "m")
    a, b = (saved.untrained(tmp_path / "m" / "model.json", seed=seed) for seed in (3, 4))
    assert same_bits(a, make()) and not same_bits(a, b)
    (tmp_path / "bare.json").write_text(json.dumps(model.get_config()))
    assert not saved.untrained(tmp_path / "bare.json").compiled
