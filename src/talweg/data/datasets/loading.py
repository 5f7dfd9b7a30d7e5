"""Any data set by its name, in one common form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from talweg.data.datasets import breast_cancer, diabetes, digits, fashion_mnist, iris, mnist, wine
from talweg.data.datasets.bundled import Part
from talweg.data.datasets.catalog import DATASETS, DatasetInfo
from talweg.errors import UnknownNameError

_LOADERS: dict[str, Callable[[], tuple[Part, Part]]] = {
    "digits": digits.load_data,
    "mnist": mnist.load_data,
    "fashion_mnist": fashion_mnist.load_data,
    "iris": iris.load_data,
    "wine": wine.load_data,
    "breast_cancer": breast_cancer.load_data,
    "diabetes": diabetes.load_data,
}


@dataclass(frozen=True)
class LoadedData:
    """A data set in memory: x (n, *info.input_shape), y (n,) for both parts, and what is known of it."""

    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    info: DatasetInfo


def load(name: str) -> LoadedData:
    """The data set of that name; "fashion-mnist" and "fashion_mnist" are the same.

    Raises `UnknownNameError`, with the nearest name, and what the set's own `load_data` raises.

    >>> data = load("iris")
    >>> data.x_train.shape, data.info.class_names
    ((120, 4), ('setosa', 'versicolor', 'virginica'))
    """
    key = name.lower().replace("-", "_")
    if key not in DATASETS:
        raise UnknownNameError("data set", name, DATASETS)
    (x_train, y_train), (x_test, y_test) = _LOADERS[key]()
    return LoadedData(x_train, y_train, x_test, y_test, DATASETS[key])
