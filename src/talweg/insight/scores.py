"""What a set of predictions comes to: the numbers of the report, from arrays alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg.errors import DataError, ShapeError
from talweg.graph import Array

NO_CLASS = -1  # the predicted class of an example whose outputs are not numbers


def wilson_interval(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    r"""A 95 % interval for a share of which `right` of `total` were seen (Wilson, 1927).

    $\frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}$; unlike $p \pm z\sigma$ it stays within [0, 1] and
    has a width at p = 0 and 1.

    >>> [round(edge, 4) for edge in wilson_interval(352, 360)]
    [0.9568, 0.9887]
    >>> [round(edge, 4) for edge in wilson_interval(10, 10)]
    [0.7225, 1.0]
    """
    if not 0 <= right <= total or total < 1:
        raise DataError(f"wilson_interval needs 0 <= right <= total and total > 0; got {right} of {total}")
    p, z2 = right / total, z * z
    middle = p + z2 / (2 * total)
    half = z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


# ── classes ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Classification:
    """true, predicted: class numbers (n,). probabilities: (n, classes seen by the network). names: one a class."""

    true: Array
    predicted: Array
    probabilities: Array
    names: list[str]
    notes: list[str]

    @property
    def wrong(self) -> Array:
        """(n,) bool."""
        return np.not_equal(self.true, self.predicted)

    @property
    def confidence(self) -> Array:
        """The probability given to the predicted class, (n,); 0 where no class was predicted."""
        rows = np.arange(len(self.true))
        return np.where(self.predicted == NO_CLASS, 0.0, self.probabilities[rows, np.maximum(self.predicted, 0)])

    @property
    def probability_of_truth(self) -> Array:
        """The probability given to the true class, (n,); 0 where the network has no output for it."""
        known = self.true < self.probabilities.shape[1]
        rows = np.arange(len(self.true))
        return np.where(known, self.probabilities[rows, np.where(known, self.true, 0)], 0.0)


def classification(y: Any, predictions: Any, class_names: Sequence[str] | None = None) -> Classification:
    """Labels (numbers or one-hot rows) and outputs ((n,), (n, 1): class 1; (n, classes)) as classes and probabilities.

    Outputs outside [0, 1] are taken for logits. Raises `DataError` for labels that are no class numbers, `ShapeError`
    where labels and predictions do not have the same number of rows.

    >>> c = classification([0, 1, 1], [0.2, 0.9, 0.4], ["no", "yes"])
    >>> c.predicted.tolist(), c.wrong.tolist(), c.confidence.tolist()
    ([0, 1, 0], [False, False, True], [0.8, 0.9, 0.6])
    """
    true, outputs = _class_numbers(y), np.asarray(predictions, np.float64)
    _same_rows(true, outputs)
    outputs = outputs.reshape(len(outputs), -1)
    finite: Array = np.all(np.isfinite(outputs), axis=1, keepdims=True)[:, 0]
    notes = []
    with np.errstate(over="ignore"):
        seen = outputs[finite]
        if seen.size and (seen.min() < -1e-6 or seen.max() > 1 + 1e-6):
            notes.append("The network's outputs are logits; here they are shown as probabilities.")
            outputs = _from_logits(outputs)
    if outputs.shape[1] == 1:
        predicted = (outputs[:, 0] > 0.5).astype(np.int64)
        outputs = np.concatenate([1 - outputs, outputs], axis=1)
    else:
        predicted = np.where(finite[:, None], outputs, 0.0).argmax(axis=1)
    if not finite.all():
        notes.append(f"{(~finite).sum():,} of {len(finite):,} predictions are NaN or infinite. They count as mistakes.")
    predicted = np.where(finite, predicted, NO_CLASS)
    given = [str(each) for each in class_names or []]
    classes = max(outputs.shape[1], len(given), int(true.max(initial=-1)) + 1)
    names = given + [str(i) for i in range(len(given), classes)]
    return Classification(true, predicted, np.nan_to_num(outputs), names, notes)


def confusion(true: Array, predicted: Array, classes: int) -> Array:
    """How often class i was taken for class j, at [i, j]; examples without a predicted class are left out.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    counted = predicted != NO_CLASS
    flat = np.bincount(true[counted] * classes + predicted[counted], minlength=classes * classes)
    return flat.reshape(classes, classes)


