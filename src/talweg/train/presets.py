"""Models with a name: what `talweg train --model NAME` makes, each with what it is there to teach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from talweg.errors import UnknownNameError, UsageError
from talweg.nn.layers import Dense, Dropout, Flatten, Input, Layer
from talweg.train.sequential import Sequential

CLASSIFICATION, REGRESSION = "classification", "regression"
EPOCHS = (5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)  # how many there may be, unless the user says


@dataclass(frozen=True)
class Preset:
    """A model by name.

    lesson: in one line.  hidden: the layers before the last, made anew on each call.  tasks: what it is for.
    optimizer: a configuration.  batch_size: examples a step.  updates: how many steps it takes, about.
    """

    name: str
    lesson: str
    hidden: Callable[[], list[Layer]]
    tasks: tuple[str, ...] = (CLASSIFICATION, REGRESSION)
    optimizer: str = "Adam"
    learning_rate: float = 0.001
    batch_size: int = 32
    updates: int = 2000

    def make(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        task: str,
        *,
        seed: int | None = None,
        first: Iterable[Layer] = (),
        last: Iterable[Layer] = (),
    ) -> Sequential:
        """The model, not compiled: `first` (scaling), flattening, the hidden layers, one of `outputs` units, `last`.

        Classification ends in a softmax, one output for each class; regression in a plain sum.

        >>> PRESETS["softmax"].make((8, 8), outputs=10, task="classification", seed=0).count_params()
        650
        """
        if task not in self.tasks:
            fit = [p.name for p in PRESETS.values() if task in p.tasks]
            raise UsageError(f"model {self.name!r} is for {self.tasks[0]}, and this is {task}; try {' or '.join(fit)}")
        flat = [Flatten()] if len(input_shape) > 1 else []
        end = Dense(outputs, activation="softmax" if task == CLASSIFICATION else None)
        return Sequential([Input(input_shape), *first, *flat, *self.hidden(), end, *last], name=self.name, seed=seed)

    def epochs(self, examples: int, batch_size: int) -> int:
        """How many passes over the data come to about `updates` steps: a round number from 5 to 100.

        >>> PRESETS["relu"].epochs(examples=54_000, batch_size=100)
        6
        """
        enough = self.updates / math.ceil(examples / batch_size)
        return next((epochs for epochs in EPOCHS if epochs >= enough), EPOCHS[-1])


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "softmax",
            "One layer, one weighted sum for each class: it draws straight borders only, and gets surprisingly far.",
            lambda: [],
            (CLASSIFICATION,),
            batch_size=100,
            updates=5400,
        ),
        Preset(
            "relu",
            "Two hidden layers of 200 and 60 ReLU units, and Adam: depth that learns, where sigmoids got stuck.",
            lambda: [Dense(200, activation="relu"), Dense(60, activation="relu")],
            batch_size=100,
            updates=3200,
        ),
        Preset(
            "dropout",
            "One wide hidden layer, its inputs and outputs dropped at random in training: less is learned by heart.",
            lambda: [Dropout(0.1), Dense(400, activation="relu"), Dropout(0.5)],
            learning_rate=0.002,
            updates=2400,
        ),
        Preset(
            "linear",
            "A plane through the data: the plain model that any network has to beat first.",
            lambda: [],
            learning_rate=0.01,
            updates=4000,
        ),
        Preset(
            "mlp",
            "Two small hidden layers of 32 and 16 units: enough for most tables, and for borders that bend.",
            lambda: [Dense(32, activation="relu"), Dense(16, activation="relu")],
            learning_rate=0.003,
        ),
    )
}

# What a data set gets where its user names no model: the preset, and what is better otherwise for this set.
DEFAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("dropout", {}),
    "line": ("linear", {}),
    "diabetes": ("linear", {}),
}


def preset(name: str) -> Preset:
    """The preset of that name; raises `UnknownNameError`, with the nearest name."""
    if name not in PRESETS:
        raise UnknownNameError("model", name, PRESETS)
    return PRESETS[name]


def default_preset(data: str, input_shape: tuple[int, ...]) -> Preset:
    """What fits a data set: `relu` for pictures, `mlp` for tables, unless `DEFAULTS` knows better.

    >>> default_preset("digits", (8, 8)).name, default_preset("fruit.csv", (5,)).name
    ('dropout', 'mlp')
    """
    name, better = DEFAULTS.get(data, ("relu" if len(input_shape) > 1 else "mlp", {}))
    return replace(PRESETS[name], **better)
