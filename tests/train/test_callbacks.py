"""Callbacks: what they decide is compared with Keras's, what they write is read back, what they resume has all bits."""

from __future__ import annotations

import csv
import math
import os
import random
import signal
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import oracle
from talweg.data.tfrecord import read_tfrecord
from talweg.errors import CorruptFileError, DataError, InUseError, UnknownNameError, UsageError
from talweg.nn.layers import Dense, Dropout
from talweg.nn.metrics import AUC
from talweg.optim import SGD
from talweg.optim.schedules import ExponentialDecay
from talweg.train.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    PlotTraining,
    ReduceLROnPlateau,
    StopBelow,
    StopWhenFlat,
    TensorBoard,
    TerminateOnNaN,
)
from talweg.train.sequential import Sequential

X = np.random.default_rng(0).normal(size=(70, 4))
Y = (X @ [[1.0], [-2.0], [0.5], [0.0]] + 0.1).round(3)


def linear(optimizer: Any = "sgd", metrics: Any = None, seed: int = 0) -> Sequential:
    model = Sequential([Dense(1, input_shape=(4,))], seed=seed)
    model.compile(optimizer, "mse", metrics=metrics)
    return model


class FakeModel:
    """As much of a model as callbacks ask for; its one weight is the number of the epoch."""

    def __init__(self, rate: float = 0.1) -> None:
        self.stop_training = False
        self.optimizer = SimpleNamespace(learning_rate=rate)
        self.weight = -1
        self.history = None

    def get_weights(self) -> list[Any]:
        return [np.array(self.weight)]

    def set_weights(self, weights: list[Any]) -> None:
        self.weight = int(weights[0])


def fed(callback: Any, values: list[float], monitor: str, rate: float = 0.1) -> list[Any]:
    """What a callback did with some values: stops and learning rates epoch by epoch, and the weights at the end."""
    model = FakeModel(rate)
    callback.set_model(model)
    callback.set_params({"epochs": len(values)})
    callback.on_train_begin({})
    seen: list[Any] = []
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch, {})
        model.weight = epoch
        logs = {monitor: value}
        callback.on_epoch_end(epoch, logs)
        seen.append((model.stop_training, float(np.float32(model.optimizer.learning_rate))))
        if model.stop_training:
            break
    callback.on_train_end({})
    return [*seen, model.weight]


# Values that float32 holds, since Keras compares in float32: steps of 1/64.
VALUES = st.lists(st.integers(-64, 64).map(lambda n: n / 64), min_size=1, max_size=25)
DELTAS = st.integers(0, 16).map(lambda n: n / 64)


# ── the same decisions as Keras ─────────────────────────────────────────────────────────────────────────────


@settings(max_examples=200)
@given(
    values=VALUES,
    min_delta=DELTAS,
    patience=st.integers(0, 5),
    mode=st.sampled_from(["auto", "min", "max"]),
    baseline=st.none() | st.integers(-64, 64).map(lambda n: n / 64),
    restore_best_weights=st.booleans(),
    start_from_epoch=st.integers(0, 4),
)
def test_early_stopping_decides_as_keras(values: list[float], **arguments: Any) -> None:
    theirs = oracle("keras").callbacks.EarlyStopping(monitor="val_loss", **arguments)
    ours = EarlyStopping(monitor="val_loss", **arguments)
    assert fed(ours, values, "val_loss") == fed(theirs, values, "val_loss")


@settings(max_examples=200)
@given(
    values=VALUES,
    factor=st.sampled_from([0.1, 0.5]),
    patience=st.integers(0, 4),
    mode=st.sampled_from(["auto", "min", "max"]),
    min_delta=DELTAS,
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.03, 0.25]),
)
def test_reduce_on_plateau_decides_as_keras(values: list[float], **arguments: Any) -> None:
    theirs = fed(oracle("keras").callbacks.ReduceLROnPlateau(monitor="loss", **arguments), values, "loss", 0.5)
    ours = fed(ReduceLROnPlateau(monitor="loss", **arguments), values, "loss", 0.5)
    np.testing.assert_allclose([r for _, r in ours[:-1]], [r for _, r in theirs[:-1]], rtol=1e-6)


