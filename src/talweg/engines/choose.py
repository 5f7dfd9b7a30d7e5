"""From an engine's name to an engine: the one door through which a model finds what computes it (decision 007)."""

from __future__ import annotations

from talweg.engines.base import Engine
from talweg.engines.reference import Reference
from talweg.errors import UnknownNameError, UsageError

NAMES = ("auto", "native", "reference")


def engine_by_name(name: str = "auto", precision: str = "float32") -> Engine:
    """The engine called `name`: "reference", or "auto" for the fastest there is on this machine.

    Raises `UnknownNameError`, or `UsageError` for an engine that this version or this machine does not have.

    >>> engine_by_name("reference").name
    'reference'
    """
    if name in ("auto", "reference"):
        return Reference(precision)
    if name == "native":
        raise UsageError("the native engine is not part of this version yet; use engine='reference' (or 'auto')")
    raise UnknownNameError("engine", name, NAMES)
