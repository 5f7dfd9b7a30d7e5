"""The mean and the sum of what is given to them, and the mean of any formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn import losses
from talweg.nn.losses import LossFunction, Targets
from talweg.nn.metrics.base import FORMULAS, MeanMetric, Metric, Shapes, States, per_example


class _OfValues(Metric, has_name=False):
    """The base of what looks at values alone; in a model these are the predictions."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Adds values: a number, or an array with a row for each example."""
        super().update_state(0.0, values, sample_weight)


@dataclass(eq=False, repr=False)
class Mean(_OfValues):
    """The weighted mean of values; of an example with several, their mean counts.

    >>> loss = Mean()
    >>> loss.update_state([1.0, 3.0])
    >>> float(loss(8.0))
    4.0
    """

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        return {"total": s["total"] + g.sum(weight * per_example(y_pred)), "count": s["count"] + g.sum(weight)}


@dataclass(eq=False, repr=False)
class Sum(_OfValues):
    """The weighted sum of values; of an example with several, all count."""

    def accumulators(self, y_pred: Tensor) -> Shapes:
        return {"total": ()}

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        of_each = g.sum(y_pred, range(1, y_pred.rank)) if y_pred.rank > 1 else y_pred
        return {"total": s["total"] + g.sum(weight * of_each)}

    def outcome(self, s: States) -> Tensor:
        return s["total"]


@dataclass(eq=False, repr=False, init=False)
class MeanMetricWrapper(MeanMetric):
    """The weighted mean over all examples of ``fn(y_true, y_pred, **options)``.

    fn: a function of two tensors that answers (batch,) or (batch, ...), or the name of a loss's or a metric's formula.
    Only with a name, or a function that has one in Talweg, can a model that uses it be saved.

    >>> float(MeanMetricWrapper("huber", delta=0.5)([[0.0], [0.0]], [[0.5], [2.0]]))
    0.5
    """

    fn: Any
    options: dict[str, Any] = field(default_factory=dict)

    def __init__(self, fn: Any, name: str | None = None, options: Any = None, **more: Any) -> None:
        self.fn, self.name, self.options = fn, name, {**(options or {}), **more}
        self.formula = as_formula(fn)
        self.targets: Targets = self.formula.targets  # type: ignore[misc]
        self.__post_init__()

    @property
    def given(self) -> dict[str, Any]:
        return self.options

    @property
    def label(self) -> str:
        return self.name or self.formula.__name__


def as_formula(identifier: Any) -> LossFunction:
    """A formula from its name, or from a function of (y_true, y_pred) on tensors."""
    if isinstance(identifier, LossFunction):
        return identifier
    if isinstance(identifier, str):
        return FORMULAS.get(identifier) if identifier in FORMULAS else losses.get(identifier).formula
    if callable(identifier):
        return LossFunction(identifier)
    raise UsageError(f"a metric must be a name, a metric, or a function of (y_true, y_pred); got {identifier!r}")
