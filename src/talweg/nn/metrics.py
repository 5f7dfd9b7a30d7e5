"""Metrics: accumulators that stream over batches exactly, as formulas, so they run inside the compiled program.

A metric declares accumulators (all begin at 0), writes what a batch adds to them, and what they come to. Used by
itself, it works on arrays: `update_state`, `result`, `reset_state`, or one call.

>>> accuracy = CategoricalAccuracy()
>>> float(accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]]))
0.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Array, Tensor
from talweg.nn import losses
from talweg.nn.losses import LossFunction, Targets, alike
from talweg.registry import Described, Registry, snake_case

METRICS: Registry[type[Metric]] = Registry("metric")

States = Mapping[str, Tensor]


@dataclass(eq=False, repr=False)
class Metric(Described):
    """The base: subclasses write `accumulators`, `accumulate` and `outcome`."""

    registry: ClassVar[Registry[Any]] = METRICS
    targets: ClassVar[Targets] = "values"
    shown: ClassVar[bool] = True
    """Whether the outcome is one number, that a progress line can show."""

    _: KW_ONLY
    name: str | None = None

    def __init_subclass__(cls, has_name: bool = True) -> None:
        if has_name:
            METRICS.register(cls.__name__, cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "_totals", None)

    @property
    def label(self) -> str:
        """The name in histories: the one given, else the class's."""
        return self.name or snake_case(type(self).__name__)

    def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what is kept from batch to batch."""
        return {"total": (), "count": ()}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        """The accumulators after a batch. weight: (batch,), 1 where no weights were given."""
        raise UsageError(f"{type(self).__name__} must define accumulate(y_true, y_pred, weight, s)")

    def outcome(self, s: States) -> Tensor:
        """What the accumulators come to."""
        return safe_ratio(s["total"], s["count"])

    # ── by itself, on arrays ──────────────────────────────────────────────────────────────────────────────

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels and predictions."""
        pred = g.constant(y_pred, "float")
        true = g.constant(y_true, "int" if self.targets == "classes" else "float")
        rows = pred.shape[0] if pred.rank else 1
        weight = g.constant(np.ones(rows) if sample_weight is None else sample_weight, "float")
        if self._totals is None:  # type: ignore[attr-defined]
            object.__setattr__(self, "_totals", {k: np.zeros(v) for k, v in self.accumulators(pred).items()})
        s = {k: g.constant(v) for k, v in self._totals.items()}  # type: ignore[attr-defined]
        new = self.accumulate(true, pred, weight, s)
        values = g.evaluate(new.values(), precision="float64")
        object.__setattr__(self, "_totals", {k: values[t] for k, t in new.items()})

    def result(self) -> Array:
        """The outcome of all that was added."""
        if self._totals is None:  # type: ignore[attr-defined]
            raise UsageError(f"{type(self).__name__}: nothing was added yet; call update_state(y_true, y_pred)")
        y = self.outcome({k: g.constant(v) for k, v in self._totals.items()})  # type: ignore[attr-defined]
        return g.evaluate([y])[y]

    def reset_state(self) -> None:
        """Forgets all that was added."""
        object.__setattr__(self, "_totals", None)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()


