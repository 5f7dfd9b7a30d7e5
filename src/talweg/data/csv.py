"""CSV: a table read, and every decision about it told.

csv_text.py    bytes -> rows of equal length          cells.py    rows -> columns of numbers and texts
deciding.py    what each column is                    target.py   what is to be predicted
holes.py       missing cells                          suspicion.py  what is legal and probably not meant
column.py, table.py   the encoding that is saved with the model
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data import dates as dates_
from talweg.data.cells import Cells, Table, number_in, read_table
from talweg.data.column import CATEGORY, DATE, NUMBER, Column
from talweg.data.csv_text import Dialect
from talweg.data.deciding import DATES, ELAPSED, Choices, Told, date_order, decide, kind_of, listed
from talweg.data.files import MAX_BYTES, about, reading
from talweg.data.holes import MISSING_CHOICES, without_holes
from talweg.data.suspicion import check_counters, check_header, check_leaks, named_columns, without_constants
from talweg.data.table import MOST_PROBLEMS, TableEncoding, check_column
from talweg.data.target import decide_target
from talweg.errors import DataError, DataWarning, UnknownNameError, UsageError, argument, warn

MOST_LINES_BEFORE = 20  # a table, in which a header is looked for


@dataclass(frozen=True)
class TableData:
    """What `read_csv` found.

    features: float64 (n, features): float32 would round large numbers together before they are scaled.
    target: int64 class numbers or float32 values, (n,).
    class_names: what class number k is called; None for regression.  encoding: to treat other files alike.
    notes: sentences that say what was decided.  filled: bool (n, features), where a missing cell was filled.
    warnings: sentences on what is probably not meant.  rows: the number of each row in the file, from 1.
    time: when each row was, (n,), by the column that `split_by` named; for `train_test_split(order_by=...)`.
    """

    features: NDArray[np.floating[Any]]
    target: NDArray[Any]
    feature_names: tuple[str, ...]
    class_names: tuple[str, ...] | None
    task: str
    encoding: TableEncoding
    notes: tuple[str, ...]
    filled: NDArray[np.bool_]
    warnings: tuple[str, ...] = ()
    rows: NDArray[np.int64] | None = None
    time: NDArray[np.float64] | None = None

    def filled_from(self, rows: Any) -> TableData:
        """The same table, with what was learned from it (means and most frequent values for missing cells, ranges)
        taken from some rows only: the training part.

        rows: their numbers, or a mask. `read_csv(missing="mean")` cannot know the training part yet, so call this after
        the split; otherwise the test part has a share in the means.
        """
        return self._fitted(rows, narrow=False)

    def in_float32(self, rows: Any) -> TableData:
        """As `filled_from`, with float32 features. Columns that float32 would round together are standardised first."""
        return self._fitted(rows, narrow=True)

    def _fitted(self, rows: Any, narrow: bool) -> TableData:
        features, columns, start = self.features.copy(), list(self.encoding.columns), 0
        for i, column in enumerate(columns):
            block = slice(start, start := start + len(column.feature_names))
            if column.kind == DATE and column.parts:
                continue  # nothing is learned from it, and nothing filled
            filled = self.filled[:, block][:, 0]
            values = _values(column, features[:, block])
            known = values[rows][~filled[rows]]
            if not known.size:
                what = "no number is known in the given rows, so there is no mean"
                raise DataError(f"column {column.name!r}: {what}")
            fitted = column.fitted(known, column.fill is not None)
            if narrow:
                fitted = fitted.in_float32(known)
            if (fill := fitted.value_of(fitted.fill)) is not None:
                values[filled] = fill
            features[:, block], columns[i] = fitted.block(values), fitted
        if narrow:
            features = features.astype(np.float32)
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
    decimal: str = ".",
    thousands: str | None = None,
    comment: str | None = None,
    header: bool = True,
    na_values: Collection[str] | None = None,
    categorical: Collection[str] = (),
    dates: str = "elapsed",
    date_order: str | None = None,
    split_by: str | None = None,
) -> TableData:
    """Reads a table with a header row and encodes it for learning. The file may be gzipped.

    Parameters
    ----------
    target : the column to predict.
    task : "classification" or "regression"; None decides by the target: text, truth values, and at most 20 distinct
        whole numbers (each found twice on average) are classes, all else is a quantity.
    missing : "error"; "drop" leaves those rows out; "mean" puts the column's mean there (numbers only);
        "most_frequent" does, and the most frequent text into columns of texts; "category" makes missing texts a
        category of their own. See `TableData.filled_from`.
    ignore : columns to leave out.
    max_categories : a text column with more distinct values is an error.
    separator, encoding : the mark between cells, and how the bytes stand for letters.
    decimal, thousands : the marks in numbers. With decimal="," 1,5 is one and a half.
    comment : a mark such as "#"; lines that begin with it are left out.
    header : False if the first row is data; then the columns are called c1, c2, ...
    na_values : the texts that mean "missing", instead of pandas's (NA, nan, NULL, ...). With [""] only empty cells do.
    categorical : columns of numbers that are codes, such as "007", and are read as categories.
    dates : a column of dates becomes the days since the first one ("elapsed"), or year, month, day, weekday and, where
        there are any, hours ("parts").
    date_order : "ymd", "dmy" or "mdy", where it cannot be seen.
    split_by : a column of dates or numbers that says when each row was. It becomes `TableData.time`, and a feature only
        with dates="parts".

    Warns (`DataWarning`) of what is legal and probably not meant: row numbers as features, copies of the target,
    classes with one row, many categories.

    Raises `UnknownNameError` if the target is no column; `DataError` for missing values, infinities, text among
    numbers, names and identifiers as features, and empty tables; `CorruptFileError` if it is no CSV.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "fruit.csv")
    ...     _ = path.write_text("size,skin,kind\\n15,smooth,pome\\n9,rough,kiwi\\n17,smooth,pome\\n8,rough,kiwi\\n")
    ...     table = read_csv(path, target="kind")
    >>> table.feature_names, table.class_names, table.target.tolist()
    (('size', 'skin=rough', 'skin=smooth'), ('kiwi', 'pome'), [1, 0, 1, 0])
    >>> print(*table.notes, sep="\\n")
    4 rows, 2 columns of features (3 after encoding), target 'kind'.
    Column 'skin' is a category with 2 values, one-hot encoded: rough, smooth.
    Task: classification, because the target is text; 2 classes: kiwi, pome.
    """
    for name, value, known in (("missing", missing, MISSING_CHOICES), ("dates", dates, DATES)):
        if value not in known:
            raise UsageError(f"{argument(name)}: expected {' or '.join(map(repr, known))}, but got {value!r}")
    if date_order not in (None, *dates_.ORDERS):
        raise UsageError(f"{argument('date_order')}: expected 'ymd', 'dmy' or 'mdy', but got {date_order!r}")
    for name, columns in (("ignore", ignore), ("categorical", categorical)):
        if isinstance(columns, str):
            raise UsageError(
                f"{argument(name)}: expected a list of columns, but got {columns!r}; give {argument(name, [columns])}"
            )
    target, split_by = _composed(target), _composed(split_by)
    ignore, categorical = [*map(_composed, ignore)], [*map(_composed, categorical)]
    marks = na_values if na_values is None or isinstance(na_values, str) else tuple(na_values)
    dialect = Dialect(separator, encoding, decimal, thousands, comment, header, marks)  # type: ignore[arg-type]
    choices = Choices(missing, tuple(categorical), max_categories, dates, date_order)
    with reading(path, "a CSV file"), about(path):
        table = read_table(path, dialect, {target, *categorical}.__contains__)
        found = _encoded(table, target, task, tuple(ignore), split_by, choices, dialect)
    for warning in found.warnings:
        warn(f"{path}: {warning}", DataWarning)
    return found


def columns_of(path: str | os.PathLike[str], **dialect: Any) -> tuple[str, ...]:
    """The names of a CSV file's columns. dialect: how it is written, as for `read_csv`."""
    with reading(path, "a CSV file"):
        return tuple(read_table(path, Dialect(**dialect)).columns)


