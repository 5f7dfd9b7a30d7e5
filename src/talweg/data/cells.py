"""The cells of one column: as numbers, as texts, and where each stands in the file."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data.csv_text import Dialect, Rows, checked_rows
from talweg.errors import CorruptFileError, DataError

EXACT = 2.0**53  # beyond it float64 does not hold every whole number
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_CODE = re.compile(r"[+-]?0\d+", re.ASCII)
_SAME_MARKS = {" ": "[\u00a0\u2009\u202f]", "'": "’"}  # that part thousands: a reader can hardly tell or type them
UNNAMED = "Unnamed:"  # and its number: what pandas calls a column without a name
MOST_PLACES = 5  # that a message lists


@dataclass(frozen=True)
class Places:
    """Where rows stand: their numbers from 1, and the lines of the file, where it is one."""

    rows: NDArray[np.int64]
    lines: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, i: int) -> str:
        """``row 3 (line 4)``."""
        return f"row {self.rows[i]}" + ("" if self.lines is None else f" (line {self.lines[i]})")

    def listed(self, which: NDArray[np.bool_]) -> str:
        """The first of the rows in a mask: ``row 3 (line 4), row 9 (line 10) and 7 more``."""
        found = np.flatnonzero(which)
        more = f" and {len(found) - MOST_PLACES:,} more" if len(found) > MOST_PLACES else ""
        return ", ".join(self.at(i) for i in found[:MOST_PLACES]) + more

    def taken(self, which: Any) -> Places:
        return Places(self.rows[which], None if self.lines is None else self.lines[which])


@dataclass(frozen=True)
class Cells:
    """One column.

    numbers: float64 (n,), NaN for what is missing or no number.  texts: objects (n,), stripped, None for what is
    missing; None as a whole where every cell that is there is a number.  words: how missing cells are written, besides
    empty ones, and how often.  merged: texts that differed in blanks alone.
    """

    name: str
    numbers: NDArray[np.float64]
    texts: NDArray[np.object_] | None
    places: Places
    words: Mapping[str, int] = field(default_factory=dict)
    merged: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def missing(self) -> NDArray[np.bool_]:
        if self.texts is None:
            return np.isnan(self.numbers)
        return np.array([text is None for text in self.texts], bool)

    def text(self, i: int) -> str:
        """The cell as it stands there."""
        if self.texts is not None:
            return "" if self.texts[i] is None else str(self.texts[i])
        return as_written(self.numbers[i])

    def known_texts(self) -> list[str]:
        """The texts of all cells that are not missing."""
        if self.texts is not None:
            return [text for text in self.texts if text is not None]
        return [as_written(number) for number in self.numbers[~self.missing]]

    def as_texts(self) -> NDArray[np.object_]:
        """The text of every cell, None for what is missing."""
        if self.texts is not None:
            return self.texts
        found = np.empty(len(self), object)
        found[:] = [None if number != number else as_written(number) for number in self.numbers]
        return found

    def taken(self, which: Any) -> Cells:
        """Some of its rows: a mask, or their positions."""
        texts = None if self.texts is None else self.texts[which]
        return replace(self, numbers=self.numbers[which], texts=texts, places=self.places.taken(which))


@dataclass(frozen=True)
class Table:
    """Columns of equal length, in the order of the file."""

    columns: Mapping[str, Cells]
    places: Places
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places)

    def taken(self, which: Any) -> Table:
        columns = {name: cells.taken(which) for name, cells in self.columns.items()}
        return replace(self, columns=columns, places=self.places.taken(which))

    def counted_anew(self) -> Table:
        """The same table, its rows numbered from 1; their lines in the file stay."""
        places = Places(np.arange(1, len(self) + 1), self.places.lines)
        columns = {name: replace(cells, places=places) for name, cells in self.columns.items()}
        return replace(self, columns=columns, places=places)

    def without(self, names: Collection[str]) -> Table:
        return replace(self, columns={name: cells for name, cells in self.columns.items() if name not in names})


def as_written(number: float) -> str:
    """A number as a table has it: whole ones without a point.

    >>> as_written(7.0), as_written(0.5)
    ('7', '0.5')
    """
    return str(int(number)) if abs(number) < EXACT and number == int(number) else repr(float(number))


def is_code(text: str) -> bool:
    """Whether it is digits with zeros before them, as in 007: more likely a code than a number."""
    return _CODE.fullmatch(text) is not None


def number_in(text: str, dialect: Dialect = Dialect()) -> float:  # noqa: B008  (frozen)
    """The number that a cell holds, NaN if it is none.

    >>> number_in("1.5e3"), number_in("1_0"), number_in("1.234,5", Dialect(";", decimal=",", thousands="."))
    (1500.0, nan, 1234.5)
    """
    if dialect.thousands in _SAME_MARKS:
        text = re.sub(_SAME_MARKS[dialect.thousands], dialect.thousands, text)
    if dialect.thousands is not None:
        mark = re.escape(dialect.thousands)
        whole, point, rest = text.partition(dialect.decimal)
        if dialect.thousands in whole:
            if not re.fullmatch(rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+", whole):
                return np.nan
            text = whole.replace(dialect.thousands, "") + point + rest
    if dialect.decimal != ".":
        text = "x" if "." in text else text.replace(dialect.decimal, ".")
    return float(text) if _NUMBER.fullmatch(text) or _INFINITE.fullmatch(text) else np.nan


# ── from files and frames ───────────────────────────────────────────────────────────────────────────────────


def read_table(
    path: str | os.PathLike[str], dialect: Dialect, is_text: Callable[[str], bool] = lambda name: False
) -> Table:
    """A CSV file as a table; columns for which `is_text` keep the texts of their cells even where all are numbers.

    Columns without a name are called "Unnamed: 2" by their number, and left out where they are empty. Raises what
    `checked_rows` does."""
    rows = checked_rows(path, dialect)
    names = list(rows.names) + [""] * (rows.width - len(rows.names))
    places = Places(np.arange(1, len(rows.lines) + 1), rows.lines)
    kept = np.delete(np.arange(len(rows.lines)), rows.blank)
    kept_as_text = {i for i, name in enumerate(names) if is_text(name)}
    numbers = _numbers(Path(path), rows, dialect)
    whole = {i for i, values in numbers.items() if not (values % 1 > 0).any()}
    if whole - kept_as_text and re.search(rf'[\s{re.escape(dialect.separator)}"+-]0\d', "\n" + rows.text):
        kept_as_text |= whole  # they may be codes, such as 007
    numbers = {i: values for i, values in numbers.items() if i not in kept_as_text}
    texts = _texts(rows, dialect, [i for i in range(rows.width) if i not in numbers])
    columns: dict[str, Cells] = {}
    for i, header in enumerate(names):
        name = header or f"{UNNAMED} {i + 1}"
        if i in numbers:
            cells = Cells(name, numbers[i], None, places)
        else:
            cells = _from_texts(name, texts.pop(i), places, dialect)
            if not is_text(name) and not _needs_texts(cells):
                cells = replace(cells, texts=None)
        if header or not cells.missing.all():
            columns[name] = cells
    table = Table(columns, places, rows.notes, rows.warnings)
    return table.taken(kept).counted_anew() if len(rows.blank) else table


def table_of(frame: Any) -> Table:
    """A pandas frame, or a mapping from column names to lists, as a table. Raises `DataError` for anything else."""
    import pandas as pd

    if isinstance(frame, Table):
        return frame
    if not isinstance(frame, pd.DataFrame):
        try:
            frame = pd.DataFrame(frame)
        except (ValueError, TypeError) as error:
            raise DataError(
                "table: expected a pandas frame or lists of equal length by column name, such as {'age': [31, 40]}, "
                f"but {error}"
            ) from error
    places = Places(np.arange(1, len(frame) + 1))
    columns = {}
    for position, name in enumerate(unicodedata.normalize("NFC", str(column)) for column in frame.columns):
        series = frame.iloc[:, position]
        if name in columns:
            raise DataError(f"table: two columns are called {name!r}; rename one")
        missing = series.isna().to_numpy(bool)
        if series.dtype.kind in "iuf":
            numbers = series.to_numpy(np.float64, na_value=np.nan)
            if series.dtype.kind == "f" or not (np.abs(numbers[~missing]) >= EXACT).any():
                columns[name] = Cells(name, numbers, None, places)
                continue
        texts = np.empty(len(series), object)
        texts[:] = [None if gone else _cell_text(cell) for cell, gone in zip(series, missing, strict=True)]
        columns[name] = _parsed(name, texts, places, Dialect())
    return Table(columns, places)


def _cell_text(cell: Any) -> str:
    is_float = isinstance(cell, float | np.floating)
    return (
        as_written(float(cell)) if is_float and np.isfinite(cell) else unicodedata.normalize("NFC", str(cell).strip())
    )


def _numbers(path: Path, rows: Rows, dialect: Dialect) -> dict[int, NDArray[np.float64]]:
    """The columns in which every cell is missing or a plain number that float64 holds, by position."""
    if dialect.thousands is not None or dialect.decimal == dialect.separator:
        return {}  # pandas takes 1,2,3 for 123
    frame = _pandas(rows, dialect, na_values=sorted(dialect.missing_words), keep_default_na=False)
    if frame.shape != (len(rows.lines), rows.width):
        raise CorruptFileError(
            f"{path}: its rows can be read in two ways ({len(rows.lines)} or {len(frame)} of them); write the table "
            "again with plain line ends, and quotes around texts"
        )
    found = {}
    for i in range(rows.width):
        column = frame[i]
        if column.dtype.kind in "iuf":
            values = column.to_numpy(np.float64)
            with np.errstate(invalid="ignore"):
                if not (np.abs(values) >= EXACT).any() and not np.isnan(values).all():
                    found[i] = values
    return found


def _texts(rows: Rows, dialect: Dialect, positions: list[int]) -> dict[int, list[str]]:
    if not positions:
        return {}
    frame = _pandas(rows, dialect, usecols=positions, dtype=object, na_filter=False)
    return {i: frame[i].tolist() for i in positions}


def _pandas(rows: Rows, dialect: Dialect, **how: Any) -> Any:
    import pandas as pd

    if not len(rows.lines):
        return pd.DataFrame({i: np.empty(0, object) for i in range(rows.width)})
    return pd.read_csv(
        io.StringIO(rows.text, newline=""),
        sep=dialect.separator,
        decimal=dialect.decimal,
        skipinitialspace=rows.spaced,
        header=None,
        names=range(rows.width),
        index_col=False,
        low_memory=False,
        **how,
    )


def _from_texts(name: str, raw: list[str], places: Places, dialect: Dialect) -> Cells:
    """A column of texts as they stand in the file."""
    words = dialect.missing_words
    counts = Counter(raw)
    stripped = {text: text.strip() for text in counts}
    meant: dict[str, str | None] = {text: None if s in words else s for text, s in stripped.items()}
    texts = np.empty(len(raw), object)
    texts[:] = [meant[text] for text in raw]
    written = Counter[str]()
    variants: dict[str, int] = Counter(s for s in meant.values() if s is not None)
    for text, count in counts.items():
        if meant[text] is None and stripped[text]:
            written[stripped[text]] += count
    merged = tuple(text for text, times in variants.items() if times > 1)
    return replace(_parsed(name, texts, places, dialect), words=dict(written), merged=merged)


def _parsed(name: str, texts: NDArray[np.object_], places: Places, dialect: Dialect) -> Cells:
    value = {text: number_in(text, dialect) for text in set(texts) if text is not None}
    numbers = np.array([np.nan if text is None else value[text] for text in texts], np.float64)
    return Cells(name, numbers, texts, places)


def _needs_texts(cells: Cells) -> bool:
    """Whether the texts say more than the numbers: some are none, too long for float64, or codes such as 007."""
    assert cells.texts is not None
    known = ~cells.missing
    numbers = cells.numbers[known]
    if not known.any() or not (np.abs(numbers) < EXACT).all():
        return True
    return any(is_code(text) for text in set(cells.texts[known]))
