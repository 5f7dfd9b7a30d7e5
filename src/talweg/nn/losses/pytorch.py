"""Losses under PyTorch's names, value by value as its ``reduction="none"`` gives them.

They take (y_true, y_pred) like every loss here, where PyTorch takes (input, target). The classes are along the last
axis, as everywhere in Talweg; ``axis=1`` is PyTorch's layout (batch, classes, ...). A `weight` is a number for each
class; one for each example is `sample_weight`, and `reduction` is as `Loss` has it.

>>> CrossEntropyLoss(weight=[1.0, 3.0])([0, 1], [[2.0, 0.0], [2.0, 0.0]])      # (0.1269 + 3 · 2.1269) / (1 + 3)
array(1.626928, dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.nn.losses.base import loss, loss_class
from talweg.nn.losses.classification import SMOOTHING, classes_last, logistic

Weight = Sequence[float] | None


def above(z: Tensor) -> Tensor:
    """max(0, z) with slope 1 at 0, as PyTorch's clamp has it."""
    return g.where(z < 0, 0.0, z)


# ── of numbers ────────────────────────────────────────────────────────────────────────────────────────────


@loss(class_name="L1Loss")
def l1_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$|\hat y - y|$; its mean is `MeanAbsoluteError`."""
    return abs(y_pred - y_true)


@loss(class_name="MSELoss")
def mse_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$(\hat y - y)^2$; its mean is `MeanSquaredError`."""
    return g.square(y_pred - y_true)


@loss(ranges={"delta": "(0, inf)"})
def huber_loss(y_true: Tensor, y_pred: Tensor, delta: float = 1.0) -> Tensor:
    r"""$\frac12 e^2$ where $|e| < \delta$, else $\delta (|e| - \frac12 \delta)$; its mean is `Huber`."""
    error = abs(y_pred - y_true)
    return g.where(error < delta, 0.5 * g.square(error), delta * (error - 0.5 * delta))


@loss(class_name="SmoothL1Loss", ranges={"beta": "[0, inf)"})
def smooth_l1_loss(y_true: Tensor, y_pred: Tensor, beta: float = 1.0) -> Tensor:
    r"""$\frac{1}{2\beta} e^2$ where $|e| < \beta$, else $|e| - \frac12 \beta$: `HuberLoss` / β; |e| for β = 0."""
    error = abs(y_pred - y_true)
    return g.where(error < beta, (0.5 / beta) * g.square(error), error - 0.5 * beta) if beta else error


@loss(class_name="PoissonNLLLoss", ranges={"eps": "[0, inf)"})
def poisson_nll_loss(
    y_true: Tensor, y_pred: Tensor, log_input: bool = True, full: bool = False, eps: float = 1e-8
) -> Tensor:
    r"""$e^{\hat y} - y \hat y$ for counts y and the logarithm ŷ of a rate.

    log_input: whether ŷ is the logarithm; for the rate itself it is $\hat y - y \ln(\hat y + \varepsilon)$. full: adds
    Stirling's $\ln y! \approx y \ln y - y + \frac12 \ln(2 \pi y)$ where y > 1, which changes no slope.
    """
    value = g.exp(y_pred) - y_true * y_pred if log_input else y_pred - y_true * g.log(y_pred + eps)
    if not full:
        return value
    y = g.maximum(y_true, 1.0)
    return value + g.where(y_true > 1, y * g.log(y) - y + 0.5 * g.log(2 * math.pi * y), 0.0)


@loss(class_name="GaussianNLLLoss", parts=2, ranges={"eps": "(0, inf)"})
def gaussian_nll_loss(y_true: Tensor, mean: Tensor, variance: Tensor, full: bool = False, eps: float = 1e-6) -> Tensor:
    r"""$\frac12 \left(\ln v + (y - \mu)^2 / v\right)$ for predictions μ and v > 0 side by side: ŷ = [μ, v].

    For y of (batch, k) the prediction has shape (batch, 2k), means first, as ``Concatenate()([mean, variance])`` or a
    last layer of 2k units makes it; something such as a softplus must keep v positive. Less than `eps` counts as `eps`
    and keeps its slope, as in PyTorch, which takes v as an argument of its own. full: adds ½ ln 2π.
    """
    v = g.stop_gradient(g.maximum(variance, eps)) + (variance - g.stop_gradient(variance))
    return 0.5 * (g.log(v) + g.square(mean - y_true) / v) + (0.5 * math.log(2 * math.pi) if full else 0.0)


# ── of one class of many ──────────────────────────────────────────────────────────────────────────────────


def class_weight(weight: Weight, x: Tensor) -> Tensor:
    """A number for each class, along the last axis of x: 1 where none are given."""
    classes = x.shape[-1]
    if weight is not None and np.shape(weight) != (classes,):
        raise UsageError(f"weight must have one number for each of the {classes} classes; got {weight!r}")
    return g.constant(np.ones(classes) if weight is None else weight, "float")


