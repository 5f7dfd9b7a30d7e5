"""How a table of numbers, truth values, texts and dates becomes a matrix, the same way in training and in prediction.

A `TableEncoding` is made once, from the training file (`csv.py`), stored as JSON with the model, and applied to every
later file. A category that training did not see, a missing cell or a text where a number was is named with its row, and
whoever asked decides: refuse the table, fill as in training, or skip the row.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.cells import EXACT, Cells, Table, as_written, is_code, read_table, table_of
from talweg.data.column import CATEGORY, KINDS, MISSING, NUMBER, TRUTH, Column, outside, range_of
from talweg.data.csv_text import Dialect
from talweg.errors import DataError, UnknownNameError, UsageError, argument

CLASSIFICATION, REGRESSION = "classification", "regression"
REFUSE, FILL, SKIP = BAD_ROWS = ("refuse", "fill", "skip")
MOST_NAMES = 20  # columns in a message
MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Encoded:
    """What `TableEncoding.read_rows` made of a table.

    features: float64 (n, features).  rows: the number of each of the n rows in the table, from 1.  skipped: number and
    reason of each row that is not among them.  notes: sentences on what was filled, passed over or is out of range.
    """

    features: NDArray[np.float64]
    rows: NDArray[np.int64]
    skipped: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableEncoding:
    """The columns that are features, in order, and the target.

    `task` is "classification" (then `class_names` lists the classes) or "regression" (then it is None). `dialect`: how
    the training file was written.
    """

    columns: tuple[Column, ...]
    target: str
    target_kind: str
    task: str
    class_names: tuple[str, ...] | None = None
    dialect: Dialect = Dialect()  # noqa: RUF009  (frozen)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(name for column in self.columns for name in column.feature_names)

    def encode(self, frame: Any, bad_rows: str = REFUSE) -> NDArray[np.float64]:
        """The features of a pandas frame, or of a mapping from column names to lists: float64 (n, features).

        Columns are found by name; others, the target among them, are passed over.
        Raises `DataError` for a column that is not there and, unless `bad_rows` says otherwise (see `read_rows`), for a
        cell that does not fit.

        >>> colour = Column("colour", CATEGORY, ("blue", "red"))
        >>> encoding = TableEncoding((Column("size", NUMBER), colour), "price", NUMBER, REGRESSION)
        >>> encoding.encode({"colour": ["red", "blue"], "size": [3, 4]})
        array([[3., 0., 1.],
               [4., 1., 0.]])
        """
        return self.read_rows(frame, bad_rows).features

    def read_rows(self, frame: Any, bad_rows: str = REFUSE) -> Encoded:
        """As `encode`, with a choice about rows with a cell that is missing, or whose like training never saw.

        bad_rows: "refuse" raises `DataError`; "fill" puts the training part's mean or most frequent value there;
        "skip" leaves the row out. The notes say what was done, and which numbers are outside of the training's range.

        >>> encoding = TableEncoding((Column("size", NUMBER, typical=3.5),), "price", NUMBER, REGRESSION)
        >>> encoding.read_rows({"size": [3, None, 4]}, bad_rows="skip").rows
        array([1, 3])
        """
        if bad_rows not in BAD_ROWS:
            raise UsageError(f"{argument('bad_rows')}: expected 'refuse', 'fill' or 'skip', but got {bad_rows!r}")
        table = table_of(frame)
        notes = self._check_names(table)
        places = table.places
        values, far, problems = [], [], dict[int, str]()
        for column in self.columns:
            cells = table.columns[column.name]
            found = column.values(cells)
            bad = column.is_bad(found)
            if (fill := column.value_of(column.fill)) is not None:
                found[bad & cells.missing] = fill
                bad &= ~cells.missing
            if bad.any() and bad_rows == FILL:
                found[bad] = _typical(column, cells, bad)
                notes.append(f"Column {column.name!r} was filled as in training in {places.listed(bad)}.")
            elif bad.any() and bad_rows == REFUSE:
                problems[len(problems)] = column.complaint(cells, bad)
            for i in np.flatnonzero(bad).tolist() if bad_rows == SKIP else ():
                problems.setdefault(i, column.complaint(cells.taken([i]), np.ones(1, bool)))
            far.append(outside(column, found) & ~bad)
            values.append(found)
        if problems and bad_rows == REFUSE:
            listed = "; ".join(list(problems.values())[:MOST_PROBLEMS])
            raise DataError(
                f"{listed}. Correct the table, or choose {argument('bad_rows', SKIP)} (such rows get no prediction) or "
                f"{argument('bad_rows', FILL)} (as in training: the mean, or the most frequent value)"
            )
        kept = np.array([i not in problems for i in range(len(table))], bool)
        notes += _out_of_range(self.columns, table, [mask & kept for mask in far])
        blocks = [column.block(found[kept]) for column, found in zip(self.columns, values, strict=True)]
        skipped = {int(places.rows[i]): problems[i] for i in sorted(problems)}
        return Encoded(np.concatenate(blocks, axis=1), places.rows[kept], skipped, tuple(notes))

    def encode_target(self, frame: Any) -> NDArray[Any]:
        """The target: class numbers, int64 (n,), or values, float32 (n,). Raises `DataError`, as `encode`."""
        table = table_of(frame)
        check_column(self.target, table.columns, "target column")
        cells = table.columns[self.target]
        if (missing := cells.missing).any():
            raise DataError(
                f"target {self.target!r}: {int(missing.sum())} missing, the first in {cells.places.listed(missing)}"
            )
        column = Column(self.target, NUMBER if self.class_names is None else CATEGORY, self.class_names or ())
        if self.class_names is not None:
            names = np.empty(len(cells), object)
            names[:] = class_texts(cells, self.target_kind)
            cells = Cells(cells.name, cells.numbers, names, cells.places)
        values = column.values(cells)
        if (bad := column.is_bad(values)).any():
            raise DataError(column.complaint(cells, bad))
        return values if self.class_names is not None else values.astype(np.float32)

    def read(self, path: str | os.PathLike[str], **changes: Any) -> Table:
        """A CSV file, written as the training file was, with categories left as text ("007" stays "007").

        changes: what is different in this file, by the names of `read_csv`: separator, encoding, decimal, ...
        """
        texts = {column.name for column in self.columns if column.kind == CATEGORY}
        texts |= {self.target} if self.target_kind == CATEGORY else set()
        dialect = Dialect(**{**asdict(self.dialect), **changes})
        return read_table(path, dialect, texts.__contains__)

    def _check_names(self, table: Table) -> list[str]:
        """Raises `DataError` for a column that is not there; notes on those that the model does not use."""
        wanted = [column.name for column in self.columns]
        absent = [name for name in wanted if name not in table.columns]
        if absent:
            plain = {name.casefold().strip(): name for name in table.columns}
            meant = [(n, plain[n.casefold().strip()]) for n in absent if n.casefold().strip() in plain]
            hint = "".join(f"; rename {theirs!r} to {ours!r}" for ours, theirs in meant[:MOST_NAMES])
            raise DataError(
                f"table: expected the columns that the model was trained on, but {_quoted(absent)} "
                f"{'is' if len(absent) == 1 else 'are'} not there; the columns are {_quoted(table.columns)}{hint}"
            )
        notes = list(table.notes + table.warnings)
        used = set(wanted)
        extra = [name for name in table.columns if name not in used and name != self.target]
        if self.target in table.columns:
            notes.append(f"Column {self.target!r} is what the model predicts; what stands there is not looked at.")
        if extra:
            notes.append(f"Not used, because the model was not trained on it: column {_quoted(extra)}.")
        if [name for name in table.columns if name in used] != wanted:
            notes.append("The columns are in another order than in training; they were found by name.")
        return notes

    def to_config(self) -> dict[str, Any]:
        """Plain JSON, from which `from_config` makes the same encoding again."""
        return {
            "columns": [column.to_config() for column in self.columns],
            "target": self.target,
            "target_kind": self.target_kind,
            "task": self.task,
            "class_names": None if self.class_names is None else list(self.class_names),
            "dialect": self.dialect.to_config(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TableEncoding:
        """The encoding that `to_config` described. Raises `DataError` if it is not such a description."""
        try:
            names = config["class_names"]
            return cls(
                tuple(Column.from_config(column) for column in config["columns"]),
                str(config["target"]),
                _known(config["target_kind"], KINDS),
                _known(config["task"], (CLASSIFICATION, REGRESSION)),
                None if names is None else tuple(map(str, names)),
                Dialect.from_config(config.get("dialect", {})),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"config: expected what TableEncoding.to_config gives, but {error!r} came up") from error


def check_column(name: str, columns: Any, what: str = "column") -> None:
    """Raises `UnknownNameError`, with the columns and the nearest name, if there is no such column."""
    if name not in columns:
        raise UnknownNameError(what, name, map(str, columns))


def class_texts(cells: Cells, kind: str) -> list[str | None]:
    """The name of each cell's class: whole numbers without a point, codes such as 007 as they are, False and True."""
    texts = cells.as_texts()
    if kind == CATEGORY:
        return list(texts)
    if kind == TRUTH:
        return [
            None if t is None else {"true": "True", "false": "False", "1": "True", "0": "False"}.get(t.lower(), t)
            for t in texts
        ]
    numbers = cells.numbers
    if (bad := ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))).any():
        i = int(bad.argmax())
        raise DataError(
            f"target {cells.name!r}: expected classes (text or whole numbers), but {cells.places.at(i)} holds "
            f"{cells.text(i)!r}; {argument('task', REGRESSION)} predicts numbers"
        )
    are_codes = any(is_code(text) for text in set(texts))
    return [t if are_codes or abs(x) >= EXACT else as_written(x) for t, x in zip(texts, numbers, strict=True)]


