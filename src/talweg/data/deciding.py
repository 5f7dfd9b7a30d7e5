"""What each column of a table is taken for, with every decision told and every guess refused.

What a column is (number, truth value, category, date) and what the task is can be seen in the file. What to *do* about
missing values cannot, so that is asked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from talweg.data import dates
from talweg.data.cells import EXACT, Cells, is_code
from talweg.data.column import CATEGORY, DATE, MISSING, NUMBER, PARTS, TRUTH, Column
from talweg.data.files import short
from talweg.data.lookalikes import lookalike, remedy_for
from talweg.errors import DataError, argument

MANY_CATEGORIES = 20  # more than that are said aloud
FEW_TEXTS = 10  # distinct texts; no more of them are never called names or identifiers
MOST_SHOWN = 12  # values in a note
ELAPSED, AS_PARTS = DATES = ("elapsed", "parts")
TRUTHS = {"true", "false"}


@dataclass(frozen=True)
class Choices:
    """What the user chose about columns; see `read_csv`."""

    missing: str = "error"
    categorical: Collection[str] = ()
    max_categories: int = 100
    dates: str = ELAPSED
    date_order: str | None = None


@dataclass
class Told:
    """Sentences for the user: what was decided, and what is probably not meant."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def kind_of(cells: Cells, choices: Choices) -> str:
    """What a column is, by the cells that are there. Raises `DataError` for a few texts among numbers."""
    if cells.name in choices.categorical:
        return CATEGORY
    if cells.texts is None:
        return NUMBER
    known = ~cells.missing
    distinct = set(cells.texts[known])
    if {text.lower() for text in distinct} <= TRUTHS | {"0", "1"} and {t.lower() for t in distinct} & TRUTHS:
        return TRUTH
    is_number = ~np.isnan(cells.numbers) & known
    if is_number.sum() == known.sum():
        return NUMBER
    forms = {text for text in distinct if dates.looks_like_a_date(text)}
    is_date = known & np.array([text in forms for text in cells.texts], bool)
    for what, fits in (("numbers", is_number), ("dates", is_date)):
        others = known & ~fits
        if others.any() and fits.sum() >= max(1, known.sum() / 2):
            shown = ", ".join(
                f"{short(cells.text(i))!r} in {cells.places.at(i)}" for i in np.flatnonzero(others)[:3].tolist()
            )
            raise DataError(
                f"column {cells.name!r}: {int(fits.sum())} cells are {what} and {int(others.sum())} are not "
                f"({shown}). {remedy_for((cells.text(i) for i in np.flatnonzero(others).tolist()), cells.name)}"
            )
    return DATE if is_date.any() and is_date.sum() == known.sum() else CATEGORY


def decide(cells: Cells, choices: Choices, told: Told) -> Column:
    """A column of features as it will be encoded."""
    kind = kind_of(cells, choices)
    holes = cells.missing
    if kind == CATEGORY:
        column = _category(cells, choices, told)
    elif kind == DATE:
        column = _date(cells, choices, told)
    else:
        column = Column(cells.name, kind)
        if kind == TRUTH:
            told.notes.append(f"Column {cells.name!r} holds truth values: 0 for false, 1 for true.")
            if numbers := {text for text in cells.known_texts() if text in ("0", "1")}:
                told.warnings.append(
                    f"Column {cells.name!r} writes truth values in two ways, as true and false and as "
                    f"{' and '.join(sorted(numbers))}; write them alike if they are not the same."
                )
        else:
            _check_numbers(cells, told)
    values = column.values(cells)
    if (bad := column.is_bad(values) & ~holes).any():
        raise DataError(column.complaint(cells, bad))
    if holes.all():
        raise DataError(f"column {cells.name!r} is empty: leave it out with {argument('ignore', [cells.name])}")
    return column.fitted(values[~holes], bool(holes.any()))


def _check_numbers(cells: Cells, told: Told) -> None:
    known = cells.numbers[~cells.missing]
    looks_so = known.size > 0 and dates.compact(known[0]) is not None  # before all are sorted
    distinct = np.unique(known).tolist() if looks_so else []
    if len(distinct) > 1 and all(dates.compact(number) is not None for number in distinct):
        first = dates.compact(distinct[0])
        assert first is not None
        told.warnings.append(
            f"Column {cells.name!r} is read as numbers, and {distinct[0]:.0f}, ... look like dates, between which "
            f"numbers jump from month to month: write {first.date().isoformat()}, ... there."
        )
    if cells.texts is None:
        return
    name, texts = cells.name, {text for text in cells.texts if text is not None}
    beyond = np.abs(cells.numbers) >= EXACT
    if beyond.any() and len(texts) > len(np.unique(cells.numbers[~cells.missing])):
        raise DataError(
            f"column {name!r}: {short(cells.text(int(beyond.argmax())))!r} and others have more digits than a number "
            "can hold, so that different cells would become equal. If they identify rows, leave them out with "
            f"{argument('ignore', [name])}; if they are categories, give {argument('categorical', [name])}."
        )
    if any(codes := [text for text in sorted(texts) if is_code(text)]):
        told.warnings.append(
            f"Column {name!r} is read as numbers, and {codes[0]!r} as {float(codes[0]):g}; if these are codes, give "
            f"{argument('categorical', [name])}."
        )


