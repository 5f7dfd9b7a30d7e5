"""Texts that are nearly numbers: with a decimal comma, a unit, a currency. What they are, and what to do about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from talweg.errors import argument


@dataclass(frozen=True)
class Lookalike:
    """A form of text. is_surely_a_number: nobody writes a category so."""

    form: re.Pattern[str]
    what: str
    remedy: Callable[[], str]  # in the words of whoever asks, so only when asked
    is_surely_a_number: bool = True

    @property
    def advice(self) -> str:
        return f"{self.what}: {self.remedy()}"


_N = r"[+-]?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


LOOKALIKES = (
    Lookalike(
        _form(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?"),
        "numbers with a comma",
        lambda: (
            f"{argument('thousands', ',')} if it parts thousands, {argument('decimal', ',')} if it is a decimal comma"
        ),
    ),
    Lookalike(_form(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+"), "numbers such as 1.234,5", lambda: _both(",", ".")),
    Lookalike(
        _form(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"), "numbers with a decimal comma", lambda: argument("decimal", ",")
    ),
    Lookalike(_form(r"[+-]?\d{1,3}(?:\.\d{3}){2,}"), "numbers with thousands", lambda: _both(",", ".")),
    Lookalike(
        _form(r"[+-]?\d{1,3}(?:[' ]\d{3})+(?:\.\d+)?"), "numbers with parted thousands", lambda: "take the marks out"
    ),
    Lookalike(_form(r"0[xX][0-9a-fA-F]+"), "hexadecimal numbers", lambda: "write them as decimal ones"),
    Lookalike(_form(r"[+-]?\d+(?:_\d+)+(?:\.\d+)?"), "numbers with _", lambda: "take the _ out"),
    Lookalike(
        _form(r"[+-]?[\d.]+[+-][\d.]+[ij]|[+-]?[\d.]+j"), "complex numbers", lambda: "make two columns, for both parts"
    ),
    Lookalike(_form(rf"{_N} ?%"), "percentages", lambda: "take the % out of the cells", False),
    Lookalike(
        re.compile(rf"(?:[$€£¥]|[A-Z]{{3}}) ?{_N}|{_N} ?(?:[$€£¥]|EUR|USD|GBP|CHF|JPY)"),
        "numbers with a currency",
        lambda: "write it into the column's name, and only numbers into the cells",
        False,
    ),
    Lookalike(
        re.compile(rf"{_N} ?[A-Za-zµ°Ω²³/]{{1,12}}\.?"),
        "numbers with a unit",
        lambda: "write the unit into the column's name, and only numbers into the cells",
        False,
    ),
)
MARKS_OF_MISSING = {"?", "-", "--", "---", ".", "..", "*", "x", "X", "unknown", "missing", "none", "NONE", "Na", "nil"}


def lookalike(texts: Iterable[str]) -> Lookalike | None:
    """The form that all of the texts have.

    >>> found = lookalike(["1,5", "2,75"])
    >>> found.advice
    "numbers with a decimal comma: decimal=','"
    """
    texts = list(texts)
    return next((known for known in LOOKALIKES if texts and all(known.form.fullmatch(text) for text in texts)), None)


def remedy_for(texts: Iterable[str], column: str) -> str:
    """What to do about texts that stand among numbers."""
    distinct = set(texts)
    if (known := lookalike(distinct)) is not None:
        return f"They look like {known.advice}."
    if distinct <= MARKS_OF_MISSING:
        return f"If that means missing: {argument('na_values', sorted(distinct))}."
    if all(text.startswith("#") for text in distinct):
        return f"If these lines are comments: {argument('comment', '#')}."
    return (
        f"Correct them, leave them empty (missing), leave the column out with {argument('ignore', [column])}, or read "
        f"it as categories with {argument('categorical', [column])}."
    )


def _both(decimal: str, thousands: str) -> str:
    return f"{argument('decimal', decimal)} and {argument('thousands', thousands)}"
