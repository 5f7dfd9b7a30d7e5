"""Training, validation and test parts: what the network learns from, is tuned on, and is judged by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from talweg.errors import DataError, ShapeError, UsageError, argument


def train_test_split(
    *arrays: Any,
    test_size: float | int = 0.2,
    validation_size: float | int = 0.0,
    stratify: ArrayLike | None = None,
    order_by: ArrayLike | None = None,
    seed: int = 0,
) -> list[Any]:
    """Splits the rows of arrays of equal length into training, (validation) and test parts, at random or by time.

    Arrays, lists and pandas frames stay what they are. Returns, as scikit-learn does, the parts of the first
    array, then those of the second: ``x_train, x_test, y_train, y_test``, and with a validation part
    ``x_train, x_validation, x_test, y_train, y_validation, y_test``.

    test_size, validation_size: a fraction of all rows (0 < f < 1, rounded up), or a number of rows.
    stratify: labels, (n,); each part then has the classes in the proportions of the whole.
    order_by: when each row was, (n,): numbers or dates. The test part is then the latest rows, the validation part
    those before them, and the training part the earliest: a model that shall foretell is tested on what came later.
    Rows of one time stay in one part.
    seed: the same seed gives the same parts.

    Every row goes to exactly one part. Rows that are *equal* may go to different parts: if the data repeats
    examples, remove the repetitions first, or the test part will know some of the answers.

    Raises `ShapeError` for different lengths, `UsageError` for sizes that leave a part without rows,
    `DataError` if a class is too small to be in every part.

    >>> x_train, x_test = train_test_split(list(range(10)), test_size=0.2)
    >>> len(x_train), len(x_test), sorted(x_train + x_test) == list(range(10))
    (8, 2, True)
    """
    rows = _common_length(arrays)
    test = _rows_of("test_size", test_size, rows)
    validation = _rows_of("validation_size", validation_size, rows) if validation_size else 0
    if test + validation >= rows:
        raise UsageError(
            f"test_size={test_size}, validation_size={validation_size}: they take {test + validation} of {rows} rows "
            "and leave none for training; make them smaller"
        )
    if order_by is not None:
        if stratify is not None:
            raise UsageError(
                f"{argument('order_by')}: rows in the order of time cannot be stratified too; leave stratify out"
            )
        by_time = _in_time(order_by, rows, validation, test)
        return [_take(array, part) for array in arrays for part in by_time]
    labels = None
    if stratify is not None:
        labels = _labels(stratify, rows)
        _check_classes(labels, {"training": rows - test - validation, "validation": validation, "test": test})

    rest, test_rows = _split_in_two(rows, test, labels, seed)
    if not validation:
        return [_take(array, part) for array in arrays for part in (rest, test_rows)]
    left = None if labels is None else labels[rest]
    train_rows, validation_rows = _split_in_two(len(rest), validation, left, seed)
    return [_take(array, part) for array in arrays for part in (rest[train_rows], rest[validation_rows], test_rows)]


def _split_in_two(rows: int, test: int, labels: Any, seed: int) -> tuple[Any, Any]:
    """The numbers of the rows of two parts, the second of `test` rows, both in random order.

    The same rows as scikit-learn's `train_test_split` gives for this seed; to import that takes a second.
    """
    random = np.random.RandomState(seed)
    if labels is None:
        order = random.permutation(rows)
        return order[test:], order[:test]
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    first = _in_proportion(counts, rows - test, random)
    second = _in_proportion(counts - first, test, random)
    parts: tuple[list[Any], list[Any]] = ([], [])
    for k, count in enumerate(counts):
        of_class = np.flatnonzero(classes == k)[random.permutation(count)]
        parts[0].append(of_class[: first[k]])
        parts[1].append(of_class[first[k] : first[k] + second[k]])
    return random.permutation(np.concatenate(parts[0])), random.permutation(np.concatenate(parts[1]))


def _in_time(order_by: ArrayLike, rows: int, validation: int, test: int) -> list[Any]:
    """The rows of the parts, earliest first. A border among rows of one time moves to where that time ends."""
    time = np.asarray(order_by)
    if time.shape != (rows,) or time.dtype.kind not in "iufM" or (time != time).any():
        raise DataError(
            f"{argument('order_by')}: expected a number or a date for each of {rows} rows, none missing, but got "
            f"{time.dtype} of shape {time.shape}"
        )
    order = np.argsort(time, kind="stable")
    ends = np.flatnonzero(time[order][1:] != time[order][:-1]) + 1  # a border between two times
    wished = [rows - test - validation, *([rows - test] if validation else [])]
    borders = [int(ends[np.abs(ends - border).argmin()]) if len(ends) else 0 for border in wished]
    parts = np.split(order, borders)
    if not all(len(part) for part in parts):
        raise DataError(
            f"{argument('order_by')}: {len(ends) + 1} different times in {rows} rows do not make {len(parts)} parts "
            "with times of their own; split at random, or by a column that tells finer"
        )
    return parts


def _in_proportion(counts: Any, rows: int, random: np.random.RandomState) -> Any:
    """How many of `rows` go to each class. Those left after rounding down go where most was cut off; ties by lot."""
    exact = counts / counts.sum() * rows
    shares = np.floor(exact)
    cut, left = exact - shares, int(rows - shares.sum())
    for most in np.unique(cut)[::-1]:
        if left == 0:
            break
        tied = np.flatnonzero(cut == most)
        chosen = random.choice(tied, size=min(len(tied), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(int)


def _common_length(arrays: tuple[Any, ...]) -> int:
    if not arrays:
        raise UsageError("train_test_split: expected at least one array to split, but got none")
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ShapeError(
            f"arrays: expected as many rows in each, but they have {lengths}; rows belong together by number"
        )
    if lengths[0] < 2:
        raise DataError(f"arrays: expected at least 2 rows to split, but got {lengths[0]}")
    return lengths[0]


def _rows_of(name: str, size: float | int, rows: int) -> int:
    """How many rows a fraction or a number stands for."""
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if whole and 0 < size < rows:
        return int(size)
    if isinstance(size, float | np.floating) and 0 < size < 1:
        return int(np.ceil(round(size * rows, 9)))  # rounded first: 0.1 * 30 is 3.0000000000000004
    raise UsageError(f"{name}: expected a fraction between 0 and 1 or a number of rows below {rows}, but got {size!r}")


def _labels(stratify: ArrayLike, rows: int) -> Any:
    labels = np.asarray(stratify)
    if labels.ndim == 2 and labels.shape[1] > 1:  # one-hot rows: the class is where the one is
        labels = labels.argmax(axis=1)
    labels = labels.reshape(len(labels), -1)[:, 0] if labels.ndim > 1 else labels
    if labels.shape != (rows,):
        raise ShapeError(f"stratify: expected a label for each of {rows} rows, but got shape {np.shape(stratify)}")
    return labels


def _check_classes(labels: Any, parts: dict[str, int]) -> None:
    classes, counts = np.unique(labels, return_counts=True)
    used = {name: size for name, size in parts.items() if size}
    if counts.min() < len(used):
        small = {str(c): int(n) for c, n in zip(classes, counts, strict=True) if n < len(used)}
        listed = ", ".join(f"{name!r} has {n}" for name, n in list(small.items())[:5])
        hint = (
            f"; {len(small)} classes are that small: is this a number to be predicted and not a class?"
            if len(small) > 5
            else ""
        )
        raise DataError(
            f"stratify: each class needs at least {len(used)} rows, one for each part, but class {listed}{hint}. "
            "Collect more, drop or merge such classes, or split without stratify."
        )
    for name, size in used.items():
        if size < len(classes):
            raise DataError(
                f"stratify: the {name} part has {size} rows for {len(classes)} classes, so some would be missing "
                "from it; make it larger, or split without stratify"
            )


def _take(array: Any, rows: Any) -> Any:
    if hasattr(array, "iloc"):
        return array.iloc[rows]
    if isinstance(array, list | tuple):
        return type(array)(array[row] for row in rows)
    return np.asarray(array)[rows]
