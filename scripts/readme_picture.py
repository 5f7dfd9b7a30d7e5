"""Draws docs/images/digits.png, the picture of the README: a network learns real digits, and what it gets wrong.

    pip install '.[plot]' && python scripts/readme_picture.py

Trains on scikit-learn's digits as `talweg train digits` does: nothing is downloaded, and the seed makes it the same
each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from talweg.data.datasets import digits
from talweg.insight.plots import COLOURS
from talweg.insight.scores import Classification, classification, wilson_interval
from talweg.nn.layers import Dense, Flatten, Rescaling
from talweg.train.sequential import Sequential

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "digits.png"
EPOCHS = 40
MISTAKES = 10


def main(path: Path = PICTURE) -> None:
    (x, y), (x_test, y_test) = digits.load_data()
    model = Sequential(
        [
            Flatten(input_shape=(8, 8)),
            Rescaling(1 / 16),
            Dense(64, activation="relu"),
            Dense(10, activation="softmax"),
        ],
        seed=0,
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=EPOCHS, validation_split=0.15, verbose=0).history
    result = classification(y_test, model.predict(x_test, verbose=0))

    figure = Figure(figsize=(10, 4.6), dpi=120, layout="constrained")
    figure.get_layout_engine().set(hspace=0.1, h_pad=0.05)
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.08], wspace=0.03)
    top, bottom = right.subfigures(2, 1, height_ratios=[1, 1.5], hspace=0.02)
    draw_curves(left, history)
    draw_digits(top, x, y)
    draw_mistakes(bottom, x_test, result)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, facecolor="white")
    right_answers = int((~result.wrong).sum())
    low, high = wilson_interval(right_answers, len(y_test))
    print(f"{right_answers} of {len(y_test)} test digits right ({low:.1%} to {high:.1%}); wrote {path}")


def draw_curves(figure: Figure, history: dict[str, list[float]]) -> None:
    axes = figure.subplots(2, 1, sharex=True)
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        epochs = np.arange(1, len(history[name]) + 1)
        axis.plot(epochs, history[name], color=COLOURS[0], lw=2, label="training")
        axis.plot(epochs, history[f"val_{name}"], "--", color=COLOURS[1], lw=2, label="validation")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False)
    axes[1].set_xlabel("epoch")
    figure.suptitle(f"{EPOCHS} epochs", fontsize=12)


def draw_digits(figure: Figure, x: np.ndarray, y: np.ndarray) -> None:
    figure.suptitle(f"{len(x):,} digits of 8 × 8 pixels for training and validation", fontsize=12)
    for column, axis in enumerate(figure.subplots(2, 10).T):
        for cell, i in zip(axis, np.flatnonzero(y == column)[:2], strict=True):
            cell.imshow(x[i], cmap="gray_r", interpolation="nearest")
            cell.set_axis_off()


def draw_mistakes(figure: Figure, x: np.ndarray, result: Classification) -> None:
    wrong = np.flatnonzero(result.wrong)
    order = wrong[np.argsort(-result.confidence[wrong])][:MISTAKES]
    total = len(result.true)
    told = "the others" if len(wrong) <= MISTAKES else "some of the others"
    figure.suptitle(f"{total - len(wrong)} of {total} new digits right; {told}:", fontsize=12)
    for axis, i in zip(np.atleast_1d(figure.subplots(2, MISTAKES // 2)).flat, order, strict=False):
        axis.imshow(x[i], cmap="gray_r", interpolation="nearest")
        said = f"{result.true[i]} read as {result.predicted[i]}"
        axis.set_title(said, fontsize=9, color=COLOURS[1])
    for axis in figure.axes:
        axis.set_axis_off()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
