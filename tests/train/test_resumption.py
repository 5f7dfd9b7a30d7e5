"""A fit that was broken off at any batch, and taken up by a new program, ends with the bits of an unbroken one.

Every source of data, with callbacks that remember, optimizers that count, layers that draw: each is made anew for each
part of the fit, as a new program makes it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talweg.data import Dataset
from talweg.nn.layers import BatchNormalization, Dense, Dropout, GaussianNoise
from talweg.optim import SGD, Adam
from talweg.optim.schedules import CosineDecay
from talweg.train.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    StopWhenFlat,
)
from talweg.train.sequential import Sequential

ROWS, SIZE, EPOCHS = 26, 8, 4
random = np.random.default_rng(0)
X = random.normal(size=(ROWS, 4)).astype("float32")
Y = (X[:, :1] * X[:, 1:2] > 0).astype("float32")
WEIGHT = random.uniform(0.5, 2.0, ROWS).astype("float32")


def slices() -> Dataset:
    return Dataset.from_tensor_slices((X, Y))


def noise() -> Callable[..., Any]:
    """A function that counts in secret."""
    own = np.random.default_rng(3)
    return lambda x, y: (x + own.normal(size=x.shape).astype("float32"), y)


def generator(passes: int | None = None) -> Iterator[Any]:
    order = np.random.default_rng(5)
    for _ in itertools.count() if passes is None else range(passes):
        rows = order.permutation(ROWS)
        for at in range(0, ROWS, SIZE):
            yield X[rows[at : at + SIZE]], Y[rows[at : at + SIZE]]


class Sequence:
    """As Keras's PyDataset: batches by number, shuffled when an epoch ends."""

    def __init__(self) -> None:
        self.order, self.random = np.arange(ROWS), np.random.default_rng(2)

    def __len__(self) -> int:
        return math.ceil(ROWS / SIZE)

    def __getitem__(self, index: int) -> Any:
        rows = self.order[index * SIZE : (index + 1) * SIZE]
        return X[rows], Y[rows]

    def on_epoch_end(self) -> None:
        self.random.shuffle(self.order)


Given = dict[str, Any]
SOURCES: dict[str, Callable[[], Given]] = {
    "arrays": lambda: {"x": X, "y": Y},
    "arrays in order": lambda: {"x": X, "y": Y, "shuffle": False},
    "arrays, steps": lambda: {"x": X, "y": Y, "steps_per_epoch": 3},
    "arrays, weights": lambda: {"x": X, "y": Y, "sample_weight": WEIGHT, "class_weight": {0: 1.0, 1: 2.0}},
    "arrays, split": lambda: {"x": X, "y": Y, "validation_split": 0.3},
    "shuffle": lambda: {"x": slices().shuffle(ROWS, seed=1).batch(SIZE)},
    "small buffer": lambda: {"x": slices().shuffle(5, seed=1).batch(SIZE, drop_remainder=True)},
    "one order": lambda: {"x": slices().shuffle(ROWS, seed=1, reshuffle_each_iteration=False).batch(SIZE)},
    "two shuffles": lambda: {"x": slices().shuffle(9, seed=1).batch(4).shuffle(7, seed=2).unbatch().batch(SIZE)},
    "repeat, steps": lambda: {"x": slices().shuffle(ROWS, seed=1).repeat().batch(SIZE), "steps_per_epoch": 3},
    "repeat twice": lambda: {"x": slices().shuffle(ROWS, seed=1).repeat(2).batch(SIZE)},
    "steps beside passes": lambda: {"x": slices().shuffle(ROWS, seed=1).batch(SIZE), "steps_per_epoch": 3},
    "take": lambda: {"x": slices().shuffle(ROWS, seed=1).repeat(3).take(40).batch(SIZE)},
    "take all": lambda: {"x": slices().shuffle(ROWS, seed=1).cache().take(ROWS).batch(SIZE)},
    "skip": lambda: {"x": slices().shuffle(ROWS, seed=1).skip(3).batch(SIZE)},
    "cache before": lambda: {"x": slices().cache().shuffle(ROWS, seed=1).batch(SIZE)},
    "cache after": lambda: {"x": slices().shuffle(ROWS, seed=1).cache().batch(SIZE)},
    "map": lambda: {"x": slices().shuffle(ROWS, seed=1).map(noise()).batch(SIZE)},
    "map, cache": lambda: {"x": slices().map(noise()).cache().shuffle(ROWS, seed=1).batch(SIZE)},
    "filter": lambda: {"x": slices().shuffle(ROWS, seed=1).filter(lambda x, y: x[0] > -1).batch(SIZE)},
    "enumerate": lambda: {"x": slices().shuffle(ROWS, seed=1).enumerate().map(lambda n, row: row).batch(SIZE)},
    "zip": lambda: {
        "x": Dataset.zip(
            Dataset.from_tensor_slices(X).shuffle(ROWS, seed=1), Dataset.from_tensor_slices(Y).shuffle(9, seed=1)
        ).batch(SIZE)
    },
    "concatenate": lambda: {"x": slices().shuffle(9, seed=1).concatenate(slices().shuffle(5, seed=4)).batch(SIZE)},
    "prefetch": lambda: {"x": slices().shuffle(ROWS, seed=1).batch(SIZE).prefetch(2)},
    "from a generator": lambda: {"x": Dataset.from_generator(lambda: generator(1))},
    "generator": lambda: {"x": generator(), "steps_per_epoch": 4},
    "generator across passes": lambda: {"x": generator(), "steps_per_epoch": 3},
    "sequence": lambda: {"x": Sequence()},
    "sequence, steps": lambda: {"x": Sequence(), "steps_per_epoch": 3},
    "validation of a data set": lambda: {
        "x": X,
        "y": Y,
        "validation_data": slices().shuffle(ROWS, seed=1).map(noise()).batch(SIZE),
        "validation_freq": 2,
    },
    "validation in steps": lambda: {
        "x": slices().shuffle(ROWS, seed=1).batch(SIZE),
        "validation_data": slices().shuffle(ROWS, seed=8).repeat().batch(5),
        "validation_steps": 3,
    },
    "validation of a generator": lambda: {"x": X, "y": Y, "validation_data": generator(), "validation_steps": 3},
    "a later beginning": lambda: {"x": slices().shuffle(ROWS, seed=1).batch(SIZE), "initial_epoch": 1},
}
RULES: dict[str, Callable[[], Any]] = {
    "adam": lambda: Adam(0.01),
    "a schedule": lambda: SGD(CosineDecay(0.1, 14), momentum=0.9),
    "a function": lambda: SGD(lambda step: 0.1 / (1 + step)),
    "accumulation and averages": lambda: Adam(0.01, gradient_accumulation_steps=3, use_ema=True, ema_momentum=0.8),
}


