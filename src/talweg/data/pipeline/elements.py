"""What flows through a pipeline: NumPy arrays, alone or in tuples and dictionaries, nested at will.

An array of rank 0 appears as a NumPy scalar. Byte strings and texts stay Python's own, because NumPy's
fixed-width strings drop zero bytes at their end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from talweg.errors import DataError, ShapeError

Element = Any


@dataclass(frozen=True)
class ElementSpec:
    """Shape and type of one array of an element; type "bytes" or "str" for strings."""

    shape: tuple[int, ...]
    dtype: str


def convert(value: Any) -> Element:
    """What a user's function gave, as an element: tuples and dictionaries stay, all else is an array.

    Python's floats become float32, as in tf.data; integers int64.
    """
    if isinstance(value, tuple):
        return tuple(convert(part) for part in value)
    if isinstance(value, dict):
        return {name: convert(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic | bytes | str):
        return value
    return array_of(value)


def array_of(value: Any) -> Any:
    """Lists, numbers, frames as an array; strings as an array of objects."""
    if isinstance(value, np.ndarray):
        return value
    typed = hasattr(value, "dtype") or hasattr(value, "dtypes")  # a tensor, a pandas frame or series
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"element: expected lists of equal length to make an array of, but {error}") from error
    if array.dtype.kind in "SU":
        return np.array(value, object)
    return array.astype(np.float32) if array.dtype == np.float64 and not typed else array


def walk(function: Callable[..., Any], *elements: Element) -> Element:
    """`function` applied to the arrays at the same place of each element, in the same structure."""
    first = elements[0]
    if isinstance(first, tuple):
        if any(not isinstance(e, tuple) or len(e) != len(first) for e in elements):
            raise _different(elements)
        return tuple(walk(function, *parts) for parts in zip(*elements, strict=True))
    if isinstance(first, dict):
        if any(not isinstance(e, dict) or e.keys() != first.keys() for e in elements):
            raise _different(elements)
        return {name: walk(function, *(e[name] for e in elements)) for name in first}
    if any(isinstance(e, tuple | dict) for e in elements):
        raise _different(elements)
    return function(*elements)


def leaves(element: Element) -> list[Any]:
    """The arrays of an element, in order."""
    if isinstance(element, tuple | dict):
        parts = element.values() if isinstance(element, dict) else element
        return [leaf for part in parts for leaf in leaves(part)]
    return [element]


def stack(elements: Sequence[Element]) -> Element:
    """Elements of one structure and shape -> one element with a batch axis in front."""
    return walk(_stack_leaf, *elements)


def _stack_leaf(*values: Any) -> Any:
    if isinstance(values[0], bytes | str):
        return np.array(values, object)
    try:
        return np.stack(values)
    except ValueError:
        shapes = [np.shape(value) for value in values]
        other = next((i for i, shape in enumerate(shapes) if shape != shapes[0]), 0)
        raise ShapeError(
            f"batch: expected elements of one shape, but the first of the batch has shape {shapes[0]} and number "
            f"{other} has {shapes[other]}; give them one shape with map before batch"
        ) from None


def common_rows(element: Element) -> int:
    """The length that all arrays of an element share along their first axis."""
    lengths = set()
    for leaf in leaves(element):
        if isinstance(leaf, bytes | str) or np.ndim(leaf) == 0:
            raise ShapeError("tensors: expected arrays with a first axis to slice along, but got a single value")
        lengths.add(len(leaf))
    if len(lengths) != 1:
        raise ShapeError(f"tensors: expected one length along the first axis, but the arrays have {sorted(lengths)}")
    return int(lengths.pop())


def describe(element: Element) -> Any:
    """The `ElementSpec` of each array, in the structure of the element."""

    def spec(leaf: Any) -> ElementSpec:
        if isinstance(leaf, bytes | str):
            return ElementSpec((), type(leaf).__name__)
        return ElementSpec(np.shape(leaf), str(np.asarray(leaf).dtype))

    return walk(spec, element)


def _different(elements: Sequence[Element]) -> DataError:
    forms = {str(walk(lambda leaf: "array", element)).replace("'", "") for element in elements}
    return DataError(f"elements: expected all to have one structure, but there are {' and '.join(sorted(forms))}")