@pytest.mark.parametrize("schedule", [lambda epoch: 0.1 / (epoch + 1), lambda epoch, rate: rate * 0.9])
def test_learning_rate_scheduler_decides_as_keras(schedule: Any) -> None:
    values = [1.0] * 12
    theirs = fed(oracle("keras").callbacks.LearningRateScheduler(schedule), values, "loss")
    assert fed(LearningRateScheduler(schedule), values, "loss") == theirs


@settings(max_examples=100)
@given(values=VALUES, threshold=st.none() | st.just(0.25), mode=st.sampled_from(["min", "max"]))
def test_model_checkpoint_saves_when_keras_does(values: list[float], threshold: float | None, mode: str) -> None:
    def saves(callback: Any) -> list[str]:
        model, paths = FakeModel(), []
        model.save = lambda path, **_: paths.append(str(path))  # type: ignore[attr-defined]
        callback.set_model(model)
        callback.set_params({})
        callback.on_train_begin({})
        for epoch, value in enumerate(values):
            callback.on_epoch_begin(epoch, {})
            callback.on_epoch_end(epoch, {"val_loss": value})
        return paths

    arguments = {"save_best_only": True, "mode": mode, "initial_value_threshold": threshold}
    theirs = saves(oracle("keras").callbacks.ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.keras", **arguments))
    ours = saves(ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.safetensors", **arguments))
    assert ours == [path.replace(".keras", ".safetensors") for path in theirs]


@pytest.mark.parametrize("logs", [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.1, "val_loss": 1.0, "a": "b;c"}])
@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_logger_writes_what_keras_writes(tmp_path: Path, logs: dict[str, Any], separator: str) -> None:
    def written(make: Any, name: str) -> bytes:
        for append in (False, True, True):
            callback = make(str(tmp_path / name), separator=separator, append=append)
            callback.set_model(FakeModel())
            callback.on_train_begin({})
            callback.on_epoch_end(0, dict(logs))
            callback.on_epoch_end(1, {"loss": 0.25})
            callback.on_train_end({})
        return (tmp_path / name).read_bytes()

    theirs = written(oracle("keras").callbacks.CSVLogger, "theirs.csv")
    # Keras leaves line ends to the platform's text mode on top of csv's own
    assert written(CSVLogger, "ours.csv").splitlines() == theirs.splitlines()


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────


def test_stop_below_and_when_flat() -> None:
    assert len(fed(StopBelow(0.5), [1, 0.7, 0.5, 0.4, 0.3], "loss")) - 1 == 4
    assert len(fed(StopBelow(0.5, monitor="val_mae"), [1, math.nan, 0.1, 0], "val_mae")) - 1 == 3
    flat = [1, 0.5, 0.4995, 0.499, 0.3, 0.3005, 0.3, 0.2995, 0.1]
    assert len(fed(StopWhenFlat(1e-3, epochs=3), flat, "loss")) - 1 == 8
    assert (
        len(fed(StopWhenFlat(), [1.0] * 20, "loss")) - 1 == 11
    )  # the first has no epoch before it to be compared with


def test_early_stopping_never_takes_nan_for_the_best() -> None:
    seen = fed(EarlyStopping(patience=3, restore_best_weights=True), [math.nan, 0.5, math.nan, 0.4], "val_loss")
    assert seen[-1] == 3


@pytest.mark.parametrize("end", ["last epoch", "ctrl-c", "error", "another stop"])
def test_best_weights_come_back_at_any_end(end: str) -> None:
    best: list[Any] = []

    def after(epoch: int, logs: dict[str, Any]) -> None:
        logs["score"] = -abs(epoch - 2)
        if epoch == 2:
            best.extend(model.get_weights())
        if epoch == 5 and end == "ctrl-c":
            signal.raise_signal(signal.SIGINT)
        if epoch == 5 and end == "error":
            raise RuntimeError("on purpose")
        if epoch == 5 and end == "another stop":
            model.stop_training = True

    model = linear()
    early = EarlyStopping("score", mode="max", patience=100, restore_best_weights=True)
    callbacks = [LambdaCallback(on_epoch_end=after), early]
    if end == "error":
        with pytest.raises(RuntimeError, match="on purpose"):
            model.fit(X, Y, epochs=8, verbose=0, callbacks=callbacks)
    else:
        history = model.fit(X, Y, epochs=8, verbose=0, callbacks=callbacks, on_interrupt="return")
        assert len(history.epoch) == (8 if end == "last epoch" else 6)
    assert early.best_epoch == 2
    np.testing.assert_array_equal(model.get_weights()[0], best[0])


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_terminate_on_nan(capsys: pytest.CaptureFixture[str]) -> None:
    history = linear(SGD(1e30)).fit(X, Y, epochs=50, verbose=0, callbacks=[TerminateOnNaN()])
    assert len(history.epoch) <= 2 and not math.isfinite(history.last()["loss"])
    assert "so training ends" in capsys.readouterr().out
    with pytest.raises(DataError, match="smaller learning rate"):
        linear(SGD(1e30)).fit(X, Y, epochs=50, verbose=0, callbacks=[TerminateOnNaN(raise_error=True)])


# ── what is watched ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda: StopBelow(0, "val_loss")])
def test_an_unknown_quantity_is_told_once_with_those_there_are(make: Any) -> None:
    with pytest.warns(UserWarning, match=r"'val_loss'.*available: loss.*validation_data") as told:
        linear().fit(X, Y, epochs=5, verbose=0, callbacks=[make()])
    assert len(told) == 1


@pytest.mark.parametrize("freq", [2, [3]])
def test_epochs_between_validations_are_no_surprise(freq: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear().fit(
            X, Y, epochs=4, verbose=0, validation_split=0.2, validation_freq=freq, callbacks=[EarlyStopping(patience=9)]
        )


def test_direction_of_a_metric_under_its_own_name() -> None:
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(4,))], seed=0)
    model.compile("sgd", "binary_crossentropy", metrics=[AUC(name="area")])
    early = EarlyStopping("area", patience=2)
    model.fit(X, Y > 0, epochs=2, verbose=0, callbacks=[early])
    assert early.is_better(0.9, 0.8)
    with pytest.raises(UsageError, match=r"pass mode='max' or mode='min'"):
        linear().fit(X, Y, verbose=0, callbacks=[EarlyStopping("my_score")])


