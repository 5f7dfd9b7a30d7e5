"""What y must be for a loss, and how much a class counts. A loss says what it expects (`Loss.targets`), this checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from talweg.errors import DataError, ShapeError, UsageError
from talweg.graph import Array, Tensor
from talweg.nn.losses import Loss, kind_of
from talweg.train.rows import as_float

TWO_CLASSES = "For two classes use Dense(1, activation='sigmoid') and loss='binary_crossentropy'."


def labels(array: Array, loss: Loss | None, output: Tensor, precision: str, argument: str = "y") -> Array:
    """y as the loss takes it for a network's `output`; raises `DataError` or `ShapeError` saying what to do.

    Without a loss, for metrics alone, whole numbers stay whole.
    """
    if loss is None:
        return array.astype(np.int32) if array.dtype.kind in "iu" else as_float(array, precision, argument)
    shape: tuple[int, ...] = output.shape[1:]  # type: ignore[assignment]
    kind, name = kind_of(loss.targets, array.shape[1:], shape), loss.formula.__name__
    if kind == "nothing":
        return as_float(array, precision, argument)
    if kind == "sequences":
        if array.ndim != 2:
            takes = f"loss {name!r} takes a row of class numbers for each example, padded to one length"
            raise ShapeError(f"{takes}; {argument} has shape {list(array.shape)}")
        loss.formula.check_classes(array, kind, output, loss.options, argument)
        return array.astype(np.int32)
    wanted: tuple[int, ...] = loss.label_shape(output.shape)[1:] if kind != "one_hot" else shape  # type: ignore[assignment]
    if kind == "classes":
        shape = (*wanted, math.prod(shape) // math.prod(wanted))  # the classes last, wherever the loss has them
    units = shape[-1] if shape else 1
    if units == 1 and output.origin is not None and output.origin.function == "softmax":
        raise UsageError(f"the last layer is a softmax over a single unit, which always answers 1. {TWO_CLASSES}")
    if kind in ("classes", "one_hot") and units == 1:
        raise UsageError(
            f"loss {name!r} needs one output for each class; the last layer has a single one. {TWO_CLASSES}"
        )
    if kind == "classes":
        return _class_numbers(array, shape, argument, name, loss.ignored)
    if kind == "one_hot" and array.shape[1:] != shape:
        raise DataError(_not_one_hot(array, units, argument, name))
    fitted = _fitted(array, wanted, argument)
    if kind in ("signs", "row_signs") and (strange := ~np.isin(fitted, (-1, 0, 1))).any():
        raise DataError(
            f"loss {name!r} takes labels -1 and 1, or 0 and 1; {argument} has {fitted[strange][0]}. "
            "For numbers to be predicted use loss='mse'."
        )
    if kind in ("binary", "one_hot") and (fitted.min() < 0 or fitted.max() > 1):
        raise DataError(
            f"loss {name!r} takes labels between 0 and 1; {argument} goes from {fitted.min()} to {fitted.max()}."
            + (" Turn -1 and 1 into 0 and 1: (y + 1) / 2." if set(np.unique(fitted)) == {-1, 1} else "")
            + (" For numbers to be predicted use loss='mse'." if fitted.dtype.kind == "f" else "")
        )
    sums = fitted.sum(axis=getattr(loss, "axis", -1), dtype=float) if kind == "one_hot" else np.ones(1)
    if (strange := np.abs(sums - 1) > 1e-3).any():
        row = int(np.argwhere(strange)[0][0])
        raise DataError(
            f"loss {name!r} takes rows that sum to 1; row {row} of {argument} sums to {sums[row]}. "
            "Where several classes may be true at once, use activation='sigmoid' and loss='binary_crossentropy'."
        )
    return as_float(fitted, precision, argument)


def _class_numbers(array: Array, shape: tuple[int, ...], argument: str, loss: str, ignored: int | None) -> Array:
    classes = shape[-1]
    takes = f"loss {loss!r} takes class numbers 0..{classes - 1}"
    if array.shape[1:] == shape and array.shape[1:] != (*shape[:-1], 1):
        raise DataError(
            f"{takes}; {argument} has rows of {classes} numbers, as one-hot labels do. "
            "Use loss='categorical_crossentropy', or y.argmax(axis=-1)."
        )
    if array.shape[1:] not in (shape[:-1], (*shape[:-1], 1)):
        raise ShapeError(f"{takes}, one for each example; {argument} has shape {list(array.shape)}")
    if array.dtype.kind == "f" and (fractions := array != np.floor(array)).any():
        raise DataError(
            f"{takes}; {argument} has fractions such as {array[fractions][0]}. "
            "For numbers to be predicted use loss='mse'."
        )
    counted = array if ignored is None else array[array != ignored]
    low, high = (int(counted.min()), int(counted.max())) if counted.size else (0, 0)
    if low < 0 or high >= classes:
        hint = (
            f"Give the last layer {high + 1} units, or count the classes from 0."
            if low >= 0
            else "Count the classes from 0."
        )
        raise DataError(f"{takes}, for the network has {classes} outputs; {argument} goes from {low} to {high}. {hint}")
    return array.astype(np.int32).reshape(len(array), *shape[:-1])


def _not_one_hot(array: Array, classes: int, argument: str, loss: str) -> str:
    takes = f"loss {loss!r} takes one-hot rows of {classes} numbers; {argument} has shape {list(array.shape)}"
    if array.ndim == 1 or array.shape[-1] == 1:
        hint = (
            f"For class numbers use loss='sparse_categorical_crossentropy', or to_categorical({argument}, {classes})."
        )
    else:
        hint = f"The last layer must have as many units as there are classes: {array.shape[-1]}?"
    return f"{takes}. {hint}"


def _fitted(array: Array, shape: tuple[int, ...], argument: str) -> Array:
    """The labels in the shape of the predictions, where they differ by a last axis of 1 at most."""
    if array.shape[1:] == shape:
        return array
    if (*array.shape[1:], 1) == shape or array.shape[1:] == (*shape, 1):
        return array.reshape(len(array), *shape)
    hint = ""
    if len(shape) == 1 and array.ndim == 1:
        hint = " For class numbers use loss='sparse_categorical_crossentropy'; for one number an example, one unit."
    elif len(shape) == 1 and array.ndim == 2:
        hint = f" Give the last layer {array.shape[-1]} units."
    raise ShapeError(
        f"{argument} has labels of shape {list(array.shape[1:])}, and the last layer answers {list(shape)} for each "
        f"example.{hint}"
    )


def class_weights(y: Array, class_weight: Any, output_shape: tuple[int, ...], precision: str) -> Array | None:
    """The weight of each example by its class; 1 for classes that are not named, as in Keras."""
    if class_weight is None:
        return None
    if not isinstance(class_weight, Mapping):
        raise UsageError(
            f"class_weight must be a dict such as {{0: 1.0, 1: 5.0}}; got {class_weight!r}. "
            "From a list: dict(enumerate(weights))."
        )
    classes = max(output_shape[-1] if output_shape else 1, 2)
    for number, weight in class_weight.items():
        is_whole = isinstance(number, (int, float, np.number)) and float(number).is_integer()
        if not is_whole or not 0 <= number < classes:
            raise UsageError(f"class_weight: the classes are 0..{classes - 1}; got a weight for {number!r}")
        if not isinstance(weight, (int, float, np.number)) or not np.isfinite(weight) or weight < 0:
            raise UsageError(f"class_weight: a weight is a finite number of at least 0; class {number} has {weight!r}")
    numbers = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y), -1)[:, 0]
    if numbers.ndim > 1 or y.size not in (len(y), len(y) * classes):
        raise UsageError(f"class_weight needs one class for each example; y has shape {list(y.shape)}")
    weights = np.ones(len(y), precision)
    for number, weight in class_weight.items():
        weights[np.rint(numbers) == number] = weight
    return weights
