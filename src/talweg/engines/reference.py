"""The reference engine: the definition of every number, in NumPy. Visit the nodes in order, apply each meaning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from talweg.engines.base import Engine, Session, batched_inputs
from talweg.errors import ShapeError, UsageError
from talweg.graph import BATCH, Array, Program, Tensor, numpy_dtype
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
        session = ReferenceSession(program, states, self.precision)
        rows = len(next(iter(data.values()))) if data else 0
        values = session.step(data, np.arange(rows), settings or {})
        named = {node.name: value for node, value in values.items() if node.name}
        return named | {name: values[t] for name, t in program.outputs.items()}


class ReferenceSession(Session):
    """A program and the values of its states."""

    def __init__(self, program: Program, states: Mapping[str, Array], precision: str) -> None:
        self.program, self._precision = program, precision
        self._states: dict[Tensor, Array] = {}
        self._plans: dict[int, list[Step]] = {}
        if missing := [s.name for s in program.states if s.name not in states]:
            raise UsageError(f"program {program.name!r} has states without a first value: {', '.join(missing)}")
        self.load(states)

    def run(
        self,
        data: Mapping[str, Array],
        order: Array,
        batch_size: int,
        settings: Mapping[str, Array] | None = None,
        per_step: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        pieces: list[dict[str, Array]] = []
        for step, start in enumerate(range(0, len(order), batch_size)):
            now = {name: values[step] for name, values in (per_step or {}).items()}
            values = self.step(data, order[start : start + batch_size], {**(settings or {}), **now})
            pieces.append({name: values[t] for name, t in self.program.outputs.items()})
            self._states |= {state: values[new] for state, new in self.program.updates.items()}
        rowwise = {name for name, t in self.program.outputs.items() if t.shape and t.shape[0] is BATCH}
        return {
            name: np.concatenate([p[name] for p in pieces]) if name in rowwise else pieces[-1][name]
            for name in self.program.outputs
            if pieces
        }

    def step(self, data: Mapping[str, Array], rows: Array, settings: Mapping[str, Array]) -> dict[Tensor, Array]:
        """The value of every node for the given rows. The states are not changed."""
        given = {name: data[name][rows] for name in batched_inputs(self.program) if name in data} | dict(settings)
        if missing := [x.name for x in self.program.inputs if x.name not in given]:
            raise UsageError(f"program {self.program.name!r} was run without its inputs {', '.join(missing)}")
        if len(rows) not in self._plans:
            self._plans[len(rows)] = plan(self.program.order, len(rows), self._precision)
        feeds = {x: self._as(x, given[x.name]) for x in self.program.inputs}
        return follow(self._plans[len(rows)], feeds | self._states)

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = None if names is None else set(names)
        return {s.name: v.copy() for s, v in self._states.items() if wanted is None or s.name in wanted}

    def load(self, states: Mapping[str, Array]) -> None:
        for state in self.program.states:
            if state.name in states:
                value = np.array(self._as(state, states[state.name]))  # a copy: no one else may change it
                if value.shape != state.shape:
                    raise ShapeError(f"state {state.name!r} has shape {list(state.shape)}; got {list(value.shape)}")
                self._states[state] = value

    def _as(self, tensor: Tensor, value: Array) -> Array:
        return np.asarray(value, numpy_dtype(tensor.dtype, self._precision))