# ── learning rates ──────────────────────────────────────────────────────────────────────────────────────────


def test_learning_rates_are_set_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    model = linear(SGD(0.1))
    schedule = LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[schedule])
    assert history.history["learning_rate"] == [0.05, 0.025, 0.0125] and model.optimizer.learning_rate == 0.0125
    np.testing.assert_allclose(history.rates, [0.05, 0.025, 0.0125], rtol=1e-6)
    assert "Epoch 3: LearningRateScheduler setting learning rate to 0.0125." in capsys.readouterr().out


def test_the_rate_that_is_set_is_the_rate_that_trains() -> None:
    still, moved = linear(SGD(0.1)), linear(SGD(0.1))
    moved.fit(X, Y, epochs=3, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: 0.0)])
    np.testing.assert_array_equal(still.get_weights()[0], moved.get_weights()[0])


@pytest.mark.parametrize("callback", [LearningRateScheduler(lambda epoch: 0.1), ReduceLROnPlateau("loss")])
def test_a_schedule_is_not_overwritten(callback: Callback) -> None:
    model = linear(SGD(ExponentialDecay(0.1, 10, 0.5)))
    with pytest.raises(UsageError, match="compile with a number"):
        model.fit(X, Y, verbose=0, callbacks=[callback])


def test_an_answer_of_a_schedule_that_is_no_rate() -> None:
    with pytest.raises(UsageError, match="answer of schedule for epoch 0"):
        linear().fit(X, Y, verbose=0, callbacks=[LearningRateScheduler(lambda epoch: "fast")])  # type: ignore[arg-type]


