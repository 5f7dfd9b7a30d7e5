"""The native engine: a program becomes C for this machine, and an epoch one call."""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from talweg.budgets import demand
from talweg.engines.base import Engine, Session, Work, check_states, check_work, copied_states, has_rows
from talweg.engines.native import build
from talweg.engines.native.cores import at_work, default_threads
from talweg.engines.native.profile import Profile
from talweg.engines.native.strategies import used
from talweg.engines.native.unit import Unit, unit
from talweg.errors import UsageError, argument
from talweg.graph import BATCH, Array, Program, Tensor, numpy_dtype
from talweg.passes import crop, known_sums, masks_of_results, pool_first, simplify


class Native(Engine):
    """Generated C: whole epochs in one call, the same bits for any number of threads.

    threads: how many share the work, 64 at most; by default $TALWEG_THREADS, else the cores that this process may use.
    profiled: whether sessions count where their time goes (`NativeSession.profile`), which costs a few ns a kernel.
    lanes: how many numbers a vector holds; by default as many as this machine's. C for other machines' vectors runs
    here as well, slower: tests see all kinds on any machine.
    Raises `UsageError` where there is no C compiler, saying how to get one.
    """

    name = "native"

    def __init__(
        self, precision: str = "float32", threads: int | None = None, profiled: bool = False, lanes: int | None = None
    ) -> None:
        super().__init__(precision)
        if build.compiler() is None:
            raise UsageError(
                f"the native engine needs a C compiler, and {build.complaint()}; engine='reference' needs none"
            )
        self.profiled = profiled
        self.threads = default_threads() if threads is None else threads
        if self.threads < 1:
            raise UsageError(f"{argument('threads')} must be at least 1; got {self.threads}")
        known = LANES[precision]
        if lanes is not None and lanes not in known:
            raise UsageError(f"lanes must be one of {', '.join(map(str, known))} for {precision}; got {lanes}")
        self.lanes = lanes_of(precision) if lanes is None else lanes

    def __str__(self) -> str:
        """``native, 2 threads, gcc 12.2``: what computes, in words."""
        return f"native, {self.threads} thread{'s' * (self.threads > 1)}, {build.title()}"

    def compile(self, program: Program, states: Mapping[str, Array]) -> NativeSession:
        simpler = self._simpler(program)
        return NativeSession(simpler, states, self.precision, self.threads, self.profiled, self.lanes)

    def source(self, program: Program, batch_size: int) -> str:
        """The C of `program`, as it would be compiled on this machine."""
        return unit(self._simpler(program), batch_size, self.precision, self.lanes, self.threads).source

    def strategies(self, program: Program, batch_size: int) -> Counter[str]:
        """How often each way of writing C (`strategies.NAMES`) is taken for `program`; nothing is compiled."""
        return used(self.source(program, batch_size))

    def _simpler(self, program: Program) -> Program:
        """What is written as C: the same program, with less to do."""
        return masks_of_results(crop(pool_first(known_sums(simplify(program, self.precision)))))


LANES = {"float32": (4, 8, 16), "float64": (2, 4, 8)}  # vectors of 128, 256 and 512 bits


def lanes_of(precision: str) -> int:
    """How many numbers one vector of this machine holds."""
    _, lanes = build.machine()
    return lanes if precision == "float32" else lanes // 2


