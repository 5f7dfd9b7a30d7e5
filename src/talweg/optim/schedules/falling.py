"""Schedules that fall from the rate that they begin with: smoothly, by steps, or along half a cosine."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from talweg import graph as g
from talweg.errors import UsageError
from talweg.graph import Tensor
from talweg.optim.schedules.base import Schedule, rising
from talweg.registry import setting


@dataclass(eq=False, repr=False)
class ExponentialDecay(Schedule):
    r"""$\eta_0 \, r^{t / T}$; with `staircase`, t / T is cut to a whole number. PyTorch's ExponentialLR has T = 1.

    >>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(100)
    0.05
    """

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(decay_steps=0)

    def rate(self, step: Tensor) -> Tensor:
        p = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (g.floor(p) if self.staircase else p)


@dataclass(eq=False, repr=False)
class InverseTimeDecay(Schedule):
    r"""$\eta_0 / (1 + r\, t / T)$; with `staircase`, t / T is cut to a whole number."""

    initial_learning_rate: float
    decay_steps: float
    decay_rate: float
    staircase: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(decay_steps=0)

    def rate(self, step: Tensor) -> Tensor:
        p = step / self.decay_steps
        return self.initial_learning_rate / (1.0 + self.decay_rate * (g.floor(p) if self.staircase else p))


@dataclass(eq=False, repr=False)
class PolynomialDecay(Schedule):
    r"""$(\eta_0 - \eta_T) (1 - t / T)^p + \eta_T$, and $\eta_T$ from step T on.

    With `cycle`, T grows to the next multiple of itself whenever t passes it. PyTorch's PolynomialLR has η_T = 0.
    """

    initial_learning_rate: float
    decay_steps: float
    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(decay_steps=0)

    def rate(self, step: Tensor) -> Tensor:
        p = step / self.decay_steps
        part = p / g.maximum(-g.floor(-p), 1.0) if self.cycle else g.minimum(p, 1.0)  # -floor(-p) is p rounded up
        height = self.initial_learning_rate - self.end_learning_rate
        return height * (1.0 - part) ** self.power + self.end_learning_rate


@dataclass(eq=False, repr=False)
class PiecewiseConstantDecay(Schedule):
    r"""`values[0]` to step `boundaries[0]` inclusive, then `values[1]` to `boundaries[1]`, and so on, as in Keras.

    >>> [PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])(t) for t in (0, 10, 11, 20, 21)]
    [1.0, 1.0, 0.5, 0.5, 0.1]
    """

    boundaries: tuple[float, ...] = setting(lambda v: rising(v, "boundaries"))
    values: tuple[float, ...] = setting(tuple)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.values) != len(self.boundaries) + 1:
            raise UsageError(
                f"PiecewiseConstantDecay: values must be one more than boundaries; got {len(self.values)} and "
                f"{len(self.boundaries)}"
            )

    def rate(self, step: Tensor) -> Tensor:
        rate = self.values[0] + 0.0 * step
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = g.where(step > boundary, value, rate)
        return rate


@dataclass(eq=False, repr=False)
class StepDecay(Schedule):
    r"""$\eta_0 \, \gamma^{\lfloor t / T \rfloor}$: times γ every T steps (PyTorch's StepLR, counted in steps)."""

    initial_learning_rate: float
    step_size: float
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(step_size=0)

    def rate(self, step: Tensor) -> Tensor:
        return self.initial_learning_rate * self.gamma ** g.floor(step / self.step_size)


@dataclass(eq=False, repr=False)
class MultiStepDecay(Schedule):
    r"""$\eta_0 \, \gamma^k$, k the number of `milestones` that are reached (PyTorch's MultiStepLR, counted in steps).

    >>> [MultiStepDecay(1.0, [10, 20])(t) for t in (9, 10, 20)]
    [1.0, 0.1, 0.01]
    """

    initial_learning_rate: float
    milestones: tuple[float, ...] = setting(lambda v: rising(v, "milestones"))
    gamma: float = 0.1

    def rate(self, step: Tensor) -> Tensor:
        rate = self.initial_learning_rate + 0.0 * step
        for passed, milestone in enumerate(self.milestones, 1):
            rate = g.where(step >= milestone, self.initial_learning_rate * self.gamma**passed, rate)
        return rate


@dataclass(eq=False, repr=False)
class CosineDecay(Schedule):
    r"""Half a cosine from $\eta_0$ to $\alpha \eta_0$ in T steps (Loshchilov and Hutter, 2017).

    With `warmup_target`, it first goes in a straight line from $\eta_0$ to there, in `warmup_steps`. PyTorch's
    CosineAnnealingLR is this to step T, with α = eta_min / η₀; then it rises again, and this stays.
    """

    initial_learning_rate: float
    decay_steps: float
    alpha: float = 0.0
    _: KW_ONLY
    warmup_target: float | None = None
    warmup_steps: float = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(decay_steps=0)

    def rate(self, step: Tensor) -> Tensor:
        top, begin = self.initial_learning_rate, 0.0
        if self.warmup_target is not None:
            top, begin = self.warmup_target, self.warmup_steps
        part = g.clip((step - begin) / self.decay_steps, 0.0, 1.0)
        falling = top * (self.alpha + (1 - self.alpha) * 0.5 * (1 + g.cos(math.pi * part)))
        if not begin:
            return falling
        climbing = self.initial_learning_rate + (top - self.initial_learning_rate) * step / self.warmup_steps
        return g.where(step < self.warmup_steps, climbing, falling)


@dataclass(eq=False, repr=False)
class CosineDecayRestarts(Schedule):
    r"""`CosineDecay` again and again: each over `t_mul` times as many steps, and `m_mul` times as high above α η₀.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017). PyTorch's
    CosineAnnealingWarmRestarts is this with m_mul = 1, t_mul = T_mult and α = eta_min / η₀.
    """

    initial_learning_rate: float
    first_decay_steps: float
    t_mul: float = 2.0
    m_mul: float = 1.0
    alpha: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check(first_decay_steps=0)
        if not self.t_mul >= 1:
            raise UsageError(f"CosineDecayRestarts: t_mul must be at least 1, or the runs end; got {self.t_mul!r}")

    def rate(self, step: Tensor) -> Tensor:
        passed = step / self.first_decay_steps
        if self.t_mul == 1:
            restarts = g.floor(passed)
            part = passed - restarts
        else:
            restarts = g.floor(g.log(1.0 + passed * (self.t_mul - 1.0)) / math.log(self.t_mul))
            for _ in range(2):  # the logarithm may have been rounded over a restart, to either side
                restarts = g.where(passed < self._begin(restarts), restarts - 1.0, restarts)
                restarts = g.where(passed >= self._begin(restarts + 1.0), restarts + 1.0, restarts)
            part = (passed - self._begin(restarts)) / self.t_mul**restarts
        height = 0.5 * (1.0 + g.cos(math.pi * part)) * (1.0 if self.m_mul == 1 else self.m_mul**restarts)
        return self.initial_learning_rate * (self.alpha + (1 - self.alpha) * height)

    def _begin(self, restarts: Tensor) -> Tensor:
        """Where the run after so many restarts begins, in first runs: 1 + t_mul + t_mul² + ..."""
        return (self.t_mul**restarts - 1.0) / (self.t_mul - 1.0)
