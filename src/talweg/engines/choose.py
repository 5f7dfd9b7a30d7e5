"""From an engine's name to an engine: the one door through which a model finds what computes it (decision 007)."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from talweg.engines.base import Engine
from talweg.engines.reference import Reference
from talweg.errors import UnknownNameError, UsageError, argument, warn
from talweg.graph import Array, Program

if TYPE_CHECKING:
    from talweg.engines.native.profile import Profile as Profile  # for those who may not look into the engine

NAMES = ("auto", "native", "jax", "reference")
PREFERRED = "TALWEG_ENGINE"  # the environment variable that says what "auto" is
PIECE = 0.05  # seconds that one call of a profiled run lasts about


def engine_by_name(name: str = "auto", precision: str = "float32", threads: int | None = None) -> Engine:
    """The engine called `name`.

    "reference"  NumPy: the definition of every number; slow
    "native"     generated C, on `threads` threads (by default $TALWEG_THREADS, else the cores there are)
    "jax"        JAX, on an accelerator where there is one; on a CPU native is as fast or faster
    "auto"       the one that $TALWEG_ENGINE names; without it, native where it can be had, else the reference, with a
                 warning that says how to get the fast one

    Raises `UnknownNameError`; `UsageError` for the native engine on a machine without a C compiler; `MissingExtraError`
    for JAX where it is not installed.

    >>> engine_by_name("reference").name
    'reference'
    """
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise UsageError(f"{argument('threads')} must be a whole number above 0; got {threads!r}")
    what = "engine"
    if name == "auto":
        name, what = os.environ.get(PREFERRED) or "auto", PREFERRED
    if name == "reference":
        return Reference(precision)
    if name == "auto":
        return _fastest(precision, threads)
    if name == "native":
        from talweg.engines.native import Native

        return Native(precision, threads)
    if name == "jax":
        from talweg.engines.jax import Jax

        return Jax(precision)
    raise UnknownNameError(what, name, NAMES)


def native_source(program: Program, batch_size: int, precision: str = "float32") -> str:
    """The C that the native engine makes of `program` on this machine, for batches of at most `batch_size` rows.

    Raises `UsageError` on a machine without a C compiler: the C depends on what it compiles for.
    """
    from talweg.engines.native import Native
    from talweg.engines.native.pretty import indented

    return indented(Native(precision).source(program, batch_size))


def native_profile(
    program: Program,
    states: Mapping[str, Array],
    data: Mapping[str, Array],
    batch_size: int,
    settings: Mapping[str, Array],
    per_step: Mapping[str, Array],
    precision: str = "float32",
    threads: int | None = None,
    seconds: float = 1.0,
) -> Profile:
    """Where the time of a step of `program` goes on the native engine, when it runs over `data` for some `seconds`.

    Batches are drawn as `Session.run` is given them, in pieces of one step at first, later of some 50 ms.
    """
    from talweg.engines.native import Native

    session = Native(precision, threads, profiled=True).compile(program, states)
    random, rows = np.random.default_rng(0), len(next(iter(data.values())))

    def run(steps: int) -> float:
        order = random.permutation(rows)[: steps * batch_size]
        began = time.perf_counter()
        session.run(data, order, batch_size, settings, per_step)
        return time.perf_counter() - began

    run(1)  # compiles, and meets all memory for the first time
    session.profile()
    steps, end = 1, time.perf_counter() + seconds
    while time.perf_counter() < end:
        if run(steps) < PIECE and steps * batch_size < rows:
            steps *= 2
    return session.profile()


def _fastest(precision: str, threads: int | None) -> Engine:
    from talweg.engines.native import build
    from talweg.engines.native.fallback import NativeOrReference

    if build.compiler() is not None:
        return NativeOrReference(precision, threads)
    _say_once(f"the reference engine computes, which is slow: the fast one needs a C compiler, and {build.complaint()}")
    return Reference(precision)


@functools.cache
def _say_once(message: str) -> None:
    warn(message, RuntimeWarning)
