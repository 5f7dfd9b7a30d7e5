"""From what a user passes as x and y to checked arrays of rows. What y must be besides, for a loss, is in `labels`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg.errors import DataError, ShapeError, UsageError
from talweg.graph import Array, DType
from talweg.train.programs import WEIGHT, Form


@dataclass(frozen=True)
class Rows:
    """Examples in memory, (n, ...): what goes in, labels and weights, by the names of a program's inputs."""

    feeds: dict[str, Array]

    def __len__(self) -> int:
        return len(next(iter(self.feeds.values())))

    def part(self, start: int, stop: int) -> Rows:
        """Rows start to stop, without copying."""
        return Rows({name: array[start:stop] for name, array in self.feeds.items()})

    def weighted(self, weight: Array | None) -> Rows:
        """The same rows of a model with one output, each counting `weight` times what it counts now."""
        if weight is None:
            return self
        given = self.feeds.get(WEIGHT, weight[:1] * 0 + 1)
        return Rows(self.feeds | {WEIGHT: weight.reshape(len(weight), *[1] * (given.ndim - 1)) * given})

    @property
    def form(self) -> Form:
        """What a program for these rows must take in."""
        return Form({name: (array.shape[1:], graph_dtype(array)) for name, array in self.feeds.items()})


def graph_dtype(array: Array) -> DType:
    kinds: dict[str, DType] = {"f": "float", "i": "int", "u": "uint8", "b": "float"}
    return kinds[array.dtype.kind]


# ── arrays of numbers ─────────────────────────────────────────────────────────────────────────────────────


