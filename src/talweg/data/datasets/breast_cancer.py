"""Breast Cancer Wisconsin (Diagnostic): malignant (0) or benign (1) from thirty measurements; scale them."""

from __future__ import annotations

import numpy as np

from talweg.data.datasets.bundled import Part, split_bundled


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``; x float32 (n, 30), y int64 (n,).

    The split is stratified and always the same. The data comes with scikit-learn: nothing is downloaded.
    See `talweg.data.DATASETS["breast_cancer"]` for source, licence and names.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((455, 30), (114, 30))
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    x, y = data.data.astype(np.float32), data.target.astype(np.int64)
    return split_bundled(x, y, stratified=True)
