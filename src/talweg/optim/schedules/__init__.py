"""Learning-rate schedules: formulas on the step's number (0 at the first), so they run inside the compiled program.

Each is a function of the step alone; what depends on how training goes (`ReduceLROnPlateau`) is a callback. In place of
a schedule any function of the step's number will do, as in PyTorch's LambdaLR; it is called from Python, and cannot be
saved. PyTorch steps its schedulers once an epoch where the program does; here the unit is always the optimizer's step,
so T epochs are T · steps_per_epoch.

>>> ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)(100)
0.05
"""

from talweg.optim.schedules.base import SCHEDULES, Schedule, get
from talweg.optim.schedules.composed import ChainedSchedule, SequentialSchedule, Warmup
from talweg.optim.schedules.falling import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    MultiStepDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
    StepDecay,
)
from talweg.optim.schedules.turning import ConstantRate, CyclicRate, LinearRate, OneCycle

__all__ = [
    "SCHEDULES",
    "ChainedSchedule",
    "ConstantRate",
    "CosineDecay",
    "CosineDecayRestarts",
    "CyclicRate",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LinearRate",
    "MultiStepDecay",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Schedule",
    "SequentialSchedule",
    "StepDecay",
    "Warmup",
    "get",
]