def safe_ratio(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where count is 0."""
    return g.where(g.equal(count, 0.0), 0.0, total / g.where(g.equal(count, 0.0), 1.0, count))


def per_example(values: Tensor) -> Tensor:
    """(batch, ...) averaged to (batch,)."""
    return g.mean(values, axis=range(1, values.rank)) if values.rank > 1 else values


class MeanMetric(Metric, has_name=False):
    """The weighted mean of a formula that gives each example a value."""

    formula: ClassVar[Callable[..., Tensor]]

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        options = {k: v for k, v in self.settings().items() if k != "name"}
        formula = type(self).formula
        if not isinstance(formula, LossFunction):  # which sees to it itself
            y_true, y_pred = alike(y_true, y_pred, self.targets)
        values = per_example(formula(y_true, y_pred, **options))
        return {"total": s["total"] + g.sum(weight * values), "count": s["count"] + g.sum(weight)}


# ── accuracy, in the form that fits the labels ────────────────────────────────────────────────────────────


def _agree(a: Tensor, b: Tensor) -> Tensor:
    return g.cast(g.equal(a, b), "float")


@dataclass(eq=False, repr=False)
class BinaryAccuracy(MeanMetric):
    """How often the prediction lies on the label's side of `threshold`."""

    threshold: float = field(default=0.5, kw_only=True)
    targets: ClassVar[Targets] = "binary"

    @staticmethod
    def formula(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
        return g.mean(_agree(y_true, g.cast(y_pred > threshold, "float")), axis=-1)


@dataclass(eq=False, repr=False)
class CategoricalAccuracy(MeanMetric):
    """How often the largest prediction is that of the class marked by the one-hot row."""

    targets: ClassVar[Targets] = "one_hot"

    @staticmethod
    def formula(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _agree(g.argmax(y_true), g.argmax(y_pred))


@dataclass(eq=False, repr=False)
class SparseCategoricalAccuracy(MeanMetric):
    """How often the largest prediction is that of the class whose number is the label."""

    targets: ClassVar[Targets] = "classes"

    @staticmethod
    def formula(y_true: Tensor, y_pred: Tensor) -> Tensor:
        return _agree(y_true, g.argmax(y_pred))


# ── of numbers ────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False, repr=False)
class MeanAbsoluteError(MeanMetric):
    """The loss of that name, averaged over all examples."""

    formula: ClassVar[Callable[..., Tensor]] = staticmethod(losses.mean_absolute_error)


@dataclass(eq=False, repr=False)
class MeanSquaredError(MeanMetric):
    """The loss of that name, averaged over all examples."""

    formula: ClassVar[Callable[..., Tensor]] = staticmethod(losses.mean_squared_error)


@dataclass(eq=False, repr=False)
class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean squared error over all examples."""

    def outcome(self, s: States) -> Tensor:
        return g.sqrt(safe_ratio(s["total"], s["count"]))


@dataclass(eq=False, repr=False)
class R2Score(Metric):
    r"""$1 - \sum (y - \hat y)^2 / \sum (y - \bar y)^2$, averaged over outputs: the part of the variance explained.

    Kept as Σw, Σwy, Σwy² and Σw(y - ŷ)²; an output that never varies counts 0, as in Keras.
    """

    def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
        outputs: Any = y_pred.shape[1:] or (1,)
        return {"weight": (), "sum": outputs, "squares": outputs, "residual": outputs}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        y, p = alike(y_true, y_pred, self.targets)
        if p.rank == 1:
            y, p = g.expand_dims(y, 1), g.expand_dims(p, 1)
        w = g.reshape(weight, (weight.shape[0], *[1] * (p.rank - 1)))
        return {
            "weight": s["weight"] + g.sum(weight),
            "sum": s["sum"] + g.sum(w * y, axis=0),
            "squares": s["squares"] + g.sum(w * y * y, axis=0),
            "residual": s["residual"] + g.sum(w * g.square(y - p), axis=0),
        }

    def outcome(self, s: States) -> Tensor:
        spread = s["squares"] - s["sum"] * s["sum"] / s["weight"]
        return g.mean(g.where(spread <= 0, 0.0, 1 - s["residual"] / g.where(spread <= 0, 1.0, spread)))


# ── of two classes ────────────────────────────────────────────────────────────────────────────────────────


class _Counts(Metric, has_name=False):
    """True and false positives and negatives at `thresholds`, over all elements of the prediction.

    Where the prediction has a column for each class (and no `class_id` is given), every column counts, as in Keras.
    """

    targets: ClassVar[Targets] = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(at := self.thresholds, (int, float, type(None))):  # type: ignore[attr-defined]
            raise UsageError(f"{type(self).__name__}: thresholds must be one number or None; got {at!r}")

    def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
        return {"true_positives": (), "false_positives": (), "false_negatives": ()}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        y, p = alike(y_true, y_pred, self.targets)
        w = g.reshape(weight, (weight.shape[0], *[1] * (p.rank - 1)))
        threshold = self.thresholds  # type: ignore[attr-defined]
        hit = g.cast(p > (0.5 if threshold is None else threshold), "float")
        y = g.cast(y > 0.5, "float")
        return {
            "true_positives": s["true_positives"] + g.sum(w * hit * y),
            "false_positives": s["false_positives"] + g.sum(w * hit * (1 - y)),
            "false_negatives": s["false_negatives"] + g.sum(w * (1 - hit) * y),
        }


@dataclass(eq=False, repr=False)
class Precision(_Counts):
    """True positives / predicted positives; 0 where there is none. thresholds: one number; None is 0.5."""

    thresholds: float | None = None

    def outcome(self, s: States) -> Tensor:
        return safe_ratio(s["true_positives"], s["true_positives"] + s["false_positives"])


@dataclass(eq=False, repr=False)
class Recall(_Counts):
    """True positives / actual positives; 0 where there is none. thresholds: one number; None is 0.5."""

    thresholds: float | None = None

    def outcome(self, s: States) -> Tensor:
        return safe_ratio(s["true_positives"], s["true_positives"] + s["false_negatives"])


@dataclass(eq=False, repr=False)
class AUC(Metric):
    """The area under the ROC curve, by trapezoids over `num_thresholds` equally spaced thresholds, as in Keras."""

    num_thresholds: int = 200
    targets: ClassVar[Targets] = "binary"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_thresholds < 2:
            raise UsageError(f"AUC: num_thresholds must be at least 2; got {self.num_thresholds}")

    def thresholds(self) -> Array:
        inner = np.arange(1, self.num_thresholds - 1) / (self.num_thresholds - 1)
        return np.concatenate([[-losses.EPSILON], inner, [1 + losses.EPSILON]])

    def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
        n = (self.num_thresholds,)
        return {"true_positives": n, "false_positives": n, "positives": (), "negatives": ()}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        y, p = alike(y_true, y_pred, self.targets)  # every column counts, as in Keras
        above = g.cast(g.expand_dims(p, -1) > g.constant(self.thresholds()), "float")
        w = g.broadcast_to(g.reshape(weight, (weight.shape[0], *[1] * (p.rank - 1))), p.shape)
        positive = w * g.cast(y > 0.5, "float")
        negative = w - positive
        over = (tuple(range(p.rank)), tuple(range(p.rank)))
        return {
            "true_positives": s["true_positives"] + g.dot(positive, above, over),
            "false_positives": s["false_positives"] + g.dot(negative, above, over),
            "positives": s["positives"] + g.sum(positive),
            "negatives": s["negatives"] + g.sum(negative),
        }

    def outcome(self, s: States) -> Tensor:
        n = self.num_thresholds
        x = safe_ratio(s["false_positives"], g.broadcast_to(s["negatives"], (n,)))
        y = safe_ratio(s["true_positives"], g.broadcast_to(s["positives"], (n,)))
        left, right = [(0, n - 1)], [(1, n)]
        return g.sum((g.slice(x, left) - g.slice(x, right)) * (g.slice(y, left) + g.slice(y, right)) / 2)


# ── of several classes ────────────────────────────────────────────────────────────────────────────────────


class _Table(Metric, has_name=False):
    """The confusion matrix, rows for true and columns for predicted classes, of integer or one-hot labels."""

    def accumulators(self, y_pred: Tensor) -> dict[str, tuple[int, ...]]:
        n: Any = max(y_pred.shape[-1] if y_pred.rank > 1 else 1, 2)  # type: ignore[type-var]
        return {"matrix": (n, n)}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        n: int = s["matrix"].shape[0]  # type: ignore[assignment]
        true = g.one_hot(_class_numbers(y_true, is_prediction=False), n)
        pred = g.one_hot(_class_numbers(y_pred, is_prediction=True), n)
        return {"matrix": s["matrix"] + g.dot(g.expand_dims(weight, 1) * true, pred, ((0,), (0,)))}


def _class_numbers(y: Tensor, is_prediction: bool) -> Tensor:
    if y.rank > 1 and y.shape[-1] != 1:
        return g.argmax(y)
    flat = g.reshape(y, y.shape[:1])
    return g.cast(flat > 0.5, "int") if is_prediction else g.cast(flat, "int")


@dataclass(eq=False, repr=False)
class ConfusionMatrix(_Table):
    """How often class i (row) was taken for class j (column): shape (classes, classes).

    >>> ConfusionMatrix()([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """

    shown: ClassVar[bool] = False

    def outcome(self, s: States) -> Tensor:
        return s["matrix"]


@dataclass(eq=False, repr=False)
class F1Score(_Table):
    r"""$2 \cdot \text{precision} \cdot \text{recall} / (\text{precision} + \text{recall})$ of each class.

    average: "macro" (the mean of the classes), "weighted" (by how often each occurs), "micro", or None for one value a
    class. A prediction is the largest column, or > 0.5 where there is one column.
    """

    average: str | None = "macro"

    @property
    def shown(self) -> bool:  # type: ignore[override]
        return self.average is not None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average not in ("macro", "weighted", "micro", None):
            raise UsageError(f"F1Score: average must be macro, weighted, micro or None; got {self.average!r}")

    def outcome(self, s: States) -> Tensor:
        m = s["matrix"]
        n: Any = m.shape[0]  # a number: it was made in `accumulators`
        hits = g.sum(m * g.constant(np.eye(n)), axis=1)
        actual, predicted = g.sum(m, axis=1), g.sum(m, axis=0)
        if self.average == "micro":
            return safe_ratio(g.sum(hits), g.sum(m))
        scores = safe_ratio(2 * hits, actual + predicted)
        if self.average == "weighted":
            return safe_ratio(g.sum(scores * actual), g.sum(m))
        return g.mean(scores) if self.average == "macro" else scores


# ── by name ───────────────────────────────────────────────────────────────────────────────────────────────

ALIASES = {
    "mae": MeanAbsoluteError,
    "mse": MeanSquaredError,
    "rmse": RootMeanSquaredError,
    "r2": R2Score,
    "f1": F1Score,
}


def get(identifier: Any, y_pred: Tensor, y_true: Tensor) -> Metric:
    """A metric from its name, its class, a loss's formula, or any function of (y_true, y_pred) on tensors.

    "accuracy" is the one that fits: binary for one column, sparse for class numbers, categorical for one-hot rows.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, dict):
        return Metric.from_config(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if identifier in ("accuracy", "acc"):
        return accuracy_for(y_true, y_pred)(name=identifier)
    if isinstance(identifier, str) and identifier in ALIASES:
        return ALIASES[identifier](name=identifier)
    if isinstance(identifier, str) and identifier not in METRICS and identifier in losses.Loss.registry:
        return _of_formula(losses.get(identifier).formula, identifier)
    if isinstance(identifier, str):
        return METRICS.get(identifier)(name=identifier)
    if callable(identifier):
        return _of_formula(identifier, identifier.__name__)
    raise UsageError(f"a metric must be a name, a metric, or a function of (y_true, y_pred); got {identifier!r}")


def accuracy_for(y_true: Tensor, y_pred: Tensor) -> type[Metric]:
    """The accuracy that fits the form of the labels, by Keras's rule."""
    if y_pred.shape[-1] == 1 or y_pred.rank == 1:
        return BinaryAccuracy
    is_sparse = y_true.rank < y_pred.rank or y_true.shape[-1] == 1
    return SparseCategoricalAccuracy if is_sparse else CategoricalAccuracy


def _of_formula(formula: Callable[..., Tensor], name: str) -> Metric:
    targets: Targets = formula.targets if isinstance(formula, LossFunction) else "values"
    body = {"formula": staticmethod(formula), "targets": targets}
    made = type("FormulaMetric", (MeanMetric,), body, has_name=False)
    metric: Metric = made(name=name)
    return metric
