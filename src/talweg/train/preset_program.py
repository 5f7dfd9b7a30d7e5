"""A preset as a program: what `talweg train DATA --model NAME` does, written out to be read, run and changed."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from typing import Any

from talweg.data import DATASETS, TOYS, train_test_split
from talweg.errors import UnknownNameError
from talweg.nn.layers import Layer, Rescaling
from talweg.registry import encode
from talweg.train.prepared import CLASSIFICATION, TEST, TOY_NOISE, TOY_ROWS, VALIDATION, Source, prepare
from talweg.train.presets import Preset

PROGRAM = '''"""{lesson}

What `talweg train {data} --model {model}` does, to the same numbers.
"""

import talweg
from talweg import {rooms}

seed, epochs, batch_size = {seed}, {epochs}, {batch_size}

{reading}

model = talweg.Sequential(
    [
        {layers},
    ],
    seed=seed,
)
{rate}
model.compile(optimizers.{optimizer}(rate), "{loss}", metrics={metrics})
model.fit(x, y, batch_size=batch_size, epochs=epochs, validation_data=(x_validation, y_validation))
print("test:", model.evaluate(x_test, y_test, batch_size=batch_size, verbose=0, return_dict=True))
'''
LOADED = """data = talweg.data.load("{name}")
x_test, y_test = data.x_test, data.y_test
x, x_validation, y, y_validation = talweg.data.train_test_split(
    data.x_train, data.y_train, test_size={validation}, stratify={labels}, seed=seed
)"""
MADE = """x, y = talweg.data.{maker}(n={rows}, {noise}seed=seed)
x, x_validation, x_test, y, y_validation, y_test = talweg.data.train_test_split(
    x, y, test_size={test}, validation_size={validation}, stratify={labels}, seed=seed
)"""
SCALING = "\n_, scaling = talweg.data.scale(x)  # fitted on the training part alone"
SCALED = "layers.Normalization(mean=list(scaling.offset), variance=[s * s for s in scaling.scale])"
IN_UNITS = "layers.Rescaling(float(y.std(dtype=float)), float(y.mean(dtype=float)))"
FALLING = """steps = epochs * -(-len(x) // batch_size)  # the last batch of an epoch may be a small one
rate = schedules.ExponentialDecay({first}, decay_steps=steps, decay_rate={decay})"""
LOSSES = {  # and metrics
    True: ("sparse_categorical_crossentropy", '["accuracy"]'),
    False: ("mean_squared_error", '["mae", "r2"]'),
}


@dataclass(frozen=True)
class Known:
    """What is known of a data set with a name, though it be not there: it may have to be downloaded first.

    shape: of one example.  rows: those to train on.  reading, first: how a program reads it, and its first layer.
    """

    name: str
    shape: tuple[int, ...]
    outputs: int
    task: str
    rows: int
    reading: str
    first: str


def program(preset: Preset, data: str | None = None, seed: int = 0) -> str:
    """The text of a program that trains the preset on a data set with a name, by default the one that it is shown on.

    Run, it comes to the same bits as the command. Raises `UnknownNameError` for a name that no set has, `UsageError`
    for a set that the preset is not for.

    >>> from talweg.train.presets import PRESETS
    >>> print(*program(PRESETS["cnn"]).splitlines()[18:22], sep="\\n")
            talweg.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Reshape((28, 28, 1)),
            layers.Conv2D(8, (3, 3), padding="same", activation="relu"),
    """
    told = known_of(data or preset.data, seed)
    model = preset.make(told.shape, told.outputs, told.task, seed=seed)
    is_classes, falls = told.task == CLASSIFICATION, preset.decay != 1
    loss, metrics = LOSSES[is_classes]
    lines = [f"talweg.Input({told.shape})", told.first, *map(source, model.layers), *([] if is_classes else [IN_UNITS])]
    return PROGRAM.format(
        lesson=preset.lesson,
        data=told.name,
        model=preset.name,
        seed=seed,
        epochs=preset.epochs(told.rows, preset.batch_size),
        batch_size=preset.batch_size,
        reading=told.reading,
        rooms="layers, optimizers, schedules" if falls else "layers, optimizers",
        layers=",\n        ".join(lines),
        rate=(FALLING if falls else "rate = {first}").format(first=preset.learning_rate, decay=preset.decay),
        optimizer=preset.optimizer,
        loss=loss,
        metrics=metrics,
    )


def source(layer: Layer) -> str:
    """A layer as one would write it.

    >>> from talweg.nn.layers import Dense
    >>> source(Dense(10, activation="softmax", use_bias=False)), source(Rescaling(1 / 16))
    ('layers.Dense(10, activation="softmax", use_bias=False)', 'layers.Rescaling(1 / 16)')
    """
    given = {k: _literal(v) for k, v in layer.settings().items() if k != "name" or not layer.was_named}
    first = [given.pop(f.name) for f in fields(layer) if f.default is MISSING]
    return f"layers.{type(layer).__name__}({', '.join([*first, *(f'{k}={v}' for k, v in given.items())])})"


def _literal(value: Any) -> str:
    """A setting as one would write it: a part as a fraction, a function by its name."""
    value = encode(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float) and 1e-6 < value < 0.1 and 1 / round(1 / value) == value:
        return f"1 / {round(1 / value)}"
    return repr(tuple(value) if isinstance(value, list) else value)


# ── the data ────────────────────────────────────────────────────────────────────────────────────────────────


def known_of(data: str, seed: int = 0) -> Known:
    """What is known of the data set of that name. Raises `UnknownNameError` where there is none.

    >>> known_of("mnist").rows
    54000
    """
    name = Source(data).set_name
    if name is None:
        raise UnknownNameError("data set", data, [*DATASETS, *TOYS])
    return _known(name) if name in DATASETS else _toy(name, seed)


def _known(name: str) -> Known:
    """A set with a test part of its own."""
    info = DATASETS[name]
    labels = "data.y_train" if info.task == CLASSIFICATION else None
    reading = LOADED.format(name=name, validation=VALIDATION, labels=labels)
    rows = len(train_test_split(range(info.rows[0]), test_size=VALIDATION)[0])
    outputs = 1 if info.class_names is None else len(info.class_names)
    if info.feature_names is not None:
        return Known(name, info.input_shape, outputs, info.task, rows, reading + SCALING, SCALED)
    low, high = info.value_range
    first = source(Rescaling(1 / (high - low), -low / (high - low)))
    return Known(name, info.input_shape, outputs, info.task, rows, reading, first)


def _toy(name: str, seed: int) -> Known:
    """A set that is made on the spot."""
    toy = prepare(Source(name), seed)
    noise = f"noise={TOY_NOISE[name]}, " if name in TOY_NOISE else ""
    labels = "y" if toy.task == CLASSIFICATION else None
    reading = MADE.format(
        maker=TOYS[name].__name__, rows=TOY_ROWS, noise=noise, test=TEST, validation=VALIDATION, labels=labels
    )
    rows = toy.rows["training"]
    return Known(name, toy.input_shape, toy.outputs, toy.task, rows, reading + SCALING, SCALED)