# ── wrong arguments ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: EarlyStopping(patience=1.5), "patience must be a whole number"),
        (lambda: EarlyStopping(mode="up"), "mode must be one of 'auto', 'min', 'max'"),
        (lambda: EarlyStopping(monitor=3), "monitor must be the name"),
        (lambda: EarlyStopping(baseline="low"), "baseline must be a finite number"),
        (lambda: EarlyStopping(start_from_epoch=-1), "start_from_epoch"),
        (lambda: EarlyStopping(min_delta=math.nan), "min_delta"),
        (lambda: ReduceLROnPlateau(factor=1.0), "factor must be below 1"),
        (lambda: ReduceLROnPlateau(min_lr=-1), "min_lr"),
        (lambda: ReduceLROnPlateau(cooldown=-1), "cooldown"),
        (lambda: ModelCheckpoint(""), "filepath"),
        (lambda: ModelCheckpoint("{epoch"), "field that cannot be read"),
        (lambda: ModelCheckpoint("best.tflite"), "Try 'best.safetensors' or 'best'"),
        (lambda: ModelCheckpoint("{epoch:02d}.h5"), "'{epoch:02d}.safetensors'"),
        (lambda: ModelCheckpoint("w.h5", save_weights_only=True), "ending in .safetensors or .weights.h5"),
        (lambda: ModelCheckpoint("m", save_freq=0), "save_freq must be 'epoch' or a number"),
        (lambda: ModelCheckpoint("m", save_freq="batch"), "save_freq"),
        (lambda: BackupAndRestore(""), "backup_dir"),
        (lambda: BackupAndRestore("b", save_freq=True), "save_freq"),
        (lambda: LearningRateScheduler(0.1), "schedule must be a function"),
        (lambda: CSVLogger("log", separator=", "), "separator must be one character"),
        (lambda: TensorBoard(""), "log_dir"),
        (lambda: TensorBoard(update_freq=-1), "update_freq"),
        (lambda: TensorBoard(write_images=True), "write_images=True is not available"),
        (lambda: StopBelow("low"), "threshold"),
        (lambda: StopWhenFlat(epochs=0), "epochs must be a whole number of at least 1"),
        (lambda: StopWhenFlat(delta=-1), "delta"),
        (lambda: LambdaCallback(on_epoch_end=3), "on_epoch_end must be a function"),
    ],
)
def test_wrong_arguments(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_a_class_in_place_of_a_callback() -> None:
    with pytest.raises(UsageError, match=r"Did you mean TerminateOnNaN\(\)"):
        linear().fit(X, Y, verbose=0, callbacks=[TerminateOnNaN])
    with pytest.raises(UnknownNameError, match="on_epoch_end"):
        LambdaCallback(on_epoch_ends=print)


# ── functions, batches ──────────────────────────────────────────────────────────────────────────────────────


def test_lambda_callback_is_told_of_everything_in_order() -> None:
    told: list[Any] = []
    hooks = {
        name: (lambda *a, name=name: told.append((name, *a[:-1])))
        for name in ("on_train_begin", "on_epoch_begin", "on_train_batch_end", "on_epoch_end", "on_train_end")
    }
    linear().fit(X, Y, epochs=2, verbose=0, callbacks=[LambdaCallback(**hooks)])
    batches = [("on_train_batch_end", b) for b in range(3)]
    first = [("on_train_begin",), ("on_epoch_begin", 0), *batches, ("on_epoch_end", 0)]
    assert told == [*first, ("on_epoch_begin", 1), *batches, ("on_epoch_end", 1), ("on_train_end",)]


def test_validation_within_a_fit_is_told() -> None:
    seen: list[Any] = []
    callback = LambdaCallback(on_test_end=lambda logs: seen.append(sorted(logs)))
    linear(metrics=["mae"]).fit(X, Y, epochs=2, verbose=0, validation_split=0.5, callbacks=[callback])
    assert seen == [["loss", "mae"]] * 2


def test_only_those_who_ask_for_batches_get_them() -> None:
    at_epochs = [
        EarlyStopping(),
        ModelCheckpoint("m"),
        BackupAndRestore("b"),
        TensorBoard("t"),
        TerminateOnNaN(),
        LambdaCallback(on_epoch_end=print),
        CSVLogger("c"),
    ]
    assert not any(c.wants_batches for c in at_epochs)
    at_batches = [
        ModelCheckpoint("m", save_freq=3),
        BackupAndRestore("b", save_freq=3),
        TensorBoard("t", update_freq="batch"),
        LambdaCallback(on_train_batch_end=print),
    ]
    assert all(c.wants_batches for c in at_batches)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_model_checkpoint_writes_models_and_weights(tmp_path: Path) -> None:
    from talweg.train.saved import load

    model = linear()
    saving = [
        ModelCheckpoint(tmp_path / "all" / "{epoch:02d}-{loss:.2f}.safetensors"),
        ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_weights_only=True),
    ]
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=saving)
    expected = [f"{e + 1:02d}-{loss:.2f}.safetensors" for e, loss in enumerate(history.history["loss"])]
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == expected
    last = load(tmp_path / "all" / expected[-1])
    np.testing.assert_array_equal(last.get_weights()[0], model.get_weights()[0])
    assert last.iterations == model.iterations == 9  # saved while the fit ran, and yet with its optimizer
    again = linear(seed=5)
    again.load_weights(tmp_path / "3.safetensors")
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_model_checkpoint_counts_batches_over_epochs(tmp_path: Path) -> None:
    path = tmp_path / "{epoch}-{batch}.safetensors"
    linear().fit(X, Y, epochs=3, verbose=0, callbacks=[ModelCheckpoint(path, save_freq=2)])
    assert sorted(p.stem for p in tmp_path.iterdir()) == ["1-2", "2-1", "2-3", "3-2"]