def charged(q: Tensor, logs: Tensor, weight: Weight) -> Tensor:
    r"""$-\sum_c w_c q_c \ln p_c$ over the last axis; where q is 0, ln p may be -∞."""
    if weight is not None:
        q = q * class_weight(weight, logs)
    return -g.sum(g.where(g.equal(q, 0.0), 0.0, q * logs), axis=-1)


def label_weights(
    y_true: Tensor, y_pred: Tensor, weight: Weight = None, ignore_index: int = -100, axis: int = -1, **_: object
) -> Tensor | None:
    """How much each label counts: as its class does, and not at all where it is ignored; rows count alike."""
    if y_true.rank == y_pred.rank:
        return None
    counts = 1.0 - g.cast(g.equal(y_true, ignore_index), "float")
    if weight is None:
        return counts
    weights = class_weight(weight, classes_last(y_pred, axis))
    return counts * g.sum(g.one_hot(y_true, weights.shape[0]) * weights, axis=-1)  # type: ignore[arg-type]


@loss("cross_entropy", targets="classes_or_rows", counts=label_weights, ranges=SMOOTHING)
def cross_entropy_loss(
    y_true: Tensor,
    y_pred: Tensor,
    weight: Weight = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    r"""$-\sum_c w_c\, q_c \,\mathrm{log\_softmax}(z)_c$ for logits z and class numbers, or rows q over the classes.

    For a class number y, q is 1 at y; then `label_smoothing` is spread over all classes. A label `ignore_index` costs
    nothing. A mean over class numbers is divided by Σ w_y, one over rows by their number, as in PyTorch. The last layer
    has no softmax: this loss takes logits only. A class whose logit is -∞ costs nothing unless it is true.
    """
    logs = g.log_softmax(classes_last(y_pred, axis))
    classes: int = logs.shape[-1]  # type: ignore[assignment]
    is_row = y_true.rank == y_pred.rank
    q = classes_last(y_true, axis) if is_row else g.one_hot(y_true, classes)
    if label_smoothing:
        q = q * (1 - label_smoothing) + label_smoothing / classes
    if not is_row:
        q = q * g.expand_dims(1.0 - g.cast(g.equal(y_true, ignore_index), "float"), -1)
    return charged(q, logs, weight)


@loss("nll", class_name="NLLLoss", targets="classes", counts=label_weights)
def nll_loss(y_true: Tensor, y_pred: Tensor, weight: Weight = None, ignore_index: int = -100, axis: int = -1) -> Tensor:
    r"""$-w_y \hat y_y$ for log-probabilities ŷ, as a log-softmax makes them, and class numbers y.

    A label `ignore_index` costs nothing; a mean is divided by Σ w_y.
    """
    logs = classes_last(y_pred, axis)
    q = g.one_hot(y_true, logs.shape[-1])  # type: ignore[arg-type]
    q = q * g.expand_dims(1.0 - g.cast(g.equal(y_true, ignore_index), "float"), -1)
    return charged(q, logs, weight)


@loss("kl_div", class_name="KLDivLoss")
def kl_div_loss(y_true: Tensor, y_pred: Tensor, log_target: bool = False) -> Tensor:
    r"""$y (\ln y - \hat y)$ for probabilities y and log-probabilities ŷ; $e^{y} (y - \hat y)$ with `log_target`.

    ``reduction="batchmean"`` is the divergence of distributions; the plain mean also divides by their length.
    """
    if log_target:
        return g.exp(y_true) * (y_true - y_pred)
    y = g.where(y_true > 0, y_true, 1.0)
    return g.where(y_true > 0, y * (g.log(y) - y_pred), -y_true * y_pred)


@loss(targets="classes")
def multi_margin_loss(y_true: Tensor, y_pred: Tensor, p: int = 1, margin: float = 1.0, weight: Weight = None) -> Tensor:
    r"""$\frac{1}{k} \sum_{c \ne y} w_y \max(0, m - \hat y_y + \hat y_c)^p$ for class numbers y; m is the margin.

    Raises `UsageError` unless p is 1 or 2.
    """
    if p not in (1, 2):
        raise UsageError(f"MultiMarginLoss: p must be 1 or 2; got {p!r}")
    one_hot = g.one_hot(y_true, y_pred.shape[-1])  # type: ignore[arg-type]
    right = g.sum(one_hot * y_pred, axis=-1, keepdims=True)
    z = margin - right + y_pred
    short = g.where(z <= 0, 0.0, z) * (1 - one_hot)
    value = g.mean(short if p == 1 else g.square(short), axis=-1)
    return value if weight is None else value * g.sum(one_hot * class_weight(weight, y_pred), axis=-1)


# ── of several classes at once, or of two ─────────────────────────────────────────────────────────────────


@loss(class_name="BCELoss", targets="binary", sees_through="sigmoid")
def bce_loss(y_true: Tensor, y_pred: Tensor, weight: Weight = None, from_logits: bool = False) -> Tensor:
    r"""$-w \left(y \ln p + (1 - y) \ln(1 - p)\right)$ for probabilities p, with logarithms of at least -100.

    Where a sigmoid made p, its logits are taken, as by `BinaryCrossentropy`; PyTorch does not. Beyond -100 the slope is
    0 here; PyTorch's is ±1e12. weight: as `BCEWithLogitsLoss` has it.
    """
    if from_logits:
        return bce_with_logits_loss.formula(y_true, y_pred, weight)
    return _times(weight, -(y_true * _log(y_pred) + (1 - y_true) * _log(1 - y_pred)))


def _log(p: Tensor) -> Tensor:
    least = math.exp(-100)
    return g.where(p <= least, -100.0, g.log(g.where(p <= least, 1.0, p)))


def _times(weight: Weight, x: Tensor) -> Tensor:
    return x if weight is None else x * g.constant(weight, "float")


@loss("binary_cross_entropy_with_logits", class_name="BCEWithLogitsLoss", targets="binary")
def bce_with_logits_loss(y_true: Tensor, y_pred: Tensor, weight: Weight = None, pos_weight: Weight = None) -> Tensor:
    r"""$-w \left(p\,y \ln \sigma(z) + (1 - y) \ln \sigma(-z)\right)$ for logits z, stable for any finite one.

    weight, pos_weight: w and p, for each output; numbers or what broadcasts to the last axes. A p above 1 makes a miss
    dearer than a false alarm.
    """
    positive = None if pos_weight is None else g.constant(pos_weight, "float")
    return _times(weight, logistic(y_true, y_pred, positive))


@loss(targets="signs")
def soft_margin_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\ln(1 + e^{-y \hat y})$ for labels -1 and 1, stable where PyTorch overflows."""
    return g.softplus(-y_true * y_pred)


@loss(targets="signs")
def hinge_embedding_loss(y_true: Tensor, y_pred: Tensor, margin: float = 1.0) -> Tensor:
    r"""$\hat y$ where y = 1, $\max(0, m - \hat y)$ where y = -1: of distances ŷ between things alike or not."""
    return g.where(y_true > 0, y_pred, above(margin - y_pred))


@loss(targets="binary")
def multi_label_soft_margin_loss(y_true: Tensor, y_pred: Tensor, weight: Weight = None) -> Tensor:
    r"""$-\frac{1}{k} \sum_c w_c \left(y_c \ln \sigma(z_c) + (1 - y_c) \ln \sigma(-z_c)\right)$ for logits z."""
    return g.mean(logistic(y_true, y_pred) * class_weight(weight, y_pred), axis=-1)


@loss("multilabel_margin_loss")
def multi_label_margin_loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_{j \in T} \sum_{i \notin T} \max(0, 1 - (\hat y_j - \hat y_i))$ for the set T of true classes.

    A row of y lists T's class numbers, then -1; it is as long as there are classes, and what follows the first -1 is
    not looked at, as in PyTorch.
    """
    k: int = y_pred.shape[-1]  # type: ignore[assignment]
    ends = g.cast(y_true < 0, "float") @ g.constant(np.triu(np.ones((k, k))))  # how many -1 came so far
    listed = g.one_hot(y_true, k) * g.expand_dims(g.cast(g.equal(ends, 0.0), "float"), -1)
    times = g.sum(listed, axis=-2)  # how often each class is listed
    others = g.expand_dims(g.cast(g.equal(times, 0.0), "float"), -2)
    z = 1 - (g.expand_dims(y_pred, -1) - g.expand_dims(y_pred, -2))
    short = g.where(z <= 0, 0.0, z) * g.expand_dims(times, -1) * others
    return g.sum(short, axis=(-2, -1)) / float(k)


L1Loss = loss_class(l1_loss)
MSELoss = loss_class(mse_loss)
HuberLoss = loss_class(huber_loss)
SmoothL1Loss = loss_class(smooth_l1_loss)
PoissonNLLLoss = loss_class(poisson_nll_loss)
GaussianNLLLoss = loss_class(gaussian_nll_loss)
CrossEntropyLoss = loss_class(cross_entropy_loss)
NLLLoss = loss_class(nll_loss)
KLDivLoss = loss_class(kl_div_loss)
MultiMarginLoss = loss_class(multi_margin_loss)
BCELoss = loss_class(bce_loss)
BCEWithLogitsLoss = loss_class(bce_with_logits_loss)
SoftMarginLoss = loss_class(soft_margin_loss)
HingeEmbeddingLoss = loss_class(hinge_embedding_loss)
MultiLabelSoftMarginLoss = loss_class(multi_label_soft_margin_loss)
MultiLabelMarginLoss = loss_class(multi_label_margin_loss)
