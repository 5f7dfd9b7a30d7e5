"""From what a user passes to `fit`, `evaluate` and `predict` to checked arrays of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from talweg.errors import DataError, ShapeError, UsageError
from talweg.graph import Array, DType
from talweg.nn.losses import Loss
from talweg.train.programs import Form


@dataclass(frozen=True)
class Rows:
    """Examples in memory: x (n, ...), y (n, ...) or None, the weight of each (n,) or None."""

    x: Array
    y: Array | None = None
    weight: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def part(self, start: int, stop: int) -> Rows:
        """Rows start to stop, without copying."""
        cut = slice(start, stop)
        return Rows(
            self.x[cut], None if self.y is None else self.y[cut], None if self.weight is None else self.weight[cut]
        )

    def feeds(self) -> dict[str, Array]:
        """The arrays by the names of a program's inputs."""
        named = {"x": self.x, "y": self.y, "sample_weight": self.weight}
        return {k: v for k, v in named.items() if v is not None}

    def form(self) -> Form:
        """What a program for these rows must take in."""
        y_shape, y_dtype = ((), "float") if self.y is None else (self.y.shape[1:], graph_dtype(self.y))
        return Form(self.x.shape[1:], graph_dtype(self.x), y_shape, y_dtype, self.weight is not None)


def graph_dtype(array: Array) -> DType:
    return {"f": "float", "i": "int", "u": "uint8" if array.itemsize == 1 else "int", "b": "float"}[array.dtype.kind]


