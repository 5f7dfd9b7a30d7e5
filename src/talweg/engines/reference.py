"""The reference engine: the definition of every number, in NumPy. Visit the nodes in order, apply each meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from talweg.engines.base import (
    Engine,
    Session,
    Work,
    batched_inputs,
    check_room,
    check_states,
    check_work,
    copied_states,
    has_rows,
)
from talweg.graph import Array, Program, Tensor, numpy_dtype
from talweg.graph.evaluate import Step, follow, plan
from talweg.passes import simplify


class Reference(Engine):
    """NumPy, float32 or float64. Always there, never fast; every other engine is judged by it.

    >>> from talweg.graph import BATCH, input_tensor, state_tensor, mean
    >>> x, seen = input_tensor("x", (BATCH,)), state_tensor("seen", ())
    >>> program = Program("add up", (x,), (seen,), {"mean": mean(x)}, {seen: seen + mean(x)})
    >>> session = Reference("float64").compile(program, {"seen": np.array(0.0)})
    >>> session.run({"x": np.array([1.0, 2.0, 3.0])}, order=np.arange(3), batch_size=2)   # batches (1, 2) and (3)
    {'mean': array(3.)}
    >>> session.states()
    {'seen': array(4.5)}
    """

    name = "reference"

    def compile(self, program: Program, states: Mapping[str, Array]) -> ReferenceSession:
        return ReferenceSession(simplify(program, self.precision), states, self.precision)

    def trace(
        self,
        program: Program,
        data: Mapping[str, Array],
        states: Mapping[str, Array],
        settings: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """One step on all rows of `data`, answering the value of every named tensor: the glass box.

        The program is run as it was written, not simplified.
        """
        rows = len(next(iter(data.values()))) if data else 0
        Work(data, np.arange(rows), max(1, rows), settings or {}, {}).check(program)
        session = ReferenceSession(program, states, self.precision)
        values = session.step(data, np.arange(rows), settings or {})
        named = {node.name: value for node, value in values.items() if node.name}
        return named | {name: values[t] for name, t in program.outputs.items()}


class ReferenceSession(Session):
    """A program and the values of its states."""

    def __init__(self, program: Program, states: Mapping[str, Array], precision: str) -> None:
        self.program, self._precision = program, precision
        self._states: dict[Tensor, Array] = {}
        self._plans: dict[int, list[Step]] = {}
        check_states(program, states)
        check_work(program)
        self.load(states)

    def do(self, work: Work) -> dict[str, Array]:
        pieces: list[dict[str, Array]] = []
        for step, start in enumerate(range(0, len(work.order), work.batch_size)):
            now = {name: values[step] for name, values in work.per_step.items()}
            rows = work.order[start : start + work.batch_size]
            values = self.step(work.data, rows, {**work.settings, **now})
            pieces.append({name: values[t] for name, t in self.program.outputs.items()})
            self._states |= {state: values[new] for state, new in self.program.updates.items()}
        return {
            name: np.concatenate([p[name] for p in pieces]) if has_rows(t) else pieces[-1][name]
            for name, t in self.program.outputs.items()
        }

    def step(self, data: Mapping[str, Array], rows: Array, settings: Mapping[str, Array]) -> dict[Tensor, Array]:
        """The value of every node for the given rows. The states are not changed."""
        given = {name: data[name][rows] for name in batched_inputs(self.program)} | dict(settings)
        if len(rows) not in self._plans:
            check_room(self.program, len(rows), self._precision)
            self._plans[len(rows)] = plan(self.program.order, len(rows), self._precision)
        feeds = {x: np.asarray(given[x.name], numpy_dtype(x.dtype, self._precision)) for x in self.program.inputs}
        return follow(self._plans[len(rows)], feeds | self._states)

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = None if names is None else set(names)
        return {s.name: v.copy() for s, v in self._states.items() if wanted is None or s.name in wanted}

    def load(self, states: Mapping[str, Array]) -> None:
        self._states |= copied_states(self.program, states, self._precision)
