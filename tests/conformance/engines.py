"""The engines that must agree. A new engine joins the whole suite by one line here.

`ENGINES` run every case by itself. An engine that compiles is better asked for many at once: `COMPILED` makes those,
and `families` puts the cases of a table into one program for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from talweg.engines import Engine, Reference, engine_by_name
from talweg.engines.base import batched_inputs
from talweg.graph import Array, Program

ENGINES: list[Engine] = [
    Reference("float32"),
    Reference("float64"),
]


def native(precision: str = "float32", threads: int | None = 2) -> Engine:
    """The native engine; skips where there is no C compiler."""
    from talweg.engines.native import Native, build

    if build.compiler() is None:
        pytest.skip("no C compiler on the path: install gcc or clang")
    return Native(precision, threads)


def jax(precision: str = "float32") -> Engine:
    """The JAX engine; skips where JAX is not installed."""
    pytest.importorskip("jax", reason="jax not installed: pip install 'talweg[jax]'")
    return engine_by_name("jax", precision)


Factory = Callable[[], Engine]

COMPILED: dict[str, Factory] = {
    "native-float32": native,
    "native-float64": lambda: native("float64"),
    "jax-float32": jax,
    "jax-float64": lambda: jax("float64"),
}

# How far a result may lie from the oracle's, which has float64 and the very same operands.
# float32: 25 units in the last place, for the order of a sum is an engine's own. float64: 4500 units.
RTOL = {"float32": 3e-6, "float64": 1e-12}
ATOL = {"float32": 1e-6, "float64": 1e-13}


def named(engines: list[Engine]) -> list[object]:
    """The engines as pytest parameters: reference-float32, ..."""
    return [pytest.param(e, id=f"{e.name}-{e.precision}") for e in engines]


every_engine = pytest.mark.parametrize("engine", named(ENGINES))
every_float64_engine = pytest.mark.parametrize("engine", named([e for e in ENGINES if e.precision == "float64"]))


def run_once(engine: Engine, program: Program, values: Mapping[str, Array], rows: int = 1) -> dict[str, Array]:
    """One step of `program` on batches of `rows`, from the values of its inputs and states by name."""
    session = engine.compile(program, {s.name: values[s.name] for s in program.states})
    batched = batched_inputs(program)
    settings = {x.name: values[x.name] for x in program.inputs if x.name not in batched}
    return session.run({name: values[name] for name in batched}, np.arange(rows), rows, settings)


def assert_close(actual: Array, expected: Array, engine: Engine, message: str = "") -> None:
    """Equal shapes, and values equal within the engine's tolerance; NaN equals NaN, infinity infinity."""
    assert np.shape(actual) == np.shape(expected), message
    rtol, atol = RTOL[engine.precision], ATOL[engine.precision]
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol, err_msg=message)
