"""Losses of pairs and triplets: what is alike should lie closer together than what is not. PyTorch's names.

Their predictions stand side by side along the last axis of y_pred, in equal parts, as ``Concatenate()([a, p, n])`` of a
functional model, or ``np.concatenate([a, p, n], axis=-1)``, puts them; PyTorch takes them as arguments of their own.
So a triplet of embeddings of length d is a prediction of length 3d, and all of `compile`, `fit` and `save` works.
Losses that look at no label are given any y: ``np.zeros(len(x))``, as Keras programs do, or None in a call.

>>> TripletMarginLoss(margin=1.0)(None, [[0.0, 0.0, 3.0, 4.0, 0.0, 2.0]])      # distances 5 and 2: 5 - 2 + 1
array(4., dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn.losses.base import loss, loss_class
from talweg.nn.losses.pytorch import above
from talweg.registry import Registry

Distance = Callable[[Tensor, Tensor], Tensor]

DISTANCES: Registry[Distance] = Registry("distance")
"""Functions of two tensors (..., d) that answer how far apart they are: (...)."""


def distance(function: Distance) -> Distance:
    """Registers the function below as a distance: losses then find it by name, and models that use it can be saved."""
    function.registered_name = function.__name__  # type: ignore[attr-defined]
    return DISTANCES.register(function.__name__, function)


@distance
def euclidean(a: Tensor, b: Tensor) -> Tensor:
    r"""$\sqrt{\sum_k (a_k - b_k + 10^{-6})^2}$; the small number gives equal points a slope, as in PyTorch."""
    return norm(a - b + 1e-6, 2.0)


@distance
def manhattan(a: Tensor, b: Tensor) -> Tensor:
    r"""$\sum_k |a_k - b_k|$"""
    return norm(a - b, 1.0)


@distance
def cosine(a: Tensor, b: Tensor) -> Tensor:
    r"""$1 - \frac{a \cdot b}{|a|\,|b|}$"""
    return 1 - cosine_of(a, b)


def norm(x: Tensor, p: float) -> Tensor:
    r"""$\left(\sum_k |x_k|^p\right)^{1/p}$ over the last axis; the largest $|x_k|$ for p = ∞."""
    if p == 1:
        return g.sum(abs(x), axis=-1)
    if p == 2:
        return g.sqrt(g.sum(g.square(x), axis=-1))
    return g.max(abs(x), axis=-1) if math.isinf(p) else g.sum(abs(x) ** p, axis=-1) ** (1 / p)


def cosine_of(a: Tensor, b: Tensor) -> Tensor:
    """The cosine of the angle between vectors along the last axis, 0 where one of them is 0."""
    lengths = g.sqrt(g.sum(g.square(a), axis=-1) + 1e-12) * g.sqrt(g.sum(g.square(b), axis=-1) + 1e-12)
    return g.sum(a * b, axis=-1) / lengths


# ── of pairs ──────────────────────────────────────────────────────────────────────────────────────────────


@loss(targets="signs", parts=2)
def margin_ranking_loss(y_true: Tensor, first: Tensor, second: Tensor, margin: float = 0.0) -> Tensor:
    r"""$\max(0, -y (\hat y_1 - \hat y_2) + m)$ for ŷ = [ŷ₁, ŷ₂] and y = 1 where ŷ₁ should be larger, -1 where ŷ₂."""
    return above(-y_true * (first - second) + margin)


@loss(targets="row_signs", parts=2)
def cosine_embedding_loss(y_true: Tensor, first: Tensor, second: Tensor, margin: float = 0.0) -> Tensor:
    r"""$1 - \cos(\hat y_1, \hat y_2)$ where y = 1, $\max(0, \cos(\hat y_1, \hat y_2) - m)$ where y = -1.

    y has one label for each pair: (batch,) for predictions ŷ = [ŷ₁, ŷ₂] of shape (batch, 2d).
    """
    cosines = cosine_of(first, second)
    return g.where(y_true > 0, 1 - cosines, above(cosines - margin))


# ── of triplets ───────────────────────────────────────────────────────────────────────────────────────────


@loss(targets="nothing", parts=3, ranges={"p": "(0, inf]", "eps": "[0, inf)"})
def triplet_margin_loss(
    y_true: Tensor,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Tensor:
    r"""$\max(0, d(a, p) - d(a, n) + m)$ for ŷ = [anchor, positive, negative] of shape (batch, 3d).

    d is the p-norm of the difference plus `eps`. swap: takes d(p, n) instead of d(a, n) where it is smaller (Balntas et
    al., 2016).
    """
    return _triplet(lambda a, b: norm(a - b + eps, p), anchor, positive, negative, margin, swap)


@loss(targets="nothing", parts=3)
def triplet_margin_with_distance_loss(
    y_true: Tensor,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance_function: Any = "euclidean",
    margin: float = 1.0,
    swap: bool = False,
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own: a function of two tensors, or a name in `DISTANCES`.

    Put `@talweg.losses.distance` above a function of your own, and models that use it can be saved.
    """
    between = DISTANCES.get(distance_function) if isinstance(distance_function, str) else distance_function
    return _triplet(between, anchor, positive, negative, margin, swap)