def test_model_checkpoint_names_the_fields_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'val_acc', which is not known .* there are epoch, loss"):
        linear().fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{val_acc}.safetensors")])


def test_csv_logger_in_a_fit(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("of an earlier fit\n")
    history = linear().fit(X, Y, epochs=3, verbose=0, callbacks=[CSVLogger(tmp_path / "log.csv")])
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(r["loss"]) for r in rows] == history.history["loss"]
    assert [r["val_loss"] for r in rows] == ["NA"] * 3
    with pytest.raises(OSError, match="nowhere"):
        linear().fit(X, Y, verbose=0, callbacks=[CSVLogger(tmp_path / "nowhere" / "log.csv")])


def scalars_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The scalars in the event files of a folder, read by a decoder of its own."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.iterdir()):
        records = list(read_tfrecord(path))
        assert dict(fields(records[0]))[3] == b"brain.Event:2"
        for record in records[1:]:
            event = dict(fields(record))
            for _, value in fields(event[5]):
                parts = dict(fields(value))
                if 2 in parts:
                    (number,) = struct.unpack("<f", parts[2])
                    found.setdefault(parts[1].decode(), []).append((event[2], number))
    return found


def fields(data: bytes) -> list[tuple[int, Any]]:
    out, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            out.append((key >> 3, varint()))
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        out.append((key >> 3, data[at : at + size]))
        at += size
    return out


def test_tensorboard_writes_keras_tags(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, histogram_freq=1, update_freq=2, write_steps_per_second=True)
    model = linear(metrics=["mae"])
    history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.5, callbacks=[board])
    train, validation = scalars_of(tmp_path / "train"), scalars_of(tmp_path / "validation")
    assert [step for step, _ in train["epoch_loss"]] == [0, 1, 2]
    np.testing.assert_allclose([v for _, v in train["epoch_loss"]], history.history["loss"], rtol=1e-6)
    np.testing.assert_allclose([v for _, v in validation["epoch_mae"]], history.history["val_mae"], rtol=1e-6)
    assert {"epoch_mae", "epoch_learning_rate", "epoch_steps_per_second", "batch_loss", "batch_mae"} <= set(train)
    assert [step for step, _ in train["batch_loss"]] == [2, 4, 6]
    assert [step for step, _ in validation["evaluation_loss_vs_iterations"]] == [2, 4, 6]
    assert b"dense/kernel/histogram" in next((tmp_path / "train").iterdir()).read_bytes()
    model.evaluate(X, Y, verbose=0, callbacks=[board])
    assert len(scalars_of(tmp_path / "validation")["evaluation_loss_vs_iterations"]) == 4