def _category(cells: Cells, choices: Choices, told: Told) -> Column:
    name, known = cells.name, cells.known_texts()
    categories = tuple(sorted(set(known)))
    count, leave_out = len(categories), argument("ignore", [name])
    if name not in choices.categorical and categories:
        others = sorted({text for text in cells.as_texts()[np.isnan(cells.numbers)] if text is not None})
        known_form = lookalike(others)
        if known_form is not None and not known_form.is_surely_a_number and len(others) < count:
            known_form = None  # 2A among 7 and 12 is a code, not a number with a unit
        if known_form is not None and (known_form.is_surely_a_number or count > FEW_TEXTS):
            raise DataError(
                f"column {name!r}: {len(others)} texts such as {others[0]!r} look like {known_form.advice}. If "
                f"categories are meant: {argument('categorical', [name])}."
            )
        if known_form is not None:
            told.warnings.append(
                f"Column {name!r} is read as categories; its cells look like {known_form.advice}. If categories are "
                f"meant: {argument('categorical', [name])}."
            )
        _check_mixed(cells, told)
        if count > FEW_TEXTS and count > len(known) / 2:
            raise DataError(
                f"column {name!r}: {count} different texts (such as {short(categories[0])!r}) in {len(known)} rows "
                f"are no categories: names, identifiers or free text? Leave it out with {leave_out}."
            )
    if count > choices.max_categories:
        raise DataError(
            f"column {name!r}: {count} different texts (such as {short(categories[0])!r}) in {len(cells)} rows are "
            f"more than {argument('max_categories', choices.max_categories)}: names or free text? Leave it out with "
            f"{leave_out}, or raise {argument('max_categories')}."
        )
    if count > MANY_CATEGORIES:
        told.warnings.append(
            f"Column {name!r} has {count} different texts, and each becomes a feature of its own. Leave it out with "
            f"{leave_out}, or merge rare ones in the file."
        )
    told.notes.append(f"Column {name!r} is a category with {count} values, one-hot encoded: {listed(categories)}.")
    check_spelling(cells, f"Column {name!r}", told)
    if cells.missing.any() and choices.missing == "category":
        return Column(name, CATEGORY, (*categories, MISSING), fill=MISSING)
    return Column(name, CATEGORY, categories)


def _check_mixed(cells: Cells, told: Told) -> None:
    numbers = int((~np.isnan(cells.numbers)).sum())
    if numbers:
        i = int((~np.isnan(cells.numbers)).argmax())
        told.warnings.append(
            f"Column {cells.name!r} mixes texts with {numbers} numbers (such as {cells.text(i)!r} in "
            f"{cells.places.at(i)}) and is read as categories; if so, give {argument('categorical', [cells.name])}."
        )


def check_spelling(cells: Cells, what: str, told: Told) -> None:
    """Warns of texts that differ in blanks, which were taken off or cannot be told apart, or in capitals."""
    if cells.merged:
        told.warnings.append(
            f"{what}: cells that differ in blanks alone are read as one: {listed(cells.merged)}. Clean the file up if "
            "blanks matter."
        )
    folded: dict[str, set[str]] = {}
    for text in set(cells.known_texts()):
        folded.setdefault(_as_seen(text), set()).add(text)
    if alike := sorted(sorted(texts) for texts in folded.values() if len(texts) > 1):
        kinds = "capitals" if len({text.casefold() for text in alike[0]}) == 1 else "blanks or unseen characters"
        told.warnings.append(
            f"{what}: {' and '.join(map(repr, alike[0]))} differ in {kinds} alone and count as different; write them "
            "alike if they are not."
        )


def _as_seen(text: str) -> str:
    """The text in small letters, with plain blanks between words, and without characters that nobody sees."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(letter for letter in plain if unicodedata.category(letter) != "Cf").split())


def _date(cells: Cells, choices: Choices, told: Told) -> Column:
    name, order = cells.name, choices.date_order or date_order(cells)
    column = Column(name, DATE, order=order)
    values = column.values(cells)
    known = values[~np.isnan(values)]
    if not len(known) or np.isnan(values[~cells.missing]).any():
        bad = column.is_bad(values) & ~cells.missing
        raise DataError(
            f"{column.complaint(cells, bad)}; {argument('date_order')} says which way round they are written"
        )
    first, last = dates.as_text(float(known.min())), dates.as_text(float(known.max()))
    if choices.dates == ELAPSED:
        told.notes.append(
            f"Column {name!r} holds dates, {first} to {last}: its feature is the days since the first. "
            f"{argument('dates', AS_PARTS)} makes year, month, day and weekday of it."
        )
        return replace(column, offset=float(known.min()))
    if cells.missing.any():
        raise DataError(
            f"column {name!r}: the parts of missing dates cannot be filled in; use {argument('dates', ELAPSED)}, "
            f"{argument('missing', 'drop')} or {argument('ignore', [name])}"
        )
    has_hours = bool((np.abs(known - np.round(known)) > 1e-9).any())
    parts = PARTS if has_hours else PARTS[:-1]
    told.notes.append(f"Column {name!r} holds dates, {first} to {last}: its features are {', '.join(parts)}.")
    return replace(column, parts=parts)


def date_order(cells: Cells) -> str:
    """Which way round the dates are written. Raises `DataError` where that cannot be seen."""
    order = dates.order_of(set(cells.known_texts()))
    if order is None or order == dates.UNCLEAR:
        raise DataError(
            f"column {cells.name!r}: dates such as {cells.known_texts()[0]!r} can be read in two ways; give "
            f"{argument('date_order', dates.DAY_FIRST)} or {argument('date_order', dates.MONTH_FIRST)}"
        )
    return order


def listed(texts: Collection[str], most: int = MOST_SHOWN) -> str:
    """The first of some texts, parted by commas."""
    shown = [short(text) for text in list(texts)[:most]]
    return ", ".join(shown) + (", …" if len(texts) > most else "")
