"""What is legal in a table but probably not meant: row numbers as features, copies of the target, constants."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from talweg.data.cells import UNNAMED, Cells, Table, number_in
from talweg.data.deciding import Told, listed
from talweg.errors import argument

_IDENTIFIER = re.compile(r"^id(?![a-z])|(?<![a-z])id$|[a-z](Id|ID)$|(?i:uuid|identifier)")
FEW = 10  # rows; in fewer, anything is a coincidence


def named_columns(table: Table, target: str, told: Told) -> Table:
    """The table without columns that have no name, as pandas writes for its index."""
    nameless = [name for name in table.columns if name.startswith(UNNAMED) and name != target]
    for name in nameless:
        what = ", which counts the rows," if counts_rows(table.columns[name]) else ""
        told.warnings.append(
            f"The column without a name in the header{what} was left out; give it a name there to keep it."
        )
    return table.without(nameless)


def check_header(table: Table, told: Told) -> None:
    """Warns where the first row looks like data."""
    numeric = [name for name, cells in table.columns.items() if cells.texts is None]
    values = [number_in(name) for name in numeric]
    if numeric and np.isfinite(values).all() and not (np.diff(values) == 1).all():
        told.warnings.append(
            f"The names of all columns of numbers are numbers ({listed(numeric, 5)}): if the first row is data, give "
            f"{argument('header', False)}, and the columns are called c1, c2, ..."
        )


def check_counters(table: Table, target: str, told: Told) -> None:
    """Warns of columns that number the rows. Called before any row is dropped, since gaps would hide them.

    The only feature is meant: hours 1, 2, 3, ... and what came of them.
    """
    if len(table.columns) <= 2:
        return
    for name, cells in table.columns.items():
        if name != target and not cells.missing.all() and (how := counts_rows(cells)):
            told.warnings.append(
                f"Column {name!r} {how}. A network learns rows by heart from it; leave it out with "
                f"{argument('ignore', [name])}."
            )


def counts_rows(cells: Cells) -> str:
    """How a column numbers the rows, or "" if it does not. Only whole numbers do."""
    numbers = cells.numbers[~np.isnan(cells.numbers)]
    if len(numbers) <= FEW or len(numbers) < 0.9 * len(cells) or (numbers != np.floor(numbers)).any():
        return ""
    steps = np.diff(numbers)
    if (steps == steps[0]).all() and steps[0]:
        return "only counts the rows" if steps[0] == 1 else f"only counts the rows, in steps of {steps[0]:g}"
    if (steps > 0).all() or (steps < 0).all():
        return "is different in every row and sorted, as row numbers and identifiers are"
    distinct = np.unique(numbers)
    if len(distinct) < len(numbers):
        return ""
    if distinct[-1] - distinct[0] == len(numbers) - 1:
        return "numbers the rows, in another order"
    return "is different in every row and called an identifier" if _IDENTIFIER.search(cells.name) else ""


def without_constants(table: Table, target: str, told: Told) -> Table:
    """The table without columns that hold one value everywhere, from which nothing can be learned."""
    constant = [n for n, cells in table.columns.items() if n != target and len(cells) > 1 and _is_constant(cells)]
    if len(constant) > 1:  # in one sentence: a table of pixels has hundreds
        told.warnings.append(
            f"{len(constant)} columns hold the same in every row, tell nothing, and were left out: {listed(constant)}."
        )
    elif constant:
        held = table.columns[constant[0]].text(0)
        told.warnings.append(f"Column {constant[0]!r} holds {held!r} in every row, tells nothing, and was left out.")
    return table.without(constant)


def _is_constant(cells: Cells) -> bool:
    if cells.texts is not None:
        return cells.texts[0] is not None and len(set(cells.texts)) == 1
    return bool((cells.numbers == cells.numbers[0]).all())


def check_leaks(table: Table, target: str, is_classes: bool, told: Told) -> None:
    """Warns of features that are the target under another name: equal to it, or each value standing for one class."""
    if len(table) <= FEW:
        return
    answer = table.columns[target]
    classes = _codes(answer) if is_classes else None
    for name, cells in table.columns.items():
        if name == target:
            continue
        same = np.array_equal(cells.numbers, answer.numbers)
        if not same and classes is not None:
            same = (codes := _codes(cells)) is not None and np.array_equal(codes, classes)
        if same:
            told.warnings.append(
                f"Column {name!r} tells the target {target!r} in every row; if it is not known before the answer is, "
                f"leave it out with {argument('ignore', [name])}."
            )


def _codes(cells: Cells) -> NDArray[np.int64] | None:
    """The number of each cell's value, in the order in which values appear; None where there are many values."""
    number: dict[str, int] = {}
    values = cells.as_texts() if cells.texts is not None else cells.numbers
    if cells.texts is None and len(np.unique(values[:1000])) > 100:
        return None
    return np.array([number.setdefault(value, len(number)) for value in values], np.int64)
