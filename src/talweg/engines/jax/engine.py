"""The JAX engine: a program becomes one function of XLA's that does many steps; the data set lies on the device."""

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

from talweg.engines.base import Engine, Session, Work, check_room, check_states, check_work, copied_states, has_rows
from talweg.engines.jax.rules import Value, values
from talweg.graph import BATCH, Array, Program, Tensor, numpy_dtype
from talweg.passes import crop, pool_first, simplify

STEPS = 256  # in one call of what is compiled, at most
ROOM = 1 << 20  # numbers that one call may answer by the row
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
    """JAX in this precision, products included, here and in this thread: however else it is set stays so for others."""
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        yield


class JaxSession(Session):
    """A program and the values of its states, on the device; compiled when batches of a new size come.

    One function does any number of steps. Compiled for one step and for many, XLA might round them differently, and
    how many come in one call depends on how fast the machine is.
    """

    def __init__(
        self, program: Program, states: Mapping[str, Array], precision: str, options: Mapping[str, Any]
    ) -> None:
        self.program, self.precision, self._options = program, precision, dict(options)
        check_states(program, states)
        check_work(program)
        self._lock = threading.RLock()  # one call at a time
        self._by_row = {name for name, t in program.outputs.items() if has_rows(t)}
        self._compiled: dict[tuple[int, int, tuple[str, ...]], Any] = {}
        self._placed: tuple[Mapping[str, Array], dict[str, Value]] | None = None
        self._states: dict[str, Value] = {}
        self.load(states)

    def do(self, work: Work) -> dict[str, Array]:
        order, given, in_turn = work.order, {**work.settings, **work.per_step}, work.per_step
        others = [x for x in self.program.inputs if not has_rows(x)]
        settled = {x.name: np.asarray(given[x.name], self._dtype(x)) for x in others}
        pieces: list[dict[str, Array]] = []
        at = done = 0
        with self._lock, _arithmetic(self.precision):
            rows = self._on_device(work.data)
            while at < len(order):
                size = min(work.batch_size, len(order) - at)
                most = self._most(size)
                steps = min(most, (len(order) - at) // size)
                places = np.reshape(order[at : at + steps * size], (steps, size)).astype(np.int32)
                now = {name: _padded(v[done : done + steps], most) for name, v in settled.items() if name in in_turn}
                fixed = {name: v for name, v in settled.items() if name not in in_turn}
                inputs = rows, _padded(places, most), now, fixed
                new, by_row, last = self._call(size, np.int32(steps), self._states, *inputs)
                self._states |= new  # only now: whatever interrupts a call leaves the states as they were before it
                of_rows = {name: np.concatenate(np.asarray(v)[:steps]) for name, v in by_row.items()}
                pieces.append(of_rows | {name: np.array(v) for name, v in last.items()})
                at, done = at + steps * size, done + steps
        return {
            name: np.concatenate([p[name] for p in pieces]) if name in self._by_row else pieces[-1][name]
            for name in self.program.outputs
        }

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        """Whether batches of so many rows came before. XLA must know how long the data set is, too: `run` compiles."""
        return wait or any(size == batch_size for size, *_ in self._compiled)

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = None if names is None else set(names)
        with self._lock:
            return {name: np.array(v) for name, v in self._states.items() if wanted is None or name in wanted}

    def load(self, states: Mapping[str, Array]) -> None:
        with self._lock, _arithmetic(self.precision):
            copies = copied_states(self.program, states, self.precision)
            self._states |= {s.name: jnp.asarray(value) for s, value in copies.items()}

    def _on_device(self, data: Mapping[str, Array]) -> dict[str, Value]:
        """The data set on the device, where it stays until another comes.

        Its length becomes a power of two, so that data sets of about one length share what is compiled.
        """
        if self._placed is None or self._placed[0] is not data:
            rows = {}
            for x in filter(has_rows, self.program.inputs):
                array = np.asarray(data[x.name], self._dtype(x))
                rows[x.name] = jnp.asarray(_padded(array, 1 << max(len(array) - 1, 0).bit_length()))
            self._placed = data, rows
        return self._placed[1]

    # ── XLA's function ────────────────────────────────────────────────────────────────────────────────────

    def _most(self, size: int) -> int:
        """How many steps on so many rows one call may do."""
        answered = sum(math.prod(self._shape(self.program.outputs[name], size)) for name in self._by_row)
        return max(1, min(STEPS, ROOM // max(1, answered)))

    def _call(self, size: int, *arguments: Any) -> Any:
        """`_steps`, compiled."""
        _, _, rows, _, changing, _ = arguments
        length = len(next(iter(rows.values()))) if rows else 0
        if (key := (size, length, tuple(changing))) not in self._compiled:
            check_room(self.program, size, self.precision)
            lowered = jax.jit(partial(self._steps, size)).lower(*arguments)
            self._compiled[key] = lowered.compile(compiler_options=self._options)
        return self._compiled[key](*arguments)

    def _steps(
        self,
        size: int,
        steps: Value,
        states: dict[str, Value],
        rows: dict[str, Value],
        places: Value,
        changing: dict[str, Value],
        fixed: dict[str, Value],
    ) -> Any:
        """So many steps: new states, the outputs by the row of all of them, and the other outputs of the last."""
        program = self.program

        def one_step(i: Value, before: Any) -> Any:
            now = {name: array[places[i]] for name, array in rows.items()} | {k: v[i] for k, v in changing.items()}
            named = {**states, **before[0], **fixed, **now}
            feeds = {t: named[t.name] for t in (*program.inputs, *program.states)}
            found = values(program.order, feeds, size, self.precision)
            new = {s.name: found[t] for s, t in program.updates.items()}
            outputs = {name: found[t] for name, t in program.outputs.items()}
            by_row = {name: all_steps.at[i].set(outputs.pop(name)) for name, all_steps in before[1].items()}
            return new, by_row, outputs

        by_row, others = {}, {}
        for name, t in program.outputs.items():
            if name in self._by_row:
                by_row[name] = jnp.zeros((len(places), *self._shape(t, size)), self._dtype(t))
            else:
                others[name] = jnp.zeros(self._shape(t, size), self._dtype(t))
        return lax.fori_loop(0, steps, one_step, ({s.name: states[s.name] for s in program.updates}, by_row, others))

    def _shape(self, t: Tensor, size: int) -> tuple[int, ...]:
        return tuple(size if d is BATCH else d for d in t.shape)

    def _dtype(self, t: Tensor) -> np.dtype[Any]:
        return numpy_dtype(t.dtype, self.precision)


def _padded(array: Array, length: int) -> Array:
    """`array` with rows of 0 after its own."""
    whole = np.zeros((length, *array.shape[1:]), array.dtype)
    whole[: len(array)] = array
    return whole
