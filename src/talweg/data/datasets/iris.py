"""Iris: three species from four measurements; the first data set of statistics courses since 1936."""

from __future__ import annotations

import numpy as np

from talweg.data.datasets.bundled import Part, split_bundled


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``; x float32 (n, 4) in cm, y int64 (n,).

    The split is stratified and always the same. The data comes with scikit-learn: nothing is downloaded.
    See `talweg.data.DATASETS["iris"]` for source, licence and names.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((120, 4), (30, 4))
    """
    from sklearn.datasets import load_iris

    data = load_iris()
    x, y = data.data.astype(np.float32), data.target.astype(np.int64)
    return split_bundled(x, y, stratified=True)
