"""Digits: 1797 handwritten digits of 8 x 8 pixels; small enough to learn in seconds."""

from __future__ import annotations

import numpy as np

from talweg.data.datasets.bundled import Part, split_bundled


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``; x uint8 (n, 8, 8) of values 0 to 16, y uint8 (n,).

    The split is stratified and always the same. The data comes with scikit-learn: nothing is downloaded.
    See `talweg.data.DATASETS["digits"]` for source, licence and names.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((1437, 8, 8), (360, 8, 8))
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    x, y = data.images.astype(np.uint8), data.target.astype(np.uint8)
    return split_bundled(x, y, stratified=True)