def _composed(name: Any) -> Any:
    """A name with its accents written as the file's are."""
    return unicodedata.normalize("NFC", name) if isinstance(name, str) else name


def _encoded(
    table: Table,
    target: str,
    task: str | None,
    ignore: tuple[str, ...],
    split_by: str | None,
    choices: Choices,
    dialect: Dialect,
) -> TableData:
    told = Told(list(table.notes), list(table.warnings))
    table, when = _chosen(table, target, ignore, split_by, choices, told)
    check_counters(table, target, told)
    problems: list[DataError] = []  # all of them, so that one command more is enough
    try:
        table = without_holes(table, target, choices, told)
    except DataError as error:
        problems.append(error)
    table = without_constants(table, target, told)
    if len(table.columns) < 2:
        raise DataError("no column is left to learn from; give the table another feature")
    features = [cells for name, cells in table.columns.items() if name != target]
    columns = []
    for cells in features:
        try:
            columns.append(decide(cells, choices, told))
        except DataError as error:
            problems.append(error)
    if problems:
        raise _joined(problems)
    kind, task, classes = decide_target(table.columns[target], task, choices, told)
    check_leaks(table, target, classes is not None, told)
    encoding = TableEncoding(tuple(columns), target, kind, task, classes, dialect)
    size = len(table) * len(encoding.feature_names)
    if size * 8 > MAX_BYTES:
        raise DataError(
            f"{len(table):,} rows of {len(encoding.feature_names):,} features after encoding take {size * 8:,} bytes, "
            f"more than {MAX_BYTES:,}; leave columns out with {argument('ignore')}, or take fewer rows"
        )
    values = encoding.encode(table)
    width = f" ({values.shape[1]} after encoding)" if values.shape[1] != len(columns) else ""
    told.notes.insert(0, f"{len(table)} rows, {len(columns)} columns of features{width}, target {target!r}.")
    filled = [
        np.repeat(cells.missing[:, None], len(c.feature_names), axis=1)
        for c, cells in zip(columns, features, strict=True)
    ]
    return TableData(
        values,
        encoding.encode_target(table),
        encoding.feature_names,
        classes,
        task,
        encoding,
        tuple(told.notes),
        np.concatenate(filled, axis=1),
        tuple(told.warnings),
        table.places.rows,
        None if when is None else when[table.places.rows - 1],
    )


