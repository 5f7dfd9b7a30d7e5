"""True and false positives and negatives at one threshold or several, and what they come to.

Labels and predictions are of two classes. Where the prediction has several columns every cell counts, unless `class_id`
names a column or `top_k` says that only the largest predictions of an example are positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError
from talweg.graph import Tensor
from talweg.nn.losses import Targets, alike
from talweg.nn.losses.weights import beside
from talweg.nn.metrics.base import Metric, Shapes, States, safe_ratio

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def cells(y_true: Tensor, y_pred: Tensor, weight: Tensor, class_id: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Predictions, and how much each counts as an actual positive and as an actual negative, all of one shape."""
    y, p = alike(y_true, y_pred, "binary")
    if class_id is not None:
        columns = p.shape[-1] if p.rank > 1 else 1
        if not isinstance(columns, int) or not 0 <= class_id < columns:
            raise ShapeError(f"class_id {class_id} is no column of predictions of shape {list(p.shape)}")
        last = (class_id, class_id + 1)
        y, p, weight = (
            g.slice(t, [*[None] * (t.rank - 1), last]) if t.rank == p.rank > 1 and t.shape[-1] == columns else t
            for t in (y, p, weight)
        )
    w = g.broadcast_to(beside(weight, p), p.shape)
    positive = w * g.cast(y > 0.5, "float")
    return p, positive, w - positive


def among_the_largest(p: Tensor, k: int) -> Tensor:
    """1 for the `k` largest of each row, of equal ones the first, else 0; nothing is sorted, at the price of n²."""
    other, own = g.expand_dims(p, -2), g.expand_dims(p, -1)
    n: int = p.shape[-1]  # type: ignore[assignment]
    earlier = g.constant([[float(j < i) for j in range(n)] for i in range(n)])
    above = g.cast(other > own, "float") + g.cast(g.equal(other, own), "float") * earlier
    return g.cast(g.sum(above, axis=-1) < float(k), "float")


def as_listed(value: Any) -> Any:
    """One number, or a list of them, of whatever held them."""
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


class _Counts(Metric, has_name=False):
    """The base: `kept` names what is counted, at each threshold."""

    targets: ClassVar[Targets] = "binary"
    additive = True
    ranges: ClassVar[Mapping[str, str]] = {
        **{"thresholds": "[0, 1]", "top_k": "{1, 2, ...}", "class_id": "{0, 1, ...}", "num_thresholds": "{1, 2, ...}"},
        **dict.fromkeys(("specificity", "sensitivity", "recall", "precision"), "[0, 1]"),
    }
    kept: ClassVar[Sequence[str]] = KINDS
    thresholds: Any = None
    top_k: int | None = None
    class_id: int | None = None

    def __post_init__(self) -> None:
        self.thresholds = as_listed(self.thresholds)
        super().__post_init__()

    @property
    def shown(self) -> bool:
        return len(self.at) == 1

    @property
    def at(self) -> list[float]:
        """The thresholds: where none are given ½, or none at all where the largest count as positive."""
        if self.thresholds is None:
            return [0.5 if self.top_k is None else float("-inf")]
        return self.thresholds if isinstance(self.thresholds, list) else [self.thresholds]

    def accumulators(self, y_pred: Tensor) -> Shapes:
        return dict.fromkeys(self.kept, (len(self.at),))

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        if self.top_k is not None:
            y_pred = g.where(among_the_largest(y_pred, self.top_k) > 0, y_pred, float("-inf"))
        p, positive, negative = cells(y_true, y_pred, weight, self.class_id)
        is_above = g.expand_dims(p, -1) > g.constant(self.at)
        above = g.cast(is_above, "float")
        every = tuple(range(p.rank))
        new = {}
        for name in self.kept:
            whose = positive if name in ("true_positives", "false_negatives") else negative
            new[name] = s[name] + g.dot(whose, above if "positives" in name else 1 - above, (every, every))
        return new

    def outcome(self, s: States) -> Tensor:
        return _one_or_all(self.ratio(s))

    def ratio(self, s: States) -> Tensor:
        """What the counts at each threshold come to."""
        return s[self.kept[0]]


def _one_or_all(values: Tensor) -> Tensor:
    return g.reshape(values, ()) if values.shape == (1,) else values


