"""Diabetes: a regression, the progress of the disease from ten measurements; scale them."""

from __future__ import annotations

import numpy as np

from talweg.data.datasets.bundled import Part, split_bundled


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``; x float32 (n, 10), y float32 (n,).

    The split is random and always the same. The data comes with scikit-learn: nothing is downloaded.
    See `talweg.data.DATASETS["diabetes"]` for source, licence and names.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((353, 10), (89, 10))
    """
    from sklearn.datasets import load_diabetes

    data = load_diabetes(scaled=False)  # in years, kg/m², mmHg, …: scaling is for the training part to fit
    x, y = data.data.astype(np.float32), data.target.astype(np.float32)
    return split_bundled(x, y, stratified=False)
