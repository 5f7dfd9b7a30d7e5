"""Schedules that rise as well as fall: warm-up, triangles, one cycle."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import partial
from itertools import pairwise

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.optim.schedules.base import Schedule
from talweg.registry import setting


def _one_of(known: tuple[str, ...], name: str, value: str) -> str:
    if value not in known:
        raise UsageError(f"{name} must be one of {', '.join(known)}; got {value!r}")
    return value


@dataclass(eq=False, repr=False)
class ConstantRate(Schedule):
    r"""$\eta_0$; with `factor`, $\eta_0$ times that before step `total_steps` (PyTorch's ConstantLR)."""

    initial_learning_rate: float
    factor: float = 1.0
    total_steps: float = 0

    def rate(self, step: Tensor) -> Tensor:
        return g.where(step < self.total_steps, self.factor * self.initial_learning_rate, self.initial_learning_rate)


@dataclass(eq=False, repr=False)
class LinearRate(Schedule):
    r"""In a straight line from `start_factor` $\eta_0$ to `end_factor` $\eta_0$, in T steps (PyTorch's LinearLR).

    >>> [LinearRate(0.1, start_factor=0.0, total_steps=10)(t) for t in (0, 5, 10, 11)]      # a warm-up
    [0.0, 0.05, 0.1, 0.1]
    """

    initial_learning_rate: float
    start_factor: float = 1 / 3
    end_factor: float = 1.0
    total_steps: float = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(total_steps=0)

    def rate(self, step: Tensor) -> Tensor:
        part = g.minimum(step / self.total_steps, 1.0)
        return self.initial_learning_rate * (self.start_factor + (self.end_factor - self.start_factor) * part)


@dataclass(eq=False, repr=False)
class CyclicRate(Schedule):
    r"""Up from $\eta_0$ to `max_learning_rate` in `step_size_up` steps, down in `step_size_down`, again and again.

    mode: "triangular"; "triangular2", each triangle half as high as the one before; or "exp_range", times $\gamma^t$.
    Smith, "Cyclical learning rates for training neural networks" (2017), as PyTorch's CyclicLR, but without a cycle of
    the momentum.
    """

    initial_learning_rate: float
    max_learning_rate: float
    step_size_up: float = 2000
    step_size_down: float | None = None
    mode: str = setting(partial(_one_of, ("triangular", "triangular2", "exp_range"), "mode"), "triangular")
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(step_size_up=0, **({} if self.step_size_down is None else {"step_size_down": 0}))

    def rate(self, step: Tensor) -> Tensor:
        length = self.step_size_up + (self.step_size_up if self.step_size_down is None else self.step_size_down)
        cycle = g.floor(step / length)
        part, top = step / length - cycle, self.step_size_up / length
        height = g.where(part <= top, part / top, (1.0 - part) / (1.0 - top))
        if self.mode == "triangular2":
            height = height * 0.5**cycle
        elif self.mode == "exp_range":
            height = height * self.gamma**step
        return self.initial_learning_rate + (self.max_learning_rate - self.initial_learning_rate) * height


@dataclass(eq=False, repr=False)
class OneCycle(Schedule):
    r"""Up from η / `div_factor` to η, for a share `pct_start` of the steps, then down to η / (`div_factor` ·
    `final_div_factor`), where it stays.

    η is `max_learning_rate`. anneal_strategy: along half a cosine ("cos") or straight ("linear"). three_phase: down to
    η / div_factor in as many steps as up, and only then on down. Smith and Topin, "Super-convergence" (2019), as
    PyTorch's OneCycleLR, but without a cycle of the momentum.
    """

    max_learning_rate: float
    total_steps: int
    pct_start: float = 0.3
    anneal_strategy: str = setting(partial(_one_of, ("cos", "linear"), "anneal_strategy"), "cos")
    _: KW_ONLY
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(total_steps=1, div_factor=0, final_div_factor=0)
        if not 0 < self.pct_start <= (0.5 if self.three_phase else 1):
            raise UsageError(f"OneCycle: pct_start must be above 0 and leave a way down; got {self.pct_start!r}")

    @property
    def initial_learning_rate(self) -> float:
        return self.max_learning_rate / self.div_factor

    def rate(self, step: Tensor) -> Tensor:
        top = self.pct_start * self.total_steps - 1.0
        first, last = self.initial_learning_rate, self.initial_learning_rate / self.final_div_factor
        if self.three_phase:
            turns = [(0.0, first), (top, self.max_learning_rate), (2 * top, first), (self.total_steps - 1.0, last)]
        else:
            turns = [(0.0, first), (top, self.max_learning_rate), (self.total_steps - 1.0, last)]
        rate = last + 0.0 * step
        for (begin, start), (end, goal) in reversed(list(pairwise(turns))):
            part = g.clip((step - begin) / max(end - begin, 1e-12), 0.0, 1.0)
            share = part if self.anneal_strategy == "linear" else 0.5 * (1.0 - g.cos(math.pi * part))
            rate = g.where(step <= end, start + (goal - start) * share, rate)
        return rate
