"""How a table of numbers, truth values and text becomes a matrix, the same way in training and in prediction.

A `TableEncoding` is made once, from the training file (`csv.py`), stored as JSON with the model, and applied
to every later file. It guesses nothing: a category that training did not see, a missing column or a text
where a number was is an error that names the column and the row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.errors import DataError, UnknownNameError

NUMBER, TRUTH, CATEGORY = "number", "truth value", "category"
CLASSIFICATION, REGRESSION = "classification", "regression"
_TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


@dataclass(frozen=True)
class Column:
    """One column of the table: a number, a truth value (0 or 1), or one of `categories` (one-hot).

    `fill` takes the place of a missing number; None means that a missing number is an error.
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    fill: float | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of its columns in the matrix: ``("colour=blue", "colour=red")`` for a category."""
        return tuple(f"{self.name}={c}" for c in self.categories) if self.kind == CATEGORY else (self.name,)

    def encode(self, series: Any) -> NDArray[np.float64]:
        """A pandas series of n cells -> (n, its features). Raises `DataError` naming cell and row."""
        missing = series.isna().to_numpy()
        if missing.any() and (self.kind != NUMBER or self.fill is None):
            raise DataError(
                f"column {self.name!r}: {int(missing.sum())} missing values, the first in {_row(missing)}; this "
                "model was trained without missing values there, so fill them or leave those rows out"
            )
        if self.kind == CATEGORY:
            return self._one_hot(series.map(str))
        if self.kind == TRUTH:
            values = series.map(lambda cell: _TRUTHS.get(str(cell).strip().lower(), np.nan)).to_numpy(np.float64)
        else:
            values = as_numbers(series)
            values[missing] = np.nan if self.fill is None else self.fill
        if (bad := ~np.isfinite(values)).any():
            cell = series.iloc[int(bad.argmax())]
            raise DataError(
                f"column {self.name!r}: expected a finite {self.kind} in every row, but {_row(bad)} holds {shown(cell)}"
            )
        return values[:, None]

    def _one_hot(self, cells: Any) -> NDArray[np.float64]:
        one_hot = cells.to_numpy(object)[:, None] == np.array(self.categories, object)
        if (unseen := ~one_hot.any(axis=1)).any():
            raise DataError(
                f"column {self.name!r}: {_row(unseen)} holds {cells.iloc[int(unseen.argmax())]!r}, which training "
                f"never saw; the categories are: {', '.join(self.categories)}"
            )
        return one_hot.astype(np.float64)


@dataclass(frozen=True)
class TableEncoding:
    """The columns that are features, in order, and the target.

    `task` is "classification" (then `class_names` lists the classes) or "regression" (then it is None).
    """

    columns: tuple[Column, ...]
    target: str
    target_kind: str
    task: str
    class_names: tuple[str, ...] | None = None

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for column in self.columns for name in column.feature_names)

    def encode(self, frame: Any) -> NDArray[np.float32]:
        """The features of a pandas frame, or of a mapping from column names to lists: float32 (n, features).

        Columns are found by name; others, the target among them, are passed over.
        Raises `DataError` for a column that is not there and for a cell that does not fit.

        >>> colour = Column("colour", CATEGORY, ("blue", "red"))
        >>> encoding = TableEncoding((Column("size", NUMBER), colour), "price", NUMBER, REGRESSION)
        >>> encoding.encode({"colour": ["red", "blue"], "size": [3, 4]})
        array([[3., 0., 1.],
               [4., 1., 0.]], dtype=float32)
        """
        frame = _as_frame(frame)
        absent = [c.name for c in self.columns if c.name not in frame.columns]
        if absent:
            raise DataError(
                f"table: expected the columns that the model was trained on, but {_quoted(absent)} is not there; the "
                f"columns are {_quoted(frame.columns)}"
            )
        parts = [column.encode(frame[column.name]) for column in self.columns]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def encode_target(self, frame: Any) -> NDArray[Any]:
        """The target: class numbers, int64 (n,), or values, float32 (n,). Raises `DataError`, as `encode`."""
        frame = _as_frame(frame)
        check_target(self.target, frame.columns)
        series = frame[self.target]
        if self.class_names is None:
            return Column(self.target, NUMBER).encode(series)[:, 0].astype(np.float32)
        if (missing := series.isna().to_numpy()).any():
            raise DataError(f"target {self.target!r}: {int(missing.sum())} missing, the first in {_row(missing)}")
        names = class_texts(series, self.target_kind)
        one_hot = Column(self.target, CATEGORY, self.class_names)._one_hot(names)
        return one_hot.argmax(axis=1).astype(np.int64)

    def read(self, path: str | os.PathLike[str], *, separator: str = ",", encoding: str = "utf-8") -> Any:
        """A CSV file as a pandas frame, with categories left as text ("007" stays "007")."""
        from talweg.data.csv import parse_csv

        text = [column.name for column in self.columns if column.kind == CATEGORY]
        text += [self.target] if self.target_kind == CATEGORY else []
        return parse_csv(path, separator=separator, encoding=encoding, text_columns=text)

    def to_config(self) -> dict[str, Any]:
        """Plain JSON, from which `from_config` makes the same encoding again."""
        config = asdict(self)
        config["columns"] = [{**column, "categories": list(column["categories"])} for column in config["columns"]]
        config["class_names"] = None if self.class_names is None else list(self.class_names)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableEncoding:
        """The encoding that `to_config` described. Raises `DataError` if it is not such a description."""
        try:
            columns = tuple(
                Column(
                    str(column["name"]),
                    _known(column["kind"], (NUMBER, TRUTH, CATEGORY)),
                    tuple(map(str, column["categories"])),
                    None if column["fill"] is None else float(column["fill"]),
                )
                for column in config["columns"]
            )
            names = config["class_names"]
            return cls(
                columns,
                str(config["target"]),
                _known(config["target_kind"], (NUMBER, TRUTH, CATEGORY)),
                _known(config["task"], (CLASSIFICATION, REGRESSION)),
                None if names is None else tuple(map(str, names)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"config: expected what TableEncoding.to_config gives, but {error!r} came up") from error


def shown(cell: Any) -> str:
    """A cell as the file has it: inf and not np.float64(inf)."""
    return repr(cell.item() if isinstance(cell, np.generic) else cell)


def check_target(target: str, columns: Any) -> None:
    """Raises `UnknownNameError`, with the columns and the nearest name, if the target is none of them."""
    if target not in columns:
        raise UnknownNameError("target column", target, map(str, columns))


def as_numbers(series: Any) -> NDArray[np.float64]:
    """A series as float64, with NaN for what is missing or no number."""
    import pandas as pd

    return np.array(pd.to_numeric(series, errors="coerce"), np.float64)


def class_texts(series: Any, kind: str) -> Any:
    """The name of each cell's class: whole numbers without a point, truth values as False and True."""
    if kind == NUMBER:
        numbers = as_numbers(series)
        if (bad := ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))).any():
            cell = series.iloc[int(bad.argmax())]
            raise DataError(
                f"target {series.name!r}: expected classes (text or whole numbers), but {_row(bad)} holds {cell!r}; "
                "task='regression' predicts numbers"
            )
        return series.map(lambda cell: str(int(float(cell))))
    if kind == TRUTH:
        return series.map(
            lambda cell: {1.0: "True", 0.0: "False"}.get(_TRUTHS.get(str(cell).strip().lower(), -1.0), str(cell))
        )
    return series.map(str)


def _as_frame(frame: Any) -> Any:
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return frame
    try:
        return pd.DataFrame(frame)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"table: expected a pandas frame or lists of equal length by column name, such as {{'age': [31, 40]}}, "
            f"but {error}"
        ) from error


def _known(value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError(f"{value!r} is none of {', '.join(values)}")
    return value


def _row(bad: NDArray[np.bool_]) -> str:
    return f"row {int(bad.argmax()) + 1}"


def _quoted(names: Any) -> str:
    return ", ".join(repr(str(name)) for name in names)
