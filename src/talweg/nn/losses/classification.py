"""Losses of classes, as Keras has them: cross-entropies of probabilities or logits, divergence, and hinges."""

from __future__ import annotations

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn.losses.base import EPSILON, loss, loss_class

SMOOTHING = {"label_smoothing": "[0, 1]"}

# ── of probabilities, or of logits ────────────────────────────────────────────────────────────────────────


def logistic(y: Tensor, z: Tensor, positive: Tensor | None = None) -> Tensor:
    r"""$-p\,y \ln \sigma(z) - (1 - y) \ln \sigma(-z)$ for labels y in [0, 1], stable for any finite z; p = 1."""
    linear, curved = g.maximum(-z, 0.0), g.log1p(g.exp(-abs(z)))  # of ln(1 + e^-z)
    if positive is not None:
        part = (positive - 1.0) * y + 1.0
        linear, curved = part * linear, part * curved
    return (1 - y) * z + linear + curved  # in this order: what is large cancels first, exactly


@loss("bce", "BCE", targets="binary", sees_through="sigmoid", ranges=SMOOTHING)
def binary_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    r"""$-\frac{1}{k} \sum_k y_k \ln \hat y_k + (1 - y_k) \ln(1 - \hat y_k)$ over `axis`, in nats.

    Stable for any finite logits z: $\max(z, 0) - y z + \ln(1 + e^{-|z|})$. Given probabilities it clips them to
    [1e-7, 1 - 1e-7], as Keras does; where a sigmoid made them, it takes the sigmoid's logits instead.
    label_smoothing: the part of each label that is moved to ½.
    """
    y = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return g.mean(logistic(y, y_pred), axis)
    p = g.clip(y_pred, EPSILON, 1 - EPSILON)
    return g.mean(-(y * g.log(p) + (1 - y) * g.log(1 - p)), axis)


@loss(targets="one_hot", sees_through="softmax", ranges=SMOOTHING)
def categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    r"""$-\sum_c y_c \ln \hat y_c$ over `axis`, in nats; y's rows sum to 1.

    Stable for any finite logits z: $-\sum_c y_c \,\mathrm{log\_softmax}(z)_c$. Given probabilities it first makes
    their sum 1 and clips them to [1e-7, 1 - 1e-7], as Keras does; where a softmax made them, it takes the softmax's
    logits instead. label_smoothing: the part of each row that is spread over all classes.
    """
    y = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]  # type: ignore[operator]
    return -g.sum(y * log_probabilities(y_pred, from_logits, axis), axis)


def log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    """ln of the classes' probabilities along `axis`, of logits or of probabilities that need not sum to 1."""
    if from_logits:
        return g.log_softmax(y_pred, axis)
    return g.log(g.clip(y_pred / g.sum(y_pred, axis, keepdims=True), EPSILON, 1 - EPSILON))


def _is_not_ignored(y_true: Tensor, y_pred: Tensor, ignore_class: int | None = None, **_: object) -> Tensor | None:
    return None if ignore_class is None else 1.0 - g.cast(g.equal(y_true, ignore_class), "float")


@loss(targets="classes", sees_through="softmax", counts=_is_not_ignored)
def sparse_categorical_crossentropy(
    y_true: Tensor, y_pred: Tensor, from_logits: bool = False, ignore_class: int | None = None, *, axis: int = -1
) -> Tensor:
    r"""$-\ln \hat y_c$ for the class number c = y_true, in nats: `categorical_crossentropy` without one-hot rows.

    ignore_class: a label with this number (often -1, or 255) costs nothing and does not count in the mean.
    """
    y_pred = classes_last(y_pred, axis)
    one_hot = g.one_hot(y_true, y_pred.shape[-1])  # type: ignore[arg-type]
    if (counts := _is_not_ignored(y_true, y_pred, ignore_class)) is not None:
        one_hot = one_hot * g.expand_dims(counts, -1)
    return categorical_crossentropy.formula(one_hot, y_pred, from_logits=from_logits)


def classes_last(x: Tensor, axis: int) -> Tensor:
    """`x` with the axis of its classes moved to the end."""
    at = axis % x.rank
    return g.transpose(x, [*(a for a in range(x.rank) if a != at), at])


