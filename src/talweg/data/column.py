"""One column of a table on its way into the matrix: a number, a truth value, a category or a date.

A `Column` is decided once, from the training file, and stored with the model; it reads every later file the same way.
It guesses nothing: what it cannot read is reported cell by cell, and whoever asked says what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.data import dates
from talweg.data.cells import Cells, as_written
from talweg.data.files import short

NUMBER, TRUTH, CATEGORY, DATE = KINDS = ("number", "truth value", "category", "date")
LARGEST = float(np.finfo(np.float32).max)
MISSING = "(missing)"  # the category of missing cells, where they are one of their own
BLUR = 1e-3  # of a column's deviation: float32 may round its values by so much, and no more
PARTS = ("year", "month", "day", "weekday", "hour")
MOST_LISTED = 12  # categories in a message
_TRUTHS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


@dataclass(frozen=True)
class Column:
    """One column of the table: a number, a truth value (0 or 1), one of `categories` (one-hot), or a date.

    fill        takes the place of a missing cell; None means that a missing cell is an error
    typical     the mean, or the most frequent value, of the training part: fills cells that do not fit, where asked
    low, high   the range of the training part
    offset, scale   the feature is (number - offset) / scale: other than 0 and 1 where float32 could not hold the number
    order       how a date is written: "ymd", "dmy" or "mdy"
    parts       what is made of a date: some of year, month, day, weekday and hour; none: the days since `offset`
    """

    name: str
    kind: str
    categories: tuple[str, ...] = ()
    fill: float | str | None = None
    typical: float | str | None = None
    low: float | None = None
    high: float | None = None
    offset: float = 0.0
    scale: float = 1.0
    order: str = dates.YEAR_FIRST
    parts: tuple[str, ...] = ()

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of its columns in the matrix: ``("colour=blue", "colour=red")`` for a category."""
        if self.kind == CATEGORY:
            return tuple(f"{self.name}={c}" for c in self.categories)
        if self.kind == DATE:
            return tuple(f"{self.name}.{part}" for part in self.parts or ("days",))
        return (self.name,)

    # ── reading ───────────────────────────────────────────────────────────────────────────────────────────────

    def values(self, cells: Cells) -> NDArray[Any]:
        """(n,): the number of a category, or -1; of all else a float, NaN where there is none."""
        if self.kind == CATEGORY:
            number = {text: i for i, text in enumerate(self.categories)}
            return np.array([number.get(text, -1) for text in cells.as_texts()], np.int64)
        if self.kind == NUMBER:
            numbers = cells.numbers.copy()
            with np.errstate(invalid="ignore"):
                numbers[~(np.abs((numbers - self.offset) / self.scale) <= LARGEST)] = np.nan
            return numbers
        texts = cells.as_texts()
        known = {text: self._value(text) for text in set(texts) if text is not None}
        return np.array([known.get(text, np.nan) for text in texts], np.float64)

    def _value(self, text: str) -> float:
        if self.kind == TRUTH:
            return _TRUTHS.get(text.lower(), np.nan)
        when = dates.moment(text, self.order)
        return np.nan if when is None else dates.days(when)

    def is_bad(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of `values` stand for cells that are missing or do not fit."""
        return values < 0 if self.kind == CATEGORY else np.isnan(values)

    def value_of(self, filling: float | str | None) -> float | int | None:
        """`fill` or `typical` as `values` has it; None where there is none."""
        if filling is None or isinstance(filling, float):
            return filling
        return self.categories.index(filling) if filling in self.categories else None

    def block(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """`values` as features: (n, its features)."""
        if self.kind == CATEGORY:
            return (values[:, None] == np.arange(len(self.categories))).astype(np.float64)
        if self.kind == DATE and self.parts:
            when = (values * dates.DAY).round().astype("datetime64[s]")
            return np.stack([_part(when, part) for part in self.parts], axis=1)
        return ((values - self.offset) / self.scale)[:, None]

    def complaint(self, cells: Cells, bad: NDArray[np.bool_]) -> str:
        """What is wrong with the cells of a mask, in one sentence."""
        missing = bad & cells.missing
        first = int(bad.argmax())
        if missing.any() and missing[first]:
            count, where = int(missing.sum()), cells.places.listed(missing)
            return f"column {self.name!r}: {count:,} missing values, the first in {where}"
        unfit = bad & ~missing
        where, cell = cells.places.at(first), short(cells.text(first))
        cell = cell if cells.texts is None else repr(cell)
        others = f" (and {int(unfit.sum()) - 1:,} more rows)" if unfit.sum() > 1 else ""
        if self.kind == CATEGORY:
            more = ", ..." if len(self.categories) > MOST_LISTED else ""
            return (
                f"column {self.name!r}: {where} holds {cell}, which training never saw{others}; "
                f"the categories are: {', '.join(self.categories[:MOST_LISTED])}{more}"
            )
        what = "finite number" if self.kind == NUMBER else "finite truth value" if self.kind == TRUTH else "date"
        if self.kind == NUMBER and np.isfinite(cells.numbers[first]):
            what = "number that float32 holds (up to 3.4e38)"
        return f"column {self.name!r}: expected a {what} in every row, but {where} holds {cell}{others}"

    # ── what is learned from the training part ────────────────────────────────────────────────────────────────

    def fitted(self, values: NDArray[Any], fills: bool) -> Column:
        """With the typical value and the range of `values`, none of which is bad.

        fills: whether missing cells get the typical value.
        """
        if self.kind == CATEGORY:
            often: str = self.categories[int(np.bincount(values, minlength=len(self.categories)).argmax())]
            return replace(
                self, typical=often, fill=None if not fills else self.fill if self.fill == MISSING else often
            )
        typical = float(values.mean()) if self.kind != TRUTH else float(values.mean() >= 0.5)
        low, high = float(values.min()), float(values.max())
        return replace(self, typical=typical, fill=typical if fills else None, low=low, high=high)

    def in_float32(self, values: NDArray[Any]) -> Column:
        """With an offset and a scale, where float32 would round the values together, or overflow on their squares.

        16777216 and 16777217 are one number in float32, and so are small steps on any large offset. Such a column is
        standardised in float64 first; all others stay as they are.
        """
        if self.kind not in (NUMBER, DATE) or self.parts:
            return self
        start = self.offset if self.kind == DATE else 0.0
        deviation, most = float(values.std()), float(np.abs(values - start).max())
        if deviation == 0 or (most * 2.0**-24 <= BLUR * deviation and deviation > 1e-15 and most < 1e15):
            return self
        return replace(self, offset=float(values.mean()), scale=deviation)

    # ── JSON ──────────────────────────────────────────────────────────────────────────────────────────────────

    def to_config(self) -> dict[str, Any]:
        """Plain JSON, without what has its default."""
        default = Column("", NUMBER)
        kept = {k: v for k, v in asdict(self).items() if k in ("categories", "fill") or v != getattr(default, k)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in {"kind": self.kind, **kept}.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Column:
        """The column that `to_config` described. Raises `ValueError`, `TypeError` or `KeyError` if it is none."""
        given = dict(config)
        for key in ("categories", "parts"):
            given[key] = tuple(map(str, given.get(key, ())))
        column = cls(**given)
        numbers = (column.low, column.high, column.offset, column.scale)
        fills = (column.fill, column.typical)
        if column.kind not in KINDS or column.order not in dates.ORDERS or not set(column.parts) <= set(PARTS):
            raise ValueError(f"{column.kind!r} is none of {', '.join(KINDS)}, or its order or parts are unknown")
        if not isinstance(column.name, str) or not all(v is None or _is_finite(v) for v in numbers) or not column.scale:
            raise ValueError(f"column {column.name!r}: its numbers are not finite")
        if not all(v is None or (v in column.categories if column.kind == CATEGORY else _is_finite(v)) for v in fills):
            raise ValueError(f"column {column.name!r}: what fills its missing cells does not fit")
        floats: dict[str, Any] = {k: float(v) for k, v in given.items() if k in _FLOATS and isinstance(v, int)}
        return replace(column, **floats)


_FLOATS = ("fill", "typical", "low", "high", "offset", "scale")


def outside(column: Column, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values lie outside the range of the training part."""
    if column.low is None or column.high is None or column.kind == CATEGORY:
        return np.zeros(len(values), bool)
    return (values < column.low) | (values > column.high)


def range_of(column: Column) -> str:
    """``20 to 49``: the range of the training part, in the words of the file."""
    assert column.low is not None and column.high is not None
    written = dates.as_text if column.kind == DATE else lambda v: as_written(v) if v == int(v) else f"{v:.6g}"
    return f"{written(column.low)} to {written(column.high)}"


def _part(when: NDArray[Any], part: str) -> NDArray[np.float64]:
    days, months = when.astype("datetime64[D]"), when.astype("datetime64[M]")
    found = {
        "year": lambda: when.astype("datetime64[Y]").astype(np.int64) + 1970,
        "month": lambda: months.astype(np.int64) % 12 + 1,
        "day": lambda: (days - months).astype(np.int64) + 1,
        "weekday": lambda: (days.astype(np.int64) + 3) % 7,  # Monday is 0; 1970 began on a Thursday
        "hour": lambda: (when - days).astype(np.int64) / 3600,
    }
    return np.asarray(found[part](), np.float64)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
