"""Dates in the cells of a table: which way round they are written, and when that was.

2024-03-01, 2024/3/1 and 2024.03.01 are year first. 1.3.2024 is day first. 3/1/2024 may be either: a number above 12
decides, in whichever row it stands; where there is none, the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone

YEAR_FIRST, DAY_FIRST, MONTH_FIRST = ORDERS = ("ymd", "dmy", "mdy")
UNCLEAR = "unclear"
DAY = 86400.0
_TIME = (
    r"(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2}(?:[.,]\d+)?))?"
    r"(?: ?([AaPp])\.?[Mm]\.?)?\s*(Z|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|UTC|GMT)?)?"
)
_YEAR_FIRST = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})" + _TIME, re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})" + _TIME, re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def looks_like_a_date(text: str) -> bool:
    """Whether the text has a date's form, in any order.

    >>> looks_like_a_date("2024-03-01 12:30"), looks_like_a_date("1.2.3")
    (True, False)
    """
    return (_YEAR_FIRST.fullmatch(text) or _YEAR_LAST.fullmatch(text)) is not None


def order_of(texts: Iterable[str]) -> str | None:
    """Their order: "ymd", "dmy", "mdy" or "unclear" where all texts have the form of a date; None where one does not.

    >>> order_of(["3/1/2024", "3/15/2024"]), order_of(["3/1/2024"]), order_of(["1.3.2024"]), order_of(["x"])
    ('mdy', 'unclear', 'dmy', None)
    """
    first, second, marks, is_year_first = 0, 0, set(), False
    for text in texts:
        if _YEAR_FIRST.fullmatch(text):
            is_year_first = True
        elif found := _YEAR_LAST.fullmatch(text):
            first, second = max(first, int(found[1])), max(second, int(found[3]))
            marks.add(found[2])
        else:
            return None
    if is_year_first:
        return UNCLEAR if marks else YEAR_FIRST
    if first > 12 and second > 12:
        return UNCLEAR
    if first > 12 or marks == {"."}:
        return DAY_FIRST
    return MONTH_FIRST if second > 12 else UNCLEAR


def moment(text: str, order: str) -> datetime | None:
    """When that was, as UTC; None for what is no date (2024-02-30 is none).

    >>> moment("1.3.2024", "dmy").date().isoformat(), moment("2024-02-30", "ymd")
    ('2024-03-01', None)
    """
    found = (_YEAR_FIRST if order == YEAR_FIRST else _YEAR_LAST).fullmatch(text)
    if found is None:
        return None
    if order == YEAR_FIRST:
        year, month, day = found[1], found[3], found[4]
    else:
        day, month, year = (found[1], found[3], found[4]) if order == DAY_FIRST else (found[3], found[1], found[4])
    minute, seconds, half, zone = found[6], found[7], found[8], found[9]
    hour = int(found[5] or 0)
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half in "Pp")
    try:
        when = datetime(int(year), int(month), int(day), hour, int(minute or 0), tzinfo=_zone(zone))
        return when.astimezone(UTC) + timedelta(seconds=float((seconds or "0").replace(",", ".")))
    except (ValueError, OverflowError):
        return None


def compact(number: float) -> datetime | None:
    """The date that a number such as 20240301 is written as; None if it is none between 1900 and 2100.

    >>> compact(20240301.0).date().isoformat(), compact(20240230.0)
    ('2024-03-01', None)
    """
    text = f"{number:.0f}"
    if number != int(number) or not 19000101 <= number <= 21001231:
        return None
    return moment(f"{text[:4]}-{text[4:6]}-{text[6:]}", YEAR_FIRST)


def days(when: datetime) -> float:
    """Days since 1970 began."""
    return (when - _EPOCH).total_seconds() / DAY


def as_text(day: float) -> str:
    """The date that a number of days since 1970 stands for.

    >>> as_text(0.0)
    '1970-01-01'
    """
    try:
        return (_EPOCH + timedelta(days=day)).date().isoformat()
    except OverflowError:
        return f"day {day:g}"


def _zone(text: str | None) -> timezone:
    offset = re.search(r"([+-])(\d{1,2}):?(\d{2})?$", text or "")
    if offset is None:
        return UTC
    return timezone((-1 if offset[1] == "-" else 1) * timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0)))
