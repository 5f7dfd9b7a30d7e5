"""`keras.optimizers.schedules`: learning rates that follow the step's number."""

from talweg.optim.schedules import (
    ChainedSchedule,
    ConstantRate,
    CosineDecay,
    CosineDecayRestarts,
    CyclicRate,
    ExponentialDecay,
    InverseTimeDecay,
    LinearRate,
    MultiStepDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    SequentialSchedule,
    StepDecay,
    Warmup,
)
from talweg.optim.schedules import Schedule as LearningRateSchedule

__all__ = [
    "ChainedSchedule",
    "ConstantRate",
    "CosineDecay",
    "CosineDecayRestarts",
    "CyclicRate",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearRate",
    "MultiStepDecay",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "SequentialSchedule",
    "StepDecay",
    "Warmup",
]
