"""Losses of regions: how far what was marked and what should be lie over each other. Keras's names.

They sum over `axis`, by default over all axes and so over the whole batch: one number, for which examples depend on
each other, as in Keras. ``axis=-1``, or ``axis=(1, 2, 3)`` for pictures, gives each example a loss of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn.losses.base import EPSILON, loss, loss_class

Axis = int | Sequence[int] | None


@loss(targets="binary")
def dice(y_true: Tensor, y_pred: Tensor, *, axis: Axis = None) -> Tensor:
    r"""$1 - \frac{2 \sum y \hat y}{\sum y + \sum \hat y + 10^{-7}}$ over `axis`, for masks y and ŷ from 0 to 1.

    Sørensen and Dice's coefficient, taken from 1: 0 where both are the same mask (Milletari et al., 2016).

    >>> dice([[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], axis=-1)
    array([0.3333333, 1.       ], dtype=float32)
    """
    return 1 - 2 * g.sum(y_true * y_pred, axis) / (g.sum(y_true, axis) + g.sum(y_pred, axis) + EPSILON)


@loss(targets="binary")
def tversky(y_true: Tensor, y_pred: Tensor, alpha: float = 0.5, beta: float = 0.5, *, axis: Axis = None) -> Tensor:
    r"""$1 - t / (t + \alpha m + \beta f + 10^{-7})$: of what was found, t, missed, m, and a false alarm, f.

    $t = \sum y \hat y$, $m = \sum y (1 - \hat y)$, $f = \sum (1 - y) \hat y$. The sums are over `axis`. With α = β = ½
    it is `dice`. α weighs what was missed and β false alarms, as Keras computes it; Salehi et al. (2017), and Keras's
    documentation, have them the other way round.
    """
    both = g.sum(y_true * y_pred, axis)
    missed, false_alarms = g.sum((1 - y_pred) * y_true, axis), g.sum(y_pred * (1 - y_true), axis)
    return 1 - both / (both + missed * alpha + false_alarms * beta + EPSILON)


Dice = loss_class(dice)
Tversky = loss_class(tversky)
