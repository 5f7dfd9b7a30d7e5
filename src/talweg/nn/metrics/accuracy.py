"""How often the prediction is right, in the form that fits the labels."""

from __future__ import annotations

from talweg import graph as g
from talweg.graph import Tensor
from talweg.nn.metrics.base import METRICS, formula, mean_metric


def agree(a: Tensor, b: Tensor) -> Tensor:
    """1 where the two are equal, else 0."""
    return g.cast(g.equal(a, b), "float")


@formula()
def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the prediction is the very label, else 0: of class numbers, for instance."""
    return agree(y_true, y_pred)


@formula("binary", ranges={"threshold": "(-inf, inf)"})
def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """1 where the prediction lies on the label's side of `threshold`, else 0; one that equals it counts as a 0.

    >>> binary_accuracy([1.0, 0.0, 1.0], [0.9, 0.6, 0.5])
    array([1., 0., 0.], dtype=float32)
    """
    return agree(y_true, g.cast(y_pred > threshold, "float"))


@formula("one_hot")
def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the class marked by the one-hot row, else 0."""
    return agree(g.argmax(y_true), g.argmax(y_pred))


@formula("classes")
def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is that of the class whose number is the label, else 0."""
    return agree(y_true, g.argmax(y_pred))


@formula("one_hot", ranges={"k": "{1, 2, ...}"})
def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the class marked by the one-hot row is among the `k` with the largest predictions, else 0."""
    return sparse_top_k_categorical_accuracy.formula(g.argmax(y_true), y_pred, k)


@formula("classes", ranges={"k": "{1, 2, ...}"})
def sparse_top_k_categorical_accuracy(
    y_true: Tensor, y_pred: Tensor, k: int = 5, from_sorted_ids: bool = False
) -> Tensor:
    """1 where the class whose number is the label is among the `k` with the largest predictions, else 0.

    Of predictions that are equal all are among them if one is. from_sorted_ids: a row of predictions is the numbers of
    the classes, the likeliest first.

    >>> sparse_top_k_categorical_accuracy([2, 0], [[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]], k=2)
    array([1., 0.], dtype=float32)
    """
    if from_sorted_ids:
        first = g.slice(y_pred, [*[None] * (y_pred.rank - 1), (0, min(k, y_pred.shape[-1]))])  # type: ignore[type-var,list-item]
        return g.max(agree(g.cast(g.expand_dims(y_true, -1), "float"), first), axis=-1)
    classes: int = y_pred.shape[-1]  # type: ignore[assignment]
    own = g.max(g.where(g.one_hot(y_true, classes) > 0, y_pred, float("-inf")), axis=-1, keepdims=True)
    not_above = g.sum(g.cast(y_pred <= own, "float"), axis=-1)
    return g.cast(not_above > float(classes - k), "float")


Accuracy = mean_metric(accuracy)
BinaryAccuracy = mean_metric(binary_accuracy, "threshold")
CategoricalAccuracy = mean_metric(categorical_accuracy)
SparseCategoricalAccuracy = mean_metric(sparse_categorical_accuracy)
TopKCategoricalAccuracy = mean_metric(top_k_categorical_accuracy, "k", positional=1)
SparseTopKCategoricalAccuracy = mean_metric(sparse_top_k_categorical_accuracy, "k", "from_sorted_ids", positional=1)

METRICS.register("Accuracy", Accuracy, "acc")
