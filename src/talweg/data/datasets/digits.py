"""Digits: 1797 handwritten digits of 8 x 8 pixels; small enough to learn in seconds."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from talweg.data.datasets.bundled import Part, split_bundled


def load_data() -> tuple[Part, Part]:
    """``(x_train, y_train), (x_test, y_test)``; x uint8 (n, 8, 8) of values 0 to 16, y uint8 (n,).

    The split is stratified and always the same. The data comes with scikit-learn: nothing is downloaded.
    See `talweg.data.DATASETS["digits"]` for source, licence and names.

    >>> (x_train, y_train), (x_test, y_test) = load_data()
    >>> x_train.shape, x_test.shape
    ((1437, 8, 8), (360, 8, 8))
    """
    rows = _rows()
    return split_bundled(rows[:, :64].reshape(-1, 8, 8), rows[:, 64], stratified=True)


def _rows() -> NDArray[np.uint8]:
    """64 pixels and the class, for each digit: from scikit-learn's file, since its import takes longer than training.

    Where a version of it keeps the file elsewhere, it is asked.
    """
    library = importlib.util.find_spec("sklearn")
    if library is not None and library.origin is not None:
        file = Path(library.origin).with_name("datasets") / "data" / "digits.csv.gz"
        if file.is_file():
            return np.loadtxt(file, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits

    data = load_digits()
    return np.column_stack([data.data, data.target]).astype(np.uint8)
