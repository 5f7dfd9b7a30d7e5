"""`keras.optimizers.schedules`: learning rates that follow the step's number."""

from talweg.optim.schedules import CosineDecay, ExponentialDecay, StepDecay
from talweg.optim.schedules import Schedule as LearningRateSchedule

__all__ = ["CosineDecay", "ExponentialDecay", "LearningRateSchedule", "StepDecay"]