def _typical(column: Column, cells: Cells, bad: NDArray[np.bool_]) -> float | int:
    typical = column.value_of(column.typical if column.fill is None else column.fill)
    if typical is None:
        raise DataError(
            f"{column.complaint(cells, bad)}; this model does not know what is typical of that column: use "
            f"{argument('bad_rows', SKIP)}"
        )
    return typical


def _out_of_range(columns: Sequence[Column], table: Table, far: list[NDArray[np.bool_]]) -> list[str]:
    """One sentence on numbers and dates that lie outside of the range of the training part."""
    told = []
    for column, mask in zip(columns, far, strict=True):
        if mask.any():
            first, others = int(mask.argmax()), int(mask.sum()) - 1
            more = f" and {others:,} more" if others else ""
            cell = table.columns[column.name].text(first)
            told.append(f"{column.name!r} in {table.places.at(first)}{more}: {cell} (training: {range_of(column)})")
    if not told:
        return []
    more = f"; and {len(told) - MOST_PROBLEMS:,} more columns" if len(told) > MOST_PROBLEMS else ""
    listed = "; ".join(told[:MOST_PROBLEMS])
    return [f"Outside of what training saw, so that predictions are guesses: column {listed}{more}."]


def _known(value: str, values: tuple[str, ...]) -> str:
    if value not in values:
        raise ValueError(f"{value!r} is none of {', '.join(values)}")
    return value


def _quoted(names: Any) -> str:
    names = list(names)
    more = ", ..." if len(names) > MOST_NAMES else ""
    return ", ".join(repr(str(name)) for name in names[:MOST_NAMES]) + more


__all__ = ["CLASSIFICATION", "MISSING", "REGRESSION", "Column", "Encoded", "Table", "TableEncoding", "check_column"]
