"""Connectionist temporal classification: the loss of a sequence of labels that come at unknown steps of a longer one.

Graves et al., "Connectionist temporal classification" (2006). A path names a label or the blank at each step; what it
spells has repetitions merged and blanks left out. The loss is -ln of the probability that some path spells the labels.

>>> import numpy as np
>>> ctc(np.array([[1, 2]]), np.zeros((1, 3, 3)))                # 5 of the 27 paths spell 1, 2
array([1.686399], dtype=float32)
"""

from __future__ import annotations

import functools
import operator
from typing import Any

from talweg import graph as g
from talweg.errors import ShapeError, UsageError
from talweg.graph import Tensor
from talweg.nn.losses.base import loss, loss_class

NEVER = -(2.0**99)  # the logarithm of a probability of 0: far below all others, and a number, so that no slope is NaN


def _is_label(labels: Tensor, blank: int) -> Tensor:
    return g.where(labels < 0, False, g.where(g.equal(labels, blank), False, True))


def _split(y: Tensor) -> tuple[Tensor, Tensor]:
    """The number of steps that count, and the labels."""
    most = y.shape[1]
    return g.reshape(g.slice(y, [None, (0, 1)]), (y.shape[0],)), g.slice(y, [None, (1, most)])  # type: ignore[list-item]


def number_of_labels(y_true: Tensor, y_pred: Tensor, blank: int = 0, input_lengths: bool = False, **_: Any) -> Tensor:
    """Of each example; 1 where there are none."""
    labels = _split(y_true)[1] if input_lengths else y_true
    return g.maximum(g.sum(g.cast(_is_label(labels, blank), "float"), 1), 1.0)


