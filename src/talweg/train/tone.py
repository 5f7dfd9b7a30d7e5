"""Light on dark, or dark on light: what a network of pictures was trained on, and what it is given.

A network that learned white digits on black knows nothing of ink on paper, and answers all the same. Two numbers tell
the two apart: how bright pictures are, and how bright their border is, both from 0 (black) to 1 (white).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from talweg.errors import DataWarning, argument, warn
from talweg.graph import Array

NEAR, APART = 0.25, 0.5  # of two borders' brightness: alike, and as different as paper and ink


def tone_of(images: Array, value_range: Sequence[float]) -> dict[str, float]:
    """The brightness of a training's pictures, (n, height, width) or (n, height, width, channels), and of their border.

    >>> digits = np.zeros((1, 4, 4))
    >>> digits[0, 1:3, 1:3] = 16
    >>> tone_of(digits, (0, 16))
    {'brightness': 0.25, 'border': 0.0}
    """
    brightness, border = _tones(images, value_range)
    return {"brightness": round(float(brightness.mean()), 4), "border": round(float(border.mean()), 4)}


def inverted(images: Array, value_range: Sequence[float]) -> Array:
    """Dark where they are light, and light where they are dark."""
    low, high = value_range
    return np.asarray(low + high - images.astype(np.float64)).astype(images.dtype)


def warn_of_tone(
    images: Array,
    value_range: Sequence[float],
    trained: Mapping[str, float],
    names: Sequence[str],
    are_inverted: bool = False,
) -> None:
    """Warns of pictures that are unlike those of the training, and would be like them if they were inverted.

    trained: what `tone_of` said of the training part.  are_inverted: whether `images` were, as the user asked.
    """
    brightness, border = _tones(images, value_range)
    was_bright, was_border = float(trained["brightness"]), float(trained["border"])
    far = np.abs(border - was_border)
    near = np.abs(1 - border - was_border)
    is_nearer = np.abs(1 - brightness - was_bright) < np.abs(brightness - was_bright)
    if (found := np.flatnonzero((far > APART) & (near < NEAR) & is_nearer)).size:
        said = ("dark on light", "light on dark") if was_border < 0.5 else ("light on dark", "dark on light")
        which = names[found[0]] if len(found) == 1 else f"such as {names[found[0]]}"
        seem = f"seem{'s' if len(found) == 1 else ''} to be {said[0]}{' once inverted' if are_inverted else ''}"
        advice = f"Leave out {argument('invert')} for them" if are_inverted else f"Try {argument('invert', True)}"
        warn(
            f"{len(found)} of {len(names)} pictures ({which}) {seem}, and the model was trained on {said[1]}: the "
            f"border has a brightness of {border[found[0]]:.2f} (0 black, 1 white), that of the training "
            f"{was_border:.2f}. {advice}",
            DataWarning,
        )


def check_range(x: Array, value_range: Sequence[float], where: str) -> None:
    """Warns of pictures, given as an array, that have other values than the training's: 0 to 1, and not 0 to 255."""
    low, high = value_range
    if x.size and (x.min() < low or x.max() > high):
        warn(
            f"{where}: its values are from {x.min():g} to {x.max():g}, and the model was trained on pictures with "
            f"values from {low:g} to {high:g}. Scale them to that",
            DataWarning,
        )
    elif x.size and x.dtype.kind == "f" and 0 < x.max() <= low + (high - low) / 128:
        warn(
            f"{where}: its values are from {x.min():g} to {x.max():g}, nearly black for a model that was trained on "
            f"pictures with values from {low:g} to {high:g}. Multiply them, if they were divided",
            DataWarning,
        )


def _tones(images: Array, value_range: Sequence[float]) -> tuple[Array, Array]:
    """The brightness of each picture, and of its border of one pixel."""
    low, high = value_range
    light = (np.asarray(images, np.float32) - low) / (high - low)
    light = light.reshape(*light.shape[:3], -1).mean(axis=3)
    edges = (light[:, 0], light[:, -1], light[:, 1:-1, 0], light[:, 1:-1, -1])
    return light.mean(axis=(1, 2)), np.concatenate(edges, axis=1).mean(axis=1)
