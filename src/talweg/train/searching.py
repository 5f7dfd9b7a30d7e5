"""Training with a rule that searches: each batch is an errand on which the engine is sent many times.

To the loop it is a session like any other. Inside, the compiled program says loss and gradient for the weights that it
is given, and the rule (`LBFGS`) says where to look next. The first look at a batch is an ordinary step: metrics, moving
statistics and the count of steps are those that it leaves. Dropout's numbers are the same at every look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from talweg.engines.base import Engine, Session, Work
from talweg.graph import Array, Program
from talweg.optim import LBFGS
from talweg.optim.base import dims, slot_name
from talweg.train.programs import GRADIENT, LOOK, LOSS


class Searching(Engine):
    """An engine whose sessions of the training program search as `rule` does."""

    def __init__(self, engine: Engine, rule: LBFGS) -> None:
        super().__init__(engine.precision)
        self.name, self._engine, self._rule = engine.name, engine, rule

    def compile(self, program: Program, states: Mapping[str, Array]) -> SearchSession:
        return SearchSession(program, states, self._engine, self._rule)


class SearchSession(Session):
    """The looks' session, and beside it what the rule remembers."""

    def __init__(self, program: Program, states: Mapping[str, Array], engine: Engine, rule: LBFGS) -> None:
        self.program, self._rule = program, rule
        by_name = {s.name: s for s in program.states}
        self._weights = [by_name[n.removeprefix(GRADIENT)] for n in program.outputs if n.startswith(GRADIENT)]
        self._memory = {name: np.array(states[name], engine.precision) for name in rule.memory(self._weights)}
        kept = tuple(s for s in program.states if s.name not in self._memory)
        looked = Program(program.name, program.inputs, kept, program.outputs, program.updates)
        self._looks = engine.compile(looked, {s.name: states[s.name] for s in kept})
        self._changing = [s.name for s in program.updates]

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        return self._looks.prepare(batch_size, wait)

    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        wanted = set(self._memory) if names is None else set(names := list(names))
        own = {name: value.copy() for name, value in self._memory.items() if name in wanted}
        return self._looks.states(None if names is None else [n for n in names if n not in self._memory]) | own

    def load(self, states: Mapping[str, Array]) -> None:
        for name in self._memory.keys() & states.keys():
            self._memory[name] = np.array(states[name], self._memory[name].dtype)
        self._looks.load({name: value for name, value in states.items() if name not in self._memory})

    def do(self, work: Work) -> dict[str, Array]:
        for step, start in enumerate(range(0, len(work.order), work.batch_size)):
            now = {name: values[step] for name, values in work.per_step.items()}
            rows = work.order[start : start + work.batch_size]
            outputs = self._batch(work.data, rows, work.batch_size, {**work.settings, **now})
        return {name: value for name, value in outputs.items() if not name.startswith(LOOK)}

    def _batch(
        self, data: Mapping[str, Array], rows: Array, batch_size: int, settings: Mapping[str, Array]
    ) -> dict[str, Array]:
        names = [w.name for w in self._weights]
        before = self._looks.states(self._changing)
        weights = self._looks.states(names)

        def look() -> dict[str, Array]:
            return self._looks.run(data, rows, batch_size, settings)

        def evaluate(x: Array) -> tuple[float, Array]:
            self._looks.load({**before, **self._apart(x)})
            return self._seen(look())

        outputs = look()
        if not names:
            return outputs
        after = self._looks.states(self._changing)
        memory = self._together()
        x = _flat([weights[name] for name in names])
        found = self._rule.search(evaluate, x, *self._seen(outputs), memory, float(outputs["learning_rate"]))
        self._looks.load({**after, **self._apart(found)})
        self._remember(memory)
        return outputs

    def _seen(self, outputs: Mapping[str, Array]) -> tuple[float, Array]:
        return float(outputs[LOSS]), _flat([outputs[f"{GRADIENT}{w.name}"] for w in self._weights])

    # ── all weights as one vector, and back ───────────────────────────────────────────────────────────────

    def _apart(self, x: Array) -> dict[str, Array]:
        """The last axis of `x` as arrays of the weights' shapes, by name."""
        ends = np.cumsum([math.prod(dims(w)) for w in self._weights])[:-1]
        pieces = np.split(x, ends, axis=-1)
        return {w.name: p.reshape(*x.shape[:-1], *w.shape) for w, p in zip(self._weights, pieces, strict=True)}

    def _together(self) -> dict[str, Array]:
        """The rule's memory as it reads it: each slot of all weights along one last axis, in float64."""
        numbers = {n.removeprefix("optimizer/"): v.astype("float64") for n, v in self._memory.items() if v.ndim == 0}
        slots = self._rule.slots(self._weights[0])
        return numbers | {slot: self._slot(slot) for slot in slots}

    def _slot(self, slot: str) -> Array:
        first, *_ = kept = [self._memory[slot_name(w, slot)] for w in self._weights]
        return _flat(kept, first.ndim - self._weights[0].rank)

    def _remember(self, memory: Mapping[str, Array]) -> None:
        """`_together`, the way back."""
        for slot, value in memory.items():
            if np.ndim(value) == 0:
                self.load({f"optimizer/{slot}": value})
            else:
                self.load({f"optimizer/{name}/{slot}": v for name, v in self._apart(value).items()})


def _flat(arrays: list[Array], leading: int = 0) -> Array:
    """Arrays as one vector, in float64; those with `leading` axes in common as one array with these."""
    return np.concatenate([a.reshape(*a.shape[:leading], -1) for a in arrays], axis=-1, dtype="float64")
