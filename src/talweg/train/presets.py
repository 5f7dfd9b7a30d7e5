"""Models with a name: what `talweg train --model NAME` makes, each with what it is there to teach.

The first eight are the ladder of seed 002, up which handwritten digits are read better and better. Each rung changes
what its lesson names about the one before, and has a learning rate and a length that suit it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from talweg import optim
from talweg.errors import UnknownNameError, UsageError
from talweg.nn.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    RandomFlip,
    RandomTranslation,
    Reshape,
)
from talweg.optim import UpdateRule
from talweg.optim.schedules import ExponentialDecay
from talweg.train.sequential import Sequential

CLASSIFICATION, REGRESSION = "classification", "regression"
EPOCHS = (5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)  # how many there may be, unless the user says


@dataclass(frozen=True)
class Preset:
    """A model by name.

    lesson: in one line.  hidden: the layers before the last, made anew on each call.  tasks: what it is for.
    pictures: whether the layers look at pictures (height, width, channels), and not at rows of numbers.
    optimizer, learning_rate: the rule's name, and its rate at the first step.  decay: the part of it that the last has.
    batch_size: examples a step.  updates: how many steps it takes, about.  data: the set that it is shown on.
    moral: what to make of the result, where that is not plain.
    """

    name: str
    lesson: str
    hidden: Callable[[], list[Layer]]
    tasks: tuple[str, ...] = (CLASSIFICATION, REGRESSION)
    pictures: bool = False
    optimizer: str = "Adam"
    learning_rate: float = 0.001
    decay: float = 1.0
    batch_size: int = 32
    updates: int = 2000
    data: str = "mnist"
    moral: str | None = None

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
        """The model, not compiled: `first` (scaling), the hidden layers, one of `outputs` units, `last`.

        Before the hidden layers examples are flattened or, for those that look at pictures, given a channel where they
        have none. Classification ends in a softmax, one output for each class; regression in a plain sum.

        >>> PRESETS["softmax"].make((8, 8), outputs=10, task="classification", seed=0).count_params()
        650
        """
        if task not in self.tasks:
            fit = [p.name for p in PRESETS.values() if task in p.tasks]
            raise UsageError(f"model {self.name!r} is for {self.tasks[0]}, and this is {task}; try {' or '.join(fit)}")
        rank = len(input_shape)
        if self.pictures and rank not in (2, 3):
            raise UsageError(
                f"model {self.name!r} looks at pictures, and these examples have the shape {list(input_shape)}; try "
                f"{default_preset('', input_shape).name}"
            )
        if self.pictures:
            shaped: list[Layer] = [Reshape((*input_shape, 1))] if rank == 2 else []
        else:
            shaped = [Flatten()] if rank > 1 else []
        end = Dense(outputs, activation="softmax" if task == CLASSIFICATION else None)
        return Sequential([Input(input_shape), *first, *shaped, *self.hidden(), end, *last], name=self.name, seed=seed)

    def epochs(self, examples: int, batch_size: int) -> int:
        """How many passes over the data come to about `updates` steps: a round number from 5 to 100.

        >>> PRESETS["relu"].epochs(examples=54_000, batch_size=100)
        6
        """
        enough = self.updates / math.ceil(examples / batch_size)
        return next((epochs for epochs in EPOCHS if epochs >= enough), EPOCHS[-1])

    def rule(self, steps: int, optimizer: UpdateRule | None = None, learning_rate: float | None = None) -> UpdateRule:
        """What trains it in so many steps, at a learning rate that falls by `decay`: its own optimizer, or another.

        >>> rate = PRESETS["relu-decay"].rule(steps=8100).learning_rate
        >>> rate(0), round(rate(8100), 9)
        (0.005, 5e-05)
        """
        rule = optimizer or optim.get({"class": self.optimizer, "learning_rate": self.learning_rate})
        rate = rule.learning_rate if learning_rate is None else learning_rate
        if self.decay != 1:
            rate = ExponentialDecay(rate, steps, self.decay)
        return replace(rule, learning_rate=rate)


# ── the layers ──────────────────────────────────────────────────────────────────────────────────────────────


def _dense(activation: str) -> list[Layer]:
    """The two hidden layers of the ladder's dense rungs."""
    return [Dense(200, activation=activation), Dense(60, activation=activation)]


def _normalized(layer: Layer) -> list[Layer]:
    """A layer without bias, which β of the normalization takes the place of, and its activation."""
    return [layer, BatchNormalization(), Activation("relu")]


def _filters() -> list[Layer]:
    """Three convolutions, the second and third with strides in place of pooling, and a dense layer."""
    return [
        Conv2D(8, 3, padding="same", activation="relu"),
        Conv2D(16, 6, strides=2, padding="same", activation="relu"),
        Conv2D(32, 6, strides=2, padding="same", activation="relu"),
        Flatten(),
        Dense(200, activation="relu"),
    ]