def _triplet(d: Distance, anchor: Tensor, positive: Tensor, negative: Tensor, margin: float, swap: bool) -> Tensor:
    wrong = d(anchor, negative)
    if swap:
        wrong = g.minimum(wrong, d(positive, negative))
    return above(d(anchor, positive) - wrong + margin)


# ── of all pairs in a batch ───────────────────────────────────────────────────────────────────────────────


def _counts(y_true: Tensor, y_pred: Tensor, **options: Any) -> Tensor:
    """Examples without a loss do not count in a mean."""
    return g.cast(circle.formula(y_true, y_pred, **options) > 0, "float")


@loss(targets="groups", counts=_counts)
def circle(
    y_true: Tensor, y_pred: Tensor, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True
) -> Tensor:
    r"""$\ln(1 + \sum_{j \sim i} e^{\gamma (d_{ij} + m)_+ (d_{ij} - m)} \sum_{j \not\sim i} e^{\gamma (1 + m - d_{ij})_+
    (1 - m - d_{ij})})$, where $d_{ij} = \max(0, 1 - \hat y_i \cdot \hat y_j)$ and m is the margin.

    Of embeddings ŷ of length 1 (`UnitNormalization` makes them so) and whole numbers y: those of one number should lie
    together, all others apart (Sun et al., 2020). remove_diagonal: no example is its own pair. One without a pair, or
    with nothing to be told from, costs nothing; a mean is over those that cost something, as in Keras. All pairs of a
    batch are looked at, so examples depend on each other.
    """
    d = g.maximum(1 - g.dot(y_pred, y_pred, ((1,), (1,))), 0.0)
    numbers = _square(y_true, d)
    alike = g.equal(numbers, g.transpose(numbers))
    pairs = g.where(_same_row(d), False, alike) if remove_diagonal else alike
    near = _log_sum_exp(gamma * g.maximum(d + margin, 0.0) * (d - margin), pairs)
    far = _log_sum_exp(gamma * g.maximum(1 + margin - d, 0.0) * (1 - margin - d), g.where(alike, False, True))
    return g.softplus(near + far)


def _square(x: Tensor, like: Tensor) -> Tensor:
    """x_i in row i: (batch,) as (batch, batch)."""
    return g.broadcast_to(g.expand_dims(x, 1), like.shape)


def _same_row(like: Tensor) -> Tensor:
    """Whether i = j. Rows are told apart by two numbers of 24 random bits that belong to their places."""
    key, step = g.constant([0, 0], "uint"), g.constant(0, "uint")
    drawn = [_square(g.random_uniform(key, step, like.shape[:1], stream), like) for stream in (0, 1)]
    first, second = (g.equal(x, g.transpose(x)) for x in drawn)
    return g.where(first, second, False)


NONE = -1e9  # the logarithm of nothing: any softplus of it is 0


def _log_sum_exp(x: Tensor, which: Tensor) -> Tensor:
    """ln Σ e^x over those of each row; `NONE` where there are none."""
    largest = g.stop_gradient(g.max(g.where(which, x, NONE), axis=1, keepdims=True))
    total = g.sum(g.where(which, g.exp(g.where(which, x - largest, 0.0)), 0.0), axis=1)
    return g.where(total > 0, g.log(g.where(total > 0, total, 1.0)) + g.sum(largest, axis=1), NONE)


Circle = loss_class(circle)
MarginRankingLoss = loss_class(margin_ranking_loss)
CosineEmbeddingLoss = loss_class(cosine_embedding_loss)
TripletMarginLoss = loss_class(triplet_margin_loss)
TripletMarginWithDistanceLoss = loss_class(triplet_margin_with_distance_loss)
