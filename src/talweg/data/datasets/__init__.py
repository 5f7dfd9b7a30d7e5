"""Real data sets, each a module with Keras's ``load_data() -> (x_train, y_train), (x_test, y_test)``."""

from talweg.data.datasets import breast_cancer, diabetes, digits, fashion_mnist, iris, mnist, wine
from talweg.data.datasets.catalog import DATASETS, DatasetInfo
from talweg.data.datasets.loading import LoadedData, load

__all__ = [
    "DATASETS",
    "DatasetInfo",
    "LoadedData",
    "breast_cancer",
    "diabetes",
    "digits",
    "fashion_mnist",
    "iris",
    "load",
    "mnist",
    "wine",
]
