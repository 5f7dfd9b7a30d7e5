"""From an engine's name to an engine: the one door through which a model finds what computes it (decision 007)."""

from __future__ import annotations

from talweg.engines.base import Engine
from talweg.engines.reference import Reference
from talweg.errors import UnknownNameError

NAMES = ("auto", "native", "reference")


def engine_by_name(name: str = "auto", precision: str = "float32") -> Engine:
    """The engine called `name`: "reference" (NumPy), "native" (generated C), or "auto", which is the reference for now.

    Raises `UnknownNameError`, or `UsageError` for the native engine on a machine without a C compiler.

    >>> engine_by_name("reference").name
    'reference'
    """
    if name in ("auto", "reference"):
        return Reference(precision)
    if name == "native":
        from talweg.engines.native import Native

        return Native(precision)
    raise UnknownNameError("engine", name, NAMES)