def test_tensorboard_itself_reads_the_files(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard not installed: pip install tensorboard",
    )
    model = linear()
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[TensorBoard(tmp_path, histogram_freq=2)])
    read = accumulator.EventAccumulator(str(tmp_path / "train"), {"scalars": 0, "histograms": 0})
    read.Reload()
    events = read.Scalars("epoch_loss")
    assert [e.step for e in events] == [0, 1, 2, 3]
    np.testing.assert_allclose([e.value for e in events], history.history["loss"], rtol=1e-6)
    assert [h.step for h in read.Histograms("dense/kernel/histogram")] == [0, 2]
    assert read.Histograms("dense/kernel/histogram")[0].histogram_value.num == 4


def test_plot_training_writes_a_picture_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    sizes: list[bool] = []
    looking = LambdaCallback(on_epoch_end=lambda epoch, logs: sizes.append((tmp_path / "p.png").exists()))
    linear().fit(X, Y, epochs=3, verbose=0, callbacks=[PlotTraining(tmp_path / "p.png", every=0), looking])
    assert sizes == [False, True, True]
    monkeypatch.chdir(tmp_path)
    linear().fit(X, Y, epochs=1, verbose=0, callbacks=[PlotTraining()])
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


def test_plot_training_shows_one_picture_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    shown: list[str] = []
    screen = SimpleNamespace(update=lambda picture: shown.append("update"))
    shell = SimpleNamespace(kernel=object())
    display = SimpleNamespace(
        Image=lambda data: data, display=lambda picture, display_id: shown.append("display") or screen
    )
    notebook = SimpleNamespace(get_ipython=lambda: shell, display=display, version_info=(9, 0))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.chdir(tmp_path)
    linear().fit(X, Y, epochs=3, verbose=0, callbacks=[PlotTraining(every=0)])
    assert shown == ["display", "update", "update"] and not list(tmp_path.iterdir())


# ── interruption and resumption ─────────────────────────────────────────────────────────────────────────────

FIT = """
import json, sys
import numpy as np
from talweg.nn.layers import Dense, Dropout
from talweg.train.callbacks import *
from talweg.train.sequential import Sequential

folder, save_freq = sys.argv[1], sys.argv[2]
x = np.random.default_rng(0).normal(size=(320, 8)); y = (x[:, :1] * x[:, 1:2] > 0) * 1.0
model = Sequential([Dense(16, activation="tanh", input_shape=(8,)), Dropout(0.2), Dense(1, activation="sigmoid")],
                   seed=None if len(sys.argv) > 3 else 7)
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
print("ready", flush=True)
history = model.fit(x, y, batch_size=16, epochs=24, verbose=0, validation_split=0.2, callbacks=[
    BackupAndRestore(folder + "/backup", save_freq=save_freq if save_freq == "epoch" else int(save_freq)),
    EarlyStopping(patience=100, restore_best_weights=True),
    LearningRateScheduler(lambda epoch, rate: rate * 0.97),
    ReduceLROnPlateau("loss", patience=2, factor=0.7, min_delta=0.02),
    CSVLogger(folder + "/log.csv"),
    LambdaCallback(on_train_batch_end=lambda batch, logs: __import__("time").sleep(0.002)),
])
kept = {f"w{i}": w for i, w in enumerate(model.get_weights())}
kept |= {k: v for k, v in model.optimizer_states.items()}
np.savez(folder + "/end.npz", epochs=model.epochs_trained, **kept)
json.dump([history.epoch, history.history, history.rates], open(folder + "/history.json", "w"))
"""


