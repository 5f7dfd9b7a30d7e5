"""The area under a curve that thresholds draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn.losses import EPSILON, Targets
from talweg.nn.metrics.base import Metric, Shapes, States, safe_ratio
from talweg.nn.metrics.counts import KINDS, as_listed, cells

CURVES = ("ROC", "PR", "PRGAIN")
SUMMATIONS = ("interpolation", "majoring", "minoring")


@dataclass(eq=False, repr=False)
class AUC(Metric):
    """The area under a curve, from the counts at `num_thresholds` equally spaced thresholds, as in Keras.

    curve               "ROC" (recall over false positives), "PR" (precision over recall), or "PRGAIN" (their gains)
    summation_method    "interpolation": by trapezoids, or Davis and Goadrich's formula (2006) for "PR"; "majoring" and
                        "minoring": by rectangles above and below
    thresholds          those within (0, 1) in place of the equally spaced ones
    multi_label         an area for each column of (batch, labels), then their mean; else every cell counts together
    num_labels          how many columns there must be, with multi_label; label_weights: how much each counts
    from_logits         whether predictions are logits; else they are taken from 0 to 1

    The more thresholds, the nearer it comes to the area over all, which would need every prediction.

    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    array(0.75, dtype=float32)
    """

    num_thresholds: int = 200
    curve: str = "ROC"
    summation_method: str = "interpolation"
    thresholds: Any = field(default=None, kw_only=True)
    multi_label: bool = field(default=False, kw_only=True)
    num_labels: int | None = field(default=None, kw_only=True)
    label_weights: Any = field(default=None, kw_only=True)
    from_logits: bool = field(default=False, kw_only=True)
    targets: ClassVar[Targets] = "binary"
    additive: ClassVar[bool] = True
    ranges: ClassVar[Mapping[str, str]] = {
        **{"num_thresholds": "{2, 3, ...}", "thresholds": "[0, 1]"},
        **{"num_labels": "{1, 2, ...}", "label_weights": "[0, inf)"},
    }

    def __post_init__(self) -> None:
        self.thresholds, self.label_weights = as_listed(self.thresholds), as_listed(self.label_weights)
        super().__post_init__()
        for name, known in (("curve", CURVES), ("summation_method", SUMMATIONS)):
            if (value := getattr(self, name)) not in known:
                raise UsageError(f"AUC: {name} must be one of {', '.join(known)}; got {value!r}")
        if self.num_labels is not None and not self.multi_label:
            raise UsageError("AUC: num_labels is for multi_label=True")

    @property
    def at(self) -> list[float]:
        """The thresholds; the first lies below, the last above every probability."""
        n = self.num_thresholds
        inner = [i / (n - 1) for i in range(1, n - 1)] if self.thresholds is None else sorted(self.thresholds)
        return [-EPSILON, *inner, 1 + EPSILON]

    def accumulators(self, y_pred: Tensor) -> Shapes:
        shape: Any = (len(self.at),)
        if self.multi_label:
            columns = y_pred.shape[-1] if y_pred.rank == 2 else None
            if columns is None or self.num_labels not in (None, columns):
                wanted = "labels" if self.num_labels is None else self.num_labels
                raise ShapeError(f"AUC of several labels takes (batch, {wanted}); got {list(y_pred.shape)}")
            shape = (columns, *shape)
        return dict.fromkeys(KINDS, shape)

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        p, positive, negative = cells(y_true, g.sigmoid(y_pred) if self.from_logits else y_pred, weight)
        if self.label_weights is not None and not self.multi_label:
            by_label = g.constant(self.label_weights, "float")
            positive, negative = positive * by_label, negative * by_label
        above = g.cast(g.expand_dims(g.clip(p, 0.0, 1.0), -1) > g.constant(self.at), "float")

        def counted(whose: Tensor, which: Tensor) -> Tensor:
            if self.multi_label:
                return g.sum(g.expand_dims(whose, -1) * which, axis=0)
            every = tuple(range(p.rank))
            return g.dot(whose, which, (every, every))

        pairs = ((positive, above), (negative, above), (negative, 1 - above), (positive, 1 - above))
        return {name: s[name] + counted(*pair) for name, pair in zip(KINDS, pairs, strict=True)}

    def outcome(self, s: States) -> Tensor:
        area = _davis_goadrich(s) if self._is_interpolated_precision else self._by_rectangles(s)
        if not self.multi_label:
            return area
        weights = g.ones_like(area) if self.label_weights is None else g.constant(self.label_weights, "float")
        return safe_ratio(g.sum(area * weights), g.sum(weights))

    @property
    def _is_interpolated_precision(self) -> bool:
        return (self.curve, self.summation_method) == ("PR", "interpolation")

    def _by_rectangles(self, s: States) -> Tensor:
        x, y = COORDINATES[self.curve](*(s[name] for name in KINDS))
        (left, right), (low, high) = neighbours(x), neighbours(y)
        if self.summation_method == "interpolation":
            height = (low + high) / 2
        else:
            height = (g.maximum if self.summation_method == "majoring" else g.minimum)(low, high)
        return g.sum((left - right) * height, axis=-1)


def neighbours(x: Tensor) -> tuple[Tensor, Tensor]:
    """The values at each threshold but the last, and those at the next."""
    n: int = x.shape[-1]  # type: ignore[assignment]
    before: Sequence[None] = [None] * (x.rank - 1)
    return g.slice(x, [*before, (0, n - 1)]), g.slice(x, [*before, (1, n)])


def _roc(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    return safe_ratio(fp, fp + tn), safe_ratio(tp, tp + fn)


def _precision_recall(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    return safe_ratio(tp, tp + fn), safe_ratio(tp, tp + fp)


def _gains(tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> tuple[Tensor, Tensor]:
    """Flach and Kull (2015). Without a true positive the recall's gain is 0 and the precision's 1."""
    odds, has_none = safe_ratio(tp + fn, tn + fp), g.equal(tp, 0.0)
    recall, precision = (1 - odds * safe_ratio(missed, tp) for missed in (fn, fp))
    return g.maximum(g.where(has_none, 0.0, recall), 0.0), g.where(has_none, 1.0, precision)


COORDINATES = {"ROC": _roc, "PR": _precision_recall, "PRGAIN": _gains}


def _davis_goadrich(s: States) -> Tensor:
    """Between two thresholds true positives are taken to grow in proportion to predicted ones."""
    tp, fp, _, fn = (s[name] for name in KINDS)
    (tp_left, tp_right), (p_left, p_right) = neighbours(tp), neighbours(tp + fp)
    gained = tp_left - tp_right
    slope = safe_ratio(gained, g.maximum(p_left - p_right, 0.0))
    intercept = tp_right - slope * p_right
    grown = g.where(p_left > 0, p_right > 0, False)
    ratio = g.where(grown, p_left / g.where(grown, p_right, 1.0), 1.0)
    positives = neighbours(tp + fn)[1]
    return g.sum(safe_ratio(slope * (gained + intercept * g.log(ratio)), positives), axis=-1)