def _joined(problems: list[DataError]) -> DataError:
    """One error that says what several say."""
    said = [str(error).rstrip(".") for error in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        said.append(f"and {len(problems) - MOST_PROBLEMS} more columns cannot be read as they are")
    return problems[0] if len(problems) == 1 else DataError(". Also, ".join(said) + ".")


def _chosen(
    table: Table, target: str, ignore: tuple[str, ...], split_by: str | None, choices: Choices, told: Told
) -> tuple[Table, NDArray[np.float64] | None]:
    """The columns that were asked for, and the time of each row of the file."""
    try:
        check_column(target, table.columns, "target column")
    except UnknownNameError as error:
        raise _with_hint(error, target, table) from None
    for name in (*ignore, *choices.categorical, *([] if split_by is None else [split_by])):
        check_column(name, table.columns)
    if target in ignore:
        raise UsageError(f"{argument('ignore')}: {target!r} is the target; leave another column out")
    table = table.without(ignore)
    if ignore:
        told.notes.append(f"Left out as asked: {', '.join(ignore)}.")
    table = named_columns(table, target, told)
    if len(table) == 0 or len(table.columns) < 2:
        raise DataError(
            f"expected rows with a target and at least one feature, but there are {len(table)} rows and the columns "
            f"{listed([repr(name) for name in table.columns])}. {' '.join(told.warnings)}".rstrip()
        )
    check_header(table, told)
    if split_by is None:
        return table, None
    when, is_date = _time(table.columns[split_by], choices)
    if split_by in (target, *ignore) or (is_date and choices.dates != ELAPSED):
        return table, when
    told.notes.append(f"Column {split_by!r} orders the rows in time and is no feature.")
    return table.without([split_by]), when


def _with_hint(error: UnknownNameError, name: str, table: Table) -> UnknownNameError:
    """Why the target may not be among the columns: a comment or data where the header should be."""
    names = list(table.columns)
    hint = ""
    if names and names[0].startswith("#"):
        hint = f". The first row looks like a comment: {argument('comment', '#')} leaves such lines out"
    elif any(np.isfinite(number_in(name)) for name in names):
        hint = f". The first row looks like data: with {argument('header', False)} the columns are called c1, c2, ..."
    elif len(names) == 1 and name in names[0].split():
        hint = f". If blanks part the cells, give {argument('separator', ' ')}, or write the table with commas"
    else:
        for i in range(min(len(table), MOST_LINES_BEFORE)):
            if any(cells.as_texts()[i] == name for cells in table.columns.values()):
                where = table.places.at(i).capitalize()
                hint = f". {where} holds {name!r}: if that is the header, delete what stands before it"
                break
    error.args = (f"{error}{hint}",)
    return error


def _time(cells: Cells, choices: Choices) -> tuple[NDArray[np.float64], bool]:
    """When each row was, and whether the column holds dates. Raises `DataError` for texts and missing cells."""
    kind = kind_of(cells, choices)
    if kind not in (NUMBER, DATE) or cells.missing.any():
        what = f"has {int(cells.missing.sum())} missing cells" if kind != CATEGORY else "holds texts"
        raise DataError(
            f"column {cells.name!r}: {argument('split_by')} needs dates or numbers in every row, but it {what}"
        )
    order = (choices.date_order or date_order(cells)) if kind == DATE else dates_.YEAR_FIRST
    column = Column(cells.name, kind, order=order)
    values = column.values(cells)
    if (bad := column.is_bad(values)).any():
        raise DataError(column.complaint(cells, bad))
    return values, kind == DATE


def _values(column: Column, block: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """What `Column.values` gave, from the features that `Column.block` made of it."""
    if column.kind == CATEGORY:
        return block.argmax(axis=1)
    return np.asarray(block[:, 0] * column.scale + column.offset)
