"""What watches one quantity of the logs, and knows which of two values of it is better."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from talweg.errors import UsageError, warn
from talweg.nn.losses import Loss
from talweg.registry import snake_case
from talweg.train.callbacks.arguments import number, one_of, text
from talweg.train.callbacks.base import Callback, Logs

RISING = ("acc", "precision", "recall", "auc", "f1", "fbeta", "r2", "iou", "similarity", "specificity", "sensitivity")
FALLING = ("loss", "error", "entropy", "divergence", "perplexity", "mse", "mae", "rmse", "mape", "msle", "hinge")


def direction(name: str) -> str | None:
    """Whether a quantity of this name is better small ("min") or large ("max"); None where its name does not tell.

    >>> direction("val_loss"), direction("sparse_categorical_accuracy"), direction("r2"), direction("my_score")
    ('min', 'max', 'max', None)
    """
    bare = name.removeprefix("val_").lower()
    if any(part in FALLING for part in bare.split("_")) or bare in Loss.registry:
        return "min"
    return "max" if any(part.startswith(RISING) for part in bare.split("_")) else None


class Watcher(Callback):
    """The base of callbacks that look at one quantity of the logs at the end of each epoch."""

    def __init__(self, monitor: str) -> None:
        super().__init__()
        self.monitor = text(monitor, "monitor", "the name of a quantity in the logs, such as 'loss'")
        self._has_warned = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._has_warned = False

    def current(self, epoch: int, logs: Logs | None) -> float | None:
        """The quantity's value now. Where there is none, None and, once in a fit, a warning."""
        value: Any = (logs or {}).get(self.monitor)
        if value is not None and np.size(value) == 1:
            return float(value)
        if not self._has_warned and not self.is_between_validations(epoch):
            self._has_warned = True
            warn(self._missing(logs or {}))
        return None

    def is_between_validations(self, epoch: int) -> bool:
        """Whether the quantity is one of validation, and none follows this epoch."""
        fitting = getattr(self.model, "fitting", None)
        return self.monitor.startswith("val_") and fitting is not None and not fitting.plan.validates(epoch)

    def _missing(self, logs: Logs) -> str:
        no_validation = self.monitor.startswith("val_") and not any(k.startswith("val_") for k in logs)
        return (
            f"{type(self).__name__} watches {self.monitor!r}, which is not a number in the logs of this epoch, and "
            f"does nothing without it; available: {', '.join(logs) or 'nothing'}."
            + (" Pass validation_data or validation_split to fit." if no_validation else "")
        )


class Monitor(Watcher):
    """The base of callbacks that wait for a quantity to improve.

    monitor    the name of a quantity in the logs, such as "val_loss"
    mode       "min" or "max": what is better; "auto" goes by the quantity's name
    min_delta  by how much a value must be better than the best before to count as an improvement
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        super().__init__(monitor)
        self.mode = one_of(mode, "mode", ("auto", "min", "max"))
        self.min_delta = abs(number(min_delta, "min_delta"))
        self.best: float | None = None
        self._better_is = self.mode if self.mode != "auto" else direction(monitor)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        if self._better_is is None:
            self._better_is = self._direction_of_metric()

    def _direction_of_metric(self) -> str:
        """For a metric under a name of its own: by its class."""
        compiled = getattr(self.model, "_compiled", None)
        for label, _, metric, _ in compiled.asked() if compiled is not None else ():
            if label == self.monitor.removeprefix("val_") and (found := direction(snake_case(type(metric).__name__))):
                return found
        raise UsageError(
            f"{type(self).__name__}: whether {self.monitor!r} is better large or small cannot be told from its name; "
            "pass mode='max' or mode='min'"
        )

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether `value` improves on `than` by more than `min_delta`. NaN never does."""
        if math.isnan(value):
            return False
        if than is None:
            return True
        return value + self.min_delta < than if self._better_is == "min" else value - self.min_delta > than