@loss(class_name="CTC", targets="sequences")
def ctc(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$-\ln P(y \mid \hat y)$ for labels y (batch, most labels), 0 or below where there are no more.

    y_pred: logits (batch, steps, classes); class 0 is the blank. See `CTCLoss` for another blank, inputs of several
    lengths, and labels for which there are too few steps: here they cost ∞, without a slope.
    """
    return spelled(y_pred, y_true, _is_label(y_true, 0), None, 0)


@loss(class_name="CTCLoss", targets="sequences", sizes=number_of_labels)
def ctc_loss(
    y_true: Tensor, y_pred: Tensor, blank: int = 0, zero_infinity: bool = False, input_lengths: bool = False
) -> Tensor:
    r"""$-\ln P(y \mid \hat y)$, PyTorch's: labels y (batch, most labels), `blank` or below 0 where there are no more.

    y_pred: (batch, steps, classes), where PyTorch has the steps first; logits, or logarithms of probabilities, which
    say the same. input_lengths: y begins with a column that says how many steps of ŷ count; the others are not looked
    at. zero_infinity: labels for which there are too few steps cost 0 and not ∞; they have no slope in either case.
    The mean of the batch is that of each example's loss divided by the number of its labels, as in PyTorch.
    """
    steps, labels = _split(y_true) if input_lengths else (None, y_true)
    value = spelled(y_pred, labels, _is_label(labels, blank), steps, blank)
    return g.where(value > -NEVER / 2, 0.0, value) if zero_infinity else value


def spelled(logits: Tensor, labels: Tensor, is_label: Tensor, steps: Tensor | None, blank: int) -> Tensor:
    """-ln of the probability that a path through `logits` spells the labels for which `is_label` holds; (batch,).

    α[s] is the probability of all ways to have come to place s of (blank, label, blank, label, ..., blank). It comes
    from the same place, from the one before, or from the label before where that is another one. All in logarithms,
    each a whole number and the rest, with the largest whole number taken out at each step and added up apart: whole
    numbers are exact (in float32 to 2^24), so that ways of nearly one probability keep the digits in which they differ,
    however far the logits lie from 0 and however long the sequence is.
    """
    if logits.rank != 3 or labels.rank != 2:
        raise ShapeError(
            f"CTC takes logits of (batch, steps, classes) and labels of (batch, most labels); "
            f"got {list(logits.shape)} and {list(labels.shape)}"
        )
    rows, times, classes = logits.shape
    if not isinstance(classes, int) or not 0 <= blank < classes:
        raise UsageError(f"CTC: blank is the number of a class, from 0 to {classes} - 1; got {blank!r}")
    places = _between(labels, blank)
    long = places.shape[1]
    at = g.broadcast_to(g.expand_dims(places, 1), (rows, times, long))
    whole_p, rest_p = (g.take(x, at, paired=2) for x in _log_probabilities(logits))  # (batch, steps, places)
    differs = g.where(g.equal(places, _moved(places, 2, blank)), False, True)  # blanks follow blanks

    def step(
        whole_p: Tensor, rest_p: Tensor, counts: Tensor, whole: Tensor, rest: Tensor, taken: Tensor
    ) -> tuple[list[Tensor], list[Tensor]]:
        ways = [whole, _moved(whole, 1, NEVER), g.where(differs, _moved(whole, 2, NEVER), NEVER)]
        top = functools.reduce(g.maximum, ways)
        parts = [g.exp(way - top + _moved(rest, by, 0.0)) for by, way in enumerate(ways)]
        after = g.log(functools.reduce(operator.add, parts)) + rest_p
        carried = g.floor(after)
        after_whole = top + whole_p + carried
        largest = g.max(after_whole, 1, keepdims=True)
        new = [after_whole - largest, after - carried, taken + largest]
        return [g.where(counts, x, before) for x, before in zip(new, (whole, rest, taken), strict=True)], []

    first = g.broadcast_to(g.constant([0.0] + [NEVER] * (long - 1)), (rows, long))  # type: ignore[operator]
    nothing = g.broadcast_to(g.constant(0.0), (rows, 1))
    length = float(times) if steps is None else g.reshape(g.cast(steps, "float"), (rows, 1, 1))  # type: ignore[arg-type]
    counts = g.broadcast_to(g.expand_dims(_numbers(times), 1), (rows, times, 1)) < length
    start = [first, g.zeros_like(first), nothing]
    [whole, rest, taken], _ = g.scan(step, [whole_p, rest_p, counts], start, name="ctc")

    end = 2.0 * g.sum(g.cast(is_label, "float"), 1, keepdims=True) - _numbers(long)
    is_end = g.where(end < 0, False, end < 2)  # the blank after the last label, or that label
    whole = g.where(is_end, whole, NEVER)
    top = g.max(whole, 1, keepdims=True)
    total = g.sum(taken + top, 1) + g.log(g.sum(g.exp(whole - top + rest), 1))
    return g.where(total < NEVER / 2, float("inf"), -total)


def _log_probabilities(logits: Tensor) -> list[Tensor]:
    """log_softmax, as a whole number and the rest: nothing of a logit's digits is lost to the size of another."""
    top = g.stop_gradient(g.max(logits, -1, keepdims=True))
    logs = g.log(g.sum(g.exp(logits - top), -1, keepdims=True))
    finite, top_whole = g.maximum(logits, NEVER), g.floor(top)
    whole = g.floor(finite)
    return [whole - top_whole, (finite - whole) - (top - top_whole) - logs]


def _numbers(n: Any) -> Tensor:
    """0, 1, ..., n - 1."""
    return g.constant([float(i) for i in range(n)])


def _between(labels: Tensor, blank: int) -> Tensor:
    """(batch, 2 · most + 1): the labels, with blanks before, between and after them."""
    rows, most = labels.shape
    pairs = g.concat([g.broadcast_to(g.constant(blank, labels.dtype), (rows, most, 1)), g.expand_dims(labels, 2)])
    flat = g.reshape(pairs, (rows, 2 * most))  # type: ignore[operator]
    return g.concat([flat, g.broadcast_to(g.constant(blank, labels.dtype), (rows, 1))])


def _moved(x: Tensor, by: int, first: float) -> Tensor:
    """x (batch, places), each number `by` places later."""
    return g.slice(g.pad(x, [(0, 0), (by, 0)], first), [None, (0, x.shape[1])])  # type: ignore[list-item]


CTC = loss_class(ctc)
CTCLoss = loss_class(ctc_loss)