def run_fit(folder: Path, save_freq: str, kill_after: float | None = None, *more: str) -> int:
    """Runs the program; kills it so many seconds after it is ready to train. Answers its exit status."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", FIT, str(folder), save_freq, *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
        return process.wait()


@pytest.mark.parametrize("save_freq", ["epoch", "5"])
def test_a_fit_killed_at_any_moment_resumes_to_the_same_bits(tmp_path: Path, save_freq: str) -> None:
    assert run_fit(tmp_path / "unbroken", save_freq) == 0
    chance, kills = random.Random(save_freq), 0
    for _ in range(30):
        code = run_fit(tmp_path / "broken", save_freq, None if kills == 5 else chance.uniform(0.05, 0.6))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 2, "the fit was over before it could be killed twice"
    whole, broken = np.load(tmp_path / "unbroken" / "end.npz"), np.load(tmp_path / "broken" / "end.npz")
    assert set(whole) == set(broken) and len(whole) > 10
    for name in whole:
        assert whole[name].tobytes() == broken[name].tobytes(), name
    for file in ("history.json", "log.csv"):
        assert (tmp_path / "broken" / file).read_bytes() == (tmp_path / "unbroken" / file).read_bytes()
    assert not (tmp_path / "broken" / "backup").exists()


def test_a_fit_without_a_seed_resumes_with_the_seed_it_had(tmp_path: Path) -> None:
    model = linear(seed=3)
    stop = LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 1 and signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b"), stop])
    again = linear(seed=99)
    again.fit(X, Y, epochs=5, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b")])
    unbroken = linear(seed=3)
    unbroken.fit(X, Y, epochs=5, verbose=0)
    assert again.seed == 3
    np.testing.assert_array_equal(again.get_weights()[0], unbroken.get_weights()[0])


def test_every_batch_is_a_place_to_resume_from(tmp_path: Path) -> None:
    """Three batches an epoch, dropout, momentum: interrupted after each batch of a fit in turn."""

    def make() -> Sequential:
        model = Sequential([Dense(5, input_shape=(4,)), Dropout(0.5), Dense(1)], seed=1)
        model.compile(SGD(0.01, momentum=0.9), "mse", metrics=["mae"])
        return model

    unbroken = make()
    whole = unbroken.fit(X, Y, epochs=3, verbose=0)
    for at in range(1, 9):
        done = 0

        def count(batch: int, logs: Any, at: int = at) -> None:
            nonlocal done
            done += 1
            if done == at + 1:
                raise RuntimeError("on purpose")

        def backup(at: int = at) -> BackupAndRestore:
            return BackupAndRestore(tmp_path / str(at), save_freq=1)

        with pytest.raises(RuntimeError, match="on purpose"):
            make().fit(X, Y, epochs=3, verbose=0, callbacks=[backup(), LambdaCallback(on_train_batch_end=count)])
        model = make()
        steps: list[int] = []
        counting = LambdaCallback(on_train_batch_end=lambda batch, logs, steps=steps: steps.append(batch))
        history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[counting, backup()])
        assert len(steps) == 9 - at
        assert (history.epoch, history.history) == (whole.epoch, whole.history)
        for a, b in zip(model.get_weights(), unbroken.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        assert model.epochs_trained == 3 and model.iterations == 9


def test_more_epochs_go_on_from_a_kept_state(tmp_path: Path) -> None:
    kept = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    linear().fit(X, Y, epochs=3, verbose=0, callbacks=[kept])
    more, straight = linear(), linear()
    history = more.fit(X, Y, epochs=5, verbose=0, callbacks=[kept])
    straight.fit(X, Y, epochs=5, verbose=0)
    assert history.epoch == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(more.get_weights()[0], straight.get_weights()[0])


def test_a_fit_that_a_callback_ended_is_over(tmp_path: Path) -> None:
    """Killed between the last save and the deletion: the next fit must not train beyond the stop."""
    kept = BackupAndRestore(tmp_path / "b", delete_checkpoint=False)
    first = linear()
    first.fit(X, Y, epochs=9, verbose=0, callbacks=[kept, StopBelow(1e9)])
    again = linear()
    history = again.fit(X, Y, epochs=9, verbose=0, callbacks=[BackupAndRestore(tmp_path / "b"), StopBelow(1e9)])
    assert history.epoch == [0]
    np.testing.assert_array_equal(again.get_weights()[0], first.get_weights()[0])
    assert not (tmp_path / "b").exists()


def test_an_error_keeps_the_state(tmp_path: Path) -> None:
    def fail(epoch: int, logs: Any) -> None:
        if epoch == 2:
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        linear().fit(
            X, Y, epochs=3, verbose=0, callbacks=[BackupAndRestore(tmp_path), LambdaCallback(on_epoch_end=fail)]
        )
    assert (tmp_path / "state.safetensors").exists()


def test_a_state_of_something_else_is_refused(tmp_path: Path) -> None:
    kept = BackupAndRestore(tmp_path, delete_checkpoint=False)
    linear().fit(X, Y, epochs=1, verbose=0, callbacks=[kept])
    state = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(UsageError, match="of another model, optimizer or set of metrics: optimizer/dense"):
        linear(SGD(0.1, momentum=0.9)).fit(X, Y, epochs=2, verbose=0, callbacks=[kept])
    for damaged in (state[:-3], state[: len(state) // 2], b"", state[:20], state.replace(b"talweg fit", b"talweg fat")):
        (tmp_path / "state.safetensors").write_bytes(damaged)
        model = linear()
        before = model.get_weights()[0]
        with pytest.raises(CorruptFileError, match=r"state\.safetensors"):
            model.fit(X, Y, epochs=2, verbose=0, callbacks=[kept])
        np.testing.assert_array_equal(model.get_weights()[0], before)
        assert (tmp_path / "state.safetensors").read_bytes() == damaged


def test_a_batch_in_an_epoch_needs_the_same_batches(tmp_path: Path) -> None:
    def fail(batch: int, logs: Any) -> None:
        if batch == 2:
            raise RuntimeError("on purpose")

    backup = BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(RuntimeError, match="on purpose"):
        linear().fit(X, Y, verbose=0, callbacks=[backup, LambdaCallback(on_train_batch_end=fail)])
    with pytest.raises(UsageError, match="same data and batch_size"):
        linear().fit(X, Y, batch_size=7, verbose=0, callbacks=[backup])


def test_the_end_is_told_to_those_that_heard_of_the_beginning(tmp_path: Path) -> None:
    """An error as a fit begins is not covered by another, of a callback that ends before it has begun."""
    told: list[str] = []

    def fail(logs: Any) -> None:
        raise RuntimeError("on purpose")

    def noting(name: str) -> LambdaCallback:
        return LambdaCallback(
            on_train_begin=lambda logs: told.append(name), on_train_end=lambda logs: told.append(name)
        )

    failing = LambdaCallback(on_train_begin=fail)
    with pytest.raises(RuntimeError, match="on purpose"):
        linear().fit(X, Y, verbose=0, callbacks=[noting("a"), failing, noting("b"), BackupAndRestore(tmp_path / "x")])
    assert told == ["a", "a"] and not (tmp_path / "x").exists()
    with pytest.raises(RuntimeError, match="on purpose"):
        linear().fit(X, Y, verbose=0, callbacks=[LambdaCallback(on_train_end=fail), noting("c")])
    assert told == ["a", "a", "c", "c"]


@pytest.mark.parametrize("make", [BackupAndRestore, lambda path: ModelCheckpoint(path / "best.safetensors")])
def test_two_fits_do_not_share_a_folder(tmp_path: Path, make: Any) -> None:
    """The second is refused, names the first, and disturbs nothing."""
    tried = []

    def fit_again(epoch: int, logs: Any) -> None:
        with pytest.raises(InUseError, match=f"process, {os.getpid()} on"):
            linear().fit(X, Y, verbose=0, callbacks=[make(tmp_path)])
        tried.append(epoch)

    history = linear().fit(
        X, Y, epochs=2, verbose=0, callbacks=[make(tmp_path), LambdaCallback(on_epoch_end=fit_again)]
    )
    assert history.epoch == tried == [0, 1]
    linear().fit(X, Y, verbose=0, callbacks=[make(tmp_path)])
    assert not list(tmp_path.rglob("*lock*"))


def test_leftovers_of_a_killed_save_are_cleared(tmp_path: Path) -> None:
    (tmp_path / ".state.safetensors.abc.part").write_bytes(b"half")
    linear().fit(X, Y, verbose=0, callbacks=[BackupAndRestore(tmp_path, delete_checkpoint=False)])
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
