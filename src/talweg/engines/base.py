"""What an engine is: something that makes a session of a program, and a session runs it over the rows of a data set.

The interface asks for nothing of Python between two steps, so an engine may run a whole epoch in one call.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from talweg.errors import UsageError
from talweg.graph import Array, Program
from talweg.graph.tensor import BATCH

PRECISIONS = ("float32", "float64")


class Session(ABC):
    """A program with its states, ready to run."""

    program: Program

    @abstractmethod
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
        """

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


def batched_inputs(program: Program) -> list[str]:
    """The names of the inputs that are rows of a data set."""
    return [x.name for x in program.inputs if x.shape and x.shape[0] is BATCH]
