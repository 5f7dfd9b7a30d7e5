"""The mean and the sum of what is given to them, and the mean of any formula."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn import losses
from talweg.nn.losses import LossFunction, Targets
from talweg.nn.metrics.base import FORMULAS, MeanMetric, Metric, Shapes, States, added_up, per_example


class _OfValues(Metric, has_name=False):
    """The base of what looks at values alone; in a model these are the predictions."""

    additive = True

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        return self.added(y_true, y_pred, s, weight)

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

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        return added_up(y_pred, weight, s)


@dataclass(eq=False, repr=False)
class Sum(_OfValues):
    """The weighted sum of values; of an example with several, all count."""

    def accumulators(self, y_pred: Tensor) -> Shapes:
        return {"total": ()}

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"total": s["total"] + g.sum(per_example(y_pred, weight, g.sum)[0])}

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

    def __init__(
        self, fn: Any, name: str | None = None, dtype: str | None = None, options: Any = None, **more: Any
    ) -> None:
        self.fn, self.name, self.dtype, self.options = fn, name, dtype, {**(options or {}), **more}
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
