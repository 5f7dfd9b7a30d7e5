"""Checks of what callbacks are made with: each answers the argument in its proper type, or raises `UsageError`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from talweg.errors import UsageError


def whole(value: Any, name: str, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name} must be a whole number of at least {least}; got {value!r}")
    return int(value)


def number(value: Any, name: str, least: float = -math.inf) -> float:
    """A finite number of at least `least`."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least:
        bound = "" if least == -math.inf else f" of at least {least:g}"
        raise UsageError(f"{name} must be a finite number{bound}; got {value!r}")
    return float(value)


def optional_number(value: Any, name: str) -> float | None:
    return None if value is None else number(value, name)


def text(value: Any, name: str, meaning: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name} must be {meaning}; got {value!r}")
    return value


def one_of(value: Any, name: str, known: Sequence[str]) -> str:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}")
    return str(value)


def frequency(value: Any, name: str = "save_freq") -> str | int:
    """ "epoch", or a number of batches."""
    if value == "epoch":
        return "epoch"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise UsageError(f"{name} must be 'epoch' or a number of batches of at least 1; got {value!r}")


def verbosity(value: Any) -> int:
    """0 for silence, anything above for a line on what was done."""
    return int(value) if isinstance(value, bool) else whole(value, "verbose")
