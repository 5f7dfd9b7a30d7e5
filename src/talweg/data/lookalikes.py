"""Texts that are nearly numbers or dates: with a decimal comma, a unit, a month's name. What to do about them."""

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


_WRITE_DATES = "write them as 2024-03-01"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_BLANK = " \u00a0\u2009\u202f"  # the ones that programs and people put into numbers
_N = rf"[+-]?\d+(?:[.,'’{_BLANK}]\d+)*(?:[eE][+-]?\d+)?[{_BLANK}]?"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


NUMBERS = (
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
    Lookalike(  # 1.234 is a number but where the decimal mark is another
        _form(r"[+-]?\d{1,3}(?:\.\d{3})+"), "numbers with thousands", lambda: argument("thousands", ".")
    ),
    Lookalike(
        _form(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?"), "numbers with a decimal point", lambda: argument("decimal", ".")
    ),
    Lookalike(
        re.compile(r"(?=.*[^\x00-\x7f])[+−－＋-]?\d+(?:[.．]\d+)?"),
        "numbers in other letters than 0 to 9, + and -",
        lambda: "write them with those",
    ),
    Lookalike(
        _form(rf"[+-]?\d{{1,3}}(?:[{_BLANK}]\d{{3}})+(?:[.,]\d+)?"),
        "numbers with blanks between thousands",
        lambda: argument("thousands", " "),
    ),
    Lookalike(
        _form(r"[+-]?\d{1,3}(?:['’]\d{3})+(?:[.,]\d+)?"),
        "numbers with apostrophes between thousands",
        lambda: argument("thousands", "'"),
    ),
    Lookalike(
        re.compile(r"#(?:[A-ZÀ-Ü/0]+ ?[!?]|NV|N/A|N/D)"),
        "errors of a spreadsheet",
        lambda: "mend the formulas, or leave those cells empty (missing)",
    ),
    Lookalike(_form(r"[+-]?\d*\.?\d+[dD][+-]?\d+"), "numbers of Fortran", lambda: "write E for D"),
    Lookalike(_form(r"0[xX][0-9a-fA-F]+"), "hexadecimal numbers", lambda: "write them as decimal ones"),
    Lookalike(_form(r"[+-]?\d+(?:_\d+)+(?:\.\d+)?"), "numbers with _", lambda: "take the _ out"),
    Lookalike(
        _form(r"[+-]?[\d.]+[+-][\d.]+[ij]|[+-]?[\d.]+j"), "complex numbers", lambda: "make two columns, for both parts"
    ),
    Lookalike(_form(rf"{_N}%"), "percentages", lambda: "take the % out of the cells", False),
    Lookalike(
        re.compile(rf"(?:[$€£¥]|[A-Z]{{3}}) ?{_N}|{_N}(?:[$€£¥]|EUR|USD|GBP|CHF|JPY)"),
        "numbers with a currency",
        lambda: "write it into the column's name, and only numbers into the cells",
        False,
    ),
    Lookalike(
        re.compile(rf"{_N}[A-Za-zµ°Ω²³/]{{1,12}}\.?"),
        "numbers with a unit",
        lambda: "write the unit into the column's name, and only numbers into the cells",
        False,
    ),
)
DATES = (
    Lookalike(
        _form(r"\d{1,2}([-/.])\d{1,2}\1\d{2}(?:[T ].*)?"),
        "dates with years of two digits",
        lambda: "write years with four",
        False,
    ),
    Lookalike(
        re.compile(rf"(?:\d{{1,2}}\.?[- ]?{_MONTH}|{_MONTH}[- ]?\d{{1,2}}),?[- ]?\d{{2,4}}(?:[T ].*)?", re.IGNORECASE),
        "dates with the names of months",
        lambda: _WRITE_DATES,
        False,
    ),
    Lookalike(re.compile(r"\d{4}年\d{1,2}月\d{1,2}日.*"), "dates", lambda: _WRITE_DATES, False),
    Lookalike(_form(r"\d{4}-\d\d-\d\dT\d\d"), "dates", lambda: "write them as 2024-03-01T10:00", False),
    Lookalike(
        _form(r"\d{1,3}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?"),
        "times of day or durations",
        lambda: "write them as numbers, such as minutes, or after a date (2024-03-01 10:30)",
        False,
    ),
)
LOOKALIKES = (*NUMBERS, *DATES)
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
        codes = f", or read codes as categories with {argument('categorical', [column])}"
        return f"They look like {known.advice}{'' if known.is_surely_a_number else codes}."
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
