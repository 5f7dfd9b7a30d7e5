"""Labels as rows of ones and zeros, and vectors of length one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talweg.errors import DataError


def to_categorical(x: ArrayLike, num_classes: int | None = None) -> NDArray[np.float64]:
    """One-hot encoding: class k becomes a row that is one at k and zero elsewhere.

    x: class numbers 0 … num_classes-1, of any shape; a last axis of size one is dropped, as Keras does.
    Returns float64 of shape (*x.shape, num_classes); `num_classes` is `max(x) + 1` if not given.

    Raises `DataError` for text, fractions, negative numbers, or numbers not below `num_classes`. Keras
    rounds fractions down and counts negative numbers from the end; both hide a mistake in the labels.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    labels = np.asarray(x)
    if labels.dtype.kind not in "iubf" or not np.array_equal(labels, np.floor(labels)):
        raise DataError(f"x: expected class numbers 0, 1, 2, …, but got {_sample(labels)}; number the classes first")
    if labels.size == 0 and not num_classes:
        raise DataError("x: no labels, so the number of classes cannot be seen from them; give num_classes")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    labels = labels.astype(np.int64)
    classes = int(num_classes) if num_classes else int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise DataError(
            f"x: expected class numbers from 0 to {classes - 1}, but they go from {labels.min()} to {labels.max()}; "
            "renumber them or raise num_classes"
        )
    one_hot = np.zeros((labels.size, classes))
    one_hot[np.arange(labels.size), labels.ravel()] = 1
    return one_hot.reshape(*labels.shape, classes)


def normalize(x: ArrayLike, axis: int = -1, order: float = 2) -> NDArray[Any]:
    """Divides vectors along `axis` by their norm, x / ‖x‖, as `keras.utils.normalize`; zero stays zero.

    `order` is that of the norm: 2 the Euclidean length, 1 the sum of absolute values, `np.inf` the largest.

    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    values = np.asarray(x)
    if values.dtype.kind not in "iubf":
        raise DataError(f"x: expected numbers, but got {_sample(values)}")
    norm = np.linalg.norm(values, order, axis, keepdims=True)
    return np.asarray(values / np.where(norm == 0, np.ones_like(norm), norm))


def _sample(values: NDArray[Any]) -> str:
    return f"{values.dtype} such as {values.ravel()[:3].tolist()}"
