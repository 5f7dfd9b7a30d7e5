"""CSV: a table read with pandas, and every decision about it told.

What a column is (number, truth value, category), what the task is, and what is missing can be seen in the
file; what to *do* about missing values cannot, so that is asked and never guessed.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.files import MAX_BYTES, corrupt, read_everything
from talweg.data.table import (
    CATEGORY,
    CLASSIFICATION,
    NUMBER,
    REGRESSION,
    TRUTH,
    Column,
    TableEncoding,
    as_numbers,
    check_target,
    class_texts,
    shown,
)
from talweg.errors import CorruptFileError, DataError, UsageError

MOST_CLASSES = 20  # A target of more distinct whole numbers than this is taken for a quantity.


@dataclass(frozen=True)
class TableData:
    """What `read_csv` found.

    features: float32 (n, features).  target: int64 class numbers or float32 values, (n,).
    class_names: what class number k is called; None for regression.  encoding: to treat other files alike.
    notes: sentences that say what was decided.  filled: bool (n, features), where a missing number was.
    """

    features: NDArray[np.float32]
    target: NDArray[Any]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    task: str
    encoding: TableEncoding
    notes: tuple[str, ...]
    filled: NDArray[np.bool_]

    def filled_from(self, rows: Any) -> TableData:
        """The same table, with the means for missing numbers taken from some rows only: the training part.

        rows: their numbers, or a mask. `read_csv(missing="mean")` cannot know the training part yet, so call
        this after the split; otherwise the test part has a share in the means.
        """
        features, columns, start = self.features.copy(), list(self.encoding.columns), 0
        for i, column in enumerate(columns):
            if column.fill is not None:
                known = self.features[rows, start][~self.filled[rows, start]]
                if not known.size:
                    raise DataError(
                        f"column {column.name!r}: no number is known in the given rows, so there is no mean"
                    )
                columns[i] = replace(column, fill=float(known.mean(dtype=np.float64)))
                features[self.filled[:, start], start] = columns[i].fill
            start += len(column.feature_names)
        return replace(self, features=features, encoding=replace(self.encoding, columns=tuple(columns)))


def read_csv(
    path: str | os.PathLike[str],
    *,
    target: str,
    task: str | None = None,
    missing: str = "error",
    ignore: Collection[str] = (),
    max_categories: int = 100,
    separator: str = ",",
    encoding: str = "utf-8",
) -> TableData:
    """Reads a table with a header row and encodes it for learning. The file may be gzipped.

    target: the column to predict.  task: "classification" or "regression"; None decides by the target: text,
    truth values, and at most 20 distinct whole numbers (each found twice on average) are classes, all else
    is a quantity.
    missing: "error", "drop" (leaves those rows out) or "mean" (puts the column's mean there; numbers only; see
    `TableData.filled_from`).  ignore: columns to leave out.  max_categories: a text column with more
    distinct values is an error, since it is rather a name or a date than a category.

    Raises `UnknownNameError` if the target is no column, `DataError` for missing values, infinities, text
    among numbers, and empty tables, `CorruptFileError` if it is no CSV.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("weight,skin,fruit\\n150,smooth,apple\\n110,rough,kiwi\\n170,smooth,apple\\n")
    ...     table = read_csv(path, target="fruit")
    >>> table.feature_names, table.class_names, table.target.tolist()
    (('weight', 'skin=rough', 'skin=smooth'), ('apple', 'kiwi'), [0, 1, 0])
    >>> print(*table.notes, sep="\\n")
    3 rows, 2 columns of features (3 after encoding), target 'fruit'.
    Column 'skin' is a category with 2 values, one-hot encoded: rough, smooth.
    Task: classification, because the target is text; 2 classes: apple, kiwi.
    """
    if missing not in ("error", "drop", "mean"):
        raise UsageError(f"missing: expected 'error', 'drop' or 'mean', but got {missing!r}")
    frame = parse_csv(path, separator=separator, encoding=encoding)
    check_target(target, frame.columns)
    for name in ignore:
        check_target(name, frame.columns)
    frame = frame.drop(columns=[name for name in ignore if name != target])
    if len(frame) == 0 or frame.shape[1] < 2:
        raise DataError(f"{path}: expected rows with a target and at least one feature, but the table is {frame.shape}")
    notes: list[str] = []
    if ignore:
        notes.append(f"Left out as asked: {', '.join(ignore)}.")
    frame = _without_missing(path, frame, target, missing, notes)
    try:
        columns = [_column(frame[name], max_categories, notes) for name in frame.columns if name != target]
        kind, task, classes = _target(frame[target], task, notes)
        encoded = TableEncoding(tuple(columns), target, kind, task, classes)
        features, values = encoded.encode(frame), encoded.encode_target(frame)
    except DataError as error:
        raise type(error)(f"{path}: {error}") from error
    width = f" ({features.shape[1]} after encoding)" if features.shape[1] != len(columns) else ""
    notes.insert(0, f"{len(frame)} rows, {len(columns)} columns of features{width}, target {target!r}.")
    filled = np.concatenate(
        [np.repeat(frame[c.name].isna().to_numpy()[:, None], len(c.feature_names), axis=1) for c in columns],
        axis=1,
    )
    return TableData(features, values, encoded.feature_names, classes, task, encoded, tuple(notes), filled)


def parse_csv(
    path: str | os.PathLike[str],
    *,
    separator: str = ",",
    encoding: str = "utf-8",
    text_columns: Sequence[str] = (),
) -> Any:
    """A pandas frame with the types that pandas finds, but text in `text_columns`.

    Raises `CorruptFileError` if rows are longer than the header or the bytes are not text in `encoding`.
    """
    import pandas as pd

    data = io.BytesIO(read_everything(path, "a CSV file", max_bytes=MAX_BYTES))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas would drop cells and only warn
            types = dict.fromkeys(text_columns, str)
            frame = pd.read_csv(data, sep=separator, encoding=encoding, dtype=types, index_col=False, low_memory=False)
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path}: expected a table with a header row, but the file is empty") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise CorruptFileError(
            f"{path}: expected text in {encoding}, but {error}; give the encoding it has (often 'latin-1' or 'cp1252')"
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, ValueError) as error:
        raise corrupt(Path(path), "a CSV file with as many cells in each row as in the first", str(error)) from error
    frame.columns = [str(name) for name in frame.columns]
    if frame.shape[1] == 1 and any(mark in frame.columns[0] for mark in ";\t|"):
        raise DataError(
            f"{path}: the only column is {frame.columns[0]!r}; give separator=';' (or the mark that parts its cells)"
        )
    return frame


def _without_missing(path: Any, frame: Any, target: str, missing: str, notes: list[str]) -> Any:
    """The frame without the rows that must go; raises where the user has to decide."""
    counts = {name: int(n) for name, n in frame.isna().sum().items() if n}
    if not counts:
        return frame
    listed = ", ".join(f"{name!r} has {n}" for name, n in counts.items())
    complete = frame.dropna()
    if missing == "error":
        raise DataError(
            f"{path}: missing values in {len(frame) - len(complete)} of {len(frame)} rows: column {listed}. Say what "
            f"to do (--missing on the command line): missing='drop' leaves those rows out ({len(complete)} stay), "
            "missing='mean' puts the column's mean in their place (numbers only), ignore=[…] leaves a column out."
        )
    if missing == "drop":
        if complete.empty:
            raise DataError(
                f"{path}: every row misses a value (column {listed}), so dropping leaves none; use ignore=[…]"
            )
        notes.append(f"{len(frame) - len(complete)} rows with missing values were dropped: column {listed}.")
        return complete.infer_objects().reset_index(drop=True)
    for name in counts:
        known = frame[name].dropna()
        if name == target or known.empty or _kind(known) != NUMBER:
            what = "is the target" if name == target else "is empty" if known.empty else "holds no numbers"
            raise DataError(
                f"{path}: missing='mean' cannot fill column {name!r}, which {what}; use missing='drop' or ignore=[…]"
            )
    notes.append(f"Missing numbers were replaced by their column's mean: column {listed}.")
    return frame


def _kind(known: Any) -> str:
    """What a column is, by the cells that are there. Raises `DataError` for a few texts among numbers."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_bool_dtype(known.infer_objects()):
        return TRUTH
    if is_numeric_dtype(known):
        return NUMBER
    numbers = np.isfinite(as_numbers(known))
    if numbers.all():
        return NUMBER
    if numbers.mean() >= 0.5:
        texts = known[~numbers]
        listed = ", ".join(f"{shown(cell)} in row {row + 1}" for row, cell in list(texts.items())[:3])
        raise DataError(
            f"column {known.name!r}: {int(numbers.sum())} cells are numbers and {len(texts)} are not ({listed}). "
            "Correct them, leave them empty (missing), or leave the column out with ignore=[…]."
        )
    return CATEGORY


