"""Metrics by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from talweg.errors import UnknownNameError, UsageError
from talweg.graph import Tensor
from talweg.nn import losses
from talweg.nn.metrics.accuracy import BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy
from talweg.nn.metrics.base import METRICS, Metric
from talweg.nn.metrics.of_losses import BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy
from talweg.nn.metrics.reduction import MeanMetricWrapper

ACCURACIES = (BinaryAccuracy, SparseCategoricalAccuracy, CategoricalAccuracy)
CROSSENTROPIES = (BinaryCrossentropy, SparseCategoricalCrossentropy, CategoricalCrossentropy)
FITTING = {"accuracy": ACCURACIES, "acc": ACCURACIES, "crossentropy": CROSSENTROPIES, "ce": CROSSENTROPIES}
"""Names that mean what fits the labels: one for two classes, for class numbers, and for one-hot rows."""


def get(identifier: Any, y_pred: Tensor | None = None, y_true: Tensor | None = None) -> Metric:
    """A metric from its name, its class, a loss's formula, or any function of (y_true, y_pred) on tensors.

    "accuracy" and "crossentropy" are those that fit: binary for one column, sparse for class numbers, categorical for
    one-hot rows. Raises `UnknownNameError` for a name in no table, `UsageError` for what is no metric.
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, dict):
        return Metric.from_config(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return _made(identifier)
    if not isinstance(identifier, str):
        return MeanMetricWrapper(identifier)
    if identifier in FITTING and y_pred is not None and y_true is not None:
        return FITTING[identifier][_form(y_true, y_pred)](name=identifier)
    if identifier not in METRICS and identifier in losses.Loss.registry:
        return MeanMetricWrapper(identifier, identifier)
    if identifier not in METRICS:
        raise UnknownNameError("metric", identifier, [*FITTING, *METRICS])
    return _made(METRICS.get(identifier), name=identifier)


def _made(metric: type[Metric], **named: str) -> Metric:
    if missing := [f.name for f in dataclasses.fields(metric) if f.init and f.default is dataclasses.MISSING]:
        raise UsageError(f"{metric.__name__} needs to be told: metrics.{metric.__name__}({missing[0]}=...)")
    return metric(**named)


def _form(y_true: Tensor, y_pred: Tensor) -> int:
    """Which of `FITTING` it is, by Keras's rule."""
    if y_pred.shape[-1] == 1 or y_pred.rank == 1:
        return 0
    return 1 if y_true.rank < y_pred.rank or y_true.shape[-1] == 1 else 2