@dataclass(eq=False, repr=False)
class _Count(_Counts, has_name=False):
    thresholds: Any = None


class TruePositives(_Count):
    """How many positives were predicted so: label 1, prediction above the threshold. Weights count.

    thresholds: one from 0 to 1, or several for one value each; None is 0.5.

    >>> TruePositives(thresholds=[0.3, 0.6])([1, 1, 0], [0.4, 0.9, 0.8])
    array([2., 1.], dtype=float32)
    """

    kept = ("true_positives",)


class FalsePositives(_Count):
    """How many negatives were predicted to be positive. thresholds: as of `TruePositives`."""

    kept = ("false_positives",)


class TrueNegatives(_Count):
    """How many negatives were predicted so. thresholds: as of `TruePositives`."""

    kept = ("true_negatives",)


class FalseNegatives(_Count):
    """How many positives were predicted to be negative. thresholds: as of `TruePositives`."""

    kept = ("false_negatives",)


SENSITIVITY = RECALL = ("true_positives", "false_negatives")
SPECIFICITY = ("true_negatives", "false_positives")
PRECISION = ("true_positives", "false_positives")


def _part(s: States, right: str, wrong: str) -> Tensor:
    return safe_ratio(s[right], s[right] + s[wrong])


@dataclass(eq=False, repr=False)
class _Share(_Counts, has_name=False):
    thresholds: Any = None
    top_k: int | None = None
    class_id: int | None = None

    def ratio(self, s: States) -> Tensor:
        return _part(s, *self.kept)


class Precision(_Share):
    """True positives / predicted positives; 0 where there is none.

    thresholds: one from 0 to 1, or several for one value each; None is 0.5. top_k: only so many of the largest
    predictions of an example are positive; thresholds then count among these. class_id: of this column alone.
    """

    kept = PRECISION


class Recall(_Share):
    """True positives / actual positives; 0 where there is none. thresholds, top_k, class_id: as of `Precision`."""

    kept = RECALL


# ── one kind of right answers, where another is held ──────────────────────────────────────────────────────


class _Held(_Counts, has_name=False):
    """The base: the best of `wanted` among the thresholds at which `held` is no less than asked."""

    num_thresholds: int
    asked: ClassVar[str]
    held: ClassVar[tuple[str, str]]
    wanted: ClassVar[tuple[str, str]]

    @property
    def shown(self) -> bool:
        return True

    @property
    def at(self) -> list[float]:
        n = self.num_thresholds
        return [0.5] if n == 1 else [i / (n - 1) for i in range(n)]

    def ratio(self, s: States) -> Tensor:
        held, wanted = _part(s, *self.held), _part(s, *self.wanted)
        return g.max(g.where(held >= getattr(self, self.asked), wanted, 0.0))


@dataclass(eq=False, repr=False)
class SensitivityAtSpecificity(_Held):
    """The best recall at thresholds where at least this part of the negatives is recognised; 0 where there is none.

    num_thresholds: so many, evenly from 0 to 1. class_id: of this column alone. Raises `UsageError` for a `specificity`
    that is not from 0 to 1.
    """

    specificity: float = field()
    num_thresholds: int = 200
    class_id: int | None = None
    asked, held, wanted = "specificity", SPECIFICITY, SENSITIVITY


@dataclass(eq=False, repr=False)
class SpecificityAtSensitivity(_Held):
    """The best part of negatives that are recognised, at thresholds with at least this recall.

    The rest as of `SensitivityAtSpecificity`.
    """

    sensitivity: float = field()
    num_thresholds: int = 200
    class_id: int | None = None
    asked, held, wanted = "sensitivity", SENSITIVITY, SPECIFICITY


@dataclass(eq=False, repr=False)
class PrecisionAtRecall(_Held):
    """The best precision at thresholds with at least this recall. The rest as of `SensitivityAtSpecificity`."""

    recall: float = field()
    num_thresholds: int = 200
    class_id: int | None = None
    asked, held, wanted = "recall", RECALL, PRECISION


@dataclass(eq=False, repr=False)
class RecallAtPrecision(_Held):
    """The best recall at thresholds with at least this precision. The rest as of `SensitivityAtSpecificity`."""

    precision: float = field()
    num_thresholds: int = 200
    class_id: int | None = None
    asked, held, wanted = "precision", PRECISION, RECALL
