"""What the column to be predicted is: classes, or numbers that float32 can hold and tell apart."""

from __future__ import annotations

from collections import Counter

import numpy as np

from talweg.data.cells import EXACT, Cells
from talweg.data.column import CATEGORY, DATE, NUMBER, Column
from talweg.data.deciding import FEW_TEXTS, Choices, Told, check_spelling, kind_of, listed
from talweg.data.lookalikes import lookalike
from talweg.data.table import CLASSIFICATION, REGRESSION, class_texts
from talweg.errors import DataError, UsageError, argument

MOST_CLASSES = 20  # a target of more distinct whole numbers than this is taken for a quantity


def decide_target(
    cells: Cells, task: str | None, choices: Choices, told: Told
) -> tuple[str, str, tuple[str, ...] | None]:
    """(kind, task, class names) of the target, with the reason noted."""
    if task not in (None, CLASSIFICATION, REGRESSION):
        raise UsageError(f"{argument('task')}: expected {CLASSIFICATION!r} or {REGRESSION!r}, but got {task!r}")
    name, because = cells.name, "as asked"
    try:
        kind = kind_of(cells, choices)
    except DataError:
        if task != CLASSIFICATION:
            raise
        kind = CATEGORY
    if kind == DATE:
        kind = CATEGORY
    if kind != NUMBER:
        if task == REGRESSION:
            i = int(np.isnan(cells.numbers).argmax())
            raise DataError(f"target {name!r}: regression needs numbers, but it holds {cells.text(i)!r}")
        because = because if task else f"because the target is {'text' if kind == CATEGORY else 'a truth value'}"
        task = CLASSIFICATION
    elif task is None:
        task, because = _task_of_numbers(cells)
    if task == REGRESSION:
        _check_values(cells)
        told.notes.append(f"Task: regression, {because}.")
        return kind, task, None
    counts = Counter(text for text in class_texts(cells, kind) if text is not None)
    classes = tuple(sorted(counts, key=lambda t: (float(t), t)) if kind == NUMBER else sorted(counts))
    if len(classes) < 2:
        blanks = " (cells that differ in blanks alone are read as one)" if cells.merged else ""
        raise DataError(f"target {name!r}: expected at least two classes, but every row holds {classes[0]!r}{blanks}")
    told.notes.append(f"Task: classification, {because}; {len(classes)} classes: {listed(classes)}.")
    _check_classes(cells, kind, counts, task_was_told=because == "as asked", told=told)
    return kind, CLASSIFICATION, classes


def _check_classes(cells: Cells, kind: str, counts: dict[str, int], task_was_told: bool, told: Told) -> None:
    what, rows = f"Target {cells.name!r}", len(cells)
    if kind == CATEGORY and not task_was_told:
        if (known := lookalike(counts)) is not None:
            raise DataError(
                f"target {cells.name!r}: texts such as {next(iter(counts))!r} look like {known.advice}. If they are "
                f"classes, give {argument('task', CLASSIFICATION)}."
            )
        if len(counts) > max(FEW_TEXTS, rows / 2):
            raise DataError(
                f"target {cells.name!r}: {len(counts)} different texts in {rows} rows are no classes: names, dates or "
                f"identifiers? Give another {argument('target')}, or {argument('task', CLASSIFICATION)} if they are."
            )
    numbers = {float(text) for text in counts} if kind == NUMBER else set()
    if kind == NUMBER and len(numbers) < len(counts) and all(abs(x) < EXACT for x in numbers):
        told.warnings.append(
            f"{what}: classes that are the same number, such as 7 and 007, are kept apart; write them alike if they "
            "are one."
        )
    if single := [text for text, count in counts.items() if count == 1]:
        told.warnings.append(
            f"{what}: {'class' if len(single) == 1 else 'classes'} {listed(single)} "
            f"{'has' if len(single) == 1 else 'have'} one row, and cannot be both learned and tested; collect more, "
            "or leave such rows out."
        )
    check_spelling(cells, what, told)


def _check_values(cells: Cells) -> None:
    """Raises `DataError` for values that float32, in which networks compute, cannot hold or tell apart."""
    column = Column(cells.name, NUMBER)
    values = column.values(cells)
    if (bad := column.is_bad(values) & ~cells.missing).any():
        raise DataError(column.complaint(cells, bad))
    values = values[~cells.missing]
    are_alike = (np.abs(values) >= EXACT).any() and len(set(cells.known_texts())) > len(np.unique(values))
    if column.in_float32(values) is column and not are_alike:
        return
    raise DataError(
        f"target {cells.name!r}: values from {values.min():g} to {values.max():g} are rounded together by float32, in "
        "which networks compute, or their squares overflow. Subtract what they have in common, or divide by a power of "
        f"ten, in the file; if they are names of classes, give {argument('task', CLASSIFICATION)}."
    )


def _task_of_numbers(cells: Cells) -> tuple[str, str]:
    numbers = cells.numbers[~cells.missing]
    if not np.isfinite(numbers).all() or (np.unique(numbers) != np.floor(np.unique(numbers))).any():
        return REGRESSION, "because the target has fractions"
    beyond = (np.abs(numbers) >= EXACT).any()
    distinct = len(set(cells.known_texts())) if beyond else len(np.unique(numbers))
    if distinct <= min(MOST_CLASSES, len(numbers) // 2):
        return CLASSIFICATION, f"because the target has only {distinct} different whole numbers"
    return REGRESSION, f"because the target has {distinct} different numbers in {len(numbers)} rows"
