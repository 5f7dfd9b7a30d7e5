"""Toy sets: truth tables and clouds of points in the plane, small enough to see a network learn them.

Each returns ``x, y``: x float32 (n, columns), y int64 class numbers (n,), or float32 values for `line`.
Everywhere `noise` is the standard deviation of a normal error in the units of what it is added to, and
`seed` decides every random number: the same arguments give the same points. Clouds come with their rows in
random order, so that `validation_split`, which takes the last rows, takes some of every class.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.errors import UsageError

Points = tuple[NDArray[np.float32], NDArray[np.int64]]

_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64)


def and_(n: int = 4, noise: float = 0.0, seed: int = 0) -> Points:
    """Logical AND: class 1 where both inputs are 1. One neuron can learn it.

    The truth table in its usual order; with n > 4, n points around its corners.

    >>> and_()[1]
    array([0, 0, 0, 1])
    """
    return _truth_table([0, 0, 0, 1], n, noise, seed)


def or_(n: int = 4, noise: float = 0.0, seed: int = 0) -> Points:
    """Logical OR: class 1 where any input is 1. One neuron can learn it.

    >>> or_()[1]
    array([0, 1, 1, 1])
    """
    return _truth_table([0, 1, 1, 1], n, noise, seed)


def xor(n: int = 4, noise: float = 0.0, seed: int = 0) -> Points:
    """Exclusive or: class 1 where the inputs differ. No line parts the classes: one neuron cannot learn it.

    Source: Minsky & Papert, "Perceptrons", 1969.

    >>> x, y = xor()
    >>> x.tolist(), y.tolist()
    ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    >>> x, y = xor(n=200, noise=0.1)
    >>> x.shape, y.shape
    ((200, 2), (200,))
    """
    return _truth_table([0, 1, 1, 0], n, noise, seed)


def _truth_table(outputs: list[int], n: int, noise: float, seed: int) -> Points:
    random = _random(n, noise, seed, least=4)
    corner = np.arange(n) % 4
    if n > 4:
        random.shuffle(corner)
    x = _CORNERS[corner] + noise * random.standard_normal((n, 2))
    return x.astype(np.float32), np.array(outputs, np.int64)[corner]


def line(
    n: int = 100,
    noise: float = 2.0,
    seed: int = 0,
    *,
    slope: float = 3.0,
    intercept: float = 2.0,
    bounds: tuple[float, float] = (0.0, 10.0),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A line with noise: y = slope · x + intercept + noise · ε, at n equally spaced x within `bounds`.

    The rows are in random order. x: (n, 1), y: (n,).

    >>> x, y = line(n=5, noise=0.0)
    >>> bool(np.allclose(y, 3 * x[:, 0] + 2))
    True
    """
    random = _random(n, noise, seed)
    x = random.permutation(np.linspace(*bounds, n))
    y = slope * x + intercept + noise * random.standard_normal(n)
    return x[:, None].astype(np.float32), y.astype(np.float32)


def circles(n: int = 500, noise: float = 0.05, seed: int = 0, *, factor: float = 0.5) -> Points:
    """Class 0 on a circle of radius 1, class 1 on one of radius `factor` inside it.

    Source: scikit-learn's `make_circles`.

    >>> x, y = circles(n=100, noise=0.0)
    >>> np.unique(np.hypot(*x[y == 1].T).round(3)).tolist()
    [0.5]
    """
    if not 0 <= factor < 1:
        raise UsageError(f"factor: expected the inner radius, at least 0 and below 1, but got {factor}")
    random = _random(n, noise, seed)
    label = _labels(n, 2)
    angle = 2 * np.pi * _along(label)
    radius = np.where(label == 0, 1.0, factor)
    return _cloud(radius * np.cos(angle), radius * np.sin(angle), label, noise, random)


