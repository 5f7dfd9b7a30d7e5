"""What a metric is: accumulators, what a batch adds to them, and what they come to. And the mean of a formula."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import DataError, UsageError
from talweg.graph import Array, Tensor
from talweg.nn.losses import LossFunction, Targets
from talweg.nn.losses.base import along_steps
from talweg.registry import Described, Registry, camel_case, snake_case

METRICS: Registry[type[Metric]] = Registry("metric")

States = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


@dataclass(eq=False, repr=False)
class Metric(Described):
    """The base: subclasses write `accumulators`, `accumulate` and `outcome`."""

    registry: ClassVar[Registry[Any]] = METRICS
    targets: ClassVar[Targets] = "values"
    takes_masks: ClassVar[bool] = False  # whether `accumulate` takes a mask: as in Keras, a mean does

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

    @property
    def shown(self) -> bool:
        """Whether the outcome is one number, that a progress line can show."""
        return True

    def accumulators(self, y_pred: Tensor) -> Shapes:
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
        """Adds a batch of labels and predictions. Raises `ShapeError` where their shapes do not fit."""
        pred = g.constant(np.atleast_1d(y_pred), "float")
        true = g.constant(np.atleast_1d(y_true), "int" if self.targets == "classes" else "float")
        weight = g.constant(_weights(sample_weight, pred.shape[0]), "float")
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

    def __call__(self, *batch: Any, **named: Any) -> Array:
        """`update_state`, then `result`."""
        self.update_state(*batch, **named)
        return self.result()


def _weights(sample_weight: Any, rows: Any) -> Array:
    """One for each row: given so, or as a column, or one number for all."""
    given = np.ravel(1.0 if sample_weight is None else sample_weight)
    if len(given) not in (1, rows):
        raise DataError(f"sample_weight must be one number for each of the {rows} examples; got {len(given)}")
    return np.broadcast_to(given, (rows,))


def safe_ratio(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where count is 0."""
    return g.where(g.equal(count, 0.0), 0.0, total / g.where(g.equal(count, 0.0), 1.0, count))


def per_example(values: Tensor) -> Tensor:
    """(batch, ...) averaged to (batch,)."""
    return g.mean(values, axis=range(1, values.rank)) if values.rank > 1 else values


def beside(weight: Tensor, values: Tensor) -> Tensor:
    """(batch,) as (batch, 1, ...), to be multiplied with (batch, ...)."""
    return g.reshape(weight, (*weight.shape, *[1] * (values.rank - 1)))


# ── the mean of a formula ─────────────────────────────────────────────────────────────────────────────────

FORMULAS: Registry[LossFunction] = Registry("formula")
"""Formulas of metrics, those of losses aside."""


def formula(
    targets: Targets = "values", ranges: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Tensor]], LossFunction]:
    """Registers the function below. Like a loss's formula it takes tensors or arrays, and labels that nearly fit."""
    return lambda f: FORMULAS.register(f.__name__, LossFunction(f, targets=targets, ranges=ranges))


class MeanMetric(Metric, has_name=False):
    """The weighted mean of a formula over all examples. Labels that the formula is told to ignore do not count."""

    formula: LossFunction
    takes_masks = True

    @property
    def given(self) -> dict[str, Any]:
        """What the formula takes besides labels and predictions."""
        return {k: v for k, v in self.settings().items() if k != "name"}

    def accumulate(
        self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        values: Tensor = self.formula(y_true, y_pred, **self.given)
        counts = self.formula.counted(y_true, y_pred, **self.given)
        if mask is not None:
            kept = along_steps(mask, values, f"metric {self.label!r}")
            values, counts = g.where(kept, values, 0.0), g.where(kept, 1.0 if counts is None else counts, 0.0)
        counted = weight if counts is None else weight * per_example(counts)
        return {"total": s["total"] + g.sum(weight * per_example(values)), "count": s["count"] + g.sum(counted)}


def mean_metric(
    function: LossFunction, *options: str, class_name: str = "", positional: int = 0, name: str | None = None
) -> type[MeanMetric]:
    """The class of a formula's mean.

    options: those of the formula that the metric has too; so many of them may be given by position.
    class_name: where it is not the formula's in capitals. name: in histories, where that is not the class's.
    """
    known = inspect.signature(function.formula).parameters
    fields = [
        (key, Any, dataclasses.field(default=known[key].default, kw_only=i >= positional))
        for i, key in enumerate(options)
    ]
    named = [("name", Any, dataclasses.field(default=name, kw_only=True))] if name else []
    text = f"The mean over all examples of `{function.__name__}`: {(function.__doc__ or '').partition(chr(10) * 2)[0]}"
    body: dict[str, Any] = {"formula": function, "targets": function.targets, "ranges": function.ranges}
    body |= {"__doc__": text, "__module__": __name__}
    called = class_name or camel_case(function.__name__)
    return dataclasses.make_dataclass(
        called, [*fields, *named], bases=(MeanMetric,), eq=False, repr=False, namespace=body
    )
