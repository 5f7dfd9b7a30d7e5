"""Data from a rule that is a Python function: the rule is known, so what is learned can be judged."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from talweg.errors import DataError, UsageError

Bounds = tuple[float, float]


def from_rule(
    rule: Callable[..., Any],
    n: int = 500,
    bounds: Bounds | Sequence[Bounds] = (-1.0, 1.0),
    noise: float = 0.0,
    seed: int = 0,
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """n rows drawn evenly within `bounds`, and what the rule says of each.

    rule: takes one number for each input column, so ``lambda x1, x2: …`` makes two columns. A rule that
    returns floats makes values to be predicted, y float32 (n,); one that returns bool or int makes classes,
    y int64 (n,).
    bounds: (low, high) for every column, or a sequence with such a pair for each.
    noise: a standard deviation. For values it is that of a normal error added to y; for classes that of one
    added to x *after* the rule has spoken, which blurs the border between the classes.

    The rule is called row by row with float64 numbers, so it may use `if`, `math` or NumPy alike. It sees the
    inputs as they are returned (rounded to float32), so without noise ``rule(*x[i])`` is y[i].

    Raises `UsageError` if the number of columns is unclear or the rule fails, `DataError` if it returns
    something that cannot be learned (text, NaN, negative class numbers), naming the row.

    >>> x, y = from_rule(lambda x1, x2: x1 * x2 > 0, n=4, seed=1)
    >>> y.tolist() == [int(a * b > 0) for a, b in x]
    True
    >>> x, y = from_rule(lambda x: 3 * x + 2, n=100, bounds=(0, 10), noise=2.0)
    >>> x.shape, y.shape, y.dtype
    ((100, 1), (100,), dtype('float32'))
    """
    are_whole = all(isinstance(value, Integral) and not isinstance(value, bool) for value in (n, seed))
    if not (are_whole and n >= 1 and seed >= 0 and isinstance(noise, Real) and 0 <= noise <= 1e300):
        raise UsageError(
            "expected whole numbers n of 1 or more and seed of 0 or more, and a number noise of 0 or more, but got "
            f"n={n!r:.40}, noise={noise!r:.40}, seed={seed!r:.40}"
        )
    limits = _limits(rule, bounds)
    random = np.random.Generator(np.random.Philox(seed))
    x = random.uniform(limits[:, 0], limits[:, 1], (n, len(limits))).astype(np.float32)
    y = _apply(rule, x.astype(np.float64))
    is_value = y.dtype.kind == "f"
    told = y if is_value else x
    with np.errstate(over="ignore"):
        told = (told + noise * random.standard_normal(told.shape)).astype(np.float32)
    if not np.isfinite(told).all():
        raise DataError(
            f"rule: with noise {noise:g}, some values are too large for float32; make it smaller, or the rule"
        )
    return (x, told) if is_value else (told, y)


def _limits(rule: Callable[..., Any], bounds: Bounds | Sequence[Bounds]) -> NDArray[np.float64]:
    """(columns, 2): low and high of each column."""
    try:
        limits = np.asarray(bounds, np.float64)
    except (TypeError, ValueError, OverflowError):
        limits = np.empty(0)  # which no rule takes
    columns = _columns(rule)
    if limits.shape == (2,) and columns is not None:
        limits = np.tile(limits, (columns, 1))
    if limits.ndim != 2 or limits.shape[1] != 2 or columns not in (None, len(limits)):
        takes = "any number of columns" if columns is None else f"{columns} column(s)"
        raise UsageError(
            f"bounds: the rule takes {takes}; expected (low, high) for all of them or one such pair for each, but "
            f"got {bounds!r:.200}"
        )
    if not (np.abs(limits) <= np.finfo(np.float32).max / 2).all() or not (limits[:, 0] < limits[:, 1]).all():
        raise UsageError(f"bounds: expected finite pairs with low < high, but got {bounds!r:.200}")
    return limits


def _columns(rule: Callable[..., Any]) -> int | None:
    """How many columns the rule takes; None if it takes any number, or if Python cannot tell."""
    try:
        parameters = inspect.signature(rule).parameters.values()
    except (TypeError, ValueError):  # some functions written in C have no signature
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    needed = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    if not needed:
        raise UsageError("rule: expected a function of one or more numbers, such as lambda x1, x2: x1 > x2")
    return len(needed)


def _apply(rule: Callable[..., Any], x: NDArray[np.float64]) -> NDArray[Any]:
    results = []
    for i, row in enumerate(x):
        try:
            with np.errstate(all="ignore"):  # what comes of it, NaN or infinity, is reported below with its row
                results.append(np.asarray(rule(*row)))
        except Exception as error:
            raise UsageError(f"rule: it failed for row {i}, inputs {row.tolist()}: {error!r}") from error
        if results[-1].shape != () or results[-1].dtype.kind not in "biuf":
            raise DataError(
                f"rule: expected one number or truth value for a row, but for inputs {row.tolist()} it returned "
                f"{results[-1].tolist()!r}"
            )
    y = np.array(results)  # one float among integers makes all of them floats: values, not classes
    if y.dtype.kind == "f":
        bad = ~np.isfinite(y)
        if bad.any():
            i = int(bad.argmax())
            raise DataError(
                f"rule: expected finite values, but for inputs {x[i].tolist()} it returned {y[i]}; narrow the bounds"
            )
        return y
    if y.min() < 0:
        i = int(y.argmin())
        raise DataError(
            f"rule: whole numbers are classes and must be 0, 1, 2, …, but for inputs {x[i].tolist()} it "
            f"returned {y[i]}. "
            "Return a float for a value to be predicted, or a condition such as x > 0 for two classes."
        )
    return y.astype(np.int64)