@dataclass(frozen=True)
class ClassScore:
    """Of one class; NaN where there was nothing to divide by."""

    index: int
    examples: int
    precision: float
    recall: float
    f1: float


def class_scores(true: Array, predicted: Array, classes: int) -> list[ClassScore]:
    """Precision (of those called so, how many are), recall (of those that are, how many are called so), F1.

    >>> class_scores(np.array([0, 1, 1]), np.array([0, 1, 0]), 2)[1]
    ClassScore(index=1, examples=2, precision=1.0, recall=0.5, f1=0.6666666666666666)
    """
    hits = np.bincount(true[true == predicted], minlength=classes)
    examples = np.bincount(true, minlength=classes)
    called = np.bincount(predicted[predicted != NO_CLASS], minlength=classes)
    return [
        ClassScore(i, int(n), _ratio(hit, c), _ratio(hit, n), _ratio(2 * hit, n + c))
        for i, (hit, n, c) in enumerate(zip(hits, examples, called, strict=True))
    ]


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RegressionScore:
    """Of one output, over the finite predictions. r2 is NaN where the true values do not vary."""

    r2: float
    mae: float
    rmse: float
    mae_of_mean: float
    """The mean absolute error of always answering the mean of these values: what any model has to beat."""
    left_out: int


def regression(y: Any, predictions: Any) -> tuple[Array, Array]:
    """Both as float64 (n, outputs); raises `ShapeError` where they do not fit."""
    true, predicted = np.asarray(y, np.float64), np.asarray(predictions, np.float64)
    _same_rows(true, predicted)
    true, predicted = (a.reshape(len(a), -1) for a in (true, predicted))
    if true.shape != predicted.shape:
        raise ShapeError(f"y has {true.shape[1]} values for each example, predictions have {predicted.shape[1]}")
    return true, predicted


def regression_score(true: Array, predicted: Array) -> RegressionScore:
    """true, predicted: (n,).

    >>> regression_score(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    RegressionScore(r2=0.5, mae=0.333..., rmse=0.577..., mae_of_mean=0.666..., left_out=0)
    """
    finite = np.isfinite(predicted) & np.isfinite(true)
    t, p = true[finite], predicted[finite]
    if not len(t):
        return RegressionScore(math.nan, math.nan, math.nan, math.nan, len(true))
    with np.errstate(over="ignore", invalid="ignore"):
        squares, spread = np.square(t - p).sum(), np.square(t - t.mean()).sum()
        r2 = float(1 - squares / spread) if spread > 0 else math.nan
        mae, rmse = float(np.abs(t - p).mean()), float(np.sqrt(squares / len(t)))
        plain = float(np.abs(t - t.mean()).mean())
    return RegressionScore(r2, mae, rmse, plain, int((~finite).sum()))


def _ratio(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else math.nan


def _class_numbers(y: Any) -> Array:
    labels = np.asarray(y)
    if labels.ndim > 1 and labels.shape[-1] > 1:
        return labels.reshape(len(labels), -1).argmax(axis=1)
    labels = labels.reshape(-1)
    if labels.dtype.kind not in "biuf" or not np.all(labels == np.floor(labels)) or (labels < 0).any():
        raise DataError("y must be class numbers (0, 1, 2, ...) or one-hot rows for task='classification'")
    return labels.astype(np.int64)


def _from_logits(z: Array) -> Array:
    if z.shape[1] == 1:
        return 0.5 * (1 + np.tanh(z / 2))
    with np.errstate(invalid="ignore"):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)


def _same_rows(y: Array, predictions: Array) -> None:
    if len(y) != len(predictions):
        raise ShapeError(f"y has {len(y)} rows, predictions have {len(predictions)}")