def moons(n: int = 500, noise: float = 0.1, seed: int = 0) -> Points:
    """Two half circles of radius 1 that reach into each other (scikit-learn's `make_moons`).

    >>> x, y = moons(n=100)
    >>> x.shape, np.bincount(y).tolist()
    ((100, 2), [50, 50])
    """
    random = _random(n, noise, seed)
    label = _labels(n, 2)
    angle = np.pi * _along(label, closed=True)
    upper = label == 0
    x1 = np.where(upper, np.cos(angle), 1 - np.cos(angle))
    x2 = np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return _cloud(x1, x2, label, noise, random)


def gaussians(n: int = 500, noise: float = 1.0, seed: int = 0, *, classes: int = 2) -> Points:
    """Round clouds with their centres evenly on a circle of radius 2√2; `noise` is their standard deviation.

    With two classes the centres are (2, 2) and (-2, -2), as in TensorFlow Playground.

    >>> x, y = gaussians(n=6, noise=0.0)
    >>> np.unique(x, axis=0).round(4).tolist()
    [[-2.0, -2.0], [2.0, 2.0]]
    """
    _check_classes(classes)
    random = _random(n, noise, seed)
    label = _labels(n, classes)
    angle = np.pi / 4 + 2 * np.pi * label / classes
    return _cloud(8**0.5 * np.cos(angle), 8**0.5 * np.sin(angle), label, noise, random)


def spiral(n: int = 500, noise: float = 0.1, seed: int = 0, *, classes: int = 2, turns: float = 1.75) -> Points:
    """Arms wound around each other, from the centre to radius 5 in `turns` turns: hard for a small network.

    Point i of an arm's m lies at radius 5 i/m and angle 2π (turns · i/m + arm/classes).
    Source: TensorFlow Playground, which has two arms.

    >>> x, y = spiral(n=90, classes=3)
    >>> x.shape, np.bincount(y).tolist()
    ((90, 2), [30, 30, 30])
    """
    _check_classes(classes)
    random = _random(n, noise, seed)
    label = _labels(n, classes)
    along = _along(label)
    angle = 2 * np.pi * (turns * along + label / classes)
    return _cloud(5 * along * np.sin(angle), 5 * along * np.cos(angle), label, noise, random)


def _random(n: int, noise: float, seed: int, least: int = 2) -> np.random.Generator:
    if n < least:
        raise UsageError(f"n: expected at least {least} points, but got {n}")
    if not (noise >= 0 and np.isfinite(noise)):
        raise UsageError(f"noise: expected a standard deviation of 0 or more, but got {noise}")
    if seed < 0:
        raise UsageError(f"seed: expected 0 or more, but got {seed}")
    return np.random.Generator(np.random.Philox(seed))


def _check_classes(classes: int) -> None:
    if classes < 2:
        raise UsageError(f"classes: expected at least 2, but got {classes}")


def _labels(n: int, classes: int) -> NDArray[np.int64]:
    """0 0 … 1 1 …, as evenly as n allows."""
    return np.sort(np.arange(n, dtype=np.int64) % classes)


def _along(label: NDArray[np.int64], closed: bool = False) -> NDArray[np.float64]:
    """How far along its class each point is: 0, 1/m, 2/m, … for m points; `closed` goes on to 1 itself."""
    steps = [np.linspace(0, 1, count, endpoint=closed) for count in np.bincount(label)]
    return np.concatenate(steps)


def _cloud(
    x1: NDArray[Any], x2: NDArray[Any], label: NDArray[np.int64], noise: float, random: np.random.Generator
) -> Points:
    """The points with their noise, in random order."""
    x = np.stack([x1, x2], axis=1) + noise * random.standard_normal((len(label), 2))
    order = random.permutation(len(label))
    return x[order].astype(np.float32), label[order]


TOYS: dict[str, Callable[..., Any]] = {
    "and": and_,
    "or": or_,
    "xor": xor,
    "line": line,
    "circles": circles,
    "moons": moons,
    "gaussians": gaussians,
    "spiral": spiral,
}