class NativeSession(Session):
    """A program and the values of its states; compiled when it first runs, and again for a larger batch."""

    def __init__(
        self,
        program: Program,
        states: Mapping[str, Array],
        precision: str,
        threads: int,
        profiled: bool,
        lanes: int,
    ) -> None:
        self._lanes = lanes
        self.program, self.precision, self._threads, self._profiled = program, precision, threads, profiled
        check_states(program, states)
        check_work(program)
        self._lock = threading.RLock()  # one call at a time: all of them use the same block of memory
        _living.add(self)
        self._capacity = 0
        self._coming: tuple[int, Unit, build.Making] | None = None  # for batches of so many rows, what is compiled
        self._before: dict[Tensor, Array] = {}  # the states, as long as nothing is compiled
        self.load(states)

    def do(self, work: Work) -> dict[str, Array]:
        with self._lock:
            return self._steps(work)

    def _steps(self, work: Work) -> dict[str, Array]:
        arrays = [self._dense(x, work.data[x.name]) for x in self.program.inputs if has_rows(x)]
        places = np.ascontiguousarray(work.order, np.int64)
        rows = len(places)
        batch = min(work.batch_size, max(rows, *map(len, arrays), 1))
        fixed, strides = self._settings(work)
        self.prepare(batch, wait=True)
        outputs = {name: self._room_for(t, rows, batch) for name, t in self.program.outputs.items()}
        threads = self._threads if self._unit.is_parallel else 1
        with at_work(threads) as spins:
            self._run(
                ctypes.c_void_p(self._block.ctypes.data),
                _pointers(arrays),
                ctypes.c_void_p(places.ctypes.data),
                *(ctypes.c_int64(rows), ctypes.c_int64(batch)),
                _pointers(fixed),
                (ctypes.c_int64 * max(1, len(strides)))(*strides),
                _pointers(list(outputs.values())),
                *(ctypes.c_int(threads), ctypes.c_int(spins)),
            )
        return {name: a.astype(bool) if self._is_truth(name) else a for name, a in outputs.items()}

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        with self._lock:
            if batch_size <= self._capacity:
                return True
            if self._coming is None or self._coming[0] < batch_size:
                made = unit(self.program, batch_size, self.precision, self._lanes, self._threads, self._profiled)
                rows = f"program {self.program.name!r}, on batches of {batch_size:,} rows,"
                demand("memory", made.memory.size + self._threads * made.memory.own_size, rows)
                demand("code", len(made.source), f"program {self.program.name!r}, as C,")
                self._coming = batch_size, made, build.Making(made.source)
            capacity, made, making = self._coming
            if not (wait or making.is_over):
                return False
            self._coming = None  # also where the wait fails: the session then stays as it was
            self._move_into(made, capacity, making.wait())
            return True

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = None if names is None else set(names)
        chosen = [s for s in self.program.states if wanted is None or s.name in wanted]
        with self._lock:
            if not self._capacity:
                return {s.name: self._before[s].copy() for s in chosen}
            return {s.name: np.array(self._view(s), numpy_dtype(s.dtype, self.precision)) for s in chosen}

    def load(self, states: Mapping[str, Array]) -> None:
        copies = copied_states(self.program, states, self.precision)
        with self._lock:
            if not self._capacity:
                self._before |= copies
                return
            for s, value in copies.items():
                self._view(s)[...] = value

    def profile(self) -> Profile:
        """Where the time of the steps went since this was last asked (or the program was compiled for a larger batch).

        Raises `UsageError` where the engine was not made with ``profiled=True``, and before the first step.
        """
        if not self._profiled or not self._capacity:
            raise UsageError("a profile needs an engine made with profiled=True, and a session that has run")
        with self._lock:
            return self._unit.counters.read(self._block)

    @property
    def strategies(self) -> Counter[str]:
        """How often each way of writing C was taken for what is compiled: all 0 before the first step."""
        return self._unit.strategies if self._capacity else used("")

    # ── what goes in: the C that reads it checks nothing, `Work` did ──────────────────────────────────────

    def _dense(self, x: Tensor, value: Array) -> Array:
        return np.asarray(value, self._stored_as(x), order="C")

    def _settings(self, work: Work) -> tuple[list[Array], list[int]]:
        """The inputs that are not rows, and for each how many bytes further its value for the next step lies."""
        others, given = [x for x in self.program.inputs if not has_rows(x)], {**work.settings, **work.per_step}
        values = [self._dense(x, given[x.name]) for x in others]
        return values, [v.strides[0] if x.name in work.per_step else 0 for x, v in zip(others, values, strict=True)]

    def _room_for(self, t: Tensor, rows: int, batch: int) -> Array:
        """An array for an output: of all rows, or of the last step."""
        last = rows - (rows - 1) // batch * batch
        shape = tuple(d if d is not BATCH else rows if axis == 0 else last for axis, d in enumerate(t.shape))
        return np.empty(shape, self._stored_as(t))

    # ── the compiled unit and its block of memory ─────────────────────────────────────────────────────────

    def _move_into(self, made: Unit, capacity: int, compiled: build.Loaded) -> None:
        """Goes on in another unit, with states and constants in a fresh block."""
        states = self.states()
        self._unit, self._run, self._capacity = made, compiled.function("talweg_run"), capacity
        self._object = compiled  # it is there as long as this refers to it
        memory = self._unit.memory
        size = memory.size + self._threads * memory.own_size  # after what all share, what each has of its own
        room = np.zeros(size + memory.alignment, np.uint8)
        start = -room.ctypes.data % memory.alignment
        self._block = room[start : start + size]
        for t in memory.offsets:
            if isinstance(t, Tensor) and t.op.name == "constant":
                self._view(t)[...] = t.attributes["value"]
        self.load(states)

    def _view(self, t: Tensor) -> Array:
        """The tensor's elements in the block, without the padding."""
        memory = self._unit.memory
        layout, dtype, start = memory.layouts[t], self._stored_as(t), memory.offsets[t]
        flat = self._block[start : start + layout.size * dtype.itemsize].view(dtype)
        strides = tuple(s * dtype.itemsize for s in layout.strides)
        return np.lib.stride_tricks.as_strided(flat, layout.lengths, strides)

    def _stored_as(self, t: Tensor) -> np.dtype[Any]:
        """How the elements of `t` are stored: truth values as 32-bit integers."""
        return numpy_dtype("int" if t.dtype == "bool" else t.dtype, self.precision)

    def _is_truth(self, output: str) -> bool:
        return self.program.outputs[output].dtype == "bool"


def _pointers(arrays: list[Array]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))


_living: weakref.WeakSet[NativeSession] = weakref.WeakSet()


def _unlocked() -> None:
    """In the child of a fork, the thread that held a session's lock is not there to give it back."""
    for session in _living:
        session._lock = threading.RLock()
        session._coming = None  # the compiler is the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlocked)
