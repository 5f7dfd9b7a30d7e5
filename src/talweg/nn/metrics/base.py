"""What a metric is: accumulators, what a batch adds to them, and what they come to. And the mean of a formula."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Array, Tensor
from talweg.nn.losses import LossFunction, Targets
from talweg.nn.losses.base import along_steps, check_dtype
from talweg.nn.losses.weights import beside, by_example, ranked, weighted
from talweg.registry import Described, Registry, camel_case, refuse_overrides, snake_case

METRICS: Registry[type[Metric]] = Registry("metric")

States = Mapping[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


PASSED_OVER = dict.fromkeys(
    ("update_state", "result", "reset_state", "add_variable", "add_weight", "get_config", "__call__"),
    "write accumulators(y_pred), accumulate(y_true, y_pred, weight, s) and outcome(s) on tensors",
)
"""Methods that Keras calls where a subclass writes them, and what to do here."""


@dataclass(eq=False, repr=False)
class Metric(Described):
    """The base: subclasses write `accumulators`, `accumulate` and `outcome`."""

    registry: ClassVar[Registry[Any]] = METRICS
    targets: ClassVar[Targets] = "values"
    additive: ClassVar[bool] = False  # whether a batch adds the same to the accumulators, whatever is in them

    _: KW_ONLY
    name: str | None = None
    dtype: str | None = None  # taken for Keras's sake: a model computes in its precision

    def __init_subclass__(cls, has_name: bool = True) -> None:
        refuse_overrides(cls, PASSED_OVER)
        if has_name:
            METRICS.register(cls.__name__, cls, snake_case(cls.__name__))

    def __post_init__(self) -> None:
        super().__post_init__()
        check_dtype(self)
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
        """The accumulators after a batch. weight: (batch,), 1 where no weights were given.

        Where `sample_weight` has a number for each of an example's values, so has weight.
        """
        raise UsageError(f"{type(self).__name__} must define accumulate(y_true, y_pred, weight, s)")

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """`accumulate` for `weight` as it was given, if it was. mask: which steps of y_pred count; a mean heeds it."""
        return self.accumulate(y_true, y_pred, by_example(weight, y_pred.shape[0]), s)

    def outcome(self, s: States) -> Tensor:
        """What the accumulators come to."""
        return safe_ratio(s["total"], s["count"])

    # ── by itself, on arrays ──────────────────────────────────────────────────────────────────────────────

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels and predictions. Raises `ShapeError` where their shapes do not fit."""
        pred = g.constant(np.atleast_1d(y_pred), "float")
        true = g.constant(np.atleast_1d(y_true), "int" if self.targets == "classes" else "float")
        weight = None if sample_weight is None else g.constant(sample_weight, "float")
        if self._totals is None:  # type: ignore[attr-defined]
            object.__setattr__(self, "_totals", {k: np.zeros(v) for k, v in self.accumulators(pred).items()})
        so_far: dict[str, Array] = self._totals  # type: ignore[attr-defined]
        if self.additive:  # what a batch adds is computed as precisely as it is given, and summed in float64
            new = self.added(true, pred, {k: g.constant(np.zeros(v.shape)) for k, v in so_far.items()}, weight)
            is_double = isinstance(y_pred, (np.ndarray, np.float64)) and y_pred.dtype == np.float64
            values = g.evaluate(new.values(), precision="float64" if is_double else "float32")
            after = {k: so_far[k] + values[t].astype(np.float64) for k, t in new.items()}
        else:
            new = self.added(true, pred, {k: g.constant(v) for k, v in so_far.items()}, weight)
            values = g.evaluate(new.values(), precision="float64")
            after = {k: values[t] for k, t in new.items()}
        object.__setattr__(self, "_totals", after)

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


def safe_ratio(total: Tensor, count: Tensor) -> Tensor:
    """total / count, and 0 where count is 0."""
    return g.where(g.equal(count, 0.0), 0.0, total / g.where(g.equal(count, 0.0), 1.0, count))


def per_example(values: Tensor, weight: Tensor | None, reduce: Any = g.mean) -> tuple[Tensor, Tensor]:
    """What each example adds to a total, and how much it counts, as in Keras; of one number alone, these.

    An example's values are averaged (or what `reduce` says) as far as they share a weight, then weighed, and averaged.
    """
    if weight is None:
        each = _over(values, range(1, values.rank), reduce)
        return each, g.ones_like(each)
    values, weight = ranked(values, weight)
    fitted = beside(weight, values)
    shared = range(weight.rank, values.rank)
    if shared and (weight.rank == 0 or fitted.rank == values.rank):  # else they lie along the last axes
        values, fitted = _over(values, shared, reduce), g.reshape(fitted, weight.shape)
    fitted = g.broadcast_to(fitted, values.shape) if values.rank else fitted
    rest = range(1, values.rank)
    return _over(values * fitted, rest, reduce), _over(fitted, rest, reduce)


def _over(values: Tensor, axes: range, reduce: Any) -> Tensor:
    found: Tensor = reduce(values, axis=axes) if axes else values
    return found


# ── the mean of a formula ─────────────────────────────────────────────────────────────────────────────────

FORMULAS: Registry[LossFunction] = Registry("formula")
"""Formulas of metrics, those of losses aside."""


def formula(
    targets: Targets = "values", ranges: Mapping[str, str] | None = None
) -> Callable[[Callable[..., Tensor]], LossFunction]:
    """Registers the function below. Like a loss's formula it takes tensors or arrays, and labels that nearly fit."""
    return lambda f: FORMULAS.register(f.__name__, LossFunction(f, targets=targets, ranges=ranges))


class MeanMetric(Metric, has_name=False):
    """The weighted mean of a formula over all examples.

    Labels that the formula is told to ignore cost nothing. Where there are weights they do not count either, as in
    Keras.
    """

    formula: LossFunction
    additive = True

    @property
    def given(self) -> dict[str, Any]:
        """What the formula takes besides labels and predictions."""
        return {k: v for k, v in self.settings().items() if k not in ("name", "dtype")}

    def values(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """What is averaged: a value for each example, or several."""
        found: Tensor = self.formula(y_true, y_pred, **self.given)
        return found

    def accumulate(self, y_true: Tensor, y_pred: Tensor, weight: Tensor, s: States) -> dict[str, Tensor]:
        return self.added(y_true, y_pred, s, weight)

    def added(
        self, y_true: Tensor, y_pred: Tensor, s: States, weight: Tensor | None = None, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        values = self.values(y_true, y_pred)
        if mask is not None:
            kept = along_steps(mask, values, f"metric {self.label!r}")
            values, weight = g.where(kept, values, 0.0), weighted(g.cast(kept, "float"), weight)
        if weight is not None and (counts := self.formula.counted(y_true, y_pred, **self.given)) is not None:
            weight = weighted(counts, weight)
        return added_up(values, weight, s)


def added_up(values: Tensor, weight: Tensor | None, s: States) -> dict[str, Tensor]:
    """The total and the count of a weighted mean, after some more values."""
    each, counts = per_example(values, weight)
    return {"total": s["total"] + g.sum(each), "count": s["count"] + g.sum(counts)}


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
