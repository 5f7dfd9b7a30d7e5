"""What `compile` was told, checked: how to train, what to measure, and what computes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from talweg import graph as g
from talweg.engines.base import Engine
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn import losses, metrics
from talweg.nn.losses import Loss
from talweg.optim import UpdateRule
from talweg.optim import get as get_optimizer
from talweg.train.arguments import listed
from talweg.train.programs import Measured


@dataclass(frozen=True)
class Compiled:
    """An update rule, a loss, and the metrics as they were asked for; `weighted_metrics` heed the examples' weights."""

    rule: UpdateRule
    loss: Loss
    metrics: list[Any]
    weighted_metrics: list[Any]
    engine: Engine

    @property
    def labels(self) -> list[str]:
        """The metrics' names in histories, those of the weighted last, each of them different."""
        labels = ["loss"]
        for prefix, asked in (("", self.metrics), ("weighted_", self.weighted_metrics)):
            for metric in asked:
                labels.append(_free(label_of(metric), prefix, labels))
        return labels[1:]

    def measured(self, y_true: Tensor, y_pred: Tensor) -> list[Measured]:
        """The metrics, now that the form of labels and predictions is known: "accuracy" depends on it."""
        asked = [(m, False) for m in self.metrics] + [(m, True) for m in self.weighted_metrics]
        return [
            Measured(label, metrics.get(m, y_pred, y_true), weighted)
            for label, (m, weighted) in zip(self.labels, asked, strict=True)
        ]


def compiled(optimizer: Any, loss: Any, metrics: Any, weighted_metrics: Any, engine: Engine) -> Compiled:
    """`Compiled` of names, objects and functions; raises `UsageError` and `UnknownNameError`."""
    one = listed(loss) if isinstance(loss, (list, tuple)) else [loss]
    if len(one) != 1 or one[0] is None:
        raise UsageError(f"compile() needs one loss, for instance loss='mse'; got {loss!r}")
    told = Compiled(get_optimizer(optimizer), losses.get(one[0]), listed(metrics), listed(weighted_metrics), engine)
    if told.loss.reduction in (None, "none"):
        raise UsageError("a model is trained on one number: the loss's reduction must not be None in compile()")
    _ = told.labels  # an unknown metric is an error now, not in fit
    return told


def label_of(metric: Any) -> str:
    """What a metric is called, whatever the data will be. Raises `UnknownNameError` for a name in no table.

    >>> label_of("acc"), label_of(metrics.R2Score())
    ('acc', 'r2_score')
    """
    some = g.input_tensor("y", (g.BATCH, 2))
    return metrics.get(metric, some, some).label


def _free(label: str, prefix: str, taken: Sequence[str]) -> str:
    """The label, made different from those that are taken as Keras makes it so."""
    if label in taken and prefix:
        label = prefix + label
    i = 1
    free = label
    while free in taken:
        free, i = f"{label}_{i}", i + 1
    return free
