"""Scaling of features, fitted on the training part and on nothing else.

Statistics of the validation or test part that leak into the training make the measured error too good. So
there is no scaler to fit by hand: `scale` is given the training part first, and fits on that alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from talweg.errors import DataError, ShapeError, UnknownNameError

_METHODS = ("standard", "minmax")


@dataclass(frozen=True)
class Scaling:
    """A fitted scaling, feature by feature: x' = (x - offset) / scale.

    `shape` is that of one example; `offset` and `scale` list its features, last axis fastest. `method` says
    how they were found: "standard" is the mean and the standard deviation (of the population, divided by n,
    as in scikit-learn), "minmax" the least value and the range. Constant features have scale 1.
    """

    method: str
    shape: tuple[int, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def apply(self, x: ArrayLike) -> NDArray[np.float32]:
        """x: (n, *shape) -> scaled float32 of the same shape. Raises `ShapeError`, or `DataError` for NaN."""
        values = self._checked(x)
        scaled = (values - np.reshape(self.offset, self.shape)) / np.reshape(self.scale, self.shape)
        return scaled.astype(np.float32)

    def invert(self, x: ArrayLike) -> NDArray[np.float32]:
        """Back to the original units: x · scale + offset."""
        values = self._checked(x) * np.reshape(self.scale, self.shape) + np.reshape(self.offset, self.shape)
        return values.astype(np.float32)

    def _checked(self, x: ArrayLike) -> NDArray[np.float64]:
        values = _numbers(x, "x")
        if values.shape[1:] != self.shape:
            raise ShapeError(
                f"x: the scaling was fitted on examples of shape {self.shape}, but got an array of shape "
                f"{values.shape}, whose examples have shape {values.shape[1:]}"
            )
        return values

    def to_config(self) -> dict[str, Any]:
        """Plain JSON, from which `from_config` makes the same scaling again."""
        shape, offset, scale = list(self.shape), list(self.offset), list(self.scale)
        return {"method": self.method, "shape": shape, "offset": offset, "scale": scale}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Scaling:
        """The scaling that `to_config` described. Raises `DataError` if it does not fit together."""
        try:
            method, shape = str(config["method"]), tuple(int(size) for size in config["shape"])
            offset, scale = (tuple(float(v) for v in config[key]) for key in ("offset", "scale"))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"config: expected what Scaling.to_config gives, but {error!r} came up") from error
        if not len(offset) == len(scale) == int(np.prod(shape)) or not np.isfinite(offset + scale).all() or 0 in scale:
            raise DataError(
                f"config: a scaling of shape {shape} needs that many finite offsets and non-zero scales, but has "
                f"{len(offset)} and {len(scale)}"
            )
        return cls(method, shape, offset, scale)


def scale(train: ArrayLike, *others: ArrayLike, method: str = "standard") -> tuple[Any, ...]:
    """Scales the training part, and the others by what was fitted on it.

    train: (n, …); others: (m, …) with examples of the same shape. Returns the scaled parts in the same order
    as float32, and last the fitted `Scaling`, which belongs with the model.

    Raises `DataError` for NaN, infinity or text, naming where; `UnknownNameError` for an unknown method.

    >>> train, test, scaling = scale([[1.0], [3.0]], [[5.0]])
    >>> train.ravel(), test.ravel(), scaling.offset
    (array([-1.,  1.], dtype=float32), array([3.], dtype=float32), (2.0,))
    """
    if method not in _METHODS:
        raise UnknownNameError("scaling method", method, _METHODS)
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    values = _numbers(train, "train")
    if len(values) == 0:
        raise DataError("train: expected at least one example to fit the scaling on, but got none")
    columns = values.reshape(len(values), -1)
    if method == "standard":
        fitted = StandardScaler().fit(columns)
        offset, divisor = fitted.mean_, fitted.scale_
    else:
        fitted = MinMaxScaler().fit(columns)
        offset, divisor = fitted.data_min_, 1 / fitted.scale_
    scaling = Scaling(method, values.shape[1:], tuple(map(float, offset)), tuple(map(float, divisor)))
    return scaling.apply(values), *(scaling.apply(other) for other in others), scaling


def _numbers(x: ArrayLike, name: str) -> NDArray[np.float64]:
    values = np.asarray(x)
    if values.dtype.kind not in "iubf" or values.ndim == 0:
        raise DataError(f"{name}: expected an array of numbers, (n, …), but got {values.dtype} of shape {values.shape}")
    values = values.astype(np.float64, copy=False)
    if not np.isfinite(values).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise DataError(
            f"{name}: expected finite numbers, but the value at {list(first)} is {values[first]}; "
            "drop or fill such rows first"
        )
    return values