def as_array(value: Any, argument: str) -> Array:
    """`value` (a list, an array, a pandas frame or series) as an array of finite numbers; raises `DataError`."""
    array = _array_of(value, argument)
    if array.dtype == object:
        array = _from_objects(array, argument, getattr(value, "columns", None))
    if array.dtype.kind not in "fiub":
        raise DataError(_not_numbers(array, argument))
    if array.ndim == 0:
        raise DataError(f"{argument} is a single number, {array}; an array with one row for each example was expected")
    if array.size == 0:
        raise DataError(f"{argument} is empty: its shape is {list(array.shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))
        where = tuple(int(i) for i in bad[0])
        count = (
            f"{len(bad)} values that are not finite numbers" if len(bad) > 1 else "a value that is not a finite number"
        )
        raise DataError(
            f"{argument} has {count}: {'the first, ' if len(bad) > 1 else ''}{array[where]}, stands at {list(where)}. "
            "Remove such rows, or fill the values in."
        )
    return np.ascontiguousarray(array)


def _array_of(value: Any, argument: str) -> Array:
    """`value` as an array of any dtype; raises for what is no array of rows at all."""
    if value is None:
        raise UsageError(f"{argument} is missing")
    if isinstance(value, (Mapping, set, frozenset)):
        raise DataError(
            f"{argument} is a {type(value).__name__}; a list or array with one row for each example was expected. "
            "Put the columns side by side first: numpy.column_stack(list(columns.values()))."
        )
    if hasattr(value, "mask") and np.ma.isMaskedArray(value) and np.ma.is_masked(value):  # numpy.ma: no one else pays
        raise DataError(
            f"{argument} is a masked array with {np.ma.count_masked(value)} masked values. Fill them in with "
            "x.filled(value), or leave those rows out."
        )
    if hasattr(value, "toarray"):
        raise DataError(f"{argument} is a sparse matrix ({type(value).__name__}); pass {argument}.toarray()")
    try:
        return np.asarray(value.to_numpy() if hasattr(value, "to_numpy") else value)
    except ValueError:
        raise DataError(_ragged(value, argument)) from None


def _from_objects(array: Array, argument: str, columns: Any) -> Array:
    """Python objects as float64, where all of them are numbers."""
    if any(isinstance(v, (list, tuple, np.ndarray)) for v in array.ravel()):
        raise DataError(_ragged(list(array), argument))
    try:
        if any(isinstance(v, (str, bytes)) for v in array.ravel()):
            raise ValueError
        return array.astype(np.float64)
    except OverflowError:
        raise DataError(f"{argument} has whole numbers that are too large for any float") from None
    except (TypeError, ValueError):
        raise DataError(_not_numbers(array, argument, columns)) from None


def _ragged(value: Any, argument: str) -> str:
    shapes = [np.shape(v) if not isinstance(v, (list, tuple)) else (len(v),) for v in value]
    first = next((i for i, s in enumerate(shapes) if s != shapes[0]), 0)
    return (
        f"{argument} makes no array, because its rows differ in length: row 0 has shape {list(shapes[0])}"
        + (f", row {first} {list(shapes[first])}" if first else ", but the parts of a row differ")
        + ". Pad or cut them to one length."
    )


def _not_numbers(array: Array, argument: str, columns: Any = None) -> str:
    flat = list(np.ndindex(array.shape))
    where = next(
        (i for i in flat if not isinstance(array[i], (int, float, np.number)) or array.dtype.kind == "c"), flat[0]
    )
    column = f" (column {columns[where[1]]!r})" if columns is not None and len(where) > 1 else ""
    hints = {
        "c": f"Pass the real and imaginary parts as two columns, or numpy.abs({argument}).",
        "M": "Turn dates into numbers first, such as days since the first.",
        "m": "Turn durations into numbers first: divide by numpy.timedelta64(1, 's').",
    }
    hint = hints.get(array.dtype.kind, "Turn text and categories into numbers first; talweg.data has encoders.")
    example = f"with values such as {str(array[where])[:40]!r}{column}"
    return f"{argument} must be numbers; it has dtype {array.dtype}, {example}. {hint}"


def as_float(array: Array, precision: str, argument: str) -> Array:
    """The array in float32 or float64; raises `DataError` where float32 cannot hold it."""
    with np.errstate(over="ignore"):
        cast = array.astype(precision, copy=False)
    if array.dtype.kind == "f" and array.dtype.itemsize > cast.dtype.itemsize and not np.isfinite(cast).all():
        largest = array.flat[int(np.abs(array).argmax())]
        raise DataError(
            f"{argument} has values as large as {largest:.4g}, which become infinite in float32 (it ends at 3.4e+38). "
            f"Scale {argument} first, or compile(..., precision='float64')."
        )
    return cast


# ── x ─────────────────────────────────────────────────────────────────────────────────────────────────────


def features(
    x: Any, input_shape: tuple[int, ...] | None, precision: str, argument: str = "x", taker: str = "the model"
) -> Array:
    """x as the network takes it: pixels stay uint8, all else becomes float; (n,) becomes (n, 1).

    Raises `ShapeError`, naming the layer, where examples do not have `input_shape`; a last axis of 1 may be lacking, or
    one too many.
    """
    array = as_array(x, argument)
    if array.dtype != np.uint8:
        array = as_float(array, precision, argument)
    given = array.shape
    if array.ndim == 1:
        array = array[:, None]
    if input_shape is None or array.shape[1:] == input_shape:
        return array
    if array.shape[1:] == (*input_shape, 1) or (*array.shape[1:], 1) == input_shape:
        return array.reshape(len(array), *input_shape)
    hint = f" For a single example pass it in a list: [{argument}]." if given == input_shape else ""
    raise ShapeError(
        f"{argument} has shape {list(given)}, so examples of shape {list(array.shape[1:])}; {taker} takes examples of "
        f"shape {list(input_shape)}.{hint}"
    )


def example_weights(
    sample_weight: Any, rows: int, precision: str, argument: str = "sample_weight", of_each: tuple[int, ...] = ()
) -> Array | None:
    """How much each example counts, (n,) or (n, 1), or each of its values, (n, ...) as far as `of_each` goes."""
    if sample_weight is None:
        return None
    weight = as_float(as_array(sample_weight, argument), precision, argument)
    fits = all(w in (1, d) for w, d in zip(weight.shape[1:], (*of_each, 1), strict=False))
    if len(weight) != rows or weight.ndim > len(of_each) + 2 or not fits:
        raise DataError(
            f"{argument} must be one number for each of the {rows} examples; it has shape {list(weight.shape)}"
        )
    if (weight < 0).any():
        raise DataError(f"{argument} must not be negative; the least is {weight.min()}")
    return weight


def same_length(x: Array, y: Array, x_name: str = "x", y_name: str = "y") -> None:
    if len(x) != len(y):
        raise DataError(f"{x_name} has {len(x)} examples and {y_name} has {len(y)}: each example needs one label")
