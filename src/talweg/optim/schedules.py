"""Learning-rate schedules: formulas on the step's number (0 at the first), so they run inside the compiled program.

>>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(100)
0.05
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from talweg import graph as g
from talweg.errors import UsageError
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


@dataclass(eq=False, repr=False)
class ConstantRate(Schedule):
    r"""$\eta_0$"""

    initial_learning_rate: float

    def rate(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate + 0.0 * step


@dataclass(eq=False, repr=False)
class ExponentialDecay(Schedule):
    r"""$\eta_0 \, r^{t / T}$; with `staircase`, t / T is cut to a whole number."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def rate(self, step: Tensor) -> Tensor:
        p = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (g.floor(p) if self.staircase else p)


@dataclass(eq=False, repr=False)
class StepDecay(Schedule):
    r"""$\eta_0 \, \gamma^{\lfloor t / T \rfloor}$: times γ every T steps (PyTorch's StepLR, counted in steps)."""

    initial_learning_rate: float
    step_size: float
    gamma: float = 0.1

    def rate(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate * self.gamma ** g.floor(step / self.step_size)


@dataclass(eq=False, repr=False)
class CosineDecay(Schedule):
    r"""Half a cosine from $\eta_0$ to $\alpha \eta_0$ in T steps (Loshchilov and Hutter, 2017).

    With `warmup_target`, it first goes in a straight line from $\eta_0$ to there, in `warmup_steps`.
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    _: KW_ONLY
    warmup_target: float | None = None
    warmup_steps: float = 0

    def rate(self, step: Tensor) -> Tensor:
        top, begin = self.initial_learning_rate, 0.0
        if self.warmup_target is not None:
            top, begin = self.warmup_target, self.warmup_steps
        part = g.clip((step - begin) / self.decay_steps, 0.0, 1.0)
        falling = top * (self.alpha + (1 - self.alpha) * 0.5 * (1 + g.cos(math.pi * part)))
        if not begin:
            return falling
        rising = self.initial_learning_rate + (top - self.initial_learning_rate) * step / self.warmup_steps
        return g.where(step < self.warmup_steps, rising, falling)


def get(identifier: Any) -> float | Schedule | Callable[[int], float]:
    """A learning rate: a number of at least 0, a schedule, its configuration, or any function of the step's number."""
    if isinstance(identifier, Schedule):
        return identifier
    if isinstance(identifier, dict):
        made: Schedule = Schedule.from_config(identifier)
        return made
    if isinstance(identifier, (int, float, np.integer, np.floating)) and not isinstance(identifier, bool):
        if not (math.isfinite(identifier) and identifier >= 0):
            raise UsageError(f"learning_rate must be a finite number of at least 0; got {identifier!r}")
        return float(identifier)
    if callable(identifier):
        function: Callable[[int], float] = identifier
        return function
    raise UsageError(f"learning_rate must be a number, a schedule or a function of the step; got {identifier!r}")