def _normalized_filters(filters: int = 8) -> list[Layer]:
    """The layers of `_filters`, each sum normalized, and dropout. `filters` are those of the first convolution."""
    return [
        *_normalized(Conv2D(filters, 3, padding="same", use_bias=False)),
        *_normalized(Conv2D(2 * filters, 6, strides=2, padding="same", use_bias=False)),
        *_normalized(Conv2D(4 * filters, 6, strides=2, padding="same", use_bias=False)),
        Flatten(),
        *_normalized(Dense(200, use_bias=False)),
        Dropout(0.4),
    ]


def _shift() -> Layer:
    """Moves each picture by up to 7 % of its size: of 28 pixels, by at most two."""
    return RandomTranslation(0.07, 0.07, fill_mode="constant", interpolation="nearest")


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────

_CNN = Preset("", "", _filters, (CLASSIFICATION,), True, learning_rate=0.01, decay=0.01, batch_size=64, updates=10_000)
"""What those that look at pictures have in common."""

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            "softmax",
            "One layer draws straight borders only, yet it gets far.",
            lambda: [],
            (CLASSIFICATION,),
            batch_size=100,
            updates=5400,
        ),
        Preset(
            "sigmoid-deep",
            "Two more layers, and it fails: sigmoids make gradients vanish.",
            lambda: _dense("sigmoid"),
            (CLASSIFICATION,),
            optimizer="SGD",
            learning_rate=0.01,
            batch_size=128,
            updates=2000,
            moral="Meant to fail: a sigmoid's slope is at most 1/4, so little of the error comes back through two, and "
            "plain SGD hardly moves the first layer. With ReLU and Adam these layers learn: see the model relu",
        ),
        Preset(
            "relu",
            "The same depth learns: ReLU for sigmoids, Adam for SGD.",
            lambda: _dense("relu"),
            batch_size=100,
            updates=3200,
        ),
        Preset(
            "relu-decay",
            "Steps that become smaller settle where equal ones rattle on.",
            lambda: _dense("relu"),
            learning_rate=0.005,
            decay=0.01,
            batch_size=100,
            updates=8000,
        ),
        Preset(
            "relu-dropout",
            "Units dropped at random: less is learned by heart.",
            lambda: [Dense(200, activation="relu"), Dropout(0.25), Dense(60, activation="relu"), Dropout(0.1)],
            learning_rate=0.005,
            decay=0.01,
            batch_size=100,
            updates=10_000,
        ),
        replace(
            _CNN,
            name="cnn",
            lesson="Filters slide over the picture: what is near stays together.",
            learning_rate=0.002,
            updates=8000,
        ),
        replace(
            _CNN,
            name="cnn-dropout",
            lesson="Dropout where most of the weights are, against overfitting.",
            hidden=lambda: [*_filters(), Dropout(0.4)],
            learning_rate=0.002,
            updates=8000,
        ),
        replace(
            _CNN,
            name="cnn-batchnorm",
            lesson="Sums normalized over each batch, pictures shifted at random.",
            hidden=lambda: [_shift(), *_normalized_filters()],
            updates=12_500,
        ),
        replace(
            _CNN,
            name="cnn-flip",
            lesson="Mirrored at random, and more filters: for clothes, not digits.",
            hidden=lambda: [RandomFlip("horizontal"), *_normalized_filters(12)],
            learning_rate=0.005,
            data="fashion_mnist",
        ),
        Preset(
            "relu-small",
            "One hidden layer of 20 units: a first network for pictures.",
            lambda: [Dense(20, activation="relu")],
            updates=33_750,
            data="fashion_mnist",
        ),
        Preset(
            "dropout",
            "One wide layer, much of it dropped: for few pictures.",
            lambda: [Dropout(0.1), Dense(400, activation="relu"), Dropout(0.5)],
            learning_rate=0.002,
            updates=2400,
            data="digits",
        ),
        Preset(
            "linear",
            "A plane through the data: what a network has to beat first.",
            lambda: [],
            learning_rate=0.01,
            updates=4000,
            data="diabetes",
        ),
        Preset(
            "mlp",
            "Two layers of 32 and 16 units: enough for most tables.",
            lambda: [Dense(32, activation="relu"), Dense(16, activation="relu")],
            learning_rate=0.003,
            data="iris",
        ),
    )
}

DEFAULTS = {"digits": "dropout", "line": "linear", "diabetes": "linear"}
"""What a data set gets where its user names no model, and neither `relu` nor `mlp` fits best.

All of these are trained in seconds; those that look at pictures take minutes, and are asked for by name.
"""


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
    return PRESETS[DEFAULTS.get(data, "relu" if len(input_shape) > 1 else "mlp")]
