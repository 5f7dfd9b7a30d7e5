"""The plain arguments of `compile`, `fit` and their kin: what they may be, and what is said where they are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from talweg.errors import UsageError, argument


def whole(value: Any, name: str, least: int) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{argument(name)} must be a whole number of at least {least}; got {value!r}")
    return int(value)


def whole_or_none(value: Any, name: str, least: int) -> int | None:
    return None if value is None else whole(value, name, least)


def part(value: Any, name: str) -> float:
    """0, or a part of the rows: more than 0 and less than 1."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:
        raise UsageError(f"{argument(name)} must be a number from 0 to less than 1, such as 0.2; got {value!r}")
    return float(value)


def epochs_to_validate(value: Any) -> int | frozenset[int]:
    """`validation_freq`: after every so many epochs, or after those that are listed, counted from 1."""
    if isinstance(value, Collection) and not isinstance(value, (str, bytes, Mapping)):
        return frozenset(whole(v, "validation_freq", 1) for v in value)
    return whole(value, "validation_freq", 1)


def verbosity(value: Any) -> int:
    """0 nothing, 1 a progress line, 2 a line an epoch; "auto" and True are 1."""
    if value in ("auto", True):
        return 1
    if value not in (0, 1, 2):
        raise UsageError(f"{argument('verbose')} must be 0, 1, 2 or 'auto'; got {value!r}")
    return int(value)


def listed(value: Any) -> list[Any]:
    """What was given alone, in a list, or in lists for each output, as one list."""
    if value is None:
        return []
    if isinstance(value, Mapping) and "class" not in value:
        value = list(value.values())
    return [item for each in value for item in listed(each)] if isinstance(value, (list, tuple)) else [value]