@loss(targets="binary", sees_through="sigmoid", ranges={**SMOOTHING, "gamma": "[0, inf)"})
def binary_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    r"""`binary_crossentropy` of each output times $(1 - p_t)^\gamma$, with $p_t = y \hat y + (1 - y)(1 - \hat y)$.

    What is already right counts little (Lin et al., 2017). apply_class_balancing: times α where y = 1, 1 - α where
    y = 0. Of logits it is stable, where Keras clips.
    """
    y = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        p, cost = g.sigmoid(y_pred), logistic(y, y_pred)
        wrong = y * g.sigmoid(-y_pred) + (1 - y) * p
    else:
        p = g.clip(y_pred, EPSILON, 1 - EPSILON)
        cost = -(y * g.log(p) + (1 - y) * g.log(1 - p))
        wrong = y * (1 - p) + (1 - y) * p
    balance = y * alpha + (1 - y) * (1 - alpha) if apply_class_balancing else 1.0
    return g.mean(balance * wrong**gamma * cost, axis)


@loss(targets="one_hot", sees_through="softmax", ranges={**SMOOTHING, "gamma": "[0, inf)"})
def categorical_focal_crossentropy(
    y_true: Tensor,
    y_pred: Tensor,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    r"""$-\sum_c \alpha (1 - \hat y_c)^\gamma y_c \ln \hat y_c$ over `axis` (Lin et al., 2017)."""
    y = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]  # type: ignore[operator]
    logs = log_probabilities(y_pred, from_logits, axis)
    return -g.sum(alpha * (-g.expm1(logs)) ** gamma * y * logs, axis)


@loss(targets="classes", ranges={"q": "(0, 1]"})
def categorical_generalized_cross_entropy(y_true: Tensor, y_pred: Tensor, q: float = 0.5) -> Tensor:
    r"""$(1 - \hat y_c^{\,q}) / q$ for the class number c = y_true and probabilities ŷ.

    For labels some of which are wrong: near q = 0 it is the cross-entropy, at q = 1 the distance, at which such labels
    pull less (Zhang and Sabuncu, 2018). Where $\hat y_c$ is 0 its slope is 0, the limit below a softmax; in Keras it is
    infinite. Raises `UsageError` unless 0 < q ≤ 1.

    >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]])
    array([1.], dtype=float32)
    """
    p = g.sum(g.one_hot(y_true, y_pred.shape[-1]) * y_pred, axis=-1)  # type: ignore[arg-type]
    return (1 - g.where(p <= 0, 0.0, g.where(p <= 0, 1.0, p) ** q)) / q


@loss("kld", "KLD", class_name="KLDivergence")
def kl_divergence(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\sum_c y_c \ln(y_c / \hat y_c)$ over the last axis, in nats, with both clipped to [1e-7, 1], as in Keras.

    Kullback and Leibler's divergence of ŷ from y. Of log-probabilities: `KLDivLoss`.
    """
    y, p = g.clip(y_true, EPSILON, 1.0), g.maximum(y_pred, EPSILON)
    p = g.where(p > 1, 1.0, p)  # not `clip`, which would halve the slope of a softmax that has come to 1
    return g.sum(y * g.log(y / p), axis=-1)


# ── of scores: a margin between right and wrong ───────────────────────────────────────────────────────────


@loss(targets="signs")
def hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k \max(0, 1 - y_k \hat y_k)$ over the last axis, for labels -1 and 1 (0 counts as -1).

    >>> hinge([1.0, -1.0], [0.5, 0.5]), hinge([1, 0], [0.5, 0.5])
    (array(1., dtype=float32), array(1., dtype=float32))
    """
    return g.mean(g.maximum(1 - y_true * y_pred, 0.0), axis=-1)


@loss(targets="signs")
def squared_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\frac{1}{k} \sum_k \max(0, 1 - y_k \hat y_k)^2$ over the last axis, for labels -1 and 1 (0 counts as -1)."""
    return g.mean(g.square(g.maximum(1 - y_true * y_pred, 0.0)), axis=-1)


@loss(targets="one_hot")
def categorical_hinge(y_true: Tensor, y_pred: Tensor) -> Tensor:
    r"""$\max(0, 1 + \max_c (1 - y_c) \hat y_c - \sum_c y_c \hat y_c)$ over the last axis, for one-hot rows y."""
    wrong = g.max((1 - y_true) * y_pred, axis=-1)
    return g.maximum(1 + wrong - g.sum(y_true * y_pred, axis=-1), 0.0)


BinaryCrossentropy = loss_class(binary_crossentropy)
CategoricalCrossentropy = loss_class(categorical_crossentropy)
SparseCategoricalCrossentropy = loss_class(sparse_categorical_crossentropy)
BinaryFocalCrossentropy = loss_class(binary_focal_crossentropy)
CategoricalFocalCrossentropy = loss_class(categorical_focal_crossentropy)
CategoricalGeneralizedCrossEntropy = loss_class(categorical_generalized_cross_entropy)
KLDivergence = loss_class(kl_divergence)
Hinge = loss_class(hinge)
SquaredHinge = loss_class(squared_hinge)
CategoricalHinge = loss_class(categorical_hinge)
