"""What an engine is: something that makes a session of a program, and a session runs it over the rows of a data set.

The interface asks for nothing of Python between two steps, so an engine may run a whole epoch in one call.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from talweg.budgets import demand
from talweg.engines.demands import size, work
from talweg.errors import ShapeError, UsageError
from talweg.graph import BATCH, Array, Program, Tensor, numpy_dtype

PRECISIONS = ("float32", "float64")


@dataclass(frozen=True)
class Work:
    """What a session is asked to do: see `Session.run`."""

    data: Mapping[str, Array]
    order: Array
    batch_size: int
    settings: Mapping[str, Array]
    per_step: Mapping[str, Array]

    @property
    def steps(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def check(self, program: Program) -> None:
        """Raises where `program` cannot do it: whoever computes need not look again."""
        rows, others = batched_inputs(program), {**self.settings, **self.per_step}
        if missing := [x.name for x in program.inputs if x.name not in (self.data if x.name in rows else others)]:
            raise UsageError(f"program {program.name!r} was run without its inputs {', '.join(missing)}")
        first, last = (int(self.order.min()), int(self.order.max())) if len(self.order) else (0, -1)
        for x in program.inputs:
            is_rows, is_changing = x.name in rows, x.name in self.per_step
            given = np.shape((self.data if is_rows else others)[x.name])
            shape, own = (x.shape[1:], "rows of shape") if is_rows else (x.shape, "shape")
            each = given[1:] if is_rows or is_changing else given
            if (BATCH not in shape and each != shape) or ((is_rows or is_changing) and not given):
                raise ShapeError(f"input {x.name!r} has {own} {list(shape)}; got {list(each)}")
            if is_rows and (first < 0 or last >= given[0]):
                raise UsageError(f"order names rows from {first} to {last}; {x.name!r} has {given[0]}")
            if is_changing and not is_rows and given[0] < self.steps:
                raise UsageError(f"input {x.name!r} has {given[0]} values for {self.steps} steps")


class Session(ABC):
    """A program with its states, ready to run."""

    program: Program

    def run(
        self,
        data: Mapping[str, Array],
        order: Array,
        batch_size: int,
        settings: Mapping[str, Array] | None = None,
        per_step: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """Does ``ceil(len(order) / batch_size)`` steps, the last one perhaps with fewer rows.

        data      for each input with a batch axis: an array whose first axis numbers the rows of the data set. The same
                  mapping as the time before holds the same numbers: an engine may keep them where it computes
        order     the rows to visit, as integers
        settings  for each other input: its value, the same for every step
        per_step  for an input that changes from step to step: its values, one for each step

        Each step computes outputs and new states from the states before it, then puts the new ones in place.
        Answers the outputs: those with a batch axis for all rows of `order`, the others for the last step.
        Raises `UsageError` where an input, a row or a value for a step is missing, `ShapeError` for another shape.
        """
        work = Work(data, np.asarray(order), batch_size, settings or {}, per_step or {})
        work.check(self.program)
        return self.do(work) if len(work.order) else {}

    @abstractmethod
    def do(self, work: Work) -> dict[str, Array]:
        """`run`, of what was checked: of one step at least."""

    def prepare(self, batch_size: int, wait: bool = False) -> bool:
        """Says that batches of up to so many rows will come, and answers whether they can be run at once.

        Where they cannot, because a compiler has begun to work, it works on beside others, and `run` waits for it; so
        does this with `wait`, and then answers True. Ctrl-C in the waiting stops the compiler and changes nothing.
        """
        return True

    @abstractmethod
    def states(self, names: Iterable[str] | None = None) -> dict[str, Array]:
        """A copy of the states named (of all by default), by name."""

    @abstractmethod
    def load(self, states: Mapping[str, Array]) -> None:
        """Puts other values in place of the states named."""


class Engine(ABC):
    """A way of computing programs, at one floating-point precision."""

    name: str
    precision: str

    def __init__(self, precision: str = "float32") -> None:
        if precision not in PRECISIONS:
            raise UsageError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
        self.precision = precision

    @abstractmethod
    def compile(self, program: Program, states: Mapping[str, Array]) -> Session:
        """A session of `program`, with `states` as the first values. Raises `UsageError` where one is missing."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.precision!r})"


def has_rows(t: Tensor) -> bool:
    """Whether `t` is an input, or an output, that has an element for each row of the batch."""
    return bool(t.shape) and t.shape[0] is BATCH


def batched_inputs(program: Program) -> list[str]:
    """The names of the inputs that are rows of a data set."""
    return [x.name for x in program.inputs if has_rows(x)]


def check_work(program: Program) -> None:
    """Raises `BudgetError` where a step on one example takes more work than it may."""
    demand("work", work(program), f"a step of program {program.name!r}, on one example,")


def check_room(program: Program, rows: int, precision: str) -> None:
    """Raises `BudgetError` where one tensor of a step on so many rows takes more memory than it may."""
    sizes = [
        numpy_dtype(t.dtype, precision).itemsize * size(t.shape) * (rows if BATCH in t.shape else 1)
        for t in program.order
    ]
    demand("memory", max(sizes, default=0), f"program {program.name!r}, on batches of {rows:,} rows,")


def check_states(program: Program, states: Mapping[str, Array]) -> None:
    """Raises `UsageError` where a state of `program` has no first value."""
    if missing := [s.name for s in program.states if s.name not in states]:
        raise UsageError(f"program {program.name!r} has states without a first value: {', '.join(missing)}")


def copied_states(program: Program, states: Mapping[str, Array], precision: str) -> dict[Tensor, Array]:
    """Those of `states` that `program` has, as an engine keeps them: no one else may change a copy.

    Raises `ShapeError`, before anything was changed, where one has another shape than the program's.
    """
    copies: dict[Tensor, Array] = {}
    for state in (s for s in program.states if s.name in states):
        value = copies[state] = np.array(states[state.name], numpy_dtype(state.dtype, precision))
        if value.shape != state.shape:
            raise ShapeError(f"state {state.name!r} has shape {list(state.shape)}; got {list(value.shape)}")
    return copies
