"""Of several classes: the confusion matrix, and what is counted class by class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn.losses import alike
from talweg.nn.losses.weights import beside
from talweg.nn.metrics.base import METRICS, Metric, Shapes, States, safe_ratio


def number_of_classes(y_pred: Tensor) -> int:
    """The columns of the prediction; two where there is one."""
    last = y_pred.shape[-1] if y_pred.rank > 1 else 1
    return max(last, 2) if isinstance(last, int) else 2


def class_rows(y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
    """True and predicted classes as one-hot rows, of labels in any form; one column says whether it is class 1."""
    if y_pred.rank == 1 or y_pred.shape[-1] == 1:
        true, p = alike(y_true, y_pred, "binary")
        true, pred = g.cast(true, "int"), g.cast(p > 0.5, "int")
    elif y_true.shape == y_pred.shape:
        true, pred = g.argmax(y_true), g.argmax(y_pred)
    else:
        true, pred = g.cast(alike(y_true, y_pred, "classes")[0], "int"), g.argmax(y_pred)
    n = number_of_classes(y_pred)
    return g.one_hot(true, n), g.one_hot(pred, n)


# ── the whole matrix ──────────────────────────────────────────────────────────────────────────────────────


class _Table(Metric, has_name=False):
    """The confusion matrix, rows for true and columns for predicted classes, of integer or one-hot labels."""

    additive = True

    def accumulators(self, y_pred: Tensor) -> Shapes:
        n = number_of_classes(y_pred)
        return {"matrix": (n, n)}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        true, pred = class_rows(y_true, y_pred)
        every = tuple(range(true.rank - 1))
        return {"matrix": s["matrix"] + g.dot(beside(weight, true) * true, pred, (every, every))}


@dataclass(eq=False, repr=False)
class ConfusionMatrix(_Table):
    """How often class i (row) was taken for class j (column): shape (classes, classes).

    >>> ConfusionMatrix()([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """

    @property
    def shown(self) -> bool:
        return False

    def outcome(self, s: States) -> Tensor:
        return s["matrix"]


@dataclass(eq=False, repr=False)
class MatthewsCorrelation(_Table):
    r"""How far predicted and true classes go together, from -1 to 1; 0 for guesses, however rare a class is.

    $\frac{c s - \sum_k t_k p_k}{\sqrt{(s^2 - \sum_k p_k^2)(s^2 - \sum_k t_k^2)}}$, where of s examples c are right,
    $t_k$ are of class k and $p_k$ are taken for it (Matthews, 1975; Gorodkin, 2004). 0 where that is 0 / 0.

    >>> MatthewsCorrelation()([0, 0, 1, 1], [0.1, 0.9, 0.8, 0.7])
    array(0.57735026, dtype=float32)
    """

    def outcome(self, s: States) -> Tensor:
        shares = safe_ratio(s["matrix"], g.sum(s["matrix"]))  # of all: squares of counts would not fit a float
        n: Any = shares.shape[0]
        right = g.sum(shares * g.constant(np.eye(n)))
        true, pred = g.sum(shares, axis=1), g.sum(shares, axis=0)
        spreads = [g.sqrt(g.maximum(g.sum(t * (1 - t)), 0.0)) for t in (true, pred)]
        return safe_ratio(right - g.sum(true * pred), spreads[0] * spreads[1])


# ── class by class ────────────────────────────────────────────────────────────────────────────────────────


class _ByClass(Metric, has_name=False):
    """The base: of each class, how often it was right, how often it occurs, and how often it was predicted."""

    additive = True

    def rows(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """1 for each class that is true, and for each that was predicted, else 0: (batch, ..., classes)."""
        raise UsageError(f"{type(self).__name__} must define rows(y_true, y_pred)")

    def accumulators(self, y_pred: Tensor) -> Shapes:
        return dict.fromkeys(("right", "actual", "predicted"), (number_of_classes(y_pred),))

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        true, pred = self.rows(y_true, y_pred)
        if true.shape != pred.shape:
            raise ShapeError(f"labels of shape {list(y_true.shape)} do not fit predictions {list(y_pred.shape)}")
        weighted, over = beside(weight, true) * true, range(true.rank - 1)
        counted = (weighted * pred, weighted, beside(weight, pred) * pred)
        return {k: s[k] + g.sum(t, over) for k, t in zip(("right", "actual", "predicted"), counted, strict=True)}


MOST_CLASSES = 1_000_000  # a file may claim any number, and the classes are listed
AVERAGES = ("macro", "weighted", "micro", None)


@dataclass(eq=False, repr=False)
class FBetaScore(_ByClass):
    r"""$(1 + \beta^2)\, P R / (\beta^2 P + R)$ of each class with precision P and recall R: β times as much for recall.

    average    "macro" (the mean of the classes), "weighted" (by how often each occurs), "micro" (all counts together),
               or None for one value a class
    beta       above 0
    threshold  a class is predicted where its column is above it, so several may be, or none. Without one it is the
               largest column, or all of the largest, and a row of zeros has none, as in Keras; where there is but
               one column both classes count, at ½.

    Labels are one-hot rows or class numbers; with a threshold any of 0 and 1. Keras's default is one value a class.
    """

    ranges: ClassVar[Mapping[str, str]] = {"beta": "(0, inf)", "threshold": "(0, 1]"}

    average: str | None = "macro"
    beta: float = 1.0
    threshold: float | None = None
    name: str | None = field(default="fbeta_score", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average not in AVERAGES:
            called = type(self).__name__
            raise UsageError(f"{called}: average must be macro, weighted, micro or None; got {self.average!r}")

    @property
    def shown(self) -> bool:
        return self.average is not None

    def accumulators(self, y_pred: Tensor) -> Shapes:
        columns: Any = number_of_classes(y_pred)
        if self.threshold is not None:
            columns = y_pred.shape[-1] if y_pred.rank > 1 else 1
        return dict.fromkeys(("right", "actual", "predicted"), (columns,))

    def rows(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        if self.threshold is None and number_of_classes(y_pred) == y_pred.shape[-1]:
            largest = g.broadcast_to(g.max(y_pred, axis=-1, keepdims=True), y_pred.shape)
            there = g.where(y_pred >= largest, abs(y_pred) > 1e-9, False)
            return class_rows(y_true, y_pred)[0], g.cast(there, "float")
        if self.threshold is None:
            return class_rows(y_true, y_pred)
        true, p = alike(y_true, y_pred, "binary")
        true, pred = (g.expand_dims(t, -1) if p.rank == 1 else t for t in (true, p))
        return true, g.cast(pred > self.threshold, "float")

    def outcome(self, s: States) -> Tensor:
        right, actual, predicted = s["right"], s["actual"], s["predicted"]
        if self.average == "micro":
            right, actual, predicted = g.sum(right), g.sum(actual), g.sum(predicted)
        squared = self.beta**2
        scores = safe_ratio((1 + squared) * right, squared * actual + predicted)
        if self.average == "weighted":
            return safe_ratio(g.sum(scores * actual), g.sum(actual))
        return scores if self.average is None else g.mean(scores)


@dataclass(eq=False, repr=False)
class F1Score(FBetaScore):
    r"""$2 P R / (P + R)$ of each class: `FBetaScore` with β = 1.

    average: "macro" (the mean of the classes), "weighted" (by how often each occurs), "micro" (all counts together: the
    accuracy), or None for one value a class, which is what Keras does by default. threshold: as of `FBetaScore`.

    >>> float(F1Score()([0, 1, 2], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.7, 0.3, 0.0]]).round(4))
    0.5556
    """

    beta: float = field(default=1.0, init=False)
    name: str | None = field(default=None, kw_only=True)


# ── intersection over union ───────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False, repr=False)
class IoU(_ByClass):
    r"""$TP / (TP + FP + FN)$, the mean over `target_class_ids`: where label and prediction meet, of where either is.

    num_classes       how many there are; labels and predictions outside count nowhere
    target_class_ids  whose score is averaged; one that neither occurs nor is predicted does not count
    ignore_class      a label that counts nowhere
    sparse_y_true, sparse_y_pred  whether labels and predictions are class numbers, else rows over the classes
    axis              that of the classes in rows

    >>> IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1])
    array(0.33333334, dtype=float32)
    """

    num_classes: int = field()
    target_class_ids: Any = field()
    ignore_class: int | None = field(default=None, kw_only=True)
    sparse_y_true: bool = field(default=True, kw_only=True)
    sparse_y_pred: bool = field(default=True, kw_only=True)
    axis: int = field(default=-1, kw_only=True)

    def __post_init__(self) -> None:
        given = self.target_class_ids
        if not isinstance(self.num_classes, int) or not 1 <= self.num_classes <= MOST_CLASSES:
            raise UsageError(
                f"{type(self).__name__}: num_classes must be from 1 to {MOST_CLASSES:,}; got {self.num_classes!r}"
            )
        wanted = list(range(self.num_classes)) if given is None else np.ravel(given).tolist()
        if not wanted or not all(isinstance(c, int) and 0 <= c < self.num_classes for c in wanted):
            raise UsageError(
                f"{type(self).__name__}: target_class_ids must be class numbers from 0 to {self.num_classes - 1}; "
                f"got {given!r}"
            )
        object.__setattr__(self, "target_class_ids", wanted)
        super().__post_init__()

    def accumulators(self, y_pred: Tensor) -> Shapes:
        return dict.fromkeys(("right", "actual", "predicted"), (self.num_classes,))

    def rows(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        true = y_true if self.sparse_y_true else g.argmax(y_true, self.axis)
        pred = self.predicted(y_pred)
        if true.shape != pred.shape and pred.shape in ((*true.shape, 1), true.shape[:-1]):
            true = g.reshape(true, pred.shape)
        known = g.cast(true, "int")
        shown, hidden = g.one_hot(known, self.num_classes), g.one_hot(g.cast(pred, "int"), self.num_classes)
        if self.ignore_class is not None:
            shown = g.where(g.expand_dims(g.equal(known, self.ignore_class), -1), 0.0, shown)
        if shown.shape != hidden.shape:
            return shown, hidden
        return shown * g.sum(hidden, axis=-1, keepdims=True), hidden * g.sum(shown, axis=-1, keepdims=True)

    def predicted(self, y_pred: Tensor) -> Tensor:
        """The class of each prediction."""
        return y_pred if self.sparse_y_pred else g.argmax(y_pred, self.axis)

    def outcome(self, s: States) -> Tensor:
        union = s["actual"] + s["predicted"] - s["right"]
        asked = np.isin(np.arange(self.num_classes), self.target_class_ids).astype(float)
        counts = g.constant(asked) * g.cast(union > 0, "float")
        return safe_ratio(g.sum(counts * safe_ratio(s["right"], union)), g.sum(counts))


@dataclass(eq=False, repr=False)
class BinaryIoU(IoU):
    """`IoU` of two classes: a prediction of at least `threshold` is class 1."""

    ranges: ClassVar[Mapping[str, str]] = {"threshold": "(-inf, inf)"}

    num_classes: int = field(default=2, init=False)
    target_class_ids: Any = (0, 1)
    threshold: float = 0.5
    ignore_class: int | None = field(default=None, init=False)
    sparse_y_true: bool = field(default=True, init=False)
    sparse_y_pred: bool = field(default=True, init=False)
    axis: int = field(default=-1, init=False)

    def predicted(self, y_pred: Tensor) -> Tensor:
        return g.cast(y_pred >= self.threshold, "int")


@dataclass(eq=False, repr=False)
class MeanIoU(IoU):
    """`IoU`, the mean over all classes."""

    target_class_ids: Any = field(default=None, init=False)


@dataclass(eq=False, repr=False)
class OneHotIoU(IoU):
    """`IoU` of labels, and unless `sparse_y_pred` of predictions, that are rows over the classes."""

    sparse_y_true: bool = field(default=False, init=False)
    sparse_y_pred: bool = field(default=False, kw_only=True)


@dataclass(eq=False, repr=False)
class OneHotMeanIoU(OneHotIoU):
    """`OneHotIoU`, the mean over all classes."""

    target_class_ids: Any = field(default=None, init=False)


METRICS.register("F1Score", F1Score, "f1")
METRICS.register("MatthewsCorrelation", MatthewsCorrelation, "mcc")
