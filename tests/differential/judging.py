"""What counts as wrong: a number further from float64's than rounding can take it, other bits with other threads,
memory written that is nobody's, or a refusal.

Of numbers that are infinite or no number in the reference nothing is asked (engines may differ at borders of zeros),
nor where rounding may have turned a choice: `decided` counts the others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from conformance.families import XLA, Expected, Family, run
from conformance.rounding import SMALLER, U
from differential import arena
from differential.units import Object, Written
from talweg.engines import engine_by_name
from talweg.engines.base import batched_inputs
from talweg.engines.native import NativeSession
from talweg.engines.native.unit import Unit
from talweg.graph import Array, Tensor


@dataclass
class Verdict:
    """What was found wrong, a line each; and of how many numbers how many could be judged."""

    wrong: list[str] = field(default_factory=list)
    decided: int = 0
    of: int = 0


class Walled(NativeSession):
    """A session whose unit is given, in memory between walls."""

    def __init__(self, written: Written, number: int, run: Object, recipe: dict[str, Any], threads: int) -> None:
        program, self._at_end = written.family.program, True
        self._written, self._given = written, (number, run)
        values = {s.name: written.family.values[s.name] for s in program.states}
        super().__init__(written.unit.program, values, recipe["precision"], threads, False, recipe["lanes"])

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        if not self._capacity:
            number, run = self._given
            compiled: Any = SimpleNamespace(talweg_run=run.run(number))
            self._move_into(self._written.unit, self._written.capacity, compiled)
        return True

    def _move_into(self, made: Unit, capacity: int, compiled: ctypes.CDLL) -> None:
        states = self.states()
        self._unit, self._run, self._capacity = made, compiled.talweg_run, capacity
        memory = made.memory
        size = memory.size + self._threads * memory.own_size
        self._block = arena.walled(size, memory.alignment)
        self._block[: memory.size] = arena.FILL
        for t in memory.offsets:
            if isinstance(t, Tensor) and t.op.name == "constant":
                self._view(t)[...] = t.attributes["value"]
        self.load(states)

    def _dense(self, x: Tensor, value: Array) -> Array:
        return arena.copy(super()._dense(x, value), self._at_end)

    def _room_for(self, t: Tensor, rows: int, batch: int) -> Array:
        plain = super()._room_for(t, rows, batch)
        return arena.array(plain.shape, plain.dtype, self._at_end)

    def trespasses(self) -> list[str]:
        """Bytes that are nobody's, and were written."""
        memory, found = self._unit.memory, []
        blocks = [("shared", 0, memory.size, self._written.used)]
        starts = range(memory.size, memory.size + self._threads * memory.own_size, max(1, memory.own_size))
        blocks += [(f"thread {i}'s", at, memory.own_size, self._written.own) for i, at in enumerate(starts)]
        for name, start, size, used in blocks:
            free = np.ones(size, bool)
            for begin, end in used:
                free[begin:end] = False
            if (wrong := np.flatnonzero(free & (self._block[start : start + size] != arena.FILL))).size:
                found.append(f"{wrong.size} bytes of {name} memory from {wrong[0]} on are nobody's and were written")
        return found


def answers(session: NativeSession, of: Family, at_end: bool) -> dict[str, Array]:
    """Outputs, and the states after the last step; inputs and outputs lie between walls."""
    batched = batched_inputs(of.program)
    session._at_end = at_end  # type: ignore[attr-defined]
    data = {name: of.values[name] for name in batched}
    settings = {x.name: of.values[x.name] for x in of.program.inputs if x.name not in batched}
    order = arena.copy(np.arange(of.rows), at_end)
    return session.run(data, order, of.batch_size, settings) | session.states()


def compare(found: Mapping[str, Array], what: Expected, precision: str, verdict: Verdict, exactness: float = 0) -> None:
    """Every number that is known against float64's. exactness: where not 0, how many times less exact than we are."""
    share = SMALLER[precision] + SMALLER["float64"]
    largest = float(np.finfo(precision).max) / 4
    for name, value in what.values.items():
        actual = found[name]
        if actual.shape != value.shape:
            verdict.wrong.append(f"{name} has shape {actual.shape}, not {value.shape}")
        if actual.shape != value.shape or name in what.undefined:
            continue
        wide = value.astype(float)
        bound = what.errors[name] * share
        if exactness:
            bound = exactness * (bound + U * share * np.abs(wide))
        with np.errstate(all="ignore"):
            known = np.isfinite(wide) & (np.abs(wide) + bound < largest)
            good = ~known | (np.abs(actual - wide) <= bound)
        verdict.decided += int(known.sum())
        verdict.of += known.size
        for at in np.argwhere(~good)[:1]:
            i = tuple(at)
            verdict.wrong.append(
                f"{name}{list(map(int, i))} is {actual[i]!r}, not {value[i]!r} within {bound[i]:.3g} "
                f"({(~good).sum()} of {good.size} elements)"
            )


def same_bits(one: Mapping[str, Array], other: Mapping[str, Array]) -> list[str]:
    """What differs, NaN for NaN."""
    out = []
    for name, a in one.items():
        b = other[name]
        if a.tobytes() != b.tobytes() and not ((a == b) | ((a != a) & (b != b))).all():
            out.append(f"{name} ({int(((a != b) & ((a == a) | (b == b))).sum())} of {a.size} elements)")
    return out


def judge(recipe: dict[str, Any], written: list[tuple[int, Written]], loaded: Object, what: Expected) -> Verdict:
    """Runs a recipe's units, each with as many threads as asked for, and looks at everything."""
    verdict, first = Verdict(), None
    for number, one in written:
        for threads in recipe["threads"]:
            session = Walled(one, number, loaded, recipe, threads)
            found = answers(session, one.family, at_end=first is None)
            who = f"written for {one.threads}, run by {threads}"
            verdict.wrong += [f"{line} ({who})" for line in session.trespasses()]
            if first is None:
                first = found
                compare(found, what, recipe["precision"], verdict)
            elif differ := same_bits(first, found):
                verdict.wrong.append(f"other bits in {', '.join(differ)[:300]} ({who})")
    return verdict


def judge_jax(recipe: dict[str, Any], of: Family, what: Expected) -> Verdict:
    """The same of the JAX engine, which has threads and memory of its own."""
    verdict = Verdict()
    found = run(engine_by_name("jax", recipe["precision"]), of)
    compare(found, what, recipe["precision"], verdict, XLA[recipe["precision"]])
    return verdict
