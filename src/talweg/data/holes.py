"""Missing cells: what to do about them cannot be seen in a file, so it is asked and never guessed."""

from __future__ import annotations

import numpy as np

from talweg.data.cells import Cells, Table
from talweg.data.column import DATE, MISSING, NUMBER
from talweg.data.deciding import MOST_SHOWN, Choices, Told, kind_of
from talweg.data.files import short
from talweg.errors import DataError, argument

MISSING_CHOICES = ("error", "drop", "mean", "most_frequent", "category")


def without_holes(table: Table, target: str, choices: Choices, told: Told) -> Table:
    """The table without the rows that must go; raises `DataError` where the user has to decide."""
    holes = {name: cells for name, cells in table.columns.items() if cells.missing.any()}
    if not holes:
        return table
    shown = ", ".join(f"{name!r} has {_how_many(cells)}" for name, cells in list(holes.items())[:MOST_SHOWN])
    shown += ", …" if len(holes) > MOST_SHOWN else ""
    incomplete = np.any([cells.missing for cells in holes.values()], axis=0)
    stay = int((~incomplete).sum())
    words, first_column = _words(holes), next(iter(table.columns.values())).as_texts()
    own = f" If {' and '.join(words)} is a value of its own, give {argument('na_values', [''])}." if words else ""
    if all(str(text).startswith("#") for text in first_column[incomplete]):
        own += f" If lines that begin with # are comments, give {argument('comment', '#')}."
    fillable = [name for name in holes if name != target]
    if not fillable and choices.missing != "drop":
        asked = "" if choices.missing == "error" else f", and {argument('missing', choices.missing)} cannot fill it"
        raise DataError(
            f"missing values in {int(incomplete.sum())} of {len(table)} rows: column {shown}, which is the "
            f"target{asked}. {argument('missing', 'drop')} leaves those rows out ({stay} stay).{own}"
        )
    leave_out = argument("ignore", fillable[:1]) if fillable else f"another {argument('target')}"
    if choices.missing == "error":
        raise DataError(
            f"missing values in {int(incomplete.sum())} of {len(table)} rows: column {shown}. Say what to do: "
            f"{argument('missing', 'drop')} leaves those rows out ({stay} stay), {argument('missing', 'mean')} puts a "
            f"number column's mean in their place, {argument('missing', 'most_frequent')} and "
            f"{argument('missing', 'category')} fill texts too (by the most frequent, or as a category of their own), "
            f"{leave_out} leaves a column out.{own}"
        )
    if words:
        told.warnings.append(f"Read as missing: {', '.join(words)}, in column {', '.join(map(repr, holes))}.{own}")
    if choices.missing == "drop":
        if not stay:
            raise DataError(f"every row misses a value (column {shown}), so dropping leaves none; use {leave_out}")
        told.notes.append(f"{int(incomplete.sum())} rows with missing values were dropped: column {shown}.")
        return table.taken(~incomplete)
    for name, cells in holes.items():
        kind = None if cells.missing.all() else kind_of(cells, choices)
        is_filled = kind in (NUMBER, DATE) or (kind is not None and choices.missing != "mean")
        if name == target or not is_filled:
            what = "is the target" if name == target else "is empty" if kind is None else "holds no numbers"
            is_text = kind is not None and name != target
            other = f", {argument('missing', 'most_frequent')} or {argument('missing', 'category')}" if is_text else ""
            without = f"or {argument('ignore', [name])}" if name != target else "or delete those rows in the file"
            raise DataError(
                f"{argument('missing', choices.missing)} cannot fill column {name!r}, which {what}; use "
                f"{argument('missing', 'drop')}{other} {without}"
            )
    texts = {"mean": "", "most_frequent": ", texts by the most frequent", "category": f", texts by {MISSING!r}"}
    how = f"numbers by their column's mean{texts[choices.missing]}"
    told.notes.append(f"Missing cells were filled, {how}: column {shown}.")
    return table


def _how_many(cells: Cells) -> str:
    written = ", ".join(f"{count} written {short(word)!r}" for word, count in cells.words.items())
    return f"{int(cells.missing.sum())}" + (f" ({written})" if written else "")


def _words(holes: dict[str, Cells]) -> list[str]:
    """How missing cells are written in columns of texts, where a word such as NA may be a value."""
    found = {word for cells in holes.values() if np.isnan(cells.numbers[~cells.missing]).any() for word in cells.words}
    return [repr(short(word)) for word in sorted(found)]
