"""The JAX engine: a program becomes one of XLA's that does many steps in a call; the data set lies on the device."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from talweg.engines.base import Engine, Session, batched_inputs
from talweg.engines.jax.rules import Value, values
from talweg.errors import ShapeError, UsageError
from talweg.graph import BATCH, Array, Program, Tensor, numpy_dtype
from talweg.passes import crop, pool_first, simplify

LENGTHS = (1024, 32, 1)
"""How many steps a call does: the first of these that fits. XLA compiles anew for each, so they are few."""

ROOM = 1 << 24  # numbers: so many may one call read of the data set, or answer by the row
OPTIONS = {"xla_gpu_deterministic_ops": True}  # else a sum's order on a GPU is that in which threads finish


class Jax(Engine):
    """XLA, on the device that JAX takes by default: an accelerator where there is one, else the CPU.

    options: XLA's, for whatever this engine compiles. By default, equal runs give equal bits on a GPU, too.
    """

    name = "jax"

    def __init__(self, precision: str = "float32", options: Mapping[str, Any] | None = None) -> None:
        super().__init__(precision)
        self.options = {**OPTIONS, **(options or {})}

    def __str__(self) -> str:
        """``jax 0.10.2, NVIDIA H100``: what computes, in words."""
        return f"jax {jax.__version__}, {jax.devices()[0].device_kind}"

    def compile(self, program: Program, states: Mapping[str, Array]) -> JaxSession:
        smaller = crop(pool_first(simplify(program, self.precision)))
        return JaxSession(smaller, states, self.precision, self.options)


@contextmanager
def _arithmetic(precision: str) -> Iterator[None]:
    """JAX in this precision, products included, here and in this thread: how others have set it stays."""
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        yield


@jax.jit
def _gathered(data: Mapping[str, Value], places: Value) -> dict[str, Value]:
    """The rows at `places` of each array: (steps, rows of a batch, ...)."""
    return {name: array[places] for name, array in data.items()}


class JaxSession(Session):
    """A program and the values of its states, on the device; compiled when batches of a new size come."""

    def __init__(
        self, program: Program, states: Mapping[str, Array], precision: str, options: Mapping[str, Any]
    ) -> None:
        self.program, self.precision, self._options = program, precision, dict(options)
        if missing := [s.name for s in program.states if s.name not in states]:
            raise UsageError(f"program {program.name!r} has states without a first value: {', '.join(missing)}")
        self._lock = threading.RLock()  # one call at a time
        self._rowwise = {name for name, t in program.outputs.items() if t.shape and t.shape[0] is BATCH}
        self._compiled: dict[tuple[int, int], Any] = {}
        self._placed: tuple[Mapping[str, Array], dict[str, Value]] | None = None
        self._states: dict[str, Value] = {}
        self.load(states)

    def run(
        self,
        data: Mapping[str, Array],
        order: Array,
        batch_size: int,
        settings: Mapping[str, Array] | None = None,
        per_step: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        fixed, changing = settings or {}, per_step or {}
        if missing := [x.name for x in self.program.inputs if x.name not in {*data, *fixed, *changing}]:
            raise UsageError(f"program {self.program.name!r} was run without its inputs {', '.join(missing)}")
        pieces: list[dict[str, Value]] = []
        at = step = 0
        with self._lock, _arithmetic(self.precision):
            placed = self._on_device(data)
            while at < len(order):
                size = min(batch_size, len(order) - at)
                steps = self._steps(size, (len(order) - at) // size)
                places = np.reshape(order[at : at + steps * size], (steps, size)).astype(np.int32)
                others = self._settings(fixed, changing, step, steps)
                new, outputs = self._program(size, steps)(self._states, _gathered(placed, places) | others)
                self._states |= new
                pieces.append(outputs)
                at, step = at + steps * size, step + steps
            return self._joined(pieces)

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        if (batch_size, 1) in self._compiled or not wait:
            return (batch_size, 1) in self._compiled
        with self._lock, _arithmetic(self.precision):
            self._program(batch_size, 1)
        return True

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = None if names is None else set(names)
        with self._lock:
            return {name: np.array(v) for name, v in self._states.items() if wanted is None or name in wanted}

    def load(self, states: Mapping[str, Array]) -> None:
        with self._lock, _arithmetic(self.precision):
            for s in self.program.states:
                if s.name in states:
                    value = jnp.array(np.asarray(states[s.name], self._dtype(s)))  # a copy: no one else may change it
                    if value.shape != s.shape:
                        raise ShapeError(f"state {s.name!r} has shape {list(s.shape)}; got {list(value.shape)}")
                    self._states[s.name] = value

    # ── what goes in and comes out ────────────────────────────────────────────────────────────────────────

    def _on_device(self, data: Mapping[str, Array]) -> dict[str, Value]:
        """The data set on the device, where it stays until another comes."""
        if self._placed is None or self._placed[0] is not data:
            rows = [x for x in self.program.inputs if x.name in batched_inputs(self.program)]
            self._placed = data, {x.name: jnp.asarray(np.asarray(data[x.name], self._dtype(x))) for x in rows}
        return self._placed[1]

    def _settings(
        self, fixed: Mapping[str, Array], changing: Mapping[str, Array], step: int, steps: int
    ) -> dict[str, Array]:
        """The inputs that are not rows, a value for each of `steps` steps from the step of that number on."""
        found = {}
        for x in (x for x in self.program.inputs if x.name not in batched_inputs(self.program)):
            if x.name in changing:
                found[x.name] = np.asarray(changing[x.name][step : step + steps], self._dtype(x))
            else:
                value = np.asarray(fixed[x.name], self._dtype(x))
                found[x.name] = np.broadcast_to(value, (steps, *value.shape))
        return found

    def _joined(self, pieces: list[dict[str, Value]]) -> dict[str, Array]:
        """What several calls have answered as one: all rows, or the last step."""
        joined = {}
        for name in self.program.outputs if pieces else ():
            if name in self._rowwise:
                joined[name] = np.concatenate([batch for p in pieces for batch in np.asarray(p[name])])
            else:
                joined[name] = np.array(pieces[-1][name][-1])
        return joined

    # ── XLA's program ─────────────────────────────────────────────────────────────────────────────────────

    def _steps(self, size: int, most: int) -> int:
        """How many steps of so many rows to do in one call."""
        tensors = [*self.program.inputs, *self.program.outputs.values()]
        row = sum(math.prod(t.shape[1:]) for t in tensors if t.shape and t.shape[0] is BATCH)
        return next(n for n in LENGTHS if n <= most and (n * size * row <= ROOM or n == 1))

    def _program(self, size: int, steps: int) -> Any:
        """So many steps as one function, from states and the inputs of all steps to new states and all outputs."""
        if (size, steps) not in self._compiled:
            states = {s.name: jax.ShapeDtypeStruct(s.shape, self._dtype(s)) for s in self.program.states}
            given = {}
            for x in self.program.inputs:
                shape = (steps, *(size if d is BATCH else d for d in x.shape))
                given[x.name] = jax.ShapeDtypeStruct(shape, self._dtype(x))
            traced = jax.jit(partial(self._scan, size, steps)).lower(states, given)
            self._compiled[size, steps] = traced.compile(compiler_options=self._options)
        return self._compiled[size, steps]

    def _scan(self, size: int, steps: int, states: dict[str, Value], given: dict[str, Value]) -> Any:
        program = self.program

        def one_step(changing: dict[str, Value], now: dict[str, Value]) -> Any:
            named = {**states, **changing, **now}
            feeds = {t: named[t.name] for t in (*program.inputs, *program.states)}
            found = values(program.order, feeds, size, self.precision)
            new = {s.name: found[t] for s, t in program.updates.items()}
            return new, {name: found[t] for name, t in program.outputs.items()}

        return lax.scan(one_step, {s.name: states[s.name] for s in program.updates}, given, steps)

    def _dtype(self, t: Tensor) -> np.dtype[Any]:
        return numpy_dtype(t.dtype, self.precision)
