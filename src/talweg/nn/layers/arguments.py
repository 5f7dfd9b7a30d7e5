"""What arguments of layers may be: each function answers the value as it is kept, or raises `UsageError`."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

import numpy as np

from talweg.errors import UsageError


def is_whole(value: Any, least: float = 1) -> bool:
    """Whether `value` is a whole number, not below `least`."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and isfinite(value)


def one(value: Any, name: str, least: int = 1, optional: bool = False) -> Any:
    """A whole number from `least` on, in a tuple as in Keras. None stays so where `optional`. Raises `UsageError`."""
    if value is None and optional:
        return None
    number = value[0] if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1 else value
    if not is_whole(number, least):
        raise UsageError(f"{name} must be a whole number, {least} or above; got {value!r}")
    return (int(number),)


def two(value: Any, name: str, least: int = 1, optional: bool = False) -> Any:
    """Two whole numbers from `least` on, from one or two. None stays so where `optional`. Raises `UsageError`.

    >>> two(3, "padding"), two([0, 2], "padding", least=0)
    ((3, 3), (0, 2))
    """
    if value is None and optional:
        return None
    both = (value, value) if is_whole(value, least) else value
    if not isinstance(both, (list, tuple)) or len(both) != 2 or not all(is_whole(n, least) for n in both):
        raise UsageError(f"{name} must be a whole number, {least} or above, or two: (height, width); got {value!r}")
    return int(both[0]), int(both[1])


def padding(value: Any, *, causal: bool = False) -> str:
    """ "valid" or "same", or "causal" where that makes sense; raises `UsageError` for anything else."""
    known = ("valid", "same", "causal") if causal else ("valid", "same")
    if not isinstance(value, str) or value.lower() not in known:
        past = " or 'causal' (windows end where they stand)" if causal else ""
        raise UsageError(f"padding must be 'valid' (none) or 'same' (the size stays){past}; got {value!r}")
    return value.lower()


def data_format(value: Any) -> Any:
    """None or "channels_last"; raises `UsageError` for anything else."""
    if value not in (None, "channels_last"):
        raise UsageError(
            f"data_format must be None or 'channels_last', (batch, height, width, channels); got {value!r}. "
            "Pictures with channels first are turned by np.moveaxis(x, 1, -1)."
        )
    return value


def axis(value: Any) -> int:
    """One axis of a batch, which is not the batch's own."""
    if not _is_axis(value):
        raise UsageError(f"axis is one axis of an example, from 1 on or below 0; got {value!r}")
    return int(value)


def axes(value: Any, name: str = "axis", optional: bool = False) -> Any:
    """One axis of a batch, or several. None stays so where `optional`."""
    if value is None and optional:
        return None
    listed = value if isinstance(value, (list, tuple)) else (value,)
    if not listed or not all(map(_is_axis, listed)):
        raise UsageError(f"{name}: one axis of an example or several, from 1 on (0 is the batch axis); got {value!r}")
    return tuple(int(a) for a in listed) if listed is value else int(value)


def _is_axis(value: Any) -> bool:
    return is_whole(value, -inf) and value != 0


def numbers(value: Any, name: str, optional: bool = False) -> Any:
    """A finite number, or an array of them. None stays so where `optional`."""
    if value is None and optional:
        return None
    try:
        fits = bool(np.isfinite(np.asarray(value, np.float64)).all())
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise UsageError(f"{name} must be a finite number or an array of them; got {value!r}")
    return value