def _column(series: Any, max_categories: int, notes: list[str]) -> Column:
    """A column of features as it will be encoded."""
    known = series.dropna()
    kind = _kind(known)
    if kind == CATEGORY:
        categories = tuple(sorted({str(cell) for cell in known}))
        if len(categories) > max_categories:
            raise DataError(
                f"column {series.name!r}: {len(categories)} different texts (such as {categories[0]!r}) in "
                f"{len(series)} rows are more than max_categories={max_categories}: a name, a date or free text? "
                f"Leave it out with ignore=[{series.name!r}], or raise max_categories."
            )
        notes.append(
            f"Column {series.name!r} is a category with {len(categories)} values, one-hot encoded: "
            f"{', '.join(categories)}."
        )
        return Column(str(series.name), kind, categories)
    if kind == TRUTH:
        notes.append(f"Column {series.name!r} holds truth values: 0 for false, 1 for true.")
        return Column(str(series.name), kind)
    numbers = as_numbers(known)
    if len(numbers) > 10 and (np.diff(numbers) == 1).all():
        notes.append(f"Column {series.name!r} only counts the rows; leave it out with ignore=[{series.name!r}] if so.")
    return Column(str(series.name), kind, fill=float(numbers.mean()) if len(known) < len(series) else None)


def _target(series: Any, task: str | None, notes: list[str]) -> tuple[str, str, tuple[str, ...] | None]:
    """(kind, task, class names) of the target, with the reason noted."""
    if task not in (None, CLASSIFICATION, REGRESSION):
        raise UsageError(f"task: expected {CLASSIFICATION!r} or {REGRESSION!r}, but got {task!r}")
    kind = _kind(series)
    because = "as asked"
    if kind != NUMBER:
        if task == REGRESSION:
            raise DataError(f"target {series.name!r}: regression needs numbers, but it holds {shown(series.iloc[0])}")
        because = because if task else f"because the target is {'text' if kind == CATEGORY else 'a truth value'}"
        task = CLASSIFICATION
    elif task is None:
        task, because = _task_of_numbers(as_numbers(series))
    if task == REGRESSION:
        notes.append(f"Task: regression, {because}.")
        return kind, task, None
    texts = set(class_texts(series, kind))
    classes = tuple(sorted(texts, key=int) if kind == NUMBER else sorted(texts))
    if len(classes) < 2:
        raise DataError(f"target {series.name!r}: expected at least two classes, but every row holds {classes[0]!r}")
    listed = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
    notes.append(f"Task: classification, {because}; {len(classes)} classes: {listed}.")
    return kind, task, classes


def _task_of_numbers(numbers: NDArray[np.float64]) -> tuple[str, str]:
    distinct = np.unique(numbers)
    if not np.isfinite(numbers).all() or (distinct != np.floor(distinct)).any():
        return REGRESSION, "because the target has fractions"
    if len(distinct) <= min(MOST_CLASSES, len(numbers) // 2):
        return CLASSIFICATION, f"because the target has only {len(distinct)} different whole numbers"
    return REGRESSION, f"because the target has {len(distinct)} different numbers in {len(numbers)} rows"