def as_array(value: Any, argument: str) -> Array:
    """`value` (a list, an array, a pandas frame or series) as an array of finite numbers; raises `DataError`."""
    if hasattr(value, "to_numpy"):
        value = value.to_numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{argument}: rows have different lengths, so they make no array ({error})") from None
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise DataError(_not_numbers(array, argument)) from None
    if array.dtype.kind not in "fiub":
        raise DataError(_not_numbers(array, argument))
    if array.ndim == 0:
        raise DataError(f"{argument} is a single number, {array}; an array with one row for each example was expected")
    if array.size == 0:
        raise DataError(f"{argument} is empty: its shape is {list(array.shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = tuple(int(i) for i in bad[0])
        raise DataError(
            f"{argument} has {len(bad)} values that are not finite numbers, the first ({array[where]}) at "
            f"{list(where)}; remove those rows or fill them in"
        )
    return np.ascontiguousarray(array)


def _not_numbers(array: Array, argument: str) -> str:
    example = next((v for v in array.ravel() if not isinstance(v, (int, float, np.number))), array.ravel()[0])
    return (
        f"{argument} must be numbers; it has dtype {array.dtype} with values such as {example!r}. "
        "Turn categories into numbers first (talweg.data has encoders)."
    )


def features(x: Any, input_shape: tuple[int, ...] | None, precision: str, argument: str = "x") -> Array:
    """x as the network takes it: pixels stay uint8, all else becomes float; (n,) becomes (n, 1).

    Raises `ShapeError` where examples do not have `input_shape` (they may lack or have a last axis of 1).
    """
    array = as_array(x, argument)
    if array.dtype != np.uint8:
        array = array.astype(precision)
    if array.ndim == 1:
        array = array[:, None]
    if input_shape is not None and array.shape[1:] != input_shape:
        if array.shape[1:] == (*input_shape, 1) or (*array.shape[1:], 1) == input_shape:
            return array.reshape(len(array), *input_shape)
        hint = ""
        if array.shape == input_shape:
            hint = f" For one example pass {argument}[None]."
        raise ShapeError(
            f"{argument} has examples of shape {list(array.shape[1:])}; the model's first layer takes {list(input_shape)}."
            + hint
        )
    return array


def labels(y: Any, loss: Loss, output_shape: tuple[int, ...], precision: str, argument: str = "y") -> Array:
    """y as the loss takes it, checked against the network's output; raises `DataError` saying what to do."""
    array = as_array(y, argument)
    name, classes = loss.formula.__name__, output_shape[-1] if output_shape else 1
    if loss.targets == "classes":
        if array.shape[1:] == output_shape and classes > 1:
            raise DataError(
                f"loss {name!r} takes class numbers 0..{classes - 1}; {argument} has rows of {classes} numbers, as one-hot "
                "labels do. Use loss='categorical_crossentropy'."
            )
        return _class_numbers(array, classes, argument, name).reshape(len(array), *output_shape[:-1])
    if loss.targets == "one_hot":
        if array.shape[1:] != output_shape:
            raise DataError(
                f"loss {name!r} takes one-hot rows of {classes} numbers; {argument} has shape {list(array.shape)}. For class "
                "numbers use loss='sparse_categorical_crossentropy', or talweg.utils.to_categorical(y)."
            )
        if classes == 1:
            raise DataError(
                f"loss {name!r} needs one output for each class; the model has a single one, whose softmax is always 1. "
                "For two classes use Dense(1, activation='sigmoid') and loss='binary_crossentropy'."
            )
    if array.shape[1:] != output_shape:
        if (*array.shape[1:], 1) == output_shape or array.shape[1:] == (*output_shape, 1):
            array = array.reshape(len(array), *output_shape)
        else:
            raise ShapeError(
                f"{argument} has labels of shape {list(array.shape[1:])}; the model's output has {list(output_shape)}."
                + (" For class numbers use loss='sparse_categorical_crossentropy'." if classes > 1 else "")
            )
    if loss.targets in ("binary", "one_hot") and (array.min() < 0 or array.max() > 1):
        raise DataError(
            f"loss {name!r} takes labels between 0 and 1; {argument} goes from {array.min()} to {array.max()}"
        )
    return array.astype(precision)


def _class_numbers(array: Array, classes: int, argument: str, loss: str) -> Array:
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        raise DataError(
            f"loss {loss!r} takes class numbers; {argument} has fractions such as "
            f"{array[array != np.floor(array)][0]}. For numbers to be predicted use loss='mse'."
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"loss {loss!r} with {classes} outputs takes class numbers 0..{classes - 1}; {argument} goes from {low} to {high}. "
            + (f"Give the last layer {high + 1} units." if low >= 0 else "Count the classes from 0.")
        )
    return array.astype(np.int32)


def weights_of(
    y: Array | None, rows: int, sample_weight: Any, class_weight: Mapping[int, float] | None, precision: str
) -> Array | None:
    """The weight of each example, from `sample_weight` and, by its class, from `class_weight`."""
    weight = None
    if sample_weight is not None:
        weight = as_array(sample_weight, "sample_weight").astype(precision).reshape(-1)
        if len(weight) != rows:
            raise DataError(f"sample_weight has {len(weight)} entries for {rows} examples")
    if class_weight is not None:
        if y is None:
            raise UsageError("class_weight needs labels")
        numbers = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else np.rint(y.reshape(rows)).astype(int)
        by_class = np.ones(max(int(numbers.max()), *map(int, class_weight)) + 1)
        for number, value in class_weight.items():
            by_class[int(number)] = value
        chosen = by_class[numbers].astype(precision)
        weight = chosen if weight is None else weight * chosen
    return weight


def same_length(x: Array, y: Array | None) -> None:
    if y is not None and len(x) != len(y):
        raise DataError(f"x has {len(x)} examples and y has {len(y)}: they must have one label each")


def is_stream(x: Any) -> bool:
    """Whether `x` gives batches one after another (a Dataset, a generator) rather than being the examples."""
    if isinstance(x, (np.ndarray, list, tuple, str, bytes, Mapping)) or hasattr(x, "to_numpy"):
        return False
    return isinstance(x, Iterable) or hasattr(x, "__getitem__") and hasattr(x, "__len__")


def batches_of(stream: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(x, y, weight) of each batch that a stream gives; what it leaves out is None."""
    iterator = iter(stream) if isinstance(stream, Iterable) else (stream[i] for i in range(len(stream)))
    for item in iterator:
        if isinstance(item, (tuple, list)) and 1 <= len(item) <= 3:
            yield tuple([*item, None, None][:3])  # type: ignore[misc]
        else:
            yield item, None, None


def gathered(parts: list[Rows]) -> Rows:
    """Several parts as one."""
    if not parts:
        raise DataError("the data set gave no batches")
    first = parts[0]
    return replace(
        first,
        x=np.concatenate([p.x for p in parts]),
        y=None if first.y is None else np.concatenate([p.y for p in parts]),  # type: ignore[misc]
        weight=None if first.weight is None else np.concatenate([p.weight for p in parts]),
    )  # type: ignore[misc]
