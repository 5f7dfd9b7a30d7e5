"""The small sets that come with scikit-learn, split once and for all into training and test parts."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from talweg.data.split import train_test_split

Part = tuple[NDArray[Any], NDArray[Any]]

SEED = 0  # of the split; changing it changes everyone's results


def split_bundled(x: NDArray[Any], y: NDArray[Any], *, stratified: bool) -> tuple[Part, Part]:
    """80 % for training, 20 % for test, rows in random order, classes in proportion if `stratified`."""
    labels = y if stratified else None
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, stratify=labels, seed=SEED)
    return (x_train, y_train), (x_test, y_test)
