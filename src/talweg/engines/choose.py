"""From an engine's name to an engine: the one door through which a model finds what computes it (decision 007)."""

from __future__ import annotations

import functools
import warnings

from talweg.engines.base import Engine
from talweg.engines.reference import Reference
from talweg.errors import UnknownNameError, UsageError
from talweg.graph import Program

NAMES = ("auto", "native", "reference")
AUTO_PREFERS_NATIVE = False  # a first run would wait for the compiler longer than small programs take in NumPy


def engine_by_name(name: str = "auto", precision: str = "float32", threads: int | None = None) -> Engine:
    """The engine called `name`.

    "reference"  NumPy: the definition of every number; slow
    "native"     generated C, on `threads` threads (by default $TALWEG_THREADS, else the cores there are)
    "auto"       native where it can be had, else the reference, with a warning that says how to get the fast one

    Raises `UnknownNameError`, or `UsageError` for the native engine on a machine without a C compiler.

    >>> engine_by_name("reference").name
    'reference'
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UsageError(f"threads must be a whole number above 0; got {threads!r}")
    if name == "reference" or (name == "auto" and not AUTO_PREFERS_NATIVE):
        return Reference(precision)
    if name == "auto":
        return _fastest(precision, threads)
    if name == "native":
        from talweg.engines.native import Native

        return Native(precision, threads)
    raise UnknownNameError("engine", name, NAMES)


def native_source(program: Program, batch_size: int, precision: str = "float32") -> str:
    """The C that the native engine makes of `program` on this machine, for batches of at most `batch_size` rows.

    Raises `UsageError` on a machine without a C compiler: the C depends on what it compiles for.
    """
    from talweg.engines.native import Native
    from talweg.engines.native.pretty import indented

    return indented(Native(precision).source(program, batch_size))


def _fastest(precision: str, threads: int | None) -> Engine:
    from talweg.engines.native import build
    from talweg.engines.native.fallback import NativeOrReference

    if build.compiler() is not None:
        return NativeOrReference(precision, threads)
    _say_once(f"the reference engine computes, which is slow: the fast one needs a C compiler, and {build.complaint()}")
    return Reference(precision)


@functools.cache
def _say_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=4)
