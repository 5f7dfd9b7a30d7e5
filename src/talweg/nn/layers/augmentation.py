"""Augmentation: pictures changed by chance in training, so that what is learned does not hang on what was changed.

All of these do nothing outside training. Each picture of a batch, at each step, has numbers of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import BATCH, Tensor
from talweg.nn.layers.arguments import data_format, is_number
from talweg.nn.layers.base import Context, Layer
from talweg.nn.layers.sampling import PIXELS, sample
from talweg.nn.layers.windows import spread
from talweg.registry import setting

FILL_MODES = ("reflect", "wrap", "constant", "nearest")


def _interval(
    value: Any, name: str, least: float = -1.0, most: float = 1.0, mirrored: bool = True, optional: bool = False
) -> Any:
    """(low, high) from both, or from one number f: (-f, f), or (f, f) where not `mirrored`."""
    if value is None and optional:
        return None
    pair = value if isinstance(value, (list, tuple)) else [value, value]
    if len(pair) != 2 or not all(is_number(v) and least <= v <= most for v in pair):
        raise UsageError(f"{name} must be a number, or two, from {least:g} to {most:g}; got {value!r}")
    if not mirrored:
        return tuple(pair)
    return tuple(sorted(pair)) if pair is value else (-abs(value), abs(value))


@dataclass(eq=False, repr=False)
class _Augmentation(Layer):
    """The base: `augmented` says what becomes of pictures in training."""

    def call(self, x: Tensor, p: Any, context: Context) -> Tensor:
        spread(x.shape[1:], self)
        return self.augmented(x, context) if context.training else x

    def augmented(self, x: Tensor, context: Context) -> Tensor:
        raise UsageError(f"{type(self).__name__} must define augmented(x, context)")


def _between(interval: tuple[float, float], seed: int | None, context: Context) -> Tensor:
    """A number of each picture, drawn evenly from the interval: (batch, 1, 1)."""
    low, high = interval
    return low + (high - low) * context.random_uniform((BATCH, 1, 1), seed)


def _numbers(length: Any, axis: int) -> Tensor:
    """0, 1, 2, ... along the rows (axis 1) or columns (axis 2) of a picture."""
    return g.constant([float(n) for n in range(length)]) if axis == 2 else g.expand_dims(_numbers(length, 2), -1)


# ── moved ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Moving(_Augmentation):
    """The base of what moves pixels: `places` says where in x the pixels of y come from."""

    fill_mode: str
    interpolation: str
    fill_value: float
    seed: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("fill_mode", FILL_MODES), ("interpolation", tuple(PIXELS))):
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"{type(self).__name__}: {name} must be one of {', '.join(known)}; got {value!r}")

    def places(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Rows and columns: (batch, height or 1, width or 1)."""
        raise UsageError(f"{type(self).__name__} must define places(x, context)")

    def augmented(self, x: Tensor, context: Context) -> Tensor:
        return sample(x, *self.places(x, context), self.interpolation, self.fill_mode, self.fill_value)


