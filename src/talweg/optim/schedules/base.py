"""What a schedule is: a formula on the step's number."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError, argument
from talweg.graph import Tensor
from talweg.registry import Described, Registry, snake_case

SCHEDULES: Registry[type[Schedule]] = Registry("schedule")


@dataclass(eq=False, repr=False)
class Schedule(Described):
    """The base: subclasses write `rate(step)`. Called with a number, a schedule answers a number."""

    registry: ClassVar[Registry[Any]] = SCHEDULES

    def __init_subclass__(cls) -> None:
        SCHEDULES.register(cls.__name__, cls, snake_case(cls.__name__))

    def rate(self, step: Tensor) -> Tensor:
        raise UsageError(f"{type(self).__name__} must define rate(step)")

    def __call__(self, step: Any) -> Any:
        if isinstance(step, Tensor):
            return self.rate(step)
        return float(g.evaluate([y := self.rate(g.constant(float(step)))], precision="float64")[y])

    def check(self, **least: float) -> None:
        """Raises `UsageError` unless each field named is a number above what is given for it."""
        for name, bound in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not value > bound:
                raise UsageError(f"{type(self).__name__}: {name} must be a number above {bound:g}; got {value!r}")


def get(identifier: Any) -> float | Schedule | Callable[[int], float]:
    """A learning rate: a number of at least 0, a schedule, its configuration, or any function of the step's number."""
    if isinstance(identifier, Schedule):
        return identifier
    if isinstance(identifier, dict):
        made: Schedule = Schedule.from_config(identifier)
        return made
    if isinstance(identifier, (int, float, np.integer, np.floating)) and not isinstance(identifier, bool):
        if not (math.isfinite(identifier) and identifier >= 0):
            raise UsageError(f"{argument('learning_rate')} must be a finite number of at least 0; got {identifier!r}")
        return float(identifier)
    if callable(identifier):
        function: Callable[[int], float] = identifier
        return function
    raise UsageError(
        f"{argument('learning_rate')} must be a number, a schedule or a function of the step; got {identifier!r}"
    )


def rising(values: Any, name: str) -> tuple[float, ...]:
    """Steps, each above the one before, as a tuple; raises `UsageError` for anything else."""
    found = tuple(values)
    if any(not isinstance(v, (int, float, np.number)) or v < 0 for v in found) or sorted(set(found)) != list(found):
        raise UsageError(f"{name} must be numbers of steps, each above the one before; got {values!r}")
    return tuple(float(v) for v in found)
