"""Less that fails alike: fewer members, layers, nodes, rows and threads, shorter axes.

A recipe is JSON, so one rule does for all of it: leave out an element of a list, make a number smaller, turn off what
is true. What then cannot be written is no candidate. Many candidates are compiled and judged at once; the first that
still fails is the next to be made smaller.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from typing import Any

from differential.children import Outcome, outcomes
from differential.recipes import Recipe, program_of
from talweg.errors import TalwegError

AT_ONCE = 16
"""Candidates that are compiled together."""
FIXED = ("values", "seed", "lanes", "precision", "is_fast", "stream", "kind", "which")
"""Numbers that are names."""
LEAST = {"reach": 0, "padding": 0, "axes": 0, "over": 0, "permutation": 0, "ranges": 0, "axis": 0, "at": 0, "width": 0}


def minimised(outcome: Outcome, seconds: float = 60.0, engine: str = "native") -> Outcome:
    """The smallest recipe found within that time whose outcome is of the same kind."""
    best, until = outcome, time.monotonic() + seconds
    while time.monotonic() < until:
        smaller = _smaller(best, engine, until)
        if smaller is None:
            break
        best = smaller
    return best


def _smaller(best: Outcome, engine: str, until: float) -> Outcome | None:
    batch: list[Recipe] = []
    for candidate in _candidates(best.recipe):
        if not _can_be_written(candidate):
            continue
        batch.append(candidate)
        if len(batch) == AT_ONCE:
            if found := _first_alike(batch, best.kind, engine):
                return found
            batch = []
            if time.monotonic() > until:
                return None
    return _first_alike(batch, best.kind, engine) if batch else None


def _first_alike(batch: list[Recipe], kind: str, engine: str) -> Outcome | None:
    return next((o for o in outcomes(batch, engine) if o.kind == kind), None)


def _can_be_written(recipe: Recipe) -> bool:
    if recipe["capacity"] < recipe["batch_size"] or not recipe["members"] or not recipe["threads"]:
        return False
    if not recipe["written_for"] or 0 in recipe["threads"]:
        return False
    try:
        return bool(program_of(recipe).program.order)
    except (TalwegError, ValueError, LookupError, TypeError, ZeroDivisionError, AttributeError):
        return False


def _candidates(recipe: Recipe) -> Iterator[Recipe]:
    """The recipe with one thing less, the largest steps first."""
    changes = list(_changes(recipe, ()))
    for _, path, value in sorted(changes, key=lambda change: change[0]):
        candidate = copy.deepcopy(recipe)
        place: Any = candidate
        for step in path[:-1]:
            place = place[step]
        if value is _GONE:
            del place[path[-1]]
        else:
            place[path[-1]] = value
        if candidate["batch_size"] > candidate["rows"]:
            candidate["batch_size"] = candidate["rows"]
        candidate["capacity"] = max(candidate["capacity"], candidate["batch_size"])
        yield candidate


_GONE = object()
Path = tuple[Any, ...]


def _changes(value: Any, path: Path) -> Iterator[tuple[float, Path, Any]]:
    """(how little it takes off, where, the new value or `_GONE`) of everything that can be less."""
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    if name in FIXED:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _changes(inner, (*path, key))
    elif isinstance(value, list):
        for i in reversed(range(len(value))):
            yield 0, (*path, i), _GONE
        for i, inner in enumerate(value):
            yield from _changes(inner, (*path, i))
    elif isinstance(value, bool):
        if value:
            yield 3, path, False
    elif isinstance(value, int):
        least = LEAST.get(name, 1)
        for rank, less in ((1, least), (2, value // 2), (2.5, value - value // 4 - 1), (4, value - 1)):
            if least <= less < value:
                yield rank, path, less