@dataclass(eq=False, repr=False)
class RandomTranslation(_Moving):
    """Pictures shifted down by a part of their height drawn from `height_factor`, and right by one of `width_factor`.

    height_factor, width_factor: two numbers from -1 to 1, or one: 0.2 is (-0.2, 0.2). fill_mode: what comes in at the
    edges: the picture mirrored ("reflect"), come round ("wrap"), its last pixels ("nearest"), or `fill_value`
    ("constant"). interpolation: "bilinear" or "nearest". seed: a number makes this layer's chance its own, whatever the
    model's seed.

    Raises `UsageError` for an argument that makes no sense, `ShapeError` for examples that are no pictures.

    >>> from talweg import Sequential
    >>> model = Sequential([RandomTranslation(0.1, 0.1, fill_mode="constant", input_shape=(28, 28, 1))])
    >>> float(model.predict([[[[1.0]] * 28] * 28]).min())  # nothing came in at the edges: this is no training
    1.0
    """

    height_factor: Any = setting(partial(_interval, name="height_factor"))
    width_factor: Any = setting(partial(_interval, name="width_factor"))
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = setting(data_format, None)

    def places(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        _, height, width, _ = x.shape
        down = _between(self.height_factor, self.seed, context) * float(height)  # type: ignore[arg-type]
        right = _between(self.width_factor, self.seed, context) * float(width)  # type: ignore[arg-type]
        return _numbers(height, 1) - down, _numbers(width, 2) - right


@dataclass(eq=False, repr=False)
class RandomRotation(_Moving):
    """Pictures turned about their middle, counterclockwise, by a part of a full turn drawn from `factor`.

    factor: two numbers from -1 to 1, or one: 0.1 is (-0.1, 0.1), 36° either way. The rest as of `RandomTranslation`.
    """

    factor: Any = setting(partial(_interval, name="factor"))
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = setting(data_format, None)

    def places(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        _, height, width, _ = x.shape
        angle = 2 * math.pi * _between(self.factor, self.seed, context)
        cos, sin = g.cos(angle), g.sin(angle)
        middle = (height - 1) / 2, (width - 1) / 2  # type: ignore[operator]
        i, j = _numbers(height, 1) - middle[0], _numbers(width, 2) - middle[1]
        return cos * i + sin * j + middle[0], cos * j - sin * i + middle[1]


@dataclass(eq=False, repr=False)
class RandomZoom(_Moving):
    """Pictures from further away or nearer: 1 + a number drawn from `height_factor` is how much more there is to see.

    height_factor: two numbers from -1 to 1, or one: 0.2 is (-0.2, 0.2). Above 0 what is shown becomes smaller. None as
    `width_factor` keeps the proportions. The rest as of `RandomTranslation`.
    """

    height_factor: Any = setting(partial(_interval, name="height_factor"))
    width_factor: Any = setting(partial(_interval, name="width_factor", optional=True), None)
    fill_mode: str = "reflect"
    interpolation: str = "bilinear"
    seed: int | None = None
    fill_value: float = 0.0
    data_format: str | None = setting(data_format, None)

    def places(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        _, height, width, _ = x.shape
        down = 1.0 + _between(self.height_factor, self.seed, context)
        across = down if self.width_factor is None else 1.0 + _between(self.width_factor, self.seed, context)
        middle = (height - 1) / 2, (width - 1) / 2  # type: ignore[operator]
        rows = down * (_numbers(height, 1) - middle[0]) + middle[0]
        return rows, across * (_numbers(width, 2) - middle[1]) + middle[1]


FLIPS = ("horizontal", "vertical", "horizontal_and_vertical")


@dataclass(eq=False, repr=False)
class RandomFlip(_Augmentation):
    """Every other picture, by chance, the other way round: left and right, above and below, or both.

    mode: "horizontal", "vertical" or "horizontal_and_vertical". The two are drawn apart, as in Keras 2; Keras 3 turns a
    picture both ways or not at all. seed: as of `RandomTranslation`. Raises `UsageError` for another mode.
    """

    mode: str = "horizontal_and_vertical"
    seed: int | None = None
    data_format: str | None = setting(data_format, None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode not in FLIPS:
            raise UsageError(f"RandomFlip: mode must be one of {', '.join(FLIPS)}; got {self.mode!r}")

    def augmented(self, x: Tensor, context: Context) -> Tensor:
        _, height, width, _ = x.shape
        rows, columns = _numbers(height, 1), _numbers(width, 2)
        if "vertical" in self.mode:
            rows = self._turned(rows, height, context)
        if "horizontal" in self.mode:
            columns = self._turned(columns, width, context)
        return sample(x, rows, columns, "nearest", "nearest")

    def _turned(self, places: Tensor, length: Any, context: Context) -> Tensor:
        return g.where(context.random_uniform((BATCH, 1, 1), self.seed) < 0.5, length - 1.0 - places, places)


# ── in another light ──────────────────────────────────────────────────────────────────────────────────────


def _range(value: Any) -> Any:
    """(lowest, highest) of a pixel's values."""
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_number, value))
    if not is_pair or value[0] == value[1]:
        raise UsageError(f"value_range must be the lowest and the highest value of a pixel, two numbers; got {value!r}")
    return tuple(sorted(value))


@dataclass(eq=False, repr=False)
class RandomContrast(_Augmentation):
    r"""$y = \mu_c + a \, (x - \mu_c)$ with μ the mean of each channel of the picture, cut to `value_range`.

    a is drawn from 1 - lower to 1 + upper for factor = (lower, upper), from 0 to 1 each; one number is both, as Keras's
    documentation has it (its code takes 0 for lower then). value_range: (0, 1) for pictures that were scaled so.
    seed: as of `RandomTranslation`. Raises `UsageError` for arguments that make no sense.
    """

    factor: Any = setting(partial(_interval, name="factor", least=0.0, mirrored=False))
    value_range: Any = setting(_range, (0, 255))
    seed: int | None = None

    def augmented(self, x: Tensor, context: Context) -> Tensor:
        lower, upper = self.factor
        mean = g.mean(x, (1, 2), keepdims=True)
        contrast = g.expand_dims(_between((1 - lower, 1 + upper), self.seed, context), -1)
        return g.clip(mean + contrast * (x - mean), *self.value_range)


@dataclass(eq=False, repr=False)
class RandomBrightness(_Augmentation):
    """$y = x + b$, cut to `value_range`, with b a part of that range drawn from `factor`.

    factor: two numbers from -1 (black) to 1 (white), or one: 0.2 is (-0.2, 0.2). value_range: (0, 1) for pictures that
    were scaled so. seed: as of `RandomTranslation`. Raises `UsageError` for arguments that make no sense.
    """

    factor: Any = setting(partial(_interval, name="factor"))
    value_range: Any = setting(_range, (0, 255))
    seed: int | None = None

    def augmented(self, x: Tensor, context: Context) -> Tensor:
        low, high = self.value_range
        brighter = g.expand_dims(_between(self.factor, self.seed, context), -1) * float(high - low)
        return g.clip(x + brighter, low, high)
