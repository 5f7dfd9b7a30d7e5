"""The moment from which a loss is no finite number: where it was, and what is likely to help."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from talweg.errors import DivergenceWarning, warn
from talweg.graph import Array
from talweg.optim import UpdateRule
from talweg.train.history import History


class DivergenceWatch:
    """Tells of the first loss that is NaN or infinite, once a fit, and notes its place in ``history.params``.

    is_told: False where a callback does that (`Callback.handles_divergence`).
    """

    def __init__(self, rule: UpdateRule, history: History, is_told: bool) -> None:
        self._rule, self._params, self._is_told = rule, history.params, is_told

    def look(self, loss: float, epoch: int, first: int, last: int) -> None:
        """Looks at the mean loss after the batches `first` to `last` of an epoch, from which a NaN does not vanish."""
        if math.isfinite(loss) or "diverged" in self._params:
            return
        self._params["diverged"] = {"epoch": epoch, "batch": last - 1}
        where = f"batch {last}" if first == last else f"batches {first} to {last}"
        if epoch == 0 and last == 1:
            advice = (
                "It is so before any step: look for weights that are NaN already, very large numbers in x or y, a "
                "ReLU before a cross-entropy, and logarithms or divisions of your own in the loss."
            )
        else:
            advice = (
                f"The steps are too long: try {_slower(self._rule)}clipnorm=1.0 in the optimizer, or scaled x and y."
            )
        self._tell(f"the loss became {loss} in {where} of epoch {epoch + 1}. {advice}")

    def look_at_validation(self, loss: float, epoch: int) -> None:
        """Looks at the mean loss of a validation."""
        if math.isfinite(loss) or "diverged" in self._params:
            return
        self._params["diverged"] = {"epoch": epoch, "batch": None}
        self._tell(
            f"the validation loss became {loss} after epoch {epoch + 1}, and the loss of training did not. Compare the "
            "scale of the validation data with that of training, or try " + _slower(self._rule).removesuffix(", ") + "."
        )

    def _tell(self, message: str) -> None:
        if self._is_told:
            warn(f"{message} Callback TerminateOnNaN() ends a fit there.", DivergenceWarning)


def _slower(rule: UpdateRule) -> str:
    rate: Any = rule.learning_rate
    return f"a smaller learning rate than {rate:g}, " if isinstance(rate, float) else "smaller learning rates, "


def tell_if_not_finite(loss: float) -> None:
    """Of `evaluate`."""
    if not math.isfinite(loss):
        warn(
            f"the loss on this data is {loss}. Look at predict(x): where it holds NaN, so do the weights; the model "
            "is to be trained anew, with smaller steps; else x or y hold very large numbers.",
            DivergenceWarning,
        )


def tell_of_predictions(answers: list[Array]) -> None:
    """Of `predict`, where rows hold what is no number."""
    for y in answers:
        if np.isfinite(y).all():
            continue
        rows = np.flatnonzero(~np.isfinite(y).reshape(len(y), -1).all(axis=1))
        warn(
            f"{len(rows)} of {len(y)} predictions hold NaN or infinity, row {rows[0]} the first. Where all do, the "
            "weights are broken by a training that diverged: train anew, with smaller steps. Else look at those rows.",
            DivergenceWarning,
        )
        return
