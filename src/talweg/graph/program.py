"""A program: what an engine runs, again and again, over the rows of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from talweg.graph.tensor import Tensor, topological_order


@dataclass(frozen=True)
class Program:
    """Inputs, named states, outputs, and new values of the states.

    inputs   fed at each step: rows of the data (`BATCH` is their first axis), or settings such as the learning rate
    states   kept from step to step: parameters, optimizer slots, moving statistics, counters, metric accumulators
    outputs  what the caller wants to know
    updates  for some of the states, their value after the step; all are computed from the values before it
    """

    name: str
    inputs: tuple[Tensor, ...]
    states: tuple[Tensor, ...]
    outputs: Mapping[str, Tensor]
    updates: Mapping[Tensor, Tensor]

    @property
    def results(self) -> list[Tensor]:
        """Everything that must be computed: outputs, then new states."""
        return [*self.outputs.values(), *self.updates.values()]

    @cached_property
    def order(self) -> list[Tensor]:
        """Every node needed, each after its inputs."""
        return topological_order(self.results)

    def with_results(self, results: Iterable[Tensor]) -> Program:
        """The same program with other graphs for its outputs and updates, in the order of `results`."""
        fresh = list(results)
        n = len(self.outputs)
        return Program(
            self.name,
            self.inputs,
            self.states,
            dict(zip(self.outputs, fresh[:n], strict=True)),
            dict(zip(self.updates, fresh[n:], strict=True)),
        )