class Broken(Exception):
    pass


def watchers(folder: Path, name: str) -> list[Callback]:
    """Callbacks that remember; those that set the rate are for rules whose rate is a number."""
    watched = [
        EarlyStopping("loss", patience=2, min_delta=0.03, restore_best_weights=True),
        StopWhenFlat(1e-9, epochs=3),
        ModelCheckpoint(folder / "best.safetensors", "loss", save_best_only=True, save_weights_only=True),
        CSVLogger(folder / "log.csv"),
    ]
    rates = [LearningRateScheduler(lambda _, rate: 0.97 * rate), ReduceLROnPlateau("loss", 0.5, 1, min_delta=0.02)]
    return watched + (rates if name in ("adam", "accumulation and averages") else [])


def fit(folder: Path, source: str, rule: str, save_freq: str | int, breaks_at: int | None = None) -> dict[str, Any]:
    """A fit as a program makes it, from what it finds in `folder`; breaks off before batch `breaks_at` of this part."""
    folder.mkdir(exist_ok=True)
    layers = [Dense(6, "relu", input_shape=(4,)), BatchNormalization(), GaussianNoise(0.1), Dropout(0.3)]
    model = Sequential([*layers, Dense(1, "sigmoid")], seed=4)
    model.compile(RULES[rule](), "binary_crossentropy", metrics=["accuracy", "auc"], engine="reference")
    began = 0

    def count(batch: int, logs: Any) -> None:
        nonlocal began
        began += 1
        if began == breaks_at:
            raise Broken

    backup = BackupAndRestore(folder / "backup", save_freq)
    callbacks = [backup, *watchers(folder, rule), LambdaCallback(on_train_batch_begin=count)]
    given = {"batch_size": SIZE, **SOURCES[source]()}
    history = model.fit(epochs=EPOCHS, verbose=0, callbacks=callbacks, **given)
    kept = {f"weight {i}": w.tobytes() for i, w in enumerate(model.get_weights())}
    kept |= {name: value.tobytes() for name, value in model.optimizer_states.items()}
    return kept | {
        "history": (history.epoch, history.history, history.rates),
        "log": (folder / "log.csv").read_bytes(),
        "best": (folder / "best.safetensors").read_bytes(),
        "trained": (model.epochs_trained, model.iterations),
    }


def broken_fit(folder: Path, source: str, rule: str, save_freq: str | int, parts: list[int]) -> dict[str, Any]:
    """A fit that is broken off after so many batches of each part, and then ends."""
    for breaks_at in parts:
        with pytest.raises(Broken):
            fit(folder, source, rule, save_freq, breaks_at)
    return fit(folder, source, rule, save_freq)


@pytest.mark.parametrize("save_freq", ["epoch", 1])
@pytest.mark.parametrize("source", SOURCES)
def test_every_source_goes_on_where_it_stood(tmp_path: Path, source: str, save_freq: str | int) -> None:
    whole = fit(tmp_path / "whole", source, "adam", save_freq)
    last = 3 if "steps_per_epoch" in SOURCES[source]() else 5  # batch of the second part
    parts = [6, last] if save_freq == "epoch" else [2, 4, 3]
    again = broken_fit(tmp_path / "broken", source, "adam", save_freq, parts)
    assert again == whole


@pytest.mark.parametrize("source", ["arrays", "shuffle", "generator"])
@pytest.mark.parametrize("rule", RULES)
def test_every_kind_of_rule_goes_on_where_it_stood(tmp_path: Path, source: str, rule: str) -> None:
    whole = fit(tmp_path / "whole", source, rule, 1)
    for at in (1, 4, 5, 9):
        assert broken_fit(tmp_path / str(at), source, rule, 1, [at + 1, 2]) == whole


def test_a_resumed_data_set_is_not_gone_through_again_where_that_changes_nothing() -> None:
    """The first epoch is; those after it are counted."""
    given = 0

    def seen(x: Any, y: Any) -> Any:
        nonlocal given
        given += 1
        return x, y

    data = slices().map(seen).cache().shuffle(ROWS, seed=1).batch(SIZE)
    data.pass_over(50)
    assert given == ROWS
    other = slices().shuffle(ROWS, seed=1).batch(SIZE)
    for _ in range(50):
        list(other)
    for (a, _), (b, _) in zip(data, other, strict=True):
        np.testing.assert_array_equal(a, b)
