"""Schedules made of schedules: a warm-up before, one after the other, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.optim.schedules.base import Schedule, get, rising
from talweg.optim.schedules.turning import ConstantRate
from talweg.registry import setting


def _scheduled(value: Any) -> Schedule:
    """A schedule, from its configuration or a number too; a function of Python's cannot be part of a formula."""
    found = get(value)
    if isinstance(found, float):
        return ConstantRate(found)
    if not isinstance(found, Schedule):
        raise UsageError(f"schedules are made of schedules and numbers, not of functions; got {value!r}")
    return found


def _some_scheduled(values: Any) -> tuple[Schedule, ...]:
    if not (found := tuple(_scheduled(v) for v in values)):
        raise UsageError("schedules must be at least one")
    return found


def _first(schedule: Schedule) -> float:
    """η₀ of a schedule: what its factors are of."""
    found = getattr(schedule, "initial_learning_rate", None)
    return float(schedule(0) if found is None else found)


@dataclass(eq=False, repr=False)
class SequentialSchedule(Schedule):
    """One schedule after the other: from each milestone on the next, which counts its steps from there.

    PyTorch's SequentialLR, counted in steps.

    >>> from talweg.optim.schedules import CosineDecay, LinearRate
    >>> warm = LinearRate(0.1, start_factor=0.0, total_steps=10)
    >>> rate = SequentialSchedule([warm, CosineDecay(0.1, decay_steps=90)], milestones=[10])
    >>> rate(5), rate(10), rate(100)
    (0.05, 0.1, 0.0)
    """

    schedules: tuple[Schedule, ...] = setting(_some_scheduled)
    milestones: tuple[float, ...] = setting(lambda v: rising(v, "milestones"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.schedules) != len(self.milestones) + 1:
            raise UsageError(
                f"SequentialSchedule: schedules must be one more than milestones; got {len(self.schedules)} and "
                f"{len(self.milestones)}"
            )

    @property
    def initial_learning_rate(self) -> float:
        return _first(self.schedules[0])

    def rate(self, step: Tensor) -> Tensor:
        rate = self.schedules[0].rate(step)
        for milestone, schedule in zip(self.milestones, self.schedules[1:], strict=True):
            rate = g.where(step >= milestone, schedule.rate(g.maximum(step - milestone, 0.0)), rate)
        return rate


@dataclass(eq=False, repr=False)
class ChainedSchedule(Schedule):
    r"""All at once: $\eta_0 \prod_i s_i(t) / \eta_{0,i}$, the first one's rate times the factors of all.

    PyTorch's ChainedScheduler, of schedules that multiply.
    """

    schedules: tuple[Schedule, ...] = setting(_some_scheduled)

    @property
    def initial_learning_rate(self) -> float:
        return _first(self.schedules[0])

    def rate(self, step: Tensor) -> Tensor:
        rate = self.schedules[0].rate(step)
        for schedule in self.schedules[1:]:
            rate = rate * (schedule.rate(step) / _first(schedule))
        return rate


@dataclass(eq=False, repr=False)
class Warmup(Schedule):
    r"""$s(0)\, (t + 1) / (T + 1)$ before step T, then `schedule` s, which counts its steps from there.

    schedule: also a number. Goyal et al., "Accurate, large minibatch SGD" (2017).

    >>> [Warmup(0.4, warmup_steps=3)(t) for t in range(5)]
    [0.1, 0.2, 0.3, 0.4, 0.4]
    """

    schedule: Schedule = setting(_scheduled)
    warmup_steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(warmup_steps=0)

    @property
    def initial_learning_rate(self) -> float:
        return _first(self.schedule)

    def rate(self, step: Tensor) -> Tensor:
        after = self.schedule.rate(g.maximum(step - self.warmup_steps, 0.0))
        climbing = self.schedule(0) * (step + 1.0) / (self.warmup_steps + 1.0)
        return g.where(step < self.warmup_steps, climbing, after)
